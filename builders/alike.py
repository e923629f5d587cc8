"""Which faces show one photograph, as verified pairs, and which training faces a benchmark shows.

Stands between the search for near duplicates (`near`) and those who ask: what is dropped of a build (`duplicates`), and
what an outside set of pictures shows too (`contamination`).
"""

from __future__ import annotations

import logging

import numpy as np

from ferbuild.builders import groups, near
from ferbuild.builders.clusters import clusters
from ferbuild.builders.groups import Verify
from ferbuild.builders.known_faces import Faces
from ferbuild.builders.near import Bools, Ints, Pairs, Tick

log = logging.getLogger(__name__)

_NO_ROWS, _NONE = np.zeros(0, np.int64), np.zeros(0, np.bool_)
NO_PAIRS = Pairs(_NO_ROWS, _NO_ROWS, _NONE, np.zeros(0, np.float32), settled=_NONE, candidates=0, cut=0)


def search(faces: Faces, *, workers: int, tick: Tick = lambda done, total: None) -> Pairs:
    """Return the verified near duplicates, by row: among the first faces of every class of equal pixels."""
    rows = faces.pictured
    found = near.near_pairs(faces.hashes(rows), lambda some: faces.pictures(rows[some]), workers=workers, tick=tick)
    if found.cut:
        log.info("near duplicates: in crowds of pictures that all look alike, %d pairs were not compared", found.cut)
    return found._replace(i=rows[found.i], j=rows[found.j])


def verifier(faces: Faces) -> Verify:
    """Return what compares pairs that were no candidates, some at a time."""
    verify = groups.verifier(faces.pictures)

    def in_lots(i: Ints, j: Ints, mirrored: Bools) -> Bools:
        lots = [slice(start, start + near.LOT) for start in range(0, len(i), near.LOT)]
        return np.concatenate([np.zeros(0, np.bool_), *(verify(i[lot], j[lot], mirrored[lot]) for lot in lots)])

    return in_lots


def nothing_more(i: Ints, j: Ints, mirrored: Bools) -> Bools:
    """Take no pair that was not searched for: the verifier of a search for equal pictures alone."""
    return np.zeros(len(i), np.bool_)


def contaminated(faces: Faces, pairs: Pairs, verify: Verify) -> Ints:
    """Return, for every training row, a benchmark row that shows it too; -1: none does.

    The surest one: with the same file, else the same pixels, else a near duplicate; of several the first. A pair
    that is not settled counts here, too: a training row too many goes, which costs less than one too few.
    """
    by_file = faces.first("same_file", ~faces.training, across=True)
    by_pixels = faces.first("same_pixels", ~faces.training, across=True)
    by_near = _near_benchmark(faces, pairs, by_file, verify)
    found = np.where(by_file >= 0, by_file, np.where(by_pixels >= 0, by_pixels, by_near))
    return np.where(faces.training, found, -1)


def _near_benchmark(faces: Faces, pairs: Pairs, by_file: Ints, verify: Verify) -> Ints:
    """Return, for every training row, a benchmark row of which it is a near duplicate, or -1.

    Each benchmark row is the centre of a group, so that what is near one of its copies is compared with it, too. A
    near duplicate of a face that was cut out of a benchmark's file shows what that file shows.
    """
    training, count = faces.training, len(faces)
    pairs = where(pairs, training[pairs.i] | training[pairs.j])
    across = training[pairs.i] != training[pairs.j]
    part = clusters(count, pairs.i, pairs.j)
    beside_one = np.isin(part[pairs.i], part[pairs.i[across]])
    stands = groups.group(count, where(pairs, beside_one), np.arange(count), _never_two_of(~training, verify))
    found = np.where(training[stands], _through_file(faces, pairs, by_file), stands)[faces.classes]
    return np.where(found < count, found, -1)


def _never_two_of(apart: Bools, verify: Verify) -> Verify:
    """Return a comparison by which no two of the rows that stand `apart` (n) are the same: each keeps its own group."""

    def asked(i: Ints, j: Ints, mirrored: Bools) -> Bools:
        out = ~(apart[i] & apart[j])
        out[out] = verify(i[out], j[out], mirrored[out])
        return out

    return asked


def _through_file(faces: Faces, pairs: Pairs, by_file: Ints) -> Ints:
    """Return, for the first row of every class, the first benchmark row with the file of it or of one near it.

    The number of faces stands for none.
    """
    count = len(faces)
    own = np.full(count, count)
    cut = np.flatnonzero(faces.training & (by_file >= 0))
    np.minimum.at(own, faces.classes[cut], by_file[cut])
    found = own.copy()
    np.minimum.at(found, pairs.i, own[pairs.j])
    np.minimum.at(found, pairs.j, own[pairs.i])
    return found


def where(pairs: Pairs, kept: Bools) -> Pairs:
    """Return the pairs for which a mask (n) holds."""
    return pairs._replace(
        i=pairs.i[kept],
        j=pairs.j[kept],
        mirrored=pairs.mirrored[kept],
        score=pairs.score[kept],
        settled=pairs.settled[kept],
    )
