"""Whose copy a picture is that looks like two others which are known apart.

Stands between the scores of pairs and those that are returned as near duplicates (`near`). A strongly coded copy may
pass beside two moments of one person while these do not pass beside each other: it is a copy of one of them. Pictures
that hang together by their pairs are therefore clustered by all that was verified, the pairs that failed included
(correlation clustering: Bansal, Blum and Chawla, Machine Learning 2004), greedily by the mean log-odds of a link, and
a pair stays where both of its pictures are in one cluster.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heappush

import numpy as np
import numpy.typing as npt

from ferbuild.builders.clusters import Ints, clusters
from ferbuild.builders.same import SAME_FROM

Bools = npt.NDArray[np.bool_]
Link = tuple[int, int, float]
"""Two rows, the lower first, and the log-odds that they are one photograph."""

SURE = 6.0
"""Largest log-odds that count, of either sign: a score near 0 or 1 is not that much surer than another."""
LENIENT = 0.5
"""Log-odds that a failed pair is forgiven: two copies of one photograph, each changed in its way, fail more easily."""


def settled(count: int, i: Ints, j: Ints, score: npt.NDArray[np.float32]) -> Bools:
    """Return which of k verified pairs of `count` rows stay: those that passed and are not at odds with the others.

    i, j, score: k each, i below j, as of `same`; a pair may stand there twice, plain and mirrored.
    """
    passed = np.asarray(score >= SAME_FROM)
    part = clusters(count, i[passed], j[passed])
    disputed = np.unique(part[i[~passed & (part[i] == part[j])]])
    asked = np.flatnonzero((part[i] == part[j]) & np.isin(part[i], disputed))
    asked = asked[np.lexsort((j[asked], i[asked], part[i[asked]]))]
    owner = np.arange(count)
    for rows in np.split(asked, np.flatnonzero(np.diff(part[i[asked]])) + 1):
        links = zip(i[rows].tolist(), j[rows].tolist(), _log_odds(score[rows]).tolist(), strict=True)
        for row, first in joined(links).items():
            owner[row] = first
    passed[asked] &= owner[i[asked]] == owner[j[asked]]
    return passed


def _log_odds(score: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    certain = np.clip(score.astype(np.float64), 1e-9, 1 - 1e-9)
    odds = np.log(certain / (1 - certain))
    return np.clip(np.where(odds < 0, np.minimum(odds + LENIENT, 0), odds), -SURE, SURE)


def joined(links: Iterable[Link]) -> dict[int, int]:
    """Return the lowest row of the cluster of every row in the links.

    Again and again the two clusters are joined whose links have the largest mean, as long as it is above 0; of a link
    that is there twice the larger counts. Equal means go by row.
    """
    beside: dict[int, dict[int, tuple[float, int]]] = {}
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
            owner[other] = one
            _merge(beside, one, other, heap)
    for row in sorted(owner):  # who owns a row is lower than it, and already at its end
        owner[row] = owner[owner[row]]
    return owner


def _merge(
    beside: dict[int, dict[int, tuple[float, int]]], one: int, other: int, heap: list[tuple[float, int, int]]
) -> None:
    """Take a cluster into a lower one, and put its new links on the heap."""
    del beside[one][other]
    for third, (odds, count) in beside.pop(other).items():
        if third != one:
            del beside[third][other]
            total, number = beside[one].get(third, (0.0, 0))
            beside[one][third] = beside[third][one] = link = (total + odds, number + count)
            heappush(heap, (-link[0] / link[1], min(one, third), max(one, third)))
