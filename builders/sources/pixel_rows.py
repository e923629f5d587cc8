"""The pictures in a table of pixel values, as fer2013.csv holds them: small columns, sizes and PNG bytes by row.

The table is taken in place: one pass finds where its lines begin, after that any row is one read. It stands below
`tree`, which gives such a row the address `fer2013.csv#<row number from 0>`.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from PIL import Image

from ferbuild.builders.errors import FerError, did_you_mean

SIDE = 48
"""Pixels; the pictures are square and grey."""

PIXELS = "pixels"
"""The table's column of pixel values, row by row of the picture, 0..255, separated by blanks."""

_EDGE = 96
"""Bytes at either end of a line that hold all its fields but the pixels."""

_CHUNK = 1 << 24
_DIGITS = b"0123456789 \t"

Offsets = npt.NDArray[np.int64]


def row_size(table: Path, row: int) -> int | None:
    """Return the bytes of a row, from 0 below the header line; None where the table has no such row."""
    offsets = _offsets(table)
    if row < 0 or row + 2 >= len(offsets):
        return None
    return int(offsets[row + 2] - offsets[row + 1])


def row_png(table: Path, row: int) -> bytes:
    """Return the picture in a row, from 0 below the header line, as PNG (mode L, 48x48).

    KeyError where the table has no such row, ValueError where its pixels are not 2304 numbers 0..255.
    """
    size = row_size(table, row)
    if size is None:
        raise KeyError(f"{table.name} has no row {row}")
    with table.open("rb") as file:
        file.seek(int(_offsets(table)[row + 1]))
        line = file.read(size)
    out = io.BytesIO()
    Image.fromarray(parse_pixels(max(line.split(b","), key=len))).save(out, "png")
    return out.getvalue()


def parse_pixels(field: bytes) -> npt.NDArray[np.uint8]:
    """Return the picture (48, 48) that a field of 2304 numbers holds; ValueError where it does not."""
    text = field.strip(b'" \r\n')
    if text.translate(None, _DIGITS):
        raise ValueError("the pixels are not all numbers 0..255")
    parts = text.split()
    if len(parts) != SIDE * SIDE:
        raise ValueError(f"{len(parts)} pixels, not {SIDE * SIDE}")
    if max(map(len, parts)) > 3:  # a long run of digits would overflow
        raise ValueError("a pixel is above 255")
    values = np.array(parts, dtype="S3").astype(np.int64)
    if values.max() > 255:
        raise ValueError("a pixel is above 255")
    return values.astype(np.uint8).reshape(SIDE, SIDE)


def columns(table: Path, *wanted: str) -> pl.DataFrame:
    """Return `row` (from 0) and the text of the wanted columns of every line that is not blank.

    The pixels are not looked at. FerError where the header lacks a column.
    """
    with table.open("rb") as file:
        places = _places(table, file.readline(), wanted)
        offsets = _offsets(table)
        cells: list[list[str]] = [[] for _ in wanted]
        rows = []
        for row, (start, end) in enumerate(zip(offsets[1:-1].tolist(), offsets[2:].tolist(), strict=True)):
            fields = _outer_fields(file, start, end)
            if fields is None:
                continue
            rows.append(row)
            for column, place in zip(cells, places, strict=True):
                column.append(fields[place] if -len(fields) <= place < len(fields) else "")
    return pl.DataFrame({"row": rows, **dict(zip(wanted, cells, strict=True))}, schema=_schema(wanted))


def _schema(wanted: Sequence[str]) -> dict[str, pl.DataType]:
    return {"row": pl.Int64(), **dict.fromkeys(wanted, pl.String())}
