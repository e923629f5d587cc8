"""The embedded baseline: what it answers, what it claims, and when it cannot judge."""

from __future__ import annotations

import re
from typing import Any

import pytest
from calibrated import MAYBE, NO, YES, calibration, every_unit, measured, scored
from hypothesis import given, settings
from hypothesis import strategies as st

from ferbuild.builders import geometry
from ferbuild.builders.record import CANONICAL
from ferbuild.filters.answer import read
from ferbuild.filters.grounding import check_claims, read_claims
from ferbuild.filters.units import judge
from ferbuild.manifests.load import load_units

SFEW = ["angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"]
AFFECTNET = ["Neutral", "Happy", "Sad", "Surprise", "Fear", "Disgust", "Anger", "Contempt"]
KNOWN = every_unit()
SCORES = st.dictionaries(st.sampled_from(list(load_units().units)), st.sampled_from([YES, NO, MAYBE]))


def answer(row: dict[str, Any], choices: list[str] | tuple[str, ...] = CANONICAL) -> str:
    return geometry.answer(row, choices, KNOWN)


def prototype(label: str, form: str = "emfacs") -> dict[str, Any]:
    names = getattr(load_units().prototypes[label], form)
    return scored({name.replace(".one", ".left"): YES for name in names})


@pytest.mark.parametrize("label", CANONICAL)
@pytest.mark.parametrize("form", ["emfacs", "compound"])
def test_a_prototype_is_answered_with_its_label(label: str, form: str) -> None:
    if not getattr(load_units().prototypes[label], form) and label != "neutral":
        pytest.skip("this label has no such form")
    text = answer(prototype(label, form))
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
    text = answer(prototype(label), choices)
    assert text.endswith(f"<answer>{word}</answer>")
    assert read(text, choices) == (word, "ok")


def test_the_order_of_the_choices_does_not_matter_for_the_answer() -> None:
    first, last = answer(prototype("fear")), answer(prototype("fear"), CANONICAL[::-1])
    assert read(first, CANONICAL) == read(last, CANONICAL) == ("fear", "ok")


def test_it_says_what_is_there_what_is_missing_and_on_which_side() -> None:
    text = answer(scored({"AU12.left": YES, "AU14.left": YES}, yaw=-3.2))
    assert "The head is turned by 3° and the eyes are 70 pixels apart." in text
    assert "the lip corners are pulled up on the person's left side only" in text.lower()
    assert "the cheeks are not raised" in text.lower()


def test_a_face_at_rest_is_neutral_and_gets_sentences() -> None:
    text = answer(scored({}))
    assert read(text, CANONICAL) == ("neutral", "ok")
    assert "No movement stands out." in text


@settings(deadline=None)  # the first text builds the lexicon
@given(scores=SCORES)
def test_it_claims_nothing_but_what_was_judged(scores: dict[str, float]) -> None:
    row = scored(scores, rest=MAYBE)
    text = answer(row)
    verdicts = {one.verdict for one in check_claims(read_claims(text), judge(row, KNOWN))}
    assert verdicts <= {"supported"}
    assert len(read_claims(text)) <= len(load_units().units)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({}, "nothing on it could be measured"),
        ({"faces_found": 0}, "nothing on it could be measured"),
        (scored({}, second_face=0.9), "another face is as large"),
        (scored({}, eye_distance=5.0), "smaller than any face"),
        (scored({}, yaw=-90.0), "turned too far"),
        (scored({}, rest=MAYBE), "no measured value is clear enough"),
        (scored({}, yaw=20.0), "no measured value is clear enough"),
        (measured(), "no measured value is clear enough"),
    ],
)
def test_cannot_judge(row: dict[str, Any], says: str) -> None:
    text = answer(row)
    assert text.startswith("I cannot judge this face: ")
    assert says in text
    assert read(text, CANONICAL).status == "refused"


def test_nothing_calibrated_is_nothing_judged() -> None:
    assert geometry.answer(scored({"AU12": YES}), CANONICAL, calibration({})).startswith("I cannot judge this face")


@pytest.mark.parametrize("choices", [[], ["cat", "dog"], [""]])
def test_nothing_known(choices: list[str]) -> None:
    assert "none of the words offered is one I know" in answer(scored({}), choices)


def test_unknown_words_among_the_choices_are_left_out() -> None:
    text = answer(prototype("happiness"), ["ecstatic", "happy", "bored", "sad"])
    assert read(text, ["ecstatic", "happy", "bored", "sad"]) == ("happy", "ok")
    assert "bored" not in text


@given(
    row=st.one_of(
        st.builds(lambda scores, yaw: scored(scores, yaw=yaw), SCORES, st.floats(-100, 100)),
        st.fixed_dictionaries({"faces_found": st.sampled_from([0, 1, None]), "measures": st.none()}),
    ),
    choices=st.lists(st.sampled_from([*CANONICAL, "happy", "cat", "Sad"]), unique=True),
)
def test_never_a_label_outside_the_choices(row: dict[str, Any], choices: list[str]) -> None:
    text = answer(row, choices)
    assert text == answer(row, choices)
    found = read(text, choices)
    assert found.label is None or found.label in choices
