"""Detection, the face mesh and its measures for the benchmark's pictures, once for all models that are scored.

Stands between the benchmark dataset and the figures on rationales: what a model claims of a face is held against these
measures. The training faces' are a stage of their own (`measure`), and neither knows the other's pictures.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from ferbuild.builders import measure, nets, shards
from ferbuild.builders.build import Build
from ferbuild.builders.images import describe
from ferbuild.builders.looking import FAILED
from ferbuild.builders.mark import Report
from ferbuild.builders.measures import MEASURES, measure_picture
from ferbuild.builders.nets import Nets
from ferbuild.builders.record import DROPS, Batch, Row
from ferbuild.builders.shards import Slice
from ferbuild.builders.shown import enlarged
from ferbuild.builders.sources.tree import read_picture
from ferbuild.builders.stage import PART_ROWS, Job, Plan
from ferbuild.filters.units import Judged, Place, find_place, judge
from ferbuild.manifests.calibration import Calibration
from ferbuild.manifests.load import load_calibration

log = logging.getLogger(__name__)

VERSION = 1
FOLDER = "ferbench-measures"
ABOUT = "Detector and face-mesh measures of the benchmark's pictures, joined to `ferbench` by `id`."


def plan(build: Build, ferbench: Path) -> Plan:
    """Return what the stage would make of the benchmark in `ferbench` now. The wording of its questions is no part."""
    settings = build.settings
    return Plan(
        stage="eval measures",
        version=VERSION,
        out=settings.work / FOLDER,
        about=ABOUT,
        schema=MEASURES,
        options={"nets": nets.as_options(settings)},
        inputs=[_digest(ferbench)],
        shard_bytes=settings.recipe.shard_bytes,
    )


def measure_bench(build: Build, ferbench: Path) -> Report:
    """Bring the measures of every picture in `ferbench` up to date, and return what was done.

    FerError where the calibration in use was made with other nets: what is measured could not be judged by it.
    """
    nets.fitting_calibration(build.settings)
    work = partial(measure_batch, by=nets.nets_of(build.settings), bases=_bases(build))
    jobs = partial(_jobs, ferbench)
    return build.bring_up_to_date(plan(build, ferbench), jobs, work, engine=build.engine)


def judged_of(build: Build, ferbench: Path, ids: Iterable[str]) -> dict[str, dict[str, Judged]]:
    """Return what may be said of the faces with these ids, of those that can be judged; after `measure_bench`."""
    made = plan(build, ferbench)
    wanted = list(ids)
    rows: dict[str, Mapping[str, Any]] = {}
    for name in shards.split_files(made.out):
        rows |= measure.read_measures(made.out, made.key, name, wanted)
    return judge_all(rows, load_calibration(build.settings.calibration))


def judge_all(measured: Mapping[str, Mapping[str, Any]], calibration: Calibration) -> dict[str, dict[str, Judged]]:
    """Return what may be said of each face, by id, of rows of MEASURES; a face without a place in the calibration is
    left out.
    """
    placed = {name: row for name, row in measured.items() if isinstance(find_place(row, calibration), Place)}
    return {name: judge(row, calibration) for name, row in placed.items()}


def measure_batch(piece: Slice, *, by: Nets, bases: Mapping[str, Path]) -> Batch:
    """Measure every picture of a slice of one set. None is dropped: one that cannot be measured has null measures.

    bases: of the releases by source, where the pictures are measured as they lie there.
    """
    table = piece.read()
    rows = table.select(["id", "canonical", "faces"]).to_pylist()
    made, faults = [], 0
    for at, row in enumerate(rows):
        face = row.pop("faces")[0]
        images = table["images"][at].as_py()
        found = _measured(face, images[0]["bytes"], by, bases) if images else None
        faults += bool(images) and found is None
        made.append(row | (found or dict.fromkeys(MEASURES.names[2:])))
    findings = {FAILED: faults} if faults else {}
    return Batch({piece.split: pa.Table.from_pylist(made, schema=MEASURES)}, DROPS.empty_table(), findings)


def _measured(face: Row, data: bytes, by: Nets, bases: Mapping[str, Path]) -> dict[str, Any] | None:
    """Return the measures of a picture; None where reading it or a net fails, which is that picture's alone."""
    models = nets.opened(by)
    try:
        own = read_picture(bases[face["source"]], face["rel_path"]) if bases else data
        return measure_picture(own, models)
    except Exception as err:  # OpenCV's and onnxruntime's errors have no common base
        log.warning("a picture could not be measured: %s", describe(err))
        return None


def _jobs(ferbench: Path) -> list[Job]:
    return [Job(piece.rows, piece) for piece in shards.slices(ferbench, PART_ROWS)]


def _bases(build: Build) -> dict[str, Path]:
    """Return where the releases lie, if the recipe enlarges what models are shown; else nothing is read from there.

    A small picture that was enlarged would be judged like a large one, by limits that do not hold for it.
    """
    if not enlarged(build.settings.recipe.picture):
        return {}
    return {listing.source.name: listing.base for listing in build.benchmark_listings}


def _digest(ferbench: Path) -> str:
    """Return what tells the pictures of a benchmark dataset from those of another one."""
    found = []
    for paths in shards.split_files(ferbench).values():
        for path in paths:
            table = shards.read_stream(path).select(["id", "canonical", "faces"])
            found += [(row["id"], row["canonical"], row["faces"][0]["pixel_hash"]) for row in table.to_pylist()]
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()[:32]
