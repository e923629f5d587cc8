"""The wire of a chat server that speaks OpenAI's dialect: pictures as URLs, a reply or a fault out of a response.

Nothing here waits or retries; `crew` does.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import orjson

from ferbuild.builders.errors import FerError
from ferbuild.builders.magic import picture_kind
from ferbuild.builders.replies import Reply, count_tokens
from ferbuild.manifests.schema import TeacherEntry

LONGEST_WAIT_S = 300.0
AGAIN = "every reply that came is stored, and a rerun asks only for what is missing"
_DETAIL = 300  # characters of a server's complaint that are kept


class Said(NamedTuple):
    """A reply, with the token counts the server reports."""

    reply: Reply
    usage: Mapping[str, Any]


class Fault(NamedTuple):
    """Why there is no reply, and whether to try again."""

    detail: str
    again: bool
    busy: bool = False
    """The server as a whole wants a pause, or cannot be reached."""
    after_s: float | None = None
    """How long the server asks to wait."""
    kind: str = ""
    """In a word or two, such as "HTTP 500"."""
    paid: bool = False
    """The model may have worked for it, and the provider may charge for that."""


def data_url(picture: bytes) -> str:
    """Return an encoded picture as a data: URL; ValueError where its first bytes are of no known format."""
    kind = picture_kind(picture)
    if kind is None:
        raise ValueError("the picture is in no format that a chat server takes")
    return f"data:image/{kind};base64,{b64encode(picture).decode()}"


def read_reply(body: bytes) -> Said | Fault:
    """Read a chat completion; a cut or strange body is a fault worth another try."""
    try:
        data = orjson.loads(body)
        choice = data["choices"][0]
        text, finish = _text(choice["message"]), str(choice.get("finish_reason") or "stop")
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError, AttributeError):
        return Fault(f"not a chat completion: {body[:_DETAIL]!r}", again=True, kind="malformed", paid=True)
    outcome = "truncated" if finish == "length" else "ok" if text.strip() else "empty"
    usage = data.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    return Said(Reply(text, finish, outcome, usage=count_tokens(usage)), usage)


def read_fault(status: int, body: bytes, retry_after: str | None) -> Fault:
    """Read a response that is no success: 408, 409, 425, 429 and 5xx are worth another try."""
    detail = f"HTTP {status}: {body.decode(errors='replace')[:_DETAIL]}"
    again = status in (408, 409, 425, 429) or status >= 500
    after = _seconds(retry_after) if again else None
    return Fault(detail, again, busy=status in (429, 503), after_s=after, kind=f"HTTP {status}")


def refusal(entry: TeacherEntry, url: str, status: int, body: bytes) -> FerError | None:
    """Return the error of a server that takes nothing at all from this user, so that no other request fares better."""
    broke = status == 402 or (status == 429 and b"insufficient_quota" in body)  # waiting does not fill an account
    if broke:
        return FerError(url, f"says that the account has no credit left (HTTP {status})", f"add credit; {AGAIN}")
    if status == 404:
        hint = f"see that the address ends as in …/v1 and that it serves {entry.model}"
        return FerError(url, "knows no such address or model (HTTP 404)", hint)
    if status not in (401, 403):
        return None
    key = entry.key
    hint = f"check the value of {key}" if key else "give the teacher's entry a `key:`, the variable that holds the key"
    return FerError(url, f"refuses the API key (HTTP {status})", hint)


def think_then_answer(choices: Sequence[str]) -> str:
    """Return the regex of a reply that reasons and then gives one of the choices."""
    return rf"<think>[\s\S]{{20,}}</think>\s*<answer>({'|'.join(map(re.escape, choices))})</answer>"


def served_models(body: bytes) -> list[str]:
    """Return the model names of a `/models` response; none where it is something else."""
    try:
        return [str(model["id"]).removeprefix("models/") for model in orjson.loads(body)["data"]]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return []


def _text(message: Mapping[str, Any]) -> str:
    """Return content with its thinking in one `<think>` block, wherever the server puts the thinking."""
    content = message.get("content") or ""
    if isinstance(content, list):
        content = "".join(part.get("text") or "" for part in content)
    thought = message.get("reasoning_content") or message.get("reasoning")
    if "<think" in content.lower():
        return str(content)
    if isinstance(thought, str) and thought.strip():
        end = "</think>\n" if content.strip() else ""
        return f"<think>{thought.strip()}{end}{content.lstrip()}"
    # Some chat templates open the block in the prompt, so that only its end is in the reply.
    return f"<think>{content}" if "</think" in content.lower() else str(content)


def _seconds(retry_after: str | None) -> float | None:
    """Return the seconds a Retry-After header asks for: a number, or a date."""
    if not retry_after:
        return None
    try:
        wait = float(retry_after)
    except ValueError:
        try:
            wait = (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return None
    return min(max(wait, 0.0), LONGEST_WAIT_S) if wait == wait else None
