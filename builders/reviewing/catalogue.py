"""The rows of a dataset as a reviewer looks through them: short columns in memory, pictures and texts mapped from disk.

Stands between the shards and the page. What is remembered of a row is what it is chosen by, and where it lies; 360,000
rows take some 40 MB.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from ferbuild.builders import shards
from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.builders.mark import FILE, read_mark
from ferbuild.builders.reviewing.figures import DROPS

Kind = Literal["faces", "cot", "rlvr", "ferbench", "drops"]
PAGE = 50
"""Rows of the list that are shown at once."""
OPEN = 64
"""Streams kept open at a time."""
KINDS: Mapping[Kind, frozenset[str]] = {
    "faces": frozenset({"image", "group_id"}),
    "cot": frozenset({"images", "completion", "faces"}),
    "rlvr": frozenset({"images", "solution", "faces"}),
    "ferbench": frozenset({"images", "image_path", "faces"}),
}
"""What is looked at, with the columns by which it is known."""
TEXTS: Mapping[Kind, tuple[str, ...]] = {
    "faces": ("id", "rel_path", "label"),
    "cot": ("id", "completion", "prompt", "faces"),
    "rlvr": ("id", "prompt", "answer", "faces"),
    "ferbench": ("id", "image_path", "answer", "faces"),
    "drops": ("id", "rel_path", "detail", "label"),
}
"""The columns that are searched."""
WORDS = {"prompt": "content", "completion": "content", "faces": "rel_path"}
"""Of columns that hold lists the field that is searched."""
CHOSEN_BY = ("source", "canonical", "split", "stage", "reason", "teacher", "kind")
"""Columns of few words that rows are chosen by, those that the dataset has."""


class Place(NamedTuple):
    """A folder of rows, and what its splits are called here."""

    name: str
    """What its rows' `stage` says."""
    files: Mapping[str, Sequence[Path]]
    key: str
    """Of the stage that made it; empty where the folder does not say."""


@dataclass(frozen=True)
class Catalogue:
    """A dataset to look through. A row is known by its number, in the order of the shards."""

    dataset: str
    kind: Kind
    rows: pl.DataFrame
    """`id` and those of CHOSEN_BY and `agreement` that there are; `place`, `file` and `at`: where the row lies."""
    files: Sequence[Path]
    keys: Mapping[str, str]
    """Stage to its key; of a dataset itself, its own name."""
    opened: Callable[[int], pa.Table] = field(repr=False)
    """The table of a file, memory-mapped."""

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.rows.height

    def row(self, number: int, *, without: Sequence[str] = ()) -> dict[str, Any]:
        """Return a row as it lies on disk, without some columns. IndexError where there is none."""
        table, at = self.place(number)
        one = table.slice(at, 1)
        return dict(one.drop_columns([name for name in without if name in one.schema.names]).to_pylist()[0])

    def line(self, number: int) -> dict[str, str]:
        """Return what the list shows of a row: where it comes from, its label, and why it was dropped."""
        row = self.row(number, without=("image", "images", "prompt", "completion", "claims", "votes"))
        face = row["faces"][0] if "faces" in row else row
        return {
            "source": face["source"],
            "path": face["rel_path"],
            "label": row.get("label") or row.get("answer") or "",
            "canonical": row.get("canonical") or "",
            "why": row.get("reason") or row.get("kind") or "",
        }

    def place(self, number: int) -> tuple[pa.Table, int]:
        """Return the table that holds a row, and its place in it. IndexError where there is no such row."""
        if not 0 <= number < len(self):
            raise IndexError(number)
        return self.opened(self.rows["file"][number]), self.rows["at"][number]

    def key(self, number: int) -> str:
        """Return the key of the stage that made a row."""
        return self.keys.get(self.rows["stage"][number] if self.kind == "drops" else self.dataset, "")

    def id(self, number: int) -> str:
        """Return what the log calls a row."""
        name: str = self.rows["id"][number]
        return name

    def numbers(self, ids: Sequence[str]) -> list[int]:
        """Return the rows that the log calls so; a drop may stand there twice."""
        wanted = pl.Series(ids, dtype=pl.String)
        return self.rows.select(pl.col("id").is_in(wanted.implode()).arg_true()).to_series().to_list()

    def facets(self) -> dict[str, list[tuple[str, int]]]:
        """Return of every column that rows are chosen by its values with their counts, the most frequent first."""
        found = {}
        for name in CHOSEN_BY:
            if name in self.rows.columns:
                counts = self.rows[name].cast(pl.String).fill_null("").rename("value").value_counts()
                found[name] = list(counts.sort("count", "value", descending=[True, False]).iter_rows())
        return {name: values for name, values in found.items() if len(values) > 1 or name in ("source", "canonical")}

    def class_of(self, number: int) -> str:
        """Return what a sample's figures are split by: the class, or why a row was dropped."""
        return str(self.rows["reason" if self.kind == "drops" else "canonical"][number] or "")


def open_dataset(work: Path, named: str, words: Mapping[tuple[str, str], str]) -> Catalogue:
    """Return the catalogue of a dataset of a work folder, of a dataset's folder, or of all drops ("drops").

    `words` are source and label to the canonical word, which drops do not have. FerError where there is no such
    dataset.
    """
    if named == DROPS:
        return _of_drops(work, words)
    folder = find(work, named)
    files = shards.split_files(folder)
    first = next((path for paths in files.values() for path in paths), None)
    kind = _kind(folder, first)
    mark = read_mark(folder)
    place = Place(folder.name, files, mark.key if mark else "")
    return _catalogue(folder.name, kind, [place], lambda table, _: _chosen(table, kind))


def find(work: Path, named: str) -> Path:
    """Return a dataset's folder: of the work folder by its name, or a path. FerError where there is none."""
    folder = work / named if (work / named).is_dir() and "/" not in named else Path(named)
    if (folder / "dataset_dict.json").is_file():
        return folder
    known = [DROPS, *(path.parent.name for path in work.glob(f"*/{FILE}"))]
    raise FerError(named, "is neither a dataset of the work folder nor a folder of one", did_you_mean(named, known))


def _kind(folder: Path, first: Path | None) -> Kind:
    if first is None:
        raise FerError(folder, "has no rows", "its README.md says why they were dropped; `drops` shows them")
    names = set(shards.read_stream(first).schema.names)
    kind = next((kind for kind, needed in KINDS.items() if needed <= names), None)
    if kind is None:
        hint = "faces, cot, rlvr, ferbench and drops are, by name or by folder"
        raise FerError(folder, "is no dataset that can be reviewed", hint)
    return kind


def _of_drops(work: Path, words: Mapping[tuple[str, str], str]) -> Catalogue:
    marks = {path.parent: read_mark(path.parent) for path in sorted(work.glob(f"*/{FILE}"))}
    places = [
        Place(folder.name, {"": sorted((folder / DROPS).glob("data-*.arrow"))}, mark.key)
        for folder, mark in marks.items()
        if mark is not None and any(mark.dropped.values())
    ]
    if not places:
        raise FerError(work, "nothing was dropped here", "build a dataset first: fer-build faces")
    return _catalogue(DROPS, "drops", places, lambda table, stage: _dropped(table, stage, words))


def _catalogue(
    dataset: str, kind: Kind, places: Sequence[Place], chosen: Callable[[pa.Table, str], pl.DataFrame]
) -> Catalogue:
    files: list[Path] = []
    parts = []
    for place, split, path in _listed(places):
        rows = chosen(shards.read_stream(path), place.name)
        rows = rows.with_columns(split=pl.lit(split)) if split else rows
        at = {"file": pl.lit(len(files), pl.UInt32), "at": pl.int_range(pl.len(), dtype=pl.UInt32)}
        parts.append(rows.with_columns(**at))
        files.append(path)
    table = pl.concat(parts).rechunk()
    coded = [pl.col(name).cast(pl.Categorical) for name in CHOSEN_BY if name in table.columns]
    opened = lru_cache(OPEN)(lambda file: shards.read_stream(files[file]))
    return Catalogue(dataset, kind, table.with_columns(coded), files, {one.name: one.key for one in places}, opened)


def _listed(places: Sequence[Place]) -> Iterator[tuple[Place, str, Path]]:
    for place in places:
        for split, paths in place.files.items():
            for path in paths:
                yield place, split, path


def _chosen(table: pa.Table, kind: Kind) -> pl.DataFrame:
    """Return what is remembered of the rows of a shard."""
    names = [
        name for name in ("id", "source", "canonical", "teacher", "kind", "agreement") if name in table.schema.names
    ]
    columns = {name: table[name] for name in names}
    if kind != "faces":
        columns["source"] = pc.struct_field(pc.list_element(table["faces"], 0), "source")
    return pl.DataFrame(pl.from_arrow(pa.table(columns)))


def _dropped(table: pa.Table, stage: str, words: Mapping[tuple[str, str], str]) -> pl.DataFrame:
    """Return what is remembered of some drops: a row may be dropped by several stages, each for a reason of its own."""
    rows = pl.DataFrame(pl.from_arrow(table.select(["id", "source", "split", "label", "reason"])))
    known = pl.DataFrame(
        [(source, label, word) for (source, label), word in words.items()],
        schema=dict.fromkeys(("source", "label", "canonical"), pl.String()),
        orient="row",
    )
    joined = rows.join(known, on=["source", "label"], how="left", maintain_order="left")
    name = pl.concat_str(pl.lit(stage), "id", "reason", separator="/")
    own = joined.select(id=name, source="source", canonical="canonical", split="split", reason="reason")
    return own.with_columns(stage=pl.lit(stage))


class Texts(NamedTuple):
    """All texts of one column of a table; nothing is copied."""

    values: pa.ChunkedArray
    starts: npt.NDArray[np.int64]
    """Of every row the place of its first text."""


def texts(table: pa.Table, kind: Kind) -> Iterator[Texts]:
    """Yield the texts of every searched column."""
    for name in TEXTS[kind]:
        column = table[name]
        if not pa.types.is_list(column.type):
            yield Texts(column, np.arange(table.num_rows))
            continue
        field = column.type.value_type.get_field_index(WORDS[name])
        ends = [chunk.offsets.to_numpy() for chunk in column.chunks]
        values = [
            chunk.values.field(field).slice(at[0], at[-1] - at[0])
            for chunk, at in zip(column.chunks, ends, strict=True)
        ]
        before = np.cumsum([0, *(at[-1] - at[0] for at in ends)])
        starts = [at[:-1] - at[0] + start for at, start in zip(ends, before, strict=False)]
        yield Texts(pa.chunked_array(values, pa.string()), np.concatenate([np.zeros(0, np.int64), *starts]))
