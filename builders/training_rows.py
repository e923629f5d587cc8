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


def jobs(folder: Path, benchmarks: Pairs) -> list[Job]:
    """Return slices of the training split of the faces in `folder`, with the rows that `read` will give."""
    pieces = [piece for piece in shards.slices(folder, PART_ROWS) if piece.split == SPLIT]
    found = [Job(_training(piece, benchmarks).count(True), piece) for piece in pieces]
    return [job for job in found if job.rows]


def read(piece: Slice, benchmarks: Pairs) -> pa.Table:
    """Return the rows of a slice of faces, without those of a benchmark split."""
    return piece.read().filter(pa.array(_training(piece, benchmarks)))


def _training(piece: Slice, benchmarks: Pairs) -> list[bool]:
    closed = pa.array([source for source, split in benchmarks if split == piece.split], pa.string())
    kept: list[bool] = pc.invert(pc.is_in(piece.read()["source"], closed)).to_pylist()
    return kept
