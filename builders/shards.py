"""The only module that touches shard files: Arrow streams in the layout of a saved `DatasetDict`.

Every stage writes and reads through here. One folder serves `datasets.load_dataset(folder)`, by the globs
in its README.md, and `datasets.load_from_disk(folder)`, by its json files.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from itertools import groupby
from pathlib import Path
from threading import BoundedSemaphore
from types import MappingProxyType
from typing import Any, NamedTuple

import pyarrow as pa

from ferbuild.builders import afloat
from ferbuild.builders.errors import FerError
from ferbuild.builders.exact import IMAGES, exact
from ferbuild.builders.features import features, with_features
from ferbuild.builders.files import durable, write_text
from ferbuild.builders.record import IMAGE, SPLITS

AT_ONCE = 2
"""Shards that are written at the same time."""
SYNCED = 2
"""Shards that are still on their way to the disk meanwhile."""
BATCH_ROWS = 100
"""Rows of a record batch with pictures: small enough that reading one row does not touch thousands."""
BARE_ROWS = 2000
"""Rows of a record batch without pictures: a stream of few batches is opened and read several times as fast."""

NO_TURN = nullcontext()


class Slice(NamedTuple):
    """Some rows of one shard, cheap to send to another process."""

    path: Path
    split: str
    start: int
    rows: int

    def read(self) -> pa.Table:
        """Return the rows, memory-mapped."""
        return read_stream(self.path).slice(self.start, self.rows)


Pick = Callable[[pa.Table], pa.Table]
"""Some rows to those of them that are written."""

Weigh = Callable[[pa.RecordBatch], int]
"""A record batch to the bytes that it takes of a shard."""


def write_stream(
    path: Path, tables: Iterable[pa.Table], schema: pa.Schema, turn: AbstractContextManager[object] = NO_TURN
) -> int:
    """Write tables as one Arrow IPC stream, durably and whole or not at all; return its rows.

    `turn` is held while it is written, and no longer while the system brings it to the disk.
    """
    schema = with_features(schema)
    rows = 0
    pictures = [field.name for field in schema if field.type in (IMAGE, IMAGES)]
    most = BATCH_ROWS if pictures else BARE_ROWS
    with (
        durable(path) as part,
        turn,
        afloat.sink(part) as sink,
        pa.ipc.new_stream(sink.stream, schema) as writer,
    ):
        for table in tables:
            same = table.schema.equals(schema)  # but for what is noted in it: a cast takes longer than the writing
            told = pa.Table.from_arrays(table.columns, schema=schema) if same else table.cast(schema)
            for name in pictures:
                afloat.at_hand(told[name])
            writer.write_table(exact(told, most) if pictures else told.combine_chunks(), max_chunksize=most)
            sink.send()
            rows += table.num_rows
    return rows


def read_stream(path: Path, columns: Sequence[str] = ()) -> pa.Table:
    """Return the rows of one shard, memory-mapped; FerError where it is missing, cut or foreign.

    With `columns` only these, in the shard's order: a stream of many batches is then opened in half the time. Not by
    Arrow's own memory map, which has the system read ahead every byte of what is opened, even to count its rows.
    """
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        source = pa.py_buffer(mapped)
        wanted = [pa.ipc.open_stream(source).schema.get_field_index(name) for name in columns]
        return pa.ipc.open_stream(source, options=pa.ipc.IpcReadOptions(included_fields=wanted)).read_all()
    except (OSError, ValueError) as err:  # of which ArrowInvalid is one
        hint = "delete the folder it lies in and run the command that builds it again"
        raise FerError(path, f"cannot be read as a shard: {err}", hint) from None


def split_files(folder: Path) -> dict[str, list[Path]]:
    """Return the shards of each split of a dataset folder, in order; FerError where it is none."""
    try:
        splits = json.loads((folder / "dataset_dict.json").read_text())["splits"]
        return {split: sorted((folder / split).glob("data-*.arrow")) for split in splits}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as err:
        reason = getattr(err, "strerror", None) or f"dataset_dict.json: {err}"
        raise FerError(folder, f"is no dataset folder ({reason})", "build it first, or name another") from None


def is_intact(folder: Path, splits: Mapping[str, int]) -> bool:
    """Tell whether a dataset folder holds exactly these rows, in shards numbered without a gap.

    A stream that ends too early is not told by its format: the rows are counted.
    """
    try:
        files = split_files(folder)
        rows = {split: sum(read_stream(path).num_rows for path in paths) for split, paths in files.items()}
    except FerError:
        return False
    numbered = all([path.name for path in paths] == _names(len(paths)) for paths in files.values())
    return numbered and rows == dict(splits)


def _names(shards: int) -> list[str]:
    return [f"data-{at:05d}-of-{shards:05d}.arrow" for at in range(shards)]


def slices(folder: Path, rows: int) -> list[Slice]:
    """Cut every shard of a dataset folder into slices of at most `rows` rows, in order."""
    return [piece for split in split_files(folder) for piece, _ in sliced(folder, split, rows)]


def sliced(folder: Path, split: str, rows: int, columns: Sequence[str] = ()) -> Iterator[tuple[Slice, pa.Table]]:
    """Yield slices of at most `rows` rows of one split, in order, each with its rows, of which `columns` are read."""
    for path in split_files(folder).get(split, []):
        table = read_stream(path, columns)
        for start in range(0, table.num_rows, rows):
            some = table.slice(start, rows)
            yield Slice(path, split, start, some.num_rows), some


def cut_to(files: Sequence[Path], rows: Sequence[int]) -> list[list[Slice]]:
    """Share the record batches of one split's `files` out among shards of so many `rows`, as they were before.

    FerError where the batches do not end where a shard ends.
    """
    shares: list[list[Slice]] = [[] for _ in rows]
    at, filled = 0, 0
    for piece, _ in (one for path in files for one in _batches(path, lambda rows: 0)):
        while at < len(rows) and filled == rows[at]:
            at, filled = at + 1, 0
        if at == len(rows) or filled + piece.rows > rows[at]:
            raise FerError(piece.path, "its rows lie in other batches than they should", "download the edition again")
        shares[at].append(piece)
        filled += piece.rows
    if sum(piece.rows for share in shares for piece in share) != sum(rows):
        raise FerError(files[-1] if files else "the edition", "has too few rows", "download the edition again")
    return shares


def read_drops(folder: Path) -> Iterator[pa.Table]:
    """Yield the drops of a dataset folder, shard by shard."""
    for path in sorted((folder / "drops").glob("data-*.arrow")):
        yield read_stream(path)


def lay_out(
    folder: Path,
    kept: Mapping[str, Sequence[Path]],
    drops: Sequence[Path],
    schema: pa.Schema,
    *,
    key: str,
    shard_bytes: int,
    pick: Pick = lambda rows: rows,
    weigh: Weigh = lambda rows: rows.nbytes,
    apart: Mapping[str, Pick] = MappingProxyType({}),
) -> dict[str, int]:
    """Write the final shards of every split, and of the drops, from streams; return rows per split.

    `pick` is given the kept rows some at a time, and returns those to write, which count `weigh` bytes of
    `shard_bytes`; a split that `apart` names has a pick of its own. A split without rows is not written: `load_dataset`
    raises on one. Without `drops` there are none.
    """
    counts, written = {}, {}
    for split in ordered(kept):
        files, rows = _write_shards(folder / split, kept[split], schema, shard_bytes, apart.get(split, pick), weigh)
        if rows:
            counts[split], written[split] = rows, files
        else:
            shutil.rmtree(folder / split)
    seal(folder, written, schema, key)
    if drops:
        drop_schema = read_stream(drops[0]).schema.remove_metadata()
        _write_shards(folder / "drops", drops, drop_schema, shard_bytes)
    return counts


def seal(folder: Path, files: Mapping[str, Sequence[str]], schema: pa.Schema, key: str) -> None:
    """Write the json files by which a folder of shards, split to their names, is a dataset that can be loaded."""
    for split, names in files.items():
        _write_state(folder / split, names, schema, key)
    write_text(folder / "dataset_dict.json", json.dumps({"splits": list(files)}))


def roomy(kept: Mapping[str, Sequence[Path]], shard_bytes: int, weigh: Weigh, most: int) -> int:
    """Return the size of shards, `shard_bytes` or as often twice of it, at which there are at most `most`."""
    while sum(len(_group(files, shard_bytes, weigh)) for files in kept.values()) > max(most, len(kept)):
        shard_bytes *= 2
    return shard_bytes


def ordered(splits: Iterable[str]) -> list[str]:
    """Return split names as train, validation, test, then the others as they came."""
    rank = {split: at for at, split in enumerate(SPLITS)}
    return sorted(splits, key=lambda split: rank.get(split, len(rank)))


def _write_shards(
    folder: Path,
    parts: Sequence[Path],
    schema: pa.Schema,
    shard_bytes: int,
    pick: Pick = lambda rows: rows,
    weigh: Weigh = lambda rows: rows.nbytes,
) -> tuple[list[str], int]:
    """Return the names of the shards, and the rows in them."""
    groups = _group(parts, shard_bytes, weigh)
    names = _names(len(groups))
    turn = BoundedSemaphore(AT_ONCE)
    with ThreadPoolExecutor(AT_ONCE + SYNCED) as pool:
        written = [
            pool.submit(write_stream, folder / name, map(pick, read_slices(group)), schema, turn)
            for name, group in zip(names, groups, strict=True)
        ]
        try:
            return names, sum(one.result() for one in written)
        finally:
            pool.shutdown(cancel_futures=True)


def read_slices(pieces: Iterable[Slice]) -> Iterator[pa.Table]:
    """Yield the rows of slices; a stream that several of them in a row are from is opened once."""
    for path, some in groupby(pieces, key=lambda piece: piece.path):
        table = read_stream(path)
        yield from (table.slice(piece.start, piece.rows) for piece in some)


def _group(parts: Sequence[Path], shard_bytes: int, weigh: Weigh) -> list[list[Slice]]:
    """Share the record batches of `parts` out among shards of about `shard_bytes`."""
    groups: list[list[Slice]] = [[]]
    filled = 0
    for piece, weight in (one for path in parts for one in _batches(path, weigh)):
        if filled and filled + weight > shard_bytes:
            groups.append([])
            filled = 0
        groups[-1].append(piece)
        filled += weight
    return groups


def _batches(path: Path, weigh: Weigh) -> Iterator[tuple[Slice, int]]:
    """Yield the record batches of a shard, each with its weight."""
    start = 0
    for batch in read_stream(path).to_batches():
        yield Slice(path, "", start, batch.num_rows), weigh(batch)
        start += batch.num_rows


def _write_state(folder: Path, files: Sequence[str], schema: pa.Schema, key: str) -> None:
    """Write the two json files that `load_from_disk` wants, as `Dataset.save_to_disk` writes them."""
    fingerprint = hashlib.sha256(f"{key}/{folder.name}".encode()).hexdigest()[:16]
    state: dict[str, Any] = {
        "_data_files": [{"filename": name} for name in files],
        "_fingerprint": fingerprint,
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": folder.name,
    }
    info = {"citation": "", "description": "", "features": features(schema), "homepage": "", "license": ""}
    write_text(folder / "state.json", json.dumps(state, indent=2))
    write_text(folder / "dataset_info.json", json.dumps(info, indent=2))
