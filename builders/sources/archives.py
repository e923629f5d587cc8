"""ZIP archives read in place: what is in one, and the bytes of a member.

It stands below `tree`, which gives a member the address `faces.zip!Angry/x.png`.
"""

from __future__ import annotations

import lzma
import os
import re
import struct
import zipfile
import zlib
from functools import lru_cache
from pathlib import Path

import polars as pl

from ferbuild.builders.sources.plain import MAX_FILE, open_plain

UNSAFE = r"(?i)(?:^|\.zip!)(?:[/\\]|[a-z]:)|(?:^|[/\\]|\.zip!)\.\.(?:[/\\]|$)|\x00"
"""Matches an address that is absolute, climbs out of its folder or holds a NUL."""

MAX_MEMBER = MAX_FILE
"""Bytes an archive member may unpack to."""

_BROKEN = (zipfile.BadZipFile, RuntimeError, EOFError, OverflowError, struct.error, zlib.error, lzma.LZMAError)
"""What `zipfile` raises for an archive that is damaged, encrypted or packed in an odd way (NotImplementedError)."""

_JUNK = frozenset({"thumbs.db", "desktop.ini", "__macosx"})


def virtual(column: str = "rel_path") -> pl.Expr:
    """Return the address as if every archive were a folder: `.zip!` reads as "/"."""
    return pl.col(column).str.replace_all(r"(?i)\.zip!", "/").str.replace_all("\\", "/", literal=True)


def members(archive: Path) -> list[tuple[str, int]]:
    """Return name and unpacked size (bytes) of the files in an archive, junk left out, names as they are written.

    OSError or ValueError where it is no readable archive.
    """
    return [
        (one.filename, one.file_size)
        for one in _archive(archive).infolist()
        if not one.is_dir()
        and not any(is_junk(part) for part in re.split(r"[/\\]", one.filename) if part not in ("", ".."))
    ]


def member_size(archive: Path, name: str) -> int:
    """Return the unpacked size in bytes; KeyError where there is no such member, OSError where it is no archive."""
    return _archive(archive).getinfo(name).file_size


def read_member(archive: Path, name: str) -> bytes:
    """Return a member; KeyError where there is none, OSError or ValueError where it cannot be unpacked."""
    file = _archive(archive)
    if file.getinfo(name).file_size > MAX_MEMBER:
        raise ValueError(f"{name} unpacks to more than {MAX_MEMBER} bytes")
    try:
        return file.read(name)
    except _BROKEN as err:
        raise OSError(f"{archive.name}!{name}: {err}") from None


def tidy(address: pl.Expr) -> pl.Expr:
    """Return an address as a label file writes it with "/" between its segments, and no empty or `.` segment.

    Two ways to write one address would be two faces; a "/" at the start and `..` stay, for UNSAFE to see.
    """
    slashed = address.str.strip_chars().str.replace_all("\\", "/", literal=True)
    return slashed.str.replace_all(r"/(?:\.?/)+", "/").str.strip_prefix("./")


def is_junk(name: str) -> bool:
    return name.startswith(".") or name.lower() in _JUNK


def _archive(path: Path) -> zipfile.ZipFile:
    found = path.stat()
    return _open_archive(str(path), found.st_size, found.st_mtime_ns, os.getpid())


@lru_cache(maxsize=16)
def _open_archive(path: str, _size: int, _time: int, _process: int) -> zipfile.ZipFile:
    """Keep an archive open while it stays the same; a forked worker must not share the file position.

    OSError where it is no regular file, or no archive that can be read.
    """
    open_plain(Path(path)).close()
    try:
        return zipfile.ZipFile(path)
    except _BROKEN as err:
        raise OSError(str(err)) from None
