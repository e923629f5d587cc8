"""The forms in which a source's labels are asked about: which words, in which order, by which template.

A finite number of forms is drawn for each source and kind, and every face gets one of them: so the texts are rendered
once and taken by number. Every template, both kinds of words and every place of a label come equally often among them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ferbuild.builders.kinds.drawing import Ints, generator
from ferbuild.builders.kinds.made import Context, Words
from ferbuild.builders.questions import Question

FORMS = 64
"""About so many for each source and kind."""


class Form(NamedTuple):
    """One way to ask."""

    template: str
    words: tuple[str, ...]
    """In the source's order."""
    order: tuple[int, ...]
    """Of the labels, as they are shown."""

    @property
    def shown(self) -> tuple[str, ...]:
        return tuple(self.words[at] for at in self.order)


class Way(NamedTuple):
    """A template, and the words that stand for the source's labels, in its order."""

    template: str
    words: tuple[str, ...]


def ways(words: Words, context: Context, what: str = "") -> list[Way]:
    """Return every template with each vocabulary that the options ask for; `what` is the kind, or a form of it."""
    own, shared = words.own, words.canonical
    vocabularies = [own, shared] if context.options.words == "mixed" and own != shared else [own]
    return [Way(template, spoken) for template in context.templates[what or context.kind] for spoken in vocabularies]


def forms(source: str, context: Context, *, shuffled: bool) -> list[Form]:
    """Return the forms of a source; `shuffled` is what the kind means where the options say nothing of the order."""
    words = context.words[source]
    found = ways(words, context)
    labels = len(words.own)
    if not (context.options.order == "shuffled" or (shuffled and context.options.order is None)):
        return [Form(template, spoken, tuple(range(labels))) for template, spoken in found]
    drawn = generator(context.seed, f"{context.kind}/{source}")
    return [
        Form(template, spoken, order)
        for template, spoken in found
        for _ in range(max(1, FORMS // (len(found) * labels)))
        for order in _turned(drawn.permutation(labels))
    ]


def _turned(order: Ints) -> list[tuple[int, ...]]:
    """Return an order and all that it becomes by moving the first to the end: each label is once in each place."""
    return [tuple(int(one) for one in np.roll(order, by)) for by in range(len(order))]


class Asked(NamedTuple):
    """Questions that are rendered, and which one of them each row gets."""

    questions: list[Question]
    which: Ints


def asked(codes: Ints, render: Callable[[int], Question]) -> Asked:
    """Return the question of every code that occurs, each rendered once."""
    known, which = np.unique(codes, return_inverse=True)
    return Asked([render(int(code)) for code in known], np.asarray(which, np.int64))
