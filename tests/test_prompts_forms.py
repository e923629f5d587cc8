"""The forms of the question: with measured facts, with the label told, for an answer alone, and answer first."""

import pytest

from ferbuild.builders.errors import FerError
from ferbuild.filters.answer import read
from ferbuild.prompts.render import TEMPLATES, render, templates

CHOICES = ["surprise", "fear", "happily surprised"]
FORMS = ["choose", "choose_answer_first", "choose_direct", "choose_evidence", "choose_hinted"]
FACTS = ["The jaw is dropped.", "The inner brows are not raised."]
LABEL = "a label that stands nowhere else"


def test_these_are_the_forms():
    assert set(FORMS) < set(templates()), "the others are the wordings of question kinds"


@pytest.mark.parametrize("name", FORMS)
def test_every_form_lists_the_choices_in_order_and_asks_for_the_answer_in_its_tags(name):
    text = render(name, choices=CHOICES, facts=FACTS, label=LABEL)
    assert text.count("surprise, fear, happily surprised") == 1
    assert text.count("<answer></answer>") == 1
    assert text == text.strip()


@pytest.mark.parametrize("name", FORMS)
def test_only_the_hinted_form_tells_the_label(name):
    text = render(name, choices=CHOICES, facts=FACTS, label=LABEL)
    assert text.count(LABEL) == (name == "choose_hinted")
    assert ("{{ label" in (TEMPLATES / f"{name}.j2").read_text()) == (name == "choose_hinted")


@pytest.mark.parametrize("name", FORMS)
def test_only_the_form_with_evidence_holds_the_facts_each_on_a_marked_line(name):
    lines = render(name, choices=CHOICES, facts=FACTS, label=LABEL).splitlines()
    marked = [line for line in lines if line.startswith("[measured] ")]
    assert marked == ([f"[measured] {fact}" for fact in FACTS] if name == "choose_evidence" else [])


@pytest.mark.parametrize("name", FORMS)
def test_thinking_is_asked_for_before_the_answer_or_not_at_all(name):
    text = render(name, choices=CHOICES, facts=FACTS, label=LABEL)
    asks = name not in ("choose_direct", "choose_answer_first")
    assert ("<think></think>" in text) == asks
    assert not asks or text.index("<think></think>") < text.index("<answer></answer>")


def test_the_form_with_evidence_is_the_plain_one_with_the_facts_behind_it():
    """What all faces share comes first: a server keeps it in its prefix cache."""
    assert render("choose_evidence", choices=CHOICES, facts=FACTS).startswith(render("choose", choices=CHOICES))


def test_what_differs_between_the_faces_of_a_source_is_last_in_the_hinted_form():
    one, other = (render("choose_hinted", choices=CHOICES, label=label) for label in CHOICES[:2])
    assert one.removesuffix("surprise.") == other.removesuffix("fear.")


@pytest.mark.parametrize(("name", "lacking"), [("choose_hinted", "label"), ("choose_evidence", "facts")])
def test_a_form_without_its_value_is_refused(name, lacking):
    with pytest.raises(FerError) as caught:
        render(name, choices=CHOICES)
    assert caught.value.problem == f"lacks a value: '{lacking}' is undefined"


def test_what_the_answer_first_form_asks_for_is_an_answer():
    assert read("<answer>fear</answer>\nThe brows are raised and drawn together.", CHOICES) == ("fear", "ok")
