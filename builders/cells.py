"""Keys to pairs of rows whose keys are near: an inverted file over cells, searched by products of whole numbers.

Stands in the middle of the near-duplicate search. The products are exact in float32, so that neither the machine nor
the number of threads changes a result.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ferbuild.builders.probing import LENGTH, Keys

Ints = npt.NDArray[np.int64]

ROUNDS = 4
"""Of k-means, over a sample."""
SAMPLE = 40
"""Rows a cell that k-means looks at."""
ENTRIES = 8
"""Cells that every row is entered in; it is looked for in one."""
BLOCK = 1 << 17
"""Products at a time: half a megabyte, which the processor's cache holds.

Written again and again: a fresh array each takes thrice as long."""
MOST = 24
"""Neighbours a row and probe keep: half of them the nearest, half the first by number."""


class Cells(NamedTuple):
    """An inverted file."""

    centres: npt.NDArray[np.float32]
    """cells x DIMS whole numbers."""
    starts: Ints
    """Of each cell in `rows`, and the end."""
    rows: npt.NDArray[np.int32]
    keys: Keys
    """Of `rows`, in their order."""


class Found(NamedTuple):
    """Pairs of a row that was looked for and one that is near it."""

    asked: Ints
    near: Ints
    cut: int
    """Pairs that MOST left out."""


def build(keys: Keys) -> Cells:
    """Enter every row in the cells whose centres are nearest to its key."""
    count = int(np.clip(len(keys) / 250, 1, 3000))
    centres = _centres(keys, count)
    entries = min(ENTRIES, count)
    cells = np.empty((len(keys), entries), np.int32)
    for part, products in _products(keys, centres):
        cells[part] = np.argpartition(-products, entries - 1, axis=1)[:, :entries] if entries < count else range(count)
    order = np.argsort(cells.ravel(), kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(cells.ravel(), minlength=count))]).astype(np.int64)
    rows = (order // entries).astype(np.int32)
    return Cells(centres, starts, rows, keys[rows])


def _centres(keys: Keys, count: int) -> npt.NDArray[np.float32]:
    step = max(1, len(keys) // (SAMPLE * count))
    sample = keys[::step]
    centres = sample[:: max(1, len(sample) // count)][:count].astype(np.float32)
    for _ in range(ROUNDS):
        nearest = _nearest(sample, centres)
        sums = np.stack([np.bincount(nearest, sample[:, dim], len(centres)) for dim in range(sample.shape[1])], 1)
        length = np.linalg.norm(sums, axis=1, keepdims=True)
        centres = np.where(length > 0, np.rint(sums * (LENGTH / np.maximum(length, 1))), centres).astype(np.float32)
    return centres


def _products(keys: Keys, centres: npt.NDArray[np.float32]) -> Iterator[tuple[slice, npt.NDArray[np.float32]]]:
    """Yield some rows and their products with the centres, in an array that the next ones overwrite."""
    size = max(1, BLOCK // len(centres))
    room = np.empty((size, len(centres)), np.float32)
    across = np.ascontiguousarray(centres.T)
    for start in range(0, len(keys), size):
        some = keys[start : start + size].astype(np.float32)
        yield slice(start, start + size), np.matmul(some, across, out=room[: len(some)])


def _nearest(keys: Keys, centres: npt.NDArray[np.float32]) -> Ints:
    out = np.empty(len(keys), np.int64)
    for part, products in _products(keys, centres):
        out[part] = products.argmax(1)
    return out


def look(cells: Cells, asked: Keys, rows: Ints, least: float) -> Found:
    """Return the rows entered in the cell of each key of `asked` whose product with it is at least `least`.

    asked: keys of `rows`, moved or mirrored. A row is found beside itself, too, where its key is near itself.
    """
    nearest = _nearest(asked, cells.centres)
    order = np.argsort(nearest, kind="stable")
    ends = np.searchsorted(nearest[order], np.arange(len(cells.centres) + 1))
    room = Room(np.empty(BLOCK, np.float32), np.empty(BLOCK, np.bool_))
    parts = [
        part
        for cell in np.flatnonzero(np.diff(ends))
        for part in _in_cell(cells, int(cell), asked, order[ends[cell] : ends[cell + 1]], rows, least, room)
    ]
    return join(parts)


class Room(NamedTuple):
    """Arrays that are written again and again."""

    products: npt.NDArray[np.float32]
    near: npt.NDArray[np.bool_]


def join(parts: list[Found]) -> Found:
    none = np.zeros(0, np.int64)
    return Found(
        np.concatenate([none, *(part.asked for part in parts)]),
        np.concatenate([none, *(part.near for part in parts)]),
        sum(part.cut for part in parts),
    )


def _in_cell(
    cells: Cells, cell: int, asked: Keys, which: Ints, rows: Ints, least: float, room: Room
) -> Iterator[Found]:
    start, end = cells.starts[cell], cells.starts[cell + 1]
    for low in range(start, end, BLOCK):
        members = cells.rows[low : min(end, low + BLOCK)]
        keys = np.ascontiguousarray(cells.keys[low : min(end, low + BLOCK)].astype(np.float32).T)
        size = BLOCK // len(members)
        for first in range(0, len(which), size):
            some = which[first : first + size]
            count = len(some) * len(members)
            products = room.products[:count].reshape(len(some), -1)
            near = room.near[:count].reshape(len(some), -1)
            np.matmul(asked[some].astype(np.float32), keys, out=products)
            if np.count_nonzero(np.greater_equal(products, least, out=near)):
                yield _kept(products, near, rows[some], members)


def _kept(
    products: npt.NDArray[np.float32], near: npt.NDArray[np.bool_], rows: Ints, members: npt.NDArray[np.int32]
) -> Found:
    """Return the hits: of a row with too many the nearest, and the first by number, common to a whole crowd."""
    asked, hit = np.divmod(np.flatnonzero(near), near.shape[1])
    other = members[hit] != rows[asked]
    asked, hit = asked[other], hit[other]
    counts = np.bincount(asked, minlength=len(rows))
    crowded = counts > MOST
    if not crowded.any():
        return Found(rows[asked], members[hit].astype(np.int64), 0)
    kept = ~crowded[asked]
    for row in np.flatnonzero(crowded):
        own = np.flatnonzero(asked == row)
        nearest = own[np.argsort(-products[row, hit[own]], kind="stable")]
        first = own[np.argsort(members[hit[own]], kind="stable")]
        kept[nearest[: MOST // 2]] = True
        kept[first[: MOST // 2]] = True
    return Found(rows[asked[kept]], members[hit[kept]].astype(np.int64), int((~kept).sum()))
