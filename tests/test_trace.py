import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferbuild.builders.errors import FerError
from ferbuild.builders.reasons import TRACES
from ferbuild.filters import trace
from ferbuild.filters.bind import bind, checks_of, first_failing

CHOICES = ("happy", "sad", "fear")
THINKING = "<think>The corners of the mouth are up and the cheeks are raised.</think>"
GOOD = f"{THINKING}<answer>happy</answer>"


def row(reply, *, finish="stop", label="happy"):
    return {"reply": reply, "finish": finish, "choices": CHOICES, "label": label}


@pytest.mark.parametrize(
    ("reply", "finish", "reason"),
    [
        (GOOD, "stop", None),
        ("", "stop", "empty"),
        ("", "length", "empty"),
        (GOOD, "length", "truncated"),
        ("<think>The corners", "length", "truncated"),
        ("<think>The corners", "stop", "truncated"),
        ("I'm sorry, I can't help with that.", "stop", "refused"),
        ("It is happy.", "stop", "no answer"),
        ("happy", "stop", "no answer"),
        (f"{THINKING}happy", "stop", "no answer"),
        (f"{THINKING}<answer> </answer>", "stop", "no answer"),
        (f"{THINKING}<answer> </answer>", "length", "truncated"),
        (f"{THINKING}happy</answer>", "stop", "malformed tags"),
        ("<answer>happy</answer><think>The mouth is a smile.</think>", "stop", "malformed tags"),
        (f"{THINKING}<answer>I cannot tell you.</answer>", "stop", "refused"),
        ("<answer>happy</answer><answer>sad</answer>", "stop", "several answers"),
        ("<answer>happy or sad</answer>", "stop", "several answers"),
        ("<answer>unhappy</answer>", "stop", "not a candidate"),
    ],
)
def test_answered(reply, finish, reason):
    assert trace.answered(row(reply, finish=finish)) == reason


PARTS = {
    "empty": trace.empty,
    "truncated": trace.truncated,
    "refused": trace.refused,
    "no answer": trace.no_answer,
    "malformed tags": trace.malformed_tags,
    "several answers": trace.several_answers,
    "not a candidate": trace.not_a_candidate,
}


@given(
    st.lists(
        st.sampled_from(
            [*"<>/ \n", "<think>", "</think>", "<answer>", "</answer>", "happy", "sad", "I can't help", "up"]
        )
    ).map("".join),
    st.sampled_from(["stop", "length"]),
)
def test_answered_is_its_parts_of_which_one_speaks_at_most(reply, finish):
    seen = row(reply, finish=finish)
    said = {name: check(seen) for name, check in PARTS.items()}
    assert all(reason in (None, name) for name, reason in said.items())
    assert [reason for reason in said.values() if reason] == [reason for reason in [trace.answered(seen)] if reason]


@pytest.mark.parametrize(
    ("reply", "label", "reason"),
    [
        (GOOD, "happy", None),
        ("<answer>Happiness</answer>", "happy", None),
        (GOOD, "sad", "disagrees with the label"),
        ("<answer>sad</answer><answer>happy</answer>", "happy", "disagrees with the label"),
        ("happy", "happy", "disagrees with the label"),
    ],
)
def test_agrees_takes_only_a_clear_answer(reply, label, reason):
    assert trace.agrees(row(reply, label=label)) == reason


@pytest.mark.parametrize(
    ("reply", "words", "reason"),
    [
        (GOOD, 12, None),
        (GOOD, 13, "too short"),
        ("<answer>happy</answer>", 1, "no reasoning"),
        ("<think> … </think><answer>happy</answer>", 1, "no reasoning"),
        ("<think>never ends", 1, "no reasoning"),
        ("Well. <THINK>one two\nthree</Think>", 3, None),
        ("<think>" * 100_000, 1, "no reasoning"),
    ],
)
def test_reasons(reply, words, reason):
    assert trace.reasons(row(reply), words=words) == reason


def constants(code):
    """Yield every text in the constants of a function, in tuples too."""
    for value in code.co_consts:
        yield from value if isinstance(value, tuple) else [value]


OF_THE_STAGE = {"teacher gave up", "not asked", "agreement too low", "near copy of many others", "contradicted"}


def test_every_reason_is_in_the_vocabulary_and_every_word_of_it_is_used():
    source = [value for check in checks_of(trace).values() for value in constants(check.__code__)]
    said = {value for value in (*source, *trace._UNANSWERED.values()) if value in TRACES}
    assert said == set(TRACES) - OF_THE_STAGE, "these are not said of a reply alone"


def test_every_reason_that_a_check_gives_is_in_the_vocabulary():
    given = {
        "empty", "truncated", "refused", "no answer", "malformed tags", "several answers", "not a candidate",
        "disagrees with the label", "no reasoning", "too short", "too long", "repetition", "other language",
        "concludes otherwise", "label leak", "names a person", "speaks of age", "speaks of ethnicity",
        "speaks of gender", "speaks of health", "talks about the prompt",
    }  # fmt: skip
    assert given <= set(TRACES)


def test_bind_finds_checks_in_order_and_binds_options():
    checks = bind(trace, ["answered", {"reasons": {"words": 13}}, {"agrees": {}}])
    assert [name for name, _ in checks] == ["answered", "reasons", "agrees"]
    assert first_failing(checks, row(GOOD)) == ("too short", "reasons")
    assert first_failing(checks, row(GOOD, finish="length")) == ("truncated", "answered")
    assert first_failing(bind(trace, ["answered", "reasons"]), row(GOOD, label="sad")) is None
    assert first_failing(bind(trace, ["agrees"]), row(GOOD, label="sad")) == ("disagrees with the label", "agrees")


def test_only_the_modules_own_public_functions_are_checks():
    assert set(checks_of(trace)) == {
        "answered", "empty", "truncated", "refused", "no_answer", "malformed_tags", "several_answers",
        "not_a_candidate", "agrees", "reasons", "too_long", "repetitive", "other_language", "concludes_otherwise",
        "leaks", "names_person", "personal", "prompt_talk",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "problem", "hint"),
    [
        ("answerd", "no check is called 'answerd'", "did you mean 'answered'?"),
        ("read", "no check is called 'read'", "known: agrees, answered, concludes_otherwise"),
        ("_thinking", "no check is called '_thinking'", ""),
        ({"reasons": {"word": 3}}, "takes no option 'word'", "did you mean 'words'?"),
        ({"answered": {"row": 3}}, "takes no option 'row'", "known: none"),
        ({"reasons": {"words": "ten"}}, "words: Input should be a valid integer", "found 'ten'"),
        ({"reasons": {}, "agrees": {}}, "is not one check", "{name: {option: value}}"),
    ],
)
def test_a_slip_in_a_recipe_is_named_before_any_work(spec, problem, hint):
    with pytest.raises(FerError) as caught:
        bind(trace, ["agrees", spec])
    assert problem in caught.value.problem
    assert hint in caught.value.hint


def test_options_with_lists_and_numbers_are_checked_by_their_annotation():
    module = types.ModuleType("made_up")
    code = "def worded(row, *, words: tuple[str, ...] = (), share: float = 0.5) -> str | None:\n    return words[0]"
    exec(code, module.__dict__)
    checks = bind(module, [{"worded": {"words": ["a", "b"], "share": 1}}])
    assert first_failing(checks, {}) == ("a", "worded")
