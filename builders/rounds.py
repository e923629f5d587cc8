"""Who is asked how often: every face so many times, or those again whose labels lose most, until enough is kept.

On the way of a face this stands before `traces`. Nothing is asked twice: what the store holds is through at once.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import pyarrow as pa

from ferbuild.builders import estimate, meter, training_rows
from ferbuild.builders.asking import Asking, hinted, requests
from ferbuild.builders.build import Build
from ferbuild.builders.errors import FerError
from ferbuild.builders.estimate import Estimate
from ferbuild.builders.replies import Reply, Request
from ferbuild.builders.samples import Judge
from ferbuild.builders.stage import Job
from ferbuild.builders.teacher import AskOptions, Halt, Teacher, open_teacher
from ferbuild.builders.traces import choices_of, may_hint
from ferbuild.filters import answer

log = logging.getLogger(__name__)

MOST_TRIES = 8
"""Samples of one face where a quota is to be filled and nothing else is said."""


class Quota(NamedTuple):
    """How many faces of a label are to be kept: a share of them, or a number."""

    share: float | None
    rows: int | None

    def __str__(self) -> str:
        """Return what `quota_of` reads."""
        return str(self.share if self.rows is None else self.rows)

    def wanted(self, faces: int) -> int:
        """Return the faces to keep of so many of one label."""
        return min(faces, self.rows) if self.rows is not None else math.ceil((self.share or 0.0) * faces)


def quota_of(text: str) -> Quota | None:
    """Read `--quota`: "0.8" is a share of every label, "5000" a number of faces; None where it is not given."""
    if not text:
        return None
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if 0 < share <= 1 and not text.isdigit():
        return Quota(share, None)
    if text.isdigit() and int(text) > 0:
        return Quota(None, int(text))
    raise FerError(f"--quota {text}", "is no quota", "write a share of every label, as in 0.8, or a number of faces")


@dataclass
class Asker:
    """Asks a teacher about the faces of a build, by rounds, within one budget."""

    build: Build
    asking: Asking
    options: AskOptions
    jobs: Sequence[Job]
    spent: float = 0.0
    """US dollars."""
    halt: Halt | None = None
    """Why the asking ended early; nothing more is asked then."""
    pending: dict[tuple[str, int], Mapping[str, Any]] = field(default_factory=dict)
    """Face and sample to its row, from when it is asked until a reply comes."""
    failing: dict[str, set[str]] = field(default_factory=dict)
    """Label (canonical) to the faces that no reply keeps yet."""
    faces: Counter[str] = field(default_factory=Counter)
    """Of each label."""

    def __post_init__(self) -> None:
        self.judge: Judge = self.asking.judge
        self.split = training_rows.SPLIT

    @property
    def rows(self) -> int:
        return sum(job.rows for job in self.jobs)

    def teacher(self) -> Teacher:
        """Return the teacher, with what is left of the budget."""
        budget = self.options.budget
        left = replace(self.options, budget=None if budget is None else max(budget - self.spent, 0.0))
        settings = self.build.settings
        return open_teacher(self.asking.entry, store=self.asking.store, options=left, own=settings.own)

    def ask_all(self, quota: Quota | None) -> None:
        """Ask about every face; then, for a quota, again about those of the labels that lack most; then with hints."""
        self._count_faces()
        self._ask("ask", self._first_round(), self._first_samples * self.rows)
        if quota:
            self._fill(quota)
        if self.asking.hints and not self.halt:
            total = sum(len(ids) for ids in self.failing.values())
            self._ask("ask with a hint", self._hints(), total, judged=False)
        if self.halt:
            log.warning("stopped: %s. %s", self.halt.reason, self.halt.hint)

    def estimate(self) -> Estimate:
        """Ask a handful, and return what all would take; of a quota, were every face asked as often as it may be."""
        self.build.began("estimate")
        total, teacher = self.rows * self.asking.samples, self.teacher()
        stored = estimate.count_stored(teacher, self._first_round())
        found = estimate.pilot(
            teacher, self._handful(), total, self.asking.entry, self.options, stored=stored, judge=self._judged
        )
        self.spent += found.spent or 0.0
        return found

    def _handful(self) -> Iterator[Request]:
        for job, rows in estimate.handful(self.jobs):
            yield from self._of(self._table(job).take(pa.array(rows, pa.int64())), sample=0)

    def _ask(self, stage: str, asked: Iterable[Request], total: int, *, judged: bool = True) -> None:
        """Have the teacher get what it still owes. What it says when it was told the label is not judged here."""
        self.build.began(stage)
        judge = self._judged if judged else None
        told = meter.metered(self.build, self.asking.entry, total, judge, stage=stage)
        self.halt = self.teacher().ask(asked, told)
        self.spent += told.cost or 0.0
        meter.end(self.build, told)

    @property
    def _first_samples(self) -> int:
        return 1 if self.asking.in_turn else self.asking.samples

    def _first_round(self) -> Iterator[Request]:
        for job in self.jobs:
            yield from self._of(self._table(job), sample=0 if self._first_samples == 1 else None)

    def _count_faces(self) -> None:
        for job in self.jobs:
            table = self._table(job).select(["canonical", "id"])
            for label, name in zip(*(column.to_pylist() for column in table.columns), strict=True):
                self.faces[label] += 1
                self.failing.setdefault(label, set()).add(name)

    def _fill(self, quota: Quota) -> None:
        """Ask again, a sample a round, where a label keeps fewer faces than it should."""
        for sample in range(1, self.asking.samples):
            lacking = [label for label in sorted(self.failing, key=self._kept_share) if self._lacks(label, quota)]
            if not lacking or self.halt:
                break
            total = sum(len(self.failing[label]) for label in lacking)
            self._ask(f"ask again ({sample + 1})", self._again(lacking, quota, sample), total)
        short = [label for label in sorted(self.failing) if self._lacks(label, quota)]
        if short:
            log.warning("the quota is not filled for: %s", ", ".join(short))

    def _again(self, labels: Sequence[str], quota: Quota, sample: int) -> Iterator[Request]:
        """Yield one more sample of the faces that nothing keeps: first those of the labels that lose most."""
        for label in labels:
            for request in self._failed(label, sample):
                if not self._lacks(label, quota):
                    break
                yield request

    def _failed(self, label: str, sample: int) -> Iterator[Request]:
        for job in self.jobs:
            table = self._table(job)
            failing = [at for at, name in enumerate(table["id"].to_pylist()) if name in self.failing[label]]
            yield from self._of(table.take(pa.array(failing, pa.int64())), sample=sample)

    def _hints(self) -> Iterator[Request]:
        for job in self.jobs:
            table = self._table(job)
            rows = table.select(["label", "votes"]).to_pylist()
            chosen = choices_of(table, self.split, self.asking)
            wrong = [at for at, one in enumerate(chosen) if may_hint(rows[at], one, self.asking)]
            yield from hinted(table.take(pa.array(wrong, pa.int64())), self.asking)

    def _of(self, table: pa.Table, sample: int | None) -> Iterator[Request]:
        rows = {row["id"]: row for row in table.select(["id", "label", "canonical"]).to_pylist()}
        for request in requests(table, self.split, self.asking, sample=sample):
            self.pending[request.id, request.sample] = rows[request.id]
            yield request

    def _table(self, job: Job) -> pa.Table:
        return training_rows.read(job.work, self.asking.benchmarks)

    def _judged(self, request: Request, reply: Reply) -> tuple[str, bool, bool]:
        """Return the label of the face, whether the reply answers with it, and whether it keeps the face."""
        row = self.pending.pop((request.id, request.sample))
        kept = self.judge.keeps(row, reply, request.choices)
        if kept:
            self.failing.get(row["canonical"], set()).discard(request.id)
        agrees = answer.read(reply.text, request.choices) == (row["label"], "ok")
        return row["canonical"], agrees, kept

    def _kept_share(self, label: str) -> float:
        return 1 - len(self.failing[label]) / self.faces[label]

    def _lacks(self, label: str, quota: Quota) -> bool:
        return self.faces[label] - len(self.failing[label]) < quota.wanted(self.faces[label])
