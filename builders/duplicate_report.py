"""What a build found to be one photograph: the groups, those whose labels disagree, and what a benchmark shows too.

Stands beside the way of a face and reads what the faces stage wrote: the faces that it kept, and its drops.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from ferbuild.builders import faces, images, known_faces, shards
from ferbuild.builders.build import Build
from ferbuild.builders.clusters import clusters
from ferbuild.builders.config import Settings
from ferbuild.builders.duplicates import DISAGREE, EXACT, NEAR, SHOWN
from ferbuild.builders.facing import open_picture
from ferbuild.builders.images import Pixels
from ferbuild.builders.known_faces import bits
from ferbuild.builders.sheets import write_pairs

LARGEST = 10
"""Groups that the report names by size."""
ROW = ("id", "source", "split", "rel_path", "label")
REASONS = (EXACT, NEAR, DISAGREE)


@dataclass(frozen=True)
class Duplicates:
    """Rows that show one photograph with another one, and training rows that a benchmark shows."""

    members: pl.DataFrame
    """ROW, `canonical`, `reason` (null: kept), `other` (the id it was dropped for, or that stands for it), `how`
    (EXACT, NEAR; null for the one that stands, and where a drop does not tell), `group` (number) and `size`."""
    contaminating: pl.DataFrame
    """ROW, `set` and `other`: training rows that were dropped for a benchmark's row."""
    kept: int
    """Faces that were kept, in groups or not."""

    @property
    def groups(self) -> pl.DataFrame:
        """Return one row a group, the largest first: `size`, `kept`, `labels`, `sources`, `id` of its first."""
        words = pl.col("source").unique().sort()
        found = self.members.group_by("group", maintain_order=True).agg(
            pl.first("id"), pl.first("size"), kept=pl.col("reason").is_null().sum(),
            labels=pl.col("canonical").n_unique(), sources=words.cast(pl.String).str.join(" + "),
        )  # fmt: skip
        return found.sort("size", "id", descending=[True, False])


def read(build: Build) -> Duplicates:
    """Return what the faces stage found. FerError where there are no faces."""
    folder = build.settings.work / faces.FOLDER
    files = known_faces.built(folder)
    drops = pl.concat([pl.DataFrame(pl.from_arrow(table)) for table in shards.read_drops(folder)])
    shown = drops.filter(pl.col("reason").str.starts_with(SHOWN))
    contaminating = shown.select(*ROW, set=pl.col("reason").str.strip_prefix(SHOWN), other="detail")
    gone = drops.filter(pl.col("reason").is_in(REASONS)).select(*ROW, "reason", other="detail")
    gone = gone.join(_canonical(build.settings), on=["source", "label"], how="left", maintain_order="left")
    gone = gone.with_columns(pl.col("canonical").fill_null(pl.col("label")), how=_how())
    kept, count = _kept(files, gone["other"])
    return Duplicates(_grouped(pl.concat([kept, gone.select(kept.columns)])), contaminating, count)


def _how() -> pl.Expr:
    """Return how a dropped row was told: a row whose label disagrees does not say."""
    return pl.when(pl.col("reason") != DISAGREE).then("reason")


def _kept(files: Sequence[Path], named: pl.Series) -> tuple[pl.DataFrame, int]:
    """Return the kept faces that share a group with another one or that a drop names, and the number of all."""
    tables = [shards.read_stream(path).select(["id", "group_id"]) for path in files]
    places = pl.concat(
        pl.DataFrame(pl.from_arrow(table)).select(
            bits("id"), bits("group_id"), file=pl.lit(at, pl.UInt32), at=pl.int_range(pl.len(), dtype=pl.UInt32)
        )
        for at, table in enumerate(tables)
    )
    apart = pl.col("id") != pl.col("group_id")
    standing = pl.concat([places.filter(apart)["group_id"], named.to_frame().select(bits(named.name)).to_series()])
    some = places.filter(apart | pl.col("id").is_in(standing.implode()))
    rows = known_faces.look_up(files, some, [*ROW, "canonical", "pixel_hash", "group_id"])
    first = rows.select(group_id="id", first_hash="pixel_hash")
    rows = rows.join(first, on="group_id", how="left", maintain_order="left")
    alike = pl.when(pl.col("pixel_hash") == pl.col("first_hash")).then(pl.lit(EXACT)).otherwise(pl.lit(NEAR))
    how = pl.when(pl.col("id") != pl.col("group_id")).then(alike)
    kept = rows.select(*ROW, "canonical", reason=pl.lit(None, pl.String), other="group_id", how=how)
    return kept, places.height


def _canonical(settings: Settings) -> pl.DataFrame:
    """Return the canonical word of every source's own words: a drop bears the source's."""
    sources = [release.source for release in settings.releases]
    rows = [(one.name, word, one.canonical.get(word, word)) for one in sources for word in one.candidates]
    return pl.DataFrame(rows, schema=dict.fromkeys(("source", "label", "canonical"), pl.String()), orient="row")


def _grouped(members: pl.DataFrame) -> pl.DataFrame:
    """Return the members of groups of two and more, with `group` and `size`; the one that stands comes first.

    The rows of a group hang together by the ids they name, whatever became of these.
    """
    numbers = members.select("id").with_row_index("at").unique("id")
    found = members.select("other").join(numbers, left_on="other", right_on="id", how="left", maintain_order="left")
    own = np.arange(members.height)
    at = found["at"].cast(pl.Int64).to_numpy()
    other = own if not len(at) else np.where(found["at"].is_null().to_numpy(), own, np.nan_to_num(at).astype(np.int64))
    part = clusters(len(own), own, other)
    rows = members.with_columns(group=pl.Series(part, dtype=pl.UInt32)).with_columns(size=pl.len().over("group"))
    stands = pl.col("reason").is_null() & pl.col("how").is_null()
    return rows.filter(pl.col("size") > 1).sort("group", ~stands, "id")


def as_json(found: Duplicates) -> dict[str, Any]:
    """Return the whole report as one object."""
    groups = found.groups
    disagreeing = groups.filter(pl.col("labels") > 1)
    return {
        "stage": "duplicates",
        "faces": found.kept,
        "groups": groups.height,
        "rows": found.members.height,
        "kept": int(groups["kept"].sum()),
        "dropped": counts(found.members.drop_nulls("reason")["reason"]),
        "how": counts(found.members["how"].drop_nulls()),
        "sizes": {str(size): count for size, count in groups["size"].value_counts().sort("size").iter_rows()},
        "sources": counts(groups["sources"]),
        "largest": [members_of(found, group) for group in groups.head(LARGEST)["group"]],
        "disagreeing": [members_of(found, group) for group in disagreeing["group"]],
        "contaminations": contaminations(found),
    }


def counts(values: pl.Series) -> dict[str, int]:
    """Return how often each value occurs, the most frequent first."""
    found = values.alias("value").value_counts().sort("count", "value", descending=[True, False])
    return dict(found.iter_rows())


def members_of(found: Duplicates, group: int) -> list[dict[str, Any]]:
    """Return the rows of a group, the one that stands for it first."""
    numbers = found.members["group"]
    rows = slice(numbers.search_sorted(group, "left"), numbers.search_sorted(group, "right"))
    return found.members[rows].select(*ROW, "reason", "how").to_dicts()


def contaminations(found: Duplicates) -> dict[str, dict[str, int]]:
    """Return, for every benchmark set, how many training rows of each source show a picture of it."""
    rows = found.contaminating.group_by("set", "source").len().sort("set", "source")
    out: dict[str, dict[str, int]] = {}
    for name, source, count in rows.iter_rows():
        out.setdefault(name, {})[source] = count
    return out


def pairs(found: Duplicates, most: int) -> list[Mapping[str, str]]:
    """Return the first pairs to look at, as `id`, `other` and `how`: those least sure first."""
    rank = {DISAGREE: 0, NEAR: 1, EXACT: 3}
    members = found.members.with_columns(how=pl.coalesce("reason", "how")).filter(
        pl.col("how").is_not_null(), pl.col("id") != pl.col("other")
    )
    shown = found.contaminating.select("id", "other", how=pl.lit(SHOWN) + pl.col("set"))
    both = pl.concat([members.select("id", "other", "how"), shown])
    order = pl.col("how").replace_strict(rank, default=2, return_dtype=pl.Int8)
    return [dict(row) for row in both.filter(pl.col("other") != "").sort(order, "id").head(most).to_dicts()]


def write_sheet(build: Build, found: Duplicates, path: Path, most: int) -> int:
    """Write the first pairs side by side and return how many: those whose pictures are still there."""
    asked = pairs(found, most)
    pictures = pictures_of(build, {one[name] for one in asked for name in ("id", "other")})
    told = [
        ((one["how"].removeprefix("contaminates:"), pictures[one["id"]]), ("", pictures[one["other"]]))
        for one in asked
        if one["id"] in pictures and one["other"] in pictures
    ]
    if told:
        write_pairs(told, path)
    return len(told)


def pictures_of(build: Build, ids: set[str]) -> dict[str, Pixels]:
    """Return the pictures of some rows by id: of kept ones from the faces, of dropped ones from their releases."""
    policy = build.settings.recipe.picture
    found = dict[str, Pixels]()
    for file in known_faces.built(build.settings.work / faces.FOLDER):
        table = shards.read_stream(file)
        for row in table.filter(pc.is_in(table["id"], pa.array(sorted(ids)))).select(["id", "image"]).to_pylist():
            found[row["id"]] = images.decode(row["image"]["bytes"], max_pixels=policy.max_pixels)
    missing = pa.array(sorted(ids - set(found)), pa.string())
    for listing in build.listings if len(missing) else ():
        for row in listing.rows.filter(pc.is_in(listing.rows["id"], missing)).to_pylist():
            with suppress(images.PictureError):
                data = open_picture(row, listing.base)
                pixels = images.decode(data, max_pixels=policy.max_pixels)
                box = row["box"] if listing.crop == "box" else None
                found[row["id"]] = images.cut(data, pixels, box, policy).pixels
    return found
