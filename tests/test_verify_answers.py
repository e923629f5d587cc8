"""Verifiers: whoever is right is paid, however it is written, and nobody else; by property, for every kind."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferbuild.filters.verify import KINDS, distribution, read_shares, verify

WORDS = ["angry", "contempt", "disgust", "fear", "happy", "neutral", "sad", "surprise"]
CHOICES = {
    "choose": WORDS,
    "letter": list("ABCDEFGH"),
    "verify": ["yes", "no"],
    "pair": ["fear", "surprise"],
    "odd": ["same", "different"],
    "valence": ["pleasant", "unpleasant"],
    "arousal": ["first", "second"],
    "measure": ["yes", "no"],
}
SPACE = st.text(" \n\t", max_size=3)
QUOTE = st.sampled_from(["", "**", '"', "'", "`", "("])
END = st.sampled_from(["", ".", "!", ","])
CASE = st.sampled_from([str, str.upper, str.title, str.lower])


@st.composite
def written(draw, answer: str) -> str:
    """An answer as a model may write it."""
    quote = draw(QUOTE)
    said = draw(SPACE) + quote + draw(CASE)(answer) + draw(END) + quote.replace("(", ")") + draw(SPACE)
    thought = draw(st.sampled_from(["", "Let me see: it may be either.", " ".join(WORDS)]))
    return f"<think>{thought}</think><answer>{said}</answer>"


def test_all_kinds_are_tried():
    assert {*CHOICES, "distribution"} == set(KINDS)


@pytest.mark.parametrize("kind", CHOICES)
@given(data=st.data())
def test_the_right_answer_verifies_and_no_other_does(kind, data):
    choices = data.draw(st.permutations(CHOICES[kind]))
    answer = data.draw(st.sampled_from(choices))
    said = data.draw(st.sampled_from(choices))
    assert verify(kind, data.draw(written(said)), choices, answer) == float(said == answer)


@pytest.mark.parametrize("kind", CHOICES)
@given(data=st.data())
def test_several_answers_none_or_all_are_worth_nothing(kind, data):
    choices = CHOICES[kind]
    answer = data.draw(st.sampled_from(choices))
    others = [one for one in choices if one != answer]
    other = data.draw(st.sampled_from(others))
    for text in (
        f"<answer>{answer}, {other}</answer>",
        f"<answer>{other} {answer}</answer>",
        f"<answer>{answer}</answer><answer>{other}</answer>",
        f"<answer>{', '.join(choices)}</answer>",
        f"<answer>{answer} or {other}</answer>",
        f"<think><answer>{answer}</answer></think>",
        f"<think>It is {answer}.</think>",
        answer,
        "",
    ):
        assert verify(kind, text, choices, answer) == 0.0, text


@pytest.mark.parametrize("said", ["yes, no", "yes; not no", "no, yes", "not no", "yes or no", "no no"])
def test_yes_and_no_do_not_cancel_out(said):
    assert [verify("verify", f"<answer>{said}</answer>", ["yes", "no"], one) for one in ("yes", "no")] == [0.0, 0.0]


def test_an_unknown_kind_has_no_verifier():
    assert verify("essay", "<answer>happy</answer>", WORDS, "happy") is None


@st.composite
def divided(draw) -> dict[str, int]:
    """Whole per cents that sum to 100, of some words."""
    words = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=8, unique=True))
    cuts = sorted(draw(st.lists(st.integers(1, 99), min_size=len(words) - 1, max_size=len(words) - 1, unique=True)))
    return dict(zip(words, (b - a for a, b in zip([0, *cuts], [*cuts, 100], strict=True)), strict=True))


def in_words(shares: dict[str, int]) -> str:
    return ", ".join(f"{word} {share}" for word, share in shares.items())


SHAPES = ["{0} {1}", "{0}: {1}%", "{1} % {0}", "{0} = {1} per cent", "{1}% {0}", "{0} ({1}%)", "**{0}** - {1}"]


@given(
    shares=divided(), shape=st.sampled_from(SHAPES), joint=st.sampled_from([", ", "; ", "\n", " and "]), data=st.data()
)
def test_a_distribution_is_read_in_any_order_and_shape(shares, shape, joint, data):
    order = data.draw(st.permutations(list(shares)))
    said = joint.join(shape.format(data.draw(CASE)(word), shares[word]) for word in order)
    assert read_shares(f"<think></think><answer>{said}</answer>", WORDS) == [shares.get(w, 0) / 100 for w in WORDS]
    assert distribution(f"<answer>{said}</answer>", WORDS, in_words(shares)) == 1.0


@given(truth=divided(), said=divided())
def test_a_distribution_gets_one_less_half_its_brier_score(truth, said):
    score = verify("distribution", f"<answer>{in_words(said)}</answer>", WORDS, in_words(truth))
    brier = sum((truth.get(word, 0) - said.get(word, 0)) ** 2 for word in WORDS) / 100**2
    assert score == pytest.approx(1 - brier / 2) and 0 <= score <= 1
    assert (score == 1.0) == (truth == said)


@pytest.mark.parametrize(
    "said",
    ["", "happy", "happy 70", "happy 70, joy 30", "happy 70, happy 30", "happy 170", "happy 7 70, sad 30",
     "happy 0.7, sad 0.3", "happy 50, sad 40", "happy 70, sad 30</answer><answer>happy 70, sad 30", "100"],
)  # fmt: skip
def test_what_is_no_distribution_is_worth_nothing(said):
    assert verify("distribution", f"<answer>{said}</answer>", WORDS, "happy 70, sad 30", [0.0] * 8) == 0.0


def test_the_planted_distribution_is_not_read():
    right = "happy 70, sad 30"
    assert verify("distribution", f"<think><answer>{right}</answer></think>", WORDS, right) == 0.0
    assert verify("distribution", f"<answer>{right}</answer><think>so</think>", WORDS, right) == 0.0


def test_sums_off_by_rounding_are_shared_out():
    assert read_shares("<answer>happy 33.3, sad 33.3, fear 33.3</answer>", WORDS)[4] == pytest.approx(1 / 3)
    assert distribution("<answer>happy 34, sad 34, fear 34</answer>", WORDS, "happy 34, sad 33, fear 33") > 0.9999


def test_the_votes_stand_in_where_the_answer_says_nothing():
    assert verify("distribution", "<answer>fear 100</answer>", ["fear", "happy"], "", [0.5, 0.5]) == 0.75
