"""The 468-point face mesh of MediaPipe, run by OpenCV on one detected face.

On the way of a face this stands between the detector, whose five points place the region, and the measures,
which are distances between the mesh's points.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from ferbuild.builders.detect import SMALL, Floats, planes
from ferbuild.builders.errors import FerError
from ferbuild.builders.files import file_sha256
from ferbuild.builders.images import Pixels

SIDE = 192
"""Pixels of the net's square input."""
POINTS = 468
REACH = 1.5 * 2.2 * 1.15
"""Side of the region in spans; a span is the larger of eye distance and eye-to-mouth distance."""


class Mesh(NamedTuple):
    """A face's mesh; the indices are those of MediaPipe's canonical face mesh."""

    points: Floats
    """468 x 3: x, y in pixels of the picture, z in the same unit, smaller towards the camera."""
    presence: float
    """0..1: how sure the net is that there is a face in the region."""


class FaceMesh:
    """The net, opened; an instance belongs to one thread."""

    name = "face_mesh"

    def __init__(self, path: Path) -> None:
        """Open the TFLite file. The new engine does not read TFLite; here the input never changes its size."""
        self.sha256 = file_sha256(path)
        self._net = cv2.dnn.readNetFromTFLite(str(path), cv2.dnn.ENGINE_CLASSIC)
        self._outputs = self._net.getUnconnectedOutLayersNames()

    def find(self, rgb: Pixels, points: Floats) -> Mesh:
        """Return the mesh of the face whose five points (5 x 2, pixels, as a Detection gives them) are known."""
        to_region = region(points)
        self._net.setInput(shown(rgb, to_region))
        flag, flat = sorted((np.asarray(out, np.float32) for out in self._net.forward(self._outputs)), key=np.size)
        presence = 1 / (1 + np.exp(-np.clip(float(flag.ravel()[0]), -50, 50)))
        return Mesh(_to_picture(flat.reshape(POINTS, 3), to_region), float(presence))


def open_mesh(path: Path) -> FaceMesh:
    """Return the mesh whose weights are in `path`; FerError where they are no face mesh that OpenCV can run."""
    try:
        mesh = FaceMesh(path)
        mesh.find(np.zeros((SIDE, SIDE, 3), np.uint8), np.full((5, 2), SIDE / 2, np.float32))
    except (cv2.error, OSError, TypeError, ValueError) as err:
        problem = f"cannot be run as a face mesh: {str(err).rpartition('error: ')[2].strip():.200}"
        raise FerError(path, problem, "correct `models: {face_mesh: …}`, or leave it out") from None
    return mesh


def shown(rgb: Pixels, to_region: npt.NDArray[np.float64]) -> Floats:
    """Return the region as the net sees it, 1 x 3 x 192 x 192, 0..1.

    OpenCV warps four channels in less than half the time of three, to the same pixels.
    """
    some = cv2.cvtColor(rgb, cv2.COLOR_RGB2RGBA) if rgb.size <= SMALL else rgb
    crop = np.asarray(cv2.warpAffine(some, to_region, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE), np.uint8)
    return np.asarray(planes(crop) * np.float32(1 / 255), np.float32)


def region(points: Floats) -> npt.NDArray[np.float64]:
    """Return the 2 x 3 map from the picture to the region: centred on the points' mean, eyes level."""
    eyes, mouth = points[:2].mean(0), points[3:].mean(0)
    across = points[1] - points[0]
    span = max(float(np.hypot(*across)), float(np.hypot(*(mouth - eyes))), 1.0)
    middle = points.mean(0)
    roll = float(np.degrees(np.arctan2(across[1], across[0])))
    turn = cv2.getRotationMatrix2D((float(middle[0]), float(middle[1])), roll, SIDE / (span * REACH))
    turn[:, 2] += SIDE / 2 - middle
    return np.asarray(turn, np.float64)


def _to_picture(points: Floats, to_region: npt.NDArray[np.float64]) -> Floats:
    back = cv2.invertAffineTransform(to_region)
    scale = float(np.hypot(*back[:, 0]))
    flat = points[:, :2] @ back[:, :2].T + back[:, 2]
    return np.column_stack([flat, points[:, 2] * scale]).astype(np.float32)
