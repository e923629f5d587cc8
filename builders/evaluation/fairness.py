"""What a model answers about rendered faces whose looks are changed and whose expression stays.

Stands beside the way of a face, behind `looks`: the question, the teachers and the store of replies are those of
`counterfactual`, and nothing is paid for twice. A reply without an answer is kept as one, since a model may refuse some
faces and not others.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pyarrow as pa

from ferbuild.builders import counterfactual, grounding, measure, nets, shards, surveying
from ferbuild.builders.build import Build
from ferbuild.builders.cot import BASELINE, entry_of
from ferbuild.builders.counterfactual import Asking, asking_of
from ferbuild.builders.estimate import Confirm
from ferbuild.builders.evaluation import looks
from ferbuild.builders.evaluation.looks import COUNT, LOOKS
from ferbuild.builders.evaluation.models import sampled
from ferbuild.builders.evaluation.reading import said_by
from ferbuild.builders.mark import Report
from ferbuild.builders.pairs import SIZE
from ferbuild.builders.questions import question_among
from ferbuild.builders.record import CANONICAL, MESSAGES, Batch, Row, drop, drops_table
from ferbuild.builders.rendering import TERMS
from ferbuild.builders.replies import Reply, Request
from ferbuild.builders.samples import is_reply, why_absent
from ferbuild.builders.shards import Slice
from ferbuild.builders.stage import Job, Plan
from ferbuild.builders.surveying import Survey
from ferbuild.builders.teacher import AskOptions, open_teacher
from ferbuild.manifests.schema import TeacherEntry

VERSION = 1
FOLDER = "fairness"
PART_ROWS = 100
AS_USUAL = AskOptions()
ABOUT = "What a model answered about rendered faces that differ in skin, age or shape and show the same expression."

FAIRNESS = pa.schema(
    [
        *LOOKS,
        ("prompt", MESSAGES),  # one user message
        ("choices", pa.list_(pa.string())),
        ("completion", pa.string()),  # the reply
        ("answer", pa.string()),  # one of the choices, or unknown
        ("outcome", pa.string()),  # how the answer was found, as in a score: ok, several, refused, …
        ("right", pa.bool_()),  # the answer is the rendered label
        ("teacher", pa.string()),  # entry of teachers.yaml
        ("model", pa.string()),  # the served model's name; empty for the baseline
        ("baseline", pa.bool_()),  # true for the embedded geometry teacher: no model
        ("sampling", pa.string()),  # JSON
        ("prompt_version", pa.string()),  # hash of the question template
    ]
)


def entry_asked(build: Build, teacher: str | None) -> TeacherEntry:
    """Return the teacher's entry, to be asked greedily: what flips by chance is no finding."""
    return sampled(entry_of(build, teacher), 1)


def plan(build: Build, *, teacher: str | None = None, count: int | str = COUNT, size: int | str = SIZE) -> Plan:
    """Return what the fairness stage would make with a teacher now."""
    entry, settings = entry_asked(build, teacher), build.settings
    flags = {"teacher": teacher or "", "count": str(count), "size": str(size)}
    measured = (
        [measure.VERSION, nets.as_options(settings), grounding.version(settings.calibration)] if entry.baseline else []
    )
    return Plan(
        stage="fairness",
        version=VERSION,
        out=settings.work / FOLDER,
        about=ABOUT + (BASELINE if entry.baseline else ""),
        terms=TERMS,
        schema=FAIRNESS,
        options={
            "teacher": [entry.name, entry.kind, entry.model, entry.sampling],
            "question": [*question_among(CANONICAL, settings.recipe.question)],
            "measures": measured,
        },
        inputs=[looks.plan(build, looks.wanted(build, count=count, size=size)).key],
        flags={name: value for name, value in flags.items() if value},
        shard_bytes=settings.recipe.shard_bytes,
    )


def run(
    build: Build,
    *,
    teacher: str | None = None,
    count: int = COUNT,
    size: int = SIZE,
    options: AskOptions = AS_USUAL,
    confirm: Confirm | None = None,
) -> Report | None:
    """Render the faces, ask the teacher what it still owes, read the answers, and report.

    `confirm` is shown what it would cost, after a handful was asked; None is returned where it says no. The pictures
    are rendered ones in the public domain, so that they may be sent to anybody's server.
    """
    entry, settings = entry_asked(build, teacher), build.settings
    faces = looks.wanted(build, count=count, size=size)
    if entry.baseline:  # nobody else's pictures are measured
        nets.fitting_calibration(settings)
    open_teacher(entry, store=settings.store, options=options, own=settings.own)  # what cannot be kept is told first
    wanted = plan(build, teacher=teacher, count=count, size=size)
    upstream = looks.run(build, faces)
    asking = asking_of(build, teacher)._replace(entry=entry)
    jobs = [Job(piece.rows, piece) for piece in shards.slices(upstream.out, PART_ROWS)]
    if build.is_stale(wanted) and not entry.baseline:
        asked = Survey(entry, settings.store, 1, partial(_requests, asking=asking))
        if not surveying.ask(build, asked, jobs, options, confirm):
            return None
    return build.bring_up_to_date(wanted, lambda: jobs, partial(read_batch, asking=asking))


def _requests(table: pa.Table, asking: Asking) -> Iterator[Request]:
    return counterfactual.requests(table.to_pylist(), asking)


def read_batch(piece: Slice, *, asking: Asking) -> Batch:
    """Read the replies to some pictures; one that no reply came to is dropped."""
    teacher = open_teacher(asking.entry, store=asking.store, calibration=asking.calibration)
    rows = piece.read().to_pylist()
    replies = teacher.recall(list(counterfactual.requests(rows, asking)))
    kept, drops = [], []
    for row, reply in zip(rows, replies, strict=True):
        if reply is not None and is_reply(reply):
            kept.append(_row(row, reply, asking))
        else:
            drops.append(drop({**row, "source": FOLDER, "split": piece.split}, *why_absent(reply)))
    table = pa.Table.from_pylist(kept, schema=FAIRNESS)
    return Batch({piece.split: table}, drops_table(drops), unanswered=len(drops))


def _row(row: Row, reply: Reply, asking: Asking) -> dict[str, Any]:
    said = said_by([reply.text], [reply.finish], asking.question.choices, row["label"])
    return {
        **row,
        "prompt": asking.question.messages,
        "choices": asking.question.choices,
        "completion": reply.text,
        "answer": said.label,
        "outcome": said.outcome,
        "right": said.label == row["label"],
        "teacher": asking.entry.name,
        "model": asking.entry.model,
        "baseline": asking.entry.baseline,
        "sampling": json.dumps(asking.entry.sampling, sort_keys=True),
        "prompt_version": asking.question.version,
    }
