"""Pictures that no release lists: a folder of them, or a dataset on disk, opened and hashed.

Stands beside the way of a face, where what was built is compared with somebody else's pictures. One that cannot be
read is counted and left out.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from ferbuild.builders import hashing, images, pool, shards
from ferbuild.builders.errors import FerError
from ferbuild.builders.facing import LOT_PIXELS, open_picture
from ferbuild.builders.hashing import Columns
from ferbuild.builders.known_faces import OPEN, ROWS, Open, bits, joined
from ferbuild.builders.sources.plain import read_plain
from ferbuild.builders.sources.tree import Tree
from ferbuild.builders.stage import JOB_BYTES, PART_ROWS, portions


class Shelf(NamedTuple):
    """Some pictures beside each other: files below a folder, or a column of a stream."""

    place: Path
    column: str
    """Empty where `names` are the addresses of files below `place`."""
    names: Sequence[str]
    sizes: Sequence[int | None]
    """Bytes of the files; null where a dataset only names one, or there is none."""


class Outside(NamedTuple):
    """The pictures that could be read."""

    rows: pl.DataFrame
    """As of `known_faces.Faces`, without a set; `id` counts them from 0."""
    hashed: Columns
    names: pl.DataFrame
    """`name` and `sha256` of every picture, by `id`."""
    open: Open
    unreadable: Mapping[str, int]
    """Why others could not be read, and how many."""


class _Job(NamedTuple):
    file: int
    start: int
    shelf: Shelf


class _Done(NamedTuple):
    file: int
    start: int
    rows: pl.DataFrame
    hashed: Columns
    unreadable: Counter[str]


def read(path: Path, *, max_pixels: int, workers: int = 1, tick: Callable[[int, int], None] | None = None) -> Outside:
    """Open and hash all pictures of a folder, of its ZIP archives, or of a dataset. FerError where there is none."""
    shelves, unreadable = shelves_of(path)
    total = sum(len(shelf.names) for shelf in shelves)
    if not total:
        raise FerError(
            path, "holds no pictures", "name a folder of pictures, or of a saved dataset with an image column"
        )
    jobs = [_Job(file, start, _cut(shelf, start, stop)) for file, shelf in enumerate(shelves)
            for start, stop in portions(shelf.sizes, PART_ROWS, JOB_BYTES)]  # fmt: skip
    done, count = list[_Done](), 0
    for one in pool.each(partial(_hash, max_pixels=max_pixels), jobs, workers=workers, stage="contamination"):
        done.append(one)
        unreadable.update(one.unreadable)
        count += one.rows.height + one.unreadable.total()
        if tick:
            tick(count, total)
    done.sort(key=lambda one: (one.file, one.start))
    rows = pl.concat([one.rows for one in done])
    names = rows.select("name", "sha256")
    rows = rows.with_columns(id=pl.int_range(pl.len(), dtype=pl.UInt64)).select(ROWS.names()).cast(ROWS)
    hashed = joined([one.hashed for one in done])
    return Outside(rows, hashed, names, Shelves(shelves), dict(sorted(unreadable.items())))


class Shelves:
    """Opens a picture by its shelf and its place there."""

    def __init__(self, shelves: Sequence[Shelf]) -> None:
        self._shelves = shelves
        self._column = lru_cache(OPEN)(lambda file: _pictures(shelves[file]))

    def __call__(self, file: int, at: int) -> bytes:
        """Return an encoded picture. Raises images.PictureError."""
        shelf = self._shelves[file]
        return _in_row(self._column(file), at, shelf.place) if shelf.column else _encoded(shelf, at)


def shelves_of(path: Path) -> tuple[list[Shelf], Counter[str]]:
    """Return the pictures of a folder or dataset, and what of it cannot be looked into, by reason."""
    if not path.is_dir():
        raise FerError(path, "is no folder", "name a folder of pictures, or of a saved dataset")
    if any((path / name).exists() for name in ("dataset_dict.json", "state.json")):
        return [shelf for split, file in _streams(path) for shelf in _columns(split, file)], Counter()
    tree = Tree(path)
    files = tree.files()
    shelf = Shelf(path, "", files["rel_path"].to_list(), files["size"].to_list())
    return [shelf], Counter(reason for reason, _ in tree.faults.values())


def _streams(path: Path) -> list[tuple[str, Path]]:
    """Return split and file of every stream of a saved dataset. FerError where its files are damaged."""
    if (path / "dataset_dict.json").exists():
        return [(split, file) for split, files in shards.split_files(path).items() for file in files]
    try:
        names = [one["filename"] for one in json.loads((path / "state.json").read_bytes())["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError) as err:
        raise FerError(path / "state.json", f"is damaged: {err}", "save the dataset again") from None
    return [("", path / name) for name in names]


def _columns(split: str, file: Path) -> Iterator[Shelf]:
    """Yield every column of a stream that holds pictures."""
    table = shards.read_stream(file)
    for field in table.schema:
        kind = field.type.value_type if _lists(field.type) else field.type
        if pa.types.is_struct(kind) and {one.name for one in kind} == {"bytes", "path"}:
            held = np.ones(table.num_rows, np.int64)
            if kind is not field.type:
                held = pc.fill_null(pc.list_value_length(table[field.name]), 0).to_numpy()
            names = _names(table, f"{split}/{file.stem}:".lstrip("/"))
            names = [names[row] for row in np.repeat(np.arange(table.num_rows), held).tolist()]
            yield Shelf(file, field.name, names, _sizes(_flat(table[field.name])))


def _sizes(pictures: pa.ChunkedArray) -> list[int | None]:
    sizes: list[int | None] = pc.binary_length(pc.struct_field(pictures, "bytes")).to_pylist()
    return sizes


def _lists(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _names(table: pa.Table, stem: str) -> list[str]:
    """Return what the rows of a stream are called: their id, or their number."""
    if "id" in table.column_names:
        return [str(one) for one in table["id"].to_pylist()]
    return [f"{stem}{row}" for row in range(table.num_rows)]


def _cut(shelf: Shelf, start: int, stop: int) -> Shelf:
    return shelf._replace(names=shelf.names[start:stop], sizes=shelf.sizes[start:stop])


def _hash(job: _Job, *, max_pixels: int) -> _Done:
    """Open and hash the pictures of a job."""
    found, unreadable, hashed = list[dict[str, Any]](), Counter[str](), list[Columns]()
    column = _pictures(job.shelf) if job.shelf.column else None
    pixels, held = list[images.Pixels](), 0
    for at, name in enumerate(job.shelf.names):
        try:
            data = _encoded(job.shelf, at) if column is None else _in_row(column, job.start + at, job.shelf.place)
            pixels.append(images.decode(data, max_pixels=max_pixels))
        except images.PictureError as err:
            unreadable[err.reason] += 1
            continue
        found.append(_row(data, pixels[-1]) | {"name": name, "at": job.start + at})
        held += found[-1]["area"]
        if held >= LOT_PIXELS:
            hashed.append(hashing.hash_many(pixels))
            pixels, held = [], 0
    hashed.append(hashing.hash_many(pixels))
    schema = ["name", "sha256", "pixel_hash", "area", "at"]
    kinds = dict(zip(schema, (pl.String, pl.String, pl.String, pl.Int64, pl.UInt32), strict=True))
    rows = pl.DataFrame(found, schema=kinds).with_columns(
        *(pl.lit(None, pl.String).alias(name) for name in ("source", "split", "canonical")),
        whole=pl.lit(True), file=pl.lit(job.file), same_file=bits("sha256"), same_pixels=bits("pixel_hash"),
    )  # fmt: skip
    return _Done(job.file, job.start, rows, joined(hashed), unreadable)


def _row(data: bytes, pixels: images.Pixels) -> dict[str, Any]:
    return {
        "sha256": hashlib.sha256(data).hexdigest(),
        "pixel_hash": images.pixel_hash(pixels),
        "area": pixels.shape[0] * pixels.shape[1],
    }


def _encoded(shelf: Shelf, at: int) -> bytes:
    """Return a file of a folder. Raises images.PictureError."""
    return open_picture({"rel_path": shelf.names[at], "size": shelf.sizes[at]}, shelf.place)


def _pictures(shelf: Shelf) -> pa.ChunkedArray:
    """Return the pictures of a column, one after the other, memory-mapped."""
    return _flat(shards.read_stream(shelf.place)[shelf.column])


def _flat(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the pictures of a column of pictures, or of lists of them."""
    if not _lists(column.type):
        return column
    return pa.chunked_array([chunk.flatten() for chunk in column.chunks], column.type.value_type)


def _in_row(column: pa.ChunkedArray, at: int, file: Path) -> bytes:
    """Return a picture of a dataset; one that is only named is looked for. Raises images.PictureError."""
    picture = column[at].as_py() or {}
    data, path = picture.get("bytes"), picture.get("path")
    if data is not None:
        return bytes(data)
    if path is None:
        raise images.PictureError("missing picture")
    try:
        return read_plain(file.parent / path)
    except (OSError, ValueError) as err:
        raise images.PictureError("missing picture", images.describe(err)) from None
