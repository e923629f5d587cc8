"""How surely two pictures are one photograph: by what differs, and by whether one was made of the other.

Stands between the search, which proposes pairs of rows, and the judgements of a pair (`same`, `derived`); the pictures
are fetched here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from ferbuild.builders import derived
from ferbuild.builders.clusters import Bools, Ints
from ferbuild.builders.derived import Greys
from ferbuild.builders.overlay import correlation
from ferbuild.builders.same import BATCH, SIDE, Thumbs, same, thumbnail

Grey = npt.NDArray[np.uint8]
"""Rows x columns."""

ALIKE = 0.75
"""Correlation of thumbnails from which it is asked whether one picture was made of the other; a copy reaches .9."""
SURELY, LIKELY = 1.0, 0.98
"""Scores of pairs that are such: what else they differ in is not asked."""


class Pictures(NamedTuple):
    """What is compared of k pictures."""

    thumbs: Thumbs
    whole: Sequence[Grey | None]
    """k: the picture itself, grey; None where it is larger than `derived.LARGEST_ORIGINAL`."""
    small: Bools
    """k: it is smaller than a thumbnail."""


Fetch = Callable[[Ints], Pictures]
"""From rows to what is compared of them."""


class Compared(NamedTuple):
    """Of k pairs."""

    score: npt.NDArray[np.float32]
    """0..1, from SAME_FROM on one photograph."""
    made: npt.NDArray[np.int8]
    """1: the second picture surely was made of the first; -1: the first of the second; 0: it does not show. Where both
    were coded, either may pass for the original: then it is the first."""
    small: Bools
    """One of the pictures is smaller than a thumbnail: little tells two moments apart in it."""


def pictures(pixels: Iterable[npt.NDArray[np.uint8]]) -> Pictures:
    """Return what is compared of pictures, RGB or grey."""
    thumbs, whole, small = [np.zeros((0, SIDE, SIDE), np.uint8)], list[Grey | None](), list[bool]()
    for picture in pixels:
        grey = picture if picture.ndim == 2 else np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)
        thumbs.append(thumbnail(grey)[None])
        whole.append(grey if max(grey.shape) <= derived.LARGEST_ORIGINAL else None)
        small.append(min(grey.shape) < SIDE)
    return Pictures(np.concatenate(thumbs), whole, np.array(small, np.bool_))


def joined(parts: Iterable[Compared]) -> Compared:
    """Return the pairs of several parts in one."""
    nothing = Compared(np.zeros(0, np.float32), np.zeros(0, np.int8), np.zeros(0, np.bool_))
    return Compared(*(np.concatenate(part) for part in zip(nothing, *parts, strict=True)))


def compare(i: Ints, j: Ints, mirrored: Bools, fetch: Fetch) -> Compared:
    """Compare pairs of rows, the second one as it is or `mirrored` (k each); each row is fetched once."""
    rows, places = np.unique(np.concatenate([i, j]), return_inverse=True)
    found = fetch(rows)
    one, other = places[: len(i)], places[len(i) :]
    turned = found.thumbs[other]
    turned[mirrored] = turned[mirrored, :, ::-1]
    made, score = np.zeros(len(i), np.int8), np.zeros(len(i), np.float32)
    for some in _by_size(found.whole, one, other):
        alike = correlation(found.thumbs[one[some]].astype(np.float32), turned[some].astype(np.float32)) >= ALIKE
        if alike.any():
            asked = some[alike]
            first, second = (np.stack([found.whole[at] for at in side[asked]]) for side in (one, other))
            made[asked], score[asked] = _made(first, second, mirrored[asked])
    rest = np.flatnonzero(score == 0)
    score[rest] = same(found.thumbs[one[rest]], turned[rest])
    return Compared(score, made, found.small[one] | found.small[other])


def _by_size(whole: Sequence[Grey | None], one: Ints, other: Ints) -> Iterator[Ints]:
    """Yield pairs whose first pictures are of one size, and whose second ones are, BATCH at most; none too large."""
    sizes = defaultdict[tuple[tuple[int, ...], ...], list[int]](list)
    for at, (a, b) in enumerate(zip(one, other, strict=True)):
        first, second = whole[a], whole[b]
        if first is not None and second is not None:
            sizes[first.shape, second.shape].append(at)
    for (first_size, second_size), some in sizes.items():
        if min(max(first_size), max(second_size)) <= derived.LARGEST:
            yield from (np.array(some[start : start + BATCH]) for start in range(0, len(some), BATCH))


def _made(one: Greys, other: Greys, mirrored: Bools) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Return `Compared.made` of k pictures of one size and k of one size, and the scores that follow, else 0."""
    turned = mirrored[:, None, None]
    made, score = np.zeros(len(one), np.int8), np.zeros(len(one), np.float32)
    for sign, copies, originals in ((1, other, one), (-1, one, other)):
        rest = np.flatnonzero(score == 0)
        if len(rest) and max(copies.shape[1:]) <= derived.LARGEST:
            found = derived.made_of(copies[rest], np.where(turned, originals[:, :, ::-1], originals)[rest])
            made[rest[found.surely]] = sign
            score[rest] = np.where(found.surely, SURELY, np.where(found.likely, LIKELY, 0))
    return made, score
