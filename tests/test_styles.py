"""Arms of one experiment: the same answer and reasoning in another order, or the answer alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferbuild.builders.errors import FerError
from ferbuild.builders.styles import SUFFIX, restyled, style_of
from ferbuild.filters.answer import read
from ferbuild.prompts.render import templates

CHOICES = ("anger", "fear")
SAID = "<think>\nThe eyes are wide.\n</think>\n\n<answer>fear</answer>"
WORDS = st.text(st.characters(exclude_characters="<>", exclude_categories=("C",)), min_size=1).filter(str.strip)


def test_the_three_arms_of_one_reply() -> None:
    assert restyled(SAID, "fear", "think") is SAID
    assert restyled(SAID, "fear", "answer-first") == "<answer>fear</answer>\n\nThe eyes are wide."
    assert restyled(SAID, "fear", "direct") == "<answer>fear</answer>"


@given(WORDS, st.sampled_from(CHOICES), st.sampled_from(list(SUFFIX)))
def test_every_arm_answers_the_same_by_the_one_parser(words: str, label: str, style) -> None:
    said = f"<think>{words}</think><answer>{label}</answer>"
    assert read(restyled(said, label, style), CHOICES) == (label, "ok")
    assert (words.strip() in restyled(said, label, style)) is (style != "direct")


def test_an_unknown_style_is_named() -> None:
    with pytest.raises(FerError, match="no such style") as found:
        style_of("answer_first")
    assert "answer-first" in str(found.value.hint)


@pytest.mark.parametrize("suffix", SUFFIX.values())
def test_every_style_has_its_question(suffix) -> None:
    assert f"choose{suffix}" in templates()
