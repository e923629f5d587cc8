"""The statistics behind a calibration, on numbers whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from ferbuild.builders import fitting


def test_auc_counts_pairs() -> None:
    scores = np.array([1.0, 2.0, 3.0, 4.0])
    assert fitting.auc(scores, np.array([False, False, True, True])) == 1.0
    assert fitting.auc(scores, np.array([True, True, False, False])) == 0.0
    assert fitting.auc(scores, np.array([False, True, False, True])) == 0.75
    assert fitting.auc(np.ones(4), np.array([False, True, False, True])) == 0.5
    assert fitting.auc(scores, np.ones(4, bool)) == 0.5


def test_precision_at_a_prevalence() -> None:
    found = fitting.precision(np.array([0.8, 0.8, 0.0]), np.array([0.2, 0.0, 0.0]), 0.2)
    assert found == pytest.approx([0.16 / (0.16 + 0.16), 1.0, 0.0])


def test_rates_are_shares_of_both_classes() -> None:
    scores, truth = np.arange(20.0), np.arange(20) >= 10
    hits, alarms = fitting.rates(scores, truth, np.array([0.0, 5.0, 10.0, 15.0, 30.0]))
    assert hits.tolist() == [1.0, 1.0, 1.0, 0.5, 0.0]
    assert alarms.tolist() == [1.0, 0.5, 0.0, 0.0, 0.0]


def test_a_cautious_rate_is_the_end_of_its_interval() -> None:
    """Wilson's one-sided upper end; of none in 100 it is z² / (100 + z²)."""
    scores, truth = np.zeros(150), np.arange(150) < 50
    _, alarms = fitting.rates(scores, truth, np.array([1.0]), cautious=True)
    assert alarms == pytest.approx([0.02635], abs=1e-4)
    _, unknown = fitting.rates(scores[:50], truth[:50], np.array([1.0]), cautious=True)
    assert unknown.tolist() == [1.0], "of no absent face nothing is known"


def test_a_score_that_is_missing_reaches_no_cutoff() -> None:
    scores, truth = np.array([np.nan, 1.0, np.nan, 0.0]), np.array([True, True, False, False])
    assert [side.tolist() for side in fitting.rates(scores, truth, np.array([0.5]))] == [[0.5], [0.0]]
    assert fitting.lowest_cutoff([[(np.repeat(scores, 50), np.repeat(truth, 50))]], least=0.5, prevalence=0.5) == 1.0


def test_cutoffs_keep_their_scale() -> None:
    """A net whose scores are all near nought is judged as well as one whose scores are large."""
    truth = np.arange(1000) < 500
    for scale in (1e-7, 1.0, 1e7):
        scores = np.where(truth, 1.23456789, 0.1) * scale
        found = fitting.lowest_cutoff([[(scores, truth)]], least=0.9, prevalence=0.2)
        assert found == pytest.approx(1.23457 * scale, rel=1e-9)


def test_every_view_must_bear_a_cutoff_out() -> None:
    truth = np.arange(1000) < 500
    good = (np.where(truth, 1.0, 0.0), truth)
    bad = (np.where(np.arange(1000) % 10 == 9, 1.0, good[0]), truth)
    assert fitting.lowest_cutoff([[good]], least=0.9, prevalence=0.2) == 1.0
    assert fitting.lowest_cutoff([[good], [bad]], least=0.9, prevalence=0.2) is None
    limit = fitting.measured_limit([[good], [bad]], 1.0, prevalence=0.5)
    assert (limit.precision, limit.recall) == (pytest.approx(1 / 1.1, abs=1e-3), 1.0)


def test_fit_finds_what_was_planted() -> None:
    rng = np.random.default_rng(1)
    seen = rng.normal(size=(4000, 30))
    planted = 3 * seen[:, 4] - 2 * seen[:, 17]
    truth = planted + rng.logistic(size=4000) > 2.0
    names = [f"m{at}" for at in range(30)]
    line = fitting.fit(seen * 0.1 + 5, names, truth)
    assert len(line.weights) == fitting.KEPT
    assert sorted(line.weights, key=lambda name: -abs(line.weights[name]))[:2] == ["m4", "m17"]
    assert line.weights["m4"] / line.weights["m17"] == pytest.approx(-1.5, abs=0.15)
    scores = line.bias + sum(weight * (seen[:, int(name[1:])] * 0.1 + 5) for name, weight in line.weights.items())
    assert fitting.auc(np.asarray(scores), truth) == pytest.approx(fitting.auc(planted, truth), abs=0.005)


def test_a_constant_feature_does_no_harm() -> None:
    seen = np.column_stack([np.ones(100), np.arange(100.0)])
    line = fitting.fit(seen, ["same", "rises"], np.arange(100) >= 50)
    assert set(line.weights) == {"rises"}


def test_the_cutoff_holds_in_the_worse_group() -> None:
    """The first group's absent faces all score low; a tenth of the second's reach as high as the present ones."""
    truth = np.arange(1000) < 500
    easy = np.where(truth, 10.0, 0.0)
    hard = easy.copy()
    hard[500:550] = 20.0
    assert fitting.lowest_cutoff([[(easy, truth)]], least=0.9, prevalence=0.2) == 10.0
    assert fitting.lowest_cutoff([[(easy, truth), (hard, truth)]], least=0.9, prevalence=0.2) is None
    assert fitting.lowest_cutoff([[(hard, truth)]], least=0.88, prevalence=0.5) == 10.0
    assert fitting.lowest_cutoff([[(hard, truth)]], least=0.9, prevalence=0.5) is None, "half a percent is no margin"


def test_a_small_group_has_no_say_of_its_own() -> None:
    truth = np.arange(1000) < 500
    easy = np.where(truth, 10.0, 0.0)
    few = np.full(fitting.FEWEST - 1, 20.0), np.zeros(fitting.FEWEST - 1, bool)
    enough = np.full(fitting.FEWEST, 20.0), np.zeros(fitting.FEWEST, bool)
    assert fitting.lowest_cutoff([[(easy, truth), few]], least=0.9, prevalence=0.5) == 10.0
    assert fitting.lowest_cutoff([[(easy, truth), enough]], least=0.9, prevalence=0.5) is None


def test_a_cutoff_that_finds_almost_nothing_is_none() -> None:
    truth = np.arange(1000) < 500
    scores = np.where(truth, 0.0, 1.0)
    scores[:80] = 2.0  # a lucky few
    assert fitting.lowest_cutoff([[(scores, truth)]], least=0.9, prevalence=0.5) is None
    scores[:120] = 2.0
    assert fitting.lowest_cutoff([[(scores, truth)]], least=0.9, prevalence=0.5) == 2.0


def test_a_limit_is_the_worst_groups_precision_and_everyones_recall() -> None:
    truth = np.arange(200) < 100
    first = np.where(truth, 1.0, 0.0)
    second = first.copy()
    second[:50] = 0.0
    second[100:109] = 1.0
    found = fitting.measured_limit([[(first, truth), (second, truth)]], 1.0, prevalence=0.5)
    assert found.recall == 0.75
    assert found.precision == pytest.approx(0.75 / (0.75 + 9 / 100), abs=1e-3)
