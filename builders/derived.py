"""Tells whether a small picture was made of another one: coded anew as JPEG, or resized and coded.

Stands beside the judgement of what two pictures differ in (`same`), which coding noise blurs. A picture that was coded
still shows the steps to which its coefficients were rounded (ITU-T T.81, annex A.3.4). What it was made of has every
coefficient within half a step of there; another photograph, and another moment of the same person, has some outside,
however little they differ, unless the coding left next to nothing. Only pictures as they were coded can show it:
nothing is said of those that were cut or turned since.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from ferbuild.builders.clusters import Bools

Greys = npt.NDArray[np.uint8]
"""k x rows x columns, grey."""
Floats = npt.NDArray[np.float32]

Resize = Callable[[Greys, tuple[int, int]], Greys]
"""From a picture and columns and rows to the picture in that size."""

LARGEST, LARGEST_ORIGINAL = 128, 256
"""Pixels of the longer side up to which a picture is looked at as a copy, since in larger ones an expression outweighs
coding noise; and up to which it is looked at as what a copy was made of."""
BLOCK = 8
LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
"""Steps of quality 50: ITU-T T.81, table K.1."""
QUALITIES = range(15, 99)
"""Of libjpeg, whose scale of the table Pillow, OpenCV and most others use. Finer steps do not show after rounding."""
SPREAD, SURE = 0.5, 20.0
"""Deviation of a coefficient from its multiple, as pixels are rounded; and the log-likelihood, against other steps or
none, from which steps show."""
ROUNDED = 1.0
"""Distance from where it may lie that a coefficient is forgiven: pixels were rounded, before coding and after."""
OUTSIDE = 0.4
"""Root of the squared distances beyond that, of a whole picture that still was made of the other. Measured: 0 to .3 of
97 % of the copies, and .55 at least of other pictures."""
SOUND = 0.5
"""Share of the blocks that must not be clipped: what was lost at black or white has no coefficients."""
TELLING = 9.9
"""Blocks of quality 50 that must tell as much as a copy does: two blocks of twice its steps are one of them. Measured
on 1,116 pairs of two moments that are hardly to be told apart, one of them coded: JPEG 15 (11.8) was taken for a copy
of the other moment never, half the size at JPEG 60 (11.2) once; JPEG 10 (9.8) 8 times, half at JPEG 30 (5.4) 28 times.
"""
PLENTY, WIDEST, LOCAL = 20.0, 3.0, 36
"""What tells more than that is believed with wider steps, up to so many times: it may have been coded before, too. Of
the same pairs 11 at most were then taken for copies (24 px JPEG 92): likely enough for a pair, and not for more. As an
expression is local, no more blocks than those of 48 px count."""


class Made(NamedTuple):
    """Of k pictures whether they were made of k others."""

    surely: Bools
    likely: Bools
    """Or of what the others were made of, too; all that surely were are among them."""


def made_of(copies: Greys, originals: Greys) -> Made:
    """Tell which of k pictures were made of k others by resizing, where the sizes differ, and coding.

    copies: k of one size, originals: k of one size. Of two pictures of one size, both coded, the finer one passes for a
    copy of the other, too.
    """
    out = Made(np.zeros(len(copies), np.bool_), np.zeros(len(copies), np.bool_))
    blocks = _blocks(copies)
    if not blocks.size:
        return out
    sound = (blocks.min((2, 3), initial=255) > 0) & (blocks.max((2, 3), initial=0) < 255)
    found = _coefficients(blocks)
    steps = _steps(np.where(sound[..., None, None], found, 0))[:, None]
    fine = np.asarray(np.array(LUMINANCE) / steps, np.float32).mean((1, 2, 3))
    count = sound.sum(1)
    tells = np.flatnonzero((sound.mean(1) >= SOUND) & (count * fine >= TELLING))
    nearest = steps * np.rint(found / steps)
    half = np.asarray(steps / 2, np.float32)
    wider = np.asarray(
        half * np.clip(np.minimum(count, LOCAL) * fine / PLENTY, 1, WIDEST)[:, None, None, None], np.float32
    )
    for way in WAYS if copies.shape != originals.shape else WAYS[:1]:
        left = tells[~out.surely[tells]]
        if not len(left):
            break
        resized = np.stack([way(one, copies.shape[:0:-1]) for one in originals[left]])
        off = np.abs(_coefficients(_blocks(resized)) - nearest[left])
        out.surely[left] = _inside(off, half[left], sound[left])
        out.likely[left] |= _inside(off, wider[left], sound[left])
    return out


def _inside(off: Floats, limits: Floats, sound: Bools) -> Bools:
    """Return of which pictures the coefficients are not off by more than the limits, but for what rounding does."""
    far = (np.maximum(off - limits - ROUNDED, 0) ** 2).sum((2, 3))
    return np.asarray(np.where(sound, far, 0).sum(1) <= OUTSIDE**2)


def _by_opencv(way: int) -> Resize:
    return lambda picture, size: np.asarray(cv2.resize(picture, size, interpolation=way), np.uint8)


def _by_pillow(way: Image.Resampling) -> Resize:
    return lambda picture, size: np.asarray(Image.fromarray(picture).resize(size, way), np.uint8)


WAYS = (
    *map(_by_opencv, (cv2.INTER_AREA, cv2.INTER_CUBIC, cv2.INTER_LINEAR)),
    *map(_by_pillow, (Image.Resampling.BICUBIC, Image.Resampling.LANCZOS, Image.Resampling.BILINEAR)),
)
"""In which pictures are resized; all leave a picture of that size as it is."""


def _steps(found: Floats) -> Floats:
    """Return the steps that coefficients, k x blocks x 8 x 8, show, as k x 8 x 8; ones where they show none.

    Coefficients that were rounded lie at multiples with a normal error, others anywhere between two multiples alike.
    Where the picture was coded before, with coarser steps, these count. The largest and the least of every frequency
    are asked.
    """
    values = np.concatenate([found.max(1), found.min(1)], axis=1).reshape(len(found), -1)
    steps = np.tile(_tables(), (1, 2, 1)).reshape(len(QUALITIES), -1)
    large = np.abs(values) > 2 * SPREAD
    off = np.where(large, values, 0)[:, None] / steps
    off = ((off - np.rint(off)) * steps) ** 2
    gain = large @ np.log(steps).T

    def likely(spread: Floats) -> Floats:
        """Return the log-likelihood of every quality, of multiples met with a deviation (k x values)."""
        lost = np.where(large, np.log(spread * np.sqrt(2 * np.pi)), 0).sum(1)
        return np.asarray(gain - lost[:, None] - (off @ (0.5 / spread**2)[..., None])[..., 0], np.float32)

    once = likely(np.full(values.shape, SPREAD, np.float32))
    last, shows = once.argmax(1), once.max(1) > SURE
    before = likely(np.sqrt(SPREAD**2 + steps[last] ** 2 / 12))
    before -= np.take_along_axis(before, last[:, None], 1)
    before[np.arange(len(QUALITIES)) >= last[:, None]] = 0
    best = np.where(before.max(1) > SURE, before.argmax(1), last)
    return np.asarray(np.where(shows[:, None, None], _tables()[best], 1), np.float32)


@cache
def _tables() -> Floats:
    """Return the steps of every quality, n x 8 x 8."""
    scale = [5000 // quality if quality < 50 else 200 - 2 * quality for quality in QUALITIES]
    tables = (np.array(LUMINANCE) * np.array(scale)[:, None, None] + 50) // 100
    return np.asarray(np.clip(tables, 1, 255), np.float32)


def _blocks(pictures: Greys) -> Floats:
    """Return the whole blocks, k x n x 8 x 8 grey levels."""
    down, right = (side // BLOCK for side in pictures.shape[1:])
    cut = pictures[:, : down * BLOCK, : right * BLOCK].astype(np.float32)
    apart = cut.reshape(len(cut), down, BLOCK, right, BLOCK).swapaxes(2, 3)
    return np.asarray(apart.reshape(len(cut), down * right, BLOCK, BLOCK), np.float32)


def _coefficients(blocks: Floats) -> Floats:
    """Return the discrete cosine transform of every block (ITU-T T.81, annex A.3.3), k x n x 8 x 8."""
    waves = _waves()
    return np.asarray(waves @ (blocks - 128) @ waves.T, np.float32)


@cache
def _waves() -> Floats:
    u, x = np.mgrid[0:BLOCK, 0:BLOCK]
    waves = np.cos((2 * x + 1) * u * np.pi / (2 * BLOCK)) * np.sqrt(2 / BLOCK)
    waves[0] /= np.sqrt(2)
    return np.asarray(waves, np.float32)
