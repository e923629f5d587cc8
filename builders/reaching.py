"""Whether a teacher's servers answer, and what they can do: looked at before the first request is sent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import aiohttp
import orjson

from ferbuild.builders.chat import Said, read_reply, refusal, served_models
from ferbuild.builders.errors import FerError
from ferbuild.builders.replies import Attempt, now
from ferbuild.manifests.schema import TeacherEntry

log = logging.getLogger(__name__)

LOOK = aiohttp.ClientTimeout(total=15)
WORD = "fer-4711-build"
"""What a server says that is held to a regex: no model says it by itself."""


async def reach(session: aiohttp.ClientSession, entry: TeacherEntry, urls: Sequence[str]) -> list[bool]:
    """Return which servers answer. FerError where none does or one refuses the key."""
    if not urls:
        raise FerError(f"teacher {entry.name}", "has no endpoint", "name a server with --endpoint URL")
    found = await asyncio.gather(*(_answers(session, entry, url) for url in urls))
    if not any(answers for answers, _ in found):
        hint = f"start one: {entry.serve}" if entry.serve else "check the address and the network"
        raise FerError(", ".join(urls), "no server answers there", hint)
    for url, (answers, why) in zip(urls, found, strict=True):
        if not answers:
            log.warning("%s: no server answers (%s); it is tried again now and then", url, why)
    return [answers for answers, _ in found]


async def keeps_to_patterns(
    session: aiohttp.ClientSession, entry: TeacherEntry, urls: Sequence[str]
) -> tuple[bool, list[Attempt]]:
    """Return whether every server holds a reply to a regex, and what it took to see it.

    Servers are known to ignore what they do not know, so that only a reply can tell.
    """
    took: list[Attempt] = []
    body = orjson.dumps(held_to(WORD, entry.sampling) | {"model": entry.model, "messages": _GREETING})
    for url in urls:
        try:
            async with session.post(f"{url}/chat/completions", data=body, headers=_HEADERS) as response:
                said = read_reply(await response.read()) if response.status == 200 else None
        except (aiohttp.ClientError, TimeoutError, OSError):
            said = None
        if isinstance(said, Said):
            usage = orjson.dumps(dict(said.usage)).decode()
            took.append(Attempt("", entry.name, entry.model, "probe", said.reply.text[:100], usage, 0, url, now()))
        if not isinstance(said, Said) or said.reply.text.strip() != WORD:
            log.warning("%s does not hold replies to a regex: it is asked without one", url)
            return False, took
    return True, took


def held_to(pattern: str, sampling: dict[str, Any]) -> dict[str, Any]:
    """Return the sampling with a regex for the reply, as vLLM takes it."""
    return {**sampling, "structured_outputs": {"regex": pattern}}


_GREETING = [{"role": "user", "content": "Say hello."}]
_HEADERS = {"Content-Type": "application/json"}


async def _answers(session: aiohttp.ClientSession, entry: TeacherEntry, url: str) -> tuple[bool, str]:
    """Tell whether a server answers, and why not; FerError where it refuses the key."""
    try:
        async with session.get(f"{url}/models", timeout=LOOK) as response:
            status, body = response.status, await response.read()
    except (aiohttp.ClientError, TimeoutError, ValueError) as err:
        return False, str(err) or type(err).__name__
    if status in (401, 403) and (refused := refusal(entry, url, status, body)):
        raise refused
    served = served_models(body) if status == 200 else []
    if served and entry.model not in served:
        log.warning("%s serves %s, the teacher's entry names %s", url, ", ".join(served[:5]), entry.model)
    return True, ""
