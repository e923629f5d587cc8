"""Whether the bytes of a picture end before its format says; asked only for one that could not be decoded."""

from __future__ import annotations

from ferbuild.builders.magic import picture_kind

_ALONE = frozenset({0x00, 0x01, *range(0xD0, 0xDA)})
"""JPEG markers that cannot stand in a header."""


def ends_early(data: bytes) -> bool:
    """Say whether a JPEG, PNG or WebP is the beginning of a longer file; False where that cannot be told."""
    kind = picture_kind(data)
    if kind == "jpeg":
        return _jpeg(data)
    if kind == "png":
        return _png(data)
    return kind == "webp" and len(data) < 8 + int.from_bytes(data[4:8], "little")


def _jpeg(data: bytes) -> bool:
    """Follow the segments up to the first scan, which must be closed by the end marker."""
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return False
        marker = data[at + 1]
        if marker == 0xFF:  # filling
            at += 1
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in _ALONE or length < 2:
            return False
        if marker == 0xDA:
            return b"\xff\xd9" not in data[at:]
        at += 2 + length
    return True


def _png(data: bytes) -> bool:
    """Follow the chunks up to the last one."""
    at = 8
    while at + 12 <= len(data):
        name = data[at + 4 : at + 8]
        if name == b"IEND" or not name.isalpha():
            return False
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return True
