"""Pixels to what near duplicates are searched by: two perceptual hashes, and a descriptor that can be moved.

Stands beside the decode of a picture. All three come from the picture's lowest cosine coefficients, which are sums of
whole numbers and thus the same on every machine; a mirrored picture only changes the sign of some of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

DOWN, ACROSS = 16, 17
"""Coefficients: frequencies 0 to 15 and 0 to 16, in half periods a picture."""
TABLE = 127
"""Of the cosines, which are whole numbers: 255 x 127 x 518 px still is a whole number in float32."""
EXACT_SIDE = 512
"""Pixels a side up to which float32 adds without rounding; larger pictures are added in float64."""
FREQUENCIES = tuple((down, across) for down in range(10) for across in range(10) if 0 < down + across <= 10)
"""Of the descriptor, vertical and horizontal: 63."""
SCALE = 96
"""Length of a descriptor; a face's largest number then is about 70 of the 127 that fit."""
FLAT = 8
"""Contrast byte below which a picture is as good as blank: a deviation of about 2 of 255 grey levels."""
PIXELS = 1 << 18
"""Pixels hashed at a time: few enough for the processor's cache, and enough for a call of numpy to cost little."""
LARGE = 192
"""Pixels a side from which an even picture is halved first."""

Pixels = npt.NDArray[np.uint8]
"""Height x width x 3, RGB, or height x width, grey."""


class Hashes(NamedTuple):
    """Of one picture."""

    hash64: int
    """Signs of the 8 x 8 lowest coefficients, as in pHash."""
    hash256: bytes
    """Signs of 16 x 16 coefficients, as in PDQ."""
    descriptor: bytes
    """63 signed bytes: weighted coefficients of FREQUENCIES at length SCALE; one byte: contrast."""


class Columns(NamedTuple):
    """Hashes of many pictures."""

    hash64: npt.NDArray[np.uint64]
    hash256: npt.NDArray[np.uint8]
    """n x 32."""
    descriptor: npt.NDArray[np.int8]
    """n x 64."""


def hash_pixels(picture: Pixels) -> Hashes:
    """Return the hashes of one picture; many at a time are hashed twice as fast by `hash_many`."""
    found = hash_many([picture])
    return Hashes(int(found.hash64[0]), found.hash256[0].tobytes(), found.descriptor[0].tobytes())


def hash_many(pictures: Sequence[Pixels]) -> Columns:
    """Return the hashes of pictures of any sizes, in their order: the same as one by one."""
    values, order = np.empty((len(pictures), DOWN, ACROSS)), list[int]()
    with one_thread():
        for rows in _alike(pictures):
            values[len(order) : len(order) + len(rows)] = _coefficients([pictures[row] for row in rows])
            order += rows
    found = _columns(values)
    if order == list(range(len(order))):
        return found
    back = np.argsort(order)
    return Columns(found.hash64[back], found.hash256[back], found.descriptor[back])


def one_thread() -> AbstractContextManager[object]:
    """Keep BLAS to one thread: products as small as these only make its threads wait for each other."""
    if all(library.num_threads == 1 for library in _blas().lib_controllers):
        return nullcontext()  # as in every worker; setting it again is slow
    limits: AbstractContextManager[object] = _blas().limit(limits=1)
    return limits


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="blas")


def columns(hashes: Iterable[Hashes]) -> Columns:
    rows = list(hashes)
    return Columns(
        np.array([row.hash64 for row in rows], np.uint64),
        np.frombuffer(b"".join(row.hash256 for row in rows), np.uint8).reshape(-1, 32),
        np.frombuffer(b"".join(row.descriptor for row in rows), np.int8).reshape(-1, 64),
    )


def mirrored(hashes: Columns) -> Columns:
    """Return the hashes of the mirrored pictures, from the hashes alone.

    A coefficient that is exactly 0 has no sign to change: of a picture that is its own mirror image, the bits of the
    odd coefficients come out wrong. The descriptor is right for all.
    """
    odd = np.broadcast_to(np.arange(1, ACROSS) % 2 == 1, (DOWN, DOWN))
    mask64 = np.packbits(odd[:8, :8]).view(">u8").astype(np.uint64)[0]
    return Columns(hashes.hash64 ^ mask64, hashes.hash256 ^ np.packbits(odd), hashes.descriptor * mirror_signs())


@cache
def mirror_signs() -> npt.NDArray[np.int8]:
    """Return the 64 factors that mirror a descriptor."""
    return np.array([(-1) ** across for _, across in FREQUENCIES] + [1], np.int8)


def _alike(pictures: Sequence[Pixels]) -> list[list[int]]:
    """Return the pictures' places in lots of one shape each and of no more than PIXELS."""
    shapes = defaultdict[tuple[int, ...], list[int]](list)
    for row, picture in enumerate(pictures):
        shapes[picture.shape].append(row)
    lots = []
    for shape, rows in shapes.items():
        most = max(1, PIXELS // max(1, shape[0] * shape[1]))
        lots += [rows[at : at + most] for at in range(0, len(rows), most)]
    return lots


def _coefficients(pictures: Sequence[Pixels]) -> npt.NDArray[np.float64]:
    """Return k x 16 x 17 cosine sums of pictures of one shape, in grey levels times TABLE squared."""
    if min(pictures[0].shape[:2]) >= LARGE:
        pictures = [_halved(picture) for picture in pictures]
    height, width = pictures[0].shape[:2]
    kind = "float32" if max(height, width) <= EXACT_SIDE else "float64"
    # Picture beside picture, so that each of the two sums is one product of matrices for all of them.
    beside = _grey(pictures).transpose(1, 0, 2).astype(kind, order="C").reshape(height, -1)
    lines = (cosines(height)[:DOWN].astype(kind) @ beside).astype(np.float64)
    sums = lines.reshape(-1, width) @ cosines(width).T
    return np.asarray(sums.reshape(DOWN, -1, ACROSS).transpose(1, 0, 2) / (height * width), np.float64)


def _grey(pictures: Sequence[Pixels]) -> Pixels:
    """Return k x height x width grey levels of pictures of one shape."""
    many = np.concatenate(pictures).reshape(len(pictures), -1, *pictures[0].shape[2:])
    if many.ndim == 3:  # all pixels of a picture as one line: OpenCV is slow at short ones
        many = np.asarray(cv2.cvtColor(many, cv2.COLOR_RGB2GRAY), np.uint8)
    return many.reshape(len(pictures), *pictures[0].shape[:2])


def _halved(picture: Pixels) -> Pixels:
    """Return a large picture of even sides at half its size, again and again: each pixel a rounded mean of four."""
    while min(picture.shape[:2]) >= LARGE and picture.shape[0] % 2 == picture.shape[1] % 2 == 0:
        half = (picture.shape[1] // 2, picture.shape[0] // 2)
        picture = np.asarray(cv2.resize(picture, half, interpolation=cv2.INTER_AREA), np.uint8)
    return picture


@cache
def cosines(side: int) -> npt.NDArray[np.float64]:
    """Return the 17 x `side` table of whole numbers, antisymmetric where the frequency is odd."""
    place = (np.arange(side) + 0.5) / side
    wave = np.rint(TABLE * np.cos(np.pi * np.arange(ACROSS)[:, None] * place))
    left = wave[:, : side // 2]
    wave[:, (side + 1) // 2 :] = left[:, ::-1] * (-1) ** np.arange(ACROSS)[:, None]
    if side % 2:
        wave[1::2, side // 2] = 0
    return np.asarray(wave, np.float64)


def _columns(values: npt.NDArray[np.float64]) -> Columns:
    bits = values[:, :, 1:] > 0
    short = np.packbits(bits[:, :8, :8].reshape(-1, 64), axis=1)
    long = np.packbits(bits.reshape(-1, 256), axis=1)
    return Columns(short.view(">u8")[:, 0].astype(np.uint64), long, _descriptors(values))


def _descriptors(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int8]:
    part = values.reshape(-1, DOWN * ACROSS).take(_places(), axis=1) * weights()
    length = np.sqrt((part * part).sum(1))
    out = np.empty((len(values), 64), np.int8)
    out[:, :63] = np.rint(part * (SCALE / np.maximum(length, 1))[:, None])  # none is longer than SCALE
    out[:, 63] = np.minimum(np.rint(8 * np.log2(1 + length / TABLE**2)), 127)
    return out


@cache
def _places() -> npt.NDArray[np.intp]:
    """Return where FREQUENCIES stand among the coefficients of a picture, as one line."""
    down, across = np.array(FREQUENCIES).T
    return np.asarray(down * ACROSS + across, np.intp)


@cache
def weights() -> npt.NDArray[np.float64]:
    """Return the weight of every frequency: the lowest are the strongest in any photograph."""
    down, across = np.array(FREQUENCIES).T
    edge = np.where(down == 0, 1, 2**0.5) * np.where(across == 0, 1, 2**0.5)
    return np.asarray(edge * np.sqrt(1 + down**2 + across**2), np.float64)
