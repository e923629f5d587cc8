"""The first stage: listed rows become faces, decoded, cut out and hashed, or drops with a reason."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from ferbuild.builders import images
from ferbuild.builders.build import Build
from ferbuild.builders.columns import own_copy
from ferbuild.builders.mark import Report
from ferbuild.builders.record import FACES, Batch, Row, drop, drops_table
from ferbuild.builders.sources.plain import TooLargeError
from ferbuild.builders.sources.tree import read_picture
from ferbuild.builders.stage import PART_ROWS, Job, Plan
from ferbuild.filters import bind, face
from ferbuild.manifests.schema import Picture, Recipe

VERSION = 1
FOLDER = "faces"
ABOUT = "Faces from facial-expression releases, decoded, cut out and hashed; one row a face."


class Shown(NamedTuple):
    """A benchmark row, by its set and id, and the bytes of its file."""

    set: str
    id: str
    size: int


class Listed(NamedTuple):
    """Some listed rows of one release."""

    base: Path
    cut: bool
    benchmark: str | None
    """The split that belongs to FERBench."""
    shown: Mapping[str, Shown]
    """Of the benchmark's pictures those that one of the rows may copy: sha256 of the file to the row."""
    rows: pa.Table


def plan(build: Build) -> Plan:
    """Return what the faces stage would make of the releases now."""
    recipe = build.settings.recipe
    return Plan(
        stage="faces",
        version=VERSION,
        out=build.settings.work / FOLDER,
        about=ABOUT,
        schema=FACES,
        options={
            "picture": recipe.picture.model_dump(),
            "crop": [listing.crop for listing in build.listings],
            "checks": recipe.face_checks,
            "limit": build.settings.limit,
        },
        inputs=build.digests,
        shard_bytes=recipe.shard_bytes,
    )


def run(build: Build) -> Report:
    """Bring the faces up to date and return what was done."""
    bind.bind(face, build.settings.recipe.face_checks)
    work = partial(face_batch, recipe=build.settings.recipe)
    return build.bring_up_to_date(
        plan(build), lambda: _jobs(build), work, early=lambda: build.listed_drops(build.listings)
    )


def _jobs(build: Build) -> list[Job]:
    jobs = []
    shown = _shown(build)
    for listing in build.listings:
        mark = listing.source.benchmark
        rows = build.chosen(listing.rows)
        for start in range(0, rows.num_rows, PART_ROWS):
            piece = own_copy(rows, start, PART_ROWS)
            sizes = set(piece["size"].to_pylist())
            near = {sha: row for sha, row in shown.items() if row.size in sizes}
            work = Listed(listing.base, listing.crop == "box", mark.split if mark else None, near, piece)
            jobs.append(Job(piece.num_rows, work))
    return jobs


def _shown(build: Build) -> dict[str, Shown]:
    """Return every benchmark picture that can be read, by the sha256 of its file."""
    found = {}
    for listing in build.listings:
        mark = listing.source.benchmark
        rows = listing.rows.select(["id", "split", "rel_path", "size"]).to_pylist() if mark else []
        for row in rows:
            if mark and row["split"] == mark.split:
                with suppress(images.PictureError):
                    sha = hashlib.sha256(open_picture(row, listing.base)).hexdigest()
                    found[sha] = Shown(mark.set, row["id"], row["size"])
    return found


def face_batch(job: Listed, *, recipe: Recipe) -> Batch:
    """Open every picture of a job. A benchmark row is kept whatever its picture is like: it is a finding there."""
    checks = bind.bind(face, recipe.face_checks)
    kept: dict[str, list[dict[str, Any]]] = {}
    drops, findings = [], dict[str, int]()
    for row in job.rows.to_pylist():
        safe = row["split"] == job.benchmark
        fault: tuple[str, str] | None
        try:
            made = make_face(row, job.base, recipe.picture, cut=job.cut)
            fault = None if safe else _copied(made, job.shown) or bind.first_failing(checks, made)
        except images.PictureError as err:
            made, fault = _pictureless(row), (err.reason, err.detail)
        if fault and safe:
            findings[fault[0]] = findings.get(fault[0], 0) + 1
        elif fault:
            drops.append(drop(row, *fault))
            continue
        kept.setdefault(row["split"], []).append(made)
    tables = {split: pa.Table.from_pylist(rows, schema=FACES) for split, rows in kept.items()}
    return Batch(tables, drops_table(drops), findings)


def _copied(face: Row, shown: Mapping[str, Shown]) -> tuple[str, str] | None:
    """Return the drop reason of a training picture that is, byte for byte, a benchmark picture."""
    row = shown.get(face["sha256"])
    return (f"contaminates:ferbench/{row.set}", row.id) if row else None


def make_face(row: Row, base: Path, policy: Picture, *, cut: bool) -> dict[str, Any]:
    """Return the FACES row of a listed row. Raises images.PictureError."""
    data = open_picture(row, base)
    pixels = images.decode(data, max_pixels=policy.max_pixels)
    face_cut = images.cut(data, pixels, row["box"] if cut else None, policy)
    height, width = face_cut.pixels.shape[:2]
    return {
        **_pictureless(row),
        "image": {"bytes": face_cut.data, "path": f"{row['id']}{face_cut.suffix}"},
        "width": width,
        "height": height,
        "sha256": hashlib.sha256(data).hexdigest(),
        "pixel_hash": images.pixel_hash(face_cut.pixels),
        "crop": face_cut.crop,
    }


def open_picture(row: Row, base: Path) -> bytes:
    """Return the bytes of a listed row's picture. Raises images.PictureError."""
    if row["size"] is None:
        raise images.PictureError("missing picture")
    try:
        return read_picture(base, row["rel_path"])
    except FileNotFoundError:
        raise images.PictureError("missing picture", "it was there when the release was listed") from None
    except TooLargeError as err:
        raise images.PictureError("file too large", str(err)) from None
    except (OSError, KeyError, ValueError) as err:
        raise images.PictureError("unreadable", images.describe(err)) from None


def _pictureless(row: Row) -> dict[str, Any]:
    return {name: row.get(name) for name in FACES.names}
