"""A contact sheet of a folder's pictures, to look at: stands beside the way of a face."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ferbuild.builders.images import Pixels

TILE = 120
"""Side of a tile in pixels."""
CAPTION = 14
"""Height of the line below a tile in pixels."""


def write_sheet(pictures: list[tuple[str, Pixels]], path: Path, *, columns: int = 16) -> None:
    """Write captioned pictures as one PNG, in reading order."""
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * TILE, rows * (TILE + CAPTION)), "white")
    draw = ImageDraw.Draw(sheet)
    for at, (caption, pixels) in enumerate(pictures):
        x, y = at % columns * TILE, at // columns * (TILE + CAPTION)
        picture = Image.fromarray(np.asarray(pixels)).convert("RGB")
        picture = picture.resize(_inside(picture.width, picture.height), Image.Resampling.BICUBIC)
        sheet.paste(picture, (x + (TILE - picture.width) // 2, y))
        draw.text((x + 2, y + TILE), caption, fill="black")
    sheet.save(path)


def _inside(width: int, height: int) -> tuple[int, int]:
    scale = TILE / max(width, height)
    return max(1, round(width * scale)), max(1, round(height * scale))
