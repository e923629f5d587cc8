"""Reads a release that keeps one annotation file, or one a number, beside every picture.

The files are many and small; they are read in a few threads, and never with pickle.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import orjson
import polars as pl

from ferbuild.builders.sources.listing import Found
from ferbuild.builders.sources.plain import read_plain
from ferbuild.builders.sources.tree import Tree
from ferbuild.manifests.schema import Source

THREADS = 8
MAX_BYTES = 1 << 20
"""An annotation file with more is not one."""


class Mark(NamedTuple):
    """What the annotations of one picture say."""

    raw: str | None
    valence: float | None
    arousal: float | None
    reason: str | None = None
    detail: str | None = None


def read(
    tree: Tree,
    source: Source,
    *,
    rule: str,
    labels: Mapping[str, str] | None,
    splits: Mapping[str, str],
    form: Literal["npy", "json"],
    fields: Mapping[str, str],
    pictures: str = "images",
    annotations: str = "annotations",
    notes: Sequence[str] = (),
) -> Found:
    """Return a row for every picture and every label file, sorted by split and file name.

    splits: folder to split. fields: label, valence and arousal to the ending of the npy file (`<stem>_<ending>.npy`,
    an array without axes, numbers or text) or to the key in `<stem>.json`. A picture without label is a drop,
    `missing annotation`; a label without picture stays, its size null.
    """
    parts = [
        _split(tree, folder, split, form, fields, pictures, annotations)
        for folder, split in splits.items()
        if tree.has(f"{folder}/{annotations}/")
    ]
    rows = pl.concat(parts) if parts else pl.DataFrame(schema={"split": pl.String, "rel_path": pl.String})
    return Found(rows, (), tuple(notes))


def _split(
    tree: Tree, folder: str, split: str, form: str, fields: Mapping[str, str], pictures: str, annotations: str
) -> pl.DataFrame:
    """Return the rows of one split folder."""
    ending = f"_{fields['label']}.npy" if form == "npy" else ".json"
    stem = pl.col("rel_path").str.extract(r"([^/]*)$")
    shots = tree.files(f"{folder}/{pictures}").with_columns(stem=stem.str.replace(r"\.[^.]*$", ""))
    notes = tree.files(f"{folder}/{annotations}", suffixes=(f".{form}",)).select(stem=stem)
    notes = notes.filter(pl.col("stem").str.ends_with(ending)).with_columns(pl.col("stem").str.strip_suffix(ending))
    rows = shots.join(notes.with_columns(noted=pl.lit(True)), on="stem", how="full", coalesce=True)
    lost = pl.format(f"{folder}/{pictures}/{{}}.jpg", "stem")
    rows = rows.with_columns(split=pl.lit(split), rel_path=pl.coalesce("rel_path", lost)).sort("rel_path")
    reader = _npy if form == "npy" else _json
    marks = _marks(partial(reader, tree.root / folder / annotations, fields), rows)
    return rows.select("split", stem.alias("name"), "rel_path", "size").hstack(marks)


def _marks(read_one: Callable[[str], Mark], rows: pl.DataFrame) -> pl.DataFrame:
    stems = [stem if noted else None for stem, noted in rows.select("stem", "noted").iter_rows()]
    step = max(1, len(stems) // (THREADS * 4))
    chunks = [stems[at : at + step] for at in range(0, len(stems), step)]
    missing = Mark(None, None, None, "missing annotation")

    def work(chunk: list[str | None]) -> list[Mark]:
        return [missing if stem is None else read_one(stem) for stem in chunk]

    with ThreadPoolExecutor(THREADS) as pool:
        marks = [mark for part in pool.map(work, chunks) for mark in part]
    kinds = {"raw": pl.String, "valence": pl.Float64, "arousal": pl.Float64, "reason": pl.String, "detail": pl.String}
    return pl.DataFrame(marks, schema=kinds, orient="row")


def _npy(folder: Path, fields: Mapping[str, str], stem: str) -> Mark:
    def mood(word: str) -> float | None:
        try:
            return _mood(_scalar(folder / f"{stem}_{fields[word]}.npy")) if word in fields else None
        except Exception:  # numpy's parser of foreign bytes raises whatever Python has, SystemError included
            return None  # a row is good without it

    try:
        return Mark(_code(_scalar(folder / f"{stem}_{fields['label']}.npy")), mood("valence"), mood("arousal"))
    except FileNotFoundError as err:
        return Mark(None, None, None, "missing annotation", Path(err.filename).name)
    except Exception as err:  # as above
        return Mark(None, None, None, "malformed row", _said(err))


def _json(folder: Path, fields: Mapping[str, str], stem: str) -> Mark:
    try:
        data = orjson.loads(read_plain(folder / f"{stem}.json", MAX_BYTES))
        raw = data[fields["label"]]
        if isinstance(raw, bool) or not isinstance(raw, str | int | float):
            raise ValueError(f"{fields['label']} is {raw!r}")
        return Mark(_code(raw), _mood(data.get(fields.get("valence"))), _mood(data.get(fields.get("arousal"))))
    except KeyError:
        return Mark(None, None, None, "missing annotation", f"no key {fields['label']}")
    except (OSError, ValueError, TypeError, AttributeError) as err:
        return Mark(None, None, None, "malformed row", _said(err))


def _said(err: Exception) -> str:
    """Return what an exception says, without the path of this machine or an address in its memory."""
    text = err.strerror if isinstance(err, OSError) and err.strerror else str(err)
    return _text(re.sub(r" at 0x[0-9a-fA-F]+", "", text) or type(err).__name__)[:80]


def _text(text: str) -> str:
    """Return what UTF-8 can hold of a text: an array may hold half a character."""
    return text.encode("utf-8", "replace").decode()


def _code(value: object) -> str:
    """Return a label as the manifest writes it: whole numbers without a point."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return _text(text).strip().removesuffix(".0")


def _mood(value: object) -> float | None:
    """Return valence or arousal; None outside -1..1, where the release says "not given"."""
    if value is None:
        return None
    number = float(value)  # type: ignore[arg-type]
    if number != number:
        raise ValueError("not a number")
    return number if abs(number) <= 1 else None


def _scalar(path: Path) -> object:
    """Return the one value in an npy file; ValueError for anything else, pickled objects included."""
    data = read_plain(path, MAX_BYTES)
    kind, start = _header(data[: data.find(b"\n", 10) + 1])
    if len(data) - start < kind.itemsize:
        raise ValueError(f"{path.name} is cut short")
    return np.frombuffer(data, kind, 1, start)[0].item()


@lru_cache(maxsize=256)
def _header(data: bytes) -> tuple[np.dtype, int]:
    """Return element type and length in bytes of an npy header; the same few come again and again."""
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = reader(file)
    if kind.hasobject:
        raise ValueError("a pickled object, which is not read")
    if np.prod(shape) != 1:
        raise ValueError(f"an array of shape {shape}, not one value")
    return kind, file.tell()
