"""How much light falls where: the lamp, the sky, what they are hidden from, and the shine they leave.

Stands between geometry and colour: from normals and the drawn distances to light, without knowing what is lit.
"""

from __future__ import annotations

import cv2
import numpy as np

from ferbuild.builders.render.package import Floats
from ferbuild.builders.render.raster import FAR
from ferbuild.builders.render.scene import Light
from ferbuild.builders.render.vectors import along

WRAP = np.array([0.34, 0.2, 0.14], np.float32)
"""How far light of each colour creeps round the edge of shadow in skin."""
GRID = 128
"""Rows and columns, at most, of the coarse distances on which hiding is judged."""
STEPS = 9
"""Towards the lamp, to see what is in the way."""
REACH = 1.3
"""Eye distances that are looked along."""


def direction(light: Light) -> Floats:
    """Return where the lamp stands, seen from the head: a unit vector in the camera's frame."""
    yaw, pitch = np.radians([light.yaw, light.pitch])
    return np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)], np.float32)


def colours(light: Light) -> tuple[Floats, Floats]:
    """Return the lamp's and the sky's light, linear RGB."""
    tint = np.array([0.16, 0.0, -0.22], np.float32) * np.float32(light.warmth)
    return np.float32(light.key * 0.95) * (1 + tint), np.float32(light.ambient * 0.66) * (1 - tint * 0.5)


def lit(light: Light, normals: Floats, open_: Floats, free: Floats, *, wrap: Floats | np.float32 = WRAP) -> Floats:
    """Return the light on matt surfaces (N x 3). `open_` to the sky and `free` of cast shadow: N, 0..1."""
    key, sky = colours(light)
    out = np.multiply.outer(along(normals, direction(light)), key / (1 + wrap))
    out += key * wrap / (1 + wrap)
    np.maximum(out, 0, out=out)
    out *= free[:, None]
    out += np.multiply.outer((0.72 + np.float32(0.28) * normals[:, 1]) * open_, sky)
    return np.asarray(out, np.float32)


def shine(light: Light, normals: Floats, power: float) -> Floats:
    """Return the lamp's mirror image on a surface (N, 0..1), seen from the camera."""
    half = direction(light) + np.array([0, 0, 1], np.float32)
    half /= np.linalg.norm(half)
    return np.asarray(np.maximum(along(normals, half), 0) ** np.float32(power), np.float32)


def hidden(depth: Floats, light: Light, unit: float) -> tuple[Floats, Floats]:
    """Return how open to the sky and how free of cast shadow every pixel is (two H x W, 0..1).

    depth: H x W distances in decimetres, FAR where nothing is; unit: pixels to an eye distance. Both are judged on
    a coarse copy of the distances, from what the picture shows.
    """
    rows, columns = depth.shape
    shrink = max(1.0, max(rows, columns) / GRID)
    size = (round(columns / shrink), round(rows / shrink))
    near = float(depth.min())
    flat = np.minimum(depth, near + 4)
    small = np.asarray(cv2.resize(flat, size, interpolation=cv2.INTER_AREA), np.float32)
    coarse = unit / shrink
    sky, shadow = _sky(small, coarse), _shadow(small, light, coarse)
    back = (columns, rows)
    return (np.asarray(cv2.resize(sky, back, interpolation=cv2.INTER_LINEAR), np.float32),
            np.asarray(cv2.resize(shadow, back, interpolation=cv2.INTER_LINEAR), np.float32))  # fmt: skip


def _sky(depth: Floats, unit: float) -> Floats:
    """Darken what lies deeper than its surroundings, near and farther ones."""
    total = np.zeros_like(depth)
    for reach, weight in ((0.06, 3.2), (0.2, 1.1)):
        around = np.asarray(cv2.GaussianBlur(depth, (0, 0), max(0.6, reach * unit)))
        total += np.float32(weight) * np.clip(depth - around, 0, 0.18)
    return np.asarray(1 - np.minimum(total, 0.75), np.float32)


def _shadow(depth: Floats, light: Light, unit: float) -> Floats:
    """Walk from every pixel towards the lamp; what stands nearer than the way there casts a shadow."""
    x, y, z = (float(value) for value in direction(light))
    across = max(np.hypot(x, y), 1e-3)
    rise = z / across * 0.62
    worst = np.full_like(depth, -1.0)
    for step in np.linspace(0.08, REACH, STEPS):
        shift = np.array([[1, 0, x / across * step * unit], [0, 1, -y / across * step * unit]], np.float64)
        moved = cv2.warpAffine(depth, shift, depth.shape[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                               borderMode=cv2.BORDER_CONSTANT, borderValue=FAR)  # fmt: skip
        worst = np.maximum(worst, depth - step * rise - np.asarray(moved) - 0.02)
    soft = np.asarray(cv2.GaussianBlur(np.clip(worst / 0.06, 0, 1).astype(np.float32), (0, 0), 0.035 * unit + 0.3))
    return np.asarray(1 - 0.85 * soft, np.float32)
