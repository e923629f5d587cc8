"""Length, repetition, language and conclusions of a rationale; and that no text breaks or stops a check."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ferbuild.filters import trace
from ferbuild.filters.bind import bind, checks_of
from ferbuild.filters.conclusion import concludes_otherwise
from ferbuild.filters.language import other_script
from ferbuild.filters.prose import prose, sentences, thinking, tokens, words
from ferbuild.filters.repetition import distances, loops, repeated_share

CHOICES = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger")
COMPOUND = ("surprise", "fear", "fearfully surprised", "happily surprised", "sadly angry")


def row(text, *, answer="fear", finish="stop"):
    reply = f"<think>{text}</think><answer>{answer}</answer>"
    return {"reply": reply, "finish": finish, "choices": CHOICES, "label": answer}


def numbered(count):
    return " ".join(f"w{at}" for at in range(count))


def test_prose_is_all_but_tags_and_answers():
    reply = "Well.<think>The jaw\ndrops.</think> So: <answer>fear</answer> That is all."
    assert prose(reply).split() == ["Well.", "The", "jaw", "drops.", "So:", "That", "is", "all."]
    assert thinking(reply) == "The jaw\ndrops."
    assert tokens("Ann’s **wide-open** eyes;\n“don't”") == (
        "ann", "wide", "open", "eyes", ";", ".", "don't",
    )  # fmt: skip
    assert words("a, b. C!") == ("a", "b", "c")
    assert sentences("One. Two?\nThree; four (1.5).") == ["One.", "Two?", "Three", "four (1.5)."]


@pytest.mark.parametrize(("count", "reason"), [(400, None), (401, "too long")])
def test_too_long_counts_the_words_outside_the_answer(count, reason):
    assert trace.too_long(row(numbered(count))) == reason
    assert trace.too_long(row(numbered(count)), words=500) is None


@pytest.mark.parametrize(
    ("reply", "anywhere", "reason"),
    [
        ("<answer>fear</answer> one two three", False, "no reasoning"),
        ("<answer>fear</answer> one two three", True, None),
        ("<answer>fear</answer> one two", True, "too short"),
        ("<answer>fear</answer>", True, "no reasoning"),
        ("<think>one two</think> three<answer>fear</answer>", True, None),
        ("<think>one two</think> three<answer>fear</answer>", False, "too short"),
    ],
)
def test_reasons_may_stand_anywhere(reply, anywhere, reason):
    seen = {"reply": reply, "finish": "stop", "choices": CHOICES, "label": "fear"}
    assert trace.reasons(seen, words=3, anywhere=anywhere) == reason


@pytest.mark.parametrize(
    ("text", "looping"),
    [
        ("so " * 7, False),
        ("so " * 8, True),
        ("a b " * 3, False),
        ("a b " * 4, True),
        (f"{numbered(8)} " * 2, False),
        (f"{numbered(8)} " * 3, True),
        (f"{numbered(12)} " * 3, True),
        (f"{numbered(13)} " * 3, False),
        (f"x y {numbered(8)} {numbered(8)} {numbered(8)} z", True),
        (numbered(500), False),
    ],
)
def test_a_loop_is_the_same_words_again_and_again(text, looping):
    said = text.split()
    assert loops(said, distances(said)) == looping


@given(st.lists(st.sampled_from("abc"), max_size=60))
def test_the_distances_lose_no_loop(said):
    assert loops(said, distances(said)) == loops(said, range(1, 13))


def test_the_repeated_share_counts_characters_and_no_first_occurrence():
    assert repeated_share(numbered(30).split(), 10) == 0
    assert repeated_share([*"abcdabcd"], 4) == 0.5
    assert repeated_share(["aa", "bb", "xxxx", "aa", "bb"], 2) == 4 / 12
    assert repeated_share([], 10) == 0


def test_what_is_said_again_may_take_a_fifth_of_the_text():
    """Ten words again: 20 of 100 characters."""
    text = "{0} " + " ".join(f"v{at:02}" for at in range(20)) + " {0}"
    said = text.format(numbered(10))
    assert repeated_share(said.split(), 10) == 20 / 100
    assert trace.repetitive(row(said)) is None
    assert trace.repetitive(row(said), share=0.19) == "repetition"
    assert trace.repetitive(row(said), share=0.19, size=11) is None


def test_the_share_of_other_scripts_is_of_letters():
    assert other_script("abc 123 ...") == 0
    assert other_script("abcé ñ") == 0
    assert other_script("abc 惊") == 0.25
    assert other_script("глаза") == 1
    assert trace.other_language(row("The brows are raised, as in 惊讶 and so on."), script=0.01) == "other language"
    assert trace.other_language(row("The brows are raised, as in 惊讶 and so on."), script=0.2) is None


@pytest.mark.parametrize(
    ("text", "answer", "otherwise"),
    [
        ("So this is surprise.", "fearfully surprised", False),
        ("So this is surprise.", "fear", True),
        ("So the face is fearfully surprised.", "surprise", False),
        ("So the face is fearfully surprised.", "sadly angry", True),
        ("So the face is fearfully surprised.", "happily surprised", False),
        ("I'm afraid nothing decides.", "surprise", False),
        ("So far the smile alone speaks for happily surprised.", "fear", False),
        ("", "fear", False),
    ],
)
def test_labels_that_share_a_word_family_do_not_contradict_each_other(text, answer, otherwise):
    assert concludes_otherwise(text, answer, COMPOUND) == otherwise


def test_only_the_last_sentences_conclude():
    early = "So this is anger. "
    assert concludes_otherwise(early + "The lids droop. " * 3, "fear", CHOICES)
    assert not concludes_otherwise(early + "The lids droop. " * 4, "fear", CHOICES)


def test_without_a_clear_answer_nothing_is_concluded_otherwise():
    seen = {"reply": "<think>So this is anger.</think>", "finish": "stop", "choices": CHOICES, "label": "fear"}
    assert trace.concludes_otherwise(seen) is None


ALPHABET = st.sampled_from(
    [
        *" .,;:!?\n'’\"*-#<>/", "<think>", "</think>", "<answer>", "</answer>", "So ", "given ", "the label ", "is ",
        "not ", "fear ", "Anger ", "looks like ", "Tom ", "Mr. ", "Adam's apple ", "age ", "old ", "ſ", "İ", "ß", "惊",
        "the options ", "than ", "A. ", "de ",
    ]
)  # fmt: skip


@settings(max_examples=300)
@given(st.lists(ALPHABET, max_size=80).map("".join) | st.text(), st.sampled_from(["stop", "length"]))
def test_every_check_takes_any_text(reply, finish):
    seen = {"reply": reply, "finish": finish, "choices": CHOICES, "label": "fear"}
    for check in checks_of(trace).values():
        assert check(seen) is None or isinstance(check(seen), str)


@pytest.mark.parametrize(
    "piece",
    [
        "given ", "so ", "a", "A. ", "Aa ", "named Aa ", "Tom ", "Mr. ", "looks like ", "<think", "<answer ", "'", "\n",
        "age old ", "the label says ", "fear is ", "İ", "惊", " ", "not fear, ", "So anger is ", "-", "Aa-", "Aa'a",
    ],
)  # fmt: skip
def test_no_text_stops_a_check(piece):
    """A hundred thousand characters of anything are read in a second: far more than any teacher writes."""
    seen = row(piece * (100_000 // len(piece)))
    for name, check in checks_of(trace).items():
        began = time.process_time()
        check(seen)
        assert time.process_time() - began < 1, name


def test_every_check_is_bound_with_its_options():
    checks = bind(
        trace,
        [
            {"too_long": {"words": 3}},
            {"repetitive": {"size": 4, "share": 0.1}},
            {"other_language": {"script": 0.0, "share": 0.0}},
            {"leaks": {"widely": True}},
            {"personal": {"age": False, "pronouns": True}},
        ],
    )
    seen = row("He must be afraid: ça fait peur et la bouche est grande ouverte, ça fait peur et la")
    assert [check.check(seen) for check in checks] == [
        "too long",
        "repetition",
        "other language",
        "label leak",
        "speaks of gender",
    ]
