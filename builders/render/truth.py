"""What is true of a rendered face: its action units, and where its points fall.

Stands beside shading: the same mesh that is drawn is measured here, in three dimensions and without a model.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ferbuild.builders.render import units
from ferbuild.builders.render.head import Head
from ferbuild.builders.render.package import Floats
from ferbuild.builders.render.person import Placed, eye_centres
from ferbuild.builders.render.points import LANDMARKS, LIP_EDGES
from ferbuild.builders.render.scene import Scene
from ferbuild.builders.render.units import Shown


class Truth(NamedTuple):
    units: list[Shown]
    points: npt.NDArray[np.float64]
    """5 x 2, pixels as drawn."""
    landmarks: npt.NDArray[np.float64]
    """68 x 2, pixels as drawn."""


def read(head: Head, scene: Scene, placed: Placed) -> Truth:
    marks = placed.screen[head.number[list(LANDMARKS)], :2].astype(np.float64)
    eyes = np.stack([marks[36:42].mean(0), marks[42:48].mean(0)])
    points = np.concatenate([eyes, marks[[30, 48, 54]]])
    return Truth(units.shown(scene.weights, lip_gap(head, placed.points)), points, marks)


def lip_gap(head: Head, points: Floats) -> float:
    """Return the opening between the lips in eye distances: the mean of three places, 0 where they touch."""
    right, left = eye_centres(head, points)
    gaps = [_height(head, points, upper).min() - _height(head, points, lower).max() for upper, lower in LIP_EDGES]
    return float(np.mean(np.maximum(gaps, 0)) / np.linalg.norm(left - right))


def _height(head: Head, points: Floats, at: tuple[int, ...]) -> Floats:
    return np.asarray(points[head.number[list(at)], 1])
