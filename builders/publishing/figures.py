"""What a dataset's shards hold, counted for its card: labels by split and source, kinds, styles and difficulty.

The figures are of the rows that are there, so that the card of a downloaded edition can be made again from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from ferbuild.builders import shards
from ferbuild.builders.mark import Rows
from ferbuild.builders.publishing.checks.folder import faces_of
from ferbuild.builders.record import CANONICAL

LABELS, SOURCES = "labels", "sources"
COUNTED = {"kind": "kinds of question", "style": "styles", "curriculum": "curriculum steps"}
"""Column to the title of its table, of those that are counted where a dataset has them and they differ."""


def figures(folder: Path) -> dict[str, Rows]:
    """Return the figures of a dataset folder by their title; FerError where a shard cannot be read."""
    counts = pl.concat([_counted(split, path) for split, paths in shards.split_files(folder).items() for path in paths])
    return {
        LABELS: _by(counts, "canonical", CANONICAL),
        SOURCES: _by(counts, "source", sorted(set(counts["source"].drop_nulls()))),
    } | {title: rows for name, title in COUNTED.items() if (rows := _told(counts, name))}


def _counted(split: str, path: Path) -> pl.DataFrame:
    """Return how often each combination of what is counted occurs in a shard."""
    table = shards.read_stream(path)
    faces = faces_of(table)
    first = pl.DataFrame({"row": faces.row, "source": faces["source"]}).group_by("row").first().cast({"row": pl.UInt32})
    names = [name for name in ("canonical", *COUNTED) if name in table.schema.names]
    rows = pl.DataFrame(table.select(names)).with_row_index("row").join(first, on="row", how="left")
    wanted = {name: pl.lit(None, pl.String) for name in ("canonical", *COUNTED) if name not in names}
    rows = rows.with_columns(split=pl.lit(split), **wanted).cast(
        {"canonical": pl.String, **dict.fromkeys(COUNTED, pl.String)}
    )
    return rows.group_by("split", "source", "canonical", *COUNTED).len().cast({"len": pl.Int64})


def _by(counts: pl.DataFrame, name: str, order: Sequence[str]) -> list[dict[str, Any]]:
    """Return a row for each value of a column, with the rows of every split and of all."""
    sums = {
        (value, split): rows
        for value, split, rows in counts.group_by(name, "split").agg(pl.col("len").sum()).iter_rows()
    }
    splits = counts["split"].unique(maintain_order=True).to_list()
    values = [*order, *sorted({str(value) for value, _ in sums} - set(order))]
    table = [{name: value} | {split: sums.get((value, split), 0) for split in splits} for value in values]
    return [row | {"all": sum(row[split] for split in splits)} for row in table if any(row[split] for split in splits)]


def _told(counts: pl.DataFrame, name: str) -> list[dict[str, Any]]:
    """Return the rows of each value of a column that has several."""
    sums = counts.filter(pl.col(name).is_not_null()).group_by(name).agg(pl.col("len").sum()).sort(name)
    return [{name: value, "rows": rows} for value, rows in sums.iter_rows()] if sums.height > 1 else []
