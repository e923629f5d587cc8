"""Distances between the mesh points of a face, in units of its own eye distance, and the pose of the head.

On the way of a face this turns the mesh into numbers that mean something; `measures` stores them, and the
calibration says what may be concluded from them.

Point indices are those of MediaPipe's canonical face mesh (468 points, `canonical_face_model_uv_visualization`
of its documentation). Left and right are the person's own: in an unmirrored picture the person's left eye is
on the right. Distances are taken level with the eyes: roll and size are undone. Yaw and pitch are not: on renders,
turning the mesh back by the depth it guesses told no unit better and small pictures worse, so whoever judges a
measure weighs the pose beside it (`filters.units.features`). What the mouth does is measured against the eyes and
the nose base, which the mouth does not move, since lip corners measured against the lips fire on a dropped jaw,
pressed lips and dimples.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]

RIGHT_EYE, LEFT_EYE = (33, 133), (362, 263)
"""Outer and inner eye corners; their mean is the eye centre, which lids do not move."""
FOREHEAD, NOSE_BASE, CHIN = 10, 2, 152
UPPER_LIP_TOP, UPPER_LIP_INNER, LOWER_LIP_INNER, LOWER_LIP_BOTTOM = 0, 13, 14, 17
CHIN_FOLD = 18
"""Between the lower lip and the boss of the chin."""
ACROSS = ((33, 263), (133, 362), (127, 356), (234, 454))
"""Pairs of points, the person's right one first, that no expression moves: their lines give the yaw."""

REST_PITCH = 10.0
"""Degrees by which the chin lies behind the forehead in the mesh of a face that looks straight ahead."""


class Side(NamedTuple):
    """The points of one side of the face."""

    eye: tuple[int, int]
    upper_lid: tuple[int, int, int]
    lower_lid: tuple[int, int, int]
    brow_inner: tuple[int, int]
    """Lower and upper edge."""
    brow_middle: tuple[int, int]
    brow_outer: tuple[int, int]
    nostril: int
    cheek: tuple[int, int]
    """Below the eye, on the bone."""
    furrow: tuple[int, int]
    """Beside the nose and the mouth, where the nasolabial furrow runs."""
    corner: int
    inner_corner: int
    upper_quarter: tuple[int, int]
    """Of the upper lip, half way to the corner: outer and inner edge."""
    lower_quarter: tuple[int, int]
    """Of the lower lip: inner and outer edge."""


RIGHT = Side(
    RIGHT_EYE, (159, 158, 160), (145, 153, 144), (55, 107), (52, 105), (46, 70),
    129, (50, 101), (205, 207), 61, 78, (39, 81), (178, 181),
)  # fmt: skip
LEFT = Side(
    LEFT_EYE, (386, 385, 387), (374, 380, 373), (285, 336), (282, 334), (276, 300),
    358, (280, 330), (425, 427), 291, 308, (269, 311), (402, 405),
)  # fmt: skip

SIDED = {
    "brow_inner": "height of the brow's inner end above the eye centre",
    "brow_middle": "height of the brow's middle above the eye centre",
    "brow_outer": "height of the brow's outer end above the eye centre",
    "brow_in": "distance of the brow's inner end from the midline",
    "eye_open": "distance of the lids, the mean of three places",
    "upper_lid": "height of the upper lid above the line of the eye's corners",
    "eye_width": "distance of the eye's corners",
    "cheek_drop": "distance of the cheek from the eye centre, downwards",
    "furrow_drop": "distance of the cheek beside nose and mouth from the eye centre, downwards",
    "furrow_out": "distance of the cheek beside nose and mouth from the midline",
    "nostril_drop": "distance of the nostril's wing from the eye centre, downwards",
    "corner_lift": "height of the lip corner above the nose base: negative, since it lies below",
    "corner_drop": "distance of the lip corner from the eye centre, downwards",
    "corner_out": "distance of the lip corner from the midline",
    "corner_back": "how far the lip corner lies behind the nose base",
    "corner_curve": "height of the lip corner above the middle of the upper lip's inner edge",
    "lip_gap_side": "distance of the lips' inner edges, half way to the corner",
    "upper_lip_side": "height of the red of the upper lip, half way to the corner",
    "lower_lip_side": "height of the red of the lower lip, half way to the corner",
    "lip_rise_side": "distance of the upper lip's top from the nose base, half way to the corner",
}
"""What is measured on both sides; each name gets `_left` and `_right`."""

MIDLINE = {
    "brow_gap": "distance of the brows' inner ends",
    "nose_length": "distance of the nose base from the line of the eyes",
    "nose_width": "distance of the outer edges of the nostrils",
    "mouth_width": "distance of the lip corners",
    "mouth_inner_width": "distance of the corners of the mouth's opening",
    "mouth_skew": "corner_lift_left less corner_lift_right",
    "lip_gap": "distance of the lips' inner edges, in the middle",
    "upper_lip": "height of the red of the upper lip, in the middle",
    "lower_lip": "height of the red of the lower lip, in the middle",
    "upper_lip_nose": "distance of the upper lip's top from the nose base",
    "upper_lip_out": "how far the upper lip stands out before the nose base",
    "lower_lip_out": "how far the lower lip stands out before the nose base",
    "chin_lip": "distance of the chin from the lower lip's bottom",
    "chin_fold_out": "how far the fold above the chin stands out before the nose base",
    "jaw_drop": "distance of the chin from the nose base",
}

ABOUT = {f"{name}_{side}": text for name, text in SIDED.items() for side in ("left", "right")} | MIDLINE
"""Every measure, in units of the distance of the eye centres."""


class Pose(NamedTuple):
    """Degrees; see `pose`."""

    yaw: float
    pitch: float
    roll: float


def pose(points: Points) -> Pose:
    """Return the head's pose in degrees from the mesh (468 x 3, x right, y down, z away from the camera).

    yaw = atan2(dz, dx) of the summed lines ACROSS the face: positive where the person turns to their left.
    pitch = REST_PITCH - atan2(dz, dy) of the line from the forehead to the chin: positive where they look up; an
    open jaw takes off some two degrees, a wide smile five.
    roll = atan2(dy, dx) of the line of the eye centres: positive where the head leans clockwise in the picture.
    The mesh guesses depth from one picture: on renders 20 degrees come out as 19 of yaw and 14 to 19 of pitch,
    40 degrees of yaw as 31. Meant for gating.
    """
    across = _across(points)
    flat = float(np.hypot(across[0], across[1]))
    eyes = _centre(points, LEFT_EYE) - _centre(points, RIGHT_EYE)
    down = points[CHIN] - points[FOREHEAD]
    slope = _degrees(down[2], float(np.hypot(down[0], down[1])))
    return Pose(_degrees(across[2], flat), REST_PITCH - slope, _degrees(eyes[1], eyes[0]))


def eye_distance(points: Points) -> float:
    """Return the distance of the eye centres in the picture, in pixels of it."""
    return float(np.hypot(*(_centre(points, LEFT_EYE) - _centre(points, RIGHT_EYE))[:2]))


def measure_points(points: Points) -> dict[str, float]:
    """Return the measures of a mesh (468 x 3, pixels), in eye distances; names and meanings in ABOUT."""
    face = levelled(points)
    sides = {f"{name}_{word}": value for word, side, out in (("left", LEFT, 1.0), ("right", RIGHT, -1.0))
             for name, value in (_upper(face, side, out) | _lower(face, side, out)).items()}  # fmt: skip
    return {name: float(value) for name, value in (sides | _midline(face, sides)).items()}


def levelled(points: Points) -> Points:
    """Return the points with the middle of the eyes as origin, x to the person's left along their line, y down.

    z stays away from the camera; the unit is the distance of the eye centres in the picture.
    """
    right, left = _centre(points, RIGHT_EYE), _centre(points, LEFT_EYE)
    across = (left - right) * (1, 1, 0)
    unit = max(float(np.linalg.norm(across)), 1e-9)
    x = across / unit
    axes = np.stack([x, (-x[1], x[0], 0.0), (0.0, 0.0, 1.0)], 1)
    return np.asarray((points - (left + right) / 2) @ axes / unit)


def _upper(face: Points, side: Side, out: float) -> dict[str, float]:
    x, y = face[:, 0] * out, face[:, 1]
    eye, upper = _mean(y, side.eye), _mean(y, side.upper_lid)
    return {
        "brow_inner": eye - _mean(y, side.brow_inner),
        "brow_middle": eye - _mean(y, side.brow_middle),
        "brow_outer": eye - _mean(y, side.brow_outer),
        "brow_in": _mean(x, side.brow_inner),
        "eye_open": _mean(y, side.lower_lid) - upper,
        "upper_lid": eye - upper,
        "eye_width": abs(x[side.eye[0]] - x[side.eye[1]]),
        "cheek_drop": _mean(y, side.cheek) - eye,
        "furrow_drop": _mean(y, side.furrow) - eye,
        "furrow_out": _mean(x, side.furrow),
        "nostril_drop": y[side.nostril] - eye,
    }


def _lower(face: Points, side: Side, out: float) -> dict[str, float]:
    x, y, z = face[:, 0] * out, face[:, 1], face[:, 2]
    (upper_out, upper_in), (lower_in, lower_out) = side.upper_quarter, side.lower_quarter
    return {
        "corner_lift": y[NOSE_BASE] - y[side.corner],
        "corner_drop": y[side.corner] - _mean(y, side.eye),
        "corner_out": x[side.corner],
        "corner_back": z[side.corner] - z[NOSE_BASE],
        "corner_curve": y[UPPER_LIP_INNER] - y[side.corner],
        "lip_gap_side": y[lower_in] - y[upper_in],
        "upper_lip_side": y[upper_in] - y[upper_out],
        "lower_lip_side": y[lower_out] - y[lower_in],
        "lip_rise_side": y[upper_out] - y[NOSE_BASE],
    }


def _midline(face: Points, sides: Mapping[str, float]) -> dict[str, float]:
    x, y, z = face[:, 0], face[:, 1], face[:, 2]
    return {
        "brow_gap": _mean(x, LEFT.brow_inner) - _mean(x, RIGHT.brow_inner),
        "nose_length": y[NOSE_BASE],
        "nose_width": x[LEFT.nostril] - x[RIGHT.nostril],
        "mouth_width": x[LEFT.corner] - x[RIGHT.corner],
        "mouth_inner_width": x[LEFT.inner_corner] - x[RIGHT.inner_corner],
        "mouth_skew": sides["corner_lift_left"] - sides["corner_lift_right"],
        "lip_gap": y[LOWER_LIP_INNER] - y[UPPER_LIP_INNER],
        "upper_lip": y[UPPER_LIP_INNER] - y[UPPER_LIP_TOP],
        "lower_lip": y[LOWER_LIP_BOTTOM] - y[LOWER_LIP_INNER],
        "upper_lip_nose": y[UPPER_LIP_TOP] - y[NOSE_BASE],
        "upper_lip_out": z[NOSE_BASE] - z[UPPER_LIP_TOP],
        "lower_lip_out": z[NOSE_BASE] - z[LOWER_LIP_BOTTOM],
        "chin_lip": y[CHIN] - y[LOWER_LIP_BOTTOM],
        "chin_fold_out": z[NOSE_BASE] - z[CHIN_FOLD],
        "jaw_drop": y[CHIN] - y[NOSE_BASE],
    }


def _across(points: Points) -> Points:
    return np.asarray(np.sum([points[left] - points[right] for right, left in ACROSS], axis=0))


def _degrees(rise: float, run: float) -> float:
    return float(np.degrees(np.arctan2(rise, run)))


def _mean(values: Points, at: tuple[int, ...]) -> float:
    return float(_centre(values, at))


def _centre(points: Points, at: tuple[int, ...]) -> Points:
    """Return the mean of some points or numbers; numpy's own `mean` takes three times as long for a few."""
    return np.asarray(np.add.reduce(points[list(at)], 0) / len(at))
