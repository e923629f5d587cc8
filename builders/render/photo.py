"""From light to a photo: background, tone, blur, noise, and the JPEG file.

Stands after shading; what it adds is drawn from the scene's own seeds.
"""

from __future__ import annotations

import cv2
import numpy as np

from ferbuild.builders.images import Pixels
from ferbuild.builders.render.package import Floats
from ferbuild.builders.render.scene import Background, Photo

REFERENCE = 224
"""Width in pixels for which `Photo.blur` and `Photo.noise` are given."""
COARSE = 3
"""Pixels to one of the background, which is out of focus."""
METERED = 0.24
"""Linear light that a metered face tends to."""
STEPS = 4096
"""Of the table from linear light to screen values."""


def background(what: Background, width: int, height: int) -> Floats:
    """Return what stands behind the head: H x W x 3, linear light."""
    one, two = (np.array(colour, np.float32) ** np.float32(2.2) for colour in what.colours)
    whole = (width, height)
    width, height = max(2, width // COARSE), max(2, height // COARSE)
    if what.kind == "plain":
        share = np.zeros((height, width), np.float32)
    elif what.kind == "gradient":
        along = np.linspace(0, 1, height, dtype=np.float32)[:, None]
        share = np.repeat(along, width, 1)
    else:
        share = _cloudy(what, width, height)
    small = np.asarray(one + share[..., None] * (two - one), np.float32)
    return np.asarray(cv2.resize(small, whole, interpolation=cv2.INTER_LINEAR), np.float32)


def _cloudy(what: Background, width: int, height: int) -> Floats:
    """Return smooth random values 0..1, H x W: two octaves, as of a room out of focus."""
    rng = np.random.default_rng(what.seed)
    total = np.zeros((height, width), np.float32)
    for octave, weight in ((1.0, 0.7), (2.7, 0.3)):
        cells = max(2, round(what.scale * octave))
        coarse = rng.random((cells, cells), np.float32)
        total += weight * np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC))
    return np.clip(total, 0, 1)


def exposure(expected: float) -> np.float32:
    """Return by how much a camera opens or closes for a face of that light (linear): part of the way to middle grey.

    It goes by what is expected of skin and lamps, not by the picture: a moved lip must not change the forehead.
    """
    return np.float32(np.clip((METERED / max(expected, 1e-3)) ** 0.5, 0.6, 2.0))


def take(light: Floats, photo: Photo, *, grey: bool) -> tuple[Pixels, bytes]:
    """Return the photo of linear light (H x W x 3), decoded from its JPEG file, and the file."""
    rgb = _toned(light, photo.gamma)
    sigma = photo.blur * light.shape[1] / REFERENCE
    if sigma > 0.15:
        rgb = np.asarray(cv2.GaussianBlur(rgb, (0, 0), sigma))
    if grey:
        rgb = np.repeat(np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY))[..., None], 3, 2)
    rng = np.random.default_rng([photo.seed, light.shape[0], light.shape[1]])
    grain = rng.standard_normal((*rgb.shape[:2], 1 if grey else 3), np.float32)
    sigma = photo.noise * min(1.0, (light.shape[1] / REFERENCE) ** 0.5)  # shrinking averages it out
    noisy = np.clip(np.rint(rgb * 255 + grain * np.float32(sigma)), 0, 255).astype(np.uint8)
    return _jpeg(noisy, photo.quality, grey=grey)


def _toned(light: Floats, gamma: float) -> Floats:
    """Return screen values 0..1 of linear light; what is brighter than white rolls off."""
    table = (np.linspace(0, 1, STEPS) ** (gamma / 2.2)).astype(np.float32)
    soft = np.where(light > 0.8, 1 - 0.2 * np.exp(-(light - 0.8) / 0.2), light)
    return np.asarray(table[(np.clip(soft, 0, 1) * (STEPS - 1)).astype(np.int32)])


def _jpeg(rgb: Pixels, quality: int, *, grey: bool) -> tuple[Pixels, bytes]:
    picture = rgb[..., 0] if grey else np.ascontiguousarray(rgb[..., ::-1])
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    back = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(back[..., ::-1]), data.tobytes()
