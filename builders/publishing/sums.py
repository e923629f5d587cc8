"""SHA256SUMS of a folder that leaves the machine: written last of all its files, and read again by whoever gets it.

The form is that of GNU coreutils: `sha256sum -c SHA256SUMS` in the folder says the same as `fer-build verify`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ferbuild.builders.errors import FerError
from ferbuild.builders.files import file_sha256, write_text

FILE = "SHA256SUMS"
BROUGHT = frozenset({".cache", ".gitattributes", ".git", ".huggingface"})
"""What the Hub and its client put beside the files of a repository; it is no part of the edition."""
_LINE = re.compile(r"([0-9a-f]{64}) [ *](\S.*)")


def write(folder: Path) -> None:
    """Write the sums of every other file of `folder`, sorted by name. FerError where a file cannot be read."""
    names = sorted(name for name in files(folder) if name != FILE)
    for name in names:
        if "\n" in name or "\\" in name:
            raise FerError(folder / name, "has a name that SHA256SUMS cannot hold", "rename it")
    write_text(folder / FILE, "".join(f"{file_sha256(folder / name)}  {name}\n" for name in names))


def read(folder: Path) -> dict[str, str]:
    """Return file name to sha256 (64 hex digits) as SHA256SUMS lists them; FerError where it is missing or damaged."""
    path = folder / FILE
    try:
        lines = path.read_text().splitlines()
    except (OSError, ValueError) as err:
        raise FerError(path, "cannot be read", getattr(err, "strerror", None) or str(err)) from None
    found = {}
    for at, line in enumerate(lines, 1):
        said = _LINE.fullmatch(line)
        if said is None or said[2] in found:
            raise FerError(f"{path}:{at}", "is no line of a list of sums, or its file is listed twice", _AGAIN)
        found[said[2]] = said[1]
    return found


def files(folder: Path) -> Iterator[str]:
    """Yield the name of every file of an edition, seen from its folder, with `/` between folders; any order."""
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if name.parts[0] not in BROUGHT and path.is_file():
            yield name.as_posix()


_AGAIN = "download the folder again"
