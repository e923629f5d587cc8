"""One person's head in one pose: shape, expression, and where every vertex falls in the picture.

Stands between the scene's numbers and the rasteriser. Lengths are decimetres until `Placed.screen`, which is pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ferbuild.builders.render.head import EYE_DISTANCE, LEFT_EYE, RIGHT_EYE, Head, moved, normals
from ferbuild.builders.render.package import Floats
from ferbuild.builders.render.scene import Crop, Framing, Identity, Pose, Scene
from ferbuild.builders.render.vectors import mapped

YOUNG, OLD = 25.0, 90.0
"""Years that the mesh's young and old shapes stand for."""


class Lens(NamedTuple):
    """How points of the head's frame fall into the picture."""

    turn: Floats
    """3 x 3, from the head's frame to the camera's."""
    distance: float
    """Decimetres from the camera to the middle between the eyes."""
    scale: float
    """Pixels to a decimetre at that distance."""
    x: float
    """Pixels: where the middle between the eyes falls."""
    y: float

    def project(self, points: Floats) -> Floats:
        """Return x and y in pixels (the first pixel's centre at 0.5) and the distance in decimetres of N x 3 points."""
        turned = mapped(points, self.turn.T)
        far = self.distance - turned[:, 2]
        flat = turned[:, :2] * (self.scale * self.distance / far)[:, None]
        return np.column_stack([self.x + flat[:, 0], self.y - flat[:, 1], far]).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A head as a camera sees it. The head's frame: decimetres, upright, origin between the eyes."""

    shape: Floats
    """V x 3: the face at rest."""
    points: Floats
    """V x 3: with its expression."""
    normals: Floats
    """V x 3, unit, in the head's frame."""
    screen: Floats
    """V x 3, as `Lens.project` gives them."""
    lens: Lens
    unit: float
    """Pixels to the distance between the eyes, seen from the front."""
    pose: Pose
    """As seen in the picture."""


def shaped(head: Head, identity: Identity) -> Floats:
    """Return the vertices (V x 3) of a person's resting face."""
    key = (
        identity.sex,
        identity.age,
        tuple(sorted(identity.descent.items())),
        tuple(sorted(identity.shapes.items())),
    )
    return _shaped(head, *key)


@lru_cache(maxsize=8)
def _shaped(
    head: Head,
    sex: float,
    age: float,
    descent: tuple[tuple[str, float], ...],
    shapes: tuple[tuple[str, float], ...],
) -> Floats:
    old = float(np.clip((age - YOUNG) / (OLD - YOUNG), 0, 1))
    macros = {
        f"{one}-{word}-{years}": share * part * time
        for one, share in descent
        for word, part in (("female", 1 - sex), ("male", sex))
        for years, time in (("young", 1 - old), ("old", old))
    }
    return moved(moved(head.rest, head.macros, macros), head.shapes, dict(shapes))


def eye_centres(head: Head, points: Floats) -> tuple[Floats, Floats]:
    """Return the centres of the person's right and left eyeball."""
    right, left = (points[_ball(head, part)].mean(0) for part in (RIGHT_EYE, LEFT_EYE))
    return right, left


@lru_cache(maxsize=4)
def _ball(head: Head, part: int) -> Floats:
    return np.unique(head.corners[head.triangles[head.parts == part]])


def expressed(head: Head, identity: Identity, weights: Mapping[str, float]) -> Floats:
    """Return the vertices of a person's face under face units, which move as far as the face is large."""
    rest = shaped(head, identity)
    right, left = eye_centres(head, rest)
    return moved(rest, head.units, weights, scale=float(np.linalg.norm(left - right)) / EYE_DISTANCE)


def place(head: Head, scene: Scene, framing: Framing, width: int, height: int) -> Placed:
    """Pose the head and project it into a picture of `width` x `height` pixels."""
    shape = shaped(head, scene.identity)
    right, left = eye_centres(head, shape)
    between = float(np.linalg.norm(left - right))
    points = expressed(head, scene.identity, scene.weights) - (left + right) / 2
    pose = scene.pose if not isinstance(framing, Crop) else scene.pose._replace(roll=scene.camera.tilt)
    unit = framing.eye_distance * width * scene.camera.zoom
    x, y = _middle(framing, width, height)
    dx, dy = scene.camera.shift
    lens = Lens(rotation(pose), scene.camera.distance, unit / between, x + dx * width, y + dy * width)
    at_rest = shape - (left + right) / 2
    return Placed(at_rest, points, normals(head, points), lens.project(points), lens, unit, pose)


def _middle(framing: Framing, width: int, height: int) -> tuple[float, float]:
    if isinstance(framing, Crop):
        return width / 2, framing.eye_line * height
    return framing.x * width, framing.y * height


def rotation(pose: Pose) -> Floats:
    """Return the 3 x 3 turn of the head: pitch about its own axis, then yaw, then roll in the picture."""
    yaw, pitch, roll = np.radians(pose)
    up = np.array([[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]])
    side = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    lean = np.array([[np.cos(roll), np.sin(roll), 0], [-np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    return np.asarray(lean @ side @ up, np.float32)
