"""Takes a label table apart into lines and cells, so that a bad line spoils one row and no more.

It stands below the table reader; label files are large, so all of it is columnar and no Python loop runs over lines.
"""

from __future__ import annotations

import csv
import difflib
import mmap
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from ferbuild.builders.errors import FerError, did_you_mean

NOWHERE = "\x1f"
"""A separator no table uses: with it every line is one field."""

OLD_MAC = "its lines end in CR alone, as on an old Mac: save it with LF or CR LF"


def read_lines(path: Path, columns: Sequence[str] | None, separator: str, wanted: Sequence[str]) -> pl.DataFrame:
    """Return the wanted columns of a table as text, with `line` (from 1) and, for a bad line, its `text`.

    The file is taken line by line, so that a stray quote or a missing comma spoils one row and no more.
    """
    text, old_mac = _text(path)
    if old_mac and columns is not None:
        raise FerError(path, "holds a single line", OLD_MAC)
    lines = pl.scan_csv(
        text,
        has_header=False,
        separator=NOWHERE,
        quote_char=None,
        schema={"text": pl.String},
        encoding="utf8-lossy",
        truncate_ragged_lines=True,
        row_index_name="line",
        row_index_offset=1,
        raise_if_empty=False,
        glob=False,
    ).filter(pl.col("text").str.strip_chars() != "")
    skip = 0
    if columns is None:
        first = lines.head(1).collect()
        if first.is_empty():
            raise FerError(path, "is empty", "copy it again from the release")
        skip, columns = 1, [name.strip() for name in _cells(first["text"][0], separator)]
    where = _columns(path, columns, wanted, OLD_MAC if old_mac else "")
    last = len(columns) - 1
    cell = pl.col("cells").struct
    table = (
        lines.slice(skip)
        .with_columns(cells=_cut(separator).str.split_exact(separator, last + 1))
        .with_columns(bad=cell[last].is_null() | cell[last + 1].is_not_null())
        .select(
            "line",
            "bad",
            text=pl.when(pl.col("bad") | pl.col("text").str.contains('"', literal=True)).then("text"),
            **{name: cell[at] for name, at in where.items()},
        )
        .collect()
    )
    return _quoted(table, separator, last + 1, where)


def no_column(where: object, name: str, columns: Sequence[str], hint: str = "") -> FerError:
    """Return the error that a table lacks a column; of its own, which may be a line of data, it names a few."""
    short = [one[:40] for one in columns]
    known = difflib.get_close_matches(name, short, n=1) or short[:20]
    return FerError(where, f"no column {name!r}", hint or did_you_mean(name, known))


def _text(path: Path) -> tuple[Path | bytes, bool]:
    """Return the file and whether CR alone ends its lines.

    It is its bytes where it holds NOWHERE after all, which is made unreadable, or where polars cannot take its name.
    """
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return b"", False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            old_mac = data.find(b"\n") < 0 and data[:-1].rstrip().find(b"\r") >= 0
            if data.find(NOWHERE.encode()) < 0 and _is_utf8(os.fsencode(path)):
                return path, old_mac
    return path.read_bytes().replace(NOWHERE.encode(), "\N{REPLACEMENT CHARACTER}".encode()), old_mac


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def _cut(separator: str) -> pl.Expr:
    """Return the line as it is split: without blanks around it, and with single ones where blanks separate."""
    text = pl.col("text").str.strip_chars()
    return text.str.replace_all(r"\s+", " ") if separator == " " else text


def _columns(path: Path, columns: Sequence[str], wanted: Sequence[str], hint: str) -> dict[str, int]:
    """Return where each wanted column stands; FerError, with `hint` where there is one, for one that is not there."""
    places = {name.strip().casefold(): at for at, name in enumerate(columns)}
    for name in wanted:
        if name.casefold() not in places:
            raise no_column(path, name, columns, hint)
    return {name: places[name.casefold()] for name in wanted}


def _quoted(table: pl.DataFrame, separator: str, count: int, where: Mapping[str, int]) -> pl.DataFrame:
    """Return `table` with the lines that hold a quote read as csv; there are few, or none, in most releases."""
    quoted = pl.col("text").str.contains('"', literal=True).fill_null(False)
    found = table.filter(quoted)
    if found.is_empty():
        return table
    rows = [_cells(text, separator) for text in found["text"]]
    good = [len(row) == count for row in rows]
    again = {name: [row[at] if fit else None for row, fit in zip(rows, good, strict=True)]
             for name, at in where.items()}  # fmt: skip
    better = pl.DataFrame({"line": found["line"], "bad": [not fit for fit in good], "text": found["text"], **again})
    better = better.cast(table.schema)
    return pl.concat([table.filter(~quoted), better]).sort("line")


def _cells(line: str, separator: str) -> list[str]:
    if separator == " ":
        return line.split()
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:
        return []
