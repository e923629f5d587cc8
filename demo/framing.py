"""How a drawn face is photographed: aligned and tight, or small in a larger frame, under some light.

Stands between `demo.portraits`, which draws heads, and `demo.releases`, which writes files.
"""

from __future__ import annotations

import io
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from ferbuild.builders.images import Pixels
from ferbuild.demo.portraits import SIDE, Face, Floats, Portrait, eye_distance, eyes


class Cutout(NamedTuple):
    """The form of an aligned face: picture size and where the eyes come to lie, in pixels."""

    width: int
    height: int
    eye_distance: float
    eye_line: float


class Frame(NamedTuple):
    """A picture with a face somewhere in it, and the 468 x 2 mesh points in its pixels."""

    rgb: Pixels
    points: Floats


def align(face: Face, form: Cutout, rng: np.random.Generator) -> Pixels:
    """Return the face turned upright and cut to `form`, a few degrees and percent off, as aligners are."""
    left, right = eyes(face.points)
    tilt = np.degrees(np.arctan2(*(right - left)[::-1])) + rng.uniform(-6, 6)
    scale = form.eye_distance / eye_distance(face.points) * rng.uniform(0.95, 1.05)
    middle = (left + right) / 2
    turn = _rotation(middle, float(tilt), float(scale))
    turn[:, 2] += np.array([form.width / 2 - 0.5, form.eye_line]) - middle + rng.uniform(-1, 1, 2) * form.width / 60
    return light(_view(face.rgb, turn, form.width, form.height, float(scale)), rng)


def frame(portrait: Portrait, face: Face, rng: np.random.Generator) -> Frame:
    """Return the whole portrait with the drawn head in it, as a cut of 240 to 420 pixels around the face."""
    whole, points = _put_back(portrait, face)
    scale = rng.uniform(44, 66) / eye_distance(points)
    height, width = (int(min(rng.integers(300, 420), size * scale)) for size in whole.shape[:2])
    centre = points.mean(0) * scale
    wanted = np.array([width, height]) * rng.uniform([0.35, 0.4], [0.65, 0.55])
    room = np.array([whole.shape[1], whole.shape[0]]) * scale - (width, height)
    shift = -np.clip(centre - wanted, 0, np.maximum(room, 0))
    turn = _rotation(centre, rng.uniform(-5, 5), 1.0)
    turn[:, 2] += shift
    turn[:, :2] *= scale
    seen = light(_view(whole, turn, width, height, scale), rng)
    return Frame(seen, points @ turn[:, :2].T + turn[:, 2])


def texture(width: int, height: int, rng: np.random.Generator) -> Pixels:
    """Return a picture without a face: cloth-like noise."""
    coarse = rng.uniform(40, 215, (height // 12 + 2, width // 12 + 2, 3)).astype(np.float32)
    fine = rng.normal(0, 9, (height, width, 3))
    return _eight_bit(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) + fine)


def light(rgb: Pixels, rng: np.random.Generator) -> Pixels:
    """Return the picture under other light: gamma, gain and tint vary by some percent, with a little noise."""
    bright = 255.0 * (rgb / 255.0) ** rng.uniform(0.85, 1.2)
    tint = rng.uniform(0.92, 1.06) * rng.uniform(0.97, 1.03, 3)
    return _eight_bit(bright * tint + rng.normal(0, rng.uniform(0.5, 2.5), rgb.shape))


def encode(pixels: Pixels, suffix: str, *, grey: bool = False) -> bytes:
    """Return the picture as a `.jpg` or `.png` file, 8-bit RGB or grey."""
    picture = Image.fromarray(pixels)
    out = io.BytesIO()
    (picture.convert("L") if grey else picture).save(out, {".jpg": "jpeg", ".png": "png"}[suffix], quality=92)
    return out.getvalue()


def _put_back(portrait: Portrait, face: Face) -> tuple[Pixels, Floats]:
    """Return the portrait with `face` for its head, and the face's points in pixels of it."""
    side, (left, top) = portrait.side, portrait.corner
    shrink = side < SIDE
    head = cv2.resize(face.rgb, (side, side), interpolation=cv2.INTER_AREA if shrink else cv2.INTER_CUBIC)
    whole = portrait.full.copy()
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + side, whole.shape[1]), min(top + side, whole.shape[0])
    whole[y0:y1, x0:x1] = head[y0 - top : y1 - top, x0 - left : x1 - left]
    return whole, (face.points + 0.5) * side / SIDE - 0.5 + (left, top)


def _rotation(centre: Floats, degrees: float, scale: float) -> Floats:
    return np.asarray(cv2.getRotationMatrix2D((float(centre[0]), float(centre[1])), degrees, scale), np.float64)


def _view(rgb: Pixels, turn: Floats, width: int, height: int, scale: float) -> Pixels:
    """Sample `rgb` through the 2 x 3 map `turn`, smoothed first where it shrinks."""
    if scale < 1:
        rgb = np.asarray(cv2.GaussianBlur(rgb, (0, 0), 0.45 * float(np.sqrt(1 / scale**2 - 1)) + 1e-3), np.uint8)
    seen = cv2.warpAffine(rgb, turn, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(seen, np.uint8)


def _eight_bit(values: np.ndarray) -> Pixels:
    return np.asarray(np.clip(np.round(values), 0, 255), np.uint8)
