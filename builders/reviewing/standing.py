"""What stands of a log: of every row the last decision of each reviewer, once what was taken back is gone.

Stands between the log and all that asks what was decided: the page, the figures and the reviewed datasets.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from ferbuild.builders.reviewing.log import VERDICTS, Entry, Verb

Result = Literal["accept", "reject", "relabel", "disagree"]

_RESULTS: Mapping[Verb, Result] = {"accept": "accept", "reject": "reject", "relabel": "relabel"}


class Said(NamedTuple):
    """One entry of the log, without what its place tells."""

    number: int
    """In the order of the log."""
    decision: Verb
    label: str | None
    note: str | None
    settles: bool
    at: str
    key: str

    @property
    def answer(self) -> str:
        """The decision in a word, with the new label where there is one: what two reviewers agree on or do not."""
        return f"{self.decision} {self.label}" if self.label else self.decision


class Outcome(NamedTuple):
    """What all reviewers together come to."""

    result: Result
    label: str | None
    note: str
    """What those wrote who decided so."""
    settled: bool


@dataclass(slots=True)
class Decisions:
    """What stands, kept up as the log grows."""

    rows: dict[str, dict[str, list[Said]]] = field(default_factory=dict)
    """Row to reviewer to what stands of him, the latest last."""
    trails: dict[str, list[str]] = field(default_factory=dict)
    """Reviewer to the rows of what stands of him, the latest last."""
    count: int = 0

    def add(self, entries: Iterable[Entry]) -> set[str]:
        """Take entries in the order of the log and return the rows that they are about."""
        touched = set[str]()
        for entry in entries:
            self.count += 1
            touched.add(entry.id)
            if entry.decision == "undo":
                self._take_back(entry.id, entry.reviewer)
                continue
            said = Said(self.count, entry.decision, entry.label, entry.note, entry.settles, entry.at, entry.key)
            self.rows.setdefault(entry.id, {}).setdefault(entry.reviewer, []).append(said)
            self.trails.setdefault(entry.reviewer, []).append(entry.id)
        return touched

    def _take_back(self, row: str, reviewer: str) -> None:
        """Remove the reviewer's last entry about a row; nothing where there is none, as of a log that was cut."""
        stack = self.rows.get(row, {}).get(reviewer)
        if not stack:
            return
        stack.pop()
        if not stack:
            del self.rows[row][reviewer]
            if not self.rows[row]:
                del self.rows[row]
        trail = self.trails[reviewer]
        del trail[len(trail) - 1 - trail[::-1].index(row)]

    def last_of(self, reviewer: str) -> str | None:
        """Return the row of what the reviewer did last and can take back."""
        trail = self.trails.get(reviewer)
        return trail[-1] if trail else None

    def verdicts(self, row: str) -> dict[str, Said]:
        """Return the last decision of every reviewer about a row; notes are none."""
        found = {who: _last(stack, VERDICTS) for who, stack in self.rows.get(row, {}).items()}
        return {who: said for who, said in found.items() if said is not None}

    def notes(self, row: str) -> dict[str, str]:
        """Return every reviewer's note on a row; one that was emptied is none."""
        found = {who: _note(stack) for who, stack in self.rows.get(row, {}).items()}
        return {who: note for who, note in found.items() if note}

    def outcome(self, row: str) -> Outcome | None:
        """Return what a row's reviewers come to; None where nobody decided."""
        return self.outcome_of(self.verdicts(row), row)

    def outcome_of(self, verdicts: Mapping[str, Said], row: str) -> Outcome | None:
        """Return what these verdicts about a row come to: the last one that settles, or what all say."""
        if not verdicts:
            return None
        settling = [said for said in verdicts.values() if said.settles]
        final = max(settling, default=None)
        answers = {said.answer for said in verdicts.values()}
        if final is None and len(answers) > 1:
            told = "; ".join(f"{who}: {said.answer}" for who, said in sorted(verdicts.items()))
            return Outcome("disagree", None, told, settled=False)
        chosen = final or next(iter(verdicts.values()))
        notes = self.notes(row)
        kept = [notes[who] for who, said in sorted(verdicts.items()) if said.answer == chosen.answer and who in notes]
        return Outcome(
            _RESULTS[chosen.decision], chosen.label, "; ".join(dict.fromkeys(kept)), settled=final is not None
        )

    def outcomes(self) -> Iterator[tuple[str, Outcome]]:
        """Yield the rows that somebody decided about, with what their reviewers come to."""
        for row in self.rows:
            if (found := self.outcome(row)) is not None:
                yield row, found


def standing(entries: Iterable[Entry]) -> Decisions:
    """Return what stands of a log."""
    found = Decisions()
    found.add(entries)
    return found


def _last(stack: list[Said], verbs: tuple[str, ...]) -> Said | None:
    return next((said for said in reversed(stack) if said.decision in verbs), None)


def _note(stack: list[Said]) -> str | None:
    return next((said.note for said in reversed(stack) if said.note is not None), None)
