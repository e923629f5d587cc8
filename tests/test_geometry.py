"""The embedded baseline: what it answers, what it says with which numbers, and when it cannot judge."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferbuild.builders import geometry, measures
from ferbuild.builders.geometry import CLEAR, CUES, FAR, MAX_YAW, PATTERNS, answer
from ferbuild.builders.record import CANONICAL
from ferbuild.demo import portraits as drawn
from ferbuild.filters.answer import read

SFEW = ["angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"]
AFFECTNET = ["Neutral", "Happy", "Sad", "Surprise", "Fear", "Disgust", "Anger", "Contempt"]
NUMBER = re.compile(r"-?\d+\.\d\d")


def at_steps(**steps: float) -> dict[str, Any]:
    """Return a measures row whose cues stand that many steps from rest, the others at rest."""
    given_steps = {name.replace("_", " "): value for name, value in steps.items()}
    values = dict.fromkeys(measures.ABOUT, 0.1)
    for name, cue in CUES.items():
        values |= dict.fromkeys(cue.measures, cue.rest + cue.step * given_steps.get(name, 0.0))
    return {"faces_found": 1, "presence": 0.99, "yaw": -3.2, "pitch": 1.0, "roll": 0.0, "measures": values}


def pattern(label: str) -> dict[str, Any]:
    return at_steps(**{name.replace(" ", "_"): value for name, value in PATTERNS[label].items()})


@pytest.mark.parametrize("label", CANONICAL)
def test_a_pattern_is_answered_with_its_label(label: str) -> None:
    text = answer(pattern(label), CANONICAL)
    assert re.fullmatch(r"<think>[^<>]+</think><answer>[a-z]+</answer>", text)
    assert read(text, CANONICAL) == (label, "ok")


@pytest.mark.parametrize(
    ("label", "choices", "word"),
    [
        ("happiness", SFEW, "happy"),
        ("anger", SFEW, "angry"),
        ("sadness", SFEW, "sad"),
        ("happiness", AFFECTNET, "Happy"),
        ("contempt", AFFECTNET, "Contempt"),
        ("fear", ["surprised", "fearful"], "fearful"),
    ],
)
def test_the_answer_is_in_the_words_of_the_source(label: str, choices: list[str], word: str) -> None:
    text = answer(pattern(label), choices)
    assert text.endswith(f"<answer>{word}</answer>")
    assert read(text, choices) == (word, "ok")


def test_the_order_of_the_choices_does_not_matter_for_the_answer() -> None:
    assert answer(pattern("fear"), CANONICAL) == answer(pattern("fear"), CANONICAL[::-1])


def test_only_measured_numbers_are_printed() -> None:
    row = pattern("surprise")
    printed = set(NUMBER.findall(answer(row, CANONICAL)))
    measured = {f"{abs(value):.2f}" for value in row["measures"].values()}
    assert len(printed) >= 5
    assert printed <= measured


def test_left_and_right_are_told_apart() -> None:
    row = at_steps(corners=2.5, mouth_width=3)
    row["measures"] |= {"corner_lift_left": -0.04, "corner_lift_right": -0.11}
    text = answer(row, CANONICAL)
    assert "The lip corners lie 0.04 (left) and 0.11 (right) below the nose, higher than at rest." in text


def test_what_is_at_rest_is_not_called_raised() -> None:
    text = answer(at_steps(brows_inner=CLEAR * 0.9), CANONICAL)
    assert "The inner ends of the brows stand 0.30 (left) and 0.30 (right) above the eyes, about as at rest." in text
    assert "higher than at rest" not in text


def test_a_face_at_rest_still_gets_sentences() -> None:
    text = answer(at_steps(), CANONICAL)
    assert text.count(". ") >= 5
    assert text.endswith("<answer>neutral</answer>")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"faces_found": 0, "measures": None}, "nothing on it could be measured"),
        ({"measures": None}, "nothing on it could be measured"),
        ({"faces_found": None}, "nothing on it could be measured"),
        ({"presence": 0.49}, "the mesh does not fit it"),
        ({"presence": None}, "the mesh does not fit it"),
        ({"presence": float("nan")}, "the mesh does not fit it"),
        ({"yaw": MAX_YAW + 0.1}, "turned too far"),
        ({"yaw": -MAX_YAW - 0.1}, "turned too far"),
        ({"yaw": None}, "turned too far"),
        ({"measures": pattern("anger")["measures"] | {"lip_gap": None}}, "some of its measures are missing"),
        (
            {"measures": pattern("anger")["measures"] | {"mouth_width": float("inf")}},
            "some of its measures are missing",
        ),
    ],
)
def test_cannot_judge(change: dict[str, Any], says: str) -> None:
    text = answer(pattern("anger") | change, CANONICAL)
    assert says in text
    assert "<" not in text
    assert read(text, CANONICAL) == (None, "refused")


def test_nothing_known() -> None:
    assert read(answer({}, CANONICAL), CANONICAL).status == "refused"
    assert (
        read(answer(pattern("fear"), ["happily surprised", "sadly angry"]), ["happily surprised"]).status == "refused"
    )
    assert answer(pattern("fear"), []).startswith("I cannot judge")


def test_unknown_words_among_the_choices_are_left_out() -> None:
    assert answer(pattern("fear"), ["other", "fear", "neutral"]).endswith("<answer>fear</answer>")
    assert answer(pattern("fear"), ["other", "neutral"]).endswith("<answer>neutral</answer>")


NUMBERS = st.none() | st.floats() | st.integers(-3, 3) | st.floats(-1, 1) | st.floats(0, 1).map(np.float32)
ROWS = st.fixed_dictionaries(
    {},
    optional={
        "faces_found": st.none() | st.integers(0, 3),
        "presence": NUMBERS,
        "yaw": NUMBERS,
        "measures": st.none() | st.fixed_dictionaries(dict.fromkeys(measures.ABOUT, NUMBERS)),
    },
)
PLAUSIBLE = st.fixed_dictionaries(dict.fromkeys(measures.ABOUT, st.floats(-2, 2, width=32)))
CHOICES = st.lists(st.sampled_from([*CANONICAL, *SFEW, *AFFECTNET, "other", ""]), max_size=8)


@given(row=ROWS, choices=CHOICES)
def test_never_a_label_outside_the_choices(row: dict[str, Any], choices: list[str]) -> None:
    text = answer(row, choices)
    found = re.findall(r"<answer>(.*?)</answer>", text)
    assert len(found) <= 1
    assert set(found) <= set(choices)
    assert text == answer(row, choices)


@given(values=PLAUSIBLE, yaw=st.floats(-MAX_YAW, MAX_YAW), choices=CHOICES)
def test_every_measured_face_is_answered(values: dict[str, float], yaw: float, choices: list[str]) -> None:
    row = {"faces_found": 2, "presence": 0.9, "yaw": yaw, "measures": values}
    text = answer(row, [*choices, "fear"])
    assert read(text, [*choices, "fear"]).status == "ok"
    printed = {float(number) for number in NUMBER.findall(text)}
    assert all(any(abs(abs(number) - abs(value)) < 0.0051 for value in values.values()) for number in printed)


@given(values=PLAUSIBLE)
def test_a_comparison_agrees_with_its_number(values: dict[str, float]) -> None:
    for name, cue in CUES.items():
        seen = geometry._look(name, cue, values)
        assert -FAR <= seen.steps <= FAR
        assert seen.sentence.endswith(f", {cue.above}.") or seen.steps < CLEAR
        assert seen.sentence.endswith(f", {cue.below}.") or seen.steps > -CLEAR


def test_patterns_name_cues_and_cues_name_measures() -> None:
    assert set(PATTERNS) == set(CANONICAL)
    assert {name for cues in PATTERNS.values() for name in cues} <= set(CUES)
    assert {name for cue in CUES.values() for name in cue.measures} <= set(measures.ABOUT)


@pytest.mark.network
def test_most_strong_warps_are_named() -> None:
    """The bar is the demo's need of examples on both sides of the consistency filter, not a claim of accuracy."""
    cv2.setNumThreads(1)
    models = measures.load_models()
    named: Counter[str] = Counter()
    for at, portrait in enumerate(drawn.load_all()[:2]):
        for label in CANONICAL:
            face = drawn.make_face(portrait, label, 1.0, np.random.default_rng([at, len(label)]))
            text = answer(measures.measure_pixels(face.rgb, models), CANONICAL)
            named[label] += read(text, CANONICAL) == (label, "ok")
    assert named.total() >= 12  # of 16
    assert min(named[label] for label in ("happiness", "surprise", "anger", "neutral")) >= 1
