"""Gaps between groups of people, and between levels of a look: the largest share less the smallest, with an interval.

Stands behind the score: it takes who is in which group and what came of each row, and gives figures that name no row. A
group with too few rows is counted and not shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import orjson

from ferbuild.builders.evaluation.metrics import LEVEL, RESAMPLES, resampled
from ferbuild.builders.files import write_bytes
from ferbuild.builders.intervals import TWO_SIDED, wilson

LEAST = 50
"""Rows of a group of people from which it is shown."""
LEAST_OF_A_LABEL = 10
"""Rows of a label in every group that is compared, from which the label counts where labels weigh alike."""
METHOD = (
    "95 %: all differences between two groups at once, by a studentised bootstrap over rows (rows of one cluster stay"
    " together; seeded); the gap lies between the largest of their lower ends, at least 0, and the largest of their"
    " upper ones"
)

Numbers = npt.NDArray[np.float64]


class Rows(NamedTuple):
    """What is compared, a place a row: columns of one length."""

    groups: Sequence[str | None]
    """None: nobody knows, or nobody could tell; such rows are not compared."""
    labels: Sequence[str]
    right: Sequence[bool]
    """What the share is of: the answer is right, the row was kept."""
    clusters: Sequence[str]
    """Rows that are drawn together."""


class Group(NamedTuple):
    """A group that is large enough to be shown."""

    name: str
    rows: int
    share: float
    """0..1."""
    low: float
    """Of its own 95 % interval: Wilson's, or a normal one where labels weigh alike."""
    high: float


class Gap(NamedTuple):
    """How far the groups are apart: 0..1."""

    value: float
    low: float
    high: float
    largest: str
    smallest: str


class Compared(NamedTuple):
    """The groups of one attribute by one figure."""

    groups: Sequence[Group]
    too_few: int
    """Groups that have rows, and fewer than are shown."""
    labels: Sequence[str]
    """That count, where labels weigh alike; empty where all rows count alike."""
    gap: Gap | None
    """None of fewer than two groups."""

    @property
    def rows(self) -> int:
        """Of the groups that are shown."""
        return sum(one.rows for one in self.groups)


class _Cells(NamedTuple):
    """Counts of groups by labels: as they are (G x L), and resampled (B x G x L)."""

    rows: Numbers
    right: Numbers
    rows_again: Numbers
    right_again: Numbers


class _Shares(NamedTuple):
    """Shares of the groups, 0..1."""

    once: Numbers
    """G."""
    again: Numbers
    """B x G: resampled."""
    lacking: Numbers
    """G: what the variance of `again` lacks."""


def compare(
    rows: Rows,
    order: Sequence[str],
    *,
    alike: bool = False,
    least: int = LEAST,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Compared:
    """Return how the groups in `order` compare.

    alike: every label weighs the same in a group's share, whatever its rows: the groups differ in their mix of labels,
    and a model in how well it knows them. A label with fewer than LEAST_OF_A_LABEL rows in one of the groups is left
    out for all. least: rows from which a group is shown.
    """
    counts = Counter(rows.groups)
    shown = [name for name in order if counts[name] >= least]
    too_few = sum(0 < counts[name] < least for name in order)
    labels = sorted(set(rows.labels))
    cells = _count(rows, shown, labels, resamples, seed)
    kept = np.flatnonzero((cells.rows >= LEAST_OF_A_LABEL).all(0)) if alike and shown else np.arange(0)
    if not shown or (alike and not len(kept)):
        return Compared((), too_few, (), None)
    cells = _Cells(*(part[..., kept] if alike else part.sum(-1, keepdims=True) for part in cells))
    found = _shares(cells)
    ends = (
        _normal(found)
        if alike
        else [wilson(share, counts[name]) for name, share in zip(shown, found.once, strict=True)]
    )
    groups = [
        Group(name, counts[name], float(share), float(low), float(high))
        for name, share, (low, high) in zip(shown, found.once, ends, strict=True)
    ]
    gap = _gap(shown, found) if len(shown) > 1 else None
    return Compared(groups, too_few, [labels[at] for at in kept], gap)


def _count(rows: Rows, groups: Sequence[str], labels: Sequence[str], resamples: int, seed: int) -> _Cells:
    """Count the cells: groups by labels by what came of a row."""
    group, label = ({name: at for at, name in enumerate(some)} for some in (groups, labels))
    shape = (len(groups), len(labels), 2)
    numbered = zip(rows.groups, rows.labels, rows.right, strict=True)
    cells = [(group[g] * len(labels) + label[w]) * 2 + bool(ok) if g in group else -1 for g, w, ok in numbered]
    size = len(groups) * len(labels) * 2
    once = np.bincount([cell for cell in cells if cell >= 0], minlength=size).reshape(shape).astype(np.float64)
    again = resampled(cells, rows.clusters, size, resamples, [seed]).reshape(resamples, *shape).astype(np.float64)
    return _Cells(once.sum(-1), once[..., 1], again.sum(-1), again[..., 1])


def _shares(cells: _Cells) -> _Shares:
    """Return the share of every group, its labels weighing alike.

    The bootstrap sees too little spread in a small cell, and none where all its rows are right, or none: a cell's
    variance is at least the unbiased one, and Agresti and Coull's (1998), of two rows more of each kind.
    """
    held = cells.rows_again > 0
    drawn = cells.right_again / np.maximum(cells.rows_again, 1) * held
    again = drawn.sum(-1) / np.maximum(held.sum(-1), 1)
    share, middle = cells.right / cells.rows, (cells.right + 2) / (cells.rows + 4)
    unbiased, careful = share * (1 - share) / np.maximum(cells.rows - 1, 1), middle * (1 - middle) / (cells.rows + 4)
    least = np.maximum(unbiased, careful).mean(-1) / share.shape[-1]
    return _Shares(share.mean(-1), again, np.maximum(least - again.var(0), 0))


def _normal(found: _Shares) -> list[tuple[float, float]]:
    """Return a 95 % interval of every group's share."""
    reach = TWO_SIDED * np.sqrt(found.again.var(0) + found.lacking)
    low, high = np.clip(found.once - reach, 0, 1), np.clip(found.once + reach, 0, 1)
    return list(zip(low.tolist(), high.tolist(), strict=True))


def _gap(names: Sequence[str], found: _Shares) -> Gap:
    """Return the gap between two or more groups; METHOD says how its interval comes about.

    The largest of several shares is too large by chance, so that no interval of the two outermost groups alone would
    do: where nothing differs, it would mostly leave 0 out.
    """
    one, other = (np.array(side) for side in zip(*combinations(range(len(names)), 2), strict=True))
    apart = found.once[one] - found.once[other]
    drawn = found.again[:, one] - found.again[:, other]
    error = np.sqrt(drawn.var(0) + found.lacking[one] + found.lacking[other])
    furthest = np.abs((drawn - apart) / error).max(1)
    reach = max(float(np.percentile(furthest, LEVEL)), TWO_SIDED) * error
    high = float(min((np.abs(apart) + reach).max(), 1))
    low = float(max((np.abs(apart) - reach).max(), 0))
    most, fewest = int(found.once.argmax()), int(found.once.argmin())
    return Gap(float(found.once[most] - found.once[fewest]), low, high, names[most], names[fewest])


def as_json(found: Compared) -> dict[str, Any]:
    """Return the figures, shares and ends 0..1 to four places; for this machine only."""
    groups = [{name: _round(value) for name, value in one._asdict().items()} for one in found.groups]
    gap = {name: _round(value) for name, value in found.gap._asdict().items()} if found.gap else None
    return {"groups": groups, "too few": found.too_few, "labels": list(found.labels), "rows": found.rows, "gap": gap}


def _round(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value


def export(found: Mapping[str, Mapping[str, Compared]], path: Path) -> None:
    """Write what may leave the machine as JSON: of each figure and attribute the gap, and nothing of a group or a row.

    The rows compared are rounded down to a multiple of LEAST: with the size of the whole set, which is public, an exact
    number would tell how many rows a single group has that is too small to be shown.
    """
    gaps = [
        {
            "figure": figure,
            "attribute": attribute,
            "groups": len(one.groups),
            "gap": _round(one.gap.value),
            "low": _round(one.gap.low),
            "high": _round(one.gap.high),
            "rows, at least": one.rows // LEAST * LEAST,
        }
        for figure, attributes in found.items()
        for attribute, one in attributes.items()
        if one.gap
    ]
    about = {"method": METHOD, "rows of a group, at least": LEAST, "gaps": gaps}
    write_bytes(path, orjson.dumps(about, option=orjson.OPT_INDENT_2) + b"\n")
