"""Columns of a dataset's shards as the report reads them: one shard at a time, memory-mapped, and no picture.

Stands before everything that the report counts. What is selected here is all that is read of a shard.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from ferbuild.builders import shards
from ferbuild.builders.config import Settings
from ferbuild.builders.evaluation.figures import plain
from ferbuild.manifests import load
from ferbuild.manifests.schema import Source

LONGEST = 240
"""Letters of a text that the report holds."""
AT_ONCE = 10_000
"""Rows whose texts may be in memory at a time."""
NO_LABEL = "no label"
FACE = ("source", "split", "rel_path", "label", "canonical")


class Part(NamedTuple):
    """Some columns of some rows of one shard."""

    split: str
    table: pa.Table


def parts(folder: Path, names: Sequence[str]) -> Iterator[Part]:
    """Yield the named columns of a dataset, some rows at a time; FerError where a shard cannot be read."""
    for split, files in shards.split_files(folder).items():
        for path in files:
            table = shards.read_stream(path).select(list(names))
            yield from (Part(split, table.slice(at, AT_ONCE)) for at in range(0, table.num_rows, AT_ONCE))


def sources_of(table: pa.Table) -> pl.Series:
    """Return the source of every row: its own column, or that of its first picture."""
    return firsts(table["faces"], "source") if "faces" in table.schema.names else column(table["source"])


def firsts(lists: pa.ChunkedArray, name: str) -> pl.Series:
    """Return one field of the first entry of every list; nothing else of the entries is copied. None may be empty."""
    found = (
        pc.list_element(pa.ListArray.from_arrays(chunk.offsets, chunk.values.field(name)), 0) for chunk in lists.chunks
    )
    return column(pa.chunked_array(list(found), pa.string()))


def column(values: pa.ChunkedArray) -> pl.Series:
    return pl.Series(pl.from_arrow(values))


def sources(settings: Settings) -> dict[str, Source]:
    """Return the manifests by the name of their source: the shipped ones, and the user's own in their place."""
    shipped = {name: load.load_source(name) for name in load.names("sources")}
    return shipped | {release.source.name: release.source for release in settings.releases}


def canonical(label: str, source: str, known: Mapping[str, Source]) -> str:
    """Return the word that all sources share for a source's own word; the word itself where no manifest knows it."""
    return known[source].canonical.get(label, label) if source in known else label


def short(text: str | None, most: int = LONGEST) -> str:
    """Return text from outside on one line and no longer than `most` letters."""
    text = plain((text or "")[: 4 * most])
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def rank(name: str, seed: int) -> int:
    """Return where the seed puts a row among others: the same whatever their order."""
    return xxhash.xxh3_64_intdigest(name.encode(), seed=seed)


def look_up(folder: Path, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return source, split, path and labels of some faces of a dataset of faces, by id."""
    wanted = pa.array(sorted(set(ids)), pa.string())
    found: dict[str, dict[str, Any]] = {}
    for _, table in parts(folder, ("id", *FACE)):
        for row in table.filter(pc.is_in(table["id"], wanted)).to_pylist():
            found[row["id"]] = row
    return found


def frame(table: pa.Table) -> pl.DataFrame:
    """Return a table as polars sees it, whatever its number of rows."""
    return pl.DataFrame(pl.from_arrow(table))
