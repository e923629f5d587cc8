"""How a model is asked all of the benchmark: the stage that ends in answers, one folder a model and variant.

Stands between the benchmark dataset and the score. Resumes like every stage; nothing is paid for twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ferbuild.builders import bench, shards, surveying
from ferbuild.builders.bench import Prompts
from ferbuild.builders.build import Build
from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.builders.estimate import Confirm
from ferbuild.builders.evaluation.answers import ANSWERS
from ferbuild.builders.evaluation.asking import Asking, answer_batch, judged, requests
from ferbuild.builders.evaluation.models import Model, model_of
from ferbuild.builders.evaluation.variants import PLAIN
from ferbuild.builders.mark import Report
from ferbuild.builders.stage import PART_ROWS, Job, Plan
from ferbuild.builders.surveying import Survey
from ferbuild.builders.teacher import AskOptions
from ferbuild.manifests.schema import TeacherEntry

VERSION = 1
FOLDER = "eval"
ABOUT = "What a model answers to FERBench: a row a benchmark picture, none left out."
AS_USUAL = AskOptions()
JUDGED = ("answer", "canonical", "choices")
"""Columns of a benchmark row that a reply is judged by."""


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
    also: Sequence[str] = (),
) -> Report | None:
    """Bring the benchmark up to date, ask the model what it still owes, and report.

    `confirm` is shown what it would cost, after a handful was asked; None is returned where it says no. `also`: the
    variants that are to be asked after this one; what is shown is the cost of all.
    """
    endpoint = options.endpoints[0] if model_id and not model and options.endpoints else ""
    who = model_of(build, model, model_id=model_id, endpoints=options.endpoints, samples=samples)
    flags: dict[str, Any] = {"model": model, "model_id": model_id, "endpoint": endpoint, "sets": sets}
    flags |= {"samples": samples, "variant": variant, "prompts": prompts.digest if prompts else ""}
    wanted = plan(build, **flags, structured=options.structured)
    if who.entry:
        surveying.try_all(build, who.entry, build.benchmark_listings, options, upstream=bench.plan(build))
    upstream = bench.run(build, prompts=prompts)
    asking = _asking(build, who, samples, variant, options)
    jobs = _jobs(upstream.out, _sets(build, sets))
    if who.entry and build.is_stale(wanted):
        planned = {one: plan(build, **flags | {"variant": one}, structured=options.structured) for one in also}
        later = [one for one, its in planned.items() if build.is_stale(its)]
        first, *rest = (_survey(who.entry, asking._replace(variant=one)) for one in (variant, *later))
        if not surveying.ask(build, first, jobs, options, confirm, also=rest):
            return None
    if who.program:
        who.program.prepare(build)
    return build.bring_up_to_date(wanted, lambda: jobs, partial(answer_batch, asking=asking))


def _asking(build: Build, who: Model, samples: int, variant: str, options: AskOptions) -> Asking:
    settings = build.settings
    return Asking(who.entry, who.program, settings.store, samples, variant, settings.seed, options.structured)


def _survey(entry: TeacherEntry, asking: Asking) -> Survey:
    return Survey(entry, asking.store, asking.samples, partial(requests, asking=asking), judged, JUDGED)


def _jobs(folder: Path, sets: Sequence[str]) -> list[Job]:
    return [Job(piece.rows, piece) for piece in shards.slices(folder, PART_ROWS) if piece.split in sets]
