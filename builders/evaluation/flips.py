"""Whether an answer hangs on looks: how often it flips when only the looks change, and how often it is right.

Stands behind `fairness`, beside the way of a face. Every change has three pictures a face, and so has the control, of
which only lamp, background and noise change: what flips there flips by chance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from ferbuild.builders import shards
from ferbuild.builders.evaluation import gaps
from ferbuild.builders.evaluation.gaps import Compared, Rows
from ferbuild.builders.evaluation.looks import ALL, AS_DRAWN, ASPECTS, CONTROL, LAMPS
from ferbuild.builders.faithfulness import Share
from ferbuild.builders.intervals import TWO_SIDED
from ferbuild.filters.official import UNKNOWN

COLUMNS = ("face", "change", "level", *ASPECTS, "label", "answer", "right", "teacher", "model", "baseline", "sampling")
CHANGES: Mapping[str, tuple[str, ...]] = {**ASPECTS, ALL: LAMPS}
"""Change to its levels; the first is the control. What `all` changes is another at each of its levels."""

Row = Mapping[str, Any]


class Beyond(NamedTuple):
    """How many more faces flip than in the control, as a share of the faces with both: -1..1, with a 95 % interval."""

    value: float
    low: float
    high: float


class Changed(NamedTuple):
    """What one change does to the answers."""

    flipped: Share
    """Faces whose three pictures do not all get one answer; no answer counts as one."""
    left_out: int
    """Faces of which a picture has no reply."""
    beyond: Beyond | None
    """None of the control itself, and where no face has both."""
    silent: Mapping[str, Share]
    """Level to the pictures without an answer."""
    levels: Compared
    """Shares of right answers, and their gap; the faces are the same at all levels."""


@dataclass(frozen=True, slots=True)
class Flips:
    """What changed looks do to one model."""

    teacher: str
    model: str
    baseline: bool
    sampling: str
    faces: int
    changes: Mapping[str, Changed]


def report(folder: Path, *, seed: int) -> Flips | None:
    """Return the figures of a finished dataset; None where no reply came."""
    files = [path for paths in shards.split_files(folder).values() for path in paths]
    rows = [row for path in files for row in shards.read_stream(path).select(list(COLUMNS)).to_pylist()]
    return tally(rows, seed=seed) if rows else None


def tally(rows: Sequence[Row], *, seed: int) -> Flips:
    """Count the rows of the fairness dataset."""
    first, faces = rows[0], {row["face"] for row in rows}
    shown = {change: _whole(rows, change) for change in CHANGES}
    return Flips(
        teacher=first["teacher"],
        model=first["model"],
        baseline=first["baseline"],
        sampling=first["sampling"],
        faces=len(faces),
        changes={change: _changed(change, some, len(faces), shown[CONTROL], seed) for change, some in shown.items()},
    )


def _whole(rows: Sequence[Row], change: str) -> dict[str, dict[str, Row]]:
    """Return face to level to row, of the faces of which all three pictures are there."""
    found: dict[str, dict[str, Row]] = {}
    for row in rows:
        if row["change"] in (change, AS_DRAWN):
            found.setdefault(row["face"], {})[row["level"] if change == ALL else row[change]] = row
    return {face: levels for face, levels in sorted(found.items()) if len(levels) == len(CHANGES[change])}


def _flips(levels: Mapping[str, Row]) -> bool:
    return len({row["answer"] for row in levels.values()}) > 1


def _changed(
    change: str, shown: Mapping[str, Mapping[str, Row]], faces: int, control: Mapping[str, Mapping[str, Row]], seed: int
) -> Changed:
    flipped = [_flips(levels) for levels in shown.values()]
    pairs = [(_flips(shown[face]), _flips(control[face])) for face in shown if face in control]
    every = [(level, row) for levels in shown.values() for level, row in levels.items()]
    columns = Rows(
        groups=[level for level, _ in every],
        labels=[row["label"] for _, row in every],
        right=[row["right"] for _, row in every],
        clusters=[row["face"] for _, row in every],
    )
    silent = {
        name: Share(sum(level == name and row["answer"] == UNKNOWN for level, row in every), len(shown))
        for name in CHANGES[change]
    }
    return Changed(
        flipped=Share(sum(flipped), len(flipped)),
        left_out=faces - len(shown),
        beyond=_beyond(pairs) if pairs and change != CONTROL else None,
        silent=silent,
        levels=gaps.compare(columns, CHANGES[change], least=1, seed=seed),
    )


def _beyond(pairs: Sequence[tuple[bool, bool]]) -> Beyond:
    """Return how much more flips than in the control.

    The interval is Agresti and Min's for paired shares (2005, half a face more in each of the four cells): where all
    faces flip, or none, it still has a width.
    """
    more, less = (sum(pair == kind for pair in pairs) for kind in ((True, False), (False, True)))
    faces = len(pairs) + 2
    middle = (more - less) / faces
    reach = TWO_SIDED * max(more + less + 1 - faces * middle**2, 0) ** 0.5 / faces
    return Beyond((more - less) / len(pairs), max(middle - reach, -1.0), min(middle + reach, 1.0))


def as_json(found: Flips) -> dict[str, Any]:
    """Return the figures with their counts; shares and limits of the intervals to four places."""
    about = {name: getattr(found, name) for name in ("teacher", "model", "baseline", "sampling", "faces")}
    return about | {"changes": {change: dict(_json(one)) for change, one in found.changes.items()}}


def _json(one: Changed) -> Iterator[tuple[str, Any]]:
    yield "flipped", _share(one.flipped)
    yield "left out", one.left_out
    yield "beyond the control", {k: round(v, 4) for k, v in one.beyond._asdict().items()} if one.beyond else None
    yield "no answer", {level: _share(share) for level, share in one.silent.items()}
    yield "accuracy", {name: value for name, value in gaps.as_json(one.levels).items() if name in ("groups", "gap")}


def _share(found: Share) -> dict[str, Any]:
    low, high = found.interval or (None, None)
    numbers = {"share": found.value, "low": low, "high": high}
    rounded = {name: None if value is None else round(value, 4) for name, value in numbers.items()}
    return {"count": found.part, "of": found.whole} | rounded
