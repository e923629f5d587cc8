"""Reads a release of rendered faces: labels in a table, and one line of annotation a picture with its known units.

Both are read; a picture whose line is missing or damaged keeps its label and has no units.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import polars as pl

from ferbuild.builders.sources import table
from ferbuild.builders.sources.listing import FOUND, Found
from ferbuild.builders.sources.tree import Tree
from ferbuild.manifests.load import load_units
from ferbuild.manifests.schema import Source

SIDES = ("left", "right", "both")


def read(
    tree: Tree,
    source: Source,
    *,
    rule: str,
    labels: Mapping[str, str] | None,
    labels_file: str,
    annotations: str,
) -> Found:
    """Return a row for every line of the label table, in its order, with the units that its annotation tells.

    labels_file: a csv with the columns file, split and label. annotations: a file of JSON lines with the keys `file`
    and `units`, a list of unit, side and intensity 0..1.
    """
    found = table.read(
        tree,
        source,
        rule=rule,
        labels=labels,
        tables={"*": labels_file},
        pictures=["{name}"],
        fields={"name": "file", "label": "label", "split": "split"},
        splits={split: split for split in ("train", "validation", "test")},
    )
    units, damaged = _units(tree.text(annotations))
    kinds = {"rel_path": pl.String, "units": FOUND["units"]}
    known = pl.DataFrame({"rel_path": list(units), "units": list(units.values())}, schema=kinds)
    rows = found.rows.join(known, on="rel_path", how="left", maintain_order="left")
    rows = rows.with_columns(name=pl.col("name").str.extract(r"([^/]*)$"))
    notes = (f"{annotations}: {damaged:,} lines cannot be read; their pictures have no units",) if damaged else ()
    return Found(rows, (*found.label_files, annotations), (*found.notes, *notes))


def _units(text: bytes) -> tuple[dict[str, list[dict[str, Any]]], int]:
    """Return picture address to units, and how many lines tell none."""
    units: dict[str, list[dict[str, Any]]] = {}
    damaged = 0
    for line in text.splitlines():
        try:
            row = orjson.loads(line)
            units[str(row["file"])] = [_unit(one) for one in row["units"]]
        except (ValueError, KeyError, TypeError):
            damaged += 1
    return units, damaged


def _unit(one: Mapping[str, Any]) -> dict[str, Any]:
    """Return a unit as the column holds it; ValueError for one that cannot be."""
    unit, side, intensity = str(one["unit"]), str(one["side"]), float(one["intensity"])
    if unit not in load_units().units or side not in SIDES or not 0 <= intensity <= 1:
        raise ValueError(f"no unit: {unit} {side} {intensity}")
    return {"unit": unit, "side": side, "intensity": intensity}
