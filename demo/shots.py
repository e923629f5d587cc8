"""One face of the demo: what is asked for, and the picture file that is taken of it.

Stands before the way of a face: `demo.layouts` says which shots a release is made of, and what is taken comes with
its ground truth.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import cv2
import numpy as np
from PIL import Image

from ferbuild.builders.images import Pixels
from ferbuild.builders.render.draw import draw
from ferbuild.builders.render.head import load_head
from ferbuild.builders.render.picture import Rendered, render
from ferbuild.builders.render.scene import Crop, Pose, Scene, View
from ferbuild.builders.render.units import Shown
from ferbuild.demo.portraits import Marks, Photo, cut, photograph

ABOVE, AROUND = 0.32, 0.14
"""What a face box holds above the brows, and at the other sides of the landmarks, in shares of their extent."""
QUALITY = 92


class Form(NamedTuple):
    """What a release's pictures are like."""

    sides: tuple[int, int]
    """Least and largest side in pixels of what the camera sees: a head in a larger frame."""
    crop: Crop | None = None
    """How the face sits in an aligned cut of that; None where the release has the whole view."""
    width: int = 0
    """Pixels of the cut."""
    height: int = 0
    grey: bool = False
    strength: tuple[float, float] = (0.55, 1.1)
    """Range of an expression's intensity."""
    frontal: float = 0.65
    """Share of faces that look at the camera; the others are turned up to 30 degrees."""


class Shot(NamedTuple):
    """A picture to be taken."""

    path: str
    """Below the demo's releases; its ending is the format."""
    key: str
    """`<release>/<split>/<number>`, of which all its random numbers come."""
    label: str
    """A canonical word."""
    form: Form
    scene: str = ""
    """Shots of one scene show one person in one light before one background; empty: a scene of its own."""
    portrait: str = ""
    """A photograph instead of a render."""
    original: str = ""
    """Where the view is written of which the aligned picture is cut; empty: nowhere."""


class Taken(NamedTuple):
    """A picture on disk and what is true of it."""

    shot: Shot
    strength: float
    """Intensity of the expression as asked for; 1 for a neutral face and for a photograph."""
    units: Sequence[Shown] | None
    """None for a photograph: nobody coded it."""
    pose: Pose | None
    marks: Marks
    width: int
    height: int

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Return x0 y0 x1 y1 in whole pixels: the landmarks and a little around them, inside the picture."""
        low, high = self.marks.min(0), self.marks.max(0)
        x0, y0 = (max(0, int(value)) for value in low - (high - low) * (AROUND, ABOVE))
        x1, y1 = (int(value) for value in np.ceil(high + (high - low) * AROUND))
        return x0, y0, min(x1, self.width), min(y1, self.height)


def random(seed: int, *key: str) -> np.random.Generator:
    """Return random numbers that depend on the seed and the key alone."""
    return np.random.default_rng([seed, *(crc32(part.encode()) for part in key)])


def take(shot: Shot, *, out: Path, seed: int) -> Taken:
    """Take a picture, write it below `out`, and return what is true of it."""
    cv2.setNumThreads(1)
    rng = random(seed, shot.key)
    strength = 1.0 if shot.portrait or shot.label == "neutral" else float(rng.uniform(*shot.form.strength))
    if shot.portrait:
        width, height, view = _view(shot.form, rng)
        photo, units, pose = cut(photograph(shot.portrait), view, width, height), None, None
    else:
        seen = _render(shot, seed, strength, rng)
        photo, units, pose = Photo(seen.rgb, seen.landmarks), seen.units, seen.pose
    if shot.original:
        put_picture(out / shot.original, photo.rgb)
    if shot.form.crop:
        photo, pose = cut(photo, shot.form.crop, shot.form.width, shot.form.height), pose and pose._replace(roll=0.0)
    put_picture(out / shot.path, photo.rgb, grey=shot.form.grey)
    height, width = photo.rgb.shape[:2]
    return Taken(shot, strength, units, pose, photo.marks, width, height)


def _render(shot: Shot, seed: int, strength: float, rng: np.random.Generator) -> Rendered:
    band = "frontal" if rng.random() < shot.form.frontal else "turned"
    scene = draw(rng, label=shot.label, strength=(strength, strength), band=band)
    if shot.scene:
        scene = _same_scene(scene, draw(random(seed, "scene", shot.scene), label="neutral"))
    width, height, view = _view(shot.form, rng)
    return render(load_head(), scene, width=width, height=height, framing=view)


def _same_scene(scene: Scene, of: Scene) -> Scene:
    return replace(
        scene,
        **{name: getattr(of, name) for name in ("identity", "skin", "eyes", "hair", "light", "background")},
    )


def _view(form: Form, rng: np.random.Generator) -> tuple[int, int, View]:
    """Return width and height in pixels of what the camera sees, and where the head is in it."""
    width = int(rng.integers(form.sides[0], form.sides[1] + 1))
    height = int(np.clip(width * rng.uniform(0.9, 1.25), *form.sides))
    return width, height, View(rng.uniform(0.17, 0.24), rng.uniform(0.42, 0.58), rng.uniform(0.38, 0.46))


def put_picture(path: Path, rgb: Pixels, *, grey: bool = False, quality: int = QUALITY, optimize: bool = False) -> None:
    """Write a picture in the format that the ending of `path` says, 8-bit RGB or grey.

    `optimize` packs the same pixels into other bytes.
    """
    picture, out = Image.fromarray(rgb).convert("L" if grey else "RGB"), io.BytesIO()
    picture.save(out, {".jpg": "jpeg", ".png": "png"}[path.suffix], quality=quality, optimize=optimize)
    put(path, out.getvalue())


def put(path: Path, data: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
