"""What people reach on FERPlus: one annotator against the others, by hand, by a slow loop, and on the real votes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trees import published

from ferbuild.builders.evaluation import ceiling
from ferbuild.builders.record import VOTE_WORDS
from ferbuild.builders.sources.vote_rules import WORDS, decide, tied
from ferbuild.builders.sources.votes import label_lines

FACES = st.lists(st.lists(st.integers(0, 4), min_size=10, max_size=10), min_size=1, max_size=6)


def votes(*faces: dict[str, int]) -> np.ndarray:
    return np.array([[face.get(word, 0) for word in VOTE_WORDS] for face in faces], np.int32)


def slowly(face: np.ndarray, rule: str) -> dict[str, float] | None:
    """One annotator at a time: who names an expression, and whose fellows agree on one."""
    drawn = []
    for column in range(8):
        for _ in range(face[column]):
            others = face.copy()
            others[column] -= 1
            label = decide(others[None], rule)[0]
            if label in WORDS[:8] and others[:8].any():
                tie = bool(tied(others[None], rule)[0])
                drawn.append((label == WORDS[column], decide(face[None], rule)[0] == WORDS[column], tie))
    if not drawn:
        return None
    right, seen, ties = np.mean(drawn, axis=0)
    return {"accuracy": right, "published": seen, "ties": ties, "with_unknown": right * face[:8].sum() / face.sum()}


@pytest.mark.parametrize(
    ("face", "accuracy"),
    [
        ({"fear": 10}, 1.0),
        ({"fear": 7, "surprise": 3}, 0.7),
        ({"fear": 2}, 1.0),
        ({"disgust": 5, "fear": 4}, 5 / 9),  # one of five taken out leaves a tie, which the first column wins,
        ({"fear": 5, "disgust": 4}, 0.0),  # whichever it is
        ({"disgust": 4, "fear": 4}, 0.0),  # without their own vote the others are for the other label
        ({"fear": 1, "unknown": 9}, None),  # nobody else names an expression
        ({"unknown": 6, "NF": 4}, None),
        ({}, None),
    ],
)
def test_one_face_by_hand(face, accuracy):
    found = ceiling.ceiling(votes(face))
    assert (found and found.accuracy) == (accuracy and pytest.approx(accuracy))


def test_a_vote_for_no_expression_is_set_aside_or_wrong():
    found = ceiling.ceiling(votes({"fear": 6, "surprise": 2, "unknown": 1, "NF": 1}))
    assert found.accuracy == pytest.approx(0.75)
    assert found.with_unknown == pytest.approx(0.6)


def test_the_published_label_has_heard_the_annotator():
    found = ceiling.ceiling(votes({"disgust": 4, "fear": 4}, {"fear": 10}))
    assert (found.accuracy, found.published) == (pytest.approx(0.5), pytest.approx(0.75))


def test_ties_and_faces_left_out_are_told():
    found = ceiling.ceiling(votes({"fear": 5, "disgust": 4}, {"fear": 1}, {"fear": 3}, {}))
    assert (found.n, found.left_out) == (2, 2)
    assert found.ties == pytest.approx(5 / 9 / 2)
    assert found.source.startswith("FERPlus votes") and "argmax8" in found.source and "27.8%" in found.source


@settings(max_examples=60)
@given(FACES, st.sampled_from(["argmax8", "majority", "argmax10"]))
def test_it_is_what_a_loop_over_annotators_gives(faces, rule):
    given_votes = np.array(faces, np.int32)
    found = ceiling.ceiling(given_votes, rule=rule, resamples=10)
    loop = [one for one in (slowly(face, rule) for face in given_votes) if one]
    assert (found.n if found else 0) == len(loop)
    if found:
        for name in ("accuracy", "published", "ties", "with_unknown"):
            assert getattr(found, name) == pytest.approx(np.mean([one[name] for one in loop]))
        assert 0 <= found.low <= found.accuracy + 1e-9 and found.accuracy - 1e-9 <= found.high <= 1


def test_the_interval_is_that_of_a_mean_over_faces():
    rng = np.random.default_rng(2)
    many = rng.multinomial(10, [0.55, 0.2, 0.1, 0.05, 0.05, 0.02, 0.01, 0.01, 0.01, 0.0], size=900).astype(np.int32)
    found = ceiling.ceiling(many)
    each = [slowly(face, "argmax8")["accuracy"] for face in many]
    half = 1.96 * np.std(each) / 30
    assert found.low == pytest.approx(found.accuracy - half, abs=0.0015)
    assert found.high == pytest.approx(found.accuracy + half, abs=0.0015)
    assert ceiling.ceiling(many) == found
    assert ceiling.ceiling(many, seed=1).low != found.low


def test_votes_are_not_changed():
    given_votes = votes({"fear": 5, "disgust": 4})
    before = given_votes.copy()
    ceiling.ceiling(given_votes)
    assert (given_votes == before).all()


def test_json_has_the_keys_of_a_score():
    found = ceiling.as_json(ceiling.ceiling(votes({"fear": 7, "surprise": 3}, {"fear": 10})))
    assert {"accuracy", "low", "high", "n", "source"} <= set(found)
    assert (found["accuracy"], found["n"]) == (0.85, 2)
    json.dumps(found, allow_nan=False)


def test_people_on_the_benchmarks_own_faces():
    """On the 3,573 faces of FERBench's FERPlus set, from the published votes."""
    path: Path = published("ferplus/FER2013Test/label.csv")
    found = ceiling.ceiling(np.array(label_lines(path.read_bytes())["votes"].to_list(), np.int32))
    assert (found.n, found.left_out) == (3573, 0)
    shares = (found.accuracy, found.with_unknown, found.published, found.ties)
    assert shares == pytest.approx((0.737663, 0.702267, 0.776934, 0.052394), abs=1e-6)
    assert (found.low, found.high) == pytest.approx((0.7285, 0.7467), abs=0.001)
