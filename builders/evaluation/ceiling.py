"""What people reach: one annotator of FERPlus against the others, by the rule that the benchmark's labels follow.

Stands beside the score. It is computed from the votes of the very rows that a model is scored on, and asks of an
annotator what is asked of a model: to name the label that people agree on, without having a say in it. It is no bound:
a model that learned from many annotators may agree with them better than one of them does.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ferbuild.builders.evaluation import metrics
from ferbuild.builders.evaluation.metrics import RESAMPLES, Shares
from ferbuild.builders.sources.vote_rules import EXPRESSIONS, RULES, Votes, tied

SOURCE = (
    "FERPlus votes: an annotator who names an expression, against the label that the other annotators of the face give "
    "by the rule {rule}; {ties:.1%} of these are ties, which the first vote column wins"
)


class Ceiling(NamedTuple):
    """How often people are right; shares 0..1 are means over the faces."""

    accuracy: float
    """Chance that an annotator, drawn from those who name an expression, names the label that the others give."""
    low: float
    """Of its 95 % interval: bootstrap over the faces."""
    high: float
    n: int
    """Faces; one on which nobody else names an expression has no label of the others, and is none of them."""
    source: str
    """What was computed, in words."""
    left_out: int
    """Faces that are none of `n`."""
    ties: float
    """Of the labels that the others give, the share in which the order of the vote columns decides."""
    with_unknown: float
    """The accuracy where a vote for "unknown" or "no face" counts as a wrong answer, as a model's "unknown" does."""
    published: float
    """The accuracy against the label that all votes give, which is the published one: too high by the annotator's own
    say in it."""


class _Draws(NamedTuple):
    """Chances over the annotators of each face who name an expression, the others' label known: (n,) each."""

    right: Shares
    right_published: Shares
    ties: Shares
    known: Shares
    """That the others give a label at all; the three above are parts of it."""


def ceiling(votes: Votes, *, rule: str = "argmax8", seed: int = 0, resamples: int = RESAMPLES) -> Ceiling | None:
    """Return what people reach on faces with these (n, 10) votes, columns as in VOTE_WORDS; None of no usable face.

    rule: of `vote_rules.RULES`, the one that made the benchmark's labels. Every annotator of a face is as likely to be
    drawn, every face counts alike.
    """
    named = votes[:, :EXPRESSIONS].sum(axis=1)
    draws = _draws(votes, rule)
    kept = draws.known > 0
    if not kept.any():
        return None
    known, all_votes = draws.known[kept], votes[kept].sum(axis=1)
    right = draws.right[kept] / known
    low, high = _ends(right, seed, resamples)
    ties = float((draws.ties[kept] / known).mean())
    return Ceiling(
        accuracy=float(right.mean()),
        low=low,
        high=high,
        n=int(kept.sum()),
        source=SOURCE.format(rule=rule, ties=ties),
        left_out=int((~kept).sum()),
        ties=ties,
        with_unknown=float((right * named[kept] / all_votes).mean()),
        published=float((draws.right_published[kept] / known).mean()),
    )


def as_json(found: Ceiling) -> dict[str, Any]:
    """Return the ceiling; shares to six places."""
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in found._asdict().items()}


def _draws(votes: Votes, rule: str) -> _Draws:
    """Take each annotator out in turn, all that voted alike at once, and hold the vote against the rest's label."""
    published = RULES[rule](votes)
    named = np.maximum(votes[:, :EXPRESSIONS].sum(axis=1), 1)
    right, right_published, ties, known = np.zeros((4, len(votes)))
    for column in range(EXPRESSIONS):
        others = votes.copy()
        others[:, column] = np.maximum(others[:, column] - 1, 0)
        label = RULES[rule](others)
        is_known = (label < EXPRESSIONS) & others[:, :EXPRESSIONS].any(axis=1)
        chance = np.where(is_known, votes[:, column] / named, 0.0)
        right += chance * (label == column)
        right_published += chance * (published == column)
        ties += chance * tied(others, rule)
        known += chance
    return _Draws(right, right_published, ties, known)


def _ends(values: Shares, seed: int, resamples: int) -> tuple[float, float]:
    """Return the ends of the 95 % interval of a mean over faces; the whole range where there are no resamples."""
    kinds, cells = np.unique(values, return_inverse=True)
    faces = [str(at) for at in range(len(values))]
    again = metrics.resampled(cells.tolist(), faces, len(kinds), resamples, (seed,))
    return metrics.ends(again @ kinds / len(values)) or (0.0, 1.0)
