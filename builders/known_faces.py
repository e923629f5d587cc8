"""What is known of all faces of a build at once: hashes and labels in memory, pictures on disk.

Stands before the search for duplicates. A million faces take about 200 MB, and twice that while they are read; a
picture is read when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from ferbuild.builders import compared, images, shards
from ferbuild.builders.compared import Pictures
from ferbuild.builders.config import Settings
from ferbuild.builders.errors import FerError
from ferbuild.builders.hashing import Columns
from ferbuild.builders.mark import read_mark
from ferbuild.builders.near import Bools, Ints
from ferbuild.builders.record import FACES

ROWS = pl.Schema(
    {
        "id": pl.UInt64(),
        "source": pl.Categorical(),
        "split": pl.Categorical(),
        "canonical": pl.Categorical(),
        "area": pl.Int64(),
        "whole": pl.Boolean(),
        "same_file": pl.UInt64(),
        "same_pixels": pl.UInt64(),
        "file": pl.UInt32(),
        "at": pl.UInt32(),
    }
)
"""Of `Faces.rows`, before `set` is known."""
READ = (
    "id", "source", "split", "canonical", "width", "height", "crop", "sha256", "pixel_hash", "hash64", "hash256",
    "descriptor",
)  # fmt: skip
OPEN = 64
"""Streams kept open at a time."""

Open = Callable[[int, int], bytes]
"""From a row's `file` and `at` to its encoded picture."""


@dataclass(frozen=True)
class Faces:
    """Faces in order of rank: a benchmark's first, then the larger picture, then the lower id."""

    rows: pl.DataFrame
    """`id` as a number; `source`, `split`, `canonical`; `set`: what FERBench calls the benchmark that the row belongs
    to, null for a training row; `area` in pixels; `whole`: nothing was cut off the picture; `same_file`, `same_pixels`:
    64 bits of the hashes, by which two of a million files agree by chance once in 30 million builds; `file` and `at`:
    in which stream and in which row of it the picture lies. Without a picture, what is said of it is null."""
    hashed: Columns
    """Zeros where there is no picture."""
    open: Open
    max_pixels: int

    def __len__(self) -> int:
        """Return the number of faces."""
        return self.rows.height

    @cached_property
    def training(self) -> Bools:
        return self.rows["set"].is_null().to_numpy()

    @cached_property
    def classes(self) -> Ints:
        """For every face the first one with the same pixels on its side: the benchmark's or the training data's."""
        found = self.first("same_pixels", np.ones(len(self), np.bool_), across=False)
        return np.where(found < 0, np.arange(len(self)), found)

    @cached_property
    def pictured(self) -> Ints:
        """The rows that have a picture, of equal ones the first."""
        own = np.arange(len(self))
        return np.flatnonzero((self.classes == own) & self.rows["same_pixels"].is_not_null().to_numpy())

    def first(self, name: str, known: Bools, *, across: bool) -> Ints:
        """Return, for every face, the first `known` one with its value in a column; -1: none has, or it has no value.

        Only on its own side, the benchmark's or the training data's, where it is not asked `across`.
        """
        rows = self.rows.select(key=name, side=pl.lit(across) | pl.col("set").is_null())
        rows = rows.with_columns(row=pl.int_range(pl.len(), dtype=pl.Int64)).filter(pl.col("key").is_not_null())
        first = rows.filter(pl.Series(known)[rows["row"]]).group_by("key", "side").agg(first=pl.min("row"))
        found = rows.join(first, on=["key", "side"])
        out = np.full(len(self), -1)
        out[found["row"].to_numpy()] = found["first"].to_numpy()
        return out

    def hashes(self, rows: Ints) -> Columns:
        return taken(self.hashed, rows)

    def pictures(self, rows: Ints) -> Pictures:
        """Return what is compared of some pictures."""
        places = self.rows[rows].select("file", "at").iter_rows()
        return compared.pictures(self.pixels(file, at) for file, at in places)

    def pixels(self, file: int, at: int) -> images.Pixels:
        return images.decode(self.open(file, at), max_pixels=self.max_pixels)


class Streams:
    """Pictures in Arrow streams."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._column = lru_cache(OPEN)(lambda file: shards.read_stream(files[file])["image"])

    def __call__(self, file: int, at: int) -> bytes:
        """Return the picture in a row of a stream."""
        data: bytes = self._column(file)[at]["bytes"].as_py()
        return data


def read(files: Sequence[Path], sets: pl.DataFrame, max_pixels: int) -> Faces:
    """Return the faces of all streams, in FACES; `sets` are source, split and set of every benchmark."""
    parts = [_part(FACES.empty_table(), 0), *(_part(shards.read_stream(path), at) for at, path in enumerate(files))]
    rows = pl.concat([rows for rows, _ in parts]).join(sets, on=["source", "split"], how="left", maintain_order="left")
    hashed = joined([columns for _, columns in parts])
    del parts
    return ranked(rows, hashed, Streams(files), max_pixels)


def joined(parts: Sequence[Columns]) -> Columns:
    """Return the hashes of several tables in one."""
    return Columns(
        np.concatenate([part.hash64 for part in parts]),
        np.concatenate([part.hash256 for part in parts]),
        np.concatenate([part.descriptor for part in parts]),
    )


def ranked(rows: pl.DataFrame, hashed: Columns, opener: Open, max_pixels: int) -> Faces:
    """Return faces in order of rank."""
    rank = [pl.col("set").is_null(), -pl.col("area"), pl.col("id")]
    order = rows.select(pl.arg_sort_by(rank, nulls_last=True)).to_series()
    return Faces(rows[order], taken(hashed, order.to_numpy()), opener, max_pixels)


def taken(hashed: Columns, rows: npt.NDArray[np.integer]) -> Columns:
    return Columns(hashed.hash64[rows], hashed.hash256[rows], hashed.descriptor[rows])


def _part(table: pa.Table, file: int) -> tuple[pl.DataFrame, Columns]:
    """Return what is remembered of one stream."""
    frame = pl.DataFrame(pl.from_arrow(table.select(list(READ))))
    rows = frame.select(
        "source", "split", "canonical",
        id=bits("id"),
        area=pl.col("width").cast(pl.Int64) * pl.col("height"),
        whole=pl.col("crop").is_null(),
        same_file=bits("sha256"),
        same_pixels=bits("pixel_hash"),
        file=pl.lit(file),
        at=pl.int_range(pl.len()),
    ).select(ROWS.names()).cast(ROWS)  # fmt: skip
    wide = [_bytes(frame[name], width) for name, width in (("hash256", 32), ("descriptor", 64))]
    return rows, Columns(frame["hash64"].fill_null(0).to_numpy(), wide[0], wide[1].view(np.int8))


def bits(name: str) -> pl.Expr:
    """Return 64 bits of a column of hex digits."""
    return pl.col(name).str.head(16).str.to_integer(base=16, dtype=pl.UInt64)


def _bytes(values: pl.Series, width: int) -> npt.NDArray[np.uint8]:
    """Return binary values as an array n x width, zeros for nulls."""
    joined = b"".join(bytes(width) if value is None else value for value in values)
    return np.frombuffer(joined, np.uint8).reshape(-1, width)


def sets_of(settings: Settings) -> pl.DataFrame:
    """Return the source and split of every benchmark, and what FERBench calls its set."""
    marks = [(release.source.name, release.source.benchmark) for release in settings.releases]
    rows = [(name, mark.split, mark.set) for name, mark in marks if mark]
    return pl.DataFrame(rows, schema=dict.fromkeys(("source", "split", "set"), pl.Categorical()), orient="row")


def in_order(kept: Mapping[str, Sequence[Path]]) -> list[Path]:
    """Return the streams of all splits."""
    return [path for paths in kept.values() for path in paths]


def built(folder: Path) -> list[Path]:
    """Return the streams that the faces stage wrote. FerError where it wrote none."""
    if read_mark(folder) is None:
        raise FerError(folder, "there are no faces yet", "run `fer-build faces` first")
    return in_order(shards.split_files(folder))


def look_up(files: Sequence[Path], places: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """Return some columns of rows of the streams, by `file` and `at`, in the order asked for."""
    asked = places.select("file", "at").with_row_index("row")
    parts = [pl.DataFrame(schema=dict.fromkeys(names, pl.String()) | {"row": pl.UInt32()})]
    for (file,), part in asked.group_by("file", maintain_order=True):
        rows = shards.read_stream(files[file]).select(list(names)).take(part["at"].to_arrow())
        parts.append(pl.DataFrame(pl.from_arrow(rows)).with_columns(part["row"]))
    return pl.concat(parts).sort("row").drop("row")
