"""Writes the demo's four raw releases: RAF-DB, FERPlus, AffectNet and SFEW as they lie on a user's disk.

The way of a face begins with these files where a user has no data. The training splits hold decoys whose
fate `EXPECTED` states; the benchmark splits are clean.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import yaml

from ferbuild.builders.errors import FerError
from ferbuild.demo.layouts import WRITERS, Studio, put
from ferbuild.demo.portraits import load_all
from ferbuild.manifests.load import read_yaml

ABOUT = "fer-build demo: two portraits with warped expressions, made up to try the tool; nobody felt or posed these"
RELEASE = {"synthetic": True, "licence": "public domain portraits (NASA; US Navy), warped", "about": ABOUT}
MARK = "RELEASE.yaml"
BASES = ("", "rafdb/basic", "ferplus", "affectnet/Manually_Annotated", "sfew")
"""Where it lies: at the top, to know a demo by, and in the folder that each reader takes for the release."""


class Fate(NamedTuple):
    """What becomes of a split's rows: how many are listed, and who is dropped for which reason, stage by stage."""

    listed: int
    listing_drops: dict[str, int]
    faces_drops: dict[str, int]
    faceless: int = 0
    """Kept rows whose picture holds no face, which only measuring finds out."""

    @property
    def kept(self) -> int:
        """Rows that the faces stage keeps."""
        return self.listed - sum(self.faces_drops.values())


EXPECTED: dict[str, dict[str, Fate]] = {
    "rafdb": {
        "train": Fate(17, {"duplicate row": 1}, {"truncated": 1, "missing picture": 1}, faceless=1),
        "test": Fate(7, {}, {}),
    },
    "ferplus": {
        "train": Fate(11, {"no face name": 1, "malformed row": 1}, {"missing picture": 1}, faceless=1),
        "validation": Fate(3, {}, {}),
        "test": Fate(8, {}, {}),
    },
    "affectnet": {
        "train": Fate(
            10,
            {
                "label none": 1,
                "label uncertain": 1,
                "label no face": 1,
                "bad box": 1,
                "duplicate row": 1,
                "malformed row": 1,
            },
            {"unreadable": 1, "missing picture": 1},
        ),
        "validation": Fate(8, {}, {}),
    },
    "sfew": {
        "train": Fate(9, {}, {"truncated": 1}, faceless=1),
        "validation": Fate(7, {}, {}),
    },
}
"""Source to split to fate, for every seed; `faceless` is for seed 0, another may hide a face from the detector."""


def build(out: Path, *, seed: int = 0) -> dict[str, Path]:
    """Write the four releases below `out` and return source name to root; the same seed gives the same bytes.

    An earlier demo at `out` is replaced. FerError where `out` holds anything else.
    """
    part, old = (out.with_name(out.name + ending) for ending in (".part", ".old"))
    for folder in (out, part, old):
        _refuse_foreign(folder)
    studio = Studio(load_all(), seed)
    try:
        shutil.rmtree(part, ignore_errors=True)
        _write_all(part, studio)
        shutil.rmtree(old, ignore_errors=True)
        if out.exists():
            out.rename(old)
        part.rename(out)
    except OSError as err:
        hint = "free some space, or name another folder"
        raise FerError(out, f"cannot be written: {err.strerror or err}", hint) from None
    shutil.rmtree(old, ignore_errors=True)
    return {name: out / name for name in WRITERS}


def _write_all(part: Path, studio: Studio) -> None:
    for base in BASES:
        put(part / base / MARK, yaml.safe_dump(RELEASE, sort_keys=False))
    for name, write in WRITERS.items():
        write(part / name, studio)


def _refuse_foreign(folder: Path) -> None:
    """Raise FerError where `folder` is there and is neither empty nor a demo."""
    if not folder.exists():
        return
    empty = folder.is_dir() and not any(folder.iterdir())
    mark = folder / MARK
    if not empty and not (mark.is_file() and read_yaml(mark).get("about") == ABOUT):
        raise FerError(folder, "is there already and is no demo", "name another folder, or move it away")
