"""Several replies to one face: the votes, who stands for the face, and when its label is called into question."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferbuild.builders.replies import GAVE_UP, Reply
from ferbuild.builders.samples import Judge, Votes, count, in_turn, is_suspect
from ferbuild.filters import bind, trace
from ferbuild.manifests.recipe import Consistency

CHOICES = ("anger", "fear", "joy")
ROW = {"id": "1", "label": "fear"}
WORDS = "the brows are drawn up and together and the eyes are wide"


def said(answer: str, words: str = WORDS) -> Reply:
    return Reply(f"<think>{words}</think><answer>{answer}</answer>", "stop", "ok")


def judge(agreement: float = 0.0, checks: tuple[str, ...] = ("answered", "reasons", "agrees")) -> Judge:
    return Judge(bind.bind(trace, checks), Consistency(agreement=agreement))


GONE = Reply("", "", GAVE_UP, "HTTP 400")


def test_the_shortest_of_those_that_agree_stands_for_the_face() -> None:
    long, short, wrong = said("fear", f"{WORDS} indeed"), said("fear"), said("joy")
    found = judge().choose(ROW, [wrong, long, short, short], CHOICES)
    assert (found.reply, found.fault, found.owed) == (short, None, False)
    assert (found.votes.samples, found.votes.majority, found.votes.share("fear")) == (4, "fear", 0.75)


def test_passing_more_checks_goes_before_being_short() -> None:
    curt, full = said("fear", "wide eyes"), said("fear")
    assert judge().choose(ROW, [curt, full], CHOICES).reply == full
    assert judge().choose(ROW, [curt], CHOICES).fault == ("too short", curt.text)


def test_a_face_that_nothing_agrees_with_is_dropped_with_the_best_text() -> None:
    curt, full = said("joy", "a smile"), said("anger")
    assert judge().choose(ROW, [curt, full], CHOICES).fault == ("disagrees with the label", full.text)


def test_too_little_agreement_drops_the_face() -> None:
    replies = [said("fear"), said("joy"), said("joy")]
    assert judge(0.3).choose(ROW, replies, CHOICES).reply
    assert judge(0.5).choose(ROW, replies, CHOICES).fault == ("agreement too low", replies[0].text)


@pytest.mark.parametrize(
    ("replies", "reason", "owed"),
    [([None], "not asked", True), ([GONE], "teacher gave up", True), ([None, GONE], "teacher gave up", True)],
)
def test_no_reply_is_told_from_one_that_was_never_asked_for(replies, reason, owed) -> None:
    found = judge().choose(ROW, replies, CHOICES)
    assert found.fault
    assert (found.fault[0], found.owed, found.votes.samples) == (reason, owed, 0)


def test_a_sample_that_is_lacking_is_owed_though_the_face_is_kept() -> None:
    found = judge().choose(ROW, [said("fear"), None], CHOICES)
    assert found.reply and found.owed and found.votes.samples == 1


def test_only_a_clear_answer_votes() -> None:
    votes = count([said("fear"), Reply("no idea", "stop", "ok"), said("fear or joy")], CHOICES)
    assert (votes.samples, dict(votes.counts)) == (3, {"fear": 1})


def test_a_face_asked_in_turn_is_read_up_to_what_keeps_it() -> None:
    replies = [said("joy"), said("fear"), said("joy"), None]
    assert in_turn(ROW, replies, CHOICES, judge()) == replies[:2]
    assert in_turn(ROW, [said("joy"), None, None], CHOICES, judge()) == [said("joy")]
    assert in_turn(ROW, [None, None], CHOICES, judge()) == [None]
    assert in_turn(ROW, [said("joy"), GONE, None], CHOICES, judge()) == [said("joy"), GONE]


@pytest.mark.parametrize(
    ("counts", "samples", "suspect"),
    [
        ({"joy": 3}, 3, True),
        ({"joy": 3, "fear": 1}, 4, True),
        ({"joy": 2, "fear": 1}, 3, False),
        ({"joy": 2}, 2, False),
        ({"fear": 3}, 3, False),
        ({"joy": 3}, 5, False),
        ({}, 4, False),
    ],
)
def test_a_label_is_doubted_only_where_a_clear_majority_sees_another(counts, samples, suspect) -> None:
    assert is_suspect(Votes(samples, counts), "fear", Consistency()) is suspect


@given(st.lists(st.sampled_from([*CHOICES, None, "gone"]), min_size=1, max_size=8), st.randoms())
def test_the_order_of_samples_changes_neither_votes_nor_fate(answers, random) -> None:
    replies = [None if one is None else GONE if one == "gone" else said(one) for one in answers]
    mixed = random.sample(replies, len(replies))
    one, other = (judge(0.4).choose(ROW, rows, CHOICES) for rows in (replies, mixed))
    assert one.votes.counts == other.votes.counts and one.votes.samples == other.votes.samples
    assert (one.reply is None, one.owed) == (other.reply is None, other.owed)
