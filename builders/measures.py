"""Distances between mesh points of a face, in units of its own eye distance, and the pose of the head.

On the way of a face this follows detection and mesh; the measures stage stores what `measure_picture` returns,
and the geometry teacher and the later grounding checks read nothing else of the picture.

Point indices are those of MediaPipe's canonical face mesh (468 points, `canonical_face_model_uv_visualization`
of its documentation). Left and right are the person's own: in an unmirrored picture the person's left eye is
on the right. The mouth's corners are measured against the nose base, which the mouth does not move, and not
only against the lips, since a dropped jaw or pressed lips move those. A measure is no action unit: faces differ
at rest, and what a value means is for a calibration to say.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ferbuild.builders.assets import fetch
from ferbuild.builders.detect import Detection, Detector, open_detector
from ferbuild.builders.images import Pixels, decode
from ferbuild.builders.mesh import FaceMesh, Mesh, open_mesh

Points = npt.NDArray[np.float64]

PRESENT = 0.5
"""A mesh with less presence is a guess: nothing is measured on it."""

RIGHT_EYE, LEFT_EYE = (33, 133), (362, 263)
"""Eye corners; their mean is the eye centre, which lids do not move."""
NOSE_BASE = 2
UPPER_LIP_TOP, UPPER_LIP_INNER, LOWER_LIP_INNER, LOWER_LIP_BOTTOM, CHIN = 0, 13, 14, 17, 152
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
    corner: int


RIGHT = Side(RIGHT_EYE, (159, 158, 160), (145, 153, 144), (55, 107), (52, 105), (46, 70), 129, 61)
LEFT = Side(LEFT_EYE, (386, 385, 387), (374, 380, 373), (285, 336), (282, 334), (276, 300), 358, 291)

SIDED = {
    "brow_inner": "height of the brow's inner end above the eye centre",
    "brow_middle": "height of the brow's middle above the eye centre",
    "brow_outer": "height of the brow's outer end above the eye centre",
    "eye_open": "distance of the lids, the mean of three places",
    "corner_lift": "height of the lip corner above the nose base: negative, since it lies below",
    "corner_curve": "height of the lip corner above the middle of the upper lip's inner edge",
}
"""What is measured on both sides; each name gets `_left` and `_right`."""

MIDLINE = {
    "brow_gap": "distance of the brows' inner ends",
    "nose_length": "distance of the nose base from the line of the eyes",
    "nose_width": "distance of the outer edges of the nostrils",
    "mouth_width": "distance of the lip corners",
    "mouth_skew": "corner_lift_left less corner_lift_right",
    "lip_gap": "distance of the lips' inner edges, in the middle",
    "upper_lip": "height of the red of the upper lip, in the middle",
    "lower_lip": "height of the red of the lower lip, in the middle",
    "upper_lip_nose": "distance of the upper lip's top from the nose base",
    "chin_lip": "distance of the chin from the lower lip's bottom",
    "jaw_drop": "distance of the chin from the nose base",
}

ABOUT = {f"{name}_{side}": text for name, text in SIDED.items() for side in ("left", "right")} | MIDLINE
"""Every measure, in units of the distance of the eye centres, in the frame of the eyes' line: roll is undone."""

MEASURES = pa.schema(
    [
        ("id", pa.string()),
        ("faces_found", pa.int32()),
        ("det_score", pa.float32()),  # 0..1
        ("landmarks", pa.list_(pa.float32())),  # x y of the five points, pixels of `image`
        ("presence", pa.float32()),  # 0..1
        ("yaw", pa.float32()),  # degrees; positive: turned to the person's left
        ("pitch", pa.float32()),  # degrees; positive: looking up
        ("roll", pa.float32()),  # degrees; positive: clockwise in the picture
        ("measures", pa.struct([(name, pa.float32()) for name in ABOUT])),
        ("detector", pa.struct([("name", pa.string()), ("sha256", pa.string())])),
    ]
)


class Models(NamedTuple):
    """The opened nets; they belong to one thread."""

    detector: Detector
    mesh: FaceMesh


class Pose(NamedTuple):
    """Degrees; see `pose`."""

    yaw: float
    pitch: float
    roll: float


def load_models(local: Mapping[str, Path] | None = None) -> Models:
    """Open the default detector and the mesh, fetched where `local` (name in models.yaml to file) has none."""
    own = local or {}
    detector = open_detector(fetch("centerface", local=own.get("centerface")))
    return Models(detector, open_mesh(fetch("face_mesh", local=own.get("face_mesh"))))


def measure_picture(data: bytes, models: Models) -> dict[str, Any]:
    """Return the MEASURES row, without its `id`, of an encoded picture.

    Of several faces the largest central one is measured. Where none is found, `faces_found` is 0 and the rest
    null; where the mesh is not present, `measures` and the pose are null. Raises PictureError for bytes that
    are no picture, which the faces stage has dropped before.
    """
    return measure_pixels(decode(data, max_pixels=sys.maxsize), models)


def measure_pixels(rgb: Pixels, models: Models) -> dict[str, Any]:
    """Return what `measure_picture` does, of decoded pixels (H x W x 3, RGB)."""
    found = models.detector.find(rgb)
    row: dict[str, Any] = dict.fromkeys(MEASURES.names[1:])
    row |= {"faces_found": len(found), "detector": {"name": models.detector.name, "sha256": models.detector.sha256}}
    if not found:
        return row
    face = main_face(found, rgb.shape[1], rgb.shape[0])
    mesh = models.mesh.find(rgb, face.points)
    row |= {"det_score": face.score, "landmarks": face.points.ravel().tolist(), "presence": mesh.presence}
    return row | _judged(mesh)


def main_face(found: Sequence[Detection], width: int, height: int) -> Detection:
    """Return the largest central face: its area counts less, down to nothing, towards the corners."""

    def weight(face: Detection) -> float:
        x0, y0, x1, y1 = face.box
        off = np.hypot((x0 + x1) / width - 1, (y0 + y1) / height - 1) / np.sqrt(2)
        return float((x1 - x0) * (y1 - y0) * max(0.0, 1 - off))

    return max(found, key=weight)


def _judged(mesh: Mesh) -> dict[str, Any]:
    points = mesh.points.astype(np.float64)
    if mesh.presence < PRESENT or _eye_distance(points) < 1:
        return {}
    return pose(points)._asdict() | {"measures": measure_points(points)}


def pose(points: Points) -> Pose:
    """Return the head's pose in degrees from the mesh (468 x 3, x right, y down, z away from the camera).

    yaw = atan2(dz, dx) of the summed lines ACROSS the face: positive where the person turns to their left.
    pitch = REST_PITCH - atan2(dz, dy) of the line from the forehead (10) to the chin (152): positive where they
    look up; an open jaw takes off some two degrees, a wide smile five.
    roll = atan2(dy, dx) of the line of the eye centres: positive where the head leans clockwise in the picture.
    The mesh guesses depth from one picture: on renders 20 degrees come out as 19 of yaw and 14 to 19 of pitch,
    40 degrees of yaw as 31. Meant for gating.
    """
    across = sum((points[left] - points[right] for right, left in ACROSS), np.zeros(3))
    flat = float(np.hypot(across[0], across[1]))
    eyes = points[list(LEFT_EYE)].mean(0) - points[list(RIGHT_EYE)].mean(0)
    down = points[CHIN] - points[10]
    slope = _degrees(down[2], float(np.hypot(down[0], down[1])))
    return Pose(_degrees(across[2], flat), REST_PITCH - slope, _degrees(eyes[1], eyes[0]))


def measure_points(points: Points) -> dict[str, float]:
    """Return the measures of a mesh (468 x 2 or more, pixels), in eye distances; names and meanings in ABOUT."""
    face = _levelled(points)
    sides = {f"{name}_{word}": value for word, side in (("left", LEFT), ("right", RIGHT))
             for name, value in _side(face, side).items()}  # fmt: skip
    return {name: float(value) for name, value in (sides | _midline(face, sides)).items()}


def _side(face: Points, side: Side) -> dict[str, float]:
    y = face[:, 1]
    eye = _mean(y, side.eye)
    return {
        "brow_inner": eye - _mean(y, side.brow_inner),
        "brow_middle": eye - _mean(y, side.brow_middle),
        "brow_outer": eye - _mean(y, side.brow_outer),
        "eye_open": _mean(y, side.lower_lid) - _mean(y, side.upper_lid),
        "corner_lift": y[NOSE_BASE] - y[side.corner],
        "corner_curve": y[UPPER_LIP_INNER] - y[side.corner],
    }


def _midline(face: Points, sides: Mapping[str, float]) -> dict[str, float]:
    x, y = face[:, 0], face[:, 1]
    return {
        "brow_gap": _mean(x, LEFT.brow_inner) - _mean(x, RIGHT.brow_inner),
        "nose_length": y[NOSE_BASE],
        "nose_width": x[LEFT.nostril] - x[RIGHT.nostril],
        "mouth_width": x[LEFT.corner] - x[RIGHT.corner],
        "mouth_skew": sides["corner_lift_left"] - sides["corner_lift_right"],
        "lip_gap": y[LOWER_LIP_INNER] - y[UPPER_LIP_INNER],
        "upper_lip": y[UPPER_LIP_INNER] - y[UPPER_LIP_TOP],
        "lower_lip": y[LOWER_LIP_BOTTOM] - y[LOWER_LIP_INNER],
        "upper_lip_nose": y[UPPER_LIP_TOP] - y[NOSE_BASE],
        "chin_lip": y[CHIN] - y[LOWER_LIP_BOTTOM],
        "jaw_drop": y[CHIN] - y[NOSE_BASE],
    }


def _levelled(points: Points) -> Points:
    """Return x and y with the middle of the eyes as origin, their line as x axis, their distance as unit."""
    right, left = points[list(RIGHT_EYE), :2].mean(0), points[list(LEFT_EYE), :2].mean(0)
    across = (left - right) / np.sum((left - right) ** 2)
    along = np.array([-across[1], across[0]])
    return np.asarray((points[:, :2] - (left + right) / 2) @ np.stack([across, along], 1))


def _eye_distance(points: Points) -> float:
    return float(np.hypot(*(points[list(LEFT_EYE), :2].mean(0) - points[list(RIGHT_EYE), :2].mean(0))))


def _degrees(rise: float, run: float) -> float:
    return float(np.degrees(np.arctan2(rise, run)))


def _mean(values: Points, at: tuple[int, ...]) -> float:
    return float(values[list(at)].mean())
