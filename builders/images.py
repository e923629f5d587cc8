"""Picture bytes to pixels and back: the decode check, the crop, and the hash of what is seen."""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import xxhash
from PIL import Image, ImageOps, UnidentifiedImageError

from ferbuild.builders.ends import ends_early
from ferbuild.builders.magic import picture_kind
from ferbuild.manifests.schema import Picture

Pixels = npt.NDArray[np.uint8]
"""Height x width x 3, RGB, 0..255."""


_PIXELS = re.compile(r"\d+ pixels")
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP", "GIF")
"""What releases hold; JPEG's reader takes MPO too. Pillow knows many more, and starts Ghostscript for PostScript."""


class PictureError(Exception):
    """A picture cannot be used: the drop `reason`, and a `detail` for the person who looks into it."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


class Cut(NamedTuple):
    """A picture as a row stores it."""

    data: bytes
    suffix: str
    pixels: Pixels
    crop: list[float] | None


def decode(data: bytes, *, max_pixels: int) -> Pixels:
    """Return the upright RGB pixels of an encoded picture, its first frame where it has several.

    Raises PictureError: empty file, unreadable, truncated, too many pixels.
    """
    if not data:
        raise PictureError("empty file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
                if picture.width * picture.height > max_pixels:
                    raise PictureError("too many pixels", f"{picture.width * picture.height} pixels")
                return _upright_rgb(picture)
    except PictureError:
        raise
    except Image.DecompressionBombError as err:  # Pillow's own bound, before ours is asked
        raise PictureError("too many pixels", " ".join(_PIXELS.findall(str(err))[:1])) from None
    except Exception as err:
        raise PictureError(_reason(err, data), describe(err)) from None


def describe(err: Exception) -> str:
    """Return what a drop says of an exception: no path and no memory address, which differ between two runs."""
    if isinstance(err, UnidentifiedImageError):
        return "no known picture format"
    text = err.strerror if isinstance(err, OSError) and err.strerror else str(err)
    return f"{type(err).__name__}: {_ADDRESS.sub('', text)}"[:200]


def cut(data: bytes, pixels: Pixels, box: Sequence[float] | None, policy: Picture) -> Cut:
    """Return the face inside `box` (x0 y0 x1 y1 in pixels), or the file's own bytes where there is no box.

    The box is clipped to the picture. Raises PictureError where nothing is left of it.
    """
    if box is None:
        return Cut(data, f".{picture_kind(data) or 'bin'}", pixels, None)
    height, width = pixels.shape[:2]
    if not all(map(math.isfinite, box)):
        raise PictureError("box outside the picture", f"{[*box]} in {width}x{height}")
    x0, y0 = max(0, round(box[0])), max(0, round(box[1]))
    x1, y1 = min(width, round(box[2])), min(height, round(box[3]))
    if x1 - x0 < 1 or y1 - y0 < 1:
        raise PictureError("box outside the picture", f"{[round(v) for v in box]} in {width}x{height}")
    face = np.ascontiguousarray(pixels[y0:y1, x0:x1])
    return Cut(encode(face, policy), f".{policy.crop_format}", face, [float(v) for v in (x0, y0, x1, y1)])


def encode(pixels: Pixels, policy: Picture) -> bytes:
    """Return the picture as JPEG without chroma subsampling, or PNG, as the policy says."""
    bgr = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    if policy.crop_format == "png":
        return cv2.imencode(".png", bgr)[1].tobytes()
    full_chroma = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, policy.crop_quality, *full_chroma])[1].tobytes()


def pixel_hash(pixels: Pixels) -> str:
    """Return 32 hex digits (xxh3-128) of the size and the RGB pixels: equal for re-wrapped equal pictures."""
    digest = xxhash.xxh3_128(f"{pixels.shape[1]}x{pixels.shape[0]}".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def _upright_rgb(picture: Image.Image) -> Pixels:
    picture.load()
    upright = ImageOps.exif_transpose(picture) or picture
    if upright.mode in ("I", "F") or upright.mode.startswith("I;16"):
        upright = _eight_bit(upright)
    return np.asarray(upright.convert("RGB"))


def _eight_bit(picture: Image.Image) -> Image.Image:
    """Scale 16-bit grey to 8 bits; Pillow's own conversion clips at 255."""
    values = np.asarray(picture).astype(np.float64)
    top = 65535.0 if values.max() > 255 else 255.0
    return Image.fromarray(np.clip(values * (255.0 / top), 0, 255).astype(np.uint8))


def _reason(err: Exception, data: bytes) -> str:
    """Tell a cut file from one that is no picture: by what Pillow says, or by a format that tells its own length."""
    text = str(err).lower()
    cut_short = any(word in text for word in ("truncated", "broken data", "unexpected end"))
    return "truncated" if cut_short or ends_early(data) else "unreadable"
