import types

import pytest

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
        ("It is happy.", "stop", "malformed tags"),
        ("<answer>happy</answer><answer>sad</answer>", "stop", "several answers"),
        ("<answer>happy or sad</answer>", "stop", "several answers"),
        ("<answer>unhappy</answer>", "stop", "not a candidate"),
    ],
)
def test_answered(reply, finish, reason):
    assert trace.answered(row(reply, finish=finish)) == reason


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


def test_every_reason_is_in_the_vocabulary_and_every_word_of_it_is_used():
    source = [constant for check in checks_of(trace).values() for constant in check.__code__.co_consts]
    said = {value for value in (*source, *trace._UNANSWERED.values()) if value in TRACES}
    assert said == set(TRACES) - {"teacher gave up", "contradicted"}, "these two are not said of a reply alone"


def test_bind_finds_checks_in_order_and_binds_options():
    checks = bind(trace, ["answered", {"reasons": {"words": 13}}, {"agrees": {}}])
    assert [name for name, _ in checks] == ["answered", "reasons", "agrees"]
    assert first_failing(checks, row(GOOD)) == ("too short", "reasons")
    assert first_failing(checks, row(GOOD, finish="length")) == ("truncated", "answered")
    assert first_failing(bind(trace, ["answered", "reasons"]), row(GOOD, label="sad")) is None
    assert first_failing(bind(trace, ["agrees"]), row(GOOD, label="sad")) == ("disagrees with the label", "agrees")


def test_only_the_modules_own_public_functions_are_checks():
    assert set(checks_of(trace)) == {"answered", "agrees", "reasons"}


@pytest.mark.parametrize(
    ("spec", "problem", "hint"),
    [
        ("answerd", "no check is called 'answerd'", "did you mean 'answered'?"),
        ("read", "no check is called 'read'", "known: agrees, answered, reasons"),
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
