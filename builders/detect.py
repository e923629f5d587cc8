"""Faces in a picture: the `Detector` seam, how it is shown a picture, and CenterFace run by OpenCV, the default.

On the way of a face this comes after the picture is cut and before the mesh: a detection's five points place
the region that the mesh looks at.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import cv2
import numpy as np
import numpy.typing as npt

from ferbuild.builders.errors import FerError
from ferbuild.builders.files import file_sha256
from ferbuild.builders.images import Pixels
from ferbuild.manifests.load import load_asset

Floats = npt.NDArray[np.float32]

PADDING = 0.3
"""Share of each side that is added around a face crop, by repeating its edge: a face needs something around it."""
CROP_SIDE = 256
"""Longer side, in pixels, at which a padded crop is searched."""
FILLS = 0.4
"""A face whose box is at least this share of the picture's longer side makes the picture a face crop."""
LARGE = 640
"""Longest side, in pixels, at which a scene is searched."""
STRIDE = 4
"""Pixels of the input to a cell of the heat map."""
MULTIPLE = 32
"""The net halves its input five times."""
SMALL = 3 * 640 * 640
"""Bytes of a picture up to which a copy in another form costs less than it saves."""


class Detection(NamedTuple):
    """A face: everything in pixels of the picture that was searched, x to the right, y down."""

    score: float
    """0..1."""
    box: tuple[float, float, float, float]
    """x0 y0 x1 y1; may reach over the edge."""
    points: Floats
    """5 x 2: the eye, nose tip and mouth corner points, left in the picture first (eye, eye, nose, corner, corner)."""


class Detector(Protocol):
    """Whatever finds faces; `name`, `sha256` and `terms` of its weights go into every row it made."""

    name: str
    sha256: str
    terms: str
    """What the weights may be used for; empty where that is not known."""

    def find(self, rgb: Pixels) -> list[Detection]:
        """Return the faces of a picture (H x W x 3, RGB), best score first."""
        ...


class View(NamedTuple):
    """The picture as a net sees it: picture pixel p stands at p * scale + offset."""

    pixels: Pixels
    scale: tuple[float, float]
    offset: tuple[float, float]

    def back(self, spots: Floats) -> Floats:
        """Return points (N x 2, pixels of the view) in pixels of the picture."""
        scale, offset = np.asarray(self.scale, np.float32), np.asarray(self.offset, np.float32)
        return ((spots - offset) / scale).astype(np.float32)


def find_in(rgb: Pixels, search: Callable[[View], list[Detection]]) -> list[Detection]:
    """Return the faces, best first: the picture is searched as a face crop, and if it is none, as a scene."""
    found = search(_as_crop(rgb))
    longer = max(rgb.shape[:2])
    if longer <= CROP_SIDE or any(_longer_side(face) >= FILLS * longer for face in found):
        return found
    return search(_as_scene(rgb))


class CenterFace:
    """CenterFace (Xu et al. 2019) in OpenCV's dnn. An instance belongs to one thread."""

    name = "centerface"

    def __init__(self, path: Path, *, threshold: float = 0.4, overlap: float = 0.3) -> None:
        """Open the ONNX file; `threshold` is the least score, `overlap` the IoU from which two boxes are one face."""
        self.sha256 = file_sha256(path)
        known = load_asset(self.name)
        self.terms = known.licence if self.sha256 == known.sha256 else ""
        self._threshold = threshold
        self._overlap = overlap
        # The classic engine gives wrong heat maps, silently, once the input changes its size.
        self._net = cv2.dnn.readNetFromONNX(str(path), cv2.dnn.ENGINE_NEW)
        self._outputs = self._net.getUnconnectedOutLayersNames()

    def find(self, rgb: Pixels) -> list[Detection]:
        return find_in(rgb, self._search)

    def _search(self, view: View) -> list[Detection]:
        self._net.setInput(planes(view.pixels))
        outputs = [np.asarray(out, np.float32) for out in self._net.forward(self._outputs)]
        found = _decode(*outputs, threshold=self._threshold)
        return [_in_picture(found, at, view) for at in _distinct(found, self._overlap)]


def open_detector(path: Path) -> Detector:
    """Return the detector whose weights are in `path`; FerError where they are no CenterFace that OpenCV can run."""
    try:
        detector = CenterFace(path)
        detector.find(np.zeros((32, 32, 3), np.uint8))
    except (cv2.error, OSError, TypeError, ValueError, IndexError) as err:
        problem = f"cannot be run as a CenterFace model: {str(err).rpartition('error: ')[2].strip():.200}"
        raise FerError(path, problem, "correct `models: {centerface: …}`, or leave it out") from None
    return detector


class _Found(NamedTuple):
    """N faces above the threshold, in pixels of the net's input."""

    scores: Floats
    boxes: Floats
    """N x 4: x y width height."""
    points: Floats
    """N x 5 x 2."""


def planes(rgb: Pixels) -> Floats:
    """Return the first three channels, 1 x 3 x height x width: as `blobFromImage`, in a fifth of the time."""
    out = np.empty((1, 3, *rgb.shape[:2]), np.float32)
    for at, plane in enumerate(cv2.split(rgb)[:3]):
        out[0, at] = plane
    return out


def _as_crop(rgb: Pixels) -> View:
    """Return the picture at CROP_SIDE with its edges repeated around it.

    A large one is shrunk before that: what is repeated around it would be shrunk for nothing.
    """
    scale = (1.0, 1.0)
    if max(rgb.shape[:2]) > CROP_SIDE:
        inner = _resized(rgb, round(CROP_SIDE / (1 + 2 * PADDING)), multiple=1)
        rgb, scale = inner.pixels, inner.scale
    height, width = rgb.shape[:2]
    across, down = round(width * PADDING), round(height * PADDING)
    padded = cv2.copyMakeBorder(rgb, down, down, across, across, cv2.BORDER_REPLICATE)
    view = _resized(padded, CROP_SIDE)
    both = scale[0] * view.scale[0], scale[1] * view.scale[1]
    return View(view.pixels, both, (across * view.scale[0], down * view.scale[1]))


def _as_scene(rgb: Pixels) -> View:
    return _resized(rgb, min(LARGE, max(rgb.shape[:2])))


def _resized(rgb: npt.NDArray[Any], longer_side: int, *, multiple: int = MULTIPLE) -> View:
    """Return the picture at another size, with black at the right and the bottom up to what the net can halve."""
    factor = longer_side / max(rgb.shape[:2])
    size = width, height = max(1, round(rgb.shape[1] * factor)), max(1, round(rgb.shape[0] * factor))
    pixels = shrunk(rgb, size) if factor < 1 else cv2.resize(rgb, size, interpolation=cv2.INTER_CUBIC)
    more = -height % multiple, -width % multiple
    whole = cv2.copyMakeBorder(pixels, 0, more[0], 0, more[1], cv2.BORDER_CONSTANT) if any(more) else pixels
    return View(np.asarray(whole, np.uint8), (width / rgb.shape[1], height / rgb.shape[0]), (0.0, 0.0))


def shrunk(rgb: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    """Return what OpenCV's area interpolation gives.

    By way of floats these are the same pixels in two thirds of the time; whole factors have a fast way of their own.
    """
    whole = rgb.shape[1] % size[0] == rgb.shape[0] % size[1] == 0
    if whole or rgb.size > SMALL:
        return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA))
    return np.asarray(cv2.convertScaleAbs(cv2.resize(rgb.astype(np.float32), size, interpolation=cv2.INTER_AREA)))


def _decode(heat: Floats, sizes: Floats, shifts: Floats, points: Floats, *, threshold: float) -> _Found:
    """Return the cells of the heat map (1 x 1 x h x w) above the threshold as faces.

    Per cell the net gives the log of the height and width in cells, the shift of the centre (y, x) in cells,
    and the five points (y, x) in box sizes from the box's corner.
    """
    rows, columns = np.nonzero(heat[0, 0] > threshold)
    size = np.exp(sizes[0][:, rows, columns]) * STRIDE
    centre = (np.stack([rows, columns]) + shifts[0][:, rows, columns] + 0.5) * STRIDE
    corner = np.maximum(centre - size / 2, 0)
    spots = points[0][:, rows, columns].reshape(5, 2, -1) * size + corner
    return _Found(
        scores=heat[0, 0, rows, columns],
        boxes=np.concatenate([corner[::-1], size[::-1]]).T.astype(np.float32),
        points=spots[:, ::-1].transpose(2, 0, 1).astype(np.float32),
    )


def _distinct(found: _Found, overlap: float) -> list[int]:
    """Return the indices that non-maximum suppression leaves, best score first."""
    if not len(found.scores):
        return []
    kept = cv2.dnn.NMSBoxes(found.boxes.tolist(), found.scores.tolist(), 0.0, overlap)
    return [int(at) for at in np.ravel(np.asarray(kept))]


def _in_picture(found: _Found, at: int, view: View) -> Detection:
    x, y, width, height = found.boxes[at]
    x0, y0, x1, y1 = view.back(np.array([[x, y], [x + width, y + height]])).ravel().tolist()
    return Detection(float(found.scores[at]), (x0, y0, x1, y1), view.back(found.points[at]))


def _longer_side(face: Detection) -> float:
    x0, y0, x1, y1 = face.box
    return max(x1 - x0, y1 - y0)
