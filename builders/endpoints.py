"""The servers of one teacher: who gets the next request, and how each is left alone and taken back by and by.

A server that is busy, dead or failing is paused, longer every time. After a pause no more are let in flight than it
answered since the pause before, and more with every reply (slow start, then a slower climb, as TCP does it), so that a
server that recovers is not run over.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

LONGEST_PAUSE_S = 20.0  # where the server names none itself
DROP = 0.7  # of the requests in flight before a pause: from there on the climb is slow
CLIMB = 8.0  # requests more in flight for each round of replies
SICK = 8  # faults in a row, after which a server is paused


class Limits(NamedTuple):
    """How servers are asked."""

    concurrency: int = 64
    """Requests in flight, over all servers."""
    attempts: int = 10
    """Of one request that failed by itself."""
    refusals: int = 100
    """Of one request that a busy server sent back while it answered others."""
    again: int = 2
    """Times that a reply without usable form (empty, cut at the limit of tokens, tags missing) is asked for anew."""
    connect_s: float = 10.0
    read_s: float = 600.0
    """For one attempt, from the first byte sent to the last one read."""
    backoff_s: float = 0.5
    """Upper end of the first random wait; it doubles every time."""
    hopeless_s: float = 900.0
    """The run stops where no server is well and none has answered for so long."""


@dataclass(slots=True)
class Endpoint:
    """A server, and what it can take at the moment."""

    url: str
    most: int
    """Requests in flight that are never passed."""
    backoff_s: float = 0.5
    in_flight: int = 0
    window: float = 0.0
    """Requests in flight that it can take now."""
    threshold: float = 0.0
    """Of `window`: above it the climb is slow."""
    free_at: float = 0.0
    """Before it nothing is sent."""
    paused_at: float = 0.0
    pauses: int = 0
    """In a row, without a reply between."""
    faults: int = 0
    """In a row."""
    served: int = 0
    served_then: int = 0
    """Of `served`, before the last pause."""

    def __post_init__(self) -> None:
        self.window = self.threshold = float(self.most)

    def takes(self, now: float) -> bool:
        return self.in_flight < int(self.window) and self.free_at <= now

    def replied(self) -> None:
        self.pauses = self.faults = 0
        self.served += 1
        if self.window < self.most:
            step = 1.0 if self.window < self.threshold else CLIMB / self.window
            self.window = min(self.window + step, float(self.most))

    def failed(self, began: float) -> None:
        """Note a fault that may be the request's own; too many in a row are the server's."""
        self.faults += 1
        if self.faults >= SICK:
            self.pause(began)

    def pause(self, began: float, seconds: float | None = None) -> None:
        """Send nothing for so long, or for a random time that grows.

        `began`: when the request was sent that had this answer. What was in flight when a pause began says nothing new.
        """
        now = time.monotonic()
        if began >= self.paused_at:
            if not self.pauses:
                self.threshold = max(self.window * DROP, 1.0)
            self.window = min(max(self.served - self.served_then, 1.0), self.threshold)
            self.paused_at, self.served_then = now, self.served
            self.pauses += 1
            if seconds is None:
                seconds = random.uniform(0, min(LONGEST_PAUSE_S, self.backoff_s * 2**self.pauses))
        self.free_at = max(self.free_at, now + (seconds or 0.0))


@dataclass(slots=True)
class Pool:
    """Hands out places at the servers: to the one with the least in flight among those that take any."""

    endpoints: Sequence[Endpoint]
    stopped: bool = False
    waiters: deque[asyncio.Future[None]] = field(default_factory=deque)
    alarm: asyncio.TimerHandle | None = None

    @property
    def in_flight(self) -> int:
        return sum(endpoint.in_flight for endpoint in self.endpoints)

    @property
    def all_unwell(self) -> bool:
        return all(endpoint.pauses for endpoint in self.endpoints)

    async def take(self, avoid: Endpoint | None = None) -> Endpoint | None:
        """Return a server with a place taken, rather not `avoid`; None once the run stops."""
        while not self.stopped:
            now = time.monotonic()
            free = [endpoint for endpoint in self.endpoints if endpoint.takes(now)]
            if free:
                best = min(free, key=lambda endpoint: (endpoint is avoid, endpoint.in_flight))
                best.in_flight += 1
                return best
            await self._wait(now)
        return None

    def give_back(self, endpoint: Endpoint) -> None:
        endpoint.in_flight -= 1
        if self.waiters:
            self._wake()

    def stop(self) -> None:
        self.stopped = True
        if self.alarm:
            self.alarm.cancel()
        self._wake()

    async def _wait(self, now: float) -> None:
        loop = asyncio.get_running_loop()
        pauses = [endpoint.free_at - now for endpoint in self.endpoints if endpoint.free_at > now]
        due = loop.time() + min(pauses) + 0.001 if pauses else float("inf")
        if due < (self.alarm.when() if self.alarm else float("inf")):
            if self.alarm:
                self.alarm.cancel()
            self.alarm = loop.call_at(due, self._rung)
        future: asyncio.Future[None] = loop.create_future()
        self.waiters.append(future)
        await future

    def _rung(self) -> None:
        self.alarm = None
        self._wake()

    def _wake(self) -> None:
        """Let as many waiters look again as there are places; one, where there is none, sets the next alarm."""
        now = time.monotonic()
        places = sum(int(one.window) - one.in_flight for one in self.endpoints if one.takes(now))
        wake = len(self.waiters) if self.stopped else max(places, 1)
        while self.waiters and wake:
            future = self.waiters.popleft()
            if not future.done():
                future.set_result(None)
                wake -= 1
