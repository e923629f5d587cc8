"""How the expressions are balanced in a dataset: rows of each by source and split, in the order all datasets share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from ferbuild.builders.record import CANONICAL, SPLITS
from ferbuild.builders.reporting.rows import NO_LABEL, column, parts, short, sources_of

COLUMNS = 48
"""Sources and splits that are told one by one, at most: the largest."""
LABELS = 24
"""Labels, at most, likewise."""


def of(folder: Path, *, faces: bool) -> dict[str, Any]:
    """Return the labels, and a column of counts for each source and split; FerError where a shard cannot be read.

    `faces`: the dataset has the source in a column of its own, not in the provenance of its pictures.
    """
    cells = _cells(folder, "source" if faces else "faces")
    columns: dict[tuple[str, str], dict[str, int]] = {}
    for (source, split, label), count in cells.items():
        columns.setdefault((source, split), {})[label] = count
    every = in_order(label for _, _, label in cells)
    largest = sorted(columns, key=lambda one: (-sum(columns[one].values()), one))[:COLUMNS]
    labels = every[:LABELS]
    return {
        "rows": sum(cells.values()),
        "labels": labels,
        "totals": [sum(own.get(label, 0) for own in columns.values()) for label in labels],
        "columns": [_told(*one, columns[one], labels) for one in sorted(largest, key=_rank)],
        "left_out": len(columns) - len(largest) + len(every) - len(labels),
    }


def _cells(folder: Path, origin: str) -> dict[tuple[str, str, str], int]:
    """Return the rows of every source, split and label."""
    found: dict[tuple[str, str, str], int] = {}
    for split, table in parts(folder, ("canonical", origin)):
        rows = pl.DataFrame({"source": sources_of(table), "label": column(table["canonical"])})
        for source, label, count in rows.group_by("source", "label").len().iter_rows():
            cell = short(source), split, short(label or NO_LABEL)
            found[cell] = found.get(cell, 0) + count
    return found


def in_order(labels: Iterable[str]) -> list[str]:
    """Return labels once each: those that all sources share in their own order, then the others by name."""
    found = set(labels)
    return [label for label in CANONICAL if label in found] + sorted(found.difference(CANONICAL))


def _rank(column: tuple[str, str]) -> tuple[str, int, str]:
    source, split = column
    return source, SPLITS.index(split) if split in SPLITS else len(SPLITS), split


def _told(source: str, split: str, counts: Mapping[str, int], labels: Iterable[str]) -> dict[str, Any]:
    own = [counts.get(label, 0) for label in labels]
    return {"source": source, "split": split, "rows": sum(counts.values()), "counts": own}
