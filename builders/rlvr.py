"""Faces become questions whose answer a program can check, in the columns that GRPO trainers take."""

from __future__ import annotations

import json
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple, Unpack

import pyarrow as pa

from ferbuild.builders import difficulty, faces, measure, pool, shards, training_rows
from ferbuild.builders.build import Build
from ferbuild.builders.difficulty import Questions
from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.builders.estimate import Confirm
from ferbuild.builders.files import file_sha256
from ferbuild.builders.kinds import FORMS_OF, KINDS, NEED_COUNTS, NEED_MEASURES, rows, votes
from ferbuild.builders.kinds.drawing import base
from ferbuild.builders.kinds.made import DRAWN, Context, Words, chosen
from ferbuild.builders.kinds.rows import MEASURED
from ferbuild.builders.mark import Report
from ferbuild.builders.measures import MEASURES
from ferbuild.builders.questions import as_options, questions
from ferbuild.builders.record import DROPS, FACES, RLVR, Batch
from ferbuild.builders.shards import Slice
from ferbuild.builders.shown import enlarged
from ferbuild.builders.stage import Plan, Settled
from ferbuild.builders.teacher import AskOptions
from ferbuild.builders.training_rows import Pairs
from ferbuild.manifests.load import load_confusable
from ferbuild.manifests.recipe import KindOptions
from ferbuild.prompts.render import template_version, wordings

VERSION = 3
FOLDER = "rlvr"
ABOUT = "Questions about the expression in a face, with an answer a program can check."
LOW_CONSENSUS = "low consensus"
AS_USUAL = AskOptions()
ASKED_ROWS = 20_000
"""Faces of a job, which holds no pictures: a job opens its shard anew, and small parts are written in more time than
their questions are made."""


class Flags(difficulty.Flags, total=False):
    """What the command line asks of the questions; all may be text, as a mark holds them."""

    measures: bool | str
    """Have the columns that a claim about the face can be held against."""
    kinds: str
    """Names with commas between, in the place of the recipe's."""
    min_consensus: float | str
    """A face whose leading expression has a smaller share of its votes is dropped, 0..1."""
    confusions: str
    """JSON: canonical label to what it is taken for, with a number, in the place of the shipped table."""


class Asking(NamedTuple):
    """All that a job of questions takes; sent to every worker."""

    contexts: tuple[Context, ...]
    """One a kind, in order."""
    benchmarks: Pairs
    schema: pa.Schema
    min_consensus: float = 0.0


def schema_of(*, measured: bool) -> pa.Schema:
    """Return the columns: with `measured` also what a claim about the face can be held against."""
    return pa.schema([*RLVR, FACES.field("units"), *map(MEASURES.field, MEASURED)]) if measured else RLVR


def plan(build: Build, **flags: Unpack[Flags]) -> Plan:
    """Return what the rlvr stage would make of the faces now."""
    made = plan_of(build, "rlvr", FOLDER, flags)
    return difficulty.plan(build, made, flags) if difficulty.is_asked(flags) else made


def plan_of(build: Build, stage: str, folder: str, flags: Flags) -> Plan:
    """Return the plan of a stage that makes these questions; FerError for a kind that nobody knows."""
    asked, recipe = kinds_of(build, flags), build.settings.recipe
    needs = bool(flags.get("measures")) or not NEED_MEASURES.isdisjoint(asked)
    return Plan(
        stage=stage,
        version=VERSION,
        out=build.settings.work / folder,
        about=ABOUT,
        schema=schema_of(measured=bool(flags.get("measures"))),
        options={**_options(build, flags), **enlarged(recipe.picture)},
        inputs=[(measure.plan(build) if needs else faces.plan(build)).key],
        flags=as_text(flags),
        shard_bytes=recipe.shard_bytes,
    )


def as_text(flags: Flags) -> dict[str, str]:
    """Return the flags that say something, as a mark holds them."""
    measured = {"measures": "yes"} if flags.get("measures") else {}
    least = float(flags.get("min_consensus") or 0)
    named = {name: str(flags.get(name)) for name in ("kinds", "confusions") if flags.get(name)}
    return measured | named | ({"min_consensus": f"{least:g}"} if least else {})


def run(
    build: Build, *, options: AskOptions = AS_USUAL, confirm: Confirm | None = None, **flags: Unpack[Flags]
) -> Report | None:
    """Bring the faces, the measures where they are needed, then the questions up to date; return what was done.

    Where a student's pass rates are wanted it is asked (see `difficulty.run`); None: `confirm` says no to the price.
    """
    made = plan_of(build, "rlvr", FOLDER, flags)
    if not difficulty.is_asked(flags):
        return run_as(build, made, flags)
    made_first = Questions(made, lambda planned: run_as(build, planned, flags))
    return difficulty.run(build, questions=made_first, flags=flags, options=options, confirm=confirm)


def run_as(build: Build, planned: Plan, flags: Flags) -> Report:
    """Make the questions that `plan_of` planned with these flags."""
    upstream = faces.run(build)
    where = None
    if flags.get("measures") or not NEED_MEASURES.isdisjoint(kinds_of(build, flags)):
        measure.run(build)
        measured = measure.plan(build)
        where = (measured.out, measured.key)
    asking = Asking(
        tuple(contexts(build, flags, where)),
        build.benchmarks,
        planned.schema,
        float(flags.get("min_consensus") or 0),
    )
    if build.settings.recipe.picture.enlarge_to:
        jobs = partial(training_rows.jobs, upstream.out, build.benchmarks)
        return build.bring_up_to_date(planned, jobs, partial(ask_batch, asking=asking))
    jobs = partial(training_rows.jobs, upstream.out, build.benchmarks, ASKED_ROWS)
    asking = asking._replace(schema=rows.held(planned.schema))
    return build.bring_up_to_date(
        planned,
        jobs,
        partial(ask_batch, asking=asking),
        settle=partial(filled, folder=upstream.out, schema=planned.schema),
        held=asking.schema,
        engine=pool.in_threads,
    )


def filled(kept: object, *, folder: Path, schema: pa.Schema) -> Settled:
    """Have rows filled in from the faces in `folder` as the shards are laid out; nothing is dropped."""
    opened = lru_cache(maxsize=2)(lambda shard: shards.read_stream(folder / shard, rows.OF_FACES))
    pick = partial(rows.filled, schema=schema, opened=opened)
    return Settled(pick, DROPS.empty_table(), weigh=rows.weight)


def ask_batch(piece: Slice, *, asking: Asking) -> Batch:
    """Return the questions of every kind about the training faces of a slice, and drop those that nobody agrees on."""
    table = piece.read()
    if "images" not in asking.schema.names:
        table = rows.located(table, f"{piece.split}/{piece.path.name}", piece.start)
    table, drops = agreed(training_rows.trained(table, asking.benchmarks), asking.min_consensus)
    if not all(context.plain for context in asking.contexts):
        table = drawn_once(table, asking.contexts[0].seed)
    made = [asked(table, context, asking.schema) for context in asking.contexts]
    return Batch({piece.split: pa.concat_tables(made)}, drops, made_of=table.num_rows)


def drawn_once(table: pa.Table, seed: int) -> pa.Table:
    """Return faces with the random bits that all kinds draw from."""
    return table.append_column(DRAWN, pa.array(base(table["id"], seed)))


def asked(table: pa.Table, context: Context, schema: pa.Schema) -> pa.Table:
    """Return the questions of one kind about some faces; columnar, no picture is decoded."""
    some = chosen(table, context)
    return rows.table(some, KINDS[context.kind](some, context), context, schema)


def agreed(table: pa.Table, least: float) -> tuple[pa.Table, pa.Table]:
    """Return the faces without votes, or whose leading expression has this share of them, and the others as DROPS."""
    if not least:
        return table, DROPS.empty_table()
    share = votes.agreement(table)
    low = share < least  # false where there are no votes
    if not low.any():
        return table, DROPS.empty_table()
    gone = table.filter(pa.array(low))
    columns = {name: gone[name] for name in DROPS.names if name in gone.schema.names}
    said = {"reason": [LOW_CONSENSUS] * gone.num_rows, "detail": [f"{one:.2f}" for one in share[low]]}
    dropped = pa.table({**columns, **said}).select(DROPS.names).cast(DROPS)
    return table.filter(pa.array(~low)), dropped


def kinds_of(build: Build, flags: Flags) -> dict[str, KindOptions]:
    """Return the kinds to ask with their options, in order: the recipe's, or those that the command line names.

    FerError where a name is no kind's, or stands twice.
    """
    recipe, where = build.settings.recipe, f"recipe {build.settings.recipe.name}: questions"
    listed = [one for entry in recipe.questions for one in entry.items()]
    if named := str(flags.get("kinds") or ""):
        own, where = dict(listed), "--kinds"
        listed = [(name, own.get(name, KindOptions())) for name in (part.strip() for part in named.split(","))]
    found: dict[str, KindOptions] = {}
    for name, options in listed:
        if name not in KINDS:
            raise FerError(where, f"no kind of question is called {name!r}", did_you_mean(name, KINDS))
        if name in found:
            raise FerError(where, f"{name} stands twice", "name each kind once; `share` says of how many faces")
        found[name] = options
    return found


def contexts(build: Build, flags: Flags, measures: tuple[Path, str] | None) -> list[Context]:
    """Return what each kind is given; the faces must be up to date, since their labels are counted."""
    settings, confusions = build.settings, str(flags.get("confusions") or "")
    return [
        Context(
            kind=name,
            options=options,
            words=words_of(build, counted=not NEED_COUNTS.isdisjoint(kinds_of(build, flags))),
            templates=templates_of(name, options, settings.recipe.question),
            seed=settings.seed,
            split=training_rows.SPLIT,
            confusable={**load_confusable().weights, **(json.loads(confusions) if confusions else {})},
            picture=settings.recipe.picture,
            measures=measures,
            calibration=settings.calibration,
        )
        for name, options in kinds_of(build, flags).items()
    ]


def words_of(build: Build, *, counted: bool) -> dict[str, Words]:
    """Return the labels of every source, with how many training faces have each where they are to be counted."""
    counts = _counts(build) if counted else {}
    return {
        source.name: Words(
            tuple(source.candidates),
            tuple(source.canonical.get(word, word) for word in source.candidates),
            tuple(counts.get((source.name, word), 0) for word in source.candidates),
        )
        for source in (release.source for release in build.settings.releases)
    }


def templates_of(kind: str, options: KindOptions, first: str) -> dict[str, tuple[str, ...]]:
    """Return the wordings of a kind and of its other forms; of `choose`, the recipe's `question` is the first."""
    found = {name: wordings(name) for name in FORMS_OF.get(kind, (kind,))}
    if kind == "choose":
        found = {kind: list(dict.fromkeys([first, *found[kind]]))}
    return {name: tuple(known if options.wordings == "all" else known[:1]) for name, known in found.items()}


def _counts(build: Build) -> dict[tuple[str, str], int]:
    pieces = training_rows.jobs(build.settings.work / faces.FOLDER, build.benchmarks)
    tables = [training_rows.read(job.work, build.benchmarks).select(["source", "label"]) for job in pieces]
    if not tables:
        return {}
    found = pa.concat_tables(tables).group_by(["source", "label"]).aggregate([([], "count_all")]).to_pylist()
    return {(row["source"], row["label"]): row["count_all"] for row in found}


def _options(build: Build, flags: Flags) -> dict[str, Any]:
    """Return what of the questions enters the stage key."""
    kinds, settings = kinds_of(build, flags), build.settings
    found: dict[str, Any] = {
        "questions": as_options(questions(settings)),
        "kinds": [
            [name, options.model_dump(), _versions(name, options, settings.recipe.question)]
            for name, options in kinds.items()
        ],
    }
    if kinds != {"choose": KindOptions()}:  # else nothing is drawn
        words = {name: list(one.canonical) for name, one in words_of(build, counted=False).items()}
        found |= {"seed": settings.seed, "canonical": words}
    if not NEED_COUNTS.isdisjoint(kinds):
        found["confusions"] = flags.get("confusions") or load_confusable().weights
    if settings.calibration and not NEED_MEASURES.isdisjoint(kinds):
        found["calibration"] = file_sha256(settings.calibration)
    if least := float(flags.get("min_consensus") or 0):
        found["min_consensus"] = least
    return found


def _versions(kind: str, options: KindOptions, first: str) -> dict[str, list[str]]:
    found = templates_of(kind, options, first)
    return {name: [template_version(one) for one in known] for name, known in found.items()}
