"""One run of the batch teacher: what earlier runs left is settled, what is owed is handed in, and all is waited for.

Every step is on record before the next: written, sent, open, done. A kill at any moment leaves a state from which the
next run goes on, with nothing lost and nothing handed in twice.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, islice
from typing import TYPE_CHECKING
from uuid import uuid4

from ferbuild.builders.batch_ledger import Entry, Ledger
from ferbuild.builders.batch_parts import Part, Size, expected, line_of, reckon
from ferbuild.builders.batch_results import Result, collect
from ferbuild.builders.batch_server import BatchServer
from ferbuild.builders.batch_waiters import Waiters
from ferbuild.builders.errors import FerError
from ferbuild.builders.owing import Owed
from ferbuild.builders.prices import dollars
from ferbuild.builders.replies import GAVE_UP, Record, Request, Store, now
from ferbuild.builders.teacher import Halt

if TYPE_CHECKING:
    from openai.types import Batch

    from ferbuild.builders.batch_teacher import BatchTeacher

log = logging.getLogger(__name__)

OVER = ("completed", "expired", "cancelled")
FULL = "token_limit_exceeded"
"""Code of a batch that failed since the account has as many tokens in open batches as it may."""
GONE_S = 30 * 86_400
"""After which a server may have forgotten a batch, and its files."""
HOPELESS = 100
"""Requests of one batch, none of them answered, after which the run stops."""
COMMIT_ROWS = 256


@dataclass(slots=True)
class BatchRun:
    """One run; the caller holds the store's lock."""

    teacher: BatchTeacher
    server: BatchServer
    store: Store
    ledger: Ledger
    waiters: Waiters
    size: Size
    open: dict[str, Entry] = field(default_factory=dict)
    """Batches at the server, by tag."""
    wanted: set[str] = field(default_factory=set)
    """Tags of those that hold a request of this run."""
    queue: list[Entry] = field(default_factory=list)
    """Batches that the server takes once another is through."""
    held_back: Owed | None = None
    """What the part before had no room for."""
    spent: float = 0.0
    """US dollars that the replies of this run cost."""
    counted: dict[str, int] = field(default_factory=dict)
    """Requests of a batch that were answered when it was last told of."""

    def go(self, first: Owed, rest: Iterator[Owed]) -> Halt | None:
        """Ask for all; return why not all was asked, or None."""
        owed = chain([first], rest)
        try:
            self._settle()
            self._look()
            self._hand_in(owed)
            while self.queue or self.wanted & self.open.keys():
                self._wait()
                self._hand_in(owed)
        except KeyboardInterrupt:
            text = "stopped waiting: %d batches go on at the server; the same command collects them"
            log.warning(text, len(self.open))
            raise
        self.waiters.report()
        if self.open:
            log.info("%d batches of earlier runs go on at the server", len(self.open))
        if self.held_back is None:
            return None
        hint = "what came is stored; the same command with a larger --budget hands in the rest"
        return Halt("budget", hint)

    # --- what earlier runs left

    def _settle(self) -> None:
        """Find out what became of every batch on record."""
        folder = self.teacher.folder
        for left in folder.glob("*") if folder.is_dir() else ():
            left.unlink(missing_ok=True)
        for entry in self.ledger.pending(self.teacher.name, self.server.url):
            if entry.state == "written":  # its creation was never asked for
                self.server.remove_named(f"{entry.tag}.jsonl")
                self.ledger.forget(entry.tag)
            elif entry.state == "open":
                self.open[entry.tag] = entry
            else:
                self._find(entry)

    def _find(self, entry: Entry) -> None:
        """Look for a batch of which it is not known whether the server has it."""
        sent = datetime.fromisoformat(entry.at).timestamp()
        time.sleep(min(self.server.patience.settle, max(0.0, sent + self.server.patience.settle - time.time())))
        found = self.server.find(entry.tag, sent)
        if found:
            self._opened(entry, found)
        else:
            self.server.remove(entry.file)
            self.ledger.forget(entry.tag)

    # --- handing in

    def _hand_in(self, owed: Iterator[Owed]) -> None:
        """Hand in all that there is room for: at the server, and in the budget."""
        while self.queue:
            entry = self.queue.pop()
            self._opened(entry, self.server.create(entry.file, entry.tag, time.time()))
            if self.queue:
                return  # the server is full as long as one of these waits
        while part := self._fill(owed):
            self._submit(part)

    def _fill(self, owed: Iterator[Owed]) -> Part | None:
        """Write the next part; None where nothing is left, or nothing that the budget has room for."""
        part: Part | None = None
        entry = self.teacher.entry
        written = expected(entry, *self.ledger.lengths(entry.model))
        again = [self.held_back] if self.held_back else []
        self.held_back = None
        for key, request in chain(again, owed):
            if self._is_known(key, request, part):
                continue
            try:
                line, cost = line_of(key, request, entry), reckon(entry, request, written)
            except (ValueError, OSError) as err:  # no picture, or one that does not open
                self.waiters.give_up(key, request, str(err))
                continue
            if len(line) > self.size.bytes:
                self.waiters.give_up(key, request, f"its {len(line):,} bytes are more than a batch takes")
                continue
            full = part is not None and not part.takes(line)
            if full or not self._has_room(cost + (part.cost if part else 0.0)):
                self.held_back = (key, request)
                break
            part = part or Part(self.teacher.folder / f"fer-build-{uuid4().hex}.jsonl", entry, self.size)
            part.add(key, line, cost)
            self.waiters.add(key, request)
        return part

    def _is_known(self, key: str, request: Request, part: Part | None) -> bool:
        """Tell whether a request needs no line: its key is in this part, in an open batch, or just came."""
        if part and key in part.keys:
            self.waiters.add(key, request)
            return True
        if key in self.waiters.through:
            self.waiters.again(key, request)
            return True
        tag = self.ledger.holders([key]).get(key)
        if tag is None:
            return False
        if tag in self.open or any(entry.tag == tag for entry in self.queue):
            self.wanted.add(tag)
            self.waiters.add(key, request)
        else:  # handed in by another entry, or to another server
            self.waiters.left_out(request)
        return True

    def _has_room(self, cost: float) -> bool:
        budget = self.teacher.options.budget
        if budget is None:
            return True
        held = sum(entry.cost for tag, entry in self.open.items() if tag in self.wanted)
        return self.spent + held + sum(entry.cost for entry in self.queue) + cost <= budget

    def _submit(self, part: Part) -> None:
        part.close()
        tag = part.path.stem
        entry = self.ledger.write(tag, self.teacher.entry, self.server.url, list(part.keys), part.cost)
        file = self.server.upload(part.path)
        self.ledger.step(tag, "sent", file=file)
        part.path.unlink(missing_ok=True)
        self.wanted.add(tag)
        self._opened(entry._replace(file=file), self.server.create(file, tag, time.time()))

    def _opened(self, entry: Entry, batch: Batch) -> None:
        self.ledger.step(entry.tag, "open", batch=batch.id)
        self.open[entry.tag] = entry._replace(state="open", batch=batch.id)
        log.info("batch %s: %s requests are at the server", batch.id, f"{entry.requests:,}")

    # --- waiting

    def _wait(self) -> None:
        """Wait until a batch is through, and take in all that are."""
        patience = self.server.patience
        pause = patience.poll
        while not self._look():
            time.sleep(pause)
            pause = min(pause * 1.5, patience.poll_most)

    def _look(self) -> bool:
        """Take in every batch that is through; tell whether there was one, so that the server has room again."""
        ended = False
        for entry in list(self.open.values()):
            batch = self.server.look(entry.batch)
            if batch is None:
                self._lost(entry)
            elif batch.status == "failed":
                del self.open[entry.tag]
                self._failed(entry, batch)
            elif batch.status in OVER:
                ended = True
                del self.open[entry.tag]
                self._take_in(entry, batch)
            elif batch.request_counts and batch.request_counts.completed != self.counted.get(entry.tag):
                self.counted[entry.tag] = batch.request_counts.completed
                log.info("batch %s: %s, %s of %s", batch.id, batch.status, self.counted[entry.tag], entry.requests)
        return ended

    def _take_in(self, entry: Entry, batch: Batch) -> None:
        """Store what a batch brought and let go of the rest."""
        keys = self.ledger.keys(entry.tag)
        results = collect(self.server, batch, self.teacher.folder)
        answered = 0
        while some := list(islice(results, COMMIT_ROWS)):
            self.store.put([_record(result, entry, batch) for result in some])
            for key, said in some:
                answered += said.reply.outcome != GAVE_UP
                self.spent += (dollars(self.teacher.entry, said.reply.usage) or 0.0) * (entry.tag in self.wanted)
                self.waiters.came(key, said.reply)
        self._close(entry, batch, batch.status)
        self.waiters.none_came(keys)
        if not answered and entry.requests >= HOPELESS:
            why = self.waiters.first_fault or f"it is {batch.status}"
            hint = "mend the entry of the teacher; a rerun asks only for what is missing"
            raise FerError(self.server.url, f"a batch of {entry.requests:,} requests brought no reply: {why}", hint)

    def _failed(self, entry: Entry, batch: Batch) -> None:
        """Put a batch that the server had no room for aside; FerError where it refuses it, or will never have."""
        faults = self.server.faults(batch)
        told = "; ".join(message for _, message in faults) or "it does not say why"
        if self.open and any(code == FULL for code, _ in faults):
            self.ledger.step(entry.tag, "sent", said=told)
            self.queue.append(entry)
            log.info("batch %s waits until another is through: %s", batch.id, told)
            return
        self._close(entry, batch, told)
        hint = "nothing of it was asked or is charged; other batches go on, and the same command collects them"
        raise FerError(self.server.url, f"refuses a batch of {entry.requests:,} requests: {told}", hint)

    def _lost(self, entry: Entry) -> None:
        """Let go of a batch that is too old to be found; FerError where it should be there."""
        if time.time() - datetime.fromisoformat(entry.at).timestamp() < GONE_S:
            hint = f"it was handed in with another account's key: set {self.server.key} to that one"
            raise FerError(self.server.url, f"knows no batch {entry.batch}", hint)
        self.ledger.step(entry.tag, "done", said="gone")
        del self.open[entry.tag]

    def _close(self, entry: Entry, batch: Batch, said: str) -> None:
        self.ledger.step(entry.tag, "done", said=said)
        for file in (batch.input_file_id, batch.output_file_id, batch.error_file_id):
            if file:
                self.server.remove(file)


def _record(result: Result, entry: Entry, batch: Batch) -> Record:
    took_ms = round(1000 * ((batch.completed_at or time.time()) - batch.created_at))
    at = now()
    said = result.said
    return Record(result.key, entry.teacher, entry.model, said.reply, said.usage, took_ms, entry.url, at)
