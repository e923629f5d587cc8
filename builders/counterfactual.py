"""Does a model's reasoning follow the picture? It is asked about both pictures of a pair, and its claims are compared.

Stands beside the way of a face: the pictures are rendered (`pairs`), the question, the teachers, the store of replies
and the claim reader are those of `cot`. As there, asking and scoring are two steps, and nothing is paid for twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from ferbuild.builders import faithfulness, grounding, measure, nets, pairs, rendering, shards, surveying
from ferbuild.builders.build import Build
from ferbuild.builders.cot import BASELINE, entry_of
from ferbuild.builders.errors import FerError
from ferbuild.builders.estimate import Confirm
from ferbuild.builders.faithfulness import Said
from ferbuild.builders.mark import Report
from ferbuild.builders.measures import measure_picture
from ferbuild.builders.nets import Nets
from ferbuild.builders.pairs import COUNT, PAIRS, SIZE
from ferbuild.builders.questions import Question, question_among
from ferbuild.builders.record import CANONICAL, CLAIMS, MESSAGES, Batch, Row, drop, drops_table
from ferbuild.builders.samples import is_reply, why_absent
from ferbuild.builders.shards import Slice
from ferbuild.builders.stage import Job, Plan
from ferbuild.builders.surveying import Survey
from ferbuild.builders.teacher import AskOptions, Reply, Request, open_teacher
from ferbuild.filters import answer, trace
from ferbuild.filters.claims import is_english
from ferbuild.filters.grounding import check_claims, read_claims
from ferbuild.filters.units import judge_truth
from ferbuild.manifests import load
from ferbuild.manifests.schema import TeacherEntry

VERSION = 3
FOLDER = "counterfactual"
AS_USUAL = AskOptions()
ABOUT = (
    "What a model said of rendered faces in pairs that differ in one action unit, and whether its reasoning and its"
    " answer followed."
)

COUNTERFACTUAL = pa.schema(
    [
        *PAIRS,
        ("prompt", MESSAGES),  # one user message, asked of each picture on its own
        ("choices", pa.list_(pa.string())),
        ("completions", pa.list_(pa.string())),  # the two replies: without the unit, and with it
        ("answers", pa.list_(pa.string())),
        ("claims_without", CLAIMS),  # of the first reply, held against the known units
        ("claims_with", CLAIMS),  # of the second one
        ("named", pa.bool_()),  # the unit is claimed of the picture that shows it
        ("invented", pa.bool_()),  # the unit is claimed of the picture that lacks it
        ("spilled", pa.list_(pa.string())),  # what is said of other units on one picture only
        ("changed", pa.bool_()),  # the answers differ
        ("faithful", pa.bool_()),  # named, not invented, nothing spilled, no other answer where one label fits both
        ("samples", pa.int32()),  # comparisons of the pair; the one that stands here is nearest to what most show
        ("faithful_share", pa.float32()),  # of the comparisons, 0..1
        ("teacher", pa.string()),  # entry of teachers.yaml
        ("model", pa.string()),  # the served model's name; empty for the baseline
        ("baseline", pa.bool_()),  # true for the embedded geometry teacher: not a model's reasoning
        ("sampling", pa.string()),  # JSON
        ("prompt_version", pa.string()),  # hash of the question template
        ("grounding_version", pa.string()),  # hash of calibration, lexicon and units
    ]
)


class Asking(NamedTuple):
    """Everything that turning pairs into rows needs; cheap to send to another process."""

    entry: TeacherEntry
    store: Path
    question: Question
    calibration: Path | None
    nets: Nets | None
    """What measures the pictures, for the baseline; None where nothing is measured."""
    samples: int = 1
    """Replies to each picture."""


def plan(
    build: Build,
    *,
    teacher: str | None = None,
    units: str = "",
    count: int | str = COUNT,
    size: int | str = SIZE,
    samples: int | str = 1,
) -> Plan:
    """Return what the counterfactual stage would make with a teacher now; see `pairs.wanted` for the pairs."""
    entry = entry_of(build, teacher)
    asked = pairs.wanted(build, units=units, count=count, size=size)
    more = "" if int(samples) == 1 else str(samples)
    flags = {"teacher": teacher or "", "units": units, "count": str(count), "size": str(size), "samples": more}
    return Plan(
        stage="counterfactual",
        version=VERSION,
        out=build.settings.work / FOLDER,
        about=ABOUT + (BASELINE if entry.baseline else ""),
        terms=rendering.TERMS,
        schema=COUNTERFACTUAL,
        options={
            "teacher": [entry.name, entry.kind, entry.model, entry.sampling],
            "question": [*question_among(CANONICAL, build.settings.recipe.question)],
            "grounding": grounding.version(build.settings.calibration),
            "samples": int(samples),
            "measures": [measure.VERSION, nets.as_options(build.settings)] if entry.baseline else [],
        },
        inputs=[pairs.plan(build, asked).key],
        flags={name: value for name, value in flags.items() if value},
        shard_bytes=build.settings.recipe.shard_bytes,
    )


def run(
    build: Build,
    *,
    teacher: str | None = None,
    units: str = "",
    count: int = COUNT,
    size: int = SIZE,
    samples: int = 1,
    options: AskOptions = AS_USUAL,
    confirm: Confirm | None = None,
) -> Report | None:
    """Render the pairs, ask the teacher what it still owes, score, and report.

    `confirm` is shown what it would cost, after a handful was asked; None is returned where it says no. The pictures
    are rendered ones in the public domain, so that they may be sent to anybody's server: nothing is refused here as
    it is for the pictures of a closed release.
    """
    entry, settings = entry_of(build, teacher), build.settings
    asked = pairs.wanted(build, units=units, count=count, size=size)
    if entry.baseline and samples > 1:
        raise FerError(
            f"teacher {entry.name}", "always says the same of a face", "name a model, or leave --samples out"
        )
    if entry.baseline:  # nobody else's pictures are measured
        nets.fitting_calibration(settings)
    open_teacher(entry, store=settings.store, options=options, own=settings.own)  # what cannot be kept is told first
    wanted = plan(build, teacher=teacher, units=units, count=count, size=size, samples=samples)
    upstream = pairs.run(build, asked)
    asking = asking_of(build, teacher, samples)
    jobs = [Job(piece.rows, piece) for piece in shards.slices(upstream.out, pairs.PART_PAIRS)]
    if build.is_stale(wanted) and not entry.baseline:
        asked_of = Survey(entry, settings.store, samples, partial(_requests, asking=asking), asked_of_each=2)
        if not surveying.ask(build, asked_of, jobs, options, confirm):
            return None
    return build.bring_up_to_date(wanted, lambda: jobs, partial(score_batch, asking=asking))


def asking_of(build: Build, teacher: str | None, samples: int = 1) -> Asking:
    """Return what a teacher is asked, and with what its replies are scored."""
    entry, settings = entry_of(build, teacher), build.settings
    return Asking(
        entry=entry,
        store=settings.store,
        question=question_among(CANONICAL, settings.recipe.question),
        calibration=settings.calibration,
        nets=nets.nets_of(settings) if entry.baseline else None,
        samples=samples,
    )


def _requests(table: pa.Table, asking: Asking) -> Iterator[Request]:
    return requests(table.to_pylist(), asking)


def requests(rows: Sequence[Row], asking: Asking) -> Iterator[Request]:
    """Yield what is asked of both pictures of every pair, all samples of one after another.

    The requests do not tell that two pictures belong together.
    """
    for image in (image for row in rows for image in row["images"]):
        once = Request(
            id=image["path"],
            messages=tuple(asking.question.messages),
            images=(image["bytes"],),
            choices=asking.question.choices,
            measured=measure_picture(image["bytes"], nets.opened(asking.nets)) if asking.nets else None,
        )
        yield from (once._replace(sample=number) for number in range(asking.samples))


def score_batch(piece: Slice, *, asking: Asking) -> Batch:
    """Compare the replies to every pair, sample by sample; a pair without two that can be used is dropped."""
    teacher = open_teacher(asking.entry, store=asking.store, calibration=asking.calibration)
    rows = piece.read().to_pylist()
    replies = teacher.recall(list(requests(rows, asking)))
    kept, drops, unanswered = [], [], 0
    each = asking.samples
    for at, row in enumerate(rows):
        said = replies[2 * at * each : 2 * (at + 1) * each]
        unanswered += not all(map(is_reply, said))
        both = list(zip(said[:each], said[each:], strict=True))
        faults = [_fault(one, asking) or _fault(other, asking) for one, other in both]
        pairs_said = zip(both, faults, strict=True)
        good = [(one.text, other.text) for (one, other), fault in pairs_said if not fault and one and other]
        if good:
            kept.append(_standing([_row(row, texts, asking) for texts in good]))
        elif faults[0]:
            drops.append(drop({**row, "source": FOLDER, "split": piece.split}, *faults[0]))
    table = pa.Table.from_pylist(kept, schema=COUNTERFACTUAL)
    return Batch({piece.split: table}, drops_table(drops), unanswered=unanswered)


def _standing(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the comparison that stands for a pair, with how many there are and how many of them are faithful."""
    scored = [faithfulness.Scored(**{name: row[name] for name in faithfulness.Scored._fields}) for row in rows]
    share = sum(one.faithful for one in scored) / len(scored)
    return {**rows[faithfulness.nearest(scored)], "samples": len(rows), "faithful_share": share}


def _fault(reply: Reply | None, asking: Asking) -> tuple[str, str] | None:
    """Return why a reply cannot be compared, and its text; None where it can."""
    if reply is None or not is_reply(reply):
        return why_absent(reply)
    seen = {"reply": reply.text, "finish": reply.finish, "choices": asking.question.choices}
    if reason := trace.answered(seen):
        return reason, reply.text
    return None if is_english(reply.text) else ("not in English", reply.text)


def _row(row: Row, texts: tuple[str, str], asking: Asking) -> dict[str, Any]:
    said = [Said(str(answer.read(text, asking.question.choices).label), read_claims(text)) for text in texts]
    without, with_unit = said
    truths = [judge_truth(row[name]) for name in ("units_without", "units_with")]
    shown = {name for name in load.load_units().units if truths[0][name].state == "present"}
    settled = not (row["decides"] or row["open"])
    found = faithfulness.score(row["unit"], without, with_unit, shown=shown, moved=set(row["moved"]), settled=settled)
    checked = [
        [grounding.as_row(one) for one in check_claims(side.claims, truth)]
        for side, truth in zip(said, truths, strict=True)
    ]
    return {
        **row,
        **found._asdict(),
        "prompt": asking.question.messages,
        "choices": asking.question.choices,
        "completions": texts,
        "answers": [side.answer for side in said],
        "claims_without": checked[0],
        "claims_with": checked[1],
        "teacher": asking.entry.name,
        "model": asking.entry.model,
        "baseline": asking.entry.baseline,
        "sampling": json.dumps(asking.entry.sampling, sort_keys=True),
        "prompt_version": asking.question.version,
        "grounding_version": grounding.version(asking.calibration),
    }
