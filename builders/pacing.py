"""How fast a teacher is asked, and for how much money: waits that keep requests and tokens a minute, and the purse.

Used by the crew that asks a chat server. Nothing here knows of servers; times are those of time.monotonic.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ferbuild.builders.prices import dollars
from ferbuild.builders.replies import Request, Usage
from ferbuild.manifests.schema import TeacherEntry

PICTURE_TOKENS = 1_500
"""Taken for one picture, and CHARACTERS for a token of text, until a reply tells: more than any model needs."""
CHARACTERS = 2
WRITTEN = 4_096
"""Taken for a reply where the sampling sets no bound and none has come."""
BOUNDS = ("max_completion_tokens", "max_tokens")


class Bucket:
    """Lets so much through a minute, evenly: of any 60 seconds none gets more, but for what one request overdraws."""

    def __init__(self, per_minute: float) -> None:
        self._each = 60.0 / per_minute
        self._next = 0.0

    def reserve(self, amount: float = 1.0) -> float:
        """Take an amount and return the seconds until it may be used."""
        now = time.monotonic()
        start = max(now, self._next)
        self._next = start + amount * self._each
        return start - now

    def correct(self, amount: float) -> None:
        """Take more, or give back where negative, without waiting now."""
        self._next += amount * self._each


@dataclass(slots=True)
class Guess:
    """What one request takes: at first a bound, then what replies took."""

    sampling: Mapping[str, Any]
    replies: int = 0
    total: int = 0
    """Tokens of all replies."""
    most_read: int = 0
    most_written: int = 0

    def learn(self, usage: Usage) -> None:
        if sum(usage):
            self.replies += 1
            self.total += sum(usage)
            self.most_read = max(self.most_read, usage.read)
            self.most_written = max(self.most_written, usage.written)

    def mean(self, request: Request) -> float:
        """Return the tokens that a request is likely to take."""
        return self.total / self.replies if self.replies else sum(self.bound(request))

    def bound(self, request: Request) -> Usage:
        """Return what a request takes at most: no reply is longer than the sampling lets it be."""
        text = sum(len(message["content"]) for message in request.messages)
        read = text // CHARACTERS + PICTURE_TOKENS * len(request.images)
        limit = next((self.sampling[name] for name in BOUNDS if name in self.sampling), None)
        return Usage(self.most_read * 21 // 20 or read, limit or 2 * self.most_written or WRITTEN)


@dataclass(slots=True)
class Pace:
    """Holds requests and tokens a minute, over all servers; None lets all through."""

    guess: Guess
    requests: Bucket | None
    tokens: Bucket | None

    def reserve(self, request: Request) -> tuple[float, float]:
        """Return the seconds until a request may be sent, and the tokens that were set aside for it."""
        set_aside = self.guess.mean(request)
        waits = [bucket.reserve(amount) for bucket, amount in ((self.requests, 1), (self.tokens, set_aside)) if bucket]
        return max(waits, default=0.0), set_aside

    def give_back(self, set_aside: float) -> None:
        """Take back a reservation of which nothing was sent."""
        if self.requests:
            self.requests.correct(-1)
        self.settle(set_aside, 0)

    def settle(self, set_aside: float, used: float) -> None:
        if self.tokens:
            self.tokens.correct(used - set_aside)


@dataclass(slots=True)
class Purse:
    """What may be spent. Money for the dearest reply that can come is set aside for all that is in flight."""

    entry: TeacherEntry
    budget: float | None
    """US dollars; None is no bound."""
    guess: Guess
    spent: float = 0.0
    held: float = 0.0
    """Set aside for what is in flight."""
    flying: int = 0
    stopped: bool = False
    waiters: deque[asyncio.Future[None]] = field(default_factory=deque)

    async def hold(self, request: Request) -> float | None:
        """Return what was set aside for a request, once there is enough; None where there never will be."""
        if self.budget is None:
            return None if self.stopped else 0.0
        while self.spent + self.held + (most := self.bound(request)) > self.budget:
            if self.stopped or not self.flying:
                return None
            future = asyncio.get_running_loop().create_future()
            self.waiters.append(future)
            await future
        self.held += most
        self.flying += 1
        return most

    def stop(self) -> None:
        self.stopped = True
        self.wake()

    def bound(self, request: Request) -> float:
        """Return the dollars that a request costs at most."""
        return dollars(self.entry, self.guess.bound(request)) or 0.0

    def settle(self, held: float, usage: Usage | None) -> None:
        """Pay for what came, or likely was done for a reply that got lost (None), and give back the rest."""
        if self.budget is None:
            return
        if usage is None:
            dearest = Usage(self.guess.most_read, self.guess.most_written)
            self.spent += (dollars(self.entry, dearest) or 0.0) if self.guess.replies else held
        else:
            self.spent += dollars(self.entry, usage) or 0.0
        self.flying -= 1
        self.held = self.held - held if self.flying else 0.0
        self.wake()

    def wake(self) -> None:
        while self.waiters:
            future = self.waiters.popleft()
            if not future.done():
                future.set_result(None)
