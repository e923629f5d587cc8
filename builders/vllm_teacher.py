"""A teacher in this process: vLLM's offline engine, asked a chunk at a time, each chunk committed when it is through.

The key of a reply is that of a server of the same model, sampling and messages, so that the replies of both stand for
each other. vLLM is imported, and its engine started, with the first request that is owed.
"""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ferbuild.builders import replies
from ferbuild.builders.chat import Said
from ferbuild.builders.errors import FerError
from ferbuild.builders.owing import Owed, owed, recall_each
from ferbuild.builders.replies import GAVE_UP, Record, Reply, Request, Store, Watch, now, reply_key
from ferbuild.manifests.schema import TeacherEntry

if TYPE_CHECKING:
    from ferbuild.builders.teacher import Halt
    from ferbuild.builders.vllm_engine import Engine

log = logging.getLogger(__name__)

HERE = "in process"
"""What stands for the server in the store."""
INSTALL = "pip install 'fer-build[vllm]'"
CHUNK = 512
"""Requests given to the engine at once: enough to keep it full, few enough to lose where the process is killed."""
HOPELESS = 100
"""Requests in a row that came to nothing, after which the run stops."""


@dataclass(frozen=True, slots=True)
class VllmTeacher:
    """Asks the engine that the entry's `engine` arguments start in this process."""

    entry: TeacherEntry
    store: Path
    chunk: int = CHUNK
    baseline: bool = False

    @property
    def name(self) -> str:
        return self.entry.name

    def ready(self) -> None:
        """FerError where vLLM is not installed. The engine is not started: that takes minutes."""
        if find_spec("vllm") is None:
            raise FerError(f"teacher {self.name}", "vLLM is not installed", INSTALL)

    def ask(self, requests: Iterable[Request], watch: Watch) -> Halt | None:
        """Get and store every reply that is not there yet; `watch` is told of every request that is through.

        The requests are taken in the order given and a chunk at a time, so that samples of one picture share the
        engine's prefix cache. FerError where vLLM is missing, cannot load the model or dies, or where another process
        asks; of a request that it refuses the fault is stored. Ctrl-C and a kill lose the chunk under way, at most.
        """
        waiting = owed(self.store, requests, self.key, watch)
        first = next(waiting, None)
        if first is None:
            return None
        self.ready()
        from ferbuild.builders.vllm_engine import Engine

        with replies.asking(self.store) as store:
            work = _Work(self, store, watch, Engine(self.entry))
            try:
                for chunk in _chunks(first, waiting, self.chunk):
                    work.take(chunk)
            except KeyboardInterrupt:
                log.warning("stopped: what is stored is kept; the same command asks for the rest")
                raise
            finally:
                del work
                gc.collect()  # the engine ends with its last reference, and gives the GPU back
        return None

    def recall(self, requests: Sequence[Request]) -> list[Reply | None]:
        return recall_each(self.store, [self.key(request) for request in requests])

    def key(self, request: Request) -> str:
        return reply_key(self.entry.model, self.entry.sampling, request)


def _chunks(first: Owed, waiting: Iterator[Owed], most: int) -> Iterator[dict[str, list[Request]]]:
    """Yield key to the requests that wait for it, `most` keys at a time."""
    chunk: dict[str, list[Request]] = {first[0]: [first[1]]}
    for key, request in waiting:
        if key not in chunk and len(chunk) == most:
            yield chunk
            chunk = {}
        chunk.setdefault(key, []).append(request)
    yield chunk


@dataclass(slots=True)
class _Work:
    """One run: what the engine says is stored and told of."""

    teacher: VllmTeacher
    store: Store
    watch: Watch
    engine: Engine
    in_a_row: int = 0

    def take(self, chunk: Mapping[str, list[Request]]) -> None:
        """Ask a chunk, commit what it brought, and tell of it."""
        known = replies.recall(self.teacher.store, list(chunk))  # an earlier chunk, or process, may have brought some
        asked = [key for key in chunk if key not in known or known[key].outcome == GAVE_UP]
        began = time.monotonic()
        said = self.engine.say([chunk[key][0] for key in asked])
        each_ms = round(1000 * (time.monotonic() - began) / max(1, len(asked)))
        self.store.put([self._record(key, one, each_ms) for key, one in zip(asked, said, strict=True)])
        got = {key: one.reply for key, one in zip(asked, said, strict=True)}
        for key, requests in chunk.items():
            for at, request in enumerate(requests):
                self.watch(request, got.get(key) or known[key], at == 0 and key in got)
        self._stop_if_hopeless(said)

    def _record(self, key: str, said: Said, latency_ms: int) -> Record:
        at = now()
        entry = self.teacher.entry
        return Record(key, entry.name, entry.model, said.reply, said.usage, latency_ms, HERE, at)

    def _stop_if_hopeless(self, said: Sequence[Said]) -> None:
        for one in said:
            self.in_a_row = self.in_a_row + 1 if one.reply.outcome == GAVE_UP else 0
        if self.in_a_row >= HOPELESS:
            problem = f"{self.in_a_row} requests in a row came to nothing: {said[-1].reply.detail}"
            raise FerError(f"teacher {self.teacher.name}", problem, "a rerun asks only for what is missing")
