"""Decides which pairs are taken, and of a picture that passes beside two that are apart, whose copy it is.

Stands between the scores of pairs and the groups of near duplicates. A strongly coded copy may pass beside two moments
of one person while these do not pass beside each other: it is a copy of one of them. Where pictures were made of one
another, what the coded ones have in common with others is asked of their originals. Pictures that hang together by
their pairs are then clustered by all that was scored, the pairs that failed included (correlation clustering: Bansal,
Blum and Chawla, Machine Learning 2004), greedily by the mean log-odds of a link, and a pair is settled where both of
its pictures are in one cluster.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ferbuild.builders.clusters import Bools, Ints, clusters
from ferbuild.builders.compared import Compared

Link = tuple[int, int, float]
"""Two families, the lower first, and the log-odds that they are one photograph; no two are linked twice."""
Beside = dict[int, dict[int, tuple[float, int]]]
"""From the family that stands for a cluster to those of others: the sum of the log-odds of the links between, and how
many these are."""

CAUTION = 1.0
"""Log-odds that a pair with a small picture in it has to have, as little tells two moments apart there; pictures that
were made of one another need none. Set on seeds 77 to 81 of `benchmarks/near_duplicates.py`."""
SURE = 4.0
"""Largest log-odds that count, of either sign: one look that finds nothing in common does not outvote many."""
LENIENT = 0.5
"""Log-odds that a failed pair is forgiven: two copies of one photograph, each changed in its way, fail more easily."""
CROWD = 100_000
"""Links from which pictures that hang together are left as they are: only a crowd that looks alike has as many."""


def settled(count: int, i: Ints, j: Ints, mirrored: Bools, found: Compared) -> Bools:
    """Return which of k compared pairs of `count` rows are taken.

    i, j, mirrored: k each, i below j. A pair may stand there twice, plain and mirrored; a mirrored one that failed says
    nothing: the same two may be one photograph as they are.
    """
    if not len(i):
        return np.zeros(0, np.bool_)
    odds = _log_odds(found)
    passed = (odds > 0) | (found.made != 0)
    family, copy = _families(count, i, j, found.made)
    says = np.flatnonzero((passed | ~mirrored) & (family[i] != family[j]))
    owner = _owners(count, _links(family, i[says], j[says], odds[says], copy))
    return np.asarray(passed & (owner[family[i]] == owner[family[j]]))


def _families(count: int, i: Ints, j: Ints, made: npt.NDArray[np.int8]) -> tuple[Ints, Bools]:
    """Return the family of every row, a number, and which rows are copies.

    A copy is in one family with the first of what it was made of: two that are its originals may be apart.
    """
    copies = np.concatenate([j[made > 0], i[made < 0]])
    originals = np.concatenate([i[made > 0], j[made < 0]])
    order = np.lexsort((originals, copies))
    order = order[np.append(True, np.diff(copies[order]) != 0)[: len(order)]]
    copy = np.zeros(count, np.bool_)
    copy[copies] = True
    return clusters(count, copies[order], originals[order]), copy


def _log_odds(found: Compared) -> npt.NDArray[np.float64]:
    """Return log-odds beyond what is asked for: above 0 where a pair passes, and forgiven where it does not."""
    some = np.clip(found.score.astype(np.float64), 1e-9, 1 - 1e-9)
    odds = np.log(some / (1 - some)) - CAUTION * found.small
    return np.asarray(np.where(odds > 0, np.minimum(odds, SURE), np.clip(odds + LENIENT, -SURE, 0)))


class _Links(NamedTuple):
    """What is said of pairs of families, by the lower and the higher one."""

    low: Ints
    high: Ints
    odds: npt.NDArray[np.float64]


def _links(family: Ints, i: Ints, j: Ints, odds: npt.NDArray[np.float64], copy: Bools) -> _Links:
    """Return one link of every two families between which a pair was scored: the mean of those with the fewest copies.

    family, copy: of every row. Of a pair that is there twice the larger odds count.
    """
    order = np.lexsort((-odds, j, i))
    order = order[_starts(i[order], j[order])]
    i, j, odds = i[order], j[order], odds[order]
    low, high = np.minimum(family[i], family[j]), np.maximum(family[i], family[j])
    copies = copy[i].astype(np.int64) + copy[j]
    order = np.lexsort((copies, high, low))
    low, high, copies, odds = low[order], high[order], copies[order], odds[order]
    starts = _starts(low, high)
    link = np.cumsum(starts) - 1
    counts = copies == copies[starts][link]
    mean = np.bincount(link, odds * counts) / np.bincount(link, counts)
    return _Links(low[starts], high[starts], mean)


def _starts(one: Ints, other: Ints) -> Bools:
    """Return where a pair, of pairs in order, is another one than before."""
    return np.append(True, (np.diff(one) != 0) | (np.diff(other) != 0))[: len(one)]


def _owners(count: int, links: _Links) -> Ints:
    """Return the cluster of every family, by a number."""
    holds = links.odds > 0
    part = clusters(count, links.low[holds], links.high[holds])
    of, inside = part[links.low], part[links.low] == part[links.high]
    disputed = np.bincount(of[inside & ~holds], minlength=count) > 0
    disputed &= np.bincount(of[inside], minlength=count) <= CROWD
    asked = np.flatnonzero(inside & disputed[of])
    asked = asked[np.argsort(of[asked], kind="stable")]
    owner = part.copy()
    for some in np.split(asked, np.flatnonzero(np.diff(of[asked])) + 1):
        said = zip(*(part[some].tolist() for part in links), strict=True)
        for family, stands in joined(said).items():
            owner[family] = count + stands
    return owner


def joined(links: Iterable[Link]) -> dict[int, int]:
    """Return one family for every family in the links, the same for all of a cluster.

    Again and again the two clusters are joined whose links have the largest mean, as long as it is above 0.
    """
    beside: Beside = {}
    for one, other, odds in links:
        beside.setdefault(one, {})[other] = beside.setdefault(other, {})[one] = (odds, 1)
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
