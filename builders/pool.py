"""Runs a function over many small items, in this process or in several, telling of each that is done."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from ferbuild.builders.errors import FerError
from ferbuild.builders.lean import spare_pandas

LOOK_S = 0.2
"""Seconds between two looks for a Ctrl-C."""
MOST_THREADS = 2
"""What Python itself does of the work, it does one thread at a time: more of them mostly hold more rows."""

ALONE = {"OPENBLAS_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1"}
"""What keeps numpy and OpenCV to one thread. A process a core leaves no core to a second one: threads that wait for
each other then make a small product of matrices ten times as slow."""

T = TypeVar("T")
R = TypeVar("R")


def each(call: Callable[[T], R], items: Sequence[T], *, workers: int, stage: str) -> Iterator[R]:
    """Yield `call(item)` of every item as it is done, in any order.

    `call` and the items must pickle where there is more than one worker. A worker that dies is a FerError
    of `stage`. Leaving the iteration early lets the running items finish and starts no further one.
    """
    if workers < 2 or len(items) < 2:
        yield from map(call, items)
        return
    # A forked child would inherit the locks of polars' and OpenCV's threads; a fresh one does not.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(items)), mp_context=context, initializer=_follow_the_parent)
    with noting_ctrl_c() as stop, inherited(ALONE):
        try:
            yield from _drain(pool, call, items, 2 * workers, stop)
        except BrokenProcessPool:
            hint = "it ran out of memory, most likely: lower --workers and run again, finished parts are kept"
            raise FerError(stage, "a worker process died", hint) from None
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def in_threads(call: Callable[[T], R], items: Sequence[T], *, workers: int, stage: str) -> Iterator[R]:
    """Yield as `each` does, from threads: for work that Arrow and the disk do, less than processes take to start."""
    if workers < 2 or len(items) < 2:
        yield from map(call, items)
        return
    with ThreadPoolExecutor(min(workers, len(items), MOST_THREADS), stage) as pool:
        yield from pool.map(call, items)


def _drain(
    pool: ProcessPoolExecutor, call: Callable[[T], R], items: Sequence[T], ahead: int, stop: threading.Event
) -> Iterator[R]:
    """Keep `ahead` items in the pool, so that a long list is never pickled at once."""
    queue = iter(items)
    running: set[Future[R]] = set()
    while True:
        for item in queue:
            running.add(pool.submit(call, item))
            if len(running) >= ahead:
                break
        if not running:
            return
        finished, running = wait(running, timeout=LOOK_S, return_when=FIRST_COMPLETED)
        if stop.is_set():
            raise KeyboardInterrupt
        for future in finished:
            yield future.result()


@contextmanager
def noting_ctrl_c() -> Iterator[threading.Event]:
    """Note the first Ctrl-C instead of raising; a second one ends the process, and its workers, at once.

    Raised wherever it falls, it can leave a future's lock held, and the pool then waits for ever.
    """
    stop = threading.Event()

    def note(number: int, frame: object) -> None:
        if stop.is_set():
            os._exit(130)
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def inherited(names: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for the processes that are started meanwhile, where the user has not set them."""
    new = {name: value for name, value in names.items() if name not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for name in new:
            os.environ.pop(name, None)


def _follow_the_parent() -> None:
    """Leave Ctrl-C to the parent, and end with it however it ends: an orphan would write beside the next run."""
    spare_pandas()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)
