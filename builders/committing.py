"""The writer of one asking: commits what came within 20 ms, and then tells whoever waits for it.

A reply is told of only once it is on disk, so that nothing that was told is lost when the process is killed.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

from ferbuild.builders.replies import Attempt, Record, Request, Store, Watch

COMMIT_ROWS, COMMIT_S = 64, 0.02


@dataclass(slots=True)
class Writer:
    """Stores replies and fruitless attempts; `pending` are the keys taken on and not yet told of."""

    store: Store
    watch: Watch
    pending: dict[str, list[Request]] = field(default_factory=dict)
    """Key to the requests that wait for its reply: the first gets it, the others find it."""
    arrived: list[Record] = field(default_factory=list)
    attempts: list[Attempt] = field(default_factory=list)
    some: asyncio.Event = field(default_factory=asyncio.Event)
    closing: bool = False

    def expect(self, key: str, request: Request) -> bool:
        """Take on a request; False where one with its key is under way already."""
        waiting = self.pending.setdefault(key, [])
        waiting.append(request)
        return len(waiting) == 1

    def forget(self, key: str) -> None:
        """Tell that a request was not asked, since the run stops."""
        for request in self.pending.pop(key, ()):
            self.watch(request, None, False)

    def add(self, record: Record) -> None:
        self.arrived.append(record)
        if len(self.arrived) in (1, COMMIT_ROWS):
            self.some.set()

    def note(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)
        if len(self.attempts) in (1, COMMIT_ROWS):
            self.some.set()

    async def work(self) -> None:
        """Commit what has arrived, at COMMIT_ROWS rows or COMMIT_S after the first of them, until it is closed."""
        while not self.closing or self.arrived or self.attempts:
            await self.some.wait()
            self.some.clear()
            if not self._full and not self.closing:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.some.wait(), COMMIT_S)
                self.some.clear()
            await self._commit()
            if self.arrived or self.attempts or self.closing:
                self.some.set()

    def close(self) -> None:
        self.closing = True
        self.some.set()

    def save(self) -> None:
        """Commit at once what is left; tells nobody."""
        if self.arrived or self.attempts:
            self.store.put(self.arrived, self.attempts)

    @property
    def _full(self) -> bool:
        return len(self.arrived) >= COMMIT_ROWS or len(self.attempts) >= COMMIT_ROWS

    async def _commit(self) -> None:
        records, attempts = list(self.arrived), list(self.attempts)
        if not records and not attempts:
            return
        await asyncio.get_running_loop().run_in_executor(None, self.store.put, records, attempts)
        del self.arrived[: len(records)], self.attempts[: len(attempts)]
        for record in records:
            for at, request in enumerate(self.pending.pop(record.key, ())):
                self.watch(request, record.reply, at == 0)
