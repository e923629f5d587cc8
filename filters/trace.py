"""Checks on a teacher's reply to one face: a trace is kept only where every check of the recipe returns None.

A row brings `reply` (the text), `finish` (why the teacher stopped: "stop", "length", …), `choices` and `label`,
the last two in the source's own words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ferbuild.filters.answer import Status, read

_UNANSWERED: Mapping[Status, str | None] = {
    "ok": None,
    "empty": "empty",
    "truncated": "truncated",
    "refused": "refused",
    "malformed": "malformed tags",
    "several": "several answers",
    "not a candidate": "not a candidate",
}

_OPENS = re.compile(r"<think\s*>", re.IGNORECASE)
_CLOSES = re.compile(r"</think\s*>", re.IGNORECASE)
_WORD = re.compile(r"\w+")


def answered(row: Mapping[str, Any]) -> str | None:
    """Drop a reply that does not give exactly one answer among the choices, or that was cut off."""
    status = read(row["reply"], row["choices"]).status
    if row["finish"] == "length" and status != "empty":
        return "truncated"
    return _UNANSWERED[status]


def agrees(row: Mapping[str, Any]) -> str | None:
    """Drop a reply whose answer is not the row's label; without a clear answer it does not agree."""
    label, status = read(row["reply"], row["choices"])
    return None if status == "ok" and label == row["label"] else "disagrees with the label"


def reasons(row: Mapping[str, Any], *, words: int = 10) -> str | None:
    """Drop a reply without a complete `<think>` block, or with fewer than `words` words in it."""
    found = len(_WORD.findall(_thinking(row["reply"])))
    if not found:
        return "no reasoning"
    return "too short" if found < words else None


def _thinking(text: str) -> str:
    """Return what stands in the first think block; "" where there is none or it does not end."""
    opens = _OPENS.search(text)
    closes = _CLOSES.search(text, opens.end()) if opens else None
    return text[opens.end() : closes.start()] if opens and closes else ""
