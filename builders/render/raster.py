"""Which triangle a pixel shows, and where in it: one pass of OpenCV's rasteriser over the whole surface.

Stands between a posed mesh and its shading. The rasteriser interpolates vertex colours; here these are the
triangle's number and the place inside it, so that anything else can be looked up afterwards for the pixels seen.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from ferbuild.builders.render.package import Floats, Ints

NEAR, FAR = 0.1, 1000.0
"""Decimetres from the camera; what lies outside is not drawn."""
MOST = 1 << 15
"""Triangles in one pass: their numbers must survive as shares of one in 32-bit floats."""


class Seen(NamedTuple):
    """The N pixels that a surface covers."""

    at: npt.NDArray[np.intp]
    """N: row times width plus column."""
    triangle: Ints
    """N."""
    share: Floats
    """N x 3: weights of the triangle's corners, sum 1, right in perspective."""


def rasterise(screen: Floats, triangles: Ints, depth: Floats, *, both_sides: bool = False) -> Seen:
    """Draw triangles (T x 3 rows of `screen`) and return the pixels where they are nearest.

    screen: x and y in pixels, the first pixel's centre at 0.5, and the distance from the camera in decimetres.
    depth: H x W distances already drawn, changed in place. Triangles that show their back are left out, unless
    `both_sides`.
    """
    corners = screen[triangles]
    shown = np.arange(len(triangles)) if both_sides else np.flatnonzero(_fronts(corners))
    if not len(shown):
        return Seen(np.zeros(0, np.intp), np.zeros(0, np.int32), np.zeros((0, 3), np.float32))
    height, width = depth.shape
    colours = np.full((height, width, 3), -1, np.float32)
    _settings_draw(_cast(corners[shown], width, height), _marks(len(shown)), colours, depth)
    flat = colours.reshape(-1, 3)
    at = np.flatnonzero(flat[:, 2] >= 0)
    marks = flat[at]
    which = (marks[:, 2] * MOST).astype(np.int32)
    share = np.column_stack([marks[:, :2], 1 - marks[:, 0] - marks[:, 1]])
    return Seen(at, shown[which].astype(np.int32), share)


def _settings_draw(corners: Floats, marks: Floats, colours: Floats, depth: Floats) -> None:
    settings = cv2.TriangleRasterizeSettings()
    settings.setCullingMode(cv2.RASTERIZE_CULLING_NONE)
    settings.setShadingType(cv2.RASTERIZE_SHADING_SHADED)
    settings.setGlCompatibleMode(cv2.RASTERIZE_COMPAT_DISABLED)
    index = np.arange(len(corners), dtype=np.int32).reshape(-1, 3)
    camera = np.eye(4, dtype=np.float32)[:3]
    cv2.triangleRasterize(corners, index, marks, colours, depth, camera, np.pi / 2, NEAR, FAR, settings)


def _fronts(corners: Floats) -> npt.NDArray[np.bool_]:
    one, two = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    return np.asarray(one[:, 0] * two[:, 1] < one[:, 1] * two[:, 0])


def _cast(corners: Floats, width: int, height: int) -> Floats:
    """Return the points that the rasteriser's camera, whose field of view is a right angle, sees at those pixels."""
    half = height / 2
    flat = corners.reshape(-1, 3)
    far = flat[:, 2]
    x, y = (flat[:, 0] - width / 2) / half * far, (half - flat[:, 1]) / half * far
    return np.ascontiguousarray(np.column_stack([x, y, -far]), np.float32)


def _marks(count: int) -> Floats:
    marks = np.zeros((count, 3, 3), np.float32)
    marks[:, 0, 0] = marks[:, 1, 1] = 1
    marks[:, :, 2] = ((np.arange(count) + 0.5) / MOST)[:, None]
    return marks.reshape(-1, 3)
