"""How a model is asked all of the benchmark: the stage that ends in answers, one folder a model and variant.

Stands between the benchmark dataset and the score. Resumes like every stage; nothing is paid for twice.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from ferbuild.builders import bench, estimate, meter, sending, shards
from ferbuild.builders.bench import Prompts
from ferbuild.builders.build import Build
from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.builders.estimate import Confirm
from ferbuild.builders.evaluation.answers import ANSWERS
from ferbuild.builders.evaluation.asking import Asking, answer_batch, judged, requests
from ferbuild.builders.evaluation.models import Model, model_of
from ferbuild.builders.evaluation.variants import PLAIN
from ferbuild.builders.mark import Report
from ferbuild.builders.replies import Reply, Request
from ferbuild.builders.shards import Slice
from ferbuild.builders.stage import PART_ROWS, Job, Plan
from ferbuild.builders.teacher import AskOptions, open_teacher

log = logging.getLogger(__name__)

VERSION = 1
FOLDER = "eval"
ABOUT = "What a model answers to FERBench: a row a benchmark picture, none left out."
AS_USUAL = AskOptions()


def folder_of(build: Build, model: Model) -> Path:
    """Return the folder that holds all that is known of a model's score."""
    return build.settings.work / FOLDER / model.name


def plan(
    build: Build,
    *,
    model: str = "",
    model_id: str = "",
    endpoint: str = "",
    sets: str = "",
    samples: int | str = 1,
    variant: str = PLAIN,
    prompts: str = "",
    structured: bool | str = False,
) -> Plan:
    """Return what asking a model (see `model_of`) would make now. Flags may be text, as a mark holds them."""
    count = int(samples)
    who = model_of(build, model, model_id=model_id, endpoints=[endpoint] if endpoint else (), samples=count)
    flags = {
        "model": model,
        "model_id": model_id,
        "endpoint": endpoint,
        "sets": sets,
        "samples": "" if count == 1 else str(count),
        "variant": "" if variant == PLAIN else variant,
        "prompts": prompts,
        "structured": "yes" if structured else "",
    }
    entry = who.entry
    told = (
        [entry.name, entry.kind, entry.model, entry.sampling]
        if entry
        else dict(who.program.version)
        if who.program
        else {}
    )
    return Plan(
        stage="eval",
        version=VERSION,
        out=folder_of(build, who) / variant,
        about=ABOUT,
        schema=ANSWERS,
        options={
            "model": told,
            "sets": _sets(build, sets),
            "samples": count,
            "variant": [variant, build.settings.seed] if variant != PLAIN else [],
            "structured": bool(structured),
        },
        inputs=[bench.plan(build, prompts=prompts).key],
        flags={name: value for name, value in flags.items() if value},
        shard_bytes=build.settings.recipe.shard_bytes,
    )


def _sets(build: Build, sets: str) -> list[str]:
    """Return the benchmark sets that are wanted, all where none is named; FerError for one that is not here."""
    here = [mark.set for release in build.settings.releases if (mark := release.source.benchmark)]
    wanted = [name.strip() for name in sets.split(",") if name.strip()]
    for name in wanted:
        if name not in here:
            raise FerError(f"--sets {name}", "no such benchmark set among the sources", did_you_mean(name, here))
    return [name for name in here if name in wanted] if wanted else here


def run(
    build: Build,
    *,
    model: str = "",
    model_id: str = "",
    sets: str = "",
    samples: int = 1,
    variant: str = PLAIN,
    prompts: Prompts | None = None,
    options: AskOptions = AS_USUAL,
    confirm: Confirm | None = None,
) -> Report | None:
    """Bring the benchmark up to date, ask the model what it still owes, and report.

    `confirm` is shown what it would cost, after a handful was asked; None is returned where it says no.
    """
    endpoint = options.endpoints[0] if model_id and not model and options.endpoints else ""
    who = model_of(build, model, model_id=model_id, endpoints=options.endpoints, samples=samples)
    flags: dict[str, Any] = {"model": model, "model_id": model_id, "endpoint": endpoint, "sets": sets}
    flags |= {"samples": samples, "variant": variant, "prompts": prompts.digest if prompts else ""}
    wanted = plan(build, **flags, structured=options.structured)
    _try_all(build, who, options)
    upstream = bench.run(build, prompts=prompts)
    asking = _asking(build, who, samples, variant, options)
    jobs = _jobs(upstream.out, _sets(build, sets))
    if who.entry and build.is_stale(wanted) and not _asked(build, asking, jobs, options, confirm):
        return None
    if who.program:
        who.program.prepare(build)
    return build.bring_up_to_date(wanted, lambda: jobs, partial(answer_batch, asking=asking))


def _try_all(build: Build, who: Model, options: AskOptions) -> None:
    """FerError, before any work, for what would fail after hours of it."""
    if who.entry is None:
        return
    settings = build.settings
    asked = open_teacher(who.entry, store=settings.store, options=options, own=settings.own)
    urls = options.endpoints or who.entry.endpoints
    closed = sending.refuse_closed_pictures(urls, build.benchmark_listings, settings.own, options.may_send)
    sending.note_sent(settings.store, closed)
    if build.is_stale(bench.plan(build)):
        asked.ready()


def _asking(build: Build, who: Model, samples: int, variant: str, options: AskOptions) -> Asking:
    settings = build.settings
    return Asking(who.entry, who.program, settings.store, samples, variant, settings.seed, options.structured)


def _jobs(folder: Path, sets: Sequence[str]) -> list[Job]:
    return [Job(piece.rows, piece) for piece in shards.slices(folder, PART_ROWS) if piece.split in sets]


def _asked(build: Build, asking: Asking, jobs: Sequence[Job], options: AskOptions, confirm: Confirm | None) -> bool:
    """Have the model get what it still owes; tell whether it was to be asked."""
    assert asking.entry is not None
    teacher = open_teacher(asking.entry, store=asking.store, options=options, own=build.settings.own)
    rows = Rows(asking)
    total = asking.samples * sum(job.rows for job in jobs)
    if confirm:
        build.began("estimate")
        some = (one for job, at in estimate.handful(jobs) for one in rows.requests(job.work, at))
        stored = estimate.count_stored(teacher, rows.all(jobs))
        found = estimate.pilot(teacher, some, total, asking.entry, options, stored=stored, judge=rows.judge)
        if not confirm(found):
            return False
        options = replace(options, budget=_left(options.budget, found.spent))
        teacher = open_teacher(asking.entry, store=asking.store, options=options, own=build.settings.own)
    build.began("ask")
    told = meter.metered(build, asking.entry, total, rows.judge)
    halt = teacher.ask(rows.all(jobs), told)
    meter.end(build, told)
    if halt:
        log.warning("stopped: %s. %s", halt.reason, halt.hint)
    return True


def _left(budget: float | None, spent: float | None) -> float | None:
    return None if budget is None else max(budget - (spent or 0.0), 0.0)


class Rows:
    """The benchmark rows that are under way, so that a reply can be judged when it comes."""

    def __init__(self, asking: Asking) -> None:
        self.asking = asking
        self.pending: dict[tuple[str, int], Mapping[str, Any]] = {}

    def all(self, jobs: Sequence[Job]) -> Iterator[Request]:
        return chain.from_iterable(self.requests(job.work) for job in jobs)

    def requests(self, piece: Slice, at: Sequence[int] | None = None) -> Iterator[Request]:
        table = piece.read() if at is None else piece.read().take(pa.array(at, pa.int64()))
        rows = table.select(["id", "answer", "canonical", "choices"]).to_pylist()
        known = {row["id"]: row for row in rows}
        for request in requests(table, self.asking):
            self.pending[request.id, request.sample] = known[request.id]
            yield request

    def judge(self, request: Request, reply: Reply) -> tuple[str, bool, bool]:
        return judged(self.pending.pop((request.id, request.sample)), reply)
