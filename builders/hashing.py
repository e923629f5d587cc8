"""Pixels to what near duplicates are searched by: two perceptual hashes, and a descriptor that can be moved.

Stands beside the decode of a picture. All three come from the picture's lowest cosine coefficients, which are sums of
whole numbers and thus the same on every machine; a mirrored picture only changes the sign of some of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

ACROSS = 17
"""Coefficients a side: frequencies 0 to 16, in half periods a picture."""
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
PIXELS = 1 << 17
"""Pixels hashed at a time: their sums stay in the processor's cache."""
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
    values = np.empty((len(pictures), ACROSS, ACROSS))
    with one_thread():
        for rows in _alike(pictures):
            values[rows] = _coefficients([pictures[row] for row in rows])
    return _columns(values)


def one_thread() -> AbstractContextManager[object]:
    """Keep BLAS to one thread: products as small as these only make its threads wait for each other."""
    limits: AbstractContextManager[object] = _controller().limit(limits=1, user_api="blas")
    return limits


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


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
    odd = np.broadcast_to(np.arange(1, ACROSS) % 2 == 1, (16, 16))
    mask64 = np.packbits(odd[:8, :8]).view(">u8").astype(np.uint64)[0]
    return Columns(hashes.hash64 ^ mask64, hashes.hash256 ^ np.packbits(odd), hashes.descriptor * mirror_signs())


@cache
def mirror_signs() -> npt.NDArray[np.int8]:
    """Return the 64 factors that mirror a descriptor."""
    return np.array([(-1) ** across for _, across in FREQUENCIES] + [1], np.int8)


def _alike(pictures: Sequence[Pixels]) -> list[list[int]]:
    """Return the pictures' places in lots of one shape each and of no more than PIXELS."""
    lots: list[list[int]] = []
    open_: dict[tuple[int, ...], list[int]] = {}
    for row, picture in enumerate(pictures):
        lot = open_.get(picture.shape)
        if lot is None or (len(lot) + 1) * picture.shape[0] * picture.shape[1] > PIXELS:
            lot = open_[picture.shape] = []
            lots.append(lot)
        lot.append(row)
    return lots


def _coefficients(pictures: Sequence[Pixels]) -> npt.NDArray[np.float64]:
    """Return k x 17 x 17 cosine sums of pictures of one shape, in grey levels times TABLE squared."""
    if min(pictures[0].shape[:2]) >= LARGE:
        pictures = [_halved(picture) for picture in pictures]
    height, width = pictures[0].shape[:2]
    tall = np.concatenate(pictures)  # one conversion to grey for all of them
    grey = np.asarray(cv2.cvtColor(tall, cv2.COLOR_RGB2GRAY) if tall.ndim == 3 else tall, np.uint8)
    kind = "float32" if max(height, width) <= EXACT_SIDE else "float64"
    lines = grey.astype(kind) @ _upright(width, kind)
    sums = cosines(height) @ lines.reshape(-1, height, ACROSS).astype(np.float64)
    return np.asarray(sums / (height * width), np.float64)


@cache
def _upright(side: int, kind: str) -> npt.NDArray[np.floating]:
    """Return the table of cosines turned, `side` x 17."""
    return np.ascontiguousarray(cosines(side).T.astype(kind))


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
    bits = values[:, :16, 1:] > 0
    short = np.packbits(bits[:, :8, :8].reshape(-1, 64), axis=1)
    long = np.packbits(bits.reshape(-1, 256), axis=1)
    return Columns(short.view(">u8")[:, 0].astype(np.uint64), long, _descriptors(values))


def _descriptors(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int8]:
    down, across = np.array(FREQUENCIES).T
    part = values[:, down, across] * weights()
    length = np.sqrt((part * part).sum(1))
    out = np.empty((len(values), 64), np.int8)
    out[:, :63] = np.clip(np.rint(part * (SCALE / np.maximum(length, 1))[:, None]), -127, 127)
    out[:, 63] = np.clip(np.rint(8 * np.log2(1 + length / TABLE**2)), 0, 127)
    return out


@cache
def weights() -> npt.NDArray[np.float64]:
    """Return the weight of every frequency: the lowest are the strongest in any photograph."""
    down, across = np.array(FREQUENCIES).T
    edge = np.where(down == 0, 1, 2**0.5) * np.where(across == 0, 1, 2**0.5)
    return np.asarray(edge * np.sqrt(1 + down**2 + across**2), np.float64)
