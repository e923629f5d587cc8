"""What lies on disk below a release's base folder: its files with their sizes, and the bytes behind an address.

It is the first thing on the way of a face. ZIP archives and pixel tables are read in place, and no picture is
opened before somebody asks for it by its address.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import re
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import polars as pl

from ferbuild.builders.errors import FerError
from ferbuild.builders.sources.archives import UNSAFE, is_junk, member_size, members, read_member, virtual
from ferbuild.builders.sources.pixel_rows import row_png, row_size

__all__ = ["PICTURES", "UNSAFE", "Tree", "read_picture", "virtual"]

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif")

_MEMBER = re.compile(r"(.*?\.zip)!(.+)", re.IGNORECASE | re.DOTALL)
_ROW = re.compile(r"(.*\.csv)#(\d+)", re.IGNORECASE | re.DOTALL)
_UNSAFE = re.compile(UNSAFE)
_MAGIC = re.compile(r"[*?\[]")


class Tree:
    """A release's base folder.

    An address (`rel_path`) is relative to `root` and "/" separated; a member of an archive is
    `faces.zip!Angry/x.png`, a row of a pixel table is `fer2013.csv#<row number from 0>`. Symbolic links are
    followed, a link that leads back to a folder it lies in is cut. `faults` gathers what `files` met on its
    way and could not take: address to (reason, detail).
    """

    def __init__(self, root: Path, *, seen: dict[str, list[str]] | None = None) -> None:
        self.root = root
        self.faults: dict[str, tuple[str, str]] = {}
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
            with _look(self.root / folder) as entries:
                return sorted(prefix + one.name for one in entries if _proper(one.name) and _is_folder(one))
        except OSError:
            return []

    def files(self, *subfolders: str, suffixes: tuple[str, ...] = PICTURES, in_order: bool = True) -> pl.DataFrame:
        """Return `rel_path` and `size` (bytes) of all files with one of `suffixes`, sorted by address.

        `subfolders` are patterns of folders or archives, by default the whole tree; one that matches nothing adds
        nothing. Archives on the way are looked into. An unreadable archive, folder or name and an unsafe member
        become `faults`. Without `in_order` the rows come as the file system gives them, which is faster.
        """
        paths: list[str] = []
        sizes: list[int] = []
        wanted = frozenset(suffixes)
        for top in self._tops(subfolders):
            if top.lower().endswith(".zip") and (self.root / top).is_file():
                self._walk_zip(top, wanted, paths, sizes)
            else:
                self._walk(top, wanted, paths, sizes)
        found = pl.DataFrame({"rel_path": paths, "size": sizes}, schema={"rel_path": pl.String, "size": pl.Int64})
        return found.sort("rel_path") if in_order else found

    def label_file(self, rel_path: str) -> Path:
        """Return the path of a label file; FerError where it cannot be read or is UTF-16."""
        path = self.root / rel_path
        try:
            with path.open("rb") as file:
                mark = file.read(2)
        except OSError as err:
            raise FerError(path, "cannot be read", err.strerror or str(err)) from None
        if mark in (b"\xff\xfe", b"\xfe\xff"):
            raise FerError(path, "is UTF-16 text", "save it as UTF-8")
        return path

    def text(self, rel_path: str) -> bytes:
        """Return a label file as UTF-8 bytes without byte order mark; FerError where it cannot be read.

        Bytes that are no UTF-8 become U+FFFD, so that they spoil only the rows they stand in.
        """
        data = self.label_file(rel_path).read_bytes().removeprefix(b"\xef\xbb\xbf")
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
            with _look(self.root / folder) as entries:
                for entry in entries:
                    if _readable(entry.name) and (size := _file_size(entry)) is not None:
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
        except (OSError, KeyError, ValueError, zipfile.BadZipFile):
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

    def _match(self, pattern: str) -> Iterator[str]:
        parts = [part for part in pattern.split("/") if part]
        yield from self._expand("", parts, folder_only=pattern.endswith("/"))

    def _expand(self, base: str, parts: list[str], *, folder_only: bool) -> Iterator[str]:
        head, rest = parts[0], parts[1:]
        names = filter(_compiled(head).match, self._names(base)) if _MAGIC.search(head) else [head]
        for name in names:
            path = f"{base}/{name}" if base else name
            if rest:
                yield from self._expand(path, rest, folder_only=folder_only)
            elif (self.root / path).is_dir() if folder_only else (self.root / path).exists():
                yield path

    def _walk(self, top: str, suffixes: frozenset[str], paths: list[str], sizes: list[int]) -> None:
        """Append the files below the folder `top`, walking it depth first without recursion.

        The loop over the entries is the slowest part of listing a large release: it calls nothing it need not.
        """
        here = os.path.realpath(self.root / top)
        todo: list[tuple[str, tuple[str, ...]]] = [(top, (here,))]
        while todo:
            folder, chain = todo.pop()
            prefix = f"{folder}/" if folder else ""
            try:
                with _look(self.root / folder) as entries:
                    for entry in entries:
                        name = entry.name
                        suffix = name[name.rfind(".") :].lower()
                        if not (name.isascii() or _readable(name)):
                            self.faults[prefix + ascii(name)] = ("unreadable name", "not UTF-8")
                        elif suffix in suffixes and name[0] != ".":
                            if (size := _file_size(entry)) is not None:
                                paths.append(prefix + name)
                                sizes.append(size)
                        elif suffix == ".zip" and entry.is_file():
                            self._walk_zip(prefix + name, suffixes, paths, sizes)
                        elif not is_junk(name) and _is_folder(entry) and (longer := _deeper(chain, entry)):
                            todo.append((prefix + name, longer))
            except OSError as err:
                self.faults[folder] = ("unreadable folder", err.strerror or str(err))

    def _walk_zip(self, path: str, suffixes: frozenset[str], paths: list[str], sizes: list[int]) -> None:
        try:
            found = members(self.root / path)
        except (OSError, ValueError, zipfile.BadZipFile) as err:
            self.faults[path] = ("unreadable archive", str(err))
            return
        for name, size in found:
            address = f"{path}!{name}"
            if not name.lower().endswith(tuple(suffixes)):
                continue
            if _UNSAFE.search(address):
                self.faults[address] = ("unsafe path", "archive member outside the archive")
            else:
                paths.append(address)
                sizes.append(size)


def read_picture(base: Path, rel_path: str) -> bytes:
    """Return the file at an address; a row of a pixel table comes as PNG, 8-bit grey.

    Raises OSError, KeyError or ValueError where there is no such picture or it cannot be read.
    """
    if _UNSAFE.search(rel_path):
        raise ValueError(f"{rel_path!r} leaves the release")
    if member := _MEMBER.fullmatch(rel_path):
        return read_member(base / member[1], member[2])
    if row := _ROW.fullmatch(rel_path):
        return row_png(base / row[1], int(row[2]))
    return (base / rel_path).read_bytes()


def _proper(name: str) -> bool:
    return not is_junk(name) and _readable(name)


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern))


def _file_size(entry: os.DirEntry[str]) -> int | None:
    try:
        found = entry.stat()
    except OSError:
        return None  # a dangling or circular link
    return found.st_size if stat.S_ISREG(found.st_mode) else None


@contextmanager
def _look(folder: Path) -> Iterator[Iterator[os.DirEntry[str]]]:
    """Yield what lies in a folder; through a descriptor, where there are such, sizes cost a fifth less."""
    if os.scandir not in os.supports_fd:
        with os.scandir(folder) as entries:
            yield entries
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with os.scandir(handle) as entries:
            yield entries
    finally:
        os.close(handle)


def _readable(name: str) -> bool:
    """Say whether a file name is proper text: bytes that are no UTF-8 come as lone surrogates."""
    return name.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in name)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _deeper(chain: tuple[str, ...], entry: os.DirEntry[str]) -> tuple[str, ...]:
    """Return the real paths of the folders down to `entry`; nothing where it leads back to one of them."""
    path = os.path.join(chain[-1], entry.name)  # noqa: PTH118 - no Path for each of many folders
    if not entry.is_symlink():
        return (*chain, path)
    real = os.path.realpath(path)
    back = any(step == real or step.startswith(real.rstrip("/") + "/") for step in chain)
    return () if back else (*chain, real)
