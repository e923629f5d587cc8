"""Whether the bytes of a picture end before its format says; asked only for one that could not be decoded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

from ferbuild.builders import jpeg
from ferbuild.builders.magic import picture_kind

_TIFF_BYTES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8)
"""Of a value of each TIFF type; types are numbered from 1."""


def ends_early(data: bytes) -> bool:
    """Say whether a picture file is the beginning of a longer one; False where that cannot be told."""
    follow = _FOLLOW.get(picture_kind(data) or "")
    return follow is not None and follow(data)


def _jpeg(data: bytes) -> bool:
    """Look for the first scan, which must be closed by the end marker."""
    head = jpeg.head(data)
    return head is not None and (head.scan < 0 or b"\xff\xd9" not in data[head.scan :])


def _png(data: bytes) -> bool:
    """Follow the chunks up to the last one."""
    at = 8
    while at + 12 <= len(data):
        name = data[at + 4 : at + 8]
        if name == b"IEND" or not name.isalpha():
            return False
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return True


def _webp(data: bytes) -> bool:
    return len(data) < 8 + int.from_bytes(data[4:8], "little")


def _gif(data: bytes) -> bool:
    """Follow the blocks up to the trailer."""
    if len(data) < 13:
        return True
    at = 13 + _gif_colours(data[10])
    while at + 10 <= len(data):
        if data[at] == 0x2C:  # a frame: its place, colours, code size
            at += 11 + _gif_colours(data[at + 9])
        elif data[at] == 0x21:  # an extension and its kind
            at += 2
        else:
            return False
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1
    return b"\x3b" not in data[at:]


def _gif_colours(flags: int) -> int:
    """Return the bytes of a table of colours."""
    return 3 << (1 + (flags & 7)) if flags & 0x80 else 0


def _tiff(data: bytes) -> bool:
    """Look for the end of the first directory and of the values it points to."""
    order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
    at = int.from_bytes(data[4:8], order)
    after = at + 2 + 12 * int.from_bytes(data[at : at + 2], order)
    if len(data) < max(8, after):
        return True
    for entry in range(at + 2, after, 12):
        kind, count, place = (int.from_bytes(data[entry + a : entry + b], order) for a, b in ((2, 4), (4, 8), (8, 12)))
        size = count * (_TIFF_BYTES[kind] if kind < len(_TIFF_BYTES) else 0)
        if size > 4 and place + size > len(data):
            return True
    return False


_FOLLOW: Mapping[str, Callable[[bytes], bool]] = {"jpeg": _jpeg, "png": _png, "webp": _webp, "gif": _gif, "tiff": _tiff}
