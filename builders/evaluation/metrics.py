"""Figures from confusion matrices, of one matrix or of thousands of resampled ones at a time.

Stands between what replies answer and the score. All agree with scikit-learn's for the same labels, zero_division=0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
"""(…, true labels, predicted labels): rows in each cell."""
Shares = npt.NDArray[np.float64]
RESAMPLES = 2000
"""Of a bootstrap."""
LEVEL = 95
"""Per cent of the resamples that lie within an interval."""


class Figures(NamedTuple):
    """Of each matrix: shares 0..1, in arrays of the leading shape; NaN where no row is counted."""

    accuracy: Shares
    precision: Shares
    """Macro, as all that follow."""
    recall: Shares
    f1: Shares


class PerClass(NamedTuple):
    """Of each label: shares 0..1 (0 of nothing), and its rows."""

    precision: Shares
    recall: Shares
    f1: Shares
    rows: Counts


def confusion(true: Sequence[int], predicted: Sequence[int], labels: int, columns: int) -> Counts:
    """Return the (labels, columns) matrix of label numbers; pairs with a negative number are left out."""
    rows, cells = np.asarray(true, np.int64), np.asarray(predicted, np.int64)
    known = (rows >= 0) & (cells >= 0)
    flat = np.bincount(rows[known] * columns + cells[known], minlength=labels * columns)
    return flat.reshape(labels, columns).astype(np.int64)


def per_class(counts: Counts) -> PerClass:
    """Return the figures of each row label; columns beyond the labels, such as unknown, count as wrong."""
    labels = counts.shape[-2]
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    rows, taken = counts.sum(-1), counts.sum(-2)[..., :labels]
    return PerClass(_share(hits, taken), _share(hits, rows), _share(2 * hits, rows + taken), rows)


def on_labels(counts: Counts) -> Figures:
    """Return the figures on a fixed set of labels, the rows of the matrices: a label without rows counts as nought."""
    found = per_class(counts)
    means = (_counted(values.mean(-1), counts) for values in (found.precision, found.recall, found.f1))
    return Figures(_accuracy(counts), *means)


def on_seen(counts: Counts) -> Figures:
    """Return the figures on the labels that are true or predicted somewhere, as the published scripts do.

    counts: square, unknown among the labels.
    """
    found = per_class(counts)
    seen = (counts.sum(-1) + counts.sum(-2)) > 0
    means = (_counted(_mean(values, seen), counts) for values in (found.precision, found.recall, found.f1))
    return Figures(_accuracy(counts), *means)


def recall_on(counts: Counts, labels: int) -> Shares:
    """Return the mean recall over the first `labels` labels: UAR."""
    return _counted(per_class(counts).recall[..., :labels].mean(-1), counts)


def resampled(cells: Sequence[int], clusters: Sequence[str], size: int, resamples: int, seed: Sequence[int]) -> Counts:
    """Return (resamples, size) counts of cells, the clusters drawn anew with replacement.

    cells: the cell of each row, negative: counted nowhere. Clusters with the same cells are alike, so that the draws of
    all like ones together are multinomial: equal in distribution to drawing clusters one by one, and independent of
    their number in time.
    """
    kinds = Counter(_kinds(cells, clusters))
    if not kinds:
        return np.zeros((resamples, size), np.int64)
    ordered, number = sorted(kinds), kinds.total()
    shares = np.array([kinds[kind] for kind in ordered]) / number
    drawn = np.random.default_rng(list(seed)).multinomial(number, shares, size=resamples)
    again = np.zeros((size, resamples), np.int64)
    for kind, times in zip(ordered, np.ascontiguousarray(drawn.T), strict=True):
        for cell in kind:
            if cell >= 0:
                again[cell] += times
    return np.ascontiguousarray(again.T)


def _kinds(cells: Sequence[int], clusters: Sequence[str]) -> Iterable[tuple[int, ...]]:
    """Return the cells of every cluster, sorted."""
    if len(set(clusters)) == len(clusters):
        return zip(cells, strict=True)
    held: dict[str, list[int]] = {}
    for cell, cluster in zip(cells, clusters, strict=True):
        held.setdefault(cluster, []).append(cell)
    return (tuple(sorted(one)) for one in held.values())


def ends(values: Shares) -> tuple[float, float] | None:
    """Return the ends of the percentile interval over the resamples.

    None where more than one in a hundred of them counts nothing: an interval over the others would be too narrow.
    """
    counted = values[~np.isnan(values)]
    if not counted.size or counted.size < 0.99 * values.size:
        return None
    low, high = np.percentile(counted, [(100 - LEVEL) / 2, (100 + LEVEL) / 2])
    return float(low), float(high)


def _accuracy(counts: Counts) -> Shares:
    hits = np.diagonal(counts, axis1=-2, axis2=-1).sum(-1)
    return _counted(hits / np.maximum(counts.sum((-2, -1)), 1), counts)


def _counted(values: Shares, counts: Counts) -> Shares:
    """Return the values, NaN of matrices that count no row."""
    return np.where(counts.sum((-2, -1)) > 0, values, np.nan)


def _share(part: Counts, whole: Counts) -> Shares:
    return np.asarray(part / np.maximum(whole, 1), np.float64)


def _mean(values: Shares, where: npt.NDArray[np.bool_]) -> Shares:
    return np.asarray((values * where).sum(-1) / np.maximum(where.sum(-1), 1), np.float64)
