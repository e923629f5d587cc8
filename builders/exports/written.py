"""Files of rows, written row by row, durably, and whole or not at all; each returns the rows that it wrote.

A file without rows is not written: the tools that read these raise on one.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from ferbuild.builders import shards
from ferbuild.builders.features import with_features
from ferbuild.builders.files import durable

Rows = Iterable[Mapping[str, Any]]
Settle = Callable[[], None]
"""Called when all rows are written, and before the file stands in its place."""


def json_list(path: Path, rows: Rows, settle: Settle) -> int:
    """Write a JSON list, with the bytes of `json.dumps(rows, indent=2, ensure_ascii=False)`."""
    with _opened(path, settle) as (file, count):
        for row in rows:
            text = json.dumps(row, indent=2, ensure_ascii=False).replace("\n", "\n  ")
            file.write((",\n  " if count[0] else "[\n  ").encode() + text.encode())
            count[0] += 1
        file.write(b"\n]")
    return count[0]


def json_lines(path: Path, rows: Rows, settle: Settle) -> int:
    """Write a JSON object a line."""
    with _opened(path, settle) as (file, count):
        for row in rows:
            file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
            count[0] += 1
    return count[0]


def tsv(path: Path, columns: Sequence[str], rows: Rows, settle: Settle) -> int:
    """Write a table with tabs between its cells; a missing value is an empty cell, line ends are quoted."""
    with _opened(path, settle) as (file, count):
        lines = csv.DictWriter(_Encoded(file), columns, delimiter="\t", lineterminator="\n", restval="")
        lines.writeheader()
        for row in rows:
            lines.writerow(row)
            count[0] += 1
    return count[0]


def parquet(path: Path, tables: Iterable[pa.Table], schema: pa.Schema, settle: Settle) -> int:
    """Write a Parquet file that `datasets` reads with its pictures as pictures.

    Groups of BATCH_ROWS rows, an index of pages, and pages cut where the content says so: an upload of a changed file
    sends what changed.
    """
    schema = with_features(schema)
    with (
        _opened(path, settle) as (file, count),
        pq.ParquetWriter(file, schema, write_page_index=True, use_content_defined_chunking=True) as writer,
    ):
        for table in tables:
            if table.num_rows:
                writer.write_table(table.cast(schema), row_group_size=shards.BATCH_ROWS)
                count[0] += table.num_rows
    return count[0]


@contextmanager
def _opened(path: Path, settle: Settle) -> Iterator[tuple[IO[bytes], list[int]]]:
    """Give a durable file and the count of its rows, to be raised; without rows no file remains, not even an old."""
    count = [0]
    with durable(path) as part:
        with part.open("wb") as file:
            yield file, count
        settle()
    if not count[0]:
        path.unlink(missing_ok=True)


class _Encoded:
    """A binary file that takes text, as the csv module wants."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, text: str) -> int:
        return self._file.write(text.encode())
