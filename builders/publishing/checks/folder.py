"""A dataset folder as the checks look at it: what it says of itself, its shards, and what is at hand to compare with.

A folder is local, with `stage.json`, or an edition, with `edition.json`, be it built here or downloaded. Shards are
memory-mapped one by one, so that a check reads the columns it is about, and no picture by accident.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ferbuild.builders import shards
from ferbuild.builders.errors import FerError
from ferbuild.builders.mark import Mark, read_mark
from ferbuild.builders.publishing import census
from ferbuild.builders.publishing import edition as editions
from ferbuild.builders.publishing.census import Census
from ferbuild.builders.publishing.edition import Edition
from ferbuild.manifests.recipe import Picture
from ferbuild.manifests.schema import Source

KINDS: Mapping[str, str] = {
    "cot": "cot",
    "rlvr": "rlvr",
    "questions": "rlvr",
    "bench": "ferbench",
    "ferbench": "ferbench",
}
"""Stage to the kind of dataset it makes."""


class Found(NamedTuple):
    """One thing that is wrong, with some rows or files of a folder."""

    where: str
    """The file, seen from the folder."""
    problem: str
    many: int
    """Rows, files or entries."""
    first: str
    """Id of the first row, or name of the first file, of which it holds."""


class Outcome(NamedTuple):
    """What came of a check: nothing found is a promise kept, as far as the note does not take it back."""

    found: Sequence[Found] = ()
    note: str = ""
    """What could not be held against anything here."""
    done: bool = True
    """False: this folder has nothing that the check is about."""


class Shard(NamedTuple):
    """One shard, memory-mapped."""

    name: str
    """Seen from the folder."""
    split: str
    path: Path
    table: pa.Table


@dataclass(frozen=True)
class Surroundings:
    """What a machine knows beside the folder that is looked at."""

    sources: Mapping[str, Source]
    """Manifests by name: the shipped ones and the user's own."""
    work: Path | None = None
    """The work folder, whose faces and benchmark a training dataset is held against."""
    picture: Picture = field(default_factory=Picture)
    """The recipe's, of a folder that does not tell its own."""
    keeps_contaminated: bool = False
    """The recipe keeps training faces that a benchmark shows."""
    workers: int = 1
    tick: Callable[[str, int, int], None] | None = None


@dataclass(frozen=True)
class Folder:
    """A dataset folder, opened. Its shards may still be missing or cut: `layout` tells."""

    path: Path
    kind: str
    """cot, rlvr or ferbench."""
    edition: Edition | None
    mark: Mark | None
    """Of a local folder."""
    around: Surroundings

    @property
    def picture(self) -> Picture:
        """The policy its pictures were made by."""
        return self.edition.picture if self.edition else self.around.picture

    @cached_property
    def splits(self) -> dict[str, list[Path]]:
        """Its splits and their shards, as the folder's own files name them."""
        return shards.split_files(self.path)

    @cached_property
    def _opened(self) -> list[Shard]:
        return [
            Shard(f"{split}/{path.name}", split, path, shards.read_stream(path))
            for split, paths in self.splits.items()
            for path in paths
        ]

    def shards(self) -> Iterator[Shard]:
        """Yield every shard, opened once and mapped to memory; FerError where one cannot be read."""
        yield from self._opened

    @cached_property
    def seen(self) -> Census:
        """What its rows say of their sources."""
        return census.count(self.splits)

    @property
    def rows(self) -> int:
        return sum(shard.table.num_rows for shard in self.shards())


def open_folder(path: Path, around: Surroundings) -> Folder:
    """Return what a folder says of itself; FerError where it is none of the tool's, or of a kind without checks."""
    if not path.is_dir():
        raise FerError(path, "is no folder", "name a dataset of the work folder, or the folder of an edition")
    said = editions.read(path) if (path / "edition.json").exists() else None
    mark = None if said else read_mark(path)
    stage = said.dataset if said else mark.stage if mark else None
    if stage is None:
        raise FerError(
            path, "says nothing of itself", "it lacks edition.json or stage.json: build or download it again"
        )
    kind = KINDS.get(stage.partition("-")[0])
    if kind is None:
        raise FerError(path, f"is of the stage {stage}, which is not verified", "cot, rlvr and ferbench datasets are")
    return Folder(path, kind, said, mark, around)


def told(shard: Shard, wrong: pa.Array | pa.ChunkedArray, problem: str) -> list[Found]:
    """Return the one thing found where some of `wrong`, one boolean a row, are true; null counts as false."""
    count = pc.sum(wrong).as_py() or 0
    if not count:
        return []
    first = shard.table["id"][pc.index(wrong, True).as_py()].as_py()
    return [Found(shard.name, problem, count, str(first))]


def merged(found: Sequence[Found]) -> list[Found]:
    """Return the faults, those of one problem as one with the sum of their counts, in their first order."""
    sums: dict[str, Found] = {}
    for one in found:
        known = sums.get(one.problem)
        sums[one.problem] = known._replace(many=known.many + one.many) if known else one
    return list(sums.values())


@dataclass(frozen=True, slots=True)
class Faces:
    """The provenance of a shard's pictures, one entry a picture."""

    row: pa.Array
    """The row that each belongs to."""
    of: pa.StructArray

    def __getitem__(self, name: str) -> pa.Array:
        """Return one field of all pictures; works whatever slice the struct is of."""
        return pc.struct_field(self.of, name)

    def rows_where(self, wrong: pa.Array, rows: int) -> pa.Array:
        """Return, for each of `rows` rows, whether `wrong` is true of one of its pictures."""
        hit = pc.unique(self.row.filter(pc.fill_null(wrong, False)))
        return pc.is_in(pa.array(np.arange(rows), self.row.type), hit)


def faces_of(table: pa.Table) -> Faces:
    column = table["faces"].combine_chunks()
    return Faces(pc.list_parent_indices(column), pc.list_flatten(column))
