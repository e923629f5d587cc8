"""Which teachers answer now: every server of every entry is probed at once, and nobody is asked anything.

A key is read from the environment and sent to its own entry's servers alone; what is told never holds it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from importlib.util import find_spec
from typing import NamedTuple

import aiohttp

from ferbuild.builders.api_keys import found_key
from ferbuild.builders.chat import served_models
from ferbuild.builders.hosts import is_third_party
from ferbuild.manifests.schema import TeacherEntry

PATIENCE_S = 2.0
"""A server that takes longer to name its models is told as one that does not answer."""
NAMED = 3
"""Models of a server that are named."""


class Standing(NamedTuple):
    """Whether one server of a teacher answers now, and what is the matter where it does not."""

    url: str
    """Empty: the teacher runs in this process."""
    answers: bool
    said: str


def standings(entries: Sequence[TeacherEntry], own: Sequence[str] = ()) -> list[list[Standing]]:
    """Return how every entry stands, a list of its servers each. Takes PATIENCE_S at most."""
    return asyncio.run(_standings(entries, own))


async def _standings(entries: Sequence[TeacherEntry], own: Sequence[str]) -> list[list[Standing]]:
    return list(await asyncio.gather(*(_of_entry(entry, own) for entry in entries)))


async def _of_entry(entry: TeacherEntry, own: Sequence[str]) -> list[Standing]:
    if entry.baseline:
        return [Standing("", True, "part of the tool")]
    if entry.kind == "vllm":
        there = find_spec("vllm") is not None
        return [Standing("", there, "vllm is installed" if there else "vllm is not installed")]
    if not entry.endpoints:
        return [Standing("", False, "has no endpoint: name one with --endpoint")]
    return list(await asyncio.gather(*(_of_server(entry, url.rstrip("/"), own) for url in entry.endpoints)))


async def _of_server(entry: TeacherEntry, url: str, own: Sequence[str]) -> Standing:
    secret = found_key(entry)
    if entry.key and not secret:
        return Standing(url, False, f"{entry.key} is not set")
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    limit = aiohttp.ClientTimeout(total=PATIENCE_S)
    # The environment's proxy must not get what goes to a server of the user's own.
    session = aiohttp.ClientSession(timeout=limit, headers=headers, trust_env=is_third_party(url, own))
    try:
        async with session, session.get(f"{url}/models", allow_redirects=False) as response:
            return _read(entry, url, response.status, await response.read())
    except (aiohttp.ClientError, TimeoutError, ValueError, OSError):
        return Standing(url, False, "no server answers")


def _read(entry: TeacherEntry, url: str, status: int, body: bytes) -> Standing:
    if status in (401, 403):
        return Standing(url, False, f"refuses the value of {entry.key}" if entry.key else "wants an API key")
    if status != 200:
        return Standing(url, False, f"answers with HTTP {status}")
    served = served_models(body)
    if served and entry.model not in served:
        more = f" and {len(served) - NAMED} more" if len(served) > NAMED else ""
        return Standing(url, False, f"serves {', '.join(served[:NAMED])}{more}, not {entry.model}")
    return Standing(url, True, "answers")
