"""Whose rows are lost: the keep rate of every label, source and picture size, and the weight that makes up for it.

Ends the cot stage. Agreement with the label keeps what a teacher finds easy: without a look at who is left, a dataset
of rationales is a dataset of happy faces.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from ferbuild.builders import shards
from ferbuild.builders.record import COT, DROPS
from ferbuild.builders.stage import Job, Settled
from ferbuild.builders.training_rows import SPLIT, Pairs, read
from ferbuild.filters.copies import near_copies
from ferbuild.manifests.recipe import Copies

BANDS = (64, 128, 256)
"""Pixels of the shorter side between which pictures are counted together."""
COPY = "near copy of many others"
CELL = ["canonical", "source", "size"]


def settle(
    kept: Mapping[str, Sequence[Path]], *, jobs: Sequence[Job], benchmarks: Pairs, copies: Copies | None
) -> Settled:
    """Return which traces stay, each with its weight, and the keep rates; `kept` is split to streams.

    `jobs` are slices of the faces that were asked about.
    """
    gone = _copies(kept, copies)
    faces = _faces(jobs, benchmarks)
    stay = pl.DataFrame({"id": [name for name in _ids(kept.get(SPLIT, ())) if name not in gone]}, {"id": pl.String})
    faces = faces.with_columns(kept=pl.col("id").is_in(stay["id"].implode()))
    weighed = faces.with_columns(keep_weight=1 / pl.col("kept").mean().over("canonical", "source"))
    weights = weighed.filter("kept").select("id", "keep_weight")
    return Settled(Weighing(weights, frozenset(gone)), _drops(kept, gone), {"keep rate": table(faces)})


@dataclass(frozen=True, slots=True)
class Weighing:
    """Leaves out near copies, and writes the weight into what stays."""

    weights: pl.DataFrame
    gone: frozenset[str]

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Return the rows that stay."""
        ids = pl.DataFrame({"id": rows["id"].to_pylist()}, {"id": pl.String})
        found = ids.join(self.weights, on="id", how="left", maintain_order="left")["keep_weight"]
        blind = pl.Series(rows["hinted"].to_pylist(), dtype=pl.Boolean).not_()
        values = pl.select(pl.when(blind).then(found)).to_series().to_arrow()
        index = rows.schema.get_field_index("keep_weight")
        rows = rows.set_column(index, COT.field(index), values.cast(COT.field(index).type))
        return rows.filter(pa.array([name not in self.gone for name in rows["id"].to_pylist()], pa.bool_()))


def table(faces: pl.DataFrame) -> list[dict[str, Any]]:
    """Return a row a label, source and size: faces that were asked about, those kept, and the share of them."""
    found = faces.group_by(CELL).agg(pl.len().alias("in"), pl.col("kept").sum()).sort(CELL)
    return found.with_columns(rate=(pl.col("kept") / pl.col("in")).round(4)).to_dicts()


def band(shorter: int) -> str:
    """Return the name of the range that a picture's shorter side (pixels) falls into."""
    ends = [0, *BANDS]
    at = sum(shorter >= end for end in BANDS)
    return f"{ends[at]}-{ends[at + 1] - 1} px" if at < len(BANDS) else f"{ends[at]} px and more"


def _faces(jobs: Sequence[Job], benchmarks: Pairs) -> pl.DataFrame:
    """Return id, canonical label, source and size band of the faces that were asked about."""
    tables = [read(job.work, benchmarks).select(["id", "canonical", "source", "width", "height"]) for job in jobs]
    whole = pl.DataFrame(pa.concat_tables(tables)) if tables else _NONE
    size = pl.min_horizontal("width", "height").map_elements(band, pl.String)
    return whole.with_columns(size=size).drop("width", "height")


_NONE = pl.DataFrame(
    schema={"id": pl.String, "canonical": pl.String, "source": pl.String, "width": pl.Int32, "height": pl.Int32}
)


def _copies(kept: Mapping[str, Sequence[Path]], policy: Copies | None) -> Mapping[str, str]:
    """Return the rows that go as near copies, with the id of the one they are near to."""
    if policy is None:
        return {}
    return near_copies(_texts(kept.get(SPLIT, ())), jaccard=policy.jaccard, most=policy.most)


def _texts(files: Sequence[Path]) -> Iterator[tuple[str, str]]:
    for file in files:
        for row in shards.read_stream(file).select(["id", "completion"]).to_pylist():
            yield row["id"], row["completion"][0]["content"]


def _ids(files: Sequence[Path]) -> Iterator[str]:
    for file in files:
        yield from shards.read_stream(file)["id"].to_pylist()


def _drops(kept: Mapping[str, Sequence[Path]], gone: Mapping[str, str]) -> pa.Table:
    found = []
    for file in kept.get(SPLIT, ()) if gone else ():
        for row in shards.read_stream(file).select(["id", "faces", "label"]).to_pylist():
            if other := gone.get(row["id"]):
                face = row["faces"][0] | {"label": row["label"], "reason": COPY, "detail": other}
                found.append({name: face[name] for name in DROPS.names})
    return pa.Table.from_pylist(found, schema=DROPS)
