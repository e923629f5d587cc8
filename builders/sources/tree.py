"""What lies on disk below a release's base folder: its files with their sizes, and the bytes behind an address.

It is the first thing on the way of a face. ZIP archives and pixel tables are read in place, and no picture is
opened before somebody asks for it by its address.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import polars as pl

from ferbuild.builders.errors import FerError
from ferbuild.builders.sources.archives import UNSAFE, is_junk, member_size, read_member, tidy, virtual
from ferbuild.builders.sources.pixel_rows import row_png, row_size
from ferbuild.builders.sources.plain import open_plain, read_plain
from ferbuild.builders.sources.walk import Walk, file_size, is_folder, look, readable

__all__ = ["PICTURES", "UNSAFE", "Tree", "read_picture", "tidy", "virtual"]

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif")

_MEMBER = re.compile(r"(.*?\.zip)!(.+)", re.IGNORECASE | re.DOTALL)
_ROW = re.compile(r"(.*\.csv)#(\d+)", re.IGNORECASE | re.DOTALL)
_UNSAFE = re.compile(UNSAFE)
_MAGIC = re.compile(r"[*?\[]")


class Tree:
    """A release's base folder.

    An address (`rel_path`) is relative to `root` and "/" separated; a member of an archive is
    `faces.zip!Angry/x.png`, a row of a pixel table is `fer2013.csv#<row number from 0>`. Symbolic links are
    followed, but every real folder is walked once. `faults` gathers what `files` met on its way and could not
    take: address to (reason, detail).
    """

    def __init__(self, root: Path, *, seen: dict[str, list[str]] | None = None) -> None:
        self.root = root
        self.faults: dict[str, tuple[str, str]] = {}
        self._passed: set[str] = set()
        self._seen: dict[str, list[str]] = {} if seen is None else seen
        self._sums: dict[str, str] = {}

    def below(self, folder: str) -> Tree:
        """Return the tree of a folder in this one; both remember the folders either has looked into."""
        return Tree(self.root / folder, seen=self._seen)

    def has(self, pattern: str) -> bool:
        """Say whether `pattern` matches anything; with a "/" at its end it must be a folder."""
        return next(self._match(pattern), None) is not None

    def glob(self, pattern: str) -> list[str]:
        """Return what `pattern` matches, sorted; `*`, `?` and `[…]` stay inside one path segment."""
        return sorted(self._match(pattern))

    def folders(self, folder: str = "") -> list[str]:
        """Return the folders directly below `folder`, sorted."""
        prefix = f"{folder}/" if folder else ""
        try:
            with look(self.root / folder) as entries:
                return sorted(prefix + one.name for one in entries if _proper(one.name) and is_folder(one))
        except OSError:
            return []

    def files(self, *subfolders: str, suffixes: tuple[str, ...] = PICTURES, in_order: bool = True) -> pl.DataFrame:
        """Return `rel_path` and `size` (bytes) of all files with one of `suffixes`, sorted by address.

        `subfolders` are patterns of folders or archives, by default the whole tree; one that matches nothing adds
        nothing. Archives on the way are looked into. A name that belongs to no regular file, such as a dangling link,
        has no size. An unreadable archive, folder or name and an unsafe member become `faults`. Without `in_order`
        the rows come as the file system gives them, which is faster.
        """
        walk = Walk(self.root, suffixes)
        walk.take(self._tops(subfolders))
        self.faults |= walk.faults
        self._passed.update(walk.passed)
        found = walk.table()
        return found.sort("rel_path") if in_order else found

    def notes(self) -> tuple[str, ...]:
        """Return what the user should know of the links that `files` met and did not follow."""
        if not self._passed:
            return ()
        what = "linked folders are met under another name, or lead back to a folder above them, and were not walked"
        return (f"{len(self._passed):,} {what}; the first is {min(self._passed)}",)

    def label_file(self, rel_path: str) -> Path:
        """Return the path of a label file; FerError where it is no regular file, cannot be read or is UTF-16."""
        path = self.root / rel_path
        try:
            with open_plain(path) as file:
                mark = file.read(2)
        except OSError as err:
            raise FerError(path, "cannot be read", err.strerror or str(err)) from None
        if mark in (b"\xff\xfe", b"\xfe\xff"):
            raise FerError(path, "is UTF-16 text", "save it as UTF-8")
        return path

    def text(self, rel_path: str) -> bytes:
        """Return a label file as UTF-8 bytes without byte order mark; FerError where it cannot be read.

        Bytes that are no UTF-8 become U+FFFD, so that they spoil only the rows they stand in. The line ends of an
        old Mac become LF.
        """
        data = self.label_file(rel_path).read_bytes().removeprefix(b"\xef\xbb\xbf")
        data = data if b"\n" in data else data.replace(b"\r", b"\n")
        return data if data.isascii() else data.decode("utf-8", "replace").encode()

    def sha256(self, rel_path: str) -> str:
        """Return the sha256 of a label file; FerError where it cannot be read. It is computed once."""
        if rel_path not in self._sums:
            with self.label_file(rel_path).open("rb") as file:
                self._sums[rel_path] = hashlib.file_digest(file, "sha256").hexdigest()
        return self._sums[rel_path]

    def sizes(self, paths: pl.Series) -> pl.Series:
        """Return the size in bytes of the picture at each address, null where there is none.

        A folder is looked through once, however many of its pictures are asked for; an address that leaves the
        tree is never followed.
        """
        asked = pl.DataFrame({"path": paths.cast(pl.String)})
        inside = asked.filter(~pl.col("path").str.contains(UNSAFE))
        odd = pl.col("path").str.contains(r"(?i)\.zip!|\.csv#\d+$")
        found = inside.filter(odd)["path"].unique().to_list()
        sizes = [self._size(path) for path in found]
        plain = inside.filter(~odd).select(pl.col("path").str.extract(r"^(.*)/", 1).fill_null(""))
        for folder in plain["path"].unique():
            self._look_through(folder, found, sizes)
        table = pl.DataFrame({"path": found, "size": sizes}, schema={"path": pl.String, "size": pl.Int64})
        return asked.join(table, on="path", how="left", maintain_order="left")["size"]

    def _look_through(self, folder: str, paths: list[str], sizes: list[int | None]) -> None:
        """Append the files directly in a folder; none where it cannot be looked into."""
        prefix = f"{folder}/" if folder else ""
        try:
            with look(self.root / folder) as entries:
                for entry in entries:
                    if readable(entry.name) and (size := file_size(entry)) is not None:
                        paths.append(prefix + entry.name)
                        sizes.append(size)
        except OSError:
            return

    def _size(self, rel_path: str) -> int | None:
        """Return the size of an archive member or the bytes of a table row, None where there is none."""
        try:
            if member := _MEMBER.fullmatch(rel_path):
                return member_size(self.root / member[1], member[2])
            table, _, row = rel_path.rpartition("#")
            return row_size(self.root / table, int(row))
        except (OSError, KeyError, ValueError):
            return None

    def _tops(self, patterns: tuple[str, ...]) -> list[str]:
        """Return the places to walk, none inside another, so that no file is met twice."""
        if not patterns:
            return [""]
        found = sorted({top.rstrip("/") for pattern in patterns for top in self._match(pattern)})
        return [top for top in found if not any(top.startswith(f"{other}/") for other in found)]

    def _names(self, folder: str) -> list[str]:
        key = os.path.join(self.root, folder)  # noqa: PTH118 - a Path per folder would cost more than the look
        if key not in self._seen:
            try:
                names = sorted(filter(_proper, os.listdir(key)))  # noqa: PTH208 - names are enough
            except OSError:
                names = []
            self._seen[key] = names
        return self._seen[key]

    def _alike(self, base: str, head: str, *, folders: bool) -> Iterable[str]:
        """Return what a segment of a pattern may mean; of `folders` alone, which are few where pictures are many."""
        if not _MAGIC.search(head):
            return [head]
        names = (one.rpartition("/")[2] for one in self.folders(base)) if folders else self._names(base)
        return filter(_compiled(head).match, names)

    def _match(self, pattern: str) -> Iterator[str]:
        parts = [part for part in pattern.split("/") if part]
        if not parts:
            raise FerError(f"pattern {pattern!r}", "names nothing", "write the name of a file or folder, or a glob")
        yield from self._expand("", parts, folder_only=pattern.endswith("/"))

    def _expand(self, base: str, parts: list[str], *, folder_only: bool) -> Iterator[str]:
        head, rest = parts[0], parts[1:]
        for name in self._alike(base, head, folders=bool(rest) or folder_only):
            path = f"{base}/{name}" if base else name
            if rest:
                yield from self._expand(path, rest, folder_only=folder_only)
            elif (self.root / path).is_dir() if folder_only else os.path.lexists(self.root / path):
                yield path  # a dangling link is there: what needs the file says that it cannot be read


def read_picture(base: Path, rel_path: str) -> bytes:
    """Return the file at an address; a row of a pixel table comes as PNG, 8-bit grey.

    Raises OSError, KeyError or ValueError where there is no such picture or it cannot be read; plain.TooLargeError, a
    ValueError, where it has more bytes than a picture.
    """
    if _UNSAFE.search(rel_path):
        raise ValueError(f"{rel_path!r} leaves the release")
    if member := _MEMBER.fullmatch(rel_path):
        return read_member(base / member[1], member[2])
    if row := _ROW.fullmatch(rel_path):
        return row_png(base / row[1], int(row[2]))
    return read_plain(os.path.join(base, rel_path))  # noqa: PTH118 - a Path a picture would cost more than its opening


def _proper(name: str) -> bool:
    return not is_junk(name) and readable(name)


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern))
