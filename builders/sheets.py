"""A contact sheet of pictures, to look at: stands beside the way of a face."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ferbuild.builders.errors import FerError
from ferbuild.builders.files import durable
from ferbuild.builders.images import Pixels

TILE = 120
"""Side of a tile in pixels."""
CAPTION = 14
"""Height of the line below a tile in pixels."""
WIDTH = 19
"""Letters of a caption that fit below a tile."""
PAIRS = 64
"""Pairs on a sheet, at most."""
ACROSS = 4
"""Pairs beside each other."""
FORMATS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg"}

Captioned = tuple[str, Pixels]


def sheet_format(path: Path) -> str:
    """Return the format that a file name asks for. FerError: neither PNG nor JPEG."""
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise FerError(path, "a sheet is a PNG or a JPEG", "end the name in .png or .jpg")
    return kind


def write_sheet(pictures: Sequence[Captioned], path: Path, *, columns: int = 16) -> None:
    """Write captioned pictures as one PNG or JPEG, in reading order."""
    kind = sheet_format(path)
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * TILE, rows * (TILE + CAPTION)), "white")
    draw = ImageDraw.Draw(sheet)
    for at, (caption, pixels) in enumerate(pictures):
        x, y = at % columns * TILE, at // columns * (TILE + CAPTION)
        picture = Image.fromarray(np.asarray(pixels)).convert("RGB")
        picture = picture.resize(_inside(picture.width, picture.height), Image.Resampling.BICUBIC)
        sheet.paste(picture, (x + (TILE - picture.width) // 2, y))
        draw.text((x + 2, y + TILE), caption, fill="black")
    with durable(path) as part:
        sheet.save(part, kind)


def write_pairs(pairs: Iterable[tuple[Captioned, Captioned]], path: Path) -> None:
    """Write pairs of pictures side by side, ACROSS of them in a row."""
    pictures = [(caption[-WIDTH:], pixels) for pair in pairs for caption, pixels in pair]
    write_sheet(pictures, path, columns=min(2 * ACROSS, max(2, len(pictures))))


def _inside(width: int, height: int) -> tuple[int, int]:
    scale = TILE / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))
