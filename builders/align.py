"""Cuts a face out upright and at one scale, by its five points.

On the way of a face this stands between the detector and whatever wants every face to lie alike: unit models now,
face recognition by the same template.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ferbuild.builders.detect import Floats
from ferbuild.builders.images import Pixels

Matrix = npt.NDArray[np.float64]

TEMPLATE_SIDE = 112
TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Where ArcFace (Deng et al. 2019) puts eye, eye, nose tip, mouth corner and mouth corner, left in the picture first,
in a crop of TEMPLATE_SIDE pixels."""

LEAST_SPREAD = 0.5
"""Pixels: the root mean square distance of the points from their middle below which they have no direction."""


def align(rgb: Pixels, points: Floats, side: int, *, margin: float = 0.0) -> Pixels:
    """Return the face as a side x side crop, its five points (5 x 2, pixels) as near the template as they come.

    `margin` is the share of the crop's side that is added on each side, by making the face smaller. What lies outside
    the picture is black, as in the crops that recognition models were trained on. Raises ValueError for points that
    lie in one spot or are no numbers.
    """
    return warp(rgb, similarity(points, template(side, margin=margin)), (side, side))


def template(side: int, *, margin: float = 0.0) -> Matrix:
    """Return the template's five points (5 x 2) in pixels of a crop of `side`."""
    middle = side / 2
    return np.asarray((TEMPLATE * (side / TEMPLATE_SIDE) - middle) / (1 + 2 * margin) + middle)


def similarity(points: npt.NDArray[np.floating], targets: npt.NDArray[np.floating]) -> Matrix:
    """Return the 2 x 3 map that brings `points` (N x 2) onto `targets` with the least sum of squared distances.

    It turns, scales and shifts, and never mirrors or shears (Umeyama 1991); in the plane, with points as complex
    numbers about their middles, turn and scale are one division. Raises ValueError for points without direction.
    """
    start, end = np.asarray(points, np.float64), np.asarray(targets, np.float64)
    here, there = start.mean(0), end.mean(0)
    z, w = ((one - middle) @ np.array([1, 1j]) for one, middle in ((start, here), (end, there)))
    spread = float(np.mean(np.abs(z) ** 2))
    if not np.sqrt(spread) >= LEAST_SPREAD or not np.isfinite(w).all():
        raise ValueError("the five points have no direction")
    turn = np.vdot(z, w) / (spread * len(z))
    linear = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    return np.column_stack([linear, there - linear @ here])


def warp(rgb: Pixels, matrix: Matrix, size: tuple[int, int]) -> Pixels:
    """Return the picture mapped by `matrix` (2 x 3) into width x height pixels, black where it has nothing."""
    return np.asarray(cv2.warpAffine(rgb, matrix, size, flags=cv2.INTER_LINEAR), np.uint8)
