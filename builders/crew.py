"""The workers that ask chat servers: one run of an HTTP teacher, from requests taken on to replies for the writer.

A fault of one request costs that request; a fault of the whole ends the run after what is in flight is stored.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from random import uniform
from types import TracebackType
from typing import Self

import aiohttp
import orjson

from ferbuild.builders.api_keys import found_key, hushed
from ferbuild.builders.chat import AGAIN, Fault, Said, read_fault, read_reply, refusal
from ferbuild.builders.committing import Writer
from ferbuild.builders.endpoints import LONGEST_PAUSE_S, Endpoint, Limits, Pool
from ferbuild.builders.errands import Errand, Tally, lacking
from ferbuild.builders.errors import FerError
from ferbuild.builders.pacing import Pace, Purse
from ferbuild.builders.replies import GAVE_UP, Attempt, Record, Reply, Request, Usage, now
from ferbuild.builders.teacher import Halt
from ferbuild.manifests.schema import TeacherEntry

log = logging.getLogger(__name__)

HEADERS = {"Content-Type": "application/json"}
UNREACHED = "unreachable"

Body = Callable[[Request, int], bytes]
"""Gives what is sent for a request, and for its try number so and so; ValueError where its picture is none."""


@dataclass(slots=True)
class Crew:
    """The workers of one run."""

    entry: TeacherEntry
    limits: Limits
    session: aiohttp.ClientSession
    body: Body
    pool: Pool
    pace: Pace
    purse: Purse
    writer: Writer
    fault: BaseException | None = None
    """What ends the run; workers then let the rest go by."""
    halt: Halt | None = None
    tally: Tally = field(default_factory=Tally)
    heard_at: float = field(default_factory=time.monotonic)
    queue: asyncio.Queue[Errand | None] = field(init=False)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    workers: list[asyncio.Task[None]] = field(default_factory=list)
    writing: asyncio.Task[None] = field(init=False)

    async def __aenter__(self) -> Self:
        self.queue = asyncio.Queue(self.limits.concurrency)
        self.workers = [asyncio.create_task(self._work()) for _ in range(self.limits.concurrency)]
        self.writing = asyncio.create_task(self._write())
        return self

    async def __aexit__(self, kind: object, fault: BaseException | None, trace: TracebackType | None) -> None:
        """Wait for what is in flight and commit it; after a fault, send nothing new."""
        if fault:
            self._stop()
            flying = self.pool.in_flight
            log.warning("stopping: %d replies are in flight and will be stored; Ctrl-C again to leave them", flying)
            log.warning("the same command goes on with what is missing then")
        try:
            for _ in self.workers:
                await self.queue.put(None)
            await asyncio.gather(*self.workers)
            self.writer.close()
            await self.writing
        finally:
            self.writer.save()
        if self.fault and not fault:
            raise self.fault

    async def take(self, key: str, request: Request) -> None:
        """Take on a request; whoever asks for the same at the same time waits for the same reply."""
        if self.fault:
            raise self.fault
        if not self.writer.expect(key, request):
            return
        try:
            body = self.body(request, 0)
        except ValueError as err:
            self._give_up(Errand(key, request, b""), Fault(str(err), again=False), "")
            return
        await self.queue.put(Errand(key, request, body))

    def report(self) -> None:
        if self.tally.given_up:
            text = "%s: %d requests came to nothing and will be asked again by the next run; the first: %s"
            log.warning(text, self.entry.name, self.tally.given_up, self.tally.first_fault)

    def _stop(self, fault: BaseException | None = None) -> None:
        """Send nothing new."""
        self.fault = self.fault or fault
        self.stopping.set()
        self.pool.stop()
        self.purse.stop()

    async def _write(self) -> None:
        try:
            await self.writer.work()
        except Exception as err:
            self._stop(err)

    async def _work(self) -> None:
        while errand := await self.queue.get():
            try:
                await self._run(errand)
            except Exception as err:
                self._stop(err)

    async def _run(self, errand: Errand) -> None:
        """Ask until there is a reply, or no sense in going on."""
        while not self.stopping.is_set():
            held = await self.purse.hold(errand.request)
            if held is None:
                self._broke(errand)
                break
            taken = await self._admit(errand)
            if taken is None:
                self.purse.settle(held, Usage())
                break
            if await self._attempt(errand, *taken, held):
                return
        self._leave(errand)

    async def _admit(self, errand: Errand) -> tuple[Endpoint, float] | None:
        """Return a server with a place taken, and the tokens set aside, once it may be asked; None: the run stops."""
        while endpoint := await self.pool.take(errand.avoid):
            wait, set_aside = self.pace.reserve(errand.request)
            if wait > 0:
                await self._sleep(wait)
                if self.stopping.is_set() or endpoint.free_at > time.monotonic():
                    self.pace.give_back(set_aside)
                    self.pool.give_back(endpoint)
                    continue
            return endpoint, set_aside
        return None

    async def _attempt(self, errand: Errand, endpoint: Endpoint, set_aside: float, held: float) -> bool:
        """Send a request once; return whether it is through."""
        began = time.monotonic()
        said: Said | Fault | None = None
        try:
            said = await self._post(endpoint, errand.body)
        finally:
            self.pool.give_back(endpoint)
            usage = said.reply.usage if isinstance(said, Said) else Usage()
            self.pace.settle(set_aside, sum(usage))
            self.pace.guess.learn(usage)
            self.purse.settle(held, None if isinstance(said, Fault) and said.paid else usage)
        latency = round(1000 * (time.monotonic() - began))
        if isinstance(said, Said):
            endpoint.replied()
            self.heard_at = time.monotonic()
            return self._replied(errand, said, endpoint.url, latency)
        return await self._failed(errand, said, endpoint, began, latency)

    async def _post(self, endpoint: Endpoint, body: bytes) -> Said | Fault:
        url = f"{endpoint.url}/chat/completions"
        try:
            async with self.session.post(url, data=body, headers=HEADERS, allow_redirects=False) as response:
                status, answer = response.status, await response.read()
                retry_after = response.headers.get("Retry-After")
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as err:
            return Fault(f"cannot connect: {err}", again=True, busy=True, kind=UNREACHED)
        except TimeoutError:
            return Fault(f"no reply within {self.limits.read_s:g} s", again=True, kind="timeout", paid=True)
        except aiohttp.ClientPayloadError as err:
            return Fault(f"the reply was cut off: {err}", again=True, kind="cut", paid=True)
        except (aiohttp.ClientError, OSError) as err:
            return Fault(f"{type(err).__name__}: {err}", again=True, kind="connection lost", paid=True)
        if status == 200:
            return read_reply(answer)
        if refused := refusal(self.entry, endpoint.url, status, answer):
            raise refused
        return read_fault(status, answer, retry_after)

    def _replied(self, errand: Errand, said: Said, url: str, latency: int) -> bool:
        """Keep a reply, or have another asked for in its place; return whether it is kept."""
        lack = lacking(errand.request, said.reply)
        if not errand.again:
            self.tally.misshapen.append(bool(lack))
        if not lack or errand.again >= self.limits.again or not self.tally.seldom_misshapen:
            self._keep(errand, said, url, latency)
            return True
        errand.again, errand.last = errand.again + 1, (said, url, latency)
        errand.body = self.body(errand.request, errand.again)
        self._note(errand, lack, said.reply.text, said, url, latency)
        return False

    async def _failed(self, errand: Errand, fault: Fault, endpoint: Endpoint, began: float, latency: int) -> bool:
        """Note a fault, and wait before the next attempt; return whether there is to be none."""
        self._note(errand, fault.kind, fault.detail, None, endpoint.url, latency)
        if fault.busy:
            others = endpoint is not errand.avoid or endpoint.served > errand.served
            errand.refusals += others and fault.kind != UNREACHED
            endpoint.pause(began, fault.after_s)
        elif fault.again:
            errand.faults += 1
            endpoint.failed(began)
        self._see_hope(endpoint, fault)
        errand.avoid, errand.served = endpoint, endpoint.served
        limits = self.limits
        if not fault.again or errand.faults >= limits.attempts or errand.refusals >= limits.refusals:
            self._give_up(errand, fault, endpoint.url)
            return True
        if not fault.busy:
            wait = uniform(0, min(LONGEST_PAUSE_S, limits.backoff_s * 2 ** (errand.faults - 1)))
            await self._sleep(wait if fault.after_s is None else fault.after_s)
        return False

    def _see_hope(self, endpoint: Endpoint, fault: Fault) -> None:
        """FerError where no server is well and none has answered for long."""
        silent = time.monotonic() - self.heard_at
        if silent > self.limits.hopeless_s and self.pool.all_unwell:
            problem = f"no server has answered for {silent / 60:.0f} minutes: {self._masked(fault.detail)}"
            raise FerError(endpoint.url, problem, f"see that it runs and what it allows you; {AGAIN}")

    async def _sleep(self, seconds: float) -> None:
        """Sleep, but no longer than until the run stops."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)

    def _keep(self, errand: Errand, said: Said, url: str, latency: int) -> None:
        self.tally.came()
        self._arrive(errand.key, said, url, latency)

    def _leave(self, errand: Errand) -> None:
        """Let a request go by, since the run stops; a reply of no use that was paid for is kept."""
        if errand.last:
            self._arrive(errand.key, *errand.last)
        else:
            self.writer.forget(errand.key)

    def _broke(self, errand: Errand) -> None:
        if not self.stopping.is_set():
            spent, budget, most = self.purse.spent, self.purse.budget, self.purse.bound(errand.request)
            told = f"${spent:.4f} of the budget of ${budget:g} are spent, and one more reply may cost ${most:.4f}"
            self.halt = Halt("budget", f"{told}: raise --budget and run again; {AGAIN}")
            self._stop()

    def _give_up(self, errand: Errand, fault: Fault, url: str) -> None:
        if errand.last:
            self._keep(errand, *errand.last)
            return
        detail = self._masked(fault.detail)
        self._arrive(errand.key, Said(Reply("", "", GAVE_UP, detail), {}), url, 0)
        if hopeless := self.tally.lost(detail):
            hint = f"see the server's log; {AGAIN}"
            self._stop(FerError(url or self.entry.name, f"{hopeless}: {detail}", hint))

    def _arrive(self, key: str, said: Said, url: str, latency_ms: int) -> None:
        entry = self.entry
        self.writer.add(Record(key, entry.name, entry.model, said.reply, said.usage, latency_ms, url, now()))

    def _note(self, errand: Errand, fault: str, detail: str, said: Said | None, url: str, latency: int) -> None:
        usage = orjson.dumps(dict(said.usage) if said else {}).decode()
        entry, told = self.entry, self._masked(detail)
        self.writer.note(Attempt(errand.key, entry.name, entry.model, fault, told, usage, latency, url, now()))

    def _masked(self, detail: str) -> str:
        """Return a server's complaint without the key, should it repeat it."""
        return hushed(detail, found_key(self.entry))
