"""What people say of rationales: filled-in review tables become means, shares and how far two reviewers agree.

Stands behind `review_sheet`, which draws the rationales and writes the tables.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.builders.evaluation.answers import cluster_of
from ferbuild.builders.evaluation.clustered import PLACES, Draws, Figure, ratio, share

KEY = ("id", "set", "image_path")
SCALES = ("faithful", "sound", "useful")
"""Rated from 1 to 5: what it says of the face is there; its answer follows; somebody learns why from it."""
FLAG = "hallucinated"
"""It speaks of something that the picture does not show."""
COLUMNS = (*KEY, "reviewer", *(f"{name} 1-5" for name in SCALES), f"{FLAG} yes/no", "note")
LOWEST, HIGHEST = 1, 5

_WORDS = {"yes": 1, "y": 1, "true": 1, "no": 0, "n": 0, "false": 0}
_SEPARATORS = ",;\t"


class Rating(NamedTuple):
    """What one reviewer says of one rationale."""

    row: tuple[str, str, str]
    """As KEY."""
    reviewer: str
    values: Mapping[str, int]
    """SCALES 1..5 and FLAG 0 or 1, those that were filled in."""
    line: int


@dataclass(frozen=True, slots=True)
class Reviews:
    """What all reviewers together say."""

    rows: int
    """Rationales that somebody rated."""
    reviewers: Sequence[str]
    figures: Mapping[str, Figure]
    """Means of SCALES, 1..5, and the share of FLAG; a rationale counts once, however many rated it."""
    kappa: Mapping[str, Mapping[str, Figure]]
    """Pair of reviewers to Cohen's kappa on what both rated, with quadratic weights on SCALES; without an interval."""


def read_sheet(paths: Sequence[Path], *, seed: int = 0) -> Reviews:
    """Return what filled-in tables come to; FerError where a cell is none of its column, or nothing is filled in.

    A row without a reviewer's name is of the one whom the file is named after.
    """
    found: dict[tuple[tuple[str, str, str], str], Rating] = {}
    for path in paths:
        for one in _ratings(path):
            if (one.row, one.reviewer) in found:
                problem = f"line {one.line}: {one.reviewer} rated {one.row[2]} before"
                raise FerError(path, problem, "keep one of the two rows; two reviewers need two names")
            found[one.row, one.reviewer] = one
    if not found:
        raise FerError(", ".join(map(str, paths)) or "reviews", "nothing is rated yet", "fill in some rows")
    ratings = list(found.values())
    reviewers = sorted({one.reviewer for one in ratings})
    kappas = {f"{one}, {other}": _agreement(ratings, one, other) for one, other in combinations(reviewers, 2)}
    figures = {name: _figure(ratings, name, Draws(seed)) for name in (*SCALES, FLAG)}
    return Reviews(len({one.row for one in ratings}), reviewers, figures, kappas)


def as_json(found: Reviews) -> dict[str, Any]:
    """Return the figures with their intervals, and of each pair of reviewers kappa and the rows that it is over."""
    return {
        "rows": found.rows,
        "reviewers": list(found.reviewers),
        **{name: figure.as_json() for name, figure in found.figures.items()},
        "kappa": {pair: {name: _kappa_json(one) for name, one in some.items()} for pair, some in found.kappa.items()},
    }


def _kappa_json(one: Figure) -> dict[str, Any]:
    return {"value": None if one.value is None else round(one.value, PLACES), "n": one.n}


def rated(path: Path) -> bool:
    """Tell whether a review table holds a rating, or may: one that cannot be read does."""
    try:
        return any(True for _ in _ratings(path))
    except FerError:
        return True


def kappa(one: Sequence[int], other: Sequence[int], lowest: int, highest: int) -> float | None:
    """Return Cohen's kappa (1968) of two raters with quadratic weights; None where chance alone would agree wholly.

    Of two grades the weights change nothing.
    """
    grades = highest - lowest + 1
    counts = np.zeros((grades, grades))
    np.add.at(counts, (np.asarray(one, int) - lowest, np.asarray(other, int) - lowest), 1)
    apart = np.subtract.outer(np.arange(grades), np.arange(grades)) ** 2
    by_chance = float((apart * np.outer(counts.sum(1), counts.sum(0))).sum())
    return 1 - float((apart * counts).sum()) * len(one) / by_chance if by_chance else None


def _agreement(ratings: Sequence[Rating], one: str, other: str) -> dict[str, Figure]:
    """Return kappa of two reviewers for everything that is rated."""
    found = {}
    for name in (*SCALES, FLAG):
        own, its = (
            {rating.row: rating.values[name] for rating in ratings if rating.reviewer == who and name in rating.values}
            for who in (one, other)
        )
        both = [row for row in own if row in its]
        ends = (0, 1) if name == FLAG else (LOWEST, HIGHEST)
        value = kappa([own[row] for row in both], [its[row] for row in both], *ends)
        found[name] = Figure(value, None, None, len(both))
    return found


def _figure(ratings: Sequence[Rating], name: str, draws: Draws) -> Figure:
    given: dict[tuple[str, str, str], list[int]] = {}
    for one in ratings:
        if name in one.values:
            given.setdefault(one.row, []).append(one.values[name])
    means = [sum(values) / len(values) for values in given.values()]
    clusters = [f"{set_name}\0{cluster_of(set_name, path)}" for _, set_name, path in given]
    return share(means, clusters, draws) if name == FLAG else ratio(means, [1] * len(means), clusters, draws)


def _ratings(path: Path) -> Iterator[Rating]:
    """Yield the rows of a table in which something is filled in."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as err:
        hint = "save it as CSV in UTF-8"
        raise FerError(path, f"cannot be read ({getattr(err, 'strerror', None) or err})", hint) from None
    head = text.partition("\n")[0]
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=max(_SEPARATORS, key=head.count))
    names = [name.strip().casefold().partition(" ")[0] for name in next(rows, [])]
    for wanted in (*KEY, "reviewer", *SCALES, FLAG):
        if wanted not in names:
            raise FerError(path, f"has no column {wanted!r}", did_you_mean(wanted, names))
    for row in rows:
        cells = {name: cell.strip() for name, cell in zip(names, row, strict=False)}
        filled = ((name, cells.get(name, "")) for name in (*SCALES, FLAG))
        values = {name: _value(path, rows.line_num, name, cell) for name, cell in filled if cell}
        if values:
            own = (cells["id"], cells["set"], cells["image_path"])
            yield Rating(own, cells["reviewer"] or path.stem, values, rows.line_num)


def _value(path: Path, line: int, name: str, cell: str) -> int:
    if name == FLAG and cell.casefold() in _WORDS:
        return _WORDS[cell.casefold()]
    if name != FLAG and cell.removesuffix(".0") in map(str, range(LOWEST, HIGHEST + 1)):
        return int(cell.removesuffix(".0"))
    hint = "write yes or no" if name == FLAG else f"write a whole number from {LOWEST} to {HIGHEST}"
    raise FerError(path, f"line {line}: {cell!r} is no rating of {name}", f"{hint}, or leave it empty")
