"""A scene becomes a picture with its ground truth: units, pose, points and box.

The last step of a render: everything before it is geometry and light, everything after it files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ferbuild.builders.errors import FerError
from ferbuild.builders.images import Pixels
from ferbuild.builders.render import hair, lamp, photo, raster, shade, truth
from ferbuild.builders.render.head import Head
from ferbuild.builders.render.package import Floats
from ferbuild.builders.render.person import Placed, place
from ferbuild.builders.render.scene import Framing, Pose, Scene
from ferbuild.builders.render.units import Shown

SMALLEST, LARGEST = 24, 1024
"""Pixels a side."""
FINE, LEAST, COARSE_FROM = 1.5, 200, 300
"""Pixels drawn to a picture pixel and side, at least LEAST a picture; pictures wider than that get 1.25."""


@dataclass(frozen=True, slots=True, eq=False)
class Rendered:
    """A picture and what is true of it. Pixels: x right, y down, the first pixel's centre at 0."""

    rgb: Pixels
    """H x W x 3, JPEG artefacts included; all channels equal where it is grey."""
    jpeg: bytes
    """The file that `rgb` was decoded from."""
    units: list[Shown]
    """What the face shows, faint units left out; see `units.shown` for the rules."""
    weights: dict[str, float]
    """Face units as applied."""
    pose: Pose
    """Of the head in the picture, degrees; an aligned cut has its own roll."""
    points: npt.NDArray[np.float64]
    """5 x 2 pixels: eyes, nose tip, mouth corners, the picture's left first."""
    landmarks: npt.NDArray[np.float64]
    """68 x 2 pixels in the iBUG order."""
    box: tuple[float, float, float, float]
    """x0 y0 x1 y1 of the face from brows to chin, in pixels; may reach over the edge."""


def render(
    head: Head, scene: Scene, *, width: int = 224, height: int = 224, framing: Framing | None = None, grey: bool = False
) -> Rendered:
    """Render a scene at a size; `framing` takes the place of the scene's own. The same call gives the same bytes.

    FerError for a size below SMALLEST or above LARGEST.
    """
    return _finish(scene, _draw(head, scene, width, height, framing), width, height, grey=grey)


def render_sizes(
    head: Head, scene: Scene, sides: Sequence[int], *, framing: Framing | None = None, grey: bool = False
) -> list[Rendered]:
    """Render a scene once at the largest of `sides` and scale it down to the others: square pictures, in that order."""
    drawn = _draw(head, scene, max(sides), max(sides), framing)
    return [_finish(scene, drawn, side, side, grey=grey) for side in sides]


@dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    light: Floats
    """H x W x 3, linear, at the drawn size."""
    placed: Placed
    truth: truth.Truth


def _draw(head: Head, scene: Scene, width: int, height: int, framing: Framing | None) -> _Drawn:
    for side in (width, height):
        if not SMALLEST <= side <= LARGEST:
            raise FerError("render", f"a side of {side} pixels", f"sides from {SMALLEST} to {LARGEST} can be rendered")
    fine = max(FINE, LEAST / width) if width < COARSE_FROM else 1.25
    columns, rows = round(width * fine), round(height * fine)
    placed = place(head, scene, framing or scene.framing, columns, rows)
    light = photo.background(scene.background, columns, rows)
    _paint(head, scene, placed, light)
    return _Drawn(light, placed, truth.read(head, scene, placed))


def _paint(head: Head, scene: Scene, placed: Placed, light: Floats) -> None:
    """Draw head, then hair or headgear and lashes, over the background in `light` (H x W x 3)."""
    depth = np.full(light.shape[:2], raster.FAR, np.float32)
    seen = raster.rasterise(placed.screen[head.corners], head.triangles, depth)
    layer = hair.overlay(head, scene.hair, placed.shape, placed.points, placed.normals)
    over = raster.rasterise(placed.lens.project(layer.points), layer.triangles, depth, both_sides=True)
    open_, free = (values.ravel() for values in lamp.hidden(depth, scene.light, placed.unit))
    flat = light.reshape(-1, 3)
    flat[seen.at] = shade.paint(head, scene, placed, seen, open_[seen.at], free[seen.at])
    colour, opaque = shade.cover(scene, placed, layer, over, open_[over.at], free[over.at])
    flat[over.at] += opaque[:, None] * (colour - flat[over.at])
    flat *= photo.exposure(shade.expected(scene))


def _finish(scene: Scene, drawn: _Drawn, width: int, height: int, *, grey: bool) -> Rendered:
    rows, columns = drawn.light.shape[:2]
    small = cv2.resize(drawn.light, (width, height), interpolation=cv2.INTER_AREA)
    rgb, jpeg = photo.take(np.asarray(small, np.float32), scene.photo, grey=grey)
    scale = np.array([width / columns, height / rows])
    marks = drawn.truth.landmarks * scale - 0.5
    points = drawn.truth.points * scale - 0.5
    (x0, y0), (x1, y1) = marks.min(0), marks.max(0)
    box = (float(x0), float(y0), float(x1), float(y1))
    return Rendered(rgb, jpeg, drawn.truth.units, dict(scene.weights), drawn.placed.pose, points, marks, box)
