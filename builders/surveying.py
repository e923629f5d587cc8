"""How a model is asked about all rows of a dataset, some samples each: what every such stage shares.

Stands between a dataset of questions and the batches that read the replies. Asking gets what is still owed into the
store; whoever reads it later asks nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, groupby
from pathlib import Path
from typing import Any

import pyarrow as pa

from ferbuild.builders import estimate, meter, sending
from ferbuild.builders.build import Build
from ferbuild.builders.estimate import Confirm
from ferbuild.builders.record import Row
from ferbuild.builders.replies import Reply, Request
from ferbuild.builders.shards import Slice
from ferbuild.builders.sources.listing import Listing
from ferbuild.builders.stage import Job, Plan
from ferbuild.builders.teacher import AskOptions, Teacher, open_teacher
from ferbuild.manifests.schema import TeacherEntry

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Survey:
    """Who is asked, what of a row, and what is thought of a reply when it comes."""

    entry: TeacherEntry
    store: Path
    samples: int
    """Replies to a row."""
    requests: Callable[[pa.Table], Iterator[Request]]
    """What some rows are asked, all samples of a row one after another; its `id` is the row's."""
    judge: Callable[[Row, Reply], tuple[str, bool, bool]] | None = None
    """See `meter.Judge`; it is given the row's `columns`. None: what a reply is worth is not known when it comes."""
    columns: Sequence[str] = ()
    asked_of_each: int = 1
    """Requests of a row, each as often as there are samples."""

    def open(self, build: Build, options: AskOptions) -> Teacher:
        return open_teacher(self.entry, store=self.store, options=options, own=build.settings.own)


def try_all(
    build: Build, entry: TeacherEntry, listings: Sequence[Listing], options: AskOptions, *, upstream: Plan
) -> None:
    """FerError, before any work, for what would fail after hours of it; `listings`: the releases that are shown."""
    settings = build.settings
    asked = open_teacher(entry, store=settings.store, options=options, own=settings.own)
    urls = options.endpoints or entry.endpoints
    closed = sending.refuse_closed_pictures(urls, listings, settings.own, options.may_send)
    sending.note_sent(settings.store, closed)
    if build.is_stale(upstream):
        asked.ready()


def ask(
    build: Build,
    survey: Survey,
    jobs: Sequence[Job],
    options: AskOptions,
    confirm: Confirm | None = None,
    *,
    also: Sequence[Survey] = (),
) -> bool:
    """Have the model get what it still owes of the slices in `jobs`; tell whether it was to be asked.

    `confirm` is shown what it would cost, after a handful was asked; with its no, nothing more is. `also`: what the
    same rows will be asked after that, by calls of their own; what is shown is the cost of all.
    """
    rows = Rows(survey)
    total = _requests(survey, jobs)
    judge = rows.judge if survey.judge else None
    if confirm:
        build.began("estimate")
        teacher = survey.open(build, options)
        every = [survey, *also]
        asked = chain.from_iterable(one.requests(job.work.read()) for one in every for job in jobs)
        stored, of_all = estimate.count_stored(teacher, asked), sum(_requests(one, jobs) for one in every)
        found = estimate.pilot(teacher, rows.handful(jobs), of_all, survey.entry, options, stored=stored, judge=judge)
        if not confirm(found):
            return False
        options = replace(options, budget=left(options.budget, found.spent))
    build.began("ask")
    told = meter.metered(build, survey.entry, total, judge)
    halt = survey.open(build, options).ask(rows.all(jobs), told)
    meter.end(build, told)
    if halt:
        log.warning("stopped: %s. %s", halt.reason, halt.hint)
    return True


def _requests(survey: Survey, jobs: Sequence[Job]) -> int:
    return survey.samples * survey.asked_of_each * sum(job.rows for job in jobs)


def left(budget: float | None, spent: float | None) -> float | None:
    """Return what is left of a budget, US dollars; None where there is none."""
    return None if budget is None else max(budget - (spent or 0.0), 0.0)


@dataclass(slots=True)
class Rows:
    """The rows that are under way, so that a reply can be judged when it comes."""

    survey: Survey
    pending: dict[tuple[str, int], Mapping[str, Any]] = field(default_factory=dict)

    def all(self, jobs: Sequence[Job]) -> Iterator[Request]:
        return chain.from_iterable(self.requests(job.work.read()) for job in jobs)

    def handful(self, jobs: Sequence[Job]) -> Iterator[Request]:
        """Yield one sample of each of a few rows: many rows tell more of the rest than many samples."""
        for job, at in estimate.handful(jobs):
            piece: Slice = job.work
            table = piece.read().take(pa.array(at, pa.int64()))
            for _, samples in groupby(self.requests(table), key=lambda request: request.id):
                yield next(samples)

    def requests(self, table: pa.Table) -> Iterator[Request]:
        if self.survey.judge is None:
            yield from self.survey.requests(table)
            return
        known = {row["id"]: row for row in table.select(["id", *self.survey.columns]).to_pylist()}
        for request in self.survey.requests(table):
            self.pending[request.id, request.sample] = known[request.id]
            yield request

    def judge(self, request: Request, reply: Reply) -> tuple[str, bool, bool]:
        """Return what the meter tells of a reply."""
        assert self.survey.judge is not None
        return self.survey.judge(self.pending.pop((request.id, request.sample)), reply)
