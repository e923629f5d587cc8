"""What replies cost, by the prices that a teacher's entry names."""

from __future__ import annotations

from ferbuild.builders.replies import Usage
from ferbuild.manifests import load
from ferbuild.manifests.schema import TeacherEntry

MILLION = 1_000_000


def dollars(entry: TeacherEntry, usage: Usage) -> float | None:
    """Return the US dollars that these tokens cost; None where the entry names no prices, as of a server of one's own.

    Tokens that the provider had cached are counted in full, so that it is never less than what is charged.
    """
    prices = entry.prices
    if not prices:
        return None
    full = usage.read * prices.get("input", 0.0) + usage.written * prices.get("output", 0.0)
    return full * (prices.get("batch", 1.0) if entry.kind == "batch" else 1.0) / MILLION


def entry_of(name: str, chosen: TeacherEntry) -> TeacherEntry | None:
    """Return the entry that a teacher's replies were got by, where it is known: the user's own, or a shipped one."""
    if chosen.name == name:
        return chosen
    return load.load_teacher(name) if name in load.entries("teachers.yaml") else None
