"""Reads FER2013's table: an id, 2304 pixel values and a usage a line, every line a picture of its own.

It lists the rows without looking at their pixels; a row's address is the table's name and its number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from ferbuild.builders.errors import FerError
from ferbuild.builders.sources import pixel_rows
from ferbuild.builders.sources.listing import Found
from ferbuild.builders.sources.tree import Tree
from ferbuild.manifests.schema import Source

USAGES = {"training": "train", "publictest": "validation", "privatetest": "test"}
"""The usage of a row, in lower case, to its split."""


def read(
    tree: Tree,
    source: Source,
    *,
    rule: str,
    labels: Mapping[str, str] | None,
    tables: Sequence[str],
    label: str = "emotion",
    usage: str = "Usage",
) -> Found:
    """Return a row for every line of the first of `tables` (patterns) that is there.

    label, usage: the table's columns. FerError where there is no such table or it lacks a column.
    """
    table = find_table(tree, tables)
    if table is None:
        raise FerError(tree.root, "no table of pixels", f"looked for {', '.join(tables)}")
    lines = pixel_rows.columns(tree.label_file(table), label, usage)
    written = pl.col(usage)
    rows = lines.select(
        address(table),
        "size",
        split=split_of(written),
        name=pl.format("{}#{}", pl.lit(table.rpartition("/")[2]), "row"),
        raw=label,
        reason=pl.when(written.is_null())
        .then(pl.lit("malformed row"))
        .when(split_of(written).is_null())
        .then(pl.lit("split outside the table")),
        detail=pl.when(split_of(written).is_null()).then(pl.format("usage {}", written)),
    )
    return Found(rows, (table,))


def find_table(tree: Tree, patterns: Sequence[str]) -> str | None:
    """Return the first address that the first matching pattern finds."""
    return next((found[0] for pattern in patterns if (found := tree.glob(pattern))), None)


def split_of(usage: pl.Expr) -> pl.Expr:
    """Return the split of FER2013's usage words, null for another word."""
    return usage.str.to_lowercase().replace_strict(USAGES, default=None, return_dtype=pl.String)


def address(table: str, row: str = "row") -> pl.Expr:
    """Return the address of a table's row, as `rel_path`."""
    return pl.format("{}#{}", pl.lit(table), row).alias("rel_path")
