"""Reads CK+: sequences of frames from neutral to the peak of an expression, with one label file a sequence.

A labelled sequence gives two rows, its peak and, unless turned off, its first frame as neutral.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from ferbuild.builders.errors import FerError
from ferbuild.builders.sources.listing import Found
from ferbuild.builders.sources.tree import Tree
from ferbuild.manifests.schema import Source

FRAME = r"^(?:.*/)?([^/_]+)/([^/_]+)/([^/]+)$"
"""Subject, sequence and file name at the end of an address."""


def read(
    tree: Tree,
    source: Source,
    *,
    rule: str,
    labels: Mapping[str, str] | None,
    frames: Sequence[str],
    emotions: Sequence[str],
    neutral: str | None = "0",
    split: str = "train",
) -> Found:
    """Return the peak and the first frame of every labelled sequence; one without a label is one drop.

    frames, emotions: patterns of the folders that hold `<subject>/<sequence>/…`.
    neutral: what the release would write for neutral, given to the first frames; null leaves them out.
    FerError where there is no label file at all.
    """
    pictures = _parts(tree.files(*frames)).sort("sequence", "name")
    files = _parts(tree.files(*emotions, suffixes=(".txt",))).filter(pl.col("size").is_not_null())
    files = files.sort("sequence", "name")
    if files.is_empty():
        raise FerError(tree.root, "no emotion file", f"looked below {', '.join(emotions)}")
    peaks = _peaks(tree, files, pictures)
    parts = [peaks, _unlabelled(pictures, files)]
    if neutral is not None:
        parts.append(_first_frames(pictures, peaks).with_columns(raw=pl.lit(neutral)))
    rows = pl.concat(parts, how="diagonal").with_columns(split=pl.lit(split)).sort("rel_path")
    return Found(rows.drop("sequence"), tuple(files["rel_path"]))


def _parts(files: pl.DataFrame) -> pl.DataFrame:
    """Return `files` with the sequence, as subject/number, and the name of each; others are left out."""
    part = pl.col("rel_path").str.extract_groups(FRAME)
    found = files.with_columns(
        sequence=pl.concat_str(part.struct[0], part.struct[1], separator="/"), name=part.struct[2]
    )
    return found.filter(pl.col("sequence").is_not_null())


def _peaks(tree: Tree, files: pl.DataFrame, pictures: pl.DataFrame) -> pl.DataFrame:
    """Return the peak frame of each label file, with the label as an id.

    The file is named after its frame, the last of the sequence; where that picture is missing the row stays, with the
    address it should have.
    """
    raw = pl.Series([parse_emotion(tree.text(path)) for path in files["rel_path"]], dtype=pl.String)
    frame = pl.col("name").str.strip_suffix(".txt").str.strip_suffix("_emotion")
    rows = files.select("sequence", "rel_path", raw=raw, frame=frame)
    stem = pl.col("name").str.replace(r"\.[^.]*$", "")
    there = pictures.select("sequence", "name", "size", frame=stem, picture="rel_path")
    rows = rows.join(there, on=["sequence", "frame"], how="left", maintain_order="left")
    home = pictures.group_by("sequence").agg(home=pl.col("rel_path").first().str.replace(r"[^/]*$", ""))
    rows = rows.join(home, on="sequence", how="left", maintain_order="left")
    bad = pl.col("raw").is_null()
    return rows.select(
        "sequence",
        "raw",
        "size",
        rel_path=pl.coalesce("picture", pl.format("{}{}.png", pl.coalesce("home", pl.lit("")), "frame")),
        name=pl.coalesce("name", pl.format("{}.png", "frame")),
        reason=pl.when(bad).then(pl.lit("malformed row")),
        detail=pl.when(bad).then(pl.format("{} holds no number", "rel_path")),
    )


def _first_frames(pictures: pl.DataFrame, peaks: pl.DataFrame) -> pl.DataFrame:
    """Return the first frame of each well-labelled sequence, where it is not the peak itself."""
    labelled = peaks.filter(pl.col("reason").is_null())
    first = pictures.unique("sequence", keep="first", maintain_order=True)
    first = first.filter(pl.col("sequence").is_in(labelled["sequence"].unique().implode()))
    return first.join(labelled.select("rel_path"), on="rel_path", how="anti", maintain_order="left")


def _unlabelled(pictures: pl.DataFrame, files: pl.DataFrame) -> pl.DataFrame:
    """Return the last frame of each sequence without a label file, as a drop."""
    last = pictures.unique("sequence", keep="last", maintain_order=True)
    return last.join(files.select("sequence").unique(), on="sequence", how="anti").with_columns(
        reason=pl.lit("no emotion label")
    )


def parse_emotion(text: bytes) -> str | None:
    """Return the id that a label file holds, as in `   3.0000000e+00`; None where it is no whole number."""
    try:
        value = float(text)
    except ValueError:
        return None
    return str(int(value)) if value.is_integer() else None
