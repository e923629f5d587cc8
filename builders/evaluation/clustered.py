"""Ratios, shares and quantiles over rows that come in clusters, each with its 95 % interval.

Stands between the rows of an evaluation and the figures that are no confusion matrix: how often, how much, how long.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ferbuild.builders.evaluation import metrics
from ferbuild.builders.evaluation.metrics import RESAMPLES
from ferbuild.builders.intervals import wilson

PLACES = 6
"""Of a figure as JSON, so that two machines write the same bytes."""

Numbers = Sequence[float]


class Figure(NamedTuple):
    """A figure and how far off it may be."""

    value: float | None
    """None of nothing."""
    low: float | None
    high: float | None
    """Ends of the 95 % interval; None where it cannot be told."""
    n: int
    """What it is over: rows, replies or claims."""

    def as_json(self) -> dict[str, Any]:
        return {name: one if one is None else round(one, PLACES) for name, one in self._asdict().items()}


NOTHING = Figure(None, None, None, 0)


class Draws(NamedTuple):
    """How rows are drawn anew: whole clusters, with replacement."""

    seed: int
    resamples: int = RESAMPLES


def ratio(part: Numbers, whole: Numbers, clusters: Sequence[str], draws: Draws, *, n: int | None = None) -> Figure:
    """Return the sum of `part` by the sum of `whole`, an entry a row in both; `n` is the sum of `whole` by default.

    A part may be negative, as the difference of two parts of the same whole is: then the figure is the difference of
    two ratios, and the interval knows that they belong together.
    """
    total = sum(whole)
    if not total:
        return NOTHING
    again = _sums(list(zip(part, whole, strict=True)), clusters, draws)
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = metrics.ends(again[:, 0] / again[:, 1]) or (None, None)
    return Figure(sum(part) / total, low, high, round(total) if n is None else n)


def share(part: Numbers, clusters: Sequence[str], draws: Draws, *, whole: Numbers | None = None) -> Figure:
    """Return the share, 0..1, that is `part`: of the rows, or of the sum of `whole`.

    Where it is all or nothing, drawing it again says nothing: the interval is then Wilson's over the clusters.
    """
    of = [1] * len(part) if whole is None else whole
    found = ratio(part, of, clusters, draws)
    if found.value is None or 0 < found.value < 1:
        return found
    counted = {cluster for cluster, some in zip(clusters, of, strict=True) if some}
    low, high = wilson(found.value, len(counted))
    return found._replace(low=low, high=high)


def quantile(values: Sequence[int], at: float, clusters: Sequence[str], draws: Draws) -> Figure:
    """Return the least of `values` that a share `at`, 0..1, of them does not exceed: .5 is the median."""
    if not values:
        return NOTHING
    levels = sorted(set(values))
    place = {value: number for number, value in enumerate(levels)}
    cells = [place[value] for value in values]
    again = metrics.resampled(cells, clusters, len(levels), draws.resamples, (draws.seed,))
    once = np.bincount(cells, minlength=len(levels))[None]
    low, high = metrics.ends(_quantiles(again, levels, at)) or (None, None)
    return Figure(float(_quantiles(once, levels, at)[0]), low, high, len(values))


def _quantiles(counts: metrics.Counts, levels: Sequence[int], at: float) -> npt.NDArray[np.float64]:
    """Return the quantile of each row of (resamples, levels) counts."""
    reached = counts.cumsum(-1)
    first = (reached >= at * reached[:, -1:]).argmax(-1)
    return np.asarray(np.asarray(levels)[first], np.float64)


def _sums(rows: Sequence[tuple[float, ...]], clusters: Sequence[str], draws: Draws) -> npt.NDArray[np.float64]:
    """Return (resamples, columns) sums of rows; rows with the same numbers are counted together."""
    kinds = sorted(set(rows))
    place = {kind: number for number, kind in enumerate(kinds)}
    cells = [place[row] for row in rows]
    counts = metrics.resampled(cells, clusters, len(kinds), draws.resamples, (draws.seed,))
    return np.asarray(counts @ np.asarray(kinds, np.float64), np.float64)
