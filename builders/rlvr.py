"""Faces become questions whose answer a program can check, in the columns that GRPO trainers take."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ferbuild.builders import faces, training_rows
from ferbuild.builders.build import Build
from ferbuild.builders.columns import conform, one_each, provenance, spread
from ferbuild.builders.mark import Report
from ferbuild.builders.questions import Question, as_options, questions
from ferbuild.builders.record import DROPS, MESSAGES, RLVR, Batch
from ferbuild.builders.shards import Slice
from ferbuild.builders.shown import as_shown, enlarged
from ferbuild.builders.stage import Plan
from ferbuild.manifests.recipe import Picture

VERSION = 1
FOLDER = "rlvr"
ABOUT = "Questions about the expression in a face, with an answer a program can check."


class Choose(NamedTuple):
    """The question kind of the benchmark: which of these labels."""

    questions: Mapping[str, Question]
    benchmarks: frozenset[tuple[str, str]]
    picture: Picture


def plan(build: Build) -> Plan:
    """Return what the rlvr stage would make of the faces now."""
    return Plan(
        stage="rlvr",
        version=VERSION,
        out=build.settings.work / FOLDER,
        about=ABOUT,
        schema=RLVR,
        options={
            "questions": as_options(questions(build.settings)),
            "kinds": ["choose"],
            **enlarged(build.settings.recipe.picture),
        },
        inputs=[faces.plan(build).key],
        shard_bytes=build.settings.recipe.shard_bytes,
    )


def run(build: Build) -> Report:
    """Bring the faces, then the questions, up to date and return what was done."""
    upstream = faces.run(build)
    kind = Choose(questions(build.settings), build.benchmarks, build.settings.recipe.picture)
    jobs = partial(training_rows.jobs, upstream.out, build.benchmarks)
    return build.bring_up_to_date(plan(build), jobs, partial(ask_batch, kind=kind))


def ask_batch(piece: Slice, *, kind: Choose) -> Batch:
    """Return one question a training face; columnar, no picture is decoded or copied."""
    table = training_rows.read(piece, kind.benchmarks)
    known = list(kind.questions)
    which = pc.index_in(table["source"], pa.array(known))
    asked = list(kind.questions.values())
    columns = {name: table[name] for name in RLVR.names if name in table.schema.names} | {
        "images": one_each(as_shown(table["image"], kind.picture)),
        "prompt": spread([q.messages for q in asked], MESSAGES, which),
        "solution": pc.binary_join_element_wise("<answer>", table["label"], "</answer>", ""),
        "kind": pa.array(["choose"] * table.num_rows, pa.string()),
        "choices": spread([list(q.choices) for q in asked], pa.list_(pa.string()), which),
        "answer": table["label"],
        "faces": provenance(table),
        "prompt_version": spread([q.version for q in asked], pa.string(), which),
    }
    return Batch({piece.split: conform(columns, RLVR)}, DROPS.empty_table())
