"""Decides, of a picture that passes beside two that are apart, whose copy it is.

Stands between the scores of pairs and the groups of near duplicates. A strongly coded copy may pass beside two moments
of one person while these do not pass beside each other: it is a copy of one of them. Pictures that hang together by
their pairs are therefore clustered by all that was scored, the pairs that failed included (correlation clustering:
Bansal, Blum and Chawla, Machine Learning 2004), greedily by the mean log-odds of a link, and a pair is settled where
both of its pictures are in one cluster.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heappush

import numpy as np
import numpy.typing as npt

from ferbuild.builders.clusters import Bools, Ints, clusters
from ferbuild.builders.same import SAME_FROM

Link = tuple[int, int, float]
"""Two rows, the lower first, and the log-odds that they are one photograph."""
Beside = dict[int, dict[int, tuple[float, int]]]
"""From the row that stands for a cluster to those of others: the sum of the log-odds of the links between, and how many
these are."""

SURE = 4.0
"""Largest log-odds that count, of either sign: one look that finds nothing in common does not outvote many."""
LENIENT = 0.5
"""Log-odds that a failed pair is forgiven: two copies of one photograph, each changed in its way, fail more easily."""
CROWD = 100_000
"""Pairs from which pictures that hang together are left as they are: only a crowd that looks alike has as many."""


def settled(count: int, i: Ints, j: Ints, mirrored: Bools, score: npt.NDArray[np.float32]) -> Bools:
    """Return which of k scored pairs of `count` rows passed and are not at odds with the others.

    i, j, mirrored, score: k each, i below j, as of `same`. A pair may stand there twice, plain and mirrored; a mirrored
    one that failed says nothing: the same two may be one photograph as they are.
    """
    passed = np.asarray(score >= SAME_FROM)
    if passed.all() or not passed.any():
        return passed
    part = clusters(count, i[passed], j[passed])
    counts = passed | ((part[i] == part[j]) & ~mirrored)
    disputed = np.bincount(part[i[counts & ~passed]], minlength=count) > 0
    disputed &= np.bincount(part[i[counts]], minlength=count) <= CROWD
    asked = np.flatnonzero(counts & disputed[part[i]])
    asked = asked[np.lexsort((j[asked], i[asked], part[i[asked]]))]
    owner = np.arange(count)
    for rows in np.split(asked, np.flatnonzero(np.diff(part[i[asked]])) + 1):
        links = zip(i[rows].tolist(), j[rows].tolist(), _log_odds(score[rows]).tolist(), strict=True)
        for row, stands in joined(links).items():
            owner[row] = stands
    return np.asarray(passed & (~disputed[part[i]] | (owner[i] == owner[j])))


def _log_odds(score: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return 1e-6 at least where a pair passed, and 0 at most where it failed."""
    some = np.clip(score.astype(np.float64), 1e-9, 1 - 1e-9)
    odds = np.clip(np.log(some / (1 - some)), -SURE, SURE)
    return np.where(score >= SAME_FROM, np.maximum(odds, 1e-6), np.minimum(odds + LENIENT, 0))


def joined(links: Iterable[Link]) -> dict[int, int]:
    """Return one row for every row in the links, the same for all rows of a cluster.

    Again and again the two clusters are joined whose links have the largest mean, as long as it is above 0; of a link
    that is there twice the larger counts.
    """
    beside: Beside = {}
    for one, other, odds in links:
        known, _ = beside.setdefault(one, {}).get(other, (odds, 1))
        beside[one][other] = beside.setdefault(other, {})[one] = (max(known, odds), 1)
    owner = {row: row for row in beside}
    heap = [(-odds, one, other) for one in beside for other, (odds, _) in beside[one].items() if one < other]
    heapify(heap)
    while heap and heap[0][0] < 0:
        odds, one, other = heappop(heap)
        total, number = beside.get(one, {}).get(other, (0.0, 1))
        if -total / number == odds:  # else a cluster has grown since, or is gone
            gone, into = sorted((one, other), key=lambda row: len(beside[row]))
            owner[gone] = into
            _merge(beside, gone, into, heap)
    return {row: _end(owner, row) for row in owner}


def _merge(beside: Beside, gone: int, into: int, heap: list[tuple[float, int, int]]) -> None:
    """Take a cluster into another one, and put the links that grew on the heap."""
    del beside[into][gone]
    for third, (odds, count) in beside.pop(gone).items():
        if third != into:
            del beside[third][gone]
            total, number = beside[into].get(third, (0.0, 0))
            beside[into][third] = beside[third][into] = link = (total + odds, number + count)
            heappush(heap, (-link[0] / link[1], min(into, third), max(into, third)))


def _end(owner: dict[int, int], row: int) -> int:
    while owner[row] != row:
        owner[row] = owner[owner[row]]
        row = owner[row]
    return row
