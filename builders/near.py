"""Hashes to pairs of near duplicates.

Stands between the hashes of a shard and what is dropped or kept together. Candidates come from the descriptors,
moved as a new crop would move them; every pair that is returned was verified on its pictures (`compared`).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ferbuild.builders import cells, compared, contested, hashing, probing
from ferbuild.builders.clusters import Bools as Bools
from ferbuild.builders.clusters import Ints as Ints
from ferbuild.builders.clusters import clusters
from ferbuild.builders.compared import Fetch
from ferbuild.builders.hashing import FLAT, Columns, one_thread
from ferbuild.builders.same import SAME_FROM

Tick = Callable[[int, int], None]

LEAST = 0.91
"""Cosine of two keys from which a pair is verified."""
ROWS = 20_000
"""Keys made at a time."""
LOT = 512
"""Pairs verified at a time: their pictures are 70 MB at most, and several workers end at about the same time."""


class Pairs(NamedTuple):
    """Verified pairs, by i and j."""

    i: Ints
    j: Ints
    """Above i."""
    mirrored: Bools
    """j shows i mirrored."""
    score: npt.NDArray[np.float32]
    """Of `compared`, from SAME_FROM to 1."""
    settled: Bools
    """The pair is not at odds with what other pairs say, those that failed included; and it passes with a margin, or
    as a copy, where a picture is small."""
    candidates: int
    """Pairs that were verified."""
    cut: int
    """Candidates that a bound left out, in a crowd of pictures that all look alike."""


class Candidates(NamedTuple):
    i: Ints
    j: Ints
    mirrored: Bools
    cut: int


def near_pairs(columns: Columns, fetch: Fetch, *, workers: int = 1, tick: Tick = lambda done, total: None) -> Pairs:
    """Return the pairs of rows that show one photograph; the same whatever the workers, which are threads.

    fetch: called with rows in ascending order, none twice in a call; from several threads where there are workers.
    """
    with one_thread():
        return _near_pairs(columns, fetch, workers, tick)


def _near_pairs(columns: Columns, fetch: Fetch, workers: int, tick: Tick) -> Pairs:
    tried = candidates(columns, workers=workers)
    order = _by_cluster(len(columns.descriptor), tried.i, tried.j)
    i, j, mirrored = tried.i[order], tried.j[order], tried.mirrored[order]
    lots = [slice(start, start + LOT) for start in range(0, len(i), LOT)]
    parts = []
    with ThreadPoolExecutor(workers) as pool:
        for part in pool.map(lambda lot: compared.compare(i[lot], j[lot], mirrored[lot], fetch), lots):
            parts.append(part)
            tick(min(LOT * len(parts), len(i)), len(i))
    found = compared.joined(parts)
    settled = contested.settled(len(columns.descriptor), i, j, mirrored, found)
    kept = np.flatnonzero(found.score >= SAME_FROM)
    kept = kept[np.lexsort((mirrored[kept], j[kept], i[kept]))]
    return Pairs(i[kept], j[kept], mirrored[kept], found.score[kept], settled[kept], len(i), tried.cut)


def _by_cluster(count: int, i: Ints, j: Ints) -> Ints:
    """Return an order in which pairs that share a picture stand together, so that it is fetched once or twice."""
    if not len(i):
        return np.zeros(0, np.int64)
    return np.lexsort((j, i, clusters(count, i, j)[i]))


def candidates(columns: Columns, *, workers: int = 1) -> Candidates:
    """Return pairs that may show one photograph: equal hashes, or near keys under a move, mirrored or not."""
    first, again, of = _equal(columns)
    first = first[columns.descriptor[first, 63] >= FLAT]
    descriptors = columns.descriptor[first]
    i, j, cut = [of], [again], 0
    flipped = [np.zeros(len(of), np.bool_)]
    if len(first) > 1:
        for mirrored, found in zip((False, True), _searched(descriptors, workers), strict=True):
            low, high = _unique(first[found.asked], first[found.near], len(columns.descriptor))
            i, j, cut = [*i, low], [*j, high], cut + found.cut
            flipped.append(np.full(len(low), mirrored))
    return Candidates(np.concatenate(i), np.concatenate(j), np.concatenate(flipped), cut)


def _equal(columns: Columns) -> tuple[Ints, Ints, Ints]:
    """Return the first row of every hash, the further ones, and the first row of each further one."""
    whole = np.ascontiguousarray(np.hstack([columns.hash256, columns.descriptor.view(np.uint8)]))
    named = whole.view(np.dtype((np.void, whole.shape[1]))).ravel()
    _, first, inverse = np.unique(named, return_index=True, return_inverse=True)
    of = first[inverse.ravel()]
    again = np.flatnonzero(of != np.arange(len(of)))
    return np.sort(first), again, of[again]


def _searched(descriptors: npt.NDArray[np.int8], workers: int) -> tuple[cells.Found, cells.Found]:
    """Return pairs by place, plain ones and mirrored ones."""
    directions = probing.learn(descriptors)
    file = cells.build(_keys(descriptors, directions, probing.Move()))
    signs = hashing.mirror_signs()
    least = LEAST * probing.LENGTH**2

    def look(job: tuple[bool, probing.Move]) -> cells.Found:
        mirrored, move = job
        asked = _keys(descriptors, directions, move, signs if mirrored else None)
        return cells.look(file, asked, np.arange(len(asked)), least)

    with ThreadPoolExecutor(workers) as pool:
        jobs = [(mirrored, move) for mirrored in (False, True) for move in probing.PROBES]
        found = list(pool.map(look, jobs))
    return cells.join(found[: len(probing.PROBES)]), cells.join(found[len(probing.PROBES) :])


def _keys(
    descriptors: npt.NDArray[np.int8],
    directions: probing.Directions,
    move: probing.Move,
    signs: npt.NDArray[np.int8] | None = None,
) -> probing.Keys:
    out = np.empty((len(descriptors), probing.DIMS), np.int8)
    for start in range(0, len(out), ROWS):
        part = descriptors[start : start + ROWS]
        out[start : start + ROWS] = probing.keys(part if signs is None else part * signs, directions, move)
    return out


def _unique(one: Ints, other: Ints, count: int) -> tuple[Ints, Ints]:
    code = np.unique(np.minimum(one, other) * count + np.maximum(one, other))
    low, high = np.divmod(code, count)
    return low, high
