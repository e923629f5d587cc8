"""Faces become chains of thought: a teacher is asked blindly, and what agrees with the label is kept.

Asking and filtering are two steps. A paid teacher first gets every reply it still owes (`rounds`); then rows are
filtered part by part from the replies that are there (`traces`), so that a changed filter asks nobody again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Unpack

from ferbuild.builders import faces, grounding, keep_rates, measure, nets, sending, sight, training_rows
from ferbuild.builders.arms import Arm, Flags, arm_of
from ferbuild.builders.asking import Asking
from ferbuild.builders.build import Build
from ferbuild.builders.errors import FerError
from ferbuild.builders.estimate import Estimate
from ferbuild.builders.grounding import Grounds
from ferbuild.builders.mark import Report
from ferbuild.builders.questions import as_options, questions
from ferbuild.builders.record import COT
from ferbuild.builders.rounds import Asker
from ferbuild.builders.shown import enlarged
from ferbuild.builders.stage import Job, Plan
from ferbuild.builders.styles import SUFFIX
from ferbuild.builders.teacher import AskOptions, open_teacher
from ferbuild.builders.traces import trace_batch
from ferbuild.filters import bind, trace
from ferbuild.manifests import load
from ferbuild.manifests.recipe import Claims
from ferbuild.manifests.schema import TeacherEntry
from ferbuild.prompts.render import template_version

log = logging.getLogger(__name__)

VERSION = 4
FOLDER = "cot"
ABOUT = "A teacher's reasoning about the expression in a face, kept where its answer agrees with the label."
BASELINE = (
    " The reasoning was written by the embedded `geometry` baseline, a program that measures a face mesh. It is for"
    " trying and testing the tool: it is not a model's reasoning, and no dataset to train on."
)
PLAIN = AskOptions()


def plan(build: Build, *, teacher: str | None = None, **flags: Unpack[Flags]) -> Plan:
    """Return what the cot stage would make with a teacher now. Flags may be text, as a mark holds them."""
    arm = arm_of(build, flags)
    entry, settings = entry_of(build, teacher), build.settings
    measured = _measures(entry, claims_of(build), arm)
    return Plan(
        stage="cot",
        version=VERSION,
        out=settings.work / arm.folder(FOLDER),
        schema=COT,
        options=_options(build, entry, arm),
        inputs=[measure.plan(build).key if measured else faces.plan(build).key],
        about=ABOUT + _written_by(entry, arm),
        flags=arm.flags | ({"teacher": teacher} if teacher else {}),
        shard_bytes=settings.recipe.shard_bytes,
    )


def _written_by(entry: TeacherEntry, arm: Arm) -> str:
    """Return who wrote the reasoning, for the card, and what its provider says on using it."""
    if entry.baseline:
        return BASELINE
    times = f", {arm.samples} samples a face" if arm.samples > 1 else ""
    told = " It was told what was measured on the face." if arm.evidence else ""
    terms = f" Its terms on what it writes: {entry.terms}" if entry.terms else ""
    return f" Written by {entry.model or entry.name}{times}.{told}{terms}"


def _options(build: Build, entry: TeacherEntry, arm: Arm) -> dict[str, Any]:
    """Return everything that the rows depend on, besides the faces and their measures."""
    settings, recipe, policy = build.settings, build.settings.recipe, claims_of(build)
    judging = grounding.version(settings.calibration) if _measures(entry, policy, arm) else ""
    forms = [SUFFIX[arm.style], "_evidence" if arm.evidence else "", "_hinted" if arm.hints else ""]
    return {
        "teacher": [entry.name, entry.kind, entry.model, entry.sampling],
        "questions": as_options(questions(settings)),
        "forms": [template_version(f"{recipe.question}{form}") for form in forms],
        "checks": recipe.trace_checks,
        "arm": [arm.samples, arm.style, arm.quota, arm.evidence, arm.hints, arm.structured],
        **enlarged(recipe.picture),
        "consistency": recipe.consistency.model_dump(),
        "copies": recipe.copies.model_dump() if recipe.copies and not entry.baseline else None,
        "claims": [policy.model_dump(), judging, settings.seed if policy.check else 0],
    }


def run(
    build: Build,
    *,
    teacher: str | None = None,
    options: AskOptions = PLAIN,
    confirm: Callable[[Estimate], bool] | None = None,
    **flags: Unpack[Flags],
) -> Report | None:
    """Bring everything before it up to date, ask the teacher what it still owes, filter, and report.

    `confirm` is shown what it would cost, after a handful was asked; None is returned where it says no.
    """
    arm, entry = arm_of(build, flags), entry_of(build, teacher)
    options = replace(options, structured=arm.structured)
    _try_all(build, entry, arm, options)
    upstream = faces.run(build)
    asking = asking_of(build, entry, arm)
    jobs = training_rows.jobs(upstream.out, build.benchmarks)
    wanted = plan(build, teacher=teacher, **flags)
    if arm.evidence:
        measure.run(build)  # it is told to the teacher
    if build.is_stale(wanted) and not entry.baseline and not _asked(build, asking, options, jobs, arm, confirm):
        return None
    if asking.measures:
        measure.run(build)  # hours, which are not spent before somebody answers
    settle = partial(keep_rates.settle, jobs=jobs, benchmarks=build.benchmarks, copies=_copies(build, entry))
    return build.bring_up_to_date(wanted, lambda: jobs, partial(trace_batch, asking=asking), settle=settle)


def _try_all(build: Build, entry: TeacherEntry, arm: Arm, options: AskOptions) -> None:
    """FerError, before any work, for what would fail after hours of it."""
    settings = build.settings
    if entry.baseline and (arm.samples > 1 or arm.quota or arm.hints or arm.evidence):
        problem = "always says the same of a face: more samples, hints and evidence change nothing"
        raise FerError(f"teacher {entry.name}", problem, "name a model with --teacher")
    bind.bind(trace, settings.recipe.trace_checks)
    if _measures(entry, claims_of(build), arm):
        nets.fitting_calibration(settings)
        nets.nets_of(settings)
    asked = open_teacher(entry, store=settings.store, options=options, own=settings.own)
    if not entry.baseline:
        urls = options.endpoints or entry.endpoints
        sending.note_sent(
            settings.store, sending.refuse_closed_pictures(urls, build.listings, settings.own, options.may_send)
        )
    if build.is_stale(faces.plan(build)):
        asked.ready()  # hours of faces are not spent to find that nobody answers


def _asked(
    build: Build,
    asking: Asking,
    options: AskOptions,
    jobs: list[Job],
    arm: Arm,
    confirm: Callable[[Estimate], bool] | None,
) -> bool:
    """Have the teacher get what it still owes; tell whether it was to be asked."""
    sight.tell(build.settings.work / faces.FOLDER, build.benchmarks, asking.entry, asking.picture)
    asker = Asker(build, asking, options, jobs)
    if confirm and not confirm(asker.estimate()):
        return False
    asker.ask_all(arm.quota)
    return True


def asking_of(build: Build, entry: TeacherEntry, arm: Arm) -> Asking:
    """Return what a teacher is asked, and with what its replies are checked."""
    settings, policy = build.settings, claims_of(build)
    planned = measure.plan(build) if _measures(entry, policy, arm) else None
    where = (planned.out, planned.key) if planned else None
    return Asking(
        entry=entry,
        store=settings.store,
        template=settings.recipe.question,
        questions=questions(settings),
        checks=tuple(settings.recipe.trace_checks),
        benchmarks=build.benchmarks,
        measures=where,
        calibration=settings.calibration,
        claims=policy,
        grounds=Grounds(*where, settings.calibration, settings.seed) if where and policy.check else None,
        consistency=settings.recipe.consistency,
        samples=arm.samples,
        in_turn=arm.quota is not None,
        style=arm.style,
        picture=settings.recipe.picture,
        evidence=arm.evidence,
        hints=arm.hints,
        structured=arm.structured,
    )


def claims_of(build: Build) -> Claims:
    """Return what the recipe does about claims; FerError where it drops by what it does not check."""
    recipe = build.settings.recipe
    if recipe.claims.most_contradicted is not None and not recipe.claims.check:
        problem = "most_contradicted drops nothing, since `check: false` has no claim checked"
        raise FerError(f"recipe {recipe.name}: claims", problem, "write `check: true`, or leave most_contradicted out")
    return recipe.claims


def _measures(entry: TeacherEntry, policy: Claims, arm: Arm) -> bool:
    """Tell whether the faces must be measured: for words about measurements, or to check anybody's claims."""
    return entry.baseline or policy.check or arm.evidence


def _copies(build: Build, entry: TeacherEntry) -> Any:
    return None if entry.baseline else build.settings.recipe.copies


def entry_of(build: Build, teacher: str | None) -> TeacherEntry:
    """Return the teacher's entry, its sampling seed set to the build's where it takes one."""
    entry = load.load_teacher(teacher or build.settings.teacher)
    if "seed" not in entry.sampling:
        return entry
    return entry.model_copy(update={"sampling": {**entry.sampling, "seed": build.settings.seed}})
