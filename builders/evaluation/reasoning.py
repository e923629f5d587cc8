"""The reasoning in a reply: where it stands, whether it leads to the answer that is given, and what it claims.

Stands between a model's replies and the figures on its rationales. What comes after the answer is no reasoning: it
cannot have led to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import pyarrow as pa

from ferbuild.builders.evaluation.reading import said_by
from ferbuild.filters import answer, prose
from ferbuild.filters.claims import NOT_PROSE, is_english
from ferbuild.filters.conclusion import concludes_otherwise
from ferbuild.filters.official import UNKNOWN

Verdict = Literal["agrees", "otherwise", "none"]
"""What a reasoning concludes: the answer given, another label, or nothing that can be told."""

COLUMNS = (
    "set", "image_path", "true_label", "canonical", "choices", "cluster", "texts", "finishes", "error", "bare", "id",
)  # fmt: skip


class Passage(NamedTuple):
    """A part of a reply."""

    start: int
    """Where it begins, in characters."""
    text: str
    """As it stands, tags and all; "" where there is none."""


class Reply(NamedTuple):
    """One reply, the first where several samples came, with its reasoning."""

    row: Mapping[str, Any]
    """COLUMNS of ANSWERS."""
    text: str
    reasoning: Passage
    answer: str | None
    """In the set's own words; None where none counts."""
    words: int
    """Of the reasoning."""

    @property
    def key(self) -> str:
        """What tells it from all others: set and picture."""
        return f"{self.row['set']}\0{self.row['image_path']}"

    @property
    def right(self) -> bool:
        return bool(self.answer == self.row["true_label"])


def replies(table: pa.Table) -> Iterator[Reply]:
    """Yield the first reply to every row of ANSWERS that has one; errors have none."""
    for row in table.select(list(COLUMNS)).to_pylist():
        if row["error"] or not row["texts"]:
            continue
        text, finish = row["texts"][0] or "", (row["finishes"] or [""])[0] or ""
        said = said_by([text], [finish], row["choices"], row["true_label"], bare=bool(row["bare"]))
        found = reasoning_of(text, row["choices"], bare=bool(row["bare"]))
        given = None if said.label == UNKNOWN else said.label
        yield Reply(row, text, found, given, len(prose.words(found.text)) if found.text else 0)


def reasoning_of(reply: str, choices: Sequence[str], *, bare: bool = False) -> Passage:
    """Return what stands before the last answer, inside think tags or not; blank before it, the first thinking.

    A reply that is nothing but a label, or of which the whole text is the answer (`bare`), has only its thinking. A
    reply without an answer is reasoning from end to end.
    """
    answers = [found for found in NOT_PROSE.finditer(reply) if found[0][:7].casefold() == "<answer"]
    if answers:
        ends = answers[-1].start()
    elif bare or answer.read(reply, choices).label:
        ends = max((found.end() for found in prose.CLOSES.finditer(reply)), default=0)
    else:
        ends = len(reply)
    if prose.prose(reply[:ends]):
        return Passage(0, reply[:ends])
    thought = prose.thinking(reply)
    return Passage(reply.index(thought), thought) if prose.prose(thought) else Passage(0, "")


def concluded(text: str, given: str, choices: Sequence[str]) -> Verdict:
    """Return what an English reasoning concludes, beside the answer that is `given`.

    It agrees where it concludes something, and something that no other label is, read as though the answer's label
    were the only one there is: `concludes_otherwise` of no answer at all tells whether anything is concluded.
    """
    said, labels = prose.prose(text), tuple(choices)
    if concludes_otherwise(said, given, labels):
        return "otherwise"
    agrees = concludes_otherwise(said, "", (given,)) and concludes_otherwise(said, "", labels)
    return "agrees" if agrees else "none"


def in_english(found: Sequence[Reply]) -> list[Reply]:
    """Return the replies whose reasoning is in English: of others nothing but the length can be told."""
    return [one for one in found if is_english(one.reasoning.text)]
