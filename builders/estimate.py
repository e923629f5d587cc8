"""What asking for all would cost: a handful is asked, its replies are stored, and the rest is reckoned from them.

Every figure bears an interval. Where it is of a mean it is Student's, at 90 %: in nine of ten handfuls the true mean
lies in it, as long as the handful is like the rest. What a server does under more load than the handful put on it
is not known from the handful: there the interval reaches from "as fast for each" to "no more in all".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from statistics import fmean, stdev
from typing import Any, NamedTuple

from scipy.special import stdtrit

from ferbuild.builders.errors import FerError
from ferbuild.builders.intervals import ONE_SIDED, wilson
from ferbuild.builders.meter import Judge
from ferbuild.builders.owing import LOOKED_UP
from ferbuild.builders.prices import dollars
from ferbuild.builders.replies import GAVE_UP, Reply, Request, Usage
from ferbuild.builders.stage import Job
from ferbuild.builders.teacher import AskOptions, Teacher
from ferbuild.manifests.schema import TeacherEntry

HANDFUL = 24
LEVEL = 0.9


class Range(NamedTuple):
    """A figure and the ends of its interval, which are None where one reply cannot tell of them."""

    value: float
    low: float | None
    high: float | None


class Trial(NamedTuple):
    """What one request of the handful came to."""

    usage: Usage
    seconds: float | None
    """From sending to the reply; None where it was stored before."""
    kept: bool | None = None
    """None where nobody judged it."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is still to be asked of a teacher, and what that would take."""

    teacher: str
    model: str
    requests: int
    """In all."""
    left: int
    """Not answered yet, the handful taken off."""
    concurrency: int
    trials: int
    """Replies that the figures rest on."""
    tried_now: int
    """Of these, those that were got now: times rest on them."""
    read: Range
    """Tokens of all that is left; see `Usage`."""
    written: Range
    cost: Range | None
    """US dollars; None where the entry names no prices."""
    seconds: Range | None
    """None where no time was measured, or where a batch takes its own."""
    kept: Range | None
    """Share of the handful, 0..1."""
    spent: float | None
    """US dollars that the handful cost."""
    notes: Sequence[str] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the figures; a range is {value, low, high}."""
        found = asdict(self)
        ranges = {name: value._asdict() for name in found if isinstance(value := getattr(self, name), Range)}
        return found | ranges | {"level": LEVEL, "notes": list(self.notes)}


Confirm = Callable[[Estimate], bool]
"""Shown the estimate; tells whether to go on."""


class Pilot(NamedTuple):
    """The handful, and what is known of the rest without asking."""

    trials: Sequence[Trial]
    faults: Sequence[str]
    """Why requests of the handful came to nothing."""
    halted: str = ""
    """Why the handful itself was not asked to its end."""


def pilot(
    teacher: Teacher,
    requests: Iterable[Request],
    total: int,
    entry: TeacherEntry,
    options: AskOptions,
    *,
    stored: int = 0,
    judge: Judge | None = None,
) -> Estimate:
    """Ask a handful and reckon what all would take.

    `requests` are the handful (see `handful`), at most HANDFUL of them are asked; `total` counts all requests, of
    which `stored` are answered already (see `count_stored`). FerError where not one of the handful is answered.
    """
    watched = _Watched(judge)
    halt = teacher.ask(watched.taken(islice(requests, HANDFUL)), watched)
    found = Pilot(watched.trials(options.concurrency), watched.faults, halt.hint if halt else "")
    if not found.trials:
        why = (*found.faults, found.halted, "there was nothing to ask")
        problem = f"none of the handful brought a reply: {next(text for text in why if text)}"
        raise FerError(f"teacher {teacher.name}", problem, "mend that first; nothing more was asked")
    fresh = sum(trial.seconds is not None for trial in found.trials)
    return reckon(found, entry, options, requests=total, left=max(total - stored - fresh, 0))


def reckon(found: Pilot, entry: TeacherEntry, options: AskOptions, *, requests: int, left: int) -> Estimate:
    """Return what `left` requests would take, going by the handful."""
    usages = [trial.usage for trial in found.trials]
    times = [trial.seconds for trial in found.trials if trial.seconds is not None]
    costs = [paid for usage in usages if (paid := dollars(entry, usage)) is not None]
    spent = [usage for usage, trial in zip(usages, found.trials, strict=True) if trial.seconds is not None]
    cost = _times(mean(costs), left) if costs else None
    return Estimate(
        teacher=entry.name,
        model=entry.model,
        requests=requests,
        left=left,
        concurrency=options.concurrency,
        trials=len(found.trials),
        tried_now=len(times),
        read=_times(mean([usage.read for usage in usages]), left),
        written=_times(mean([usage.written for usage in usages]), left),
        cost=cost,
        seconds=_seconds(entry, options, times, mean([sum(usage) for usage in usages]), left),
        kept=_kept([trial.kept for trial in found.trials if trial.kept is not None]),
        spent=dollars(entry, Usage(sum(u.read for u in spent), sum(u.written for u in spent))),
        notes=tuple(_notes(found, entry, options, cost)),
    )


def mean(values: Sequence[float]) -> Range:
    """Return the mean of at least one number, with the ends of Student's interval at LEVEL; no end is below 0."""
    middle = fmean(values)
    if len(values) < 2:
        return Range(middle, None, None)
    reach = float(stdtrit(len(values) - 1, (1 + LEVEL) / 2)) * stdev(values) / len(values) ** 0.5
    return Range(middle, max(middle - reach, 0.0), middle + reach)


def duration(left: int, latency: Range, tokens: Range, options: AskOptions, *, tried_at_once: int) -> Range:
    """Return the seconds that `left` requests take, of mean latency (seconds) and tokens a request.

    The value and the low end take it that each request of `concurrency` in flight is answered as fast as each of the
    `tried_at_once` of the handful; the high end that the server answers no more in all than it did then. `--rpm` and
    `--tpm` hold at either end.
    """

    def of(at_once: int, one: float, size: float) -> float:
        limits = [at_once / one if one > 0 else float("inf")]
        limits += [options.rpm / 60] if options.rpm else []
        limits += [options.tpm / 60 / size] if options.tpm and size > 0 else []
        return max(left / min(limits), one if left else 0.0)

    at_once = options.concurrency
    low, high = latency.low or latency.value, latency.high or latency.value
    return Range(
        of(at_once, latency.value, tokens.value),
        of(at_once, low, tokens.low or tokens.value),
        of(min(tried_at_once, at_once), high, tokens.high or tokens.value),
    )


def latencies(taken: Sequence[float], done: Sequence[float], concurrency: int) -> list[float]:
    """Return the seconds that each request was in flight, of the moments when it was taken on and was through.

    Of more requests than fit in flight, each waits for one before it to come back; that is no time of the server's.
    """
    free = sorted(done)
    starts = [at if n < concurrency else max(at, free[n - concurrency]) for n, at in enumerate(sorted(taken))]
    order = sorted(range(len(taken)), key=lambda n: taken[n])
    found = dict(zip(order, starts, strict=True))
    return [max(end - found[n], 0.0) for n, end in enumerate(done)]


def handful(jobs: Sequence[Job], count: int = HANDFUL) -> Iterator[tuple[Job, list[int]]]:
    """Yield the jobs that hold one of `count` rows spread evenly over all, with the places of these rows in them."""
    total = sum(job.rows for job in jobs)
    wanted = [(2 * n + 1) * total // (2 * count) for n in range(count)] if total > count else list(range(total))
    start = 0
    for job in jobs:
        inside = [at - start for at in wanted if start <= at < start + job.rows]
        if inside:
            yield job, inside
        start += job.rows


def count_stored(teacher: Teacher, requests: Iterable[Request]) -> int:
    """Return how many requests are answered already. Reads every picture, since a reply's key holds its sum."""
    waiting = iter(requests)
    stored = 0
    while chunk := list(islice(waiting, LOOKED_UP)):
        stored += sum(reply is not None and reply.outcome != GAVE_UP for reply in teacher.recall(chunk))
    return stored


@dataclass(slots=True)
class _Watched:
    """The handful under way: when each request was taken on, and what came of it."""

    judge: Judge | None
    faults: list[str] = field(default_factory=list)
    began: dict[tuple[str, int], float] = field(default_factory=dict)
    came: list[tuple[Request, Reply, float | None]] = field(default_factory=list)
    """With the moment where it was got now."""

    def taken(self, requests: Iterable[Request]) -> Iterator[Request]:
        for request in requests:
            self.began[request.id, request.sample] = time.monotonic()
            yield request

    def __call__(self, request: Request, reply: Reply | None, now: bool) -> None:
        if reply is None:
            return
        if reply.outcome == GAVE_UP:
            self.faults.append(reply.detail or GAVE_UP)
            return
        self.came.append((request, reply, time.monotonic() if now else None))

    def trials(self, concurrency: int) -> list[Trial]:
        fresh = [(self.began[one.id, one.sample], moment) for one, _, moment in self.came if moment is not None]
        waits = iter(latencies([at for at, _ in fresh], [end for _, end in fresh], concurrency))
        return [
            Trial(
                usage=reply.usage,
                seconds=None if moment is None else next(waits),
                kept=self.judge(request, reply)[2] if self.judge else None,
            )
            for request, reply, moment in self.came
        ]


def _seconds(
    entry: TeacherEntry, options: AskOptions, times: Sequence[float], tokens: Range, left: int
) -> Range | None:
    if not times or entry.kind == "batch":
        return None
    return duration(left, mean(times), tokens, options, tried_at_once=len(times))


def _kept(kept: Sequence[bool]) -> Range | None:
    """Return the share that is kept, with Wilson's interval at LEVEL."""
    if not kept:
        return None
    share = sum(kept) / len(kept)
    return Range(share, *wilson(share, len(kept), ONE_SIDED))


def _notes(found: Pilot, entry: TeacherEntry, options: AskOptions, cost: Range | None) -> Iterator[str]:
    """Yield what the figures leave out, or what they will run into."""
    if found.faults:
        yield f"{len(found.faults)} of the handful came to nothing, the first: {found.faults[0]}"
    if found.halted:
        yield f"the handful was not asked to its end: {found.halted}"
    if not any(sum(trial.usage) for trial in found.trials):
        yield "the server counts no tokens: of tokens and cost nothing is known"
    if entry.kind == "batch":
        yield "a batch takes up to 24 hours; its time cannot be told from a handful"
    elif all(trial.seconds is None for trial in found.trials):
        yield "the whole handful was stored before, so that no time was measured"
    if cost and options.budget is not None and options.budget < (cost.high or cost.value):
        yield f"the budget of ${options.budget:,.2f} may end the run before all is asked"


def _times(one: Range, count: int) -> Range:
    low, high = (None if end is None else end * count for end in (one.low, one.high))
    return Range(one.value * count, low, high)
