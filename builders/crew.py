"""The workers that ask a chat server, and the writer that commits what they bring: one run of an HTTP teacher.

A fault of one request costs that request; a fault of the whole ends the run after what is in flight is stored.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import NamedTuple, Self

import aiohttp
import orjson

from ferbuild.builders.chat import Fault, Said, data_url, read_fault, read_reply
from ferbuild.builders.errors import FerError
from ferbuild.builders.replies import GAVE_UP, Done, Record, Reply, Request, Store, chat_body
from ferbuild.manifests.schema import TeacherEntry

log = logging.getLogger(__name__)

COMMIT_ROWS, COMMIT_S = 64, 0.02
LONGEST_BACKOFF_S = 60.0
HOPELESS = 100  # requests in a row that came to nothing, after which the run stops

Owed = tuple[str, Request]
"""A reply key and its request, not yet answered."""


class Limits(NamedTuple):
    """How a server is asked."""

    concurrency: int = 64
    attempts: int = 10
    timeout_s: float = 600.0
    """For one attempt, from sending to the last byte."""
    backoff_s: float = 0.5
    """Upper end of the first random wait; it doubles with every attempt."""


@dataclass(slots=True)
class Progress:
    done: Done
    through: int = 0

    def add(self, requests: int) -> None:
        if requests:
            self.through += requests
            self.done(self.through)


@dataclass(slots=True)
class Endpoint:
    url: str
    in_flight: int = 0
    free_at: float = 0.0  # monotonic seconds; before it nothing is sent


@dataclass(slots=True)
class Crew:
    """The workers of one run, and the writer that commits what they bring."""

    entry: TeacherEntry
    limits: Limits
    session: aiohttp.ClientSession
    store: Store
    progress: Progress
    endpoints: list[Endpoint]
    pending: set[str] = field(default_factory=set)
    """Keys taken on and not yet committed."""
    fault: BaseException | None = None
    """What ends the run; workers then let the rest go by."""
    given_up: int = 0
    first_fault: str = ""
    in_a_row: int = 0
    queue: asyncio.Queue[Owed | None] = field(init=False)
    arrived: list[Record] = field(default_factory=list)
    some: asyncio.Event = field(default_factory=asyncio.Event)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    closing: bool = False
    workers: list[asyncio.Task[None]] = field(default_factory=list)
    writer: asyncio.Task[None] = field(init=False)

    async def __aenter__(self) -> Self:
        self.queue = asyncio.Queue(self.limits.concurrency)
        self.workers = [asyncio.create_task(self._work()) for _ in range(self.limits.concurrency)]
        self.writer = asyncio.create_task(self._write())
        return self

    async def __aexit__(self, kind: object, fault: BaseException | None, trace: TracebackType | None) -> None:
        """Wait for what is in flight and commit it; after a fault, send nothing new."""
        if fault:
            self.stop.set()
            flying = sum(endpoint.in_flight for endpoint in self.endpoints)
            log.warning("stopping: %d replies are in flight and will be stored; Ctrl-C again to leave them", flying)
        try:
            for _ in self.workers:
                await self.queue.put(None)
            await asyncio.gather(*self.workers)
            self.closing = True
            self.some.set()
            await self.writer
        finally:
            self.store.put(self.arrived)
        if self.fault and not fault:
            raise self.fault

    async def take(self, item: Owed) -> None:
        if self.fault:
            raise self.fault
        self.pending.add(item[0])
        await self.queue.put(item)

    def report(self) -> None:
        if self.given_up:
            text = "%s: %d requests came to nothing and will be asked again by the next run; the first: %s"
            log.warning(text, self.entry.name, self.given_up, self.first_fault)

    async def _work(self) -> None:
        while item := await self.queue.get():
            if self.stop.is_set():
                continue
            try:
                await self._get(*item)
            except Exception as err:
                self.fault = self.fault or err
                self.stop.set()

    async def _get(self, key: str, request: Request) -> None:
        """Ask until there is a reply, or no sense in going on."""
        entry = self.entry
        fault = Fault("", again=True)
        try:
            body = orjson.dumps(chat_body(entry.model, entry.sampling, request, data_url))
        except ValueError as err:
            self._give_up(key, Fault(str(err), again=False), "")
            return
        url = ""
        for attempt in range(1, self.limits.attempts + 1):
            endpoint = await self._free_endpoint()
            if endpoint is None:
                return
            url, began = endpoint.url, time.monotonic()
            said = await self._post(endpoint, body)
            if isinstance(said, Said):
                self._keep(key, said, url, began)
                return
            fault = said
            if not fault.again or attempt == self.limits.attempts:
                break
            await self._back_off(endpoint, fault, attempt)
        self._give_up(key, fault, url)

    async def _post(self, endpoint: Endpoint, body: bytes) -> Said | Fault:
        endpoint.in_flight += 1
        url, headers = f"{endpoint.url}/chat/completions", {"Content-Type": "application/json"}
        try:
            async with self.session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                status, answer = response.status, await response.read()
                retry_after = response.headers.get("Retry-After")
        except aiohttp.ClientConnectorError as err:
            return Fault(f"cannot connect: {err}", again=True, busy=True)
        except (aiohttp.ClientError, TimeoutError, OSError) as err:
            return Fault(f"{type(err).__name__}: {err}", again=True)
        finally:
            endpoint.in_flight -= 1
        if status == 401:
            raise key_refused(self.entry, endpoint.url, status)
        return read_reply(answer) if status == 200 else read_fault(status, answer, retry_after)

    async def _free_endpoint(self) -> Endpoint | None:
        """Return the server with the fewest requests in flight, once one takes any; None when the run stops."""
        while not self.stop.is_set():
            now = time.monotonic()
            free = [endpoint for endpoint in self.endpoints if endpoint.free_at <= now]
            if free:
                return min(free, key=lambda endpoint: endpoint.in_flight)
            pause = min(endpoint.free_at for endpoint in self.endpoints) - now
            await self._sleep(pause * random.uniform(1.0, 1.2))  # not all at the same moment
        return None

    async def _back_off(self, endpoint: Endpoint, fault: Fault, attempt: int) -> None:
        wait = fault.after_s
        if wait is None:
            wait = random.uniform(0, min(LONGEST_BACKOFF_S, self.limits.backoff_s * 2 ** (attempt - 1)))
        if fault.busy:
            endpoint.free_at = max(endpoint.free_at, time.monotonic() + wait)
        else:
            await self._sleep(wait)

    async def _sleep(self, seconds: float) -> None:
        """Sleep, but no longer than until the run stops."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.stop.wait(), seconds)

    def _keep(self, key: str, said: Said, url: str, began: float) -> None:
        self.in_a_row = 0
        self._arrive(key, said, url, round(1000 * (time.monotonic() - began)))

    def _give_up(self, key: str, fault: Fault, url: str) -> None:
        secret = os.environ.get(self.entry.key or "", "").strip()
        detail = fault.detail.replace(secret, "…") if secret else fault.detail
        self.given_up += 1
        self.in_a_row += 1
        self.first_fault = self.first_fault or detail
        self._arrive(key, Said(Reply("", "", GAVE_UP, detail), {}), url, 0)
        if self.in_a_row >= HOPELESS:
            hint = "see the server's log; a rerun asks only for what is missing"
            raise FerError(url or self.entry.name, f"{HOPELESS} requests in a row came to nothing: {detail}", hint)

    def _arrive(self, key: str, said: Said, url: str, latency_ms: int) -> None:
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        entry = self.entry
        self.arrived.append(Record(key, entry.name, entry.model, said.reply, said.usage, latency_ms, url, at))
        if len(self.arrived) in (1, COMMIT_ROWS):
            self.some.set()

    async def _write(self) -> None:
        """Commit what has arrived: at COMMIT_ROWS rows, or COMMIT_S after the first of them."""
        loop = asyncio.get_running_loop()
        while not self.closing or self.arrived:
            await self.some.wait()
            self.some.clear()
            if len(self.arrived) < COMMIT_ROWS and not self.closing:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.some.wait(), COMMIT_S)
            batch = list(self.arrived)
            try:
                await loop.run_in_executor(None, self.store.put, batch)
            except FerError as err:
                self.fault = self.fault or err
                self.stop.set()
                return
            del self.arrived[: len(batch)]
            self.pending.difference_update(record.key for record in batch)
            self.progress.add(len(batch))
            if self.arrived or self.closing:
                self.some.set()


def key_refused(entry: TeacherEntry, url: str, status: int) -> FerError:
    key = entry.key
    hint = f"check the value of {key}" if key else "give the teacher's entry a `key:`, the variable that holds the key"
    return FerError(url, f"refuses the API key (HTTP {status})", hint)
