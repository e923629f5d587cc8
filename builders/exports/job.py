"""What a target is given: the dataset to read, the folder to write into, and where it tells what it left out.

Rows come shard by shard, some at a time; no target holds a dataset in memory.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ferbuild.builders import shards
from ferbuild.builders.exports.pictures import Pictures
from ferbuild.builders.files import write_text
from ferbuild.manifests.schema import Benchmark

BATCH = shards.BATCH_ROWS
IMAGE_TAG = "<image>"
"""What stands for a picture in the text that trainers take."""
TAGS = (IMAGE_TAG, "<video>", "<audio>")
"""What those trainers look for in every text, whoever wrote it: one of them too many, and pictures no longer match."""
NO_PICTURE = "no picture"
TAGGED = "a text with a tag that stands for a picture"


class Target(NamedTuple):
    """A tool or form to write for."""

    writes: Mapping[str, Write]
    """The stage that made a dataset to what writes it; a stage that is not there cannot be exported to this tool."""
    about: str
    """What is written, in a few words."""
    because: str = ""
    """Why the other datasets cannot be exported to it."""


@dataclass(slots=True)
class Job:
    """One export, and what has become of it so far."""

    dataset: str
    """Its name, with which the files begin."""
    stage: str
    key: str
    folder: Path
    out: Path
    marks: Mapping[str, Benchmark]
    """Benchmark set to what its source's manifest says of it."""
    tick: Callable[[int], None] = lambda done: None
    """Told the rows read."""
    left: Counter[str] = field(default_factory=Counter)
    """Rows that are not in the export, by reason."""
    beside: list[str] = field(default_factory=list)
    """Files that are no rows, by their path in the destination."""
    done: int = 0
    pictures: Pictures = field(init=False)

    def __post_init__(self) -> None:
        self.pictures = Pictures(self.out)

    def text(self, name: str, text: str) -> None:
        """Write a file that goes with the rows."""
        write_text(self.out / name, text)
        self.beside.append(name)

    @property
    def splits(self) -> Mapping[str, Sequence[Path]]:
        """Return the shards of every split."""
        return shards.split_files(self.folder)

    def rows(self, split: str) -> Iterator[pa.Table]:
        """Yield the rows of a split, at most BATCH at a time, memory-mapped."""
        for path in self.splits[split]:
            yield from self.rows_of(path)

    def rows_of(self, path: Path) -> Iterator[pa.Table]:
        """Yield the rows of one shard, at most BATCH at a time, memory-mapped."""
        table = shards.read_stream(path)
        for start in range(0, table.num_rows, BATCH):
            yield table.slice(start, BATCH)
            self.done += min(BATCH, table.num_rows - start)
            self.tick(self.done)

    def shown(self, split: str, texts: Sequence[str] = ()) -> Iterator[pa.Table]:
        """Yield the rows that have all their pictures and no tag in their `texts`; the others are counted."""
        for table in self.rows(split):
            table = self.only(table, has_pictures(table), NO_PICTURE)
            yield self.only(table, pc.invert(_tagged(table, texts)), TAGGED) if texts else table

    def only(self, table: pa.Table, mask: pa.Array | pa.ChunkedArray, otherwise: str) -> pa.Table:
        """Return the rows that `mask` is true of, and count the others."""
        lost = table.num_rows - (pc.sum(mask).as_py() or 0)
        if not lost:
            return table
        self.left[otherwise] += lost
        return table.filter(mask)


Write = Callable[[Job], Mapping[str, int]]
"""Write a dataset; return the files of rows, by their path in the destination, and the rows of each."""


def has_pictures(table: pa.Table) -> pa.Array:
    """Tell of every row whether it has a picture, and all the bytes of those that it should have."""
    images = _one(table["images"])
    sizes = iter(pc.fill_null(pc.binary_length(images.flatten().field("bytes")), 0).to_pylist())
    counts = pc.fill_null(pc.list_value_length(images), 0).to_pylist()
    held = [[next(sizes) for _ in range(count)] for count in counts]
    return pa.array([bool(row) and all(row) for row in held], pa.bool_())


def text_of(messages: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return the text of the first message of every row, which is the only one."""
    return pc.struct_field(pc.list_element(_one(messages), 0), "content")


def tagged(table: pa.Table) -> list[str]:
    """Return the question of every row, with a tag before it for each of the row's pictures."""
    counts = pc.list_value_length(table["images"]).to_pylist()
    return [IMAGE_TAG * count + text for count, text in zip(counts, text_of(table["prompt"]).to_pylist(), strict=True)]


def _tagged(table: pa.Table, columns: Sequence[str]) -> pa.Array:
    texts = [text_of(table[name]) for name in columns]
    found = [pc.fill_null(pc.match_substring(text, tag), False) for text in texts for tag in TAGS]
    return reduce(pc.or_, found)


def _one(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
