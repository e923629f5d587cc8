"""A row of a file of results, as its form gives it: what was said of which picture, not yet held against the benchmark.

Stands between the forms that such files have and what gathers their rows into one table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeGuard

RESPONSES = ("texts", "responses", "model_response")
"""Where a row has its replies, the first that is there; the last has one, the others have one a sample."""
TRUE = ("true_label", "answer")
CHOICES = ("candidate_labels", "choices")
PUBLISHED = frozenset({"image_path", "true_label", "prompt", "candidate_labels", "model_response", "error"})
"""Keys of the published form: what else there is need not be looked for in a row that has no others."""


class Said(NamedTuple):
    """What a file says of one picture."""

    texts: Sequence[str]
    """One a sample; empty where no reply came."""
    path: str = ""
    """As the file has it; empty where it names no picture."""
    at: int | None = None
    """Where the row stands in its set, from 0; None where the file does not say."""
    set: str = ""
    """As the file has it; empty where the row names none."""
    true: str = ""
    """Empty where the row does not say."""
    choices: Sequence[str] = ()
    """Empty where the row does not say."""
    finishes: Sequence[str] = ()
    error: str | None = None
    """Why no reply came, as the file says, which may be nothing; None: one came."""
    fault: str = ""
    """Why what stands in the place of a reply cannot be read; such a row counts as an error."""
    bare: bool = False
    cluster: str = ""
    tokens_read: int | None = None
    tokens_written: int | None = None
    id: str | None = None
    prompt_version: str | None = None


class Unread(NamedTuple):
    """A row, or what stands in its place, of which nothing is known."""

    why: str


def of_row(row: Mapping[str, Any]) -> Said | Unread:
    """Read a row in the published keys, or in those of our own tables."""
    path, true, choices = text_of(row, ("image_path",)), text_of(row, TRUE), _first(row, CHOICES)
    if not path:
        return Unread("a row names no image_path")
    if choices is not None and not _are_texts(choices):
        return Unread(f"{path}: its candidate labels are no list of words")
    texts, fault = _replies(row)
    if row.keys() <= PUBLISHED and texts and not row.get("error"):
        return Said(texts, path, true=true, choices=choices or (), bare=asks_for_no_tags(row.get("prompt")))
    finishes = row.get("finishes")
    bare = row.get("bare")
    return Said(
        texts=texts or (),
        path=path,
        set=text_of(row, ("set",)),
        true=true,
        choices=choices or (),
        finishes=finishes if _are_texts(finishes) else (),
        error=None if fault else _error(row, texts),
        fault=fault,
        bare=bare if isinstance(bare, bool) else asks_for_no_tags(row.get("prompt")),
        cluster=text_of(row, ("cluster",)),
        tokens_read=_count(row.get("tokens_read")),
        tokens_written=_count(row.get("tokens_written")),
        id=text_of(row, ("id",)) or None,
        prompt_version=text_of(row, ("prompt_version",)) or None,
    )


def asks_for_no_tags(prompt: object) -> bool:
    """Tell whether a prompt is known, and asks for no `<answer>`: then the whole reply is the answer."""
    if not isinstance(prompt, str) or "<answer" in prompt:
        return False
    return bool(prompt.strip()) and "<answer" not in prompt.lower()


def text_of(row: Mapping[str, Any], names: Sequence[str]) -> str:
    """Return the first text that stands under one of `names`, without the spaces around it; "" where there is none."""
    for name in names:
        if isinstance(found := row.get(name), str):
            return found.strip()
    return ""


def _first(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    for name in names:
        if (found := row.get(name)) is not None:
            return found
    return None


def _are_texts(found: Any) -> TypeGuard[Sequence[str]]:
    return isinstance(found, list) and set(map(type, found)) <= {str}


def _count(found: Any) -> int | None:
    return found if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < 2**63 else None


def _replies(row: Mapping[str, Any]) -> tuple[Sequence[str] | None, str]:
    """Return the replies, None where the row has none, and why they cannot be read."""
    found = _first(row, RESPONSES)
    if found is None:
        return None, ""
    if isinstance(found, str):
        return (found,), ""
    if isinstance(found, list) and all(one is None or isinstance(one, str) for one in found):
        return [one or "" for one in found], ""
    return None, f"its reply is no text, but {found!r:.40}"


def _error(row: Mapping[str, Any], texts: Sequence[str] | None) -> str | None:
    """Return why no reply came; None where one did, be it blank, or where the row says nothing of errors.

    The published scripts write the message into the place of the reply, and `error: true` beside it.
    """
    told = row.get("error")
    if not told and (texts or "error" not in row):
        return None
    if isinstance(told, str) and told:
        return told
    return text_of(row, ("detail",)) or (texts[0] if texts else "")
