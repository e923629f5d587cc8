"""What every reply answers: by the published scripts' rule and by the tool's own, side by side.

Stands between the answers of a model and its score. A score may take the last of several answers; a filter may not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import pyarrow as pa

from ferbuild.builders.record import CANONICAL
from ferbuild.filters import answer
from ferbuild.filters.answer import spellings
from ferbuild.filters.official import SYNONYMS, UNKNOWN, read_official

OUTCOMES = ("ok", "several", "malformed", "truncated", "refused", "empty", "not a candidate", "error")
"""How a reply was found: the statuses of the answer parser, and "error" where no reply came."""
COUNTED = frozenset({"ok", "several"})
"""Outcomes whose label counts."""
ALONE = "sfew"
"""The set whose own script reads otherwise than the one that pools all sets."""


class Said(NamedTuple):
    """What the samples of one row come to."""

    label: str
    """In the set's own words; UNKNOWN where no sample has an answer."""
    outcome: str
    """One of OUTCOMES: of the first sample that gives the label, else of the first sample."""
    agreement: float
    """Share of the samples that give the label, 0..1."""
    right: int
    """Samples that give the true label."""
    samples: int


@dataclass(frozen=True, slots=True)
class Readings:
    """Columns over the rows of an ANSWERS table, in its order."""

    sets: list[str]
    paths: list[str]
    true: list[str]
    choices: list[list[str]]
    clusters: list[str]
    official: list[str | None]
    """As the pooled published script reads the reply, of several the label that most have; None: an error, which that
    script leaves out, or a set that it does not know."""
    official_alone: list[str | None]
    """As SFEW's own script does; of other sets the same as `official`."""
    said: list[Said]

    def __len__(self) -> int:
        return len(self.paths)


def read_all(table: pa.Table) -> Readings:
    """Read the replies of an ANSWERS table."""
    names = ("set", "image_path", "true_label", "choices", "cluster", "texts", "finishes", "error", "bare")
    sets, paths, true, choices, clusters, texts, finishes, errors, bare = (
        table[name].combine_chunks().to_pylist() for name in names
    )
    rows = range(table.num_rows)
    official = [None if errors[at] else _official(texts[at], choices[at], sets[at]) for at in rows]
    alone = [
        _official(texts[at], choices[at], ALONE, alone=True) if sets[at] == ALONE and not errors[at] else official[at]
        for at in rows
    ]
    said = [
        _NOTHING if errors[at] else said_by(texts[at], finishes[at] or (), choices[at], true[at], bare=bool(bare[at]))
        for at in rows
    ]
    return Readings(sets, paths, true, choices, clusters, official, alone, said)


_NOTHING = Said(UNKNOWN, "error", 0.0, 0, 0)


def said_by(
    texts: Sequence[str], finishes: Sequence[str], choices: Sequence[str], true: str, *, bare: bool = False
) -> Said:
    """Return what the samples of one row come to: the label that most of them give, of equals the one given first.

    `finishes` are the servers' reasons for the end of each; `bare`: the text as a whole is the answer, or what follows
    the thinking.
    """
    read = [
        _reading(text, finish, choices, bare=bare)
        for text, finish in zip(texts, (*finishes, *[""] * len(texts)), strict=False)
    ]
    if not read:
        return _NOTHING
    if len(read) == 1:
        label, outcome = read[0]
        known = label != UNKNOWN
        return Said(label, outcome, float(known), int(label == true), 1)
    labels = [label for label, _ in read]
    label = _most(labels)
    if label == UNKNOWN:
        return Said(UNKNOWN, read[0][1], 0.0, 0, len(read))
    outcome = next(outcome for one, outcome in read if one == label)
    return Said(label, outcome, labels.count(label) / len(read), labels.count(true), len(read))


def _most(labels: Sequence[str]) -> str:
    """Return the label that most samples give, of equals the one given first; UNKNOWN where none gives any."""
    counts = Counter(label for label in labels if label != UNKNOWN)
    return counts.most_common(1)[0][0] if counts else UNKNOWN


def _reading(text: str, finish: str, choices: Sequence[str], *, bare: bool) -> tuple[str, str]:
    """Return the label that counts, or UNKNOWN, and how it was found."""
    if bare and "<answer" not in text.lower():
        thinking, end, rest = text.rpartition("</think>")
        text = f"{thinking}{end}<answer>{rest}</answer>"
    found = answer.read(text, choices)
    if found.status in COUNTED and found.label is not None:
        return found.label, found.status
    cut = finish == "length" and found.status in ("malformed", "empty", "not a candidate")
    return UNKNOWN, "truncated" if cut else found.status


def _official(texts: Sequence[str], choices: Sequence[str], set_name: str, *, alone: bool = False) -> str | None:
    if set_name not in SYNONYMS:
        return None
    read = [read_official(text, choices, set_name, alone=alone) for text in texts or ("",)]
    return read[0] if len(read) == 1 else _most(read)


@lru_cache(maxsize=1)
def _canonical() -> Mapping[str, str]:
    return spellings(CANONICAL)


def canonical_of(label: str) -> str:
    """Return the word for a label that all sets share, in whichever form a set has it; itself where it is none."""
    return _canonical().get(label.casefold(), label)
