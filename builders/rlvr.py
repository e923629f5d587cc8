"""Faces become questions whose answer a program can check, in the columns that GRPO trainers take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ferbuild.builders import faces, measure, training_rows
from ferbuild.builders.build import Build
from ferbuild.builders.columns import conform, one_each, provenance, spread
from ferbuild.builders.mark import Report
from ferbuild.builders.measures import MEASURES
from ferbuild.builders.questions import Question, as_options, questions
from ferbuild.builders.record import DROPS, FACES, MESSAGES, RLVR, Batch
from ferbuild.builders.shards import Slice
from ferbuild.builders.shown import as_shown, enlarged
from ferbuild.builders.stage import Plan
from ferbuild.manifests.recipe import Picture

VERSION = 1
FOLDER = "rlvr"
MEASURED = ("faces_found", "second_face", "eye_distance", "yaw", "pitch", "measures", "unit_scores")
"""Columns of MEASURES that a judgement of action units rests on (`filters.units.judge`)."""
ABOUT = "Questions about the expression in a face, with an answer a program can check."


class Choose(NamedTuple):
    """The question kind of the benchmark: which of these labels."""

    questions: Mapping[str, Question]
    benchmarks: frozenset[tuple[str, str]]
    picture: Picture
    measures: tuple[Path, str] | None = None
    """Folder and stage key of the measures that go with the questions; None: none do."""

    @property
    def schema(self) -> pa.Schema:
        return schema_of(measured=self.measures is not None)


def schema_of(*, measured: bool) -> pa.Schema:
    """Return the columns: with `measured` also what a claim about the face can be held against."""
    return pa.schema([*RLVR, FACES.field("units"), *map(MEASURES.field, MEASURED)]) if measured else RLVR


def plan(build: Build, *, measures: bool | str = False) -> Plan:
    """Return what the rlvr stage would make of the faces now; flags may be text, as a mark holds them."""
    upstream = measure.plan(build) if measures else faces.plan(build)
    return Plan(
        stage="rlvr",
        version=VERSION,
        out=build.settings.work / FOLDER,
        about=ABOUT,
        schema=schema_of(measured=bool(measures)),
        options={
            "questions": as_options(questions(build.settings)),
            "kinds": ["choose"],
            **enlarged(build.settings.recipe.picture),
        },
        inputs=[upstream.key],
        flags={"measures": "yes"} if measures else {},
        shard_bytes=build.settings.recipe.shard_bytes,
    )


def run(build: Build, *, measures: bool = False) -> Report:
    """Bring the faces, and with `measures` theirs, then the questions, up to date and return what was done."""
    upstream = faces.run(build)
    where = None
    if measures:
        measure.run(build)
        planned = measure.plan(build)
        where = (planned.out, planned.key)
    kind = Choose(questions(build.settings), build.benchmarks, build.settings.recipe.picture, where)
    jobs = partial(training_rows.jobs, upstream.out, build.benchmarks)
    return build.bring_up_to_date(plan(build, measures=measures), jobs, partial(ask_batch, kind=kind))


def ask_batch(piece: Slice, *, kind: Choose) -> Batch:
    """Return one question a training face; columnar, no picture is decoded or copied."""
    table = training_rows.read(piece, kind.benchmarks)
    known = list(kind.questions)
    which = pc.index_in(table["source"], pa.array(known))
    asked = list(kind.questions.values())
    columns = {name: table[name] for name in kind.schema.names if name in table.schema.names} | {
        "images": one_each(as_shown(table["image"], kind.picture)),
        "prompt": spread([q.messages for q in asked], MESSAGES, which),
        "solution": pc.binary_join_element_wise("<answer>", table["label"], "</answer>", ""),
        "kind": pa.array(["choose"] * table.num_rows, pa.string()),
        "choices": spread([list(q.choices) for q in asked], pa.list_(pa.string()), which),
        "answer": table["label"],
        "faces": provenance(table),
        "prompt_version": spread([q.version for q in asked], pa.string(), which),
    }
    columns |= measured_columns(table["id"].to_pylist(), piece.split, kind.measures)
    return Batch({piece.split: conform(columns, kind.schema)}, DROPS.empty_table())


def measured_columns(ids: Sequence[str], split: str, measures: tuple[Path, str] | None) -> dict[str, pa.Array]:
    """Return what was measured of the faces, in their order; nothing where no measures are asked for."""
    if measures is None:
        return {}
    found = measure.read_measures(*measures, split, ids)
    return {name: pa.array([found[one][name] for one in ids], MEASURES.field(name).type) for name in MEASURED}
