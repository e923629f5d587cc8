"""What the rows of a built dataset are: whose pictures they show, by which rules, and who wrote them.

It stands before the gate, which decides by these counts, and fills most of `edition.json`. No picture is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from ferbuild.builders import shards

TAKEN = ("label_rule", "licence", "synthetic", "baseline", "model", "prompt_version")


@dataclass(slots=True)
class Seen:
    """What the rows say of one source."""

    rows: int = 0
    """Rows that show a picture of it: one that shows two counts once."""
    synthetic: bool = True
    """Every one of them is synthetic."""
    licences: set[str] = field(default_factory=set)
    rules: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Census:
    """What all rows of a dataset come to."""

    rows: dict[str, int] = field(default_factory=dict)
    """Split to rows."""
    sources: dict[str, Seen] = field(default_factory=dict)
    prompts: dict[str, str] = field(default_factory=dict)
    """Prompt version to the first prompt that was asked by it."""
    models: set[str] = field(default_factory=set)
    baseline: bool = False
    """A rationale is the embedded baseline's."""


def count(splits: Mapping[str, Iterable[Path]]) -> Census:
    """Return the census of shards, split by split. FerError where one cannot be read."""
    found = Census()
    for split, files in splits.items():
        found.rows[split] = 0
        for table in map(shards.read_stream, files):
            found.rows[split] += table.num_rows
            _add_sources(found.sources, table)
            _add_writers(found, table)
    return found


def without_pictures(table: pa.Table) -> pa.Table:
    """Return the rows with `images` null: the same columns in the same order."""
    at = table.schema.get_field_index("images")
    return table.set_column(at, table.schema.field(at), pa.nulls(table.num_rows, table.schema.field(at).type))


def weigh_without_pictures(batch: pa.RecordBatch) -> int:
    """Return the bytes of a record batch that are not its pictures'."""
    pictures: int = batch.column("images").nbytes
    return int(batch.nbytes) - pictures


def _add_sources(sources: dict[str, Seen], table: pa.Table) -> None:
    rows = pl.DataFrame(table.select([name for name in TAKEN if name in table.schema.names])).with_row_index("row")
    shown = pl.concat([pl.DataFrame(schema={"row": pl.UInt32, "source": pl.String}), *_shown(table)])
    said = shown.unique().join(rows, on="row")
    grouped = said.group_by("source").agg(
        pl.len(), pl.col("synthetic").fill_null(value=False).all(), pl.col("licence", "label_rule").unique()
    )
    for row in grouped.sort("source").to_dicts():
        one = sources.setdefault(row["source"], Seen())
        one.rows += row["len"]
        one.synthetic = one.synthetic and row["synthetic"]
        one.licences.update(row["licence"])
        one.rules.update(rule for rule in row["label_rule"] if rule)


def _shown(table: pa.Table) -> Iterator[pl.DataFrame]:
    """Yield row and source of every picture that the provenance names."""
    start = 0
    for chunk in table["faces"].chunks:
        rows = pc.add(pc.list_parent_indices(chunk).cast(pa.uint32()), pa.scalar(start, pa.uint32()))
        names = pc.struct_field(pc.list_flatten(chunk), "source")
        yield pl.DataFrame({"row": rows, "source": names}, schema={"row": pl.UInt32, "source": pl.String})
        start += len(chunk)


def _add_writers(found: Census, table: pa.Table) -> None:
    names = table.schema.names
    if "baseline" in names:
        found.baseline = found.baseline or bool(pc.any(table["baseline"]).as_py())
    if "model" in names:
        found.models.update(name for name in pc.unique(table["model"]).to_pylist() if name)
    versions = pl.DataFrame(table.select(["prompt_version"])).with_row_index("row")
    for version, row in versions.group_by("prompt_version").agg(pl.col("row").min()).sort("row").iter_rows():
        if version is not None and version not in found.prompts:
            asked = table["prompt"][row].as_py()
            found.prompts[version] = asked[0]["content"] if asked else ""
