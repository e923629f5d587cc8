"""Checks on a face: each one function, named in a recipe, that returns a drop reason or None.

A check is given the row, its `pixels` (height x width x 3, RGB, 0..255) and, where it says that it `needs` them, what
a detector found (`faces_found`, `second_face`, `det_score`, `landmarks`) and the turn of the head (`yaw`, `pitch`,
`roll`). None of them can be asked about a picture that cannot be decoded: there is nothing to store of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ferbuild.filters.bind import needs

DETAIL = 48
"""Pixels of the shorter side at which sharpness is judged: those of FER2013, the smallest faces in wide use."""
LONGEST = 16 * DETAIL
"""Pixels of the longer side there; a narrower picture is squeezed."""


def too_small(row: Mapping[str, Any], *, side: int = 16) -> str | None:
    """Drop a face whose shorter side is below `side` pixels."""
    return "too small" if min(row["width"], row["height"]) < side else None


def extreme_aspect(row: Mapping[str, Any], *, ratio: float = 4.0) -> str | None:
    """Drop a face whose longer side is more than `ratio` times the shorter."""
    short, long = sorted((row["width"], row["height"]))
    return "extreme aspect" if long > ratio * short else None


def blank(row: Mapping[str, Any], *, deviation: float = 2.0) -> str | None:
    """Drop a picture whose grey values (0..255) have a standard deviation below `deviation`: nothing is on it."""
    return "blank" if float(cv2.meanStdDev(_grey(row["pixels"]))[1][0, 0]) < deviation else None


def blurred(row: Mapping[str, Any], *, sharpness: float = 0.2) -> str | None:
    """Drop a picture with less `sharpness` than asked for (see `_sharpness` for what is usual)."""
    return "blurred" if _sharpness(row["pixels"]) < sharpness else None


@needs("faces")
def no_face(row: Mapping[str, Any], *, score: float = 0.0) -> str | None:
    """Drop a picture without a face, or with one whose detection scores below `score` (0..1).

    Tight crops of 48 pixels fail many detectors: know yours before you drop by it.
    """
    if row["faces_found"] is None:
        return None
    return "no face" if not row["faces_found"] or row["det_score"] < score else None


@needs("faces")
def several_faces(row: Mapping[str, Any], *, weight: float = 0.5) -> str | None:
    """Drop a picture whose second face weighs at least `weight` of the first, by area and nearness to the middle."""
    second = row["second_face"]
    return "several faces" if second is not None and second >= weight else None


@needs("pose")
def extreme_pose(row: Mapping[str, Any], *, yaw: float = 60.0, pitch: float = 45.0, roll: float = 60.0) -> str | None:
    """Drop a face that is turned, raised or tilted by more than so many degrees, either way."""
    limits = (("yaw", yaw), ("pitch", pitch), ("roll", roll))
    return "extreme pose" if any(row[name] is not None and abs(row[name]) > most for name, most in limits) else None


def _sharpness(pixels: npt.NDArray[np.uint8]) -> float:
    """Return how much of the contrast is fine: the Laplacian's standard deviation by that of the grey values.

    Both at DETAIL pixels, so that a face of 48 pixels is judged alike as it is and enlarged to 224, and a dark one
    like a bright one. Median (1st..95th percentile) as measured: rendered faces .71 (.42...99) at 48 and at 224 pixels,
    48 enlarged to 224 .56 (.34...78), scikit-image's 25 pixel faces .47 (.31...60); of the rendered ones at 224 pixels
    after Gaussian blur: sigma 4 .27 (.17...38), sigma 6 .17 (.10...25), sigma 8 .12 (.07...19).
    """
    grey = _grey(pixels)
    factor = DETAIL / min(grey.shape)
    height, width = (min(LONGEST, max(DETAIL, round(side * factor))) for side in grey.shape)
    small = cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
    fine = cv2.Laplacian(small, cv2.CV_32F, ksize=1, borderType=cv2.BORDER_REPLICATE)
    return float(fine.std() / max(float(small.std()), 1e-6))


def _grey(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))
