"""Pictures as files beside the rows of an export: `images/<id>.<ext>`, each written once.

A name says which face it is, so a picture that several rows show is one file, and a rerun finds what is there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import xxhash

from ferbuild.builders.errors import FerError

FOLDER = "images"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,5}")
_KINDS = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png", b"GIF8": ".gif", b"BM": ".bmp", b"II*\0": ".tif"}
_FORBIDDEN = "name another --out, or mend it and run the same command again: finished pictures are not written again"


class Pictures:
    """Writes the pictures of an export and knows which it holds."""

    def __init__(self, out: Path) -> None:
        self.folder = out / FOLDER
        self._sizes: dict[str, int] = {}
        self._unsynced: list[str] = []

    def __len__(self) -> int:
        return len(self._sizes)

    def write(self, table: pa.Table) -> list[list[str]]:
        """Write the pictures of some rows; return their paths below the destination, row by row. FerError."""
        named = names(table.select(["id", "faces"]).to_pylist())
        images = table["images"]
        return [
            [self._write(name, image) for name, image in zip(row, images[at].values, strict=True)]
            for at, row in enumerate(named)
        ]

    def _write(self, name: str, image: pa.StructScalar) -> str:
        data = image["bytes"].as_buffer()
        name += suffix(data, image["path"].as_py())
        known = self._sizes.setdefault(name, data.size)
        if known != data.size:
            raise FerError(self.folder / name, "is the name of two pictures", "build the dataset again")
        if len(self._sizes) == 1:
            self._make_folder()
        if _put(self.folder / name, data):
            self._unsynced.append(name)
        return f"{FOLDER}/{name}"

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            raise FerError(self.folder, f"cannot be written: {err.strerror or err}", _FORBIDDEN) from None

    def settle(self) -> None:
        """Have all pictures reach the disk, before a file says that they are there.

        At once, when most of them are there by themselves: to wait for each as it is written costs the most.
        """
        for name in self._unsynced:
            with (self.folder / name).open("rb") as file:
                os.fsync(file.fileno())
        self._unsynced.clear()

    def stale(self) -> Iterator[Path]:
        """Yield the files in the folder that are no pictures of this export."""
        with suppress(FileNotFoundError), os.scandir(self.folder) as found:
            yield from (self.folder / one.name for one in found if one.name not in self._sizes)


def names(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[str]]:
    """Yield what the pictures of each row are called: as their faces, or else as the row and their place in it."""
    for row in rows:
        yield [_safe(face["id"] or f"{row['id']}-{at}") for at, face in enumerate(row["faces"] or [])]


def suffix(data: pa.Buffer, path: str | None) -> str:
    """Return how a picture's file name ends: as its first bytes say, else as `path` does."""
    head = data.slice(0, min(12, data.size)).to_pybytes()
    if head.startswith(b"RIFF") and head.endswith(b"WEBP"):
        return ".webp"
    told = PurePosixPath(path or "").suffix.lower()
    other = told if _SUFFIX.fullmatch(told) else ".img"
    return next((ending for start, ending in _KINDS.items() if head.startswith(start)), other)


def _safe(name: str) -> str:
    return name if _NAME.fullmatch(name) else xxhash.xxh3_64_hexdigest(name.encode())


def _put(path: Path, data: pa.Buffer) -> bool:
    """Write a file whole or not at all, where it is not there with these bytes; tell whether it was written."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        if path.exists() and path.read_bytes() == memoryview(data):
            return False
        part.write_bytes(memoryview(data))
        part.replace(path)
        return True
    except OSError as err:
        raise FerError(path, f"cannot be written: {err.strerror or err}", _FORBIDDEN) from None
    finally:
        with suppress(OSError):
            part.unlink()
