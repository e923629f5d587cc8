"""Expression warps of two public-domain portraits by thin-plate splines on mesh points.

Stands before the way of a face: `demo.releases` writes what `make_face` draws in the layouts of real
releases. The mesh that measures these faces also made them, so measuring them proves nothing of its accuracy.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.interpolate import RBFInterpolator

from ferbuild.builders import assets
from ferbuild.builders.detect import Detector, open_detector
from ferbuild.builders.errors import FerError
from ferbuild.builders.images import Pixels
from ferbuild.builders.mesh import FaceMesh
from ferbuild.demo.expressions import (
    EXPRESSIONS,
    INNER_LOWER,
    INNER_UPPER,
    MIDDLE,
    OUTER_LOWER,
    OUTER_UPPER,
    PAIRS,
    UNITS,
    Weights,
)

Floats = npt.NDArray[np.float64]

SIDE = 320
"""Side of the working picture in pixels: a head, its face in the middle."""

HEAD = 4.4
"""Side of the working picture in eye distances."""

STEP = 5
"""Pixels between the grid points on which the warp is computed before it is interpolated."""

LEFT_EYE, RIGHT_EYE = (33, 133), (362, 263)
REST: dict[str, tuple[Weights, Weights]] = {
    "astronaut": ({"corners up": -0.8, "cheeks up": -0.6}, {"corners up": -0.7, "cheeks up": -0.6}),
    "grace_hopper": ({"corners up": 0.2}, {"corners up": 0.2}),
}
"""What undoes the portrait's own expression: with the mouth closed, and where it keeps its smile."""

STRENGTH = {"astronaut": 1.0, "grace_hopper": 0.76}
"""How far units go on a portrait: glasses bend with the brows, and a bent pair is no face to a detector."""

LIPS_LOWER = {"astronaut": (0.0, 0.0), "grace_hopper": (0.035, 0.06)}
"""How much lower than the mesh finds them the lip line and the lower edge lie, in eye distances."""

HALF_PIXEL = np.array([0.0, 0.5])

DARK = np.array([52, 20, 18], np.float64)
"""RGB of the inside of a mouth."""


class Portrait(NamedTuple):
    """A head at working size, and where it sits in the picture it was cut from."""

    name: str
    rgb: Pixels
    """SIDE x SIDE x 3."""
    points: Floats
    """468 x 2 mesh points in pixels of `rgb`."""
    full: Pixels
    corner: tuple[int, int]
    """Left and top of the head in `full`, in pixels; negative where it sticks out."""
    side: int
    """Side of the head in `full`, in pixels."""


class Face(NamedTuple):
    """A drawn head, SIDE x SIDE x 3, and its 468 x 2 mesh points in pixels."""

    rgb: Pixels
    points: Floats


def load_all() -> list[Portrait]:
    """Return both portraits and their mirror images, fetched and measured. FerError where that fails."""
    detector, mesh = open_detector(assets.fetch("centerface")), FaceMesh(assets.fetch("face_mesh"))
    pictures = [(name, _open(name)) for name in REST]
    mirrored = [(name, np.ascontiguousarray(rgb[:, ::-1])) for name, rgb in pictures]
    return [cut_head(name, rgb, _measure(name, rgb, detector, mesh)) for name, rgb in pictures + mirrored]


def _open(name: str) -> Pixels:
    with Image.open(assets.fetch(name)) as picture:
        return np.asarray(picture.convert("RGB"))


def _measure(name: str, rgb: Pixels, detector: Detector, mesh: FaceMesh) -> Floats:
    """Return the 468 x 2 mesh points to a tenth of a pixel, so that rounding in the nets does not reach the files."""
    found = detector.find(rgb)
    if not found:
        raise FerError(name, "the detector finds no face in the portrait", "remove it from the cache and try again")
    return mesh.find(rgb, found[0].points).points[:, :2].astype(np.float64).round(1)


def cut_head(name: str, full: Pixels, mesh: Floats) -> Portrait:
    """Cut the head out of a portrait; `mesh` is 468 x 2 in pixels of `full`."""
    side = round(HEAD * eye_distance(mesh))
    left, top = (round(float(v) - side / 2) for v in (mesh.min(0) + mesh.max(0)) / 2)
    padded = cv2.copyMakeBorder(full, side, side, side, side, cv2.BORDER_REPLICATE)
    head = padded[top + side : top + 2 * side, left + side : left + 2 * side]
    rgb = cv2.resize(head, (SIDE, SIDE), interpolation=cv2.INTER_AREA if side > SIDE else cv2.INTER_CUBIC)
    points = (mesh + 0.5 - (left, top)) * SIDE / side - 0.5
    return Portrait(name, np.asarray(rgb, np.uint8), _lower_lips(points, *LIPS_LOWER[name]), full, (left, top), side)


def eyes(points: Floats) -> Floats:
    """Return the centres of the left and the right eye of the picture, 2 x 2, of 468 x 2 mesh points."""
    return np.array([points[list(eye)].mean(0) for eye in (LEFT_EYE, RIGHT_EYE)])


def eye_distance(points: Floats) -> float:
    """Return the distance of the eye centres in pixels."""
    return float(np.hypot(*(eyes(points)[1] - eyes(points)[0])))


def make_face(portrait: Portrait, label: str, intensity: float, rng: np.random.Generator) -> Face:
    """Draw `label` on a portrait at `intensity` (1: strong), with a little of the variation between people."""
    smiling = label == "happiness"
    weights = dict(REST[portrait.name][smiling])
    strength = intensity * STRENGTH[portrait.name]
    for unit, weight in EXPRESSIONS[label].items():
        weights[unit] = weights.get(unit, 0.0) + weight * strength * rng.uniform(0.85, 1.15)
    weights |= {"face wide": rng.uniform(-1, 1), "face long": rng.uniform(-1, 1)}
    return warp(portrait, weights, lean=rng.uniform(0.9, 1.1), closed=not smiling)


def warp(portrait: Portrait, weights: Weights, *, lean: float = 1.0, closed: bool = True) -> Face:
    """Move the mesh points by the weighted units and the picture with them; the rim of the picture stays.

    `lean` multiplies what the left side does and divides what the right side does. Where it is `closed` the
    mouth is shut first, and what then opens is dark; else it shows what the portrait shows.
    """
    start = portrait.points
    goal = (_close_mouth(start) if closed else start) + displacement(start, weights, lean)
    goal = _uncross_lips(goal)
    held = np.array(sorted({*MIDDLE, *PAIRS, *PAIRS.values()}))
    rim = _rim()
    across, down = _flow(np.vstack([goal[held], rim]), np.vstack([start[held], rim]))
    moved = cv2.remap(portrait.rgb, across, down, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    rgb = np.asarray(moved, np.uint8)
    points = _follow(start, goal, held, rim)
    return Face(_paint_mouth(rgb, points) if closed else rgb, points)


def displacement(points: Floats, weights: Weights, lean: float) -> Floats:
    """Return how far each of the 468 points goes, in pixels, along the axes of the face."""
    left, right = eyes(points)
    across = right - left
    along = np.array([-across[1], across[0]])
    total = np.zeros_like(points)
    for name, weight in weights.items():
        unit = UNITS[name.removesuffix(", left")]
        for point, move in unit.items():
            total[point] += weight * lean * (along * move.down - across * move.out)
            if point in PAIRS and not name.endswith(", left"):
                total[PAIRS[point]] += weight / lean * (along * move.down + across * move.out)
    return total


def _lower_lips(points: Floats, line: float, edge: float) -> Floats:
    """Move the lip line and the lower lip down; the mesh puts closed thin lips too high."""
    moved, eye = points.copy(), eye_distance(points)
    moved[[*INNER_UPPER, *INNER_LOWER], 1] += line * eye
    moved[list(OUTER_LOWER), 1] += edge * eye
    return moved


def _close_mouth(points: Floats) -> Floats:
    """Return the points with the edges of the mouth opening a pixel apart, the lips with them."""
    closed = points.copy()
    lines = zip(OUTER_UPPER, INNER_UPPER, INNER_LOWER, OUTER_LOWER, strict=True)
    for above, upper, lower, below in lines:
        gap = points[lower] - points[upper]
        shut = gap * max(0.0, 1 - 1.0 / max(float(np.linalg.norm(gap)), 1.0))
        closed[upper] += 0.45 * shut
        closed[above] += 0.3 * shut
        closed[lower] -= 0.55 * shut
        closed[below] -= 0.4 * shut
    return closed


def _uncross_lips(points: Floats) -> Floats:
    """Return the points with each pair on the edges of the mouth opening at least a pixel apart, upper above lower."""
    apart = points.copy()
    for upper, lower in zip(INNER_UPPER, INNER_LOWER, strict=True):
        if points[lower, 1] - points[upper, 1] < 1:
            middle = (points[lower] + points[upper]) / 2
            apart[upper], apart[lower] = middle - HALF_PIXEL, middle + HALF_PIXEL
    return apart


def _rim() -> Floats:
    """Return points along the rim of the working picture that no warp moves."""
    along = np.linspace(0, SIDE - 1, 15)
    low, high = np.zeros(15), np.full(15, SIDE - 1.0)
    sides = [(along, low), (along, high), (low, along), (high, along)]
    return np.unique(np.vstack([np.stack(side, 1) for side in sides]), axis=0)


def _flow(at: Floats, value: Floats) -> npt.NDArray[np.float32]:
    """Return for every pixel where its colour comes from, 2 x SIDE x SIDE: `value` at the points `at`, smooth between.

    The shift is computed on a coarse grid; interpolating it, not the place, keeps still what does not move.
    """
    ticks = (np.arange(SIDE // STEP) + 0.5) * STEP - 0.5
    grid = np.stack(np.meshgrid(ticks, ticks), -1).reshape(-1, 2)
    shift = RBFInterpolator(at, value - at, kernel="thin_plate_spline", smoothing=0.5)(grid)
    coarse = np.asarray(shift.reshape(len(ticks), len(ticks), 2), np.float32)
    fine = cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    pixels = np.arange(SIDE, dtype=np.float32)
    return np.asarray([fine[..., 0] + pixels, fine[..., 1] + pixels[:, None]], np.float32)


def _follow(start: Floats, goal: Floats, held: npt.NDArray[np.int64], rim: Floats) -> Floats:
    """Return where all mesh points went: the held ones to their goal, the others with them."""
    known = np.vstack([start[held], rim])
    moved = start + RBFInterpolator(known, np.vstack([goal[held], rim]) - known, smoothing=0.5)(start)
    moved[held] = goal[held]
    return moved


def _paint_mouth(moved: Pixels, points: Floats) -> Pixels:
    """Fill the mouth opening with dark."""
    edge = [61, *INNER_UPPER, 291, *reversed(INNER_LOWER)]
    mask = np.zeros((SIDE, SIDE), np.uint8)
    cv2.fillPoly(mask, [np.round(points[edge] * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    share = cv2.GaussianBlur(mask, (0, 0), 0.8)[..., None] / 255.0
    return np.asarray((moved * (1 - share) + DARK * share).round(), np.uint8)
