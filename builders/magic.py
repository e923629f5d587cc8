"""What kind of picture some bytes are, told by how they begin and not by any name."""

from __future__ import annotations

MAGIC = {
    b"\xff\xd8\xff": "jpeg",
    b"\x89PNG\r\n\x1a\n": "png",
    b"GIF8": "gif",
    b"BM": "bmp",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
}


def picture_kind(data: bytes) -> str | None:
    """Return the MIME subtype of an encoded picture, None where its first bytes are of no known format."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return next((kind for magic, kind in MAGIC.items() if data.startswith(magic)), None)
