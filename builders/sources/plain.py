"""Opens what must be a plain file, so that a pipe, a device or a sparse giant in a release stops nothing.

Everything the readers take from disk by name goes through here or through a ZIP archive opened here.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

MAX_FILE = 1 << 28
"""Bytes a picture may have, on disk or unpacked from an archive; a picture is far below, a bomb above."""

_AT_ONCE = getattr(os, "O_NONBLOCK", 0)
"""Without it the opening of a pipe waits for somebody to write into it."""


class TooLargeError(ValueError):
    """A file has more bytes than anything of its kind; it was not read."""


def open_plain(path: Path | str) -> BinaryIO:
    """Return a file opened for reading; OSError where it is no regular file or cannot be read."""
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | _AT_ONCE))  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "no regular file")
    return file


def read_plain(path: Path | str, limit: int = MAX_FILE) -> bytes:
    """Return a file's bytes; TooLargeError above `limit`, OSError where it is no regular file or cannot be read.

    The size is asked now: the file may have grown since it was listed.
    """
    with open_plain(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > limit:
            raise TooLargeError(f"{size} bytes, more than {limit}")
        return file.read(size)
