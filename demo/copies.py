"""The demo's known duplicates: one photograph twice, as releases come to share it, and what was done to the second.

Stands beside `demo.layouts`: a copy is listed like any other picture. All but one keep their original's label.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from ferbuild.builders.images import Pixels
from ferbuild.builders.render.scene import Pose
from ferbuild.builders.render.units import Shown
from ferbuild.demo.layouts import affectnet_path, ferplus_path, rafdb_path, sfew_path
from ferbuild.demo.portraits import Marks
from ferbuild.demo.shots import Taken, put, put_picture

SWAPPED = {"left": "right", "right": "left", "both": "both"}
MIRRORED = np.array(
    [
        *range(16, -1, -1),
        *range(26, 16, -1),
        *(27, 28, 29, 30, 35, 34, 33, 32, 31),
        *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),
        *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65),
    ]
)
"""Which landmark of a face is each landmark of its mirror image."""


class Change(NamedTuple):
    """What is done to a picture before it is written again; nothing at all leaves it byte-identical."""

    width: int = 0
    """Pixels of the new picture, which is square; 0: as wide and high as it was."""
    grey: bool = False
    mirror: bool = False
    gain: float = 1.0
    """Brightness."""
    cut: float = 0.0
    """Share of the width and height that is cut away, at the left and at the top."""
    quality: int = 92
    """JPEG."""
    repacked: bool = False
    """The same pixels in other bytes."""


CHANGES: Mapping[str, Change] = {
    "byte for byte": Change(),
    "repacked": Change(repacked=True),
    "re-encoded": Change(quality=45),
    "relabelled": Change(quality=80),
    "resized": Change(width=48, grey=True),
    "mirrored": Change(mirror=True, grey=True),
    "brighter": Change(gain=1.22),
    "cropped": Change(cut=0.03),
}


class Copy(NamedTuple):
    """A picture, below the demo's releases, that shows what another one shows."""

    how: str
    """One of CHANGES; `cropped anew` for one portrait in two releases."""
    of: str
    path: str
    key: str
    """`<release>/<split>/<name>`: the list it stands in."""
    label: str = ""
    """Where it is not the original's."""
    set: str = ""
    """The benchmark set that the original belongs to: the copy may not be trained on."""
    reason: str = ""
    """Why the faces stage drops one of the two; empty: it keeps both."""
    stays: bool = False
    """The copy stays and its original goes: it is larger, or as large and has the lower id."""


COPIES = (
    Copy(
        "byte for byte",
        rafdb_path("train", 10),
        affectnet_path("train", 800),
        "affectnet/train/copy",
        reason="duplicate",
    ),
    Copy(
        "repacked",
        sfew_path("Train", "Orchard", "surprise", 21),
        sfew_path("Train", "Reel", "surprise", 21),
        "sfew/Train/repacked",
        reason="duplicate",
        stays=True,
    ),
    Copy(
        "re-encoded",
        rafdb_path("train", 20),
        rafdb_path("train", 99),
        "rafdb/train/copy",
        reason="near duplicate",
        stays=True,
    ),
    Copy(
        "relabelled",
        rafdb_path("train", 30),
        rafdb_path("train", 100),
        "rafdb/train/relabelled",
        label="anger",
        reason="labels disagree",
        stays=True,
    ),
    Copy(
        "resized",
        rafdb_path("train", 46),
        ferplus_path("FER2013Train", 96),
        "ferplus/FER2013Train/resized",
        reason="near duplicate",
    ),
    Copy(
        "mirrored",
        ferplus_path("FER2013Train", 15),
        ferplus_path("FER2013Train", 97),
        "ferplus/FER2013Train/mirrored",
        reason="near duplicate",
        stays=True,
    ),
    Copy(
        "brighter",
        sfew_path("Train", "Lantern", "happiness", 10),
        sfew_path("Train", "Reel", "happiness", 10),
        "sfew/Train/brighter",
        reason="near duplicate",
    ),
    Copy(
        "cropped",
        affectnet_path("train", 33),
        affectnet_path("train", 801),
        "affectnet/train/cropped",
        reason="near duplicate",
        stays=True,
    ),
    Copy(
        "byte for byte",
        rafdb_path("test", 11),
        affectnet_path("train", 802),
        "affectnet/train/of the benchmark",
        set="rafdb",
        reason="contaminates:ferbench/rafdb",
    ),
    Copy(
        "mirrored",
        ferplus_path("FER2013Test", 73),
        ferplus_path("FER2013Train", 98),
        "ferplus/FER2013Train/of the benchmark",
        set="ferplus",
        reason="contaminates:ferbench/ferplus",
    ),
    Copy(
        "resized",
        rafdb_path("test", 4),
        ferplus_path("FER2013Train", 99),
        "ferplus/FER2013Train/of another benchmark",
        set="rafdb",
        reason="contaminates:ferbench/rafdb",
    ),
)
SHARED = (
    Copy(
        "cropped anew",
        rafdb_path("train", 4),
        affectnet_path("train", 1),
        "affectnet/train/1",
        reason="near duplicate",
        stays=True,
    ),
    Copy("cropped anew", rafdb_path("train", 7), affectnet_path("train", 0), "affectnet/train/0"),
)
"""The two portraits, which stand in two releases each: known duplicates that need no copying.

The second one is cropped so differently that the search takes the two for different pictures."""


def copy(what: Copy, of: Taken, out: Path) -> Taken:
    """Write a copy below `out` and return what is true of it."""
    data, change = (out / what.of).read_bytes(), CHANGES[what.how]
    shot = of.shot._replace(path=what.path, key=what.key, label=what.label or of.shot.label)
    if change == Change():
        put(out / what.path, data)
        return of._replace(shot=shot)
    with Image.open(io.BytesIO(data)) as picture:
        rgb = np.asarray(picture.convert("RGB"))
    changed, marks = _changed(rgb, of.marks, change)
    put_picture(out / what.path, changed, grey=change.grey, quality=change.quality, optimize=change.repacked)
    height, width = changed.shape[:2]
    copied = of._replace(shot=shot, marks=marks, width=width, height=height)
    return _mirrored(copied) if change.mirror else copied


def _changed(rgb: Pixels, marks: Marks, change: Change) -> tuple[Pixels, Marks]:
    """Return the pixels after a change, and the landmarks in them."""
    height, width = rgb.shape[:2]
    left, top = round(width * change.cut), round(height * change.cut)
    rgb, marks = rgb[top:, left:], marks - (left, top)
    if change.mirror:
        rgb, marks = rgb[:, ::-1], ((width - left - 1, 0) + marks * (-1, 1))[MIRRORED]
    if change.width:
        scale = np.array([change.width / rgb.shape[1], change.width / rgb.shape[0]])
        rgb = np.asarray(cv2.resize(rgb, (change.width, change.width), interpolation=cv2.INTER_AREA))
        marks = (marks + 0.5) * scale - 0.5
    bright = np.clip(np.round(rgb * change.gain), 0, 255)
    return np.ascontiguousarray(bright.astype(np.uint8)), np.asarray(marks, np.float64)


def _mirrored(one: Taken) -> Taken:
    """Return the truth of a mirror image: the person's left is now the right."""
    units = one.units and [Shown(unit, SWAPPED[side], value) for unit, side, value in one.units]
    return one._replace(units=units, pose=one.pose and Pose(-one.pose.yaw, one.pose.pitch, -one.pose.roll))
