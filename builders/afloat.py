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
import numpy.typing as npt
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


def at_hand(column: pa.ChunkedArray) -> None:
    """Touch the pages of pictures that are about to be written, IMAGE or lists of it: they may be of a mapped file.

    Linux does not wait for a page while it writes: it breaks off, zeroes what it had made ready in the cache, which may
    be far more than a page, fetches the page and begins again. So a third of the time of a copy went to zeroes.
    """
    for chunk in column.chunks:
        _pictures(chunk)[:: mmap.PAGESIZE].max(initial=0)


def _pictures(values: pa.Array) -> npt.NDArray[np.uint8]:
    """Return the encoded pictures in IMAGE values or lists, one after the other as they lie in memory, not copied."""
    if pa.types.is_list(values.type):
        start, stop = _ends(values)
        values = values.values.slice(start, stop - start)
    pixels = values.flatten()[0]
    start, stop = _ends(pixels)
    return np.frombuffer(pixels.buffers()[2] or b"", np.uint8)[start:stop]


def _ends(array: pa.ListArray | pa.BinaryArray) -> tuple[int, int]:
    """Return where the values of a list or binary array begin and end."""
    if not len(array):
        return 0, 0
    offsets = np.frombuffer(array.buffers()[1], np.int32)
    return int(offsets[array.offset]), int(offsets[array.offset + len(array)])


@cache
def _sync_file_range() -> Any:
    """Return the function of Linux's C libraries; None elsewhere."""
    try:
        found = ctypes.CDLL(None).sync_file_range
    except (AttributeError, OSError, TypeError):
        return None
    found.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    return found
