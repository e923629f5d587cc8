"""Faces become chains of thought: a teacher is asked blindly, and what agrees with the label is kept.

Asking and filtering are two steps. A paid teacher first gets every reply it still owes; then rows are
filtered part by part from the replies that are there, so that a changed filter asks nobody again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from ferbuild.builders import faces, grounding, measure, nets, training_rows
from ferbuild.builders.build import Build
from ferbuild.builders.columns import conform, one_each, provenance, spread
from ferbuild.builders.errors import FerError
from ferbuild.builders.grounding import Grounded, Grounds
from ferbuild.builders.mark import Report
from ferbuild.builders.measure import read_measures
from ferbuild.builders.questions import Question, as_options, questions
from ferbuild.builders.record import COT, MESSAGES, Batch, drop, drops_table
from ferbuild.builders.sending import refuse_closed_pictures
from ferbuild.builders.shards import Slice
from ferbuild.builders.stage import Job, Plan
from ferbuild.builders.teacher import Reply, Request, Teacher, open_teacher
from ferbuild.builders.training_rows import Pairs
from ferbuild.filters import answer, bind, trace
from ferbuild.manifests import load
from ferbuild.manifests.schema import Claims, TeacherEntry

VERSION = 3
STYLE = "think"
FOLDER = "cot"
ABOUT = "A teacher's reasoning about the expression in a face, kept where its answer agrees with the label."
BASELINE = (
    " The reasoning was written by the embedded `geometry` baseline, a program that measures a face mesh. It is for"
    " trying and testing the tool: it is not a model's reasoning, and no dataset to train on."
)


class Asking(NamedTuple):
    """Everything that turning a slice of faces into traces needs; cheap to send to another process."""

    entry: TeacherEntry
    store: Path
    questions: Mapping[str, Question]
    checks: tuple[str | dict[str, dict[str, Any]], ...]
    benchmarks: Pairs
    measures: tuple[Path, str] | None
    """Folder and stage key of the measures; None where neither the teacher nor the claims need them."""
    calibration: Path | None
    claims: Claims
    grounds: Grounds | None
    """What claims are held against; None where they are not checked."""


def plan(build: Build, *, teacher: str | None = None) -> Plan:
    """Return what the cot stage would make with a teacher now."""
    entry = entry_of(build, teacher)
    policy = claims_of(build)
    needs = measure.plan(build).key if _measures(entry, policy) else faces.plan(build).key
    judging = grounding.version(build.settings.calibration) if _measures(entry, policy) else ""
    return Plan(
        stage="cot",
        version=VERSION,
        out=build.settings.work / FOLDER,
        schema=COT,
        options={
            "teacher": [entry.name, entry.kind, entry.model, entry.sampling],
            "questions": as_options(questions(build.settings)),
            "checks": build.settings.recipe.trace_checks,
            "style": STYLE,
            "claims": [policy.model_dump(), judging, build.settings.seed if policy.check else 0],
        },
        inputs=[needs],
        about=ABOUT + (BASELINE if entry.baseline else ""),
        flags={"teacher": teacher} if teacher else {},
        shard_bytes=build.settings.recipe.shard_bytes,
    )


def run(build: Build, *, teacher: str | None = None, endpoints: Sequence[str] = (), concurrency: int = 64) -> Report:
    """Bring everything before it up to date, ask the teacher what it still owes, filter, and report."""
    entry, policy = entry_of(build, teacher), claims_of(build)
    bind.bind(trace, build.settings.recipe.trace_checks)
    if _measures(entry, policy):
        nets.fitting_calibration(build.settings)
        nets.nets_of(build.settings)
    own = build.settings.own
    asked = open_teacher(entry, store=build.settings.store, endpoints=endpoints, concurrency=concurrency, own=own)
    if not entry.baseline:
        refuse_closed_pictures(endpoints or entry.endpoints, build.listings, own)
    if build.is_stale(faces.plan(build)):
        asked.ready()  # hours of faces are not spent to find that nobody answers
    upstream = faces.run(build)
    asking = asking_of(build, entry, policy)
    jobs = training_rows.jobs(upstream.out, build.benchmarks)
    wanted = plan(build, teacher=teacher)
    if build.is_stale(wanted):
        _ask_all(build, asked, jobs, asking)  # before hours of measures, for the same reason
    if asking.measures:
        measure.run(build)
    return build.bring_up_to_date(wanted, lambda: jobs, partial(trace_batch, asking=asking))


def asking_of(build: Build, entry: TeacherEntry, policy: Claims) -> Asking:
    """Return what a teacher is asked, and with what its replies are checked."""
    settings = build.settings
    planned = measure.plan(build) if _measures(entry, policy) else None
    where = (planned.out, planned.key) if planned else None
    return Asking(
        entry=entry,
        store=settings.store,
        questions=questions(settings),
        checks=tuple(settings.recipe.trace_checks),
        benchmarks=build.benchmarks,
        measures=where,
        calibration=settings.calibration,
        claims=policy,
        grounds=Grounds(*where, settings.calibration, settings.seed) if where and policy.check else None,
    )


def requests(table: pa.Table, split: str, asking: Asking) -> Iterator[Request]:
    """Yield what the teacher is asked of each face; neither the label nor anything made from it enters."""
    ids = table["id"].to_pylist()
    measured: Mapping[str, Mapping[str, Any]] = {}
    if asking.measures and asking.entry.baseline:
        measured = read_measures(*asking.measures, split, ids)
    for name, source, image in zip(ids, table["source"].to_pylist(), table["image"], strict=True):
        question = asking.questions[source]
        yield Request(
            id=name,
            messages=tuple(question.messages),
            images=(image["bytes"].as_py(),),
            choices=question.choices,
            measured=measured.get(name),
        )


def trace_batch(piece: Slice, *, asking: Asking) -> Batch:
    """Turn the replies to a slice of faces into traces, and whatever fails a check into drops."""
    table = training_rows.read(piece, asking.benchmarks)
    teacher = open_teacher(asking.entry, store=asking.store, calibration=asking.calibration)
    replies = teacher.recall(list(requests(table, piece.split, asking)))
    checks = bind.bind(trace, asking.checks)
    kept: list[int] = []
    drops = []
    unanswered = 0
    for at, (row, reply) in enumerate(zip(table.drop_columns("image").to_pylist(), replies, strict=True)):
        fault = _fault(row, reply, asking.questions[row["source"]].choices, checks)
        unanswered += reply is None
        if fault:
            drops.append(drop(row, *fault))
        else:
            kept.append(at)
    texts = [reply.text for at in kept if (reply := replies[at])]
    faces_kept = table.take(pa.array(kept, pa.int64()))
    found = grounding.ground_all(faces_kept["id"].to_pylist(), piece.split, texts, asking.grounds)
    traces = _traces(faces_kept, texts, found, asking)
    true, untrue = grounding.part(traces, asking.claims)
    return Batch({piece.split: true}, drops_table([*drops, *untrue]), unanswered=unanswered)


def _fault(
    row: Mapping[str, Any], reply: Reply | None, choices: Sequence[str], checks: Sequence[bind.Named]
) -> tuple[str, str] | None:
    """Return the drop reason and the teacher's text, or None for a trace to keep."""
    if reply is None:
        return "teacher gave up", "the next run asks again"
    seen = {**row, "reply": reply.text, "finish": reply.finish, "choices": choices}
    failed = bind.first_failing(checks, seen)
    return (failed[0], reply.text) if failed else None


def _traces(table: pa.Table, texts: Sequence[str], found: Sequence[Grounded] | None, asking: Asking) -> pa.Table:
    """Return COT rows of the faces that are kept, with the replies in the same order."""
    rows = table.num_rows
    known = list(asking.questions)
    which = pa.array([known.index(source) for source in table["source"].to_pylist()], pa.int64())
    asked = list(asking.questions.values())
    answers = [answer.read(text, asked[at].choices).label for text, at in zip(texts, which.to_pylist(), strict=True)]
    entry = asking.entry
    same: dict[str, Any] = {
        "style": STYLE,
        "teacher": entry.name,
        "model": entry.model,
        "baseline": entry.baseline,
        "sampling": json.dumps(entry.sampling, sort_keys=True),
        "samples": 1,
        "verdicts": [check.name for check in bind.bind(trace, asking.checks)],
    }
    columns = {name: table[name] for name in COT.names if name in table.schema.names}
    columns |= {name: pa.array([value] * rows, COT.field(name).type) for name, value in same.items()}
    columns |= {
        "images": one_each(table["image"]),
        "prompt": spread([q.messages for q in asked], MESSAGES, which),
        "completion": pa.array([[{"role": "assistant", "content": text}] for text in texts], MESSAGES),
        "answer": pa.array(answers, pa.string()),
        "majority": pa.array(answers, pa.string()),
        "agreement": _agreement(answers, table["label"].to_pylist()),
        "faces": provenance(table),
        "prompt_version": spread([q.version for q in asked], pa.string(), which),
    }
    return conform(columns | grounding.columns(found, rows, asking.grounds), COT)


def _agreement(answers: Sequence[str | None], labels: Sequence[str]) -> pa.Array:
    """Return, for every row, the share of its samples that answer with the label."""
    return pa.array([float(a == b) for a, b in zip(answers, labels, strict=True)], pa.float32())


def _ask_all(build: Build, teacher: Teacher, jobs: Sequence[Job], asking: Asking) -> None:
    """Have the teacher get every reply that is not there yet."""
    if teacher.baseline:
        return
    total = sum(job.rows for job in jobs)

    def all_requests() -> Iterator[Request]:
        for job in jobs:
            yield from requests(training_rows.read(job.work, asking.benchmarks), job.work.split, asking)

    build.began("ask")
    teacher.ask(all_requests(), lambda done: build.tick("ask", done, total) if build.tick else None)


def claims_of(build: Build) -> Claims:
    """Return what the recipe does about claims; FerError where it drops by what it does not check."""
    recipe = build.settings.recipe
    if recipe.claims.most_contradicted is not None and not recipe.claims.check:
        problem = "most_contradicted drops nothing, since `check: false` has no claim checked"
        raise FerError(f"recipe {recipe.name}: claims", problem, "write `check: true`, or leave most_contradicted out")
    return recipe.claims


def _measures(entry: TeacherEntry, policy: Claims) -> bool:
    """Tell whether the faces must be measured: for the baseline's own words, or to check anybody's claims."""
    return entry.baseline or policy.check


def entry_of(build: Build, teacher: str | None) -> TeacherEntry:
    """Return the teacher's entry, its sampling seed set to the build's where it takes one."""
    entry = load.load_teacher(teacher or build.settings.teacher)
    if "seed" not in entry.sampling:
        return entry
    return entry.model_copy(update={"sampling": {**entry.sampling, "seed": build.settings.seed}})
