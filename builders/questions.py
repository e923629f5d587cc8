"""What a row is asked: the prompt of its source, as the one template words it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ferbuild.builders.config import Settings
from ferbuild.manifests.schema import Source
from ferbuild.prompts.render import render, template_version


class Question(NamedTuple):
    """The question of one source: its words, their version, and the labels to choose from, in order."""

    prompt: str
    version: str
    choices: tuple[str, ...]

    @property
    def messages(self) -> list[dict[str, str]]:
        return [{"role": "user", "content": self.prompt}]


def question_of(source: Source, template: str) -> Question:
    return question_among(source.candidates, template)


def question_among(choices: Sequence[str], template: str, **values: object) -> Question:
    """Return the question of a template, which may take further values; FerError where one is missing."""
    return Question(render(template, choices=choices, **values), template_version(template), tuple(choices))


def questions(settings: Settings) -> dict[str, Question]:
    """Return the question of every source, by its name."""
    template = settings.recipe.question
    return {r.source.name: question_of(r.source, template) for r in settings.releases}


def as_options(found: Mapping[str, Question]) -> dict[str, Any]:
    """Return what of the questions enters a stage key."""
    return {name: [q.prompt, q.version, *q.choices] for name, q in found.items()}
