"""RAF-DB's own files on who is on its pictures: gender, race and age group, as its makers judged them by looking.

Read for gaps between groups alone, beside the way of a face: no attribute enters a dataset. The form is that of the
release's readme (version 1.1): `Annotation/manual.zip` holds `<name>_manu_attri.txt`, five lines of landmarks, then a
line each of gender, race and age.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from ferbuild.builders.config import Release
from ferbuild.builders.errors import FerError
from ferbuild.builders.sources import read_picture
from ferbuild.builders.sources.tree import Tree

SET = "rafdb"
"""The benchmark set whose release has these files."""
UNSURE = "unsure"
"""A group of gender for those whom the release's makers could not tell: no group of people, and not compared."""
ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "gender": ("male", "female", UNSURE),
    "race": ("Caucasian", "African-American", "Asian"),
    "age": ("0-3", "4-19", "20-39", "40-69", "70+"),
}
"""Attribute to the release's own words, by the number that stands for each; years of age."""
LANDMARKS = 5
MAX_BYTES = 4096
"""A file with more is none of these."""

_FILE = re.compile(r"(?:^|[/\\!])(train_\d{5}|test_\d{4})_manu_attri\.txt$")
_NAME = re.compile(r"(?:^|[/!])(train_\d{5}|test_\d{4})(?:_aligned)?\.\w+$")

Person = Mapping[str, str]
"""Attribute to group."""


class Known(NamedTuple):
    """Who is on the pictures."""

    people: Mapping[str, Person]
    """Name of a picture without its ending, as in test_0001."""
    broken: int
    """Files that are there and cannot be read."""
    first_broken: str
    """The first of them and why; empty where there is none."""


def releases_of(releases: Iterable[Release]) -> list[Release]:
    """Return the user's releases of RAF-DB: those that are its benchmark set. FerError where there is none."""
    found = [one for one in releases if one.source.benchmark and one.source.benchmark.set == SET]
    if not found:
        hint = "name its folder under `sources:`, as in `rafdb: /path/to/RAF-DB`"
        raise FerError("fer-build.yaml", "no release of RAF-DB: only its own files tell who is on a picture", hint)
    return found


def read_attributes(release: Release) -> Known:
    """Read every attribute file below a release's folder, in its ZIP archives too; a broken file is counted.

    Of two files of one picture the first by address stands. FerError where there is none at all.
    """
    addresses: dict[str, str] = {}
    for address in Tree(release.root).files(suffixes=(".txt",))["rel_path"]:
        if found := _FILE.search(address):
            addresses.setdefault(found[1], address)
    if not addresses:
        problem = "no attribute files: `Annotation/manual/<name>_manu_attri.txt` is looked for, in ZIP archives too"
        hint = f"they come with the release, in Annotation/manual.zip; ask for it at {release.source.licence.ask}"
        raise FerError(release.root, problem, hint)
    people, faults = dict[str, Person](), list[str]()
    for name, address in addresses.items():
        try:
            people[name] = parse(_content(release.root, address))
        except (OSError, KeyError, ValueError) as err:
            faults.append(f"{address}: {getattr(err, 'strerror', None) or err}")
    return Known(people, len(faults), faults[0] if faults else "")


def _content(root: Path, address: str) -> str:
    """Return the text behind an address; ValueError where there is too much of it."""
    data = read_picture(root, address)
    if len(data) > MAX_BYTES:
        raise ValueError(f"{len(data)} bytes, more than {MAX_BYTES}")
    return data.decode("utf-8-sig", "replace")


def parse(text: str) -> Person:
    """Return what a file says; ValueError where it has another form, or a number that stands for nothing."""
    lines = [line.split() for line in text.splitlines() if line.strip()]
    if len(lines) != LANDMARKS + len(ATTRIBUTES):
        raise ValueError(f"{len(lines)} lines, not {LANDMARKS + len(ATTRIBUTES)}")
    if any(len(line) != 2 for line in lines[:LANDMARKS]):
        raise ValueError("five lines of x and y are to come first")
    return {name: _group(name, line) for name, line in zip(ATTRIBUTES, lines[LANDMARKS:], strict=True)}


def _group(attribute: str, line: list[str]) -> str:
    groups = ATTRIBUTES[attribute]
    known = {str(at): group for at, group in enumerate(groups)}
    if len(line) != 1 or line[0] not in known:
        raise ValueError(f"{attribute} is no number from 0 to {len(groups) - 1}")
    return known[line[0]]


def name_of(path: str) -> str | None:
    """Return the name by which a picture's attributes are kept, of its path in the release or the benchmark."""
    found = _NAME.search(path.replace("\\", "/"))
    return found[1] if found else None
