"""What is drawn on the skin: brows hair by hair, furrows that an expression folds, freckles and blotches.

Stands beside shading, which looks each pixel of the face up in the map made here. The map is laid over the resting
base mesh as seen from the front, so whatever is drawn on it moves with the skin.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from ferbuild.builders.render.package import Floats
from ferbuild.builders.render.scene import Scene

LEFT, BOTTOM, RIGHT, TOP = -0.9, 6.0, 0.9, 8.5
"""What the map covers, decimetres of the base mesh."""
SCALE = 256
"""Pixels of the map to a decimetre."""
HAIRS = 150
"""Drawn to a brow of usual thickness."""
SHIFT = 4
"""OpenCV's fractional bits: lines are placed to a sixteenth of a pixel."""

BROW = np.array(
    [[0.085, 7.446], [0.16, 7.462], [0.25, 7.474], [0.35, 7.482], [0.43, 7.472], [0.5, 7.436], [0.555, 7.392]]
)
"""Middle line of a brow, from the inner end outwards: x away from the midline, y."""
BROW_HALF = np.array([0.026, 0.034, 0.033, 0.029, 0.024, 0.016, 0.006])
"""Half its thickness along that line, decimetres."""

Line = list[tuple[float, float]]


class Furrow(NamedTuple):
    """A fold of the skin on the person's left; the right is its mirror image."""

    lines: list[Line]
    """x away from the midline, y."""
    width: float
    """Decimetres."""
    units: Mapping[str, float]
    """Face units that fold it, without Left and Right, to how deep at weight 1."""
    rest: float
    """How deep at rest in an old face."""


FURROWS = (
    Furrow(
        [[(0.0, y), (0.14, y + 0.012), (0.28, y + 0.01), (0.42, y - 0.03)] for y in (7.62, 7.71, 7.80)],
        0.018,
        {"browOuterUp": 0.55, "browInnerUp": 0.45},
        0.28,
    ),
    Furrow([[(0.05, 7.37), (0.062, 7.44), (0.058, 7.52)], [(0.02, 7.4), (0.022, 7.47)]], 0.016,
           {"browDown": 1.0}, 0.2),
    Furrow(
        [[(0.04, 7.3), (0.09, 7.26)], [(0.03, 7.24), (0.1, 7.19)], [(0.05, 7.17), (0.12, 7.12)]],
        0.016,
        {"noseSneer": 0.8},
        0.03,
    ),
    Furrow(
        [[(0.165, 6.93), (0.215, 6.85), (0.265, 6.75), (0.3, 6.64), (0.3, 6.57)]],
        0.03,
        {"mouthSmile": 0.5, "mouthUpperUp": 0.5, "noseSneer": 0.55, "cheekSquint": 0.25, "mouthDimple": 0.3},
        0.4,
    ),
    Furrow(
        [[(0.49, 7.3), (0.58, 7.36)], [(0.495, 7.27), (0.6, 7.28)], [(0.49, 7.24), (0.58, 7.2)]],
        0.013,
        {"cheekSquint": 0.65, "eyeSquint": 0.3, "mouthSmile": 0.15},
        0.3,
    ),
    Furrow(
        [[(0.17, 7.2), (0.24, 7.165), (0.33, 7.155), (0.43, 7.18)]],
        0.022,
        {"cheekSquint": 0.45, "eyeSquint": 0.4, "mouthSmile": 0.12},
        0.35,
    ),
    Furrow([[(0.27, 6.6), (0.29, 6.53), (0.28, 6.46)]], 0.02, {"mouthFrown": 0.5}, 0.25),
    Furrow([[(0.31, 6.67), (0.325, 6.62), (0.31, 6.57)]], 0.026, {"mouthDimple": 0.75, "mouthStretch": 0.3}, 0.0),
    Furrow([[(0.02, 6.42), (0.06, 6.4), (0.1, 6.37)], [(0.03, 6.35), (0.07, 6.32)]], 0.024,
           {"mouthShrugLower": 0.55}, 0.05),
)  # fmt: skip


def face_map(scene: Scene) -> npt.NDArray[np.uint8]:
    """Return the map, H x W x 3: how much brow covers the skin, how deep it is folded, and its blotches (128: none)."""
    rng = np.random.default_rng(scene.seed)
    return np.stack([_brows(scene, rng), _furrowed(scene), _blotched(scene, rng)], -1)


def look_up(face: npt.NDArray[np.uint8], rest: Floats) -> Floats:
    """Return the map's three values (N x 3, 0..1) at points of the resting mesh (N x 3)."""
    count = len(rest)
    x, y = np.zeros((2, -(-count // 1024) * 1024), np.float32)
    x[:count] = (rest[:, 0] - LEFT) * SCALE - 0.5
    y[:count] = (TOP - rest[:, 1]) * SCALE - 0.5
    # In one array of pairs, with an empty second map, OpenCV 5 reads other places.
    found = cv2.remap(face, x.reshape(-1, 1024), y.reshape(-1, 1024), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found.reshape(-1, 3)[:count] * np.float32(1 / 255), np.float32)


def _size() -> tuple[int, int]:
    return round((TOP - BOTTOM) * SCALE), round((RIGHT - LEFT) * SCALE)


def _spots(points: Floats) -> npt.NDArray[np.int32]:
    """Return x and y of the base mesh as fixed-point pixels of the map."""
    pixels = (np.asarray(points) - [LEFT, TOP]) * [SCALE, -SCALE] - 0.5
    return np.rint(pixels * (1 << SHIFT)).astype(np.int32)


def _brows(scene: Scene, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    hair = scene.hair
    rows = slice(round((TOP - 7.75) * SCALE), round((TOP - 7.2) * SCALE))
    whole = np.zeros(_size(), np.uint8)
    cover = whole[rows]
    down = np.array([0, rows.start << SHIFT])
    rise = np.interp(np.linspace(0, 1, len(BROW)), [0, 0.6, 1], [0, 0.022, -0.012]) * hair.brow_arch
    line, half = BROW + np.column_stack([np.zeros(len(BROW)), rise]), BROW_HALF * hair.brow
    edge = np.column_stack([np.zeros(len(half)), half * 0.85])
    soft = np.zeros_like(cover)
    for side in (-1, 1):
        along = np.sort(rng.beta(1.0, 1.15, round(HAIRS * hair.brow)))
        roots = _brow_roots(line, half, along, np.clip(rng.normal(0, 0.5, len(along)), -1, 1))
        strokes = np.stack([roots, roots + _brow_hairs(along, rng)], 1) * [side, 1]
        cv2.polylines(cover, list(_spots(strokes) - down), False, 235, 1, cv2.LINE_AA, SHIFT)
        body = np.concatenate([line + edge, (line - edge)[::-1]]) * [side, 1]
        cv2.fillPoly(soft, [_spots(body) - down], 215, cv2.LINE_AA, SHIFT)
    cover[:] = cv2.max(cover, cv2.GaussianBlur(soft, (0, 0), 2.6))
    cover[:] = cv2.GaussianBlur(cover, (0, 0), 0.8) * np.float32(hair.brow_dark)
    return whole


def _brow_roots(line: Floats, half: Floats, along: Floats, across: Floats) -> Floats:
    steps = np.linspace(0, 1, len(line))
    x, y, thick = (np.interp(along, steps, values) for values in (line[:, 0], line[:, 1], half))
    return np.column_stack([x, y + across * thick])


def _brow_hairs(along: Floats, rng: np.random.Generator) -> Floats:
    """Return the reach of each hair: upwards at the inner end, outwards and a little down at the outer."""
    angle = np.radians(70 - 85 * along) + rng.normal(0, 0.15, len(along))
    length = 0.04 * (1 - 0.35 * along) * rng.uniform(0.7, 1.2, len(along))
    return np.column_stack([np.cos(angle), np.sin(angle)]) * length[:, None]


@cache
def _folds() -> list[npt.NDArray[np.uint8]]:
    """Return every furrow's fold on the person's left, at half size, 255 at its deepest."""
    maps = []
    for furrow in FURROWS:
        fold = np.zeros(_size(), np.uint8)
        for line in furrow.lines:
            cv2.polylines(fold, [_spots(_smooth(line))], False, 255, max(1, round(furrow.width * SCALE * 0.55)),
                          cv2.LINE_AA, SHIFT)  # fmt: skip
        soft = cv2.GaussianBlur(fold, (0, 0), furrow.width * SCALE * 0.45)
        maps.append(np.asarray(cv2.resize(soft, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8))
    return maps


def _smooth(line: Line) -> Floats:
    points = np.array(line)
    steps = np.linspace(0, len(points) - 1, 4 * len(points))
    return np.column_stack([np.interp(steps, range(len(points)), points[:, at]) for at in (0, 1)])


def _furrowed(scene: Scene) -> npt.NDArray[np.uint8]:
    rows, columns = _size()
    total = np.zeros((rows // 2, columns // 2), np.float32)
    lines = scene.skin.lines
    for furrow, fold in zip(FURROWS, _folds(), strict=True):
        for side, image in (("Left", fold), ("Right", fold[:, ::-1])):
            deep = furrow.rest * lines**2
            for name, depth in furrow.units.items():
                weight = scene.weights.get(name + side, scene.weights.get(name, 0.0))
                deep += depth * weight * (0.55 + 0.45 * lines)
            if deep > 0.01:
                total += np.float32(min(deep, 1.0)) * image
    whole = cv2.resize(np.minimum(total, 255), (columns, rows), interpolation=cv2.INTER_LINEAR)
    return np.asarray(whole, np.uint8)


def _blotched(scene: Scene, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    rows, columns = _size()
    total = np.zeros((rows, columns), np.float32)
    for cells, weight in ((9, 7.0), (40, 5.0), (150, 6.0)):
        coarse = rng.standard_normal((round(cells * rows / columns), cells), np.float32)
        total += weight * np.asarray(cv2.resize(coarse, (columns, rows), interpolation=cv2.INTER_LINEAR))
    total *= np.float32(scene.skin.blotches)
    count = round(900 * scene.skin.freckles)
    if count:
        total -= _freckles(rng, count)
    return np.clip(total + 128, 0, 255).astype(np.uint8)


def _freckles(rng: np.random.Generator, count: int) -> Floats:
    spots = np.zeros(_size(), np.uint8)
    places = np.column_stack([rng.normal(0, 0.32, count), rng.normal(7.0, 0.22, count)])
    for at, size in zip(_spots(places), rng.gamma(2, 0.5, count), strict=True):
        cv2.circle(spots, (int(at[0]), int(at[1])), int((1 + size) * (1 << SHIFT)), 60, -1, cv2.LINE_AA, SHIFT)
    return np.asarray(spots, np.float32)
