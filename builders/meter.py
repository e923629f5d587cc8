"""What is told while a model is asked: how fast, at what cost, for how long still, and how its replies fare.

Stands beside the way of a face: it hears of every request that is through, and changes nothing.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NamedTuple

from ferbuild.builders.build import Build
from ferbuild.builders.prices import dollars
from ferbuild.builders.replies import GAVE_UP, Reply, Request, Usage
from ferbuild.manifests.schema import TeacherEntry

log = logging.getLogger(__name__)

TELL_EVERY_S = 0.5
OF_LATE_S = 30.0
"""Seconds that rates are taken over: what a pause for a busy server costs shows, and is forgotten."""
NOTHING = Usage()

Judge = Callable[[Request, Reply], tuple[str, bool, bool]]
"""What a stage thinks of a reply: its row's label, whether it answers with it, whether every check lets it pass."""


class Agreement(NamedTuple):
    """How many replies on faces of one label answer with it."""

    agree: int
    replies: int

    @property
    def share(self) -> float:
        """0..1."""
        return self.agree / self.replies


class Point(NamedTuple):
    """A moment of the run: seconds of the clock, replies and tokens got until then."""

    at: float
    got: int
    tokens: int


@dataclass(slots=True)
class Meter:
    """A `Watch` that counts. `told` gets the number of requests through and the line to show, twice a second."""

    entry: TeacherEntry
    total: int
    """Requests, those stored already included."""
    judge: Judge | None = None
    told: Callable[[int, str], None] = lambda through, line: None
    clock: Callable[[], float] = time.monotonic
    """Seconds."""
    through: int = 0
    got: int = 0
    """Replies that were got now, and so paid for."""
    gave_up: int = 0
    not_asked: int = 0
    usage: Usage = NOTHING
    """Of what was got now."""
    kept: int = 0
    labels: dict[str, Agreement] = field(default_factory=dict)
    points: deque[Point] = field(init=False)
    began: float = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.clock()
        self.points = deque([Point(self.began, 0, 0)])

    def __call__(self, request: Request, reply: Reply | None, now: bool) -> None:
        """Count one request that is through, and tell of it where it is time."""
        self.through += 1
        if reply is None:
            self.not_asked += 1
        elif reply.outcome == GAVE_UP:
            self.gave_up += 1
        else:
            self._count(request, reply, now)
        moment = self.clock()
        if moment - self.points[-1].at >= TELL_EVERY_S or self.through == self.total:
            self._remember(moment)
            self.told(self.through, self.line())

    @property
    def stored(self) -> int:
        """Requests that were answered before this run."""
        return self.through - self.got - self.gave_up - self.not_asked

    @property
    def cost(self) -> float | None:
        """US dollars of what was got now; None where the entry names no prices."""
        return dollars(self.entry, self.usage)

    @property
    def judged(self) -> int:
        return sum(one.replies for one in self.labels.values())

    def worst_first(self) -> dict[str, Agreement]:
        """Return the agreement of every label, the least of them first."""
        return dict(sorted(self.labels.items(), key=lambda item: (item[1].share, item[0])))

    def rates(self) -> tuple[float, float] | None:
        """Return replies and tokens a second of late; None where none came, or it began only now."""
        first, last = self.points[0], self.points[-1]
        if last.got == first.got or last.at - first.at < TELL_EVERY_S:
            return None
        seconds = last.at - first.at
        return (last.got - first.got) / seconds, (last.tokens - first.tokens) / seconds

    def line(self) -> str:
        """Return one line of figures, without the count of requests."""
        parts = []
        if rates := self.rates():
            left = timedelta(seconds=round((self.total - self.through) / rates[0]))
            parts = [f"{rates[0]:,.1f}/s", f"{rates[1]:,.0f} tokens/s", f"{left} left"]
        if (cost := self.cost) is not None:
            parts.append(money(cost))
        if self.gave_up:
            parts.append(f"{self.gave_up:,} came to nothing")
        if judged := self.judged:
            agreeing = (f"{label} {one.share:.0%}" for label, one in self.worst_first().items())
            parts += [f"kept {self.kept / judged:.0%}", f"agree: {' '.join(agreeing)}"]
        return ", ".join(parts)

    def summary(self) -> str:
        """Return what is to be said in the end."""
        tokens = f"{self.usage.read:,} tokens read and {self.usage.written:,} written"
        parts = [f"asked {self.got + self.gave_up:,} in {timedelta(seconds=round(self.clock() - self.began))}", tokens]
        if (cost := self.cost) is not None:
            parts.append(money(cost))
        counts = {"were stored before": self.stored, "came to nothing": self.gave_up, "not asked": self.not_asked}
        parts += [f"{count:,} {what}" for what, count in counts.items() if count]
        text = f"{self.entry.name}: {', '.join(parts)}"
        if not (judged := self.judged):
            return text
        agreeing = (f"{label} {one.share:.0%} of {one.replies:,}" for label, one in self.worst_first().items())
        return f"{text}; kept {self.kept / judged:.1%} of {judged:,} replies; agreement: {', '.join(agreeing)}"

    def as_json(self) -> dict[str, Any]:
        """Return the figures of the run."""
        return {
            "teacher": self.entry.name,
            "requests": self.total,
            "got": self.got,
            "stored": self.stored,
            "gave up": self.gave_up,
            "not asked": self.not_asked,
            "tokens": self.usage._asdict(),
            "cost": self.cost,
            "seconds": round(self.clock() - self.began, 3),
            "kept": self.kept,
            "agreement": {label: one._asdict() for label, one in self.worst_first().items()},
        }

    def _count(self, request: Request, reply: Reply, now: bool) -> None:
        if now:
            self.got += 1
            self.usage = Usage(self.usage.read + reply.usage.read, self.usage.written + reply.usage.written)
        if self.judge:
            label, agrees, kept = self.judge(request, reply)
            before = self.labels.get(label, Agreement(0, 0))
            self.labels[label] = Agreement(before.agree + agrees, before.replies + 1)
            self.kept += kept

    def _remember(self, moment: float) -> None:
        self.points.append(Point(moment, self.got, sum(self.usage)))
        while len(self.points) > 2 and self.points[1].at <= moment - OF_LATE_S:
            self.points.popleft()


def metered(build: Build, entry: TeacherEntry, total: int, judge: Judge | None = None, *, stage: str = "ask") -> Meter:
    """Return a meter that tells of `stage` where the build tells of its progress."""

    def told(through: int, line: str) -> None:
        build.note(line)
        if build.tick:
            build.tick(stage, through, total)

    return Meter(entry, total, judge, told)


def end(build: Build, meter: Meter) -> Mapping[str, Any]:
    """Say in one line what was asked, and leave the figures with the build; return them."""
    log.info("%s", meter.summary())
    build.asked.append(meter.as_json())
    return build.asked[-1]


def money(amount: float) -> str:
    """Return US dollars as a person reads them: cents, and of less than a dollar four digits."""
    return f"${amount:,.2f}" if amount >= 1 else f"${amount:.4f}"
