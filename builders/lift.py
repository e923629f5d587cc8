"""How well rationales are grounded: claims judged, supported and contradicted, and the lift over another face.

Stands behind `cot` on the way of a face: it reads finished datasets and builds none. Support is the share of the
judged claims that the measurements bear out. The lift is the share of all claims that they bear out on a rationale's
own face, less the share on another face with the same label: what fits any face of a label lifts nothing. The other
face is one whose own rationale was kept too: what is kept shows its label more strongly than what is dropped, and on
the dropped ones even a text that fits every kept face would be borne out less.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from ferbuild.builders import shards
from ferbuild.builders.columns import own_copy
from ferbuild.builders.errors import FerError
from ferbuild.builders.intervals import TWO_SIDED
from ferbuild.builders.stage import PART_ROWS
from ferbuild.filters.claims import is_english

COLUMNS = (
    "teacher", "baseline", "canonical", "claims", "supported", "contradicted", "not_judged",
    "id", "supported_elsewhere", "contradicted_elsewhere", "elsewhere", "evidence", "hinted",
)  # fmt: skip


WHOSE = ("teacher", "evidence")
"""Whose rationales are told apart."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts over some rationales; shares are None where nothing was judged."""

    rationales: int
    claims: int
    supported: int
    contradicted: int
    not_judged: int
    support: float | None
    """Supported of judged, 0..1."""
    tried: int
    """Rationales that the lift is over: those that were tried on another face with their label that is kept as well."""
    borne_out: float | None
    """Supported of all claims, 0..1, over the rationales that were tried."""
    elsewhere: float | None
    """The same claims on the other face."""
    lift: float | None
    """`borne_out` less `elsewhere`, -1..1."""
    error: float | None
    """Half of the 95 % interval of the lift; None where fewer than two rationales were tried."""


@dataclass(frozen=True, slots=True)
class Grounding:
    """What the rationales of one teacher in one dataset are worth."""

    dataset: Path
    teacher: str
    circular: bool
    """It says what was measured, as the baseline does and whoever was given it as evidence: its claims agree with the
    measurements by construction."""
    total: Tally
    labels: Mapping[str, Tally]
    units: Mapping[str, Mapping[str, int]]
    """Unit to verdict to claims that name it."""
    why: Mapping[str, int]
    """Why claims were not judged."""
    other_language: int
    """Rationales that are not in English, in which no claim can be read."""


class _Claims:
    """Counts of single claims, which are too many to be held at the same time."""

    def __init__(self) -> None:
        self.units: Counter[tuple[str, str]] = Counter()
        """By unit and verdict."""
        self.why: Counter[str] = Counter()
        """Of the claims that were not judged."""

    def add(self, rows: pl.DataFrame) -> None:
        claims = rows.select("claims").explode("claims").drop_nulls().unnest("claims")
        units = claims.select("units", "verdict").explode("units").drop_nulls().group_by("units", "verdict").len()
        why = claims.filter(pl.col("verdict") == "not judged").group_by("why").len()
        self.units.update({(unit, verdict): count for unit, verdict, count in units.iter_rows()})
        self.why.update(dict(why.iter_rows()))

    def by_unit(self) -> dict[str, dict[str, int]]:
        """Return the counts of each unit by verdict, in the order of the units' numbers."""
        found: dict[str, dict[str, int]] = {}
        for unit, verdict in sorted(self.units, key=lambda key: (int(key[0].removeprefix("AU")), key[1])):
            found.setdefault(unit, {})[verdict] = self.units[unit, verdict]
        return found

    def by_reason(self) -> dict[str, int]:
        """Return the counts of each reason, the most frequent first."""
        return dict(sorted(self.why.items(), key=lambda item: (item[1], item[0]), reverse=True))


def report(folders: Sequence[Path]) -> list[Grounding]:
    """Return the grounding of every teacher of every cot dataset; FerError where one holds no checked claims.

    What was written with the measurements as evidence is told apart; what was written with the label as a hint is
    left out.
    """
    found = []
    for folder in folders:
        rows, claims = _read(folder)
        for (teacher, evidence), some in rows.group_by(*WHOSE, maintain_order=True):
            found.append(_of_teacher(folder, some, claims[str(teacher), bool(evidence)]))
    return found


def _read(folder: Path) -> tuple[pl.DataFrame, dict[tuple[str, bool], _Claims]]:
    """Return the rows without a hint, less their claims, and the counts of the claims of each of WHOSE."""
    pieces, claims = list[pl.DataFrame](), defaultdict[tuple[str, bool], _Claims](_Claims)
    for table in shards.read_slices(shards.slices(folder, PART_ROWS)):
        if missing := [name for name in (*COLUMNS, "completion") if name not in table.schema.names]:
            raise FerError(folder, f"has no column {missing[0]!r}", "name a dataset that this version's cot built")
        if table["claims"].null_count:
            raise FerError(folder, "its claims were not checked", "set `claims: {check: true}` in the recipe")
        table = table.select([*COLUMNS, "completion"])  # no picture is read
        blind = table.filter(pc.invert(table["hinted"])) if pc.any(table["hinted"]).as_py() else table
        for (teacher, evidence), some in _frame(blind.select([*WHOSE, "claims"])).group_by(*WHOSE):
            claims[str(teacher), bool(evidence)].add(some)
        counts = blind.select([name for name in COLUMNS if name != "claims"])
        pieces.append(_frame(own_copy(counts.append_column("english", _english(blind)), 0, blind.num_rows)))
    if not pieces:
        raise FerError(folder, "holds no rationale", "run `fer-build cot`, and see its drops")
    return pl.concat(pieces), claims


def _frame(table: pa.Table) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(table))


def _english(table: pa.Table) -> pa.Array:
    return pa.array([is_english(messages[0]["content"]) for messages in table["completion"].to_pylist()])


def _of_teacher(folder: Path, rows: pl.DataFrame, claims: _Claims) -> Grounding:
    return Grounding(
        dataset=folder,
        teacher=rows["teacher"][0] + (" with evidence" if rows["evidence"][0] else ""),
        circular=bool(rows["baseline"][0] or rows["evidence"][0]),
        total=tally(rows),
        labels={label: tally(rows.filter(pl.col("canonical") == label)) for label in sorted(set(rows["canonical"]))},
        units=claims.by_unit(),
        why=claims.by_reason(),
        other_language=int((~rows["english"]).sum()),
    )


def tally(rows: pl.DataFrame) -> Tally:
    """Count the claims of some rows of COT, of one teacher and with all rows of their labels.

    The faces that rationales are tried on have the rationales' label, so that their own rows are here where they were
    kept; one whose row is not here was dropped, and what was tried on it does not count for the lift.
    """
    names = ("supported", "contradicted", "not_judged")
    supported, contradicted, not_judged = (int(rows[name].sum()) for name in names)
    tried = rows.filter(pl.col("elsewhere").is_in(rows["id"].implode()))
    claims = tried["supported"] + tried["contradicted"] + tried["not_judged"]
    own, other = _ratio(tried["supported"], claims), _ratio(tried["supported_elsewhere"], claims)
    lift, error = _difference(own, other)
    judged = supported + contradicted
    return Tally(
        rationales=rows.height,
        claims=judged + not_judged,
        supported=supported,
        contradicted=contradicted,
        not_judged=not_judged,
        support=supported / judged if judged else None,
        tried=tried.height,
        borne_out=own[0] if own else None,
        elsewhere=other[0] if other else None,
        lift=lift,
        error=error,
    )


def _ratio(part: pl.Series, whole: pl.Series) -> tuple[float, pl.Series] | None:
    """Return a ratio of sums and how much each row moves it (the linearised estimator of survey sampling)."""
    total = float(whole.sum())
    if not total:
        return None
    share = float(part.sum()) / total
    return share, (part - share * whole) / total


def _difference(
    own: tuple[float, pl.Series] | None, other: tuple[float, pl.Series] | None
) -> tuple[float | None, float | None]:
    """Return the difference of two ratios over the same rows, and half of its 95 % interval; None of a single row."""
    if own is None or other is None:
        return None, None
    moved = own[1] - other[1]
    rows = len(moved)
    error = TWO_SIDED * math.sqrt(float((moved * moved).sum()) * rows / (rows - 1)) if rows > 1 else None
    return own[0] - other[0], error


def as_json(one: Grounding) -> dict[str, Any]:
    return {
        "dataset": str(one.dataset),
        "teacher": one.teacher,
        "circular": one.circular,
        "total": tally_json(one.total),
        "labels": {label: tally_json(found) for label, found in one.labels.items()},
        "units": {unit: dict(verdicts) for unit, verdicts in one.units.items()},
        "why": dict(one.why),
        "other_language": one.other_language,
    }


def tally_json(found: Tally) -> dict[str, Any]:
    names = Tally.__dataclass_fields__
    values = ((name, getattr(found, name)) for name in names)
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in values}
