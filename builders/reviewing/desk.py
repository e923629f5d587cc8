"""One reviewer at one dataset: what is shown next, what was decided, and how a decision is written down.

Stands between the catalogue with its log and the server, which only carries it. What other servers write to the same
log meanwhile is taken in before every answer.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ferbuild.builders.errors import FerError
from ferbuild.builders.record import CANONICAL
from ferbuild.builders.reviewing import log, shown
from ferbuild.builders.reviewing.catalogue import PAGE, Catalogue
from ferbuild.builders.reviewing.choosing import Chooser, Mask, Query
from ferbuild.builders.reviewing.figures import Summary, summed
from ferbuild.builders.reviewing.log import VERDICTS, Entry, Verb
from ferbuild.builders.reviewing.pictures import Encoded, Gallery, Joined
from ferbuild.builders.reviewing.sample import Sample
from ferbuild.builders.reviewing.standing import Decisions

OPEN, SETTLED = 1, 2
"""Of a row that reviewers disagree about, or did."""


@dataclass(frozen=True)
class Setup:
    """What a reviewer sits down to."""

    catalogue: Catalogue
    gallery: Gallery
    measures: Joined
    log: Path
    reviewer: str
    sample: Sample | None = None
    order: npt.NDArray[np.int64] | None = None
    """The rows that are shown, in order; None: all of them as they lie."""


@dataclass
class Desk:
    """The state of a review. Any thread may call; one at a time goes in."""

    setup: Setup
    decisions: Decisions = field(default_factory=Decisions)
    stop: int = 0
    """The byte of the log to read on from."""
    last: str = ""
    mine: npt.NDArray[np.int8] = field(init=False)
    """Of every row this reviewer's decision, as its place in VERDICTS from 1 on; 0: none."""
    disputes: npt.NDArray[np.int8] = field(init=False)
    """Of every row OPEN, SETTLED or 0."""

    def __post_init__(self) -> None:
        self.catalogue = self.setup.catalogue
        self.chooser = Chooser(self.catalogue)
        self.order = np.arange(len(self.catalogue)) if self.setup.order is None else self.setup.order
        self.lock = threading.RLock()
        self._clear()
        self.refresh()

    def refresh(self) -> None:
        """Take in what was added to the log; all of it anew where somebody made it shorter."""
        with self.lock:
            path = self.setup.log
            if path.exists() and path.stat().st_size < self.stop:
                self._clear()
            tail = log.read_on(path, self.stop)
            self.stop = tail.stop
            self.last = tail.entries[-1].at if tail.entries else self.last
            if tail.entries:
                self._mark(self.decisions.add(tail.entries))

    def _clear(self) -> None:
        self.decisions, self.stop = Decisions(), 0
        self.mine = np.zeros(len(self.catalogue), np.int8)
        self.disputes = np.zeros(len(self.catalogue), np.int8)

    def _mark(self, ids: Iterable[str]) -> None:
        """Note on the rows with these ids what stands of them now."""
        for number in self.catalogue.numbers(sorted(ids)):
            name = self.catalogue.id(number)
            verdicts = self.decisions.verdicts(name)
            own = verdicts.get(self.setup.reviewer)
            self.mine[number] = VERDICTS.index(own.decision) + 1 if own else 0
            outcome = self.decisions.outcome_of(verdicts, name)
            apart = outcome is not None and len({said.answer for said in verdicts.values()}) > 1
            settled = outcome is not None and outcome.settled
            self.disputes[number] = SETTLED if settled else OPEN if apart else 0

    def about(self) -> dict[str, Any]:
        """Return what the page has to know before it shows a row."""
        sample = self.setup.sample
        return {
            "dataset": self.catalogue.dataset,
            "kind": self.catalogue.kind,
            "reviewer": self.setup.reviewer,
            "rows": len(self.order),
            "of": len(self.catalogue),
            "sample": {"seed": sample.seed, "rows": len(sample.rows)} if sample else None,
            "labels": [] if self.catalogue.kind == "drops" else list(CANONICAL),
            "facets": self.catalogue.facets(),
            "agreement": "agreement" in self.catalogue.rows.columns,
        }

    def page(self, query: Query, *, page: int = 0, row: int | None = None) -> dict[str, Any]:
        """Return PAGE rows of those that a query asks for: one page, or that which holds a row."""
        self.refresh()
        found = self.found(query)
        if row is not None and len(spot := np.flatnonzero(found == row)):
            page = int(spot[0]) // PAGE
        some = found[page * PAGE : (page + 1) * PAGE]
        return {
            "total": len(found),
            "page": page,
            "pages": -(-len(found) // PAGE),
            "decided": int((self.mine[found] > 0).sum()),
            "disputes": int((self.disputes[self.order] == OPEN).sum()),
            "next": self.next_of(query, -1),
            "rows": [self._listed(int(number)) for number in some],
        }

    def _listed(self, number: int) -> dict[str, Any]:
        lines = self.catalogue.line(number)
        return {"row": number, **lines, "mine": self._mine(number), "dispute": int(self.disputes[number])}

    def _mine(self, number: int) -> str:
        return ("", *VERDICTS)[self.mine[number]]

    def found(self, query: Query) -> npt.NDArray[np.int64]:
        """Return the rows that a query asks for, in order."""
        mask = self.chooser.mask(query)
        with self.lock:
            if query.state:
                mask &= (self.mine > 0) == (query.state == "decided")
            if query.decision:
                mask &= self.mine == VERDICTS.index(query.decision) + 1
            if query.dispute:
                mask &= self.disputes == (OPEN if query.dispute == "open" else SETTLED)
        return self.order[mask[self.order]]

    def detail(self, number: int) -> dict[str, Any]:
        """Return all that is shown of a row, with what was decided. IndexError where there is no such row.

        What the others said is told once this reviewer has decided, or where they disagree: so one does not lead the
        other.
        """
        self.refresh()
        name, me = self.catalogue.id(self._known(number)), self.setup.reviewer
        verdicts, notes = self.decisions.verdicts(name), self.decisions.notes(name)
        own = verdicts.get(me)
        tells = own is not None or self.disputes[number] > 0
        others = [(who, said) for who, said in sorted(verdicts.items()) if who != me] if tells else []
        return shown.detail(self.catalogue, number, self.setup.measures) | {
            "row": number,
            "mine": {"decision": own.decision, "label": own.label} if own else None,
            "note": notes.get(me, ""),
            "others": [
                {
                    "reviewer": who,
                    "decision": said.decision,
                    "label": said.label,
                    "note": notes.get(who, ""),
                    "settles": said.settles,
                }
                for who, said in others
            ],
            "dispute": ("", "open", "settled")[self.disputes[number]],
        }

    def picture(self, number: int, at: int) -> Encoded | None:
        """Return a picture of a row; None where there is none. IndexError where there is no such row."""
        gallery, row = self.setup.gallery, self.catalogue.row(self._known(number))
        return gallery.of_drop(row, at) if self.catalogue.kind == "drops" else gallery.of_row(row, at)

    def decide(
        self, number: int, verb: Verb, *, label: str | None = None, note: str | None = None, settles: bool = False
    ) -> None:
        """Write down a decision about a row; it is on the disk when this returns.

        IndexError where there is no such row; ValueError where nobody can decide so.
        """
        if verb == "relabel" and self.catalogue.kind == "drops":
            raise ValueError("a dropped row has no label to change: accept or reject that it was dropped")
        if label is not None and label == self.catalogue.rows["canonical"][self._known(number)]:
            raise ValueError(f"{label} is its label already: accept it")
        if verb == "undo":
            raise ValueError("undo takes back the last decision, whatever row it is about")
        with self.lock:
            self._write(self._known(number), verb, label, note, settles)

    def undo(self) -> int | None:
        """Take back this reviewer's last decision, and return its row; None where nothing is left to take back.

        -1 stands for a row that another build of the dataset had.
        """
        with self.lock:
            self.refresh()
            name = self.decisions.last_of(self.setup.reviewer)
            if name is None:
                return None
            numbers = self.catalogue.numbers([name])
            if numbers:
                self._write(numbers[0], "undo", None, None, settles=False)
            else:
                self._append(name, (), "", "undo", None, None, settles=False)
            return numbers[0] if numbers else -1

    def _write(self, number: int, verb: Verb, label: str | None, note: str | None, settles: bool) -> None:
        faces = shown.faces_of(self.catalogue, number)
        name, key = self.catalogue.id(number), self.catalogue.key(number)
        self._append(name, faces, key, verb, label, note, settles=settles)

    def _append(
        self,
        name: str,
        faces: tuple[str, ...],
        key: str,
        verb: Verb,
        label: str | None,
        note: str | None,
        *,
        settles: bool,
    ) -> None:
        entry = Entry(
            at=log.now(),
            reviewer=self.setup.reviewer,
            dataset=self.catalogue.dataset,
            key=key,
            id=name,
            faces=faces,
            decision=verb,
            label=label,
            note=note,
            settles=settles,
        )
        log.append(self.setup.log, entry)
        self.refresh()

    def next_of(self, query: Query, number: int) -> int | None:
        """Return the next row to decide after one, among those that a query asks for; the first ones come last."""
        with self.lock:
            left = self.disputes == OPEN if query.dispute == "open" else self.mine == 0
            mask: Mask = self.chooser.mask(query) & left
        places = np.flatnonzero(mask[self.order])
        here = np.flatnonzero(self.order == number)
        if not len(places):
            return None
        behind = places[places > here[0]] if len(here) else places
        return int(self.order[behind[0] if len(behind) else places[0]])

    def summary(self) -> Summary:
        """Return the figures of the log as it is now."""
        self.refresh()
        with self.lock:
            return summed(self.catalogue.dataset, self.decisions, self.setup.sample, self.last)

    def _known(self, number: int) -> int:
        if not 0 <= number < len(self.catalogue):
            raise IndexError(number)
        return number


def checked_reviewer(name: str) -> str:
    """Return a reviewer's name; FerError where it cannot stand in a log."""
    name = name.strip()
    if not name or len(name) > 64 or not name.isprintable():
        raise FerError(f"--reviewer {name!r}", "is no name", "give 1 to 64 letters: --reviewer anna")
    return name
