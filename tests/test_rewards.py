"""Rewards: paid for the right answer in the right form, and for nothing that a model may try instead."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferbuild.builders.record import CANONICAL, VOTE_WORDS
from ferbuild.training import rewards

RAFDB = ["surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral"]
FERPLUS = ["angry", "contempt", "disgust", "fear", "happy", "neutral", "sad", "surprise"]
WHY = "The lip corners are pulled up and the cheeks are raised, while the brows stay where they are at rest today."
GOOD = f"<think>{WHY}</think>\n<answer>happiness</answer>"


def said(*texts: str) -> list[list[dict[str, str]]]:
    return [[{"role": "assistant", "content": text}] for text in texts]


def paid(name: str, text: str, **columns: object) -> float | None:
    """What one reply gets for a happy face of RAF-DB, unless `columns` say otherwise."""
    row = {"kind": "choose", "choices": RAFDB, "answer": "happiness", "solution": "<answer>happiness</answer>"}
    columns = {key: [value] for key, value in (row | columns).items() if value is not None}
    call = getattr(rewards, name)
    return call(prompts=[[]], completions=said(text), completion_ids=[[1]], trainer_state=None, **columns)[0]


HACKS = {
    "the answer planted in the reasoning": "<think><answer>happiness</answer></think><answer>fear</answer>",
    "planted, and none after it": "<think>It is <answer>happiness</answer></think>",
    "two answers": f"<think>{WHY}</think><answer>fear</answer><answer>happiness</answer>",
    "two answers, the right one first": f"<think>{WHY}</think><answer>happiness</answer><answer>fear</answer>",
    "all labels listed": f"<think>{WHY}</think><answer>{', '.join(RAFDB)}</answer>",
    "all labels in answers of their own": "<think>so</think>" + "".join(f"<answer>{one}</answer>" for one in RAFDB),
    "one or the other": f"<think>{WHY}</think><answer>happiness or fear</answer>",
    "the answer before the thinking": f"<answer>happiness</answer><think>{WHY}</think>",
    "nested answers": f"<think>{WHY}</think><answer><answer>happiness</answer></answer>",
    "nested thinking": f"<think><think>{WHY}</think></think><answer>happiness</answer>",
    "thinking in the answer": "<answer><think>so</think>happiness</answer>",
    "an end without a beginning": f"{WHY}<answer>happiness</answer></answer>",
    "no answer": f"<think>{WHY}</think>",
    "the bare word": "happiness",
    "prose with the word in it": "This face shows happiness.",
    "cut off": f"<think>{WHY}</think><answer>happi",
    "negated": f"<think>{WHY}</think><answer>not happiness</answer>",
    "a letter of another alphabet": f"<think>{WHY}</think><answer>h\u0430ppiness</answer>",
    "a zero-width space in it": f"<think>{WHY}</think><answer>happi\u200bness</answer>",
    "tags in full width": "＜think＞so＜/think＞＜answer＞happiness＜/answer＞",
    "an essay as the answer": f"<think>{WHY}</think><answer>{WHY * 20} happiness</answer>",
    "a word that holds it": f"<think>{WHY}</think><answer>unhappiness</answer>",
    "nothing": "",
    "spaces": " \n ",
}


@pytest.mark.parametrize("text", HACKS.values(), ids=HACKS)
def test_no_trick_is_paid_for_accuracy(text):
    assert paid("accuracy", text) == 0.0


UNFORMED = HACKS.keys() - {
    "all labels listed",
    "one or the other",
    "negated",
    "a letter of another alphabet",
    "a zero-width space in it",
    "an essay as the answer",
    "a word that holds it",
}


@pytest.mark.parametrize("name", sorted(UNFORMED))
def test_no_trick_is_paid_for_format(name):
    assert paid("format", HACKS[name]) == 0.0


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (GOOD, 1.0),
        (GOOD + "\n", 1.0),
        (f"\n {GOOD} \n\n", 1.0),
        (GOOD.replace("\n", ""), 1.0),
        (GOOD + " Indeed.", 0.0),
        ("Well: " + GOOD, 0.0),
        (f"<think>{WHY}</think> so <answer>happiness</answer>", 0.0),
        ("<think></think><answer>happiness</answer>", 0.0),
        ("<think> \n </think><answer>happiness</answer>", 0.0),
        ("<think>...</think><answer>happiness</answer>", 0.0),
        (f"<think>{WHY}</think><answer> </answer>", 0.0),
        (f"<THINK>{WHY}</THINK><answer>happiness</answer>", 0.0),
        (f"<think>{WHY}< /think ><answer>happiness</answer>", 0.0),
        (f"<think>{WHY}</think><answer>fear</answer>", 1.0),
    ],
)
def test_format(text, wanted):
    assert paid("format", text) == wanted


def test_a_very_long_reply_is_read_in_no_time_and_not_overpaid():
    long = f"<think>{'the brows are low ' * 50_000}</think><answer>happiness</answer>"
    assert (paid("format", long), paid("accuracy", long), paid("length", long)) == (1.0, 1.0, 0.0)
    assert paid("format", "<think>" * 50_000) == 0.0


@pytest.mark.parametrize("answer", ["happiness", "Happiness", " HAPPINESS. ", "happy", "**happy**", '"Happy"'])
def test_forms_of_one_word_count_where_the_candidates_say_so(answer):
    assert paid("accuracy", f"<think>{WHY}</think><answer>{answer}</answer>") == 1.0
    assert paid("accuracy", f"<think>{WHY}</think><answer>{answer}</answer>", choices=FERPLUS, answer="happy") == 1.0


def test_a_form_that_two_candidates_share_is_no_answer():
    both = {"choices": ["happy", "happiness"], "answer": "happiness"}
    assert paid("accuracy", "<think>so</think><answer>happily</answer>", **both) == 0.0
    assert paid("accuracy", "<think>so</think><answer>happy</answer>", **both) == 0.0


@given(st.sampled_from(RAFDB), st.sampled_from(RAFDB))
def test_only_the_right_choice_is_paid(answer, reply):
    assert paid("accuracy", f"<think>x</think><answer>{reply}</answer>", answer=answer) == float(answer == reply)


@pytest.mark.parametrize(
    ("kind", "choices", "answer"),
    [
        ("letter", ["A", "B", "C"], "B"),
        ("verify", ["yes", "no"], "no"),
        ("odd", ["same", "different"], "same"),
        ("valence", ["first", "second"], "second"),
        (None, RAFDB, "fear"),
    ],
)
def test_kinds_of_questions(kind, choices, answer):
    row = {"kind": kind, "choices": choices, "answer": answer, "solution": None}
    for choice in choices:
        reply = f"<think>x</think><answer>{choice.upper()}</answer>"
        assert paid("accuracy", reply, **row) == float(choice == answer)


def test_a_kind_without_a_verifier_abstains():
    assert paid("accuracy", GOOD, kind="essay") is None


def test_a_row_without_answer_or_choices_is_read_from_its_solution():
    assert paid("accuracy", GOOD, answer=None, choices=None) == 1.0
    assert paid("accuracy", GOOD, answer=None, choices=None, solution="<answer>fear</answer>") == 0.0
    assert paid("accuracy", GOOD, answer=None, choices=None, solution=None) is None


def test_what_was_read_is_logged_class_by_class():
    extra, metrics = {}, {}
    columns = {
        "id": ["a", "a", "b", "b", "c", "c"],
        "choices": [RAFDB] * 6,
        "answer": ["happiness"] * 4 + ["fear"] * 2,
        "canonical": ["happiness"] * 4 + ["fear"] * 2,
    }
    replies = [GOOD, "<answer>fear</answer>", GOOD, GOOD, GOOD, "fear"]
    scores = rewards.accuracy(
        said(*replies), log_extra=extra.__setitem__, log_metric=metrics.__setitem__, prompts=[], **columns
    )
    assert scores == [1.0, 0.0, 1.0, 1.0, 0.0, 0.0]
    assert metrics == {
        "accuracy/happiness": 0.75,
        "accuracy/fear": 0.0,
        "zero_variance/happiness": 0.5,
        "zero_variance/fear": 1.0,
    }
    assert extra["read"] == ["happiness", "fear", "happiness", "happiness", "happiness", "fear"]
    assert extra["status"][-1] == "malformed" and extra["class"] == columns["canonical"]


VOTES = dict(zip(VOTE_WORDS, [2, 5, 0, 0, 1, 0, 0, 0, 1, 1], strict=True))


@pytest.mark.parametrize(
    ("reply", "wanted"), [("happy", 0.5), ("neutral", 0.2), ("angry", 0.1), ("fear", 0.0), ("joyful", 0.0)]
)
def test_soft_accuracy_is_the_share_of_the_annotators(reply, wanted):
    text = f"<think>x</think><answer>{reply}</answer>"
    assert paid("soft_accuracy", text, choices=FERPLUS, votes=list(VOTES.values())) == pytest.approx(wanted)


def test_soft_accuracy_abstains_without_votes():
    assert paid("soft_accuracy", GOOD) is None
    assert paid("soft_accuracy", GOOD, votes=[0] * 10) is None
    assert paid("soft_accuracy", "happy", votes=list(VOTES.values())) == 0.0


SMILE = [{"unit": "AU12", "side": "both", "intensity": 0.9}, {"unit": "AU06", "side": "both", "intensity": 0.8}]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("The lip corners are pulled up.", 1.0),
        ("The lip corners are pulled up. " * 30, 1.0),
        ("The lip corners are pulled down.", -1.0),
        ("The lip corners are pulled up. The brows are lowered.", 0.0),
        ("It is a person in front of a wall.", 0.0),
        ("", 0.0),
    ],
)
def test_grounding_holds_claims_against_known_units(text, wanted):
    assert paid("grounding", f"<think>{text}</think><answer>happiness</answer>", units=SMILE) == wanted


def test_grounding_abstains_where_nothing_was_measured():
    assert paid("grounding", GOOD) is None
    assert paid("grounding", GOOD, units=None, measures=None) is None


def test_length_pays_within_bounds_and_falls_evenly_outside():
    def of(words: int) -> float:
        return paid("length", f"<think>{'word ' * words}</think><answer>happiness</answer>")

    assert [of(count) for count in (0, 10, 20, 200, 300, 400, 1000)] == [0.0, 0.5, 1.0, 1.0, 0.5, 0.0, 0.0]
    assert all(one <= other for one, other in pairwise(of(count) for count in range(21)))


def test_one_number_a_completion_whatever_the_columns():
    for name in ("accuracy", "format", "soft_accuracy", "grounding", "length"):
        assert len(getattr(rewards, name)(completions=said(GOOD, "", "x"))) == 3
    assert rewards.format(completions=[GOOD]) == [1.0]


def test_rewards_need_no_torch():
    script = "import sys, ferbuild.training.rewards\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"torch", "trl", "transformers", "datasets"} & set(done.stdout.split())


def test_the_default_candidates_are_the_canonical_labels():
    for label in CANONICAL:
        reply = f"<think>x</think><answer>{label}</answer>"
        assert paid("accuracy", reply, choices=None, answer=label) == 1.0
