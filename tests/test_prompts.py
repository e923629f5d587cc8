import hashlib
import json
from pathlib import Path

import pytest

from ferbuild.builders.errors import FerError
from ferbuild.prompts.render import TEMPLATES, render, template_version, templates

CHOICES = ["surprise", "fear", "happily surprised"]
PUBLISHED = Path(__file__).parents[2] / "shared" / "data" / "ferbench" / "rafdb_qa.json"


def test_choose_lists_the_choices_in_the_given_order_and_asks_for_both_tags():
    text = render("choose", choices=CHOICES)
    assert "surprise, fear, happily surprised." in text
    assert "happily surprised, fear, surprise." in render("choose", choices=CHOICES[::-1])
    assert text.index("<think></think>") < text.index("<answer></answer>")
    assert text == text.strip()


@pytest.mark.parametrize("name", templates())
def test_no_template_holds_an_image_mark(name):
    assert "<image" not in (TEMPLATES / f"{name}.j2").read_text(encoding="utf-8").lower()


def test_the_wording_is_not_the_published_one():
    if not PUBLISHED.is_file():
        pytest.skip("the published benchmark JSON is not beside this checkout")
    row = json.loads(PUBLISHED.read_text(encoding="utf-8"))[0]
    labels = row["candidate_labels"]
    published = row["prompt"].replace(", ".join(labels), "").split()
    ours = render("choose", choices=labels).replace(", ".join(labels), "").split()
    six = {tuple(published[at : at + 6]) for at in range(len(published) - 5)}
    assert not six & {tuple(ours[at : at + 6]) for at in range(len(ours) - 5)}


def test_version_is_the_start_of_the_files_sha256():
    data = (TEMPLATES / "choose.j2").read_bytes()
    assert template_version("choose") == hashlib.sha256(data).hexdigest()[:12]


def test_unknown_template_says_what_was_meant():
    for act in (render, template_version):
        with pytest.raises(FerError) as caught:
            act("chose")
        assert caught.value.hint == "did you mean 'choose'?"


def test_missing_value_says_what_the_template_takes():
    with pytest.raises(FerError) as caught:
        render("choose", labels=CHOICES)
    assert "'choices' is undefined" in caught.value.problem
    assert caught.value.hint == "the template takes: choices"


@pytest.mark.parametrize("name", ["../choose", "choose.j2", ""])
def test_a_template_is_a_name_not_a_path(name):
    with pytest.raises(FerError):
        render(name, choices=CHOICES)
