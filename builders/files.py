"""Durable files: written beside their place, synced, and moved there whole, or not at all."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ferbuild.builders.errors import FerError


@contextmanager
def durable(path: Path) -> Iterator[Path]:
    """Give `<path>.<host>.<pid>.part` to write to; on leaving the block sync it and move it to `path`.

    On a fault the part is removed. A full disk or a forbidden folder becomes a FerError.
    """
    part = path.with_name(f"{path.name}.{socket.gethostname()}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as err:
        hint = "free some space, or name another folder; what was finished before is kept"
        raise FerError(path, f"cannot be written: {err.strerror or err}", hint) from None
    finally:
        with suppress(OSError):
            part.unlink()


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file durably and whole or not at all."""
    with durable(path) as part:
        part.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 file durably and whole or not at all; line ends stay as they are in `text`."""
    write_bytes(path, text.encode())


def must_see(path: Path) -> None:
    """FerError where this machine does not see what the one that planned the work sees.

    Without it every picture of a release that is not mounted here would be dropped as missing.
    """
    if not path.exists():
        hint = "work folder and releases must lie where every machine that works on them sees them, under the same path"
        raise FerError(path, f"cannot be seen on {socket.gethostname()}", hint)


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file, 64 hex digits. FerError where it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as err:
        raise FerError(path, "cannot be read", err.strerror or str(err)) from None
