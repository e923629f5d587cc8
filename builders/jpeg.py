"""JPEG bytes to pixels by libjpeg-turbo itself, where nothing about the file is out of the ordinary.

The fast half of the decode in `images`: it returns Pillow's very pixels several times as fast, or None, and then Pillow
has the last word on the file. Both are libjpeg-turbo with the exact cosine transform and smooth chroma.
"""

from __future__ import annotations

import re
import struct
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import simplejpeg

MAGIC = b"\xff\xd8\xff"
_SCAN = 0xFFDA
"""Marker of a scan: the header ends there."""
_FRAMES = frozenset(range(0xFFC0, 0xFFD0)) - {0xFFC4, 0xFFC8, 0xFFCC}
"""Markers of what tells the size."""
_ALONE = frozenset(range(0xFFD0, 0xFFDA))
"""Markers that cannot stand in a header; below 0xFFC0 there is none that can."""
_METADATA = 0xFFE1
"""Marker of Exif and XMP."""
_start = re.compile(rb"\xff\xda").search  # on so few bytes faster than bytes.find
"""How a scan begins; within a header these bytes may stand by chance."""
_SHORT = 2048
"""Bytes of a header that is remembered: all files of one size by one encoder begin alike, and none with metadata is
worth the memory."""
_MENTIONS = (b"\x01\x12", b"\x12\x01", b"Orientation")
"""How Exif of either byte order and XMP write that a picture is turned; other bytes may look like the first two."""

_LATEST: list[tuple[bytes, Head]] = []
"""The header that was met last: the pictures of a release mostly come one like the other."""

_segment = struct.Struct(">HH").unpack_from
_frame = struct.Struct(">BHHB").unpack_from


class Head(NamedTuple):
    """What a JPEG says before its first scan; zeros where it does not say it."""

    scan: int
    """Where the scan begins, in bytes; -1 where the file ends before it."""
    bits: int
    """Of a value."""
    height: int
    width: int
    channels: int
    turned: bool
    """Its metadata may say that it is not upright."""
    ordinary: bool
    """It is whole, and grey or coloured with 8 bits a value, as nearly all are."""


def head(data: bytes) -> Head | None:
    """Return what stands before the first scan; None where something else than segments does."""
    for start, latest in _LATEST:
        if data.startswith(start):
            return latest
    if scan := _start(data, 0, _SHORT):
        start = data[: scan.start() + 10]  # a frame's size is read ten bytes far
        found = _remembered(start)
        if found is not None and found.scan == scan.start():
            if len(start) == found.scan + 10:  # of a file that ends sooner, a longer one may say more
                _LATEST[:] = [(start, found)]
            return found
    return _head(data)


@lru_cache(64)
def _remembered(start: bytes) -> Head | None:
    return _head(start)


def _head(data: bytes) -> Head | None:
    """Follow the segments up to the first scan."""
    at, frame, turned = 2, (0, 0, 0, 0), False
    while at + 4 <= len(data):
        mark, length = _segment(data, at)
        if mark == 0xFFFF:  # filling
            at += 1
            continue
        if mark == _SCAN:
            return Head(at, *frame, turned, ordinary=frame[0] == 8 and frame[3] in (1, 3))
        if mark < 0xFFC0 or mark in _ALONE or length < 2:
            return None
        if mark in _FRAMES and at + 10 <= len(data):
            frame = _frame(data, at + 4)
        elif mark == _METADATA and not turned:
            turned = any(data.find(word, at + 4, at + 2 + length) >= 0 for word in _MENTIONS)
        at += 2 + length
    return Head(-1, *frame, turned, ordinary=False)


def pixels(data: bytes) -> npt.NDArray[np.uint8] | None:
    """Return height x width x 3 RGB pixels; None where the decoder finds anything at all to say against the file."""
    try:
        found: npt.NDArray[np.uint8] = simplejpeg.decode_jpeg(data, "RGB")
    except Exception:  # whatever it objects to, Pillow has the last word
        return None
    return found
