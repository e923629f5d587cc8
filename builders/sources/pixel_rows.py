"""The pictures in a table of pixel values, as fer2013.csv holds them: small columns, sizes and PNG bytes by row.

The table is taken in place: one pass finds where its lines begin, after that any row is one read. It stands below
`tree`, which gives such a row the address `fer2013.csv#<row number from 0>`.
"""

from __future__ import annotations

import io
import itertools
import mmap
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
from PIL import Image

from ferbuild.builders.errors import FerError
from ferbuild.builders.sources.lines import no_column
from ferbuild.builders.sources.plain import open_plain

SIDE = 48
"""Pixels; the pictures are square and grey."""

PIXELS = "pixels"
"""The table's column of pixel values, row by row of the picture, 0..255, separated by blanks."""

MAX_ROW = 1 << 16
"""Bytes; a picture's row has at most 9,216 and a few."""

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
    if size > MAX_ROW:
        raise ValueError(f"a row of {size} bytes, not {SIDE * SIDE} pixels")
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
    values = [int(part) for part in text.split()]
    if len(values) != SIDE * SIDE:
        raise ValueError(f"{len(values)} pixels, not {SIDE * SIDE}")
    if max(values) > 255:
        raise ValueError("a pixel is above 255")
    return np.array(values, dtype=np.uint8).reshape(SIDE, SIDE)


def columns(table: Path, *wanted: str) -> pl.DataFrame:
    """Return `row` (from 0), its `size` in bytes and the text of the wanted columns, for lines that are not blank.

    The pixels are not looked at. A line with too few or too many fields gives null. FerError where the header lacks a
    column or the pixels.
    """
    offsets = _offsets(table)
    if len(offsets) < 2:
        raise FerError(table, "is empty", "copy it again from the release")
    rows: list[tuple[int, int]] = []
    cells: list[list[str | None]] = [[] for _ in wanted]
    with table.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        width, places = _header(table, data[: int(offsets[1])], wanted)
        for row, (start, end) in enumerate(itertools.pairwise(offsets[1:].tolist())):
            fields = _outer_fields(data, start, end)
            if fields == [""] and not data[start:end].strip():
                continue
            rows.append((row, end - start))
            for column, place in zip(cells, places, strict=True):
                column.append(fields[place] if len(fields) == width else None)
    found = pl.DataFrame(rows, schema={"row": pl.Int64, "size": pl.Int64}, orient="row")
    return found.with_columns(pl.Series(name, column, pl.String) for name, column in zip(wanted, cells, strict=True))


def _header(table: Path, line: bytes, wanted: Sequence[str]) -> tuple[int, list[int]]:
    """Return how many columns there are and where the wanted ones stand; icml_face_data.csv has blanks before names."""
    names = [name.strip(' "\r\n').casefold() for name in line.decode("utf-8-sig", "replace").split(",")]
    for name in (*wanted, PIXELS):
        if name.casefold() not in names:
            raise no_column(table, name, names)
    return len(names), [names.index(name.casefold()) for name in wanted]


def _outer_fields(data: mmap.mmap, start: int, end: int) -> list[str]:
    """Return the fields of a line; a long one, which holds the pixels, is skipped over and left empty."""
    if end - start <= 2 * _EDGE:
        found = data[start:end].split(b",")
    else:
        found = [*data[start : start + _EDGE].split(b",")[:-1], b"", *data[end - _EDGE : end].split(b",")[1:]]
    return [field.strip(b'" \t\r\n').decode("utf-8", "replace") for field in found]


def _offsets(table: Path) -> Offsets:
    found = table.stat()
    return _scan(str(table), found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=4)
def _scan(table: str, size: int, _time: int) -> Offsets:
    """Return the bytes where the lines begin, and the end of the file; kept while the file stays the same."""
    starts = [np.zeros(1, dtype=np.int64)]
    with open_plain(Path(table)) as file:
        for at in range(0, size, _CHUNK):
            starts.append(np.flatnonzero(np.frombuffer(file.read(_CHUNK), dtype=np.uint8) == 10) + (at + 1))
    offsets = np.concatenate(starts)
    return offsets if offsets[-1] == size else np.append(offsets, size)
