"""A teacher behind any OpenAI-compatible chat server: asks what the store lacks, many at a time, and stores what comes.

Every reply is committed within 20 ms of its arrival, so that a crash costs at most what was in flight.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import aiohttp

from ferbuild.builders import replies
from ferbuild.builders.chat import served_models
from ferbuild.builders.crew import Crew, Endpoint, Limits, Owed, Progress, key_refused
from ferbuild.builders.errors import FerError
from ferbuild.builders.replies import Done, Reply, Request, reply_key
from ferbuild.manifests.schema import TeacherEntry

log = logging.getLogger(__name__)

LOOKED_UP = 64  # requests a look into the store


@dataclass(frozen=True, slots=True)
class HttpTeacher:
    """Asks the servers at `urls` (each the base of an API, such as http://127.0.0.1:8000/v1)."""

    entry: TeacherEntry
    store: Path
    urls: tuple[str, ...]
    limits: Limits = field(default_factory=Limits)
    proxied: bool = False
    """Whether the environment's proxy is used: it must not get what goes to a server of the user's own."""
    baseline: bool = False

    @property
    def name(self) -> str:
        return self.entry.name

    def ready(self) -> None:
        """Probe the servers. FerError where the key is not set or refused, or no server answers."""
        asyncio.run(_ready(self))

    def ask(self, requests: Iterable[Request], done: Done) -> None:
        """Get and store every reply that is not there yet; `done` gets the number of requests that are through.

        FerError, before anything is sent, where the key is not set, no server answers, or another process
        asks. Of a request that comes to nothing the fault is stored, and the next run asks again. On Ctrl-C
        nothing new is sent, what is in flight is waited for and stored; a second Ctrl-C does not wait.
        """
        asyncio.run(_ask(self, requests, Progress(done)))

    def recall(self, requests: Sequence[Request]) -> list[Reply | None]:
        keys = [self.key(request) for request in requests]
        found = replies.recall(self.store, keys)
        return [found.get(key) for key in keys]

    def key(self, request: Request) -> str:
        return reply_key(self.entry.model, self.entry.sampling, request)

    def secret(self) -> str | None:
        """Return the API key; FerError where the entry names a variable that is not set."""
        if not self.entry.key:
            return None
        secret = os.environ.get(self.entry.key, "").strip()
        if not secret:
            hint = f"export {self.entry.key}=… in this shell; it is neither stored nor logged"
            raise FerError(f"teacher {self.name}", f"the API key is not set: {self.entry.key}", hint)
        return secret


async def _ask(teacher: HttpTeacher, requests: Iterable[Request], progress: Progress) -> None:
    crew: Crew | None = None
    async with AsyncExitStack() as stack:
        for chunk in _chunks(requests):
            keyed = [(teacher.key(request), request) for request in chunk]
            owed = _owed(teacher.store, keyed, crew)
            if owed and crew is None:
                crew = await _hire(teacher, progress, stack)
                owed = _owed(teacher.store, keyed, crew)  # another process may have stored them meanwhile
            progress.add(len(chunk) - len(owed))
            for item in owed:
                if crew:
                    await crew.take(item)
    if crew:
        crew.report()


def _chunks(requests: Iterable[Request]) -> Iterator[list[Request]]:
    waiting = iter(requests)
    while chunk := list(islice(waiting, LOOKED_UP)):
        yield chunk


def _owed(store: Path, keyed: Sequence[Owed], crew: Crew | None) -> list[Owed]:
    """Return the requests without a stored reply, none of them twice and none that is under way."""
    known = set(replies.recall(store, [key for key, _ in keyed]))
    owed: dict[str, Request] = {}
    for key, request in keyed:
        if key not in known and not (crew and key in crew.pending):
            owed.setdefault(key, request)
    return list(owed.items())


async def _hire(teacher: HttpTeacher, progress: Progress, stack: AsyncExitStack) -> Crew:
    """See that a server answers, lock the store, and start the workers."""
    session, answering = await _reach(teacher, stack)
    store = stack.enter_context(replies.asking(teacher.store))
    crew = Crew(teacher.entry, teacher.limits, session, store, progress, [Endpoint(url) for url in answering])
    return await stack.enter_async_context(crew)


async def _reach(teacher: HttpTeacher, stack: AsyncExitStack) -> tuple[aiohttp.ClientSession, list[str]]:
    """Return a session, closed with `stack`, and the servers that answer; FerError where none does."""
    if not teacher.urls:
        raise FerError(f"teacher {teacher.name}", "has no endpoint", "name a server with --endpoint URL")
    secret = teacher.secret()
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=teacher.limits.timeout_s, sock_connect=10),
        headers={"Authorization": f"Bearer {secret}"} if secret else {},
        trust_env=teacher.proxied,
    )
    await stack.enter_async_context(session)
    answering = [url for url in teacher.urls if await _answers(teacher, session, url)]
    if not answering:
        hint = f"start one: {teacher.entry.serve}" if teacher.entry.serve else "check the address and the network"
        raise FerError(", ".join(teacher.urls), "no server answers there", hint)
    return session, answering


async def _ready(teacher: HttpTeacher) -> None:
    async with AsyncExitStack() as stack:
        await _reach(teacher, stack)


async def _answers(teacher: HttpTeacher, session: aiohttp.ClientSession, url: str) -> bool:
    """Probe one server; FerError where it refuses the key, a warning where it serves another model."""
    try:
        async with session.get(f"{url}/models", timeout=aiohttp.ClientTimeout(total=15)) as response:
            status, body = response.status, await response.read()
    except (aiohttp.ClientError, TimeoutError, ValueError) as err:
        if len(teacher.urls) > 1:  # of a single one the error itself tells
            log.warning("%s: no server answers (%s)", url, err or type(err).__name__)
        return False
    if status in (401, 403):
        raise key_refused(teacher.entry, url, status)
    served = served_models(body) if status == 200 else []
    if served and teacher.entry.model not in served:
        log.warning("%s serves %s, the teacher's entry names %s", url, ", ".join(served[:5]), teacher.entry.model)
    return True
