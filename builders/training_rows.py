"""Which faces a training dataset may use: those of the split train, and never a benchmark's."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from ferbuild.builders import shards
from ferbuild.builders.shards import Slice
from ferbuild.builders.stage import PART_ROWS, Job

SPLIT = "train"

Pairs = frozenset[tuple[str, str]]
"""(source, split) of the benchmark's splits."""


def jobs(folder: Path, benchmarks: Pairs, rows: int = PART_ROWS) -> list[Job]:
    """Return slices of the training split of the faces in `folder`, with the rows that `read` will give."""
    pieces = shards.sliced(folder, SPLIT, rows, ["source"])
    jobs = [Job(pc.sum(_training(table, benchmarks)).as_py() or 0, piece) for piece, table in pieces]
    return [job for job in jobs if job.rows]


def read(piece: Slice, benchmarks: Pairs) -> pa.Table:
    """Return the rows of a slice of faces, less those of a benchmark split; no copy where none is left out."""
    return trained(piece.read(), benchmarks)


def trained(rows: pa.Table, benchmarks: Pairs) -> pa.Table:
    """Return the rows of the training split without those of a benchmark's."""
    kept = _training(rows, benchmarks)
    return rows if pc.all(kept).as_py() else rows.filter(kept)


def _training(rows: pa.Table, benchmarks: Pairs) -> pa.ChunkedArray:
    closed = pa.array([source for source, split in benchmarks if split == SPLIT], pa.string())
    return pc.invert(pc.is_in(rows["source"], closed))
