"""How hard every question is for a student: it is asked all of them several times, and its pass rates choose and order.

Stands between the questions, which are then a stage of their own, and the rlvr dataset. Nothing is paid for twice:
another band, balance or share reads the replies that are stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, TypedDict

from ferbuild.builders import shards, surveying
from ferbuild.builders.build import Build
from ferbuild.builders.errors import FerError
from ferbuild.builders.estimate import Confirm
from ferbuild.builders.evaluation.baselines import program_of
from ferbuild.builders.evaluation.models import model_of
from ferbuild.builders.mark import Report
from ferbuild.builders.passing import SUSPECTS, Policy, balance_of, band_of, held, settle
from ferbuild.builders.rating import JUDGED, Asking, judged, rated_batch, requests, schema_of
from ferbuild.builders.stage import PART_ROWS, Job, Plan
from ferbuild.builders.surveying import Survey
from ferbuild.builders.teacher import AskOptions
from ferbuild.manifests.schema import TeacherEntry

VERSION = 1
FOLDER, QUESTIONS = "rlvr", "questions"
SAMPLES, KEEP = 8, "0.2-0.8"
"""Where nothing else is said."""
ABOUT = " {} answered each {} times; these are the questions of which it got a share right that leaves room to learn."
AS_USUAL = AskOptions()


class Flags(TypedDict, total=False):
    """The same as flags of the command, or as text, which a mark holds."""

    pass_rate: str
    model_id: str
    endpoint: str
    samples: int | str
    keep: str
    balance: str


def flags_of(
    model: str, options: AskOptions, *, model_id: str = "", samples: int = SAMPLES, keep: str = KEEP, balance: str = ""
) -> Flags:
    """Return the flags of asking a model (see `model_of`), without what is as usual; none where no model is named.

    FerError for what rests on a model's pass rates where none is named.
    """
    if not model and not model_id:
        given = {"--samples": samples != SAMPLES, "--keep": keep != KEEP, "--balance": bool(balance)}
        if name := next((name for name, said in given.items() if said), ""):
            raise FerError(name, "rests on the pass rates of a student", "name one with --pass-rate MODEL")
        return {}
    said: Flags = {"pass_rate": model, "model_id": model_id, "balance": balance}
    said["endpoint"] = options.endpoints[0] if model_id and not model and options.endpoints else ""
    said["samples"] = "" if samples == SAMPLES else samples
    said["keep"] = "" if keep == KEEP else keep
    return said


def is_asked(flags: Flags) -> bool:
    """Tell whether a student is to be asked."""
    return bool(flags.get("pass_rate") or flags.get("model_id"))


class Questions(NamedTuple):
    """The stage that makes the questions."""

    plan: Plan
    """Of the rlvr stage; see `apart`."""
    run: Callable[[Plan], Report]
    """Brings them up to date, by the plan that it is given."""


def apart(build: Build, made: Plan) -> Plan:
    """Return the plan of the questions, of which a dataset is chosen: the same rows in a folder of their own."""
    return replace(made, stage=QUESTIONS, out=build.settings.work / QUESTIONS)


def plan(build: Build, made: Plan, flags: Flags) -> Plan:
    """Return what choosing among the questions that `made` plans would make now; of `flags` those of Flags count."""
    asking, policy = asking_of(build, flags), policy_of(build, flags)
    entry, suspects = asking.entry, policy.consistency
    chosen = {
        "student": [entry.name, entry.kind, entry.model, entry.sampling],
        "samples": asking.samples,
        "choice": [VERSION, str(policy.band), str(policy.balance or ""), policy.seed],
        "suspects": [suspects.suspect_samples, suspects.suspect_share],
    }
    said = {name: str(value) for name, value in flags.items() if value and name in Flags.__annotations__}
    return replace(
        made,
        out=build.settings.work / FOLDER,
        schema=schema_of(made.schema),
        about=made.about + ABOUT.format(entry.model or entry.name, asking.samples),
        options={"chosen": chosen},
        inputs=[apart(build, made).key],
        flags={**made.flags, **said},
    )


def asking_of(build: Build, flags: Flags) -> Asking:
    """Return who is asked and how often; FerError for one of whom no pass rate can be taken."""
    name, samples = flags.get("pass_rate", ""), int(flags.get("samples") or SAMPLES)
    if samples < 2:
        raise FerError(f"--samples {samples}", "gives a pass rate of nothing or all", f"--samples {SAMPLES}, or so")
    if name and program_of(name, build):
        raise FerError(f"--pass-rate {name}", "is a baseline, which always says the same of a face", "name a model")
    endpoints, model_id = [flags["endpoint"]] if flags.get("endpoint") else [], flags.get("model_id", "")
    who = model_of(build, name, model_id=model_id, endpoints=endpoints, samples=samples, flag="--pass-rate")
    assert who.entry is not None
    return Asking(_seeing_two(who.entry), build.settings.store, samples)


def _seeing_two(entry: TeacherEntry) -> TeacherEntry:
    """Return the entry of an engine in this process so that it takes the two pictures that some kinds show."""
    limit = entry.engine.get("limit_mm_per_prompt")
    if not limit or limit.get("image", 2) >= 2:
        return entry
    return entry.model_copy(update={"engine": {**entry.engine, "limit_mm_per_prompt": {**limit, "image": 2}}})


def policy_of(build: Build, flags: Flags) -> Policy:
    """Return what is kept."""
    return Policy(
        samples=int(flags.get("samples") or SAMPLES),
        band=band_of(flags.get("keep") or KEEP),
        balance=balance_of(flags.get("balance", "")),
        consistency=build.settings.recipe.consistency,
        seed=build.settings.seed,
    )


def run(
    build: Build,
    *,
    questions: Questions,
    flags: Flags,
    options: AskOptions = AS_USUAL,
    confirm: Confirm | None = None,
) -> Report | None:
    """Bring the questions up to date, ask the student what it still owes, choose, and report.

    `confirm` is shown what it would cost, after a handful was asked; None is returned where it says no.
    """
    wanted, asking, made = plan(build, questions.plan, flags), asking_of(build, flags), apart(build, questions.plan)
    surveying.try_all(build, asking.entry, build.listings, options, upstream=made)
    upstream = questions.run(made)
    jobs = [Job(piece.rows, piece) for piece in shards.slices(upstream.out, PART_ROWS)]
    if build.is_stale(wanted):
        survey = Survey(asking.entry, asking.store, asking.samples, partial(requests, asking=asking), judged, JUDGED)
        if not surveying.ask(build, survey, jobs, options, confirm):
            return None
    chosen = partial(settle, policy=policy_of(build, flags), folder=upstream.out, schema=wanted.schema)
    work = partial(rated_batch, asking=asking)
    return build.bring_up_to_date(wanted, lambda: jobs, work, settle=chosen, held=held(wanted.schema))


def told(report: Report) -> Iterator[str]:
    """Yield what a person should know of the choice, a line each."""
    classes = report.tables.get("difficulty", ())
    if suspects := report.splits.get(SUSPECTS):
        kinds = Counter[str]()
        for row in classes:
            kinds[row["kind"]] += row["suspects"]
        of = ", ".join(f"{kind} {count:,}" for kind, count in kinds.items() if count)
        yield f"{suspects:,} likely label errors, in split {SUSPECTS}{f' ({of})' if len(kinds) > 1 else ''}"
    if short := [f"{_called(row)} {row['widened to']}" for row in classes if row["in band"] < row["at least"]]:
        yield f"too few in the band, taken from a wider one: {', '.join(short)}"
    if blind := [_called(row) for row in classes if row["always wrong alike"] > row["suspects"]]:
        yield f"mostly answered alike and wrong, which calls no label into question: {', '.join(blind)}"


def _called(row: Mapping[str, Any]) -> str:
    return " ".join(filter(None, (row["kind"], row["class"])))
