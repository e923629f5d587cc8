"""Turns what a reader found in a release into the listing all stages start from.

It stands between the readers and everything else: words for labels, ids, sizes, licence and the counted drops
are decided here, once, for every source.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pyarrow as pa
import xxhash

from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.builders.record import DROPS, LISTED, SPLITS, face_id
from ferbuild.builders.sources.tree import UNSAFE, Tree
from ferbuild.manifests.load import check, read_yaml
from ferbuild.manifests.schema import Crop, Layout, Source, Strict

FOUND: dict[str, Any] = {
    "split": pl.String,
    "name": pl.String,
    "rel_path": pl.String,
    "size": pl.Int64,  # bytes; null: no such file
    "raw": pl.String,  # what the release writes; the source's label table reads it
    "label": pl.String,  # the source's own word, where the reader decides it (votes)
    "votes": pl.List(pl.Int32),
    "valence": pl.Float32,
    "arousal": pl.Float32,
    "box": pl.List(pl.Float32),  # x0 y0 x1 y1, pixels
    "units": pl.List(pl.Struct({"unit": pl.String, "side": pl.String, "intensity": pl.Float32})),
    "reason": pl.String,  # not null: a drop
    "detail": pl.String,
}
"""The columns of `Found.rows`. Only `split`, `name` and `rel_path` must be there; without `size` the files are
asked."""


class Found(NamedTuple):
    """What a reader found: one row a picture or label line, kept and dropped alike."""

    rows: pl.DataFrame
    label_files: tuple[str, ...] = ()
    """Addresses of the files the labels were read from."""
    notes: tuple[str, ...] = ()
    """Sentences the user should see."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A source as it lies on disk: `rows` in the schema LISTED, `drops` in DROPS, in the reader's order."""

    source: Source
    base: Path
    layout: str
    rule: str
    rows: pa.Table
    drops: pa.Table
    notes: tuple[str, ...]
    digest: str
    """sha256 over label files, picture addresses and sizes, labels and options; no absolute path, no time."""
    crop: Crop = "as_is"
    """What of a picture is the face."""


class Mixup(Strict):
    """How another release is known that is easily taken for this one, and what to tell the user then."""

    problem: str
    hint: str = ""
    names: str = r"^$"
    """Pattern of the other's file names; more than half of them make it the other."""
    labels: tuple[str, ...] = ()
    """Labels only the other has; more than a fifth of the rows make it the other: a few are no mix-up but drops."""


class Release(Strict):
    """A `RELEASE.yaml` in a release: what it says of all its pictures."""

    synthetic: bool = False
    licence: str = ""
    about: str = ""


def finish(
    tree: Tree, source: Source, found: Found, *, layout: Layout, rule: str, labels: Mapping[str, str] | None
) -> Listing:
    """Return the listing of what a reader found; FerError where not a single row can be kept, unless units are known.

    Coded pictures without a label are of use to measure against: there a listing of drops alone is no mistake.
    """
    release = _release(tree)
    rows = _judge(_complete(tree, found.rows, source.name), source, labels)
    kept = rows.filter(pl.col("reason").is_null())
    dropped = pl.concat([rows.filter(pl.col("reason").is_not_null()), _faults(tree, source.name)], how="diagonal")
    if kept.is_empty() and rows["units"].is_null().all():
        raise FerError(tree.root, f"layout {layout.name!r} of {source.title} holds no usable row", _why(dropped))
    licence = release.licence or source.licence.name
    table = dict(labels or source.labels)
    options: list[Any] = [source.name, layout.model_dump(), rule, table, source.canonical, source.not_labels]
    options += [
        source.benchmark.model_dump() if source.benchmark else None,
        source.crop,
        licence,
        release.synthetic,
        [tree.sha256(path) for path in sorted(found.label_files)],
    ]
    return Listing(
        source=source,
        base=tree.root,
        layout=layout.name,
        rule=rule,
        rows=_listed(kept, source, rule, licence, synthetic=release.synthetic),
        drops=_arrow(dropped.with_columns(label=pl.coalesce("label", "raw", pl.lit(""))), DROPS, fill=""),
        notes=(*found.notes, *tree.notes()),
        digest=_digest(kept, dropped, options),
        crop=layout.crop or source.crop,
    )


def refuse(rows: pl.DataFrame, where: object, mixup: Mixup) -> None:
    """Raise FerError where `rows` (`name`, `raw`) are another release's."""
    alien = rows.select(
        pl.col("name").fill_null("").str.contains(mixup.names).sum().alias("names"),
        pl.col("raw").is_in(list(mixup.labels)).sum().alias("labels"),
    ).row(0)
    if alien[0] * 2 > rows.height or alien[1] * 5 > rows.height:
        raise FerError(where, mixup.problem, mixup.hint)


def _complete(tree: Tree, rows: pl.DataFrame, source: str) -> pl.DataFrame:
    """Return `rows` with all columns of FOUND, the sizes filled in, and the ids."""
    if "size" not in rows.columns:
        rows = rows.with_columns(size=tree.sizes(rows["rel_path"].fill_null("")))
    missing = [pl.lit(None, dtype=kind).alias(name) for name, kind in FOUND.items() if name not in rows.columns]
    rows = rows.with_columns(missing).select(pl.col(name).cast(kind) for name, kind in FOUND.items())
    whole = (pl.col("box").list.len() == 4) & ~pl.col("box").list.contains(None, nulls_equal=True)
    rows = rows.with_columns(pl.col("split", "name", "rel_path").fill_null(""), box=pl.when(whole).then("box"))
    return rows.with_columns(_ids(rows, source), source=pl.lit(source))


def _ids(rows: pl.DataFrame, source: str) -> pl.Series:
    """Return `record.face_id` of every row; whole numbers, which all releases use, are written columnar."""
    corner = [pl.col("box").list.get(at, null_on_oob=True) for at in range(4)]
    whole = pl.all_horizontal(*((x == x.floor()) & (x.abs() < 100_000) for x in corner))
    spot = pl.concat_str([x.cast(pl.Int64, strict=False).cast(pl.String) for x in corner], separator=",")
    key = pl.concat_str(pl.lit(f"{source}\0"), "rel_path", pl.lit("\0"), spot.fill_null(""))
    odd = rows.select((pl.col("box").is_not_null() & ~whole.fill_null(False)).arg_true()).to_series()
    ids = [xxhash.xxh3_64_hexdigest(text) for text in rows.select(key.cast(pl.Binary)).to_series().to_list()]
    for at in odd:
        ids[at] = face_id(source, rows["rel_path"][at], rows["box"][at].to_list())
    return pl.Series("id", ids, dtype=pl.String)


def _judge(rows: pl.DataFrame, source: Source, labels: Mapping[str, str] | None) -> pl.DataFrame:
    """Decide label and drop reason of every row; a reason the reader gave stays."""
    table = {key.strip().casefold(): word for key, word in (labels or source.labels).items()}
    if strange := sorted(set(table.values()) - set(source.candidates)):
        hint = did_you_mean(strange[0], source.candidates)
        raise FerError(source.name, f"the label table gives {strange[0]!r}, which is no candidate", hint)
    none = {key.casefold(): reason for key, reason in source.not_labels.items()}
    raw = pl.col("raw").str.strip_chars().str.to_lowercase()
    rows = rows.with_columns(
        label=pl.coalesce("label", raw.replace_strict(table, default=None, return_dtype=pl.String)),
        none=raw.replace_strict(none, default=None, return_dtype=pl.String) if none else pl.lit(None, pl.String),
    )
    reason = (
        pl.when(pl.col("reason").is_not_null()).then(pl.col("reason"))
        .when(pl.col("rel_path").str.contains(UNSAFE)).then(pl.lit("path leaves the release"))
        .when(pl.col("label").is_null()).then(pl.coalesce("none", pl.lit("label outside the table")))
        .when(~pl.col("label").is_in(source.candidates)).then(pl.lit("label outside the table"))
    )  # fmt: skip
    rows = rows.with_columns(reason=reason, detail=pl.coalesce("detail", pl.lit("")))
    return _once(_known_splits(rows, source), source)


def _known_splits(rows: pl.DataFrame, source: Source) -> pl.DataFrame:
    """Return `rows`; FerError where a kept row's split has a name that no stage would look for."""
    strange = set(rows.filter(pl.col("reason").is_null())["split"]) - set(SPLITS)
    if strange:
        hint = f"map it to one of {', '.join(SPLITS)} in the layout's options"
        raise FerError(source.name, f"a layout gives the split {sorted(strange)[0]!r}", hint)
    return rows


def _once(rows: pl.DataFrame, source: Source) -> pl.DataFrame:
    """Drop what was listed before, and from the training splits every picture that the benchmark split shows."""
    good = pl.col("reason").is_null()
    mark = source.benchmark
    if mark is not None:
        shown = rows.filter(good & (pl.col("split") == mark.split))["rel_path"].unique()
        leaks = good & (pl.col("split") != mark.split) & pl.col("rel_path").is_in(shown.implode())
        leak = pl.lit(f"contaminates:ferbench/{mark.set}")
        rows = rows.with_columns(reason=pl.when(leaks).then(leak).otherwise("reason"))
    again = good & ~pl.struct("id", "reason").is_first_distinct()
    return rows.with_columns(reason=pl.when(again).then(pl.lit("duplicate row")).otherwise("reason"))


def _listed(rows: pl.DataFrame, source: Source, rule: str, licence: str, *, synthetic: bool) -> pa.Table:
    own = pl.col("label")
    rows = rows.with_columns(
        canonical=own.replace(source.canonical) if source.canonical else own,
        label_rule=pl.lit(rule),
        licence=pl.lit(licence),
        synthetic=pl.lit(synthetic),
    )
    return _arrow(rows, LISTED)


def _arrow(rows: pl.DataFrame, schema: pa.Schema, fill: str | None = None) -> pa.Table:
    rows = rows.select(schema.names)
    if fill is not None:
        rows = rows.fill_null(fill)
    return rows.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(schema)


def _faults(tree: Tree, source: str) -> pl.DataFrame:
    """Return what the walk over the tree could not take, as dropped rows."""
    rows = [
        {"id": face_id(source, path, None), "source": source, "split": "", "rel_path": path, "reason": reason,
         "detail": detail}
        for path, (reason, detail) in sorted(tree.faults.items())
    ]  # fmt: skip
    names = ("id", "source", "split", "rel_path", "reason", "detail")
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String))


def _why(dropped: pl.DataFrame) -> str:
    if dropped.is_empty():
        return "its label files and folders are empty"
    counts = dropped["reason"].value_counts().sort("count", "reason", descending=[True, False])
    return "dropped: " + ", ".join(f"{count} × {reason}" for reason, count in counts.iter_rows())


def _release(tree: Tree) -> Release:
    path = tree.root / "RELEASE.yaml"
    return check(read_yaml(path), Release, path) if path.is_file() else Release()


def _digest(kept: pl.DataFrame, dropped: pl.DataFrame, options: list[Any]) -> str:
    """Return the sha256 of everything the listing depends on, in an order that nothing but its content sets.

    The ids stand for source, address and box.
    """
    total = hashlib.sha256(json.dumps(options, sort_keys=True).encode())
    for rows in (kept, dropped):
        for name in ("id", "split", "label", "reason"):
            total.update((rows[name].fill_null("\0").str.join("\n").item() or "").encode())
        for name in ("size", "valence", "arousal"):
            total.update(rows[name].cast(pl.Float64).fill_null(-9.0).to_numpy().tobytes())
        votes = rows.filter(pl.col("votes").is_not_null()).select("id", pl.col("votes").cast(pl.List(pl.String)))
        total.update(votes.select("id", pl.col("votes").list.join(",")).write_csv().encode())
    return total.hexdigest()
