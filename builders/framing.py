"""What of a picture becomes the face: all of it, a box, or the five points brought onto a template.

On the way of a face this stands between looking and hashing. Whatever was found on the picture is told in pixels of
what is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np

from ferbuild.builders.align import Matrix, similarity, template, warp
from ferbuild.builders.detect import Detection
from ferbuild.builders.images import Cut, Pixels, cut, encode
from ferbuild.builders.looking import Seen
from ferbuild.manifests.recipe import Picture


class Framed(NamedTuple):
    """A face as a row stores it."""

    cut: Cut
    map: Matrix
    """2 x 3, from pixels of the file, upright, to pixels of what is stored."""
    aligned: bool = False

    @property
    def columns(self) -> dict[str, Any]:
        """Those of FACES that tell what is stored, besides its bytes."""
        height, width = self.cut.pixels.shape[:2]
        aligned = self.map.ravel().tolist() if self.aligned else None
        return {"width": width, "height": height, "crop": self.cut.crop, "aligned": aligned}


def frame(data: bytes, pixels: Pixels, box: Sequence[float] | None, face: Detection | None, policy: Picture) -> Framed:
    """Return what is stored of a picture: the face that was found, aligned where the policy asks for it, or the box.

    Without a box it is the file's own bytes. Raises PictureError where the box and the picture do not meet.
    """
    if face is not None and policy.align == "similarity":
        try:
            return aligned(pixels, similarity(face.points, template(policy.side, margin=policy.margin)), policy)
        except ValueError:  # five points in one spot: no way to turn the face upright
            pass
    part = cut(data, pixels, box, policy)
    x, y = part.crop[:2] if part.crop else (0.0, 0.0)
    return Framed(part, np.array([[1.0, 0.0, -x], [0.0, 1.0, -y]]))


def grown(face: Detection, margin: float) -> list[float]:
    """Return the box (x0 y0 x1 y1) of a face with `margin` of its sides added on each side."""
    x0, y0, x1, y1 = face.box
    across, down = margin * (x1 - x0), margin * (y1 - y0)
    return [x0 - across, y0 - down, x1 + across, y1 + down]


def placed(seen: Seen, framed: Framed) -> dict[str, Any]:
    """Return the columns of FACES of what was seen, in pixels and degrees of what is stored."""
    columns = dict(seen.columns)
    if seen.face is not None:
        columns["landmarks"] = _mapped(seen.face.points, framed.map).ravel().tolist()
    if seen.pose is not None:
        turned = float(np.degrees(np.arctan2(framed.map[1, 0], framed.map[0, 0])))
        columns |= seen.pose._asdict() | {"roll": (seen.pose.roll + turned + 180) % 360 - 180}
    return columns


def aligned(pixels: Pixels, matrix: Matrix, policy: Picture) -> Framed:
    """Return the face that `matrix` (2 x 3) maps into a crop of the policy's side; ValueError where none is there."""
    x0, y0, x1, y1 = _reach(matrix, policy.side, pixels)
    if x1 <= x0 or y1 <= y0:
        raise ValueError("the face lies outside the picture")
    face = _shrunk(np.ascontiguousarray(pixels[y0:y1, x0:x1]), matrix, (x0, y0), policy.side)
    crop = [float(value) for value in (x0, y0, x1, y1)]
    return Framed(Cut(encode(face, policy), f".{policy.crop_format}", face, crop), matrix, aligned=True)


def _reach(matrix: Matrix, side: int, pixels: Pixels) -> tuple[int, int, int, int]:
    """Return the part of the picture that an aligned face of `side` pixels shows, x0 y0 x1 y1."""
    corners = np.array([[0, 0], [side, 0], [0, side], [side, side]], np.float64)
    spots = _mapped(corners, np.asarray(cv2.invertAffineTransform(matrix)))
    x0, y0 = np.floor(spots.min(0)).astype(int) - 1
    x1, y1 = np.ceil(spots.max(0)).astype(int) + 1
    height, width = pixels.shape[:2]
    return max(0, int(x0)), max(0, int(y0)), min(width, int(x1)), min(height, int(y1))


def _shrunk(part: Pixels, matrix: Matrix, corner: tuple[int, int], side: int) -> Pixels:
    """Return the aligned face; one that is about twice as large or more in the picture is first shrunk by areas.

    Interpolation alone looks at four pixels, and would pick a few of many.
    """
    times = round(1 / float(np.hypot(*matrix[:, 0])))
    if times >= 2:
        size = (-(-part.shape[1] // times), -(-part.shape[0] // times))
        scale = part.shape[1] / size[0], part.shape[0] / size[1]
        part = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
    else:
        scale = (1.0, 1.0)
    # The middle of pixel p of the part lies at (p + 1/2) * scale - 1/2 + corner in the picture.
    shift = (np.array(scale) - 1) / 2 + corner
    return warp(part, np.column_stack([matrix[:, :2] * scale, matrix[:, :2] @ shift + matrix[:, 2]]), (side, side))


def _mapped(points: Any, matrix: Matrix) -> Matrix:
    return np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]
