"""The statistics of a calibration: a ridge logistic score, and the cutoffs from which its judgement may be believed.

Stands beside the way of a face: `calibrate` gives it features and known truth of rendered faces, and puts what it
returns into `calibration.yaml`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.stats import rankdata

from ferbuild.builders.intervals import ONE_SIDED, wilson

Floats = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]

RIDGE = 2.0
"""Weight of the penalty on squared weights of standardised features, against the sum of the faces' losses."""
KEPT = 12
"""Features a judge keeps: the strongest after a first fit on all of them."""


class Line(NamedTuple):
    """A linear score in the features' own units: the log odds of presence, were present and absent faces as many."""

    bias: float
    weights: dict[str, float]


class Limit(NamedTuple):
    """A cutoff and how good the judgements beyond it are."""

    at: float
    precision: float
    recall: float


def fit(seen: Floats, names: Sequence[str], truth: Truth) -> Line:
    """Fit presence (n) to features (n x f) by logistic regression with a ridge, on the strongest features."""
    spread = seen.std(0)
    able = np.flatnonzero(spread > 1e-9)
    middle, scaled = seen[:, able].mean(0), (seen[:, able] - seen[:, able].mean(0)) / spread[able]
    first = _logistic(scaled, truth)
    strongest = np.sort(np.argsort(-np.abs(first[1:]), kind="stable")[:KEPT])
    found = _logistic(scaled[:, strongest], truth)
    weights = found[1:] / spread[able[strongest]]
    bias = found[0] - float(weights @ middle[strongest])
    chosen = {names[at]: significant(float(w)) for at, w in zip(able[strongest], weights, strict=True)}
    return Line(significant(float(bias)), chosen)


def _logistic(seen: Floats, truth: Truth) -> Floats:
    """Return bias and weights; present and absent faces weigh the same in all, however rare a unit is."""
    sign = np.where(truth, 1.0, -1.0)
    share = np.where(truth, 0.5 / max(truth.mean(), 1e-9), 0.5 / max(1 - truth.mean(), 1e-9))
    table = np.column_stack([np.ones(len(seen)), seen])
    ridge = np.full(table.shape[1], RIDGE)
    ridge[0] = 0.0

    def wrong(at: Floats) -> Floats:
        """How sure the fit is of the other class, 0..1."""
        return np.asarray(1 / (1 + np.exp(np.clip(sign * (table @ at), -500, 500))))

    def loss(at: Floats) -> float:
        return float(share @ np.logaddexp(0, -sign * (table @ at)) + ridge @ at**2 / 2)

    def slope(at: Floats) -> Floats:
        return np.asarray(table.T @ (-share * sign * wrong(at)) + ridge * at)

    def bend(at: Floats) -> Floats:
        doubt = wrong(at)
        return np.asarray((table.T * (share * doubt * (1 - doubt))) @ table + np.diag(ridge))

    start = np.zeros(table.shape[1])
    return np.asarray(minimize(loss, start, jac=slope, hess=bend, method="trust-exact", options={"gtol": 1e-3}).x)


def auc(scores: Floats, truth: Truth) -> float:
    """Return the area under the ROC curve: how often a present face scores above an absent one; .5 without either."""
    positives = int(truth.sum())
    negatives = len(truth) - positives
    if not positives or not negatives:
        return 0.5
    ranks = rankdata(scores)
    return float((ranks[truth].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def precision(hits: Floats, false_alarms: Floats, prevalence: float) -> Floats:
    """Return the precision, at a prevalence, of a rule that fires on these shares of the one class and the other."""
    right, wrong = prevalence * hits, (1 - prevalence) * false_alarms
    return np.divide(right, right + wrong, out=np.zeros_like(right), where=right + wrong > 0)


def rates(scores: Floats, truth: Truth, cutoffs: Floats, *, cautious: bool = False) -> tuple[Floats, Floats]:
    """Return, for every cutoff, the shares of the present and of the absent faces that score at least that much.

    A score that is NaN reaches no cutoff. `cautious`: of the absent the upper end of the one-sided 95 % interval: none
    in a few hundred faces is no proof that there is none.
    """
    known = np.where(np.isnan(scores), -np.inf, scores)
    present, absent = np.sort(known[truth]), np.sort(known[~truth])
    hits = 1 - np.searchsorted(present, cutoffs) / max(len(present), 1)
    alarms = 1 - np.searchsorted(absent, cutoffs) / max(len(absent), 1)
    return hits, wilson(alarms, len(absent), z=ONE_SIDED)[1] if cautious else alarms


LEAST_RECALL = 0.2
"""A judgement that finds fewer than this share of what is there is not worth having."""
FEWEST = 40
"""Faces without the unit that a population must have for its false alarms to be counted."""
DIGITS = 6
"""Significant digits of a cutoff, enough for scores of any scale."""

Group = tuple[Floats, Truth]
"""Scores and truth of one population."""
View = Sequence[Group]
"""What is asked of a face, as "on either side": the populations it is asked of."""


def lowest_cutoff(views: Sequence[View], *, least: float, prevalence: float) -> float | None:
    """Return the lowest score from which `present` is surely precise enough in every view, by every group's false
    alarms, or None.
    """
    scores = np.unique(np.concatenate([scores for view in views for scores, _ in view]))
    scores = scores[np.isfinite(scores)]
    worst, hits = worst_of_all(views, scores, prevalence=prevalence, cautious=True)
    good = np.flatnonzero((worst >= least) & (hits >= LEAST_RECALL))
    return significant(float(scores[good[0]])) if len(good) else None


def significant(number: float) -> float:
    """Return a number rounded to DIGITS significant digits."""
    return float(f"{number:.{DIGITS}g}")


def measured_limit(views: Sequence[View], at: float, *, prevalence: float) -> Limit:
    """Return how a cutoff does on faces it was not chosen on, in the worst view."""
    worst, hits = worst_of_all(views, np.array([at]), prevalence=prevalence)
    return Limit(at, round(float(worst[0]), 3), round(float(hits[0]), 3))


def worst_of_all(
    views: Sequence[View], cutoffs: Floats, *, prevalence: float, cautious: bool = False
) -> tuple[Floats, Floats]:
    """Return, for every cutoff, the precision and the recall of the view that does worst in each."""
    found = [worst_precision(view, cutoffs, prevalence=prevalence, cautious=cautious) for view in views]
    return np.min([precise for precise, _ in found], axis=0), np.min([hits for _, hits in found], axis=0)


def worst_precision(
    groups: View, cutoffs: Floats, *, prevalence: float, cautious: bool = False
) -> tuple[Floats, Floats]:
    """Return, for every cutoff, the precision with the false alarms of the worst group, and the recall over all groups.

    A group with fewer than FEWEST absent faces has no say of its own. `cautious`: see `rates`.
    """
    everyone = np.concatenate([s for s, _ in groups]), np.concatenate([t for _, t in groups])
    hits, alarms = rates(*everyone, cutoffs, cautious=cautious)
    able = [group for group in groups if (~group[1]).sum() >= FEWEST]
    own = [rates(*group, cutoffs, cautious=cautious)[1] for group in able]
    return precision(hits, np.max([alarms, *own], axis=0), prevalence), hits
