"""Face-like pictures drawn at will, for benchmarks of hashing and search: none of them is shipped.

Faces are sampled by PCA from the 100 face crops of scikit-image's `lfw_subset.npy`, read from the package, put before
another background each and given a grain. What is done to a copy, and how a photograph is cropped anew, stands here
too, and so do the renders and the warped portraits that show one person with several expressions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from scipy.interpolate import RBFInterpolator

from ferbuild.builders.record import CANONICAL
from ferbuild.builders.render import units
from ferbuild.builders.render.draw import draw, draw_at, label_units
from ferbuild.builders.render.head import load_head
from ferbuild.builders.render.picture import render
from ferbuild.builders.render.scene import Crop as Framing
from ferbuild.builders.render.scene import Pose, Scene, with_unit
from ferbuild.demo.portraits import LANDMARKS, cut, photograph

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating]
SIDE = 36
"""Points a side of a sampled photograph; the face takes 25 of them."""
LARGE = 288
"""Pixels a side of a render or a portrait before it is cropped."""


class Window(NamedTuple):
    """What a crop shows: shares of the photograph's side, and degrees."""

    x: float
    y: float
    side: float
    turn: float


def window(rng: np.random.Generator, side: float = 26 / SIDE) -> Window:
    x, y, turn = rng.normal(0, 0.012), rng.normal(0, 0.012), rng.normal(0, 1.5)
    return Window(x * side, y * side, side * rng.uniform(0.96, 1.04), turn)


def new_window(rng: np.random.Generator, of: Window, size: int) -> Window:
    """Return a window of the same photograph: 2 to 3 px off at 48 px, else another margin, scale or turn."""
    if size == 48:
        angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(2, 3) / 48 * of.side
        return of._replace(x=of.x + far * np.cos(angle), y=of.y + far * np.sin(angle))
    x, y = of.x + of.side * rng.normal(0, 0.012), of.y + of.side * rng.normal(0, 0.012)
    how = rng.integers(3)
    scale = (rng.uniform(1.05, 1.15), rng.uniform(0.88, 0.95), 1.0)[how]
    turn = rng.uniform(2, 5) * rng.choice([-1, 1]) if how == 2 else 0
    return Window(x, y, of.side * scale, of.turn + turn)


def crop(photo: Pixels, size: int, of: Window) -> Pixels:
    """Return `size` x `size` pixels; grey at 48 px, as FER2013's are."""
    large = photo.shape[0]
    scale = size / (of.side * large)
    if scale < 1:
        photo = np.asarray(cv2.GaussianBlur(photo, (0, 0), 0.45 * float(np.sqrt(1 / scale**2 - 1)) + 1e-3), np.uint8)
    middle = np.array([(large - 1) / 2 + of.x * large, (large - 1) / 2 + of.y * large])
    matrix = cv2.getRotationMatrix2D((float(middle[0]), float(middle[1])), of.turn, scale)
    matrix[:, 2] = matrix[:, 2] + (size - 1) / 2 - middle
    out = cv2.warpAffine(photo, matrix, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.cvtColor(out, cv2.COLOR_RGB2GRAY) if size == 48 and out.ndim == 3 else out, np.uint8)


def jpeg(picture: Pixels, quality: int) -> Pixels:
    colour = picture.ndim == 3
    data = encoded(picture, quality)
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB if colour else cv2.IMREAD_GRAYSCALE), np.uint8)


def encoded(picture: Pixels, quality: int) -> npt.NDArray[np.uint8]:
    turned = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR) if picture.ndim == 3 else picture
    return np.asarray(cv2.imencode(".jpg", turned, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], np.uint8)


def _resized(picture: Pixels, factor: float) -> Pixels:
    side = round(picture.shape[0] * factor)
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (side, side), interpolation=how), np.uint8)


def _shifted(picture: Pixels) -> Pixels:
    wide = cv2.copyMakeBorder(picture, 0, 1, 0, 1, cv2.BORDER_REPLICATE)
    return np.asarray(wide[1:, 1:], np.uint8)


def _gained(picture: Pixels, gain: float, more: float = 0) -> Pixels:
    return np.asarray(np.clip(picture * float(gain) + more, 0, 255), np.uint8)


def _trimmed(picture: Pixels, share: float) -> Pixels:
    by = max(1, round(share * picture.shape[0]))
    return picture[by:, : picture.shape[1] - by]


def _centred(picture: Pixels) -> Pixels:
    by = max(1, round(0.02 * picture.shape[0]))
    return np.asarray(
        cv2.resize(picture[by:-by, by:-by], picture.shape[1::-1], interpolation=cv2.INTER_CUBIC), np.uint8
    )


CHANGES: dict[str, Callable[[Pixels], Pixels]] = {
    "JPEG 90": lambda x: jpeg(x, 90),
    "JPEG 60": lambda x: jpeg(x, 60),
    "JPEG 30": lambda x: jpeg(x, 30),
    "half size": lambda x: jpeg(_resized(x, 0.5), 92),
    "half size, JPEG 60": lambda x: jpeg(_resized(x, 0.5), 60),
    "size x 0.7": lambda x: jpeg(_resized(x, 0.7), 85),
    "double size": lambda x: jpeg(_resized(x, 2), 92),
    "brighter by 25": lambda x: jpeg(_gained(x, 1, 25), 90),
    "brighter x 1.2": lambda x: jpeg(_gained(x, 1.2), 90),
    "darker x 0.75": lambda x: jpeg(_gained(x, 0.75), 90),
    "2 % cut": lambda x: jpeg(_trimmed(x, 0.02), 90),
    "4 % cut": lambda x: jpeg(_trimmed(x, 0.04), 90),
    "4 % cut, enlarged": lambda x: jpeg(_centred(x), 90),
    "1 px shift": lambda x: jpeg(_shifted(x), 90),
    "mirrored": lambda x: jpeg(np.ascontiguousarray(x[:, ::-1]), 80),
    "mirrored, half size": lambda x: jpeg(_resized(x[:, ::-1], 0.5), 90),
}
"""What is done to a copy; `cropped anew` is done to the photograph instead."""


def _components() -> tuple[Floats, Floats, Floats]:
    package = find_spec("skimage")
    if package is None or package.origin is None:
        raise SystemExit("this benchmark needs faces: pip install scikit-image")
    faces = np.load(Path(package.origin).parent / "data/lfw_subset.npy")[:100].reshape(100, -1)
    mean = faces.mean(0)
    _, spread, parts = np.linalg.svd(faces - mean, full_matrices=False)
    return mean, spread[:60] / 10 * 0.85, parts[:60]


MEAN, SPREAD, PARTS = _components()


def _clouds(rng: np.random.Generator, count: int, side: int, power: float) -> Floats:
    """Return noise with a falling spectrum, mean 0 and deviation 1."""
    size = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    size[0, 0] = 1
    shape = (count, *size.shape)
    found = np.fft.irfft2((rng.normal(size=shape) + 1j * rng.normal(size=shape)) / size**power, s=(side, side))
    found -= found.mean((1, 2), keepdims=True)
    return np.asarray(found / found.std((1, 2), keepdims=True))


def sampled(rng: np.random.Generator, count: int) -> Floats:
    """Return count x 36 x 36 photographs of faces that there are not, 0..255."""
    faces = (MEAN + (rng.normal(size=(count, 60)) * SPREAD) @ PARTS).reshape(count, 25, 25)
    faces = np.pad(faces, ((0, 0), (5, 6), (5, 6)), mode="edge")
    y, x = np.mgrid[0:SIDE, 0:SIDE] - (SIDE - 1) / 2
    mask = 1 / (1 + np.exp((np.hypot(x / 12, y / 13) - 1) * 14))
    behind = rng.uniform(0.1, 0.8, (count, 1, 1)) + 0.14 * _clouds(rng, count, SIDE, 1.7)
    return np.asarray(np.clip((faces * mask + behind * (1 - mask)) * 235, 0, 255), np.float64)


def grained(face: Floats, rng: np.random.Generator) -> Pixels:
    """Return a sampled face as a grey photograph of 108 px with a grain of its own."""
    fine = cv2.GaussianBlur(rng.normal(0, 6, (108, 108)).astype(np.float32), (0, 0), 0.8)
    large = cv2.resize(face.astype(np.float32), (108, 108), interpolation=cv2.INTER_CUBIC) + fine
    return np.clip(large, 0, 255).astype(np.uint8)


def photographed(face: Floats, rng: np.random.Generator) -> Pixels:
    """Return a sampled face as a photograph of 288 px with fine detail, colour and a small warp of its own."""
    large = cv2.resize(face.astype(np.float32), (LARGE, LARGE), interpolation=cv2.INTER_CUBIC)
    fine = _clouds(rng, 1, LARGE, 1.0)[0].astype(np.float32)
    fine -= cv2.GaussianBlur(fine, (0, 0), LARGE / 25)
    large = large + 5 * fine / fine.std()
    bent = [
        cv2.resize(
            rng.normal(0, LARGE * 0.008, (5, 5)).astype(np.float32), (LARGE, LARGE), interpolation=cv2.INTER_CUBIC
        )
        for _ in range(2)
    ]
    y, x = np.mgrid[0:LARGE, 0:LARGE].astype(np.float32)
    large = cv2.remap(large, x + bent[0], y + bent[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    tint = np.array([1.05, 0.92, 0.85]) * rng.uniform(0.9, 1.1, 3)
    return np.asarray(np.clip(large[..., None] * tint, 0, 255), np.uint8)


MOVED: dict[str, tuple[tuple[float, float, float, float, float], ...]] = {
    "smile": ((-3.6, 6.5, -1, -1.3, 1.8), (3.6, 6.5, 1, -1.3, 1.8)),
    "frown": ((-3.6, 6.5, 0.4, 1.3, 1.8), (3.6, 6.5, -0.4, 1.3, 1.8)),
    "mouth open": ((0, 8.3, 0, 1.8, 2.2), (0, 5.6, 0, -0.6, 1.5)),
    "brows up": ((-5, -5.5, 0, -1.4, 2.2), (5, -5.5, 0, -1.4, 2.2)),
    "brows down": ((-4, -5.5, 0.6, 1.2, 2), (4, -5.5, -0.6, 1.2, 2)),
    "eyes wide": ((-5, -4.3, 0, -0.9, 1.3), (5, -4.3, 0, -0.9, 1.3), (-5, -2.7, 0, 0.7, 1.3), (5, -2.7, 0, 0.7, 1.3)),
    "pucker": ((-3.4, 6.5, 1.3, 0, 1.8), (3.4, 6.5, -1.3, 0, 1.8)),
}
"""Expressions of sampled faces: place, displacement and reach in points of 36, from the middle."""


def with_expression(photo: Pixels, name: str, strength: float) -> Pixels:
    unit = photo.shape[0] / SIDE
    y, x = np.mgrid[0 : photo.shape[0], 0 : photo.shape[0]].astype(np.float32)
    right, down = np.zeros_like(x), np.zeros_like(y)
    for at_x, at_y, by_x, by_y, reach in MOVED[name]:
        far = ((x + 0.5) / unit - SIDE / 2 - at_x) ** 2 + ((y + 0.5) / unit - SIDE / 2 - at_y) ** 2
        weight = strength * unit * np.exp(-far / (2 * reach**2))
        right, down = right + by_x * weight, down + by_y * weight
    maps = (x - right).astype(np.float32), (y - down).astype(np.float32)
    return np.asarray(cv2.remap(photo, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


FRAMING = Framing(eye_distance=0.245, eye_line=0.42)
RENDER_SIDE = 0.8
"""Share of a render or portrait that a crop shows."""


def rendered(seed: int, number: int) -> Iterator[Pixels]:
    """Yield one person four times: as drawn; with a further unit and nothing else changed; with another label's units
    and other noise; and as a neighbouring frame, the head turned by a degree or so, with a third label's units."""
    rng = draw_at(seed, number)
    scene = draw(rng)
    unit = str(rng.choice(units.names()))
    scene = with_unit(scene, unit, 0.0)
    labels = rng.permutation([label for label in CANONICAL if label != scene.label])
    more = with_unit(scene, unit, float(rng.uniform(0.8, 1)))
    other = _as_label(scene, str(labels[0]), (0.6, 1.1), rng)
    frame = _as_label(scene, str(labels[1]), (0.5, 0.9), rng)
    pose = frame.pose
    turned = Pose(pose.yaw + rng.normal(0, 1.2), pose.pitch + rng.normal(0, 1), pose.roll)
    for one in (scene, more, other, replace(frame, pose=turned)):
        yield render(load_head(), one, width=LARGE, height=LARGE, framing=FRAMING).rgb


def _as_label(scene: Scene, label: str, strength: tuple[float, float], rng: np.random.Generator) -> Scene:
    weights = units.clipped(units.weights_of(label_units(rng, label, strength)[0]))
    photo = replace(scene.photo, seed=int(rng.integers(1 << 31)), noise=min(scene.photo.noise, 4.0))
    return replace(scene, weights=weights, photo=photo)


WARPS: dict[str, dict[int, tuple[float, float]]] = {
    "as it is": {},
    "smile": {48: (-0.1, -0.13), 54: (0.1, -0.13), 57: (0, 0.02)},
    "frown": {48: (0.05, 0.12), 54: (-0.05, 0.12), 62: (0, -0.02)},
    "brows up": {21: (0, -0.13), 22: (0, -0.13), 19: (0, -0.16), 24: (0, -0.16), 17: (0, -0.12), 26: (0, -0.12)},
    "brows down": {21: (0.06, 0.1), 22: (-0.06, 0.1), 19: (0.02, 0.06), 24: (-0.02, 0.06)},
    "mouth open": {57: (0, 0.22), 66: (0, 0.2), 8: (0, 0.15)},
    "eyes wide": {n: (0, -0.05 if n in (37, 38, 43, 44) else 0.03) for n in (37, 38, 43, 44, 40, 41, 46, 47)},
    "pucker": {48: (0.14, 0), 54: (-0.14, 0)},
}
"""Expressions of the portraits: landmark to displacement, in distances between the eyes."""
STILL = (0, 2, 4, 12, 14, 16, 27, 30, 36, 39, 42, 45)


def portraits() -> Iterator[list[Pixels]]:
    """Yield each of the two portraits with every expression."""
    for name in LANDMARKS:
        photo = cut(photograph(name), FRAMING, LARGE, LARGE)
        yield [_bent(photo.rgb, photo.marks, moved) for moved in WARPS.values()]


def _bent(rgb: Pixels, marks: npt.NDArray[np.float64], moved: dict[int, tuple[float, float]]) -> Pixels:
    apart = float(np.hypot(*(marks[42:48].mean(0) - marks[36:42].mean(0))))
    still = [marks[number] for number in STILL if number not in moved]
    edge = [place for at in (0, 72, 144, 216, 287) for place in ((at, 0), (at, 287), (0, at), (287, at))]
    fixed = np.unique(np.array([*still, *edge]), axis=0)
    start = np.concatenate([fixed, *(marks[[number]] for number in moved)])
    end = np.concatenate([fixed, *(marks[[number]] + np.array(by) * apart for number, by in moved.items())])
    y, x = np.mgrid[0:LARGE, 0:LARGE]
    points = np.stack([x.ravel(), y.ravel()], 1).astype(np.float64)
    seen = (points + RBFInterpolator(end, start - end, kernel="thin_plate_spline")(points)).astype(np.float32)
    maps = seen.reshape(LARGE, LARGE, 2)
    out = cv2.remap(rgb, maps[..., 0], maps[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(out, np.uint8)
