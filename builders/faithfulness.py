"""Whether a model's reasoning follows the picture: two replies to pictures that differ in one action unit, compared.

Stands behind `counterfactual`, beside the way of a face: it looks at claims and answers, never at a picture. What a
rationale says of the unit should change, what it says of other units should not, and the answer only where the unit
decides it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from ferbuild.builders import shards
from ferbuild.builders.intervals import wilson
from ferbuild.filters.claims import Claim
from ferbuild.manifests.load import load_units

COLUMNS = (
    "unit", "decides", "open", "named", "invented", "spilled", "changed", "faithful", "claims_without", "claims_with",
    "teacher", "model", "baseline", "sampling",
)  # fmt: skip


class Said(NamedTuple):
    """What a model said of one picture of a pair."""

    answer: str
    claims: Sequence[Claim]


class Scored(NamedTuple):
    """How two replies to a pair compare."""

    named: bool
    """The unit is claimed of the picture that shows it."""
    invented: bool
    """The unit is claimed of the picture that lacks it."""
    spilled: tuple[str, ...]
    """What is said of other units on one picture only, as in "AU4" or "no AU4.left"; sorted."""
    changed: bool
    """The answers differ."""
    faithful: bool


class Share(NamedTuple):
    """So many of so many."""

    part: int
    whole: int

    @property
    def value(self) -> float | None:
        """0..1; None of nothing."""
        return self.part / self.whole if self.whole else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both ends of the 95 % interval; None of nothing."""
        return wilson(self.part / self.whole, self.whole) if self.whole else None


@dataclass(frozen=True, slots=True)
class Tally:
    """Figures over some pairs."""

    named: Share
    invented: Share
    spill: Share
    """Pairs in which something said of other units differs."""
    changed_deciding: Share
    """Answers that change, of the pairs in which the unit decides the label."""
    changed_settled: Share
    """Answers that change, of the pairs in which one label clearly fits both pictures. The rest is open."""
    faithful: Share
    true_claims: Share
    """Of all claims, those that the known units bear out."""
    dropped: int = 0
    """Pairs left out, since one of the two replies cannot be used."""

    @property
    def pairs(self) -> int:
        return self.named.whole


@dataclass(frozen=True, slots=True)
class Faithfulness:
    """What the pairs say of one model."""

    teacher: str
    model: str
    baseline: bool
    sampling: str
    total: Tally
    units: Mapping[str, Tally]


def score(unit: str, without: Said, with_unit: Said, *, shown: Set[str], moved: Set[str], settled: bool) -> Scored:
    """Compare what is said of a face without `unit` and of the same face with it.

    `shown` are the units that the face without it shows; `moved` are other units that cannot but move with it, such
    as the lips that part where the jaw drops: what is said of them may change too. `settled` where one label clearly
    fits both pictures, so that the answer has to stay.
    """
    named = any(_claims(claim, unit, shown) for claim in with_unit.claims)
    invented = any(_claims(claim, unit, shown) for claim in without.claims)
    free = {unit, *moved}
    spilled = tuple(sorted(_said(without.claims, free) ^ _said(with_unit.claims, free)))
    changed = without.answer != with_unit.answer
    faithful = named and not invented and not spilled and not (changed and settled)
    return Scored(named, invented, spilled, changed, faithful)


def nearest(found: Sequence[Scored]) -> int:
    """Return which of some comparisons of a pair stands for it: the nearest to what most show; of equals the first."""
    flags = [(one.named, one.invented, bool(one.spilled), one.changed, one.faithful) for one in found]
    most = [2 * sum(column) > len(column) for column in zip(*flags, strict=True)]
    return min(range(len(flags)), key=lambda at: sum(a != b for a, b in zip(flags[at], most, strict=True)))


def _claims(claim: Claim, unit: str, shown: Set[str]) -> bool:
    """Tell whether a claim affirms the unit. "The brows are raised" is no word about the inner ends where the outer
    ones are up on both pictures: it was true before.
    """
    if claim.negated or unit not in claim.units:
        return False
    return claim.need == "all" or not (set(claim.units) - {unit}) & shown


def _said(claims: Iterable[Claim], free: Set[str]) -> set[str]:
    """Return what is said of units that have to stay as they are.

    A claim that any of several units would bear out says nothing of the others where one of them is free to change.
    """
    found = set()
    for claim in claims:
        if claim.need == "any" and free & set(claim.units):
            continue
        side = f".{claim.side}" if claim.side not in ("", "both") else ""
        found |= {f"{'no ' if claim.negated else ''}{unit}{side}" for unit in claim.units if unit not in free}
    return found


def report(folder: Path) -> Faithfulness | None:
    """Return the figures of a finished dataset; None where no pair was kept."""
    rows = _read(folder)
    if not rows:
        return None
    dropped = Counter(name.partition("-")[0] for table in shards.read_drops(folder) for name in table["id"].to_pylist())
    found = {row["unit"] for row in rows} | set(dropped)
    by_unit = {unit: [row for row in rows if row["unit"] == unit] for unit in load_units().units if unit in found}
    first = rows[0]
    return Faithfulness(
        teacher=first["teacher"],
        model=first["model"],
        baseline=first["baseline"],
        sampling=first["sampling"],
        total=tally(rows, dropped.total()),
        units={unit: tally(some, dropped[unit]) for unit, some in by_unit.items()},
    )


def tally(rows: Sequence[Mapping[str, Any]], dropped: int = 0) -> Tally:
    """Count some rows of the counterfactual dataset."""
    deciding = [row["changed"] for row in rows if row["decides"]]
    settled = [row["changed"] for row in rows if not (row["decides"] or row["open"])]
    verdicts = [claim["verdict"] for row in rows for claim in (*row["claims_without"], *row["claims_with"])]
    return Tally(
        named=_share(row["named"] for row in rows),
        invented=_share(row["invented"] for row in rows),
        spill=_share(bool(row["spilled"]) for row in rows),
        changed_deciding=_share(deciding),
        changed_settled=_share(settled),
        faithful=_share(row["faithful"] for row in rows),
        true_claims=_share(verdict == "supported" for verdict in verdicts if verdict != "not judged"),
        dropped=dropped,
    )


def as_json(found: Faithfulness) -> dict[str, Any]:
    """Return the figures with their counts; shares and limits of the intervals 0..1, to four places."""
    about = {name: getattr(found, name) for name in ("teacher", "model", "baseline", "sampling")}
    units = {unit: _tally_json(one) for unit, one in found.units.items()}
    return about | {"total": _tally_json(found.total), "units": units}


def _tally_json(found: Tally) -> dict[str, Any]:
    shares = {one.name: getattr(found, one.name) for one in fields(found) if one.name != "dropped"}
    return {"pairs": found.pairs, "dropped": found.dropped} | {name: _share_json(one) for name, one in shares.items()}


def _share_json(found: Share) -> dict[str, Any]:
    if found.value is None or found.interval is None:
        return {"count": found.part, "of": found.whole, "share": None, "low": None, "high": None}
    low, high = found.interval
    numbers = {"share": found.value, "low": low, "high": high}
    return {"count": found.part, "of": found.whole} | {name: round(value, 4) for name, value in numbers.items()}


def _share(seen: Iterable[bool]) -> Share:
    found = list(seen)
    return Share(sum(found), len(found))


def _read(folder: Path) -> list[dict[str, Any]]:
    files = [path for paths in shards.split_files(folder).values() for path in paths]
    return [row for path in files for row in shards.read_stream(path).select(list(COLUMNS)).to_pylist()]
