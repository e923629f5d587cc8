"""How surely two pictures are one photograph: by what differs, and by whether one was made of the other.

Stands between the search, which proposes pairs of rows, and the judgements of a pair (`same`, `derived`); the pictures
are fetched here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from ferbuild.builders import derived
from ferbuild.builders.clusters import Bools, Ints
from ferbuild.builders.same import BATCH, SIDE, Thumbs, same, thumbnail

Grey = npt.NDArray[np.uint8]
"""Rows x columns."""

ASKED = 0.05
"""Score from which it is asked whether one picture was made of the other: copies reach it, however strongly coded."""
MADE = 0.98
"""Score that such a pair has at least."""


class Pictures(NamedTuple):
    """What is compared of k pictures."""

    thumbs: Thumbs
    whole: Sequence[Grey | None]
    """k: the picture itself, grey; None where it is larger than `derived.LARGEST`."""


Fetch = Callable[[Ints], Pictures]
"""From rows to what is compared of them."""


class Compared(NamedTuple):
    """Of k pairs."""

    score: npt.NDArray[np.float32]
    """0..1, from SAME_FROM on one photograph."""
    made: npt.NDArray[np.int8]
    """1: the second picture was made of the first; -1: the first of the second; 0: it does not show."""
    small: Bools
    """One of the pictures is smaller than a thumbnail: little tells two moments apart in it."""


def pictures(pixels: Iterable[npt.NDArray[np.uint8]]) -> Pictures:
    """Return what is compared of pictures, RGB or grey."""
    thumbs, whole = [np.zeros((0, SIDE, SIDE), np.uint8)], list[Grey | None]()
    for picture in pixels:
        grey = picture if picture.ndim == 2 else np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)
        thumbs.append(thumbnail(grey)[None])
        whole.append(grey if max(grey.shape) <= derived.LARGEST else None)
    return Pictures(np.concatenate(thumbs), whole)


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
    score = same(found.thumbs[one], turned)
    made = np.zeros(len(i), np.int8)
    asked = np.flatnonzero(score >= ASKED)
    for start in range(0, len(asked), BATCH):
        part = asked[start : start + BATCH]
        whole = [(found.whole[a], found.whole[b]) for a, b in zip(one[part], other[part], strict=True)]
        made[part] = _made(whole, mirrored[part])
    little = np.array([picture is not None and min(picture.shape) < SIDE for picture in found.whole], np.bool_)
    return Compared(np.where(made, np.maximum(score, np.float32(MADE)), score), made, little[one] | little[other])


def _made(pairs: Sequence[tuple[Grey | None, Grey | None]], mirrored: Bools) -> npt.NDArray[np.int8]:
    """Return `Compared.made`; pictures of one size are looked at together."""
    sizes = defaultdict[tuple[tuple[int, ...], ...], list[int]](list)
    for at, (one, other) in enumerate(pairs):
        if one is not None and other is not None:
            sizes[one.shape, other.shape].append(at)
    out = np.zeros(len(pairs), np.int8)
    for some in sizes.values():
        one, other = (np.stack([pairs[at][side] for at in some]) for side in (0, 1))  # type: ignore[misc]
        ways = mirrored[some, None, None]
        second = derived.made_of(other, np.where(ways, one[:, :, ::-1], one))
        first = derived.made_of(one, np.where(ways, other[:, :, ::-1], other))
        out[some] = np.where(second, 1, np.where(first, -1, 0))
    return out
