"""Runs the jobs of a stage by Daft: in processes of this machine, or on the nodes of a Ray cluster.

One of the two engines, beside `pool`. Daft gives out the jobs, one a partition, and gives those of a lost node to
another. A job writes its part itself, onto storage that every node sees: a finished part outlives the node and the
driver, and no picture passes through the driver. What comes back of a job is its count of rows.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import socket
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa

from ferbuild.builders.errors import FerError
from ferbuild.builders.pool import ALONE, inherited, noting_ctrl_c

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

WAVE = 32
"""Jobs a processor that are handed to Daft at once: enough that the end of a wave costs 2 % of it, few enough that the
rows of a large build are never pickled all at a time."""
LOTS, MOST = 4, 8
"""Partitions a processor of a cluster, at least, and jobs a partition, at most: one may cost the start of a process."""
TRIES = 3
"""Times a wave is begun again that lost results with a node, before the stage gives up."""
ANSWER_S = 10.0
"""Seconds that the head of a cluster has to take a connection."""
ALIKE = ("fer-build", "numpy", "opencv-python", "pillow", "pyarrow", "simplejpeg")
"""Packages that decide on pixels and bytes: every node must have the same."""
QUIET = {"DAFT_PROGRESS_BAR": "0", "DAFT_ANALYTICS_ENABLED": "0", "DO_NOT_TRACK": "1", "RAY_USAGE_STATS_ENABLED": "0"}
"""Environment of Daft and Ray: progress is ours to show, and nobody is told that the tool runs."""
AGAIN = "run the same command again, finished parts are kept; --engine local needs neither Daft nor Ray"


class Task(NamedTuple):
    """What every job of a wave has in common."""

    call: Callable[[Any], Any]
    home: Path
    """The driver's folder, from which relative paths are seen."""
    versions: dict[str, str]
    enough: Path
    """A file that is there when no further job is to begin."""


class Reply(NamedTuple):
    """What became of an item. A fault is data: Daft would make text of an exception."""

    at: int
    found: Any
    fault: Exception | None


@dataclass(frozen=True, slots=True)
class Daft:
    """The engine; on this machine where it has no address."""

    ray_address: str | None = None

    def __call__(self, call: Callable[[T], R], items: Sequence[T], *, workers: int, stage: str) -> Iterator[R]:
        if not items:
            return
        cpus = _started(self.ray_address, workers)
        size = WAVE * cpus
        with noting_ctrl_c() as stop, inherited(ALONE), TemporaryDirectory() as folder:
            enough = Path(folder, "enough")
            task = pickle.dumps(Task(call, Path.cwd(), versions(), enough))
            for start in range(0, len(items), size):
                with closing(self._wave(task, items[start : start + size], stage, stop, cpus)) as replies:
                    yield from self._found(replies, enough, stop)

    def _found(self, replies: Iterator[Reply], enough: Path, stop: Event) -> Iterator[Any]:
        """Yield what was found; raise the first fault, or a Ctrl-C, when what runs on this machine has run out.

        Daft's threads take the process down with them where it ends before they do.
        """
        fault: BaseException | None = None
        for reply in replies:
            fault = fault or (KeyboardInterrupt() if stop.is_set() else reply.fault)
            if fault is None:
                yield reply.found
            elif self.ray_address is None:
                enough.touch()
            else:
                break
        if fault is None and stop.is_set():
            fault = KeyboardInterrupt()
        if fault is not None:
            raise fault

    def _wave(self, task: bytes, items: Sequence[Any], stage: str, stop: Event, cpus: int) -> Generator[Reply]:
        """Yield a reply of every item; what was lost with a node is asked again."""
        waiting = {at: pickle.dumps((at, item)) for at, item in enumerate(items)}
        for left in reversed(range(TRIES)):
            try:
                with closing(self._replies(task, list(waiting.values()), cpus)) as replies:
                    for reply in map(pickle.loads, replies):
                        if waiting.pop(reply.at, None) is not None:
                            yield reply
                if not waiting:
                    return
                raise RuntimeError("it ended before every job was done")
            except Exception as err:
                if stop.is_set():
                    raise KeyboardInterrupt from None
                if left == 0 or self.ray_address is None:
                    raise _stopped(stage, err) from None
                log.warning("%s: %s; goes on without it", stage, _told(err))

    def _replies(self, task: bytes, items: Sequence[bytes], cpus: int) -> Generator[bytes]:
        import daft

        @daft.func.batch(return_dtype=daft.DataType.binary(), batch_size=1, use_process=True)  # type: ignore[untyped-decorator]
        def run(column: Any) -> list[bytes]:
            return [answer(task, item) for item in column.to_pylist()]

        size = int(np.clip(len(items) // (LOTS * cpus), 1, MOST)) if self.ray_address is not None else 1
        lots = [items[start : start + size] for start in range(0, len(items), size)]
        # Partitions of the driver's: if a node cut them out of one, all would be lost with it.
        frame = daft.from_arrow([pa.table({"item": pa.array(lot, pa.large_binary())}) for lot in lots])
        with closing(frame.select(run(frame["item"])).iter_partitions(results_buffer_size=None)) as parts:
            for part in parts:
                if self.ray_address is not None:
                    import ray

                    part = ray.get(part)
                yield from part.to_pydict()["item"]


def answer(task: bytes, item: bytes) -> bytes:
    """Run one item in a process of Daft's, and return the pickled reply."""
    at, given = pickle.loads(item)
    try:
        ready = _ready(task)
        return pickle.dumps(Reply(at, None if ready.enough.exists() else ready.call(given), None))
    except Exception as err:
        return pickle.dumps(Reply(at, None, _sendable(err)))


@cache
def _ready(task: bytes) -> Task:
    """Make this process ready for a task, once. FerError where the node is another than the driver takes it for."""
    with suppress(ValueError):  # Ctrl-C is the driver's to note; only a main thread can leave it aside
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    ready: Task = pickle.loads(task)
    with suppress(OSError):
        os.chdir(ready.home)
    own = versions()
    if strange := [name for name in ALIKE if own[name] != ready.versions[name]]:
        names = ", ".join(f"{name} {own[name]}, not {ready.versions[name]}" for name in strange)
        problem = f"would make other bytes than the machine that asks it: it has {names}"
        raise FerError(f"node {socket.gethostname()}", problem, "install the same versions on every node")
    return ready


def versions() -> dict[str, str]:
    """Return the installed version of each of ALIKE; `none` where it is not installed."""
    found = {}
    for name in ALIKE:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found


def _sendable(err: Exception) -> Exception:
    """Return an exception, or one that says the same where it does not pickle."""
    try:
        pickle.loads(pickle.dumps(err))
    except Exception:  # an exception's own code runs here, and may raise anything
        return RuntimeError(_told(err))
    return err


@cache
def _started(ray_address: str | None, workers: int) -> int:
    """Start Daft's runner, once a process; return how many jobs run at a time."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import daft

    if ray_address is None:
        daft.set_runner_native(num_threads=workers)
        # Its first query takes Ctrl-C for itself, and would end half done: `noting_ctrl_c` has it back from then on.
        daft.from_pydict({"item": [0]}).select(daft.col("item") + 1).collect()
        return workers
    import ray

    before = signal.getsignal(signal.SIGTERM)
    try:
        _must_answer(ray_address)
        if not ray.is_initialized():
            ray.init(ray_address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError) as err:
        hint = "`ray start --head` begins a cluster; docs/cluster.md shows the way"
        raise FerError(f"--ray-address {ray_address}", f"no Ray cluster answers: {_told(err)}", hint) from None
    with suppress(ValueError):  # Ray takes it for itself, and would end the process without a word
        signal.signal(signal.SIGTERM, before)
    daft.set_runner_ray(noop_if_initialized=True)
    return max(1, int(ray.cluster_resources().get("CPU", 1)))


def _must_answer(address: str) -> None:
    """Raise OSError where nobody listens at HOST:PORT: Ray would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit() and "/" not in host:
        socket.create_connection((host, int(port)), ANSWER_S).close()


def _stopped(stage: str, err: Exception) -> FerError:
    if "UDF process" in str(err):
        hint = "it ran out of memory, most likely: lower --workers and run again, finished parts are kept"
        return FerError(stage, "a worker process died", hint)
    return FerError(stage, f"Daft stopped: {_told(err)}", AGAIN)


def _told(err: Exception) -> str:
    lines = [line.strip() for line in str(err).splitlines() if line.strip()]
    return (lines[0] if lines else type(err).__name__)[:300]
