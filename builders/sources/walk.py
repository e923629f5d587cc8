"""One walk over the folders and archives of a release: the address and size of every picture, and what is odd.

It stands below `tree`. No picture is opened, every real folder is met once, and nothing is left out in silence.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from ferbuild.builders.sources.archives import UNSAFE, is_junk, members

Place = tuple[str, tuple[str, ...]]
"""The address of a folder, and the real paths of the folders down to it."""

_UNSAFE = re.compile(UNSAFE)


class Walk:
    """What lies in some folders and archives below `root` with one of `suffixes`.

    `paths` and `sizes` (bytes) are as long as each other and in no order; a size is None where a picture's name
    belongs to no regular file. `faults` is address to (reason, detail). `passed` holds the linked folders that were
    not walked, because they are met under another name or lead back to a folder above them.
    """

    def __init__(self, root: Path, suffixes: Iterable[str]) -> None:
        self.root = root
        self.suffixes = frozenset(suffixes)
        self.paths: list[str] = []
        self.sizes: list[int | None] = []
        self.faults: dict[str, tuple[str, str]] = {}
        self.passed: list[str] = []
        self._met: set[str] = set()
        self._links: list[Place] = []

    def take(self, tops: Iterable[str]) -> None:
        """Walk over `tops`, folders or archives; a folder is met under its own name before any link to it."""
        todo: list[Place] = []
        for top in tops:
            path = self.root / top
            if top.lower().endswith(".zip") and not path.is_dir():
                self._archive(top)
            elif path.is_symlink():
                self._links.append((top, ()))
            else:
                todo.append((top, (os.path.realpath(path),)))
        while todo or self._links:
            self._folders(todo)
            todo, self._links = self._followed(), []

    def table(self) -> pl.DataFrame:
        """Return `rel_path` and `size` of what was met, in no order."""
        kinds = {"rel_path": pl.String, "size": pl.Int64}
        return pl.DataFrame({"rel_path": self.paths, "size": self.sizes}, schema=kinds)

    def _followed(self) -> list[Place]:
        """Return the linked folders met so far with their real paths, the first by address at the end."""
        places = []
        for address, chain in sorted(self._links, reverse=True):
            real = os.path.realpath(self.root / address)
            above = real.rstrip(os.sep) + os.sep
            if any(step == real or step.startswith(above) for step in chain):
                self.passed.append(address)
            else:
                places.append((address, (*chain, real)))
        return places

    def _folders(self, todo: list[Place]) -> None:
        """Append the files below the folders in `todo`, the last one first, without recursion."""
        while todo:
            folder, chain = todo.pop()
            if chain[-1] in self._met:
                self.passed.append(folder)
                continue
            self._met.add(chain[-1])
            try:
                with look(self.root / folder) as entries:
                    self._entries(entries, f"{folder}/" if folder else "", chain, todo)
            except OSError as err:
                self.faults[folder] = ("unreadable folder", err.strerror or str(err))

    def _entries(
        self, entries: Iterator[os.DirEntry[str]], prefix: str, chain: tuple[str, ...], todo: list[Place]
    ) -> None:
        """Append the files of one folder; its folders go to `todo`, linked ones wait.

        This loop is the slowest part of listing a large release: it calls nothing it need not.
        """
        paths, sizes, suffixes = self.paths, self.sizes, self.suffixes
        for entry in entries:
            name = entry.name
            suffix = name[name.rfind(".") :].lower()
            if not (name.isascii() or readable(name)):
                self.faults[prefix + ascii(name)] = ("unreadable name", "not UTF-8")
                continue
            if suffix in suffixes and name[0] != ".":
                size = file_size(entry)
                if size is not None or not is_folder(entry):
                    paths.append(prefix + name)
                    sizes.append(size)
                    continue
            if is_junk(name):
                continue
            if is_folder(entry):
                if entry.is_symlink():
                    self._links.append((prefix + name, chain))
                else:
                    todo.append((prefix + name, (*chain, chain[-1].rstrip(os.sep) + os.sep + name)))
            elif suffix == ".zip":
                self._archive(prefix + name)

    def _archive(self, path: str) -> None:
        try:
            found = members(self.root / path)
        except (OSError, ValueError) as err:
            dangling = isinstance(err, FileNotFoundError) and (self.root / path).is_symlink()
            said = err.strerror if isinstance(err, OSError) and err.strerror else str(err)
            self.faults[path] = ("unreadable archive", "dangling link" if dangling else said)
            return
        for name, size in found:
            address = f"{path}!{name}"
            if not name.lower().endswith(tuple(self.suffixes)):
                continue
            if _UNSAFE.search(address):
                self.faults[address] = ("unsafe path", "archive member outside the archive")
            else:
                self.paths.append(address)
                self.sizes.append(size)


def file_size(entry: os.DirEntry[str]) -> int | None:
    """Return the bytes of a regular file, links followed; None where it is none, or leads nowhere."""
    try:
        found = entry.stat()
    except OSError:
        return None  # a dangling or circular link
    return found.st_size if stat.S_ISREG(found.st_mode) else None


@contextmanager
def look(folder: Path) -> Iterator[Iterator[os.DirEntry[str]]]:
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


def readable(name: str) -> bool:
    """Say whether a file name is proper text: bytes that are no UTF-8 come as lone surrogates."""
    return name.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in name)


def is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False
