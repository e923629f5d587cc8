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

Floats = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]

RIDGE = 2.0
"""Weight of the penalty on squared weights of standardised features, against the sum of the faces' losses."""
KEPT = 12
"""Features a judge keeps: the strongest after a first fit on all of them."""


class Line(NamedTuple):
    """A linear score in the features' own units: the log odds of presence."""

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
    chosen = [names[at] for at in able[strongest]]
    return Line(round(float(bias), 4), {name: round(float(w), 4) for name, w in zip(chosen, weights, strict=True)})


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

    `cautious`: of the absent the upper end of the one-sided 95 % interval after Wilson (1927): none in a few hundred
    faces is no proof that there is none.
    """
    present, absent = np.sort(scores[truth]), np.sort(scores[~truth])
    hits = 1 - np.searchsorted(present, cutoffs) / max(len(present), 1)
    alarms = 1 - np.searchsorted(absent, cutoffs) / max(len(absent), 1)
    return hits, upper_end(alarms, len(absent)) if cautious else alarms


def upper_end(shares: Floats, count: int) -> Floats:
    """Return the upper ends of the one-sided 95 % intervals of shares that were seen in `count` faces; 1 of none."""
    if not count:
        return np.ones_like(shares)
    z = 1.645
    centre = shares + z * z / (2 * count)
    spread = z * np.sqrt(shares * (1 - shares) / count + z * z / (4 * count * count))
    return np.asarray((centre + spread) / (1 + z * z / count))


LEAST_RECALL = 0.2
"""A judgement that finds fewer than this share of what is there is not worth having."""
FEWEST = 40
"""Faces without the unit that a population must have for its false alarms to be counted."""

Group = tuple[Floats, Truth]
"""Scores and truth of one population."""


def lowest_cutoff(groups: Sequence[Group], *, least: float, prevalence: float) -> float | None:
    """Return the lowest score from which `present` is surely precise enough, by every group's false alarms, or None."""
    scores = np.unique(np.concatenate([scores for scores, _ in groups]))
    worst, hits = worst_precision(groups, scores, prevalence=prevalence, cautious=True)
    good = np.flatnonzero((worst >= least) & (hits >= LEAST_RECALL))
    return float(scores[good[0]]) if len(good) else None


def measured_limit(groups: Sequence[Group], at: float, *, prevalence: float) -> Limit:
    """Return how a cutoff does on faces it was not chosen on."""
    worst, hits = worst_precision(groups, np.array([at]), prevalence=prevalence)
    return Limit(round(at, 3), round(float(worst[0]), 3), round(float(hits[0]), 3))


def worst_precision(
    groups: Sequence[Group], cutoffs: Floats, *, prevalence: float, cautious: bool = False
) -> tuple[Floats, Floats]:
    """Return, for every cutoff, the precision with the false alarms of the worst group, and the recall over all groups.

    A group with fewer than FEWEST absent faces has no say of its own. `cautious`: see `rates`.
    """
    everyone = np.concatenate([s for s, _ in groups]), np.concatenate([t for _, t in groups])
    hits, alarms = rates(*everyone, cutoffs, cautious=cautious)
    able = [group for group in groups if (~group[1]).sum() >= FEWEST]
    own = [rates(*group, cutoffs, cautious=cautious)[1] for group in able]
    return precision(hits, np.max([alarms, *own], axis=0), prevalence), hits
