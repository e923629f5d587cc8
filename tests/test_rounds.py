"""Who is asked how often: every face alike, or again those of the labels that lose most, within one budget."""

from __future__ import annotations

import sys
from collections import Counter

import pytest
from conftest import REPO

from ferbuild.builders.errors import FerError
from ferbuild.builders.rounds import Quota, quota_of

sys.path.insert(0, str(REPO / "benchmarks"))
import quota as simulation


@pytest.fixture(scope="module")
def seen():
    return simulation.faces(2500, 3)


@pytest.fixture(scope="module")
def total(seen):
    return Counter(face.label for face in seen)


@pytest.mark.parametrize(
    ("text", "found"),
    [("", None), ("0.8", Quota(0.8, None)), ("1.0", Quota(1.0, None)), ("1", Quota(None, 1)), ("50", Quota(None, 50))],
)
def test_a_quota_is_a_share_or_a_number(text, found) -> None:
    assert quota_of(text) == found


@pytest.mark.parametrize("text", ["0", "-1", "1.2", "half", "nan", "80%", "0.0"])
def test_what_is_no_quota_is_told(text) -> None:
    with pytest.raises(FerError, match="is no quota"):
        quota_of(text)


def test_every_face_is_asked_alike_without_a_quota(seen, total) -> None:
    _, asked = simulation.run(seen, samples=3, quota=None, budget=None)
    assert asked == 3 * len(seen)


def test_a_quota_brings_rare_labels_back_for_fewer_requests(seen, total) -> None:
    uniform, spent = simulation.run(seen, samples=4, quota=None, budget=None)
    filled, used = simulation.run(seen, samples=32, quota=Quota(0.8, None), budget=float(spent))
    rates = {label: filled[label] / total[label] for label in total}
    assert used < spent
    assert uniform["disgust"] / total["disgust"] < 0.7
    assert min(rates.values()) >= 0.8
    assert filled["disgust"] > 1.2 * uniform["disgust"]


def test_a_label_that_keeps_enough_is_not_asked_again(seen, total) -> None:
    once, _ = simulation.run(seen, samples=1, quota=None, budget=None)
    least = min(once[label] for label in total)
    filled, used = simulation.run(seen, samples=32, quota=Quota(None, least), budget=None)
    assert (filled, used) == (once, len(seen))


def test_a_number_of_faces_is_reached_and_hardly_passed(seen, total) -> None:
    once, _ = simulation.run(seen, samples=1, quota=None, budget=None)
    wanted = once["disgust"] + 20
    filled, _ = simulation.run(seen, samples=32, quota=Quota(None, wanted), budget=None)
    assert filled["disgust"] == wanted
    assert filled["happiness"] == once["happiness"] > wanted


def test_a_budget_ends_the_asking_and_is_kept_to_over_all_rounds(seen, total) -> None:
    budget = len(seen) + 100
    _, used = simulation.run(seen, samples=8, quota=Quota(1.0, None), budget=float(budget))
    assert used == budget
