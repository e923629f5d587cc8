"""How ten votes become one label: FERPlus's rules, over a whole table of votes at once.

Each rule is a plain function looked up by its name; what the words mean for a row is the source manifest's to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from ferbuild.builders.record import VOTE_WORDS

Votes = npt.NDArray[np.int32]
"""n × 10 counts, columns in the order of VOTE_WORDS."""

Verdict = npt.NDArray[np.intp]
"""n places in WORDS."""

EXPRESSIONS = 8
"""The first vote columns are expressions, the last two (unknown, no face) are not."""

WORDS = (*VOTE_WORDS, "no majority", "no votes")
"""What a rule can say: a vote column, or why there is none."""

_NO_MAJORITY = WORDS.index("no majority")
_NO_VOTES = WORDS.index("no votes")


def argmax8(votes: Votes) -> Verdict:
    """Take the expression with the most votes, the first column of several: the rule FERBench was made with."""
    first: Verdict = votes[:, :EXPRESSIONS].argmax(axis=1)
    return first


def argmax10(votes: Votes) -> Verdict:
    """Take the column with the most votes, the first of several; unknown and NF count as columns."""
    first: Verdict = votes.argmax(axis=1)
    return first


def majority(votes: Votes) -> Verdict:
    """Take the column with more than half of the votes, single votes set aside: the FERPlus makers' own rule."""
    held = np.where(votes > 1, votes, 0)
    return np.where(2 * held.max(axis=1) > held.sum(axis=1), held.argmax(axis=1), _NO_MAJORITY)


RULES: Mapping[str, Callable[[Votes], Verdict]] = {"argmax8": argmax8, "majority": majority, "argmax10": argmax10}


def decide(votes: Votes, rule: str) -> list[str]:
    """Return one of WORDS a row; a row without a single vote has none under any rule."""
    verdict = np.where(_cast(votes), RULES[rule](votes), _NO_VOTES)
    return [WORDS[at] for at in verdict]


def tied(votes: Votes, rule: str) -> npt.NDArray[np.bool_]:
    """Return where the order of the columns, not the votes, decided; never under `majority`."""
    if rule == "majority":
        return np.zeros(len(votes), dtype=np.bool_)
    counted = votes[:, :EXPRESSIONS] if rule == "argmax8" else votes
    best = counted.max(axis=1, keepdims=True)
    several: npt.NDArray[np.bool_] = (counted == best).sum(axis=1) > 1
    return several & _cast(votes)


def voteless(votes: Votes) -> npt.NDArray[np.bool_]:
    """Return where there are votes, but none for an expression: argmax8 calls such a face by its first column."""
    return _cast(votes) & ~_cast(votes[:, :EXPRESSIONS])


def _cast(votes: Votes) -> npt.NDArray[np.bool_]:
    """Return where any vote was cast at all."""
    some: npt.NDArray[np.bool_] = np.asarray(votes.any(axis=1))
    return some
