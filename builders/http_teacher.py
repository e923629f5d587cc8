"""A teacher behind any OpenAI-compatible chat server: asks what the store lacks, many at a time, and stores what comes.

Every reply is committed within 20 ms of its arrival, so that a crash costs at most what was in flight.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from ferbuild.builders import replies
from ferbuild.builders.api_keys import api_key
from ferbuild.builders.chat import data_url, think_then_answer
from ferbuild.builders.committing import Writer
from ferbuild.builders.crew import Crew
from ferbuild.builders.endpoints import Endpoint, Limits, Pool
from ferbuild.builders.owing import LOOKED_UP, Owed, owed
from ferbuild.builders.pacing import Bucket, Guess, Pace, Purse
from ferbuild.builders.prices import dollars
from ferbuild.builders.reaching import held_to, keeps_to_patterns, reach
from ferbuild.builders.replies import Reply, Request, Watch, chat_body, count_tokens, reply_key
from ferbuild.builders.teacher import AskOptions, Halt
from ferbuild.manifests.schema import TeacherEntry

ANOTHER_SEED = 1_000_003
"""Added to the seed each time that a reply without usable form is asked for anew: with the same one it comes again."""


@dataclass(frozen=True, slots=True)
class HttpTeacher:
    """Asks the servers at `urls` (each the base of an API, such as http://127.0.0.1:8000/v1)."""

    entry: TeacherEntry
    store: Path
    urls: tuple[str, ...]
    limits: Limits = field(default_factory=Limits)
    proxied: bool = False
    """Whether the environment's proxy is used: it must not get what goes to a server of the user's own."""
    options: AskOptions = field(default_factory=AskOptions)
    baseline: bool = False

    @property
    def name(self) -> str:
        return self.entry.name

    def ready(self) -> None:
        """Probe the servers. FerError where the key is not set or refused, or no server answers."""
        asyncio.run(_ready(self))

    def ask(self, requests: Iterable[Request], watch: Watch) -> Halt | None:
        """Get and store every reply that is not there yet; `watch` is told of every request that is through.

        FerError, before anything is sent, where the key is not set, no server answers, or another process
        asks; later, where servers refuse or more come to nothing than not: all that came is stored. Of a request
        that comes to nothing the fault is stored, and the next run asks again. Returns a Halt where the budget ends.
        On Ctrl-C nothing new is sent, what is in flight is waited for and stored; a second Ctrl-C does not wait.
        """
        return asyncio.run(_ask(self, requests, watch))

    def recall(self, requests: Sequence[Request]) -> list[Reply | None]:
        """Return what is there; with `structured` also of servers that could not be held to a regex."""
        holds = dict.fromkeys((self.options.structured, False))
        keys = [[self.key(request, held) for request in requests] for held in holds]
        found = replies.recall(self.store, list(chain(*keys)))
        both = [[found[key] for key in one if key in found] for one in zip(*keys, strict=True)]
        return [max(some, key=lambda reply: reply.outcome != replies.GAVE_UP, default=None) for some in both]

    def key(self, request: Request, structured: bool = False) -> str:
        return reply_key(self.entry.model, self.sampling(request, structured), request)

    def sampling(self, request: Request, structured: bool) -> dict[str, Any]:
        """Return what is sent of sampling; with `structured` the reply is held to the request's pattern."""
        if not structured:
            return self.entry.sampling
        return held_to(request.pattern or think_then_answer(request.choices), self.entry.sampling)

    def body(self, request: Request, again: int, *, structured: bool) -> bytes:
        """Return what is sent for a request; ValueError where its picture is none."""
        sampling = self.sampling(request, structured)
        if again and "seed" in sampling:
            sampling = {**sampling, "seed": sampling["seed"] + again * ANOTHER_SEED}
        return orjson.dumps(chat_body(self.entry.model, sampling, request, data_url))


async def _ask(teacher: HttpTeacher, requests: Iterable[Request], watch: Watch) -> Halt | None:
    structured = teacher.options.structured
    owing = owed(teacher.store, requests, lambda one: teacher.key(one, structured), watch)
    first = next(owing, None)
    if first is None:
        return None
    async with AsyncExitStack() as stack:
        crew, held = await _hire(teacher, watch, stack)
        # Looked up again: what was, before this process took the lock, another may have stored.
        early = [request for _, request in chain([first], islice(owing, LOOKED_UP - 1))]
        rest: Iterable[Owed] = owing
        if held != structured:  # no server can be held to a regex: all keys are others
            rest = owed(teacher.store, (request for _, request in owing), teacher.key, watch)
        for key, request in chain(owed(teacher.store, early, lambda one: teacher.key(one, held), watch), rest):
            await crew.take(key, request)
            if crew.stopping.is_set():
                break
    crew.report()
    return crew.halt


async def _hire(teacher: HttpTeacher, watch: Watch, stack: AsyncExitStack) -> tuple[Crew, bool]:
    """See that a server answers, lock the store, and start the workers; tell whether replies are held to a regex."""
    session = await _session(teacher, stack)
    answering = await reach(session, teacher.entry, teacher.urls)
    store = stack.enter_context(replies.asking(teacher.store))
    entry, limits, options = teacher.entry, teacher.limits, teacher.options
    guess = Guess(entry.sampling)
    pace = Pace(guess, *(Bucket(most) if most else None for most in (options.rpm, options.tpm)))
    purse = Purse(entry, options.budget, guess)
    structured = options.structured
    if structured:
        urls = [url for url, answers in zip(teacher.urls, answering, strict=True) if answers]
        structured, used = await keeps_to_patterns(session, entry, urls)
        purse.spent += sum(dollars(entry, count_tokens(orjson.loads(one.usage))) or 0.0 for one in used)
        store.put([], used)
    endpoints = [Endpoint(url, limits.concurrency, limits.backoff_s) for url in teacher.urls]
    for endpoint, answers in zip(endpoints, answering, strict=True):
        if not answers:
            endpoint.pause(0.0)

    def body(request: Request, again: int) -> bytes:
        return teacher.body(request, again, structured=structured)

    crew = Crew(entry, limits, session, body, Pool(endpoints), pace, purse, Writer(store, watch))
    return await stack.enter_async_context(crew), structured


async def _session(teacher: HttpTeacher, stack: AsyncExitStack) -> aiohttp.ClientSession:
    """Return a session, closed with `stack`."""
    secret, limits = api_key(teacher.entry), teacher.limits
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(
            total=limits.connect_s + limits.read_s, sock_connect=limits.connect_s, sock_read=limits.read_s
        ),
        headers={"Authorization": f"Bearer {secret}"} if secret else {},
        trust_env=teacher.proxied,
    )
    return await stack.enter_async_context(session)


async def _ready(teacher: HttpTeacher) -> None:
    async with AsyncExitStack() as stack:
        await reach(await _session(teacher, stack), teacher.entry, teacher.urls)
