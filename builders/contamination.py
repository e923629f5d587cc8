"""Which training faces of a build show a picture of somebody else's: a benchmark, another dataset, a folder.

Stands beside the way of a face, behind the faces stage: what it built is held against pictures it never saw, by the
same search that keeps FERBench's pictures out of the training data.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from ferbuild.builders import compared, faces, known_faces, near, outside
from ferbuild.builders.alike import contaminated, search, verifier
from ferbuild.builders.build import Build
from ferbuild.builders.errors import FerError
from ferbuild.builders.files import write_bytes
from ferbuild.builders.known_faces import Faces, joined, ranked, taken
from ferbuild.builders.same import SAME_FROM
from ferbuild.builders.sheets import Captioned, write_pairs

OWN = "ferbench"
"""The name for all benchmark rows of the build itself."""
KINDS = ("file", "pixels", "near", "mirrored")
"""How a training face shows the other picture, the surest first."""
SAID = ("id", "source", "split", "rel_path", "label", "sha256")
"""What is read of the faces that were found."""
TABLE = ("id", "source", "split", "rel_path", "label", "other", "kind", "score")
SHARED = ("id", "sha256", "other_sha256", "kind", "score")
"""Columns of the list that may be passed on: no path, no label, no picture."""
SUFFIXES = (".csv", ".parquet")


@dataclass(frozen=True)
class Contamination:
    """Training faces that show a picture of the others, one row each."""

    rows: pl.DataFrame
    """TABLE and SHARED, `file` and `at` of both pictures."""
    training: int
    """Training faces that were looked at."""
    pictures: int
    """Pictures of the others."""
    unreadable: Mapping[str, int]
    known: Faces

    @property
    def kinds(self) -> dict[str, int]:
        """Return how many rows there are of each kind."""
        found = Counter(self.rows["kind"].to_list())
        return {kind: found[kind] for kind in KINDS}


def check(build: Build, against: str) -> Contamination:
    """Hold the training faces of the work folder against the pictures of `against`, OWN or a folder."""
    files = known_faces.built(build.settings.work / faces.FOLDER)
    limit = build.settings.recipe.picture.max_pixels
    own = known_faces.read(files, known_faces.sets_of(build.settings), limit)
    if against == OWN:
        names = _own_names(own, files)
        return _compared(build, own, files, names, {})
    build.began("pictures")
    other = outside.read(
        Path(against), max_pixels=limit, workers=build.settings.workers, tick=_ticking(build, "pictures")
    )
    return _compared(build, _beside(own, other, len(files)), files, other.names, other.unreadable)


def _ticking(build: Build, what: str) -> near.Tick:
    return partial(build.tick, what) if build.tick else lambda done, total: None


def _own_names(built: Faces, files: list[Path]) -> pl.DataFrame:
    """Return the names of the benchmark's rows, which stand first."""
    own = built.rows.filter(pl.col("set").is_not_null())
    if own.is_empty():
        raise FerError(OWN, "no benchmark row is at hand", "add a release with a benchmark split, or name a folder")
    return known_faces.look_up(files, own, ["id", "sha256"]).rename({"id": "name"})


def _beside(built: Faces, other: outside.Outside, files: int) -> Faces:
    """Return the training faces, with the other pictures in the place of the benchmark's."""
    mine = np.flatnonzero(built.training)
    theirs = other.rows.with_columns(
        pl.col("file") + files, set=pl.lit("outside", pl.Categorical()), area=-pl.col("id").cast(pl.Int64)
    )
    rows = pl.concat([built.rows[mine], theirs.select(built.rows.columns)])
    hashed = joined([taken(built.hashed, mine), other.hashed])

    def opener(file: int, at: int) -> bytes:
        return built.open(file, at) if file < files else other.open(file - files, at)

    return ranked(rows, hashed, opener, built.max_pixels)


def _compared(
    build: Build, known: Faces, files: list[Path], names: pl.DataFrame, unreadable: Mapping[str, int]
) -> Contamination:
    """Search, and say of every training face that was found what it shows, and how surely.

    names: of the others, which stand first, in their order.
    """
    build.began("contamination")
    pairs = search(known, workers=build.settings.workers, tick=_ticking(build, "contamination"))
    shown = contaminated(known, pairs, verifier(known))
    rows = np.flatnonzero(shown >= 0)
    mine, theirs = known.rows[rows], known.rows[shown[rows]]
    found = known_faces.look_up(files, mine, SAID).with_columns(
        mine["file"], mine["at"], theirs["file"].alias("other_file"), theirs["at"].alias("other_at"),
        other=names["name"].gather(shown[rows]), other_sha256=names["sha256"].gather(shown[rows]),
        same_file=mine["same_file"] == theirs["same_file"], same_pixels=mine["same_pixels"] == theirs["same_pixels"],
    )  # fmt: skip
    found = _with_kinds(found, *_scores(known, shown[rows], rows))
    training = int(known.training.sum())
    return Contamination(found.sort("id"), training, len(known) - training, unreadable, known)


def _scores(known: Faces, others: near.Ints, rows: near.Ints) -> tuple[pl.Series, pl.Series]:
    """Return the score of every pair as it is, and of the training face mirrored."""
    lots = [slice(start, start + near.LOT) for start in range(0, len(rows), near.LOT)]
    found = [
        compared.joined(
            compared.compare(others[lot], rows[lot], np.full(len(rows[lot]), flip), known.pictures) for lot in lots
        ).score
        for flip in (False, True)
    ]
    return pl.Series(found[0], dtype=pl.Float32), pl.Series(found[1], dtype=pl.Float32)


def _with_kinds(found: pl.DataFrame, plain: pl.Series, mirrored: pl.Series) -> pl.DataFrame:
    """Add `kind`, and `score` of what was compared: null where file or pixels are equal.

    It is null also where the face is near one that was cut out of the other's file, and not near the whole of it.
    """
    equal = pl.col("same_file").fill_null(False) | pl.col("same_pixels").fill_null(False)
    score = pl.max_horizontal("plain", "mirrored")
    kind = (
        pl.when(pl.col("same_file")).then(pl.lit("file"))
        .when(pl.col("same_pixels")).then(pl.lit("pixels"))
        .when((pl.col("mirrored") > pl.col("plain")) & (score >= SAME_FROM)).then(pl.lit("mirrored"))
        .otherwise(pl.lit("near"))
    )  # fmt: skip
    found = found.with_columns(plain.alias("plain"), mirrored.alias("mirrored"))
    return found.with_columns(kind=kind, score=pl.when(~equal & (score >= SAME_FROM)).then(score.round(3)))


def write_table(found: Contamination, path: Path, *, ids_only: bool = False) -> None:
    """Write what was found as CSV or Parquet, by the suffix; `ids_only`: what may be passed on of it."""
    check_suffix(path)
    rows = found.rows.select(SHARED if ids_only else TABLE)
    out = io.BytesIO()
    if path.suffix.lower() == ".csv":
        rows.write_csv(out)
    else:
        pq.write_table(rows.to_arrow(), out)
    write_bytes(path, out.getvalue())


def check_suffix(path: Path) -> None:
    """FerError where a table can be written in no form that the file's name asks for."""
    if path.suffix.lower() not in SUFFIXES:
        raise FerError(path, "a table is CSV or Parquet", "end the name in .csv or .parquet")


def write_sheet(found: Contamination, path: Path, most: int) -> None:
    """Write the first pairs side by side: the training face, and what it shows."""
    write_pairs((_pair(found.known, row) for row in found.rows.head(most).to_dicts()), path)


def _pair(known: Faces, row: Mapping[str, Any]) -> tuple[Captioned, Captioned]:
    score = "" if row["score"] is None else f" {row['score']:.2f}"
    mine = known.pixels(row["file"], row["at"])
    theirs = known.pixels(row["other_file"], row["other_at"])
    return (f"{row['source']}: {row['label']}", mine), (f"{row['kind']}{score}", theirs)


def first(found: Contamination, most: int) -> Iterator[dict[str, Any]]:
    """Yield the first rows of the table."""
    yield from found.rows.select(TABLE).head(most).to_dicts()
