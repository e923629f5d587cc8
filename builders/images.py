"""Picture bytes to pixels and back: the decode check, the crop, and the hash of what is seen."""

from __future__ import annotations

import io
import logging
import math
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import xxhash
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from ferbuild.builders import jpeg
from ferbuild.builders.ends import ends_early
from ferbuild.builders.magic import picture_kind
from ferbuild.manifests.recipe import Picture

Pixels = npt.NDArray[np.uint8]
"""Height x width x 3, RGB, 0..255."""


_FLIPS = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}
"""Of an Exif orientation, the direction in which rows and columns are taken, of 5 to 8 after they changed places."""

_PIXELS = re.compile(r"\d+ pixels")
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


logging.getLogger("PIL").addHandler(logging.NullHandler())
"""What Pillow says of a bad file goes nowhere unless somebody listens; the drop says it."""

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


def decode(data: bytes, *, max_pixels: int, whole: bool = True) -> Pixels:
    """Return the upright RGB pixels of an encoded picture, its first frame where it has several.

    Without `whole`, what there is of a file that ends too early is taken, and the rest stays as the decoder leaves it.
    Raises PictureError: empty file, unreadable, truncated, too many pixels.
    """
    if data.startswith(jpeg.MAGIC) and (found := _by_turbo(data, max_pixels)) is not None:
        return found
    if not data:
        raise PictureError("empty file")
    return _by_pillow(data, max_pixels, whole=whole)


def _by_turbo(data: bytes, max_pixels: int) -> Pixels | None:
    """Return the pixels of an ordinary JPEG without a fault; None of any other."""
    head = jpeg.head(data)
    if head is None or not head.ordinary:
        return None
    if head.width * head.height > max_pixels:
        _refuse_large(head.width * head.height, max_pixels)
    pixels = jpeg.pixels(data)
    if pixels is None or not head.turned:
        return pixels
    with (
        suppress(Exception),
        warnings.catch_warnings(action="ignore"),
        Image.open(io.BytesIO(data), formats=("JPEG",)) as picture,
    ):
        return _upright(pixels, _orientation(picture))
    return pixels


def _by_pillow(data: bytes, max_pixels: int, *, whole: bool) -> Pixels:
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            _accepting(cut=not whole),
            _silenced() if picture_kind(data) == "tiff" else nullcontext(),
            Image.open(io.BytesIO(data), formats=FORMATS) as picture,
        ):
            _refuse_large(picture.width * picture.height, max_pixels)
            picture.load()
            return _upright(_rgb(picture), _orientation(picture))
    except PictureError:
        raise
    except Image.DecompressionBombError as err:  # Pillow's own bound, before ours is asked
        raise PictureError("too many pixels", " ".join(_PIXELS.findall(str(err))[:1])) from None
    except Exception as err:
        raise PictureError(_reason(err, data), describe(err)) from None


def _refuse_large(pixels: int, most: int) -> None:
    if pixels > most:
        raise PictureError("too many pixels", f"{pixels} pixels")


@contextmanager
def _accepting(*, cut: bool) -> Iterator[None]:
    """Have Pillow take files that end too early: a switch of the whole process, which Pillow has for no single file."""
    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = cut
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


@contextmanager
def _silenced() -> Iterator[None]:
    """Throw away what libtiff writes to the standard error of the process, past Python and whatever asks it not to."""
    with ExitStack() as undo:
        with suppress(OSError):  # a process without a standard error has nothing to hide
            before = os.dup(2)
            undo.callback(os.close, before)
            nowhere = os.open(os.devnull, os.O_WRONLY)
            undo.callback(os.close, nowhere)
            undo.callback(os.dup2, before, 2)
            os.dup2(nowhere, 2)
        yield


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
    digest = xxhash.xxh3_128(b"%dx%d" % (pixels.shape[1], pixels.shape[0]))
    digest.update(np.ascontiguousarray(pixels))  # type: ignore[arg-type]  # its .data would be one, and takes as long
    return digest.hexdigest()


def _rgb(picture: Image.Image) -> Pixels:
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        picture = _eight_bit(picture)
    return np.asarray(picture.convert("RGB"))


def _orientation(picture: Image.Image) -> int:
    """Return how a picture lies, 1 to 8 as Exif counts; 1, upright, where its metadata cannot be read."""
    with suppress(Exception):
        return int(picture.getexif().get(ExifTags.Base.Orientation, 1))
    return 1


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """Turn or mirror pixels that lie as `orientation` says; an unknown one leaves them."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    down, across = _FLIPS.get(orientation, (1, 1))
    return np.ascontiguousarray(pixels[::down, ::across])


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
