"""Whether a dataset folder keeps the promises: every check that it can be held to, and what each found.

Own datasets, editions and downloaded copies are looked at alike. Where the shards themselves are missing or cut nothing
else is asked of the rows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ferbuild.builders.config import Settings
from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.builders.publishing.checks import answers, files, pictures, provenance, rows, terms
from ferbuild.builders.publishing.checks.folder import Folder, Outcome, Surroundings, open_folder
from ferbuild.builders.publishing.edition import FOLDER
from ferbuild.manifests import load

Check = Callable[[Folder], Outcome]

CHECKS: Mapping[str, Check] = {
    "sums": files.check_sums,
    "layout": files.check_layout,
    "schema": rows.check_schema,
    "columns": rows.check_columns,
    "features": files.check_metadata,
    "card": files.check_card,
    "croissant": files.check_croissant,
    "counts": rows.check_counts,
    "ids": rows.check_ids,
    "provenance": provenance.check_provenance,
    "words": provenance.check_words,
    "texts": files.check_places,
    "answers": answers.check_answers,
    "licences": terms.check_licences,
    "contamination": terms.check_contamination,
    "closed pictures": pictures.check_closed_pictures,
    "pixels": pictures.check_pixels,
}
"""Every check by its name, the cheap ones first."""
FIRST = ("layout", "schema")
"""Checks without which no row can be read: where one fails, those that read rows are left out."""
OF_FILES = frozenset({"sums", "layout", "schema", "texts"})
"""Checks that need no row."""


class Fault(NamedTuple):
    """One line of the list that ends a failed verification."""

    check: str
    where: str
    problem: str
    many: int
    first: str

    def as_json(self) -> dict[str, Any]:
        found = self._asdict()
        return found | {"count": found.pop("many")}


@dataclass(frozen=True, slots=True)
class Verified:
    """What came of all checks of one folder."""

    dataset: str
    path: Path
    rows: int
    outcomes: Mapping[str, Outcome]
    seconds: float

    @property
    def faults(self) -> list[Fault]:
        return [
            Fault(name, one.where, one.problem, one.many, one.first)
            for name, outcome in self.outcomes.items()
            for one in outcome.found
        ]

    def as_json(self) -> dict[str, Any]:
        checks = [
            {"check": name, "state": state(one)} | ({"note": one.note} if one.note else {})
            for name, one in self.outcomes.items()
        ]
        return {
            "stage": "verify",
            "dataset": self.dataset,
            "out": str(self.path),
            "rows": self.rows,
            "checks": checks,
            "faults": [fault.as_json() for fault in self.faults],
            "seconds": round(self.seconds, 3),
        }


def state(outcome: Outcome) -> str:
    """Return `failed`, `passed` or `left out`."""
    if outcome.found:
        return "failed"
    return "passed" if outcome.done else "left out"


def find(named: str, work: Path) -> Path:
    """Return the folder that is meant: a path, or a dataset of the work folder. FerError where there is neither."""
    path = Path(named)
    if path.is_dir() and (path.is_absolute() or "/" in named or not (work / named).is_dir()):
        return path
    if (work / named).is_dir() and path.name == named:
        return work / named
    known = [one.parent.name for one in work.glob("*/stage.json")]
    known += [f"{work / FOLDER / one.parent.name}" for one in work.glob(f"{FOLDER}/*/edition.json")]
    raise FerError(named, "is neither a dataset of the work folder nor a folder", did_you_mean(named, known))


def verify(path: Path, around: Surroundings, checks: Sequence[str] = tuple(CHECKS)) -> Verified:
    """Run the checks on a folder. FerError where it is no dataset folder at all."""
    began = time.monotonic()
    folder = open_folder(path, around)
    outcomes = dict[str, Outcome]()
    for name in (*FIRST, *(name for name in checks if name not in FIRST)):
        unreadable = [first for first in FIRST if first in outcomes and outcomes[first].found]
        if unreadable and name not in OF_FILES:
            outcomes[name] = Outcome(done=False, note=f"not asked, since {unreadable[0]} failed")
        elif not (unreadable and name in FIRST):
            outcomes[name] = CHECKS[name](folder)
    rows = 0 if outcomes[FIRST[0]].found else folder.rows
    ordered = {name: outcomes[name] for name in CHECKS if name in outcomes}
    return Verified(path.name, path, rows, ordered, time.monotonic() - began)


def surroundings(
    settings: Settings | None, *, workers: int, tick: Callable[[str, int, int], None] | None
) -> Surroundings:
    """Return what this machine knows: shipped manifests; with settings, the user's own, the recipe and work folder."""
    sources = {name: load.load_source(name) for name in load.names("sources")}
    if settings is None:
        return Surroundings(sources, workers=workers, tick=tick)
    return Surroundings(
        sources | {release.source.name: release.source for release in settings.releases},
        settings.work if settings.work.is_dir() else None,
        settings.recipe.picture,
        settings.recipe.duplicates.contaminated == "keep",
        workers,
        tick,
    )
