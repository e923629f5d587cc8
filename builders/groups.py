"""Pairs of near duplicates to groups around one picture each.

Stands behind the search for near duplicates: what a group holds is dropped but for its first, or kept together.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ferbuild.builders.compared import Fetch, compare
from ferbuild.builders.hashing import one_thread
from ferbuild.builders.near import Bools, Ints, Pairs
from ferbuild.builders.same import SAME_FROM

Verify = Callable[[Ints, Ints, Bools], Bools]
"""From rows, others and whether these are mirrored to whether both show one photograph."""


def verifier(fetch: Fetch) -> Verify:
    """Return what `group` asks about pairs that were no candidates."""

    def verify(i: Ints, j: Ints, mirrored: Bools) -> Bools:
        with one_thread():
            return compare(i, j, mirrored, fetch).score >= SAME_FROM

    return verify


def group(count: int, pairs: Pairs, rank: Ints, verify: Verify) -> Ints:
    """Return the row that stands for each of `count` rows: itself where it is alone.

    rank: the lowest stands for its group, and every row of a group was verified against it: a chain of pairs that
    ends far from where it began falls into several groups. Equal ranks go by row.
    """
    stands = np.arange(count, dtype=np.int64)
    stars = [_Star(beside, rank) for beside in _clusters(pairs)]
    while stars:
        asked = [(star, *ask) for star in stars for ask in star.open_questions()]
        if asked:
            i, j, mirrored = (np.array(part) for part in list(zip(*asked, strict=True))[1:])
            for (star, _, row, flip), yes in zip(asked, verify(i, j, mirrored), strict=True):
                star.answer(row, flip, yes=bool(yes))
        stars = [star for star in stars if star.goes_on(stands)]
    return stands


def _clusters(pairs: Pairs) -> list[dict[int, dict[int, bool]]]:
    """Return the rows of every connected part, each with the rows beside it and whether they are mirrored."""
    beside: dict[int, dict[int, bool]] = {}
    for i, j, mirrored in zip(pairs.i.tolist(), pairs.j.tolist(), pairs.mirrored.tolist(), strict=True):
        for one, other in ((i, j), (j, i)):
            known = beside.setdefault(one, {})
            known[other] = known.get(other, True) and mirrored  # plain where it is both: a picture that is symmetric
    parts, seen = [], set[int]()
    for start in beside:
        if start in seen:
            continue
        part: dict[int, dict[int, bool]] = {}
        ahead = [start]
        while ahead:
            row = ahead.pop()
            if row not in part:
                part[row] = beside[row]
                ahead += beside[row]
        seen |= part.keys()
        parts.append(part)
    return parts


class _Star:
    """Rows that hang together, of which one group after another is made, each around its first row by rank."""

    def __init__(self, beside: dict[int, dict[int, bool]], rank: Ints) -> None:
        self.beside = beside
        self.waiting = sorted(beside, key=lambda row: (-rank[row], -row))
        self.free = set(beside)
        self._begin()

    def _begin(self) -> None:
        while self.waiting[-1] not in self.free:
            self.waiting.pop()
        self.centre = self.waiting.pop()
        self.free.discard(self.centre)
        self.members = {self.centre: False}
        self.refused = set[int]()
        self.fresh = [self.centre]

    def open_questions(self) -> list[tuple[int, int, bool]]:
        """Return centre, row and mirrored of every row beside a new member; those beside the centre need no asking."""
        found: dict[int, bool] = {}
        for member in self.fresh:
            for row, flip in self.beside[member].items():
                if row in self.free and row not in self.refused and row not in found:
                    found[row] = flip ^ self.members[member]
        self.fresh = []
        for row in [row for row in found if row in self.beside[self.centre]]:
            self.answer(row, self.beside[self.centre][row], yes=True)
            del found[row]
        return [(self.centre, row, flip) for row, flip in found.items()]

    def answer(self, row: int, flip: bool, *, yes: bool) -> None:
        """Take a row into the group, or leave it to the next one."""
        if not yes:
            self.refused.add(row)
            return
        self.free.discard(row)
        self.members[row] = flip
        self.fresh.append(row)

    def goes_on(self, stands: Ints) -> bool:
        """Write a finished group down and begin the next; False where no row is left."""
        if self.fresh:
            return True
        stands[list(self.members)] = self.centre
        if not self.free:
            return False
        self._begin()
        return True
