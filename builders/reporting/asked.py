"""What asking took: replies, tokens and cost over time, how they came out, and what was paid for nothing.

Read from the store of replies, which another process may be filling. Costs go by the prices in teachers.yaml today.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any

import orjson

from ferbuild.builders import prices, replied, replies
from ferbuild.builders.config import Settings
from ferbuild.builders.replied import Summary
from ferbuild.builders.replies import GAVE_UP, count_tokens
from ferbuild.builders.reporting.rows import short
from ferbuild.manifests import load
from ferbuild.manifests.schema import TeacherEntry

BINS = {"minute": 60, "hour": 3600, "day": 86_400, "week": 604_800, "four weeks": 2_419_200}
"""What a bar of the chart may span, in seconds."""
BARS = 120
"""Bars, at most."""
TEACHERS = 20
MINUTE = len("2026-11-27T00:00")
"""Letters of a time of the store up to its minute; it is UTC."""
SPELT = "%Y-%m-%d %H:%M"
SHARES = {"p50": 0.5, "p95": 0.95}


@dataclass(slots=True)
class Moment:
    """What came in a span of time."""

    replies: int = 0
    fruitless: int = 0
    """Attempts that brought nothing that stands."""
    read: int = 0
    """Tokens, those of fruitless attempts included."""
    written: int = 0
    cost: float = 0.0
    """US dollars, of teachers whose prices are known."""

    def add(self, other: Moment) -> None:
        self.replies += other.replies
        self.fruitless += other.fruitless
        self.read += other.read
        self.written += other.written
        self.cost += other.cost


Minutes = Mapping[datetime, Moment]


def of(settings: Settings) -> dict[str, Any]:
    """Return the figures of every teacher, and all of them over time; FerError where the store cannot be read."""
    found = replied.summary(settings.store)
    chosen = load.load_teacher(settings.teacher)
    entries = {one.teacher: prices.entry_of(one.teacher, chosen) for one in found}
    minutes, waits = _read(settings.store, entries)
    return {
        "requests": sum(one.requests for one in found),
        "teachers": [_teacher(one, entries[one.teacher], waits[one.teacher, one.model]) for one in found[:TEACHERS]],
        "left_out": len(found[TEACHERS:]),
        "over_time": over_time(minutes),
    }


def _read(
    store: Path, entries: Mapping[str, TeacherEntry | None]
) -> tuple[Minutes, Mapping[tuple[str, str], Sequence[int]]]:
    """Return what came in every minute, and how long each reply took, in milliseconds, the shortest first."""
    minutes: defaultdict[str, Moment] = defaultdict(Moment)
    waits: defaultdict[tuple[str, str], array[int]] = defaultdict(partial(array, "q"))
    cost = cache(partial(_cost, entries))  # many replies cost the same
    rows = replies.read(store, "replies", "select teacher, model, outcome, usage, latency_ms, at from replies")
    for teacher, model, outcome, usage, latency, at in rows:
        one = minutes[at[:MINUTE]]
        one.add(cost(teacher, usage))
        if outcome != GAVE_UP:
            one.replies += 1
            waits[teacher, model].append(latency)
    for teacher, usage, at in replies.read(store, "attempts", "select teacher, usage, at from attempts"):
        one = minutes[at[:MINUTE]]
        one.add(cost(teacher, usage))
        one.fruitless += 1
    known = {minute: one for at, one in sorted(minutes.items()) if (minute := _minute(at))}
    return known, defaultdict(list, {whose: array("q", sorted(some)) for whose, some in waits.items()})


def _cost(entries: Mapping[str, TeacherEntry | None], teacher: str, usage: str) -> Moment:
    """Return the tokens that a server reported for a request, and what they cost."""
    tokens, entry = count_tokens(orjson.loads(usage)), entries.get(teacher)
    cost = prices.dollars(entry, tokens) if entry else None
    return Moment(read=tokens.read, written=tokens.written, cost=cost or 0.0)


def _minute(at: str) -> datetime | None:
    """Return a time of the store; None of what somebody else wrote there."""
    try:
        return datetime.fromisoformat(at)
    except ValueError:
        return None


def _teacher(one: Summary, entry: TeacherEntry | None, waits: Sequence[int]) -> dict[str, Any]:
    """Return the figures of a teacher's model; costs are None where no prices are known."""
    cost = prices.dollars(entry, one.usage) if entry else None
    lost = prices.dollars(entry, one.fruitless) if entry else None
    return {
        "teacher": short(one.teacher),
        "model": short(one.model),
        "requests": one.requests,
        "outcomes": dict(one.outcomes.most_common()),
        "faults": {short(fault): count for fault, count in one.faults.most_common()},
        "tokens": one.usage._asdict(),
        "fruitless": one.fruitless._asdict(),
        "cost": cost,
        "cost_fruitless": lost,
        "latency_ms": {name: waits[int(share * (len(waits) - 1))] if waits else None for name, share in SHARES.items()},
        "first": one.first,
        "last": one.last,
    }


def over_time(minutes: Minutes) -> dict[str, Any]:
    """Return what came in equal spans of time, from the first to the last, with the sums until each one's end."""
    if not minutes:
        return {"bin": "minute", "from": None, "to": None, "bins": []}
    first, last = min(minutes), max(minutes)
    name = next((one for one in BINS if (last - first).total_seconds() < BARS * BINS[one]), [*BINS][-1])
    width = timedelta(seconds=BINS[name])
    start = first.replace(minute=0) if name != "minute" else first
    start = start.replace(hour=0) if BINS[name] >= BINS["day"] else start
    spans: defaultdict[int, Moment] = defaultdict(Moment)
    for at, one in minutes.items():
        spans[(at - start) // width].add(one)
    return {"bin": name, "from": f"{first:{SPELT}}", "to": f"{last:{SPELT}}", "bins": [*_bars(spans, start, width)]}


def _bars(spans: Mapping[int, Moment], start: datetime, width: timedelta) -> Iterator[dict[str, Any]]:
    cost = 0.0
    for bar in range(max(spans) + 1):
        one = spans.get(bar, Moment())
        cost += one.cost
        yield {"at": f"{start + bar * width:{SPELT}}", **asdict(one), "cost_until": round(cost, 6)}
