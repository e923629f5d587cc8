"""Texts that are near copies of many others: what a teacher writes when it has fallen into a template.

After the checks on single texts this looks at all of them together: MinHash over runs of words, bands to find pairs,
signatures to verify them. Broder 1997; two bytes a hash are enough, Li and König 2010.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import xxhash

from ferbuild.builders.clusters import clusters

SHINGLE = 3
"""Words in a row that are compared."""
BANDS, ROWS = 16, 6
"""Two texts of Jaccard .8 share a band with 99.2 %, of .9 always, of .4 with 6 %: 1 - (1 - J^6)^16."""
HASHES = BANDS * ROWS
"""The error of an estimated Jaccard of .8 is .04 (one standard deviation)."""
LOT = 256
"""Texts hashed at a time: what they need stays in the processor's cache."""
ROUNDS = 8
"""Clusters of one band and one key that are told apart: its first text, then the first that is no copy of it, …"""

Words = npt.NDArray[np.uint64]
Signatures = npt.NDArray[np.uint16]
Ints = npt.NDArray[np.int64]

_WORD = re.compile(r"\w+")
_SEED = 20_240
_KNOWN = 50_000  # words whose hash is kept


def near_copies(texts: Iterable[tuple[str, str]], *, jaccard: float = 0.8, most: int = 20) -> dict[str, str]:
    """Return the ids of texts to drop, each with the id of the text it is a copy of, in the order given.

    texts: (id, text), ids all different. jaccard: share of three words in a row, 0..1, that two copies have in common,
    as MinHash estimates it. most: texts of a cluster that stay, the first ones; a cluster is what copies of copies
    connect. Told is the first text of the cluster, or where that is too far the copy that connects them. Letter case
    and punctuation do not count; a text without words is nobody's copy. The same texts give the same result.
    """
    ids, signatures, worded = _signatures(texts)
    one, other = _links(signatures, np.flatnonzero(worded), jaccard)
    first = _firsts(len(ids), one, other)
    rank = _ranks(first)
    dropped = np.flatnonzero(rank >= most)
    told = _told(dropped, first, one, other, signatures, jaccard)
    return {ids[at]: ids[of] for at, of in zip(dropped.tolist(), told.tolist(), strict=True)}


class _Hashed(NamedTuple):
    ids: list[str]
    signatures: Signatures
    """Texts x HASHES."""
    worded: npt.NDArray[np.bool_]
    """A text has words."""


def _signatures(texts: Iterable[tuple[str, str]]) -> _Hashed:
    ids: list[str] = []
    held, worded = bytearray(), bytearray()  # they grow in place: two arrays, one to copy to, would be twice the memory
    hashes = dict[str, int]()
    rows = iter(texts)
    while lot := list(islice(rows, LOT)):
        ids += [name for name, _ in lot]
        shingles, lengths = _shingles([text for _, text in lot], hashes)
        held += _minima(shingles, lengths).tobytes()
        worded += (lengths > 0).tobytes()
        if len(hashes) > _KNOWN:
            hashes.clear()
    return _Hashed(ids, np.frombuffer(held, np.uint16).reshape(-1, HASHES), np.frombuffer(worded, np.bool_))


def _shingles(texts: Sequence[str], hashes: dict[str, int]) -> tuple[Words, Ints]:
    """Return one hash for every SHINGLE words in a row, text after text, and how many each text has.

    A text of fewer words has one shingle, of what there is.
    """
    said = list[int]()
    counts = np.zeros(len(texts), np.int64)
    for at, text in enumerate(texts):
        words = _WORD.findall(text.casefold())
        for word in words:
            if word not in hashes:
                hashes[word] = xxhash.xxh3_64_intdigest(word.encode(), _SEED)
        if words:
            words += [words[-1]] * (SHINGLE - len(words))
        said += [hashes[word] for word in words]
        counts[at] = len(words)
    lengths = np.maximum(counts - SHINGLE + 1, 0)
    flat = np.array(said, np.uint64)
    starts = np.repeat(np.cumsum(counts) - counts - (np.cumsum(lengths) - lengths), lengths) + np.arange(lengths.sum())
    mixed = np.zeros(len(starts), np.uint64)
    for step in range(SHINGLE):
        mixed = _mixed(mixed ^ flat[starts + step])
    return mixed, lengths


def _mixed(value: Words) -> Words:
    """Return 64 bits of which each depends on all lower ones of `value` and on many higher ones."""
    value = value * np.uint64(0x9E3779B97F4A7C15)
    return value ^ (value >> np.uint64(29))


def _minima(shingles: Words, lengths: Ints) -> Signatures:
    """Return the two low bytes of the least value of each hash over the shingles of each text."""
    out = np.zeros((len(lengths), HASHES), np.uint16)
    filled = np.flatnonzero(lengths)
    if not len(filled):
        return out
    starts = (np.cumsum(lengths) - lengths)[filled]
    base = (shingles >> np.uint64(32)).astype(np.uint32)
    for at, (factor, added) in enumerate(_functions()):
        value = base * factor
        value ^= value >> np.uint32(15)
        value *= added
        least = np.minimum.reduceat(value, starts)
        out[filled, at] = (least ^ (least >> np.uint32(16))).astype(np.uint16)
    return out


def _functions() -> list[tuple[np.uint32, np.uint32]]:
    """Return two odd factors a hash, the same ones in every run."""
    drawn = np.random.Generator(np.random.PCG64(_SEED)).integers(0, 2**31, (HASHES, 2)).astype(np.uint32)
    return [(one, other) for one, other in drawn * np.uint32(2) + np.uint32(1)]


def _links(signatures: Signatures, rows: Ints, jaccard: float) -> tuple[Ints, Ints]:
    """Return pairs of rows, the lower one first, that were verified as copies and connect the clusters."""
    low, high = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for band in range(BANDS):
        key = np.zeros(len(rows), np.uint64)
        for column in range(band * ROWS, (band + 1) * ROWS):
            key = _mixed(key ^ signatures[rows, column])
        for one, other in _in_band(key, rows, signatures, jaccard):
            low.append(one)
            high.append(other)
    return np.concatenate(low), np.concatenate(high)


def _in_band(key: Words, rows: Ints, signatures: Signatures, jaccard: float) -> Iterator[tuple[Ints, Ints]]:
    """Yield verified pairs of rows that share the key of a band: the first row of each key with its others."""
    order = np.argsort(key, kind="stable")
    rows, key = rows[order], key[order]
    for _ in range(ROUNDS):
        of = _group_starts(key)
        others = np.flatnonzero(of != np.arange(len(key)))
        if not len(others):
            return
        same = _alike(signatures, rows[of[others]], rows[others]) >= jaccard
        yield rows[of[others[same]]], rows[others[same]]
        left = others[~same]
        rows, key = rows[left], key[left]


def _group_starts(ordered: Words | Ints) -> Ints:
    """Return, for every place of an ordered array, the first place that holds the same."""
    begins = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(ordered)])
    return np.repeat(begins, np.diff(begins, append=len(ordered)))


def _alike(signatures: Signatures, one: Ints, other: Ints) -> npt.NDArray[np.float64]:
    """Return the estimated Jaccard of each pair of rows, 0..1."""
    out = np.empty(len(one))
    for start in range(0, len(one), 4096):
        piece = slice(start, start + 4096)
        out[piece] = (signatures[one[piece]] == signatures[other[piece]]).mean(axis=1)
    return out


def _firsts(count: int, one: Ints, other: Ints) -> Ints:
    """Return, for every row, the first row of its cluster."""
    if not count:
        return np.zeros(0, np.int64)
    cluster = clusters(count, one, other)
    first = np.full(count, count, np.int64)
    np.minimum.at(first, cluster, np.arange(count))
    return first[cluster]


def _ranks(first: Ints) -> Ints:
    """Return each row's place in its cluster, from 0."""
    order = np.argsort(first, kind="stable")
    rank = np.empty(len(first), np.int64)
    rank[order] = np.arange(len(first)) - _group_starts(first[order])
    return rank


def _told(dropped: Ints, first: Ints, one: Ints, other: Ints, signatures: Signatures, jaccard: float) -> Ints:
    """Return which row each dropped one is a copy of: the first of its cluster, or the lowest it is linked to."""
    told = first[dropped]
    far = _alike(signatures, told, dropped) < jaccard
    linked = np.full(len(first), len(first), np.int64)
    np.minimum.at(linked, np.concatenate([one, other]), np.concatenate([other, one]))
    told[far] = linked[dropped[far]]
    return told
