"""What a linear probe sees of a face: the histogram of oriented gradients, and a small grey picture of it.

Stands below the probe. Both are old and simple on purpose: they show how far one gets without a model.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ferbuild.builders.images import Pixels
from ferbuild.builders.picture_net import resized

Floats = npt.NDArray[np.float32]

SIDE = 64
"""Pixels of the grey face."""
CELL = 8
"""Pixels a side of a cell."""
BLOCK = 2
"""Cells a side of a block."""
BINS = 9
"""Of direction, from 0 to 180 degrees."""
THUMBNAIL = 16
"""Pixels a side of the small picture."""
CELLS = SIDE // CELL
BLOCKS = CELLS - BLOCK + 1
COUNT = BLOCKS**2 * BLOCK**2 * BINS + THUMBNAIL**2
"""Numbers that `describe` gives: 1,764 of gradients, 256 of the small picture."""
LEAST = 1e-5
"""Keeps what is nearly flat from being blown up to full contrast."""

_CELL_OF = np.add.outer(np.arange(SIDE) // CELL * CELLS, np.arange(SIDE) // CELL)
"""The cell that each pixel lies in."""


def describe(rgb: Pixels) -> Floats:
    """Return COUNT numbers that describe a picture of a face (H x W x 3), stretched to SIDE x SIDE in grey."""
    grey = cv2.cvtColor(resized(rgb, SIDE, SIDE), cv2.COLOR_RGB2GRAY).astype(np.float64) / 255
    small = np.asarray(cv2.resize(grey, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA))
    level = (small - small.mean()) / max(float(small.std()), LEAST)
    return np.concatenate([gradients(grey), level.ravel()]).astype(np.float32)


def gradients(grey: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the histogram of oriented gradients of SIDE x SIDE grey values, 0..1 (Dalal and Triggs 2005).

    Numbers and order are those of scikit-image's `hog` with these cells, blocks and bins and its L2-Hys norm: by block
    row and column, cell row and column within the block, and direction.
    """
    down, across = np.zeros_like(grey), np.zeros_like(grey)
    down[1:-1] = grey[2:] - grey[:-2]
    across[:, 1:-1] = grey[:, 2:] - grey[:, :-2]
    turn = np.rad2deg(np.arctan2(down, across)) % 180
    at = _CELL_OF * BINS + np.minimum((turn * (BINS / 180)).astype(np.int64), BINS - 1)
    summed = np.bincount(at.ravel(), np.hypot(down, across).ravel(), CELLS**2 * BINS)
    cells = summed.reshape(CELLS, CELLS, BINS) / CELL**2
    blocks = np.lib.stride_tricks.sliding_window_view(cells, (BLOCK, BLOCK), axis=(0, 1))
    rows = np.ascontiguousarray(blocks.transpose(0, 1, 3, 4, 2)).reshape(BLOCKS**2, -1)
    return _normed(np.minimum(_normed(rows), 0.2)).ravel()


def _normed(rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(rows / np.sqrt((rows**2).sum(1, keepdims=True) + LEAST**2))
