"""Detection, the face mesh and its measures for the training faces; runs only for what needs it.

The measures lie in a dataset of their own, joined by `id`: the pictures are not written a second time, and
another detector makes only this stage stale.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import cv2
import pyarrow as pa

from ferbuild.builders import faces, shards, training_rows
from ferbuild.builders.assets import fetch
from ferbuild.builders.build import Build
from ferbuild.builders.errors import FerError
from ferbuild.builders.files import file_sha256
from ferbuild.builders.images import PictureError
from ferbuild.builders.mark import Report
from ferbuild.builders.measures import MEASURES, Models, load_models, measure_picture
from ferbuild.builders.record import DROPS, Batch
from ferbuild.builders.shards import Slice
from ferbuild.builders.stage import Plan
from ferbuild.builders.training_rows import Pairs
from ferbuild.manifests import load

VERSION = 1
FOLDER = "measures"
ABOUT = "Detector and face-mesh measures of the training faces, joined to `faces` by `id`."
WEIGHTS = ("centerface", "face_mesh")


def plan(build: Build) -> Plan:
    """Return what the measure stage would make of the faces now."""
    local = build.settings.models
    weights = {name: file_sha256(local[name]) if name in local else load.load_asset(name).sha256 for name in WEIGHTS}
    return Plan(
        stage="measure",
        version=VERSION,
        out=build.settings.work / FOLDER,
        about=ABOUT,
        schema=MEASURES,
        options={"weights": weights},
        inputs=[faces.plan(build).key],
        shard_bytes=build.settings.recipe.shard_bytes,
    )


def run(build: Build) -> Report:
    """Bring the faces, then their measures, up to date and return what was done."""
    upstream = faces.run(build)
    jobs = partial(training_rows.jobs, upstream.out, build.benchmarks)
    work = partial(measure_batch, weights=tuple(_weights(build).items()), benchmarks=build.benchmarks)
    return build.bring_up_to_date(plan(build), jobs, work)


def measure_batch(piece: Slice, *, weights: tuple[tuple[str, Path], ...], benchmarks: Pairs) -> Batch:
    """Measure every face of a slice. None is dropped: a face that is not found has null measures."""
    models = _models(weights)
    table = training_rows.read(piece, benchmarks)
    pictures = zip(table["id"].to_pylist(), table["image"].to_pylist(), strict=True)
    try:
        rows = [{"id": name} | measure_picture(picture["bytes"], models) for name, picture in pictures]
    except PictureError as err:
        hint = "its bytes were changed on disk: delete the folder and run `fer-build faces` again"
        raise FerError(piece.path, f"holds a picture that no longer decodes ({err.reason})", hint) from None
    return Batch({piece.split: pa.Table.from_pylist(rows, schema=MEASURES)}, DROPS.empty_table())


def read_measures(folder: Path, key: str, split: str, ids: Iterable[str]) -> Mapping[str, Mapping[str, Any]]:
    """Return the measures of some faces of a split by id, without it, from the folder that the stage `key` made."""
    wanted = set(ids)
    table, places = _indexed(folder, key, split)
    found = sorted(places[name] for name in wanted if name in places)
    return {row.pop("id"): row for row in table.take(pa.array(found, pa.int64())).to_pylist()}


@cache
def _indexed(folder: Path, key: str, split: str) -> tuple[pa.Table, dict[str, int]]:
    """Return the measures of a split and where each id stands; read once a process."""
    files = shards.split_files(folder).get(split, [])
    tables = [shards.read_stream(path) for path in files]
    table = pa.concat_tables(tables) if tables else MEASURES.empty_table()
    return table, {name: at for at, name in enumerate(table["id"].to_pylist())}


@cache
def _models(weights: tuple[tuple[str, Path], ...]) -> Models:
    """Return the nets, opened once a process; each process runs them on one thread."""
    cv2.setNumThreads(1)
    return load_models(dict(weights))


def _weights(build: Build) -> dict[str, Path]:
    return {name: fetch(name, local=build.settings.models.get(name)) for name in WEIGHTS}
