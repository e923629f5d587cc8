"""Finds a picture that an edition names in the user's own releases: where it should lie, or wherever it does.

It stands at the end of the way back. A picture counts as found only where the sha256 of its file is the one that the
edition's rows tell.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from ferbuild.builders import pool
from ferbuild.builders.config import Release
from ferbuild.builders.errors import FerError
from ferbuild.builders.images import PictureError
from ferbuild.builders.record import Row
from ferbuild.builders.sources import Tree, pixel_rows, recognise
from ferbuild.builders.sources.tree import read_picture

LOT = 500
"""Files that a worker hashes at a time."""
MISSING = "missing"
OTHER = "another file"
NOWHERE = "no such release"
UNREADABLE = (OSError, KeyError, ValueError)
"""What `read_picture` raises for an address that it cannot read."""


class Spot(NamedTuple):
    """Where a picture lies: a folder, and the address in it."""

    base: Path
    address: str


class Places(NamedTuple):
    """Where to look for pictures; cheap to send to another process."""

    bases: Mapping[str, Sequence[Path]]
    """Source to the folders that its addresses may be relative to."""
    elsewhere: Mapping[str, Spot] = {}
    """sha256 of a file to where it was found."""


def bases_of(releases: Iterable[Release]) -> dict[str, list[Path]]:
    """Return, for every source, the folders in which one of its layouts is recognised, and the release's own root."""
    found = {}
    for release in releases:
        layouts = [base for _, base in recognise(release.source, release.root)]
        found[release.source.name] = list(dict.fromkeys([*layouts, release.root]))
    return found


def file_of(face: Row, places: Places) -> bytes:
    """Return the file of a picture, a row of the provenance. Raises PictureError: MISSING, OTHER or NOWHERE."""
    bases = places.bases.get(face["source"])
    if bases is None:
        raise PictureError(NOWHERE, f"{face['source']} is not among the sources of fer-build.yaml")
    spots = [Spot(base, face["rel_path"]) for base in bases]
    if there := places.elsewhere.get(face["sha256"]):
        spots.append(there)
    reason = MISSING
    for spot in spots:
        try:
            data = read_picture(*spot)
        except UNREADABLE:
            continue
        if hashlib.sha256(data).hexdigest() == face["sha256"]:
            return data
        reason = OTHER
    raise PictureError(reason)


def search(roots: Sequence[Path], wanted: frozenset[str], *, workers: int) -> dict[str, Spot]:
    """Return where files with these sha256 lie below `roots`, whatever they are called; all files are read.

    Members of archives and rows of pixel tables count as files.
    """
    lots = [Lot(root, addresses[at : at + LOT]) for root in roots if (addresses := _addresses(root))
            for at in range(0, len(addresses), LOT)]  # fmt: skip
    found: dict[str, Spot] = {}
    for hits in pool.each(partial(_matching, wanted=wanted), lots, workers=workers, stage="rehydrate"):
        for sha256, spot in hits:
            found[sha256] = min(spot, found.get(sha256, spot))
    return found


class Lot(NamedTuple):
    """Some pictures of one release."""

    root: Path
    addresses: Sequence[str]


def _addresses(root: Path) -> list[str]:
    tree = Tree(root)
    found: list[str] = tree.files()["rel_path"].to_list()
    for table in tree.files(suffixes=(".csv",))["rel_path"].to_list():
        try:
            rows = pixel_rows.columns(root / table)["row"].to_list()
        except (FerError, OSError):  # a table of something else
            continue
        found += [f"{table}#{row}" for row in rows]
    return found


def _matching(lot: Lot, *, wanted: frozenset[str]) -> list[tuple[str, Spot]]:
    found = []
    for address in lot.addresses:
        try:
            sha256 = hashlib.sha256(read_picture(lot.root, address)).hexdigest()
        except UNREADABLE:
            continue
        if sha256 in wanted:
            found.append((sha256, Spot(lot.root, address)))
    return found
