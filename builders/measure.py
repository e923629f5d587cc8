"""Detection, the face mesh and its measures for the training faces; runs only for what needs it.

The measures lie in a dataset of their own, joined by `id`: the pictures are not written a second time, and
another detector makes only this stage stale.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from ferbuild.builders import faces, nets, shards, training_rows
from ferbuild.builders.build import Build
from ferbuild.builders.errors import FerError
from ferbuild.builders.images import PictureError, Pixels, decode, describe
from ferbuild.builders.looking import FAILED
from ferbuild.builders.mark import Report
from ferbuild.builders.measures import MEASURES, Models, measure_pixels
from ferbuild.builders.nets import Nets
from ferbuild.builders.record import DROPS, Batch
from ferbuild.builders.shards import Slice
from ferbuild.builders.stage import Plan
from ferbuild.builders.training_rows import Pairs
from ferbuild.filters.units import Place, find_place
from ferbuild.manifests.load import load_calibration

log = logging.getLogger(__name__)

VERSION = 2
FOLDER = "measures"
PLACED = ["faces_found", "second_face", "eye_distance", "yaw", "pitch"]
"""Columns that tell, with whether there are measures, where in a calibration a face belongs."""
ABOUT = "Detector and face-mesh measures of the training faces, joined to `faces` by `id`."


def plan(build: Build) -> Plan:
    """Return what the measure stage would make of the faces now."""
    return Plan(
        stage="measure",
        version=VERSION,
        out=build.settings.work / FOLDER,
        about=ABOUT,
        schema=MEASURES,
        options={"nets": nets.as_options(build.settings)},
        inputs=[faces.plan(build).key],
        shard_bytes=build.settings.recipe.shard_bytes,
    )


def run(build: Build) -> Report:
    """Bring the faces, then their measures, up to date and return what was done."""
    wanted, by = plan(build), nets.nets_of(build.settings)  # nets that cannot be had stop before hours of faces
    upstream = faces.run(build)
    jobs = partial(training_rows.jobs, upstream.out, build.benchmarks)
    work = partial(measure_batch, by=by, benchmarks=build.benchmarks)
    return build.bring_up_to_date(wanted, jobs, work, engine=build.engine)


def measure_batch(piece: Slice, *, by: Nets, benchmarks: Pairs) -> Batch:
    """Measure every face of a slice. None is dropped: a face that is not found has null measures."""
    models = nets.opened(by)
    table = training_rows.read(piece, benchmarks)
    rows = table.select(["id", "canonical", "image"]).to_pylist()
    try:
        pictures = (decode(row.pop("image")["bytes"], max_pixels=sys.maxsize) for row in rows)
        found = [_measured(pixels, models) for pixels in pictures]
    except PictureError as err:
        hint = "its bytes were changed on disk: delete the folder and run `fer-build faces` again"
        raise FerError(piece.path, f"holds a picture that no longer decodes ({err.reason})", hint) from None
    made = [row | measures for row, measures in zip(rows, found, strict=True)]
    faults = sum(measures["detector"] is None for measures in found)
    findings = {FAILED: faults} if faults else {}
    return Batch({piece.split: pa.Table.from_pylist(made, schema=MEASURES)}, DROPS.empty_table(), findings)


def _measured(pixels: Pixels, models: Models) -> dict[str, Any]:
    """Return the MEASURES of a picture; all null where a net raises an error on it, which is that picture's alone."""
    try:
        return measure_pixels(pixels, models)
    except Exception as err:  # OpenCV's and onnxruntime's errors have no common base
        log.warning("a face could not be measured: %s", describe(err))
        return dict.fromkeys(MEASURES.names[2:])


def read_measures(folder: Path, key: str, split: str, ids: Iterable[str]) -> Mapping[str, Mapping[str, Any]]:
    """Return the measures of some faces of a split by id, from the folder that the stage `key` made.

    Neither the id nor the label is among them: a teacher that works on measures must not see it.
    """
    wanted = set(ids)
    table, places = _indexed(folder, key, split)
    table = table.drop_columns("canonical")
    found = sorted(places[name] for name in wanted if name in places)
    return {row.pop("id"): row for row in table.take(pa.array(found, pa.int64())).to_pylist()}


@cache
def partners_of(folder: Path, key: str, split: str, seed: int, calibration: Path | None) -> Mapping[str, str]:
    """Return, for the faces of a split that have a place in the calibration, another such face with the same label.

    By id; read once a process, and the same in all of them: it depends on the arguments alone. A face that cannot be
    judged bears out nothing: as a partner it would make any text look as if it fitted its own face alone.
    """
    table, _ = _indexed(folder, key, split)
    known = load_calibration(calibration)
    seen = table.select(PLACED).append_column("measures", pc.is_valid(table["measures"]))
    able = table.filter(pa.array([isinstance(find_place(row, known), Place) for row in seen.to_pylist()], pa.bool_()))
    return partners(able["id"].to_pylist(), able["canonical"].to_pylist(), seed)


def partners(ids: Sequence[str], labels: Sequence[str], seed: int) -> dict[str, str]:
    """Return for every face but lone ones another with its label: the next in an order that the seed draws."""
    drawn = sorted(zip(labels, (xxhash.xxh3_64_intdigest(name.encode(), seed=seed) for name in ids), ids, strict=True))
    found: dict[str, str] = {}
    for _, group in groupby(drawn, key=itemgetter(0)):
        ring = [name for *_, name in group]
        if len(ring) > 1:
            found |= dict(zip(ring, [*ring[1:], ring[0]], strict=True))
    return found


@cache
def _indexed(folder: Path, key: str, split: str) -> tuple[pa.Table, dict[str, int]]:
    """Return the measures of a split and where each id stands; read once a process."""
    files = shards.split_files(folder).get(split, [])
    tables = [shards.read_stream(path) for path in files]
    table = pa.concat_tables(tables) if tables else MEASURES.empty_table()
    return table, {name: at for at, name in enumerate(table["id"].to_pylist())}
