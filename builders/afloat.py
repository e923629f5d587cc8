"""Files that are on their way to the disk while they are still written.

A file that is synced when all of it is written has the disk idle while its rows are made, and the rows that follow wait
while it is synced. The bytes of a sink go to the disk as they come, so that the sync at the end finds little to do.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

SMALL = 1 << 18
"""Bytes that are gathered before they are written: most buffers of a record batch are far smaller."""
SENT = 1 << 23
"""Bytes that are sent on their way at a time."""
WRITE = 2
"""Linux's SYNC_FILE_RANGE_WRITE: start to write, and do not wait. `posix_fadvise` would also forget what it wrote."""


class Sink:
    """A file that is written to by `stream`; `send` starts what was written since towards the disk."""

    def __init__(self, stream: pa.NativeFile, number: int) -> None:
        self.stream = stream
        self._number = number
        self._sent = 0

    def send(self) -> None:
        """Have the system write what it holds of the file, without waiting; nothing where the system has no such way.

        It is no promise: a fault shows when the file is synced.
        """
        written = self.stream.tell()
        if written - self._sent >= SENT and (start := _sync_file_range()):
            start(self._number, self._sent, written - self._sent, WRITE)
            self._sent = written


@contextmanager
def sink(path: Path) -> Iterator[Sink]:
    """Give a new file at `path` to write to; it is closed, but not yet synced, on leaving the block."""
    with (
        pa.OSFile(str(path), "wb") as file,
        path.open("rb+") as same,
        pa.BufferedOutputStream(file, SMALL) as stream,
    ):
        yield Sink(stream, same.fileno())


def at_hand(buffer: pa.Buffer) -> None:
    """Touch the pages of a buffer that is about to be written, which may be those of a mapped file.

    Linux does not wait for a page while it writes: it breaks off, zeroes what it had made ready in the cache, which may
    be far more than a page, fetches the page and begins again. So a third of the time of a copy went to zeroes.
    """
    np.frombuffer(buffer, np.uint8)[:: mmap.PAGESIZE].max(initial=0)


@cache
def _sync_file_range() -> Any:
    """Return the function of Linux's C libraries; None elsewhere."""
    try:
        found = ctypes.CDLL(None).sync_file_range
    except (AttributeError, OSError, TypeError):
        return None
    found.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    return found
