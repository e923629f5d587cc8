"""What is drawn for questions: even, balanced, and the same whatever stands beside a face."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferbuild.builders.kinds.distribution import whole_per_cents
from ferbuild.builders.kinds.drawing import allotted, balanced, base, confusion, draws, evenly, uniform
from ferbuild.builders.kinds.forms import forms
from ferbuild.builders.kinds.made import Context, Words
from ferbuild.builders.kinds.measured import even_states
from ferbuild.builders.kinds.odd import paired
from ferbuild.builders.record import CANONICAL
from ferbuild.manifests.load import load_confusable
from ferbuild.manifests.recipe import KindOptions, Picture

GROUPS = st.lists(st.integers(0, 5), min_size=1, max_size=80).map(lambda some: np.array(some, np.int64))


def drawn(count: int, purpose: str = "any") -> np.ndarray:
    return draws(base(pa.chunked_array([[f"{at:016x}" for at in range(count)]]), 3), purpose)


def test_draws_differ_by_face_seed_and_purpose_and_are_uniform():
    ids = pa.chunked_array([[f"{at:016x}" for at in range(20_000)]])
    some = [draws(base(ids, seed), purpose) for seed in (0, 1) for purpose in ("a", "b")]
    assert all((one != other).mean() > 0.999 for at, one in enumerate(some) for other in some[:at])
    assert draws(base(ids.slice(7, 5), 0), "a").tolist() == some[0][7:12].tolist()
    assert abs(uniform(some[0]).mean() - 0.5) < 0.01 and uniform(some[0]).min() >= 0 and uniform(some[0]).max() < 1


@given(groups=GROUPS, ways=st.integers(1, 9))
def test_turns_are_even_in_every_group(groups, ways):
    turn = evenly(groups, drawn(len(groups)), ways)
    for group in set(groups.tolist()):
        counts = Counter(turn[groups == group].tolist())
        least = min(counts.get(way, 0) for way in range(ways))
        assert max(counts.values()) - least <= 1


@given(rows=GROUPS, shares=st.lists(st.integers(0, 9), min_size=24, max_size=24))
def test_allotted_columns_keep_their_shares(rows, shares):
    table = np.array(shares, np.float64).reshape(6, 4)
    table[:, 3] += 1
    found = allotted(rows, drawn(len(rows)), table)
    for row in set(rows.tolist()):
        size = (rows == row).sum()
        counts = np.bincount(found[rows == row], minlength=4)
        assert (np.abs(counts - size * table[row] / table[row].sum()) < 1 + 1e-6).all()


@given(counts=st.lists(st.integers(0, 100_000), min_size=8, max_size=8))
def test_either_of_two_labels_is_right_equally_often(counts):
    found = balanced(counts, confusion(CANONICAL, load_confusable().weights))
    assert np.allclose(found, found.T) and (np.diag(found) == 0).all()
    assert (found.sum(axis=1) <= np.array(counts) + 1e-6).all() and (found >= 0).all()


def test_rare_labels_keep_all_their_faces_and_their_usual_rivals():
    counts = [74874, 134415, 25459, 14090, 6378, 3803, 24882, 3750]  # AffectNet's, in the order of CANONICAL
    found = balanced(counts, confusion(CANONICAL, load_confusable().weights))
    for label in ("fear", "disgust", "contempt"):
        at = CANONICAL.index(label)
        assert found[at].sum() > 0.99 * counts[at]
    assert CANONICAL[int(found[CANONICAL.index("fear")].argmax())] == "surprise"
    assert found.sum() > 0.5 * sum(counts)


def test_every_confusion_has_a_source_and_the_weights_of_a_label_sum_to_one():
    known = load_confusable()
    assert set(known.labels) == set(CANONICAL)
    for label, others in known.weights.items():
        assert set(others) == set(CANONICAL) - {label} and sum(others.values()) == pytest.approx(1, abs=0.005)


def context(**options: str) -> Context:
    words = Words(("angry", "fear", "happy", "neutral", "sad", "surprise", "disgust"), tuple("abcdefg"))
    names = {"choose": ("choose", "choose_b")}
    return Context("choose", KindOptions(**options), {"one": words}, names, 5, "train", {}, Picture())


@pytest.mark.parametrize("words", ["source", "mixed"])
def test_every_label_stands_in_every_place_equally_often(words):
    found = forms("one", context(words=words, order="shuffled"), shuffled=False)
    assert 40 <= len(found) <= 64
    places = Counter((label, form.order.index(label)) for form in found for label in range(7))
    assert len(set(places.values())) == 1
    assert len(set(Counter((form.template, form.words) for form in found).values())) == 1
    assert found == forms("one", context(words=words, order="shuffled"), shuffled=False)


def test_the_default_is_one_form_in_the_sources_own_order():
    [form, _] = forms("one", context(), shuffled=False)
    assert form.shown == context().words["one"].own


@given(label=GROUPS)
def test_pairs_are_disjoint_and_half_of_them_differ(label):
    pairs, differ = paired(np.arange(len(label)), label)
    assert len(set(pairs.ravel().tolist())) == pairs.size
    assert ((label[pairs[:, 0]] != label[pairs[:, 1]]) == differ).all() and differ.sum() * 2 == len(differ)


@given(st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 1)), min_size=1, max_size=3), max_size=40))
def test_units_are_there_as_often_as_they_lack(known):
    found = even_states(range(len(known)), known)
    assert all(state in known[row] for row, state in found.items())
    counts = Counter(found.values())
    assert all(counts[unit, 0] == counts[unit, 1] for unit in "abc")


@given(st.lists(st.lists(st.integers(0, 10), min_size=4, max_size=4).filter(any), min_size=1, max_size=5))
def test_whole_per_cents_sum_to_a_hundred(votes):
    shares = np.array(votes, np.float64)
    shares /= shares.sum(axis=1, keepdims=True)
    found = whole_per_cents(shares)
    assert (found.sum(axis=1) == 100).all() and (np.abs(found - shares * 100) < 1).all()
    assert (found[shares == 0] == 0).all()
