"""What is drawn for a question: numbers that depend on face, seed and purpose alone, and even shares made of them.

No random state is carried from face to face, so that any number of workers draws the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Draws = NDArray[np.uint64]
Floats = NDArray[np.float64]

ROUNDS = 4
"""Of the balancing. Further ones would find the frequent labels more partners, ever less likely ones."""
BEGINNINGS = 1 << 24
"""Of a turn: so many that any number of ways divides them nearly evenly."""
RARE = 0.01
"""Weight of a confusion that nobody reports, as of labels without a canonical form."""


def base(ids: pa.ChunkedArray | pa.Array, seed: int) -> Draws:
    """Return 64 random bits for every id, of which `draws` makes those for a purpose."""
    digest = xxhash.xxh3_64_intdigest
    return np.fromiter((digest(name.encode(), seed) for name in ids.to_pylist()), np.uint64, len(ids))


def draws(drawn: Draws, purpose: str) -> Draws:
    """Return 64 random bits for a purpose, of those that `base` gave: SplitMix64's finaliser (Steele et al. 2014)."""
    mixed = drawn + np.uint64(xxhash.xxh3_64_intdigest(purpose.encode()))
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)), np.uint64)


def uniform(drawn: Draws) -> Floats:
    """Return numbers from 0 up to 1, 1 left out, of the upper 53 bits."""
    return np.asarray((drawn >> np.uint64(11)) * 2.0**-53, np.float64)


def generator(seed: int, purpose: str) -> np.random.Generator:
    """Return numpy's generator for what is drawn once a source."""
    return np.random.Generator(np.random.PCG64(xxhash.xxh3_64_intdigest(purpose.encode(), seed=seed)))


def evenly(groups: Ints, drawn: Draws, ways: int | Ints) -> Ints:
    """Return for every row one of `ways` numbers, so that in each group all come equally often, to within one.

    The rows of a group take turns in the order of what was drawn for them; where the turn begins is drawn too. `ways`
    may be given row by row, the same for all rows of a group.
    """
    order = np.lexsort((drawn, groups))
    starts, place = _runs(groups[order])
    first = (drawn[order][starts] >> np.uint64(20)).astype(np.int64) % BEGINNINGS
    turn = np.empty(len(groups), np.int64)
    turn[order] = np.arange(len(groups)) - starts[place] + first[place]
    return turn % ways


def allotted(rows: Ints, drawn: Draws, shares: Floats) -> Ints:
    """Return for every row a column of `shares`, drawn by the shares of its own row there.

    `rows` are row numbers of `shares` (float64, rows x columns). The rows with one number divide the columns between
    them as evenly as their count allows.
    """
    order = np.lexsort((drawn, rows))
    starts, place = _runs(rows[order])
    counts = np.diff([*starts, len(rows)])
    offset = uniform(drawn[order][starts])
    spot = (np.arange(len(rows)) - starts[place] + offset[place]) / np.maximum(counts[place], 1)
    limits = np.cumsum(shares, axis=1)
    limits /= np.maximum(limits[:, -1:], np.finfo(float).tiny)
    found = np.empty(len(rows), np.int64)
    found[order] = np.minimum((spot[:, None] >= limits[rows[order]]).sum(axis=1), shares.shape[1] - 1)
    return found


def _runs(ordered: Ints) -> tuple[Ints, Ints]:
    """Return where each run of equal numbers starts, and to which run every row belongs."""
    starts = np.flatnonzero(np.diff(ordered, prepend=ordered[:1] - 1))
    lengths = np.diff([*starts, len(ordered)])
    return starts, np.repeat(np.arange(len(starts)), lengths)


def balanced(counts: Sequence[float] | Floats, confused: Floats) -> Floats:
    """Return how many faces of each label (row) are to be shown beside each other label (column): float64, square.

    It is symmetric: of two labels that stand beside each other either is the right one equally often. Else whoever
    reads the question alone could tell the more frequent label to be the likelier answer. `confused` says what the
    faces of a label should be shown beside, a row of weights each, 0 with itself. A label that is more frequent than
    what it is confused with has faces left over; these are offered once more, ROUNDS times in all, and then left out.
    """
    left = np.asarray(counts, np.float64)
    shares: Floats = confused / np.maximum(confused.sum(axis=1, keepdims=True), np.finfo(float).tiny)
    found = np.zeros(shares.shape, np.float64)
    for _ in range(ROUNDS):
        offered = left[:, None] * shares
        met = np.minimum(offered, offered.T)
        found += met
        left = np.maximum(left - met.sum(axis=1), 0)
    return found


def confusion(labels: Sequence[str], confusable: Mapping[str, Mapping[str, float]]) -> Floats:
    """Return the weight with which each label (row) is taken for each other (column): float64, 0 with itself."""
    return np.array([[_weight(one, other, confusable) for other in labels] for one in labels], np.float64)


def _weight(label: str, other: str, confusable: Mapping[str, Mapping[str, float]]) -> float:
    if label == other:
        return 0.0
    return max(confusable.get(label, {}).get(other, 0.0), RARE)
