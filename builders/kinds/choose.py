"""Kinds `choose` and `letter`: which of a source's labels the face shows, as words or as lettered options."""

from __future__ import annotations

from string import ascii_uppercase

import numpy as np
import pyarrow as pa

from ferbuild.builders.kinds import votes
from ferbuild.builders.kinds.drawing import Ints, evenly
from ferbuild.builders.kinds.forms import Form, forms
from ferbuild.builders.kinds.made import Context, Made, placed, texts
from ferbuild.builders.questions import Question, question_among


def choose(faces: pa.Table, context: Context) -> Made:
    """Ask which label it is; the answer is the word itself."""
    known = [form for source in context.words for form in forms(source, context, shuffled=False)]
    asked = [question_among(form.shown, form.template) for form in known]
    return _made(faces, context, asked, [form.words for form in known], shuffled=False)


def letter(faces: pa.Table, context: Context) -> Made:
    """Ask which label it is; the answer is the letter that stands before it, A for the first shown."""
    known = [form for source in context.words for form in forms(source, context, shuffled=True)]
    asked = [_lettered(form) for form in known]
    return _made(faces, context, asked, [_letters(form) for form in known], shuffled=True)


def _made(
    faces: pa.Table, context: Context, asked: list[Question], answers: list[tuple[str, ...]], *, shuffled: bool
) -> Made:
    """Return a question a face; `answers` are the answers of each question to the source's labels, in their order."""
    which, label = pick(faces, context, shuffled=shuffled)
    starts = np.cumsum([0, *map(len, answers)])
    flat = [word for words in answers for word in words]
    shown = [
        [context.words[source].canonical[at] for at in form.order]
        for source in context.words
        for form in forms(source, context, shuffled=shuffled)
    ]
    soft = votes.soft(faces, which, shown)
    return Made(np.arange(faces.num_rows), asked, which, texts(flat, starts[which] + label), soft)


def pick(faces: pa.Table, context: Context, *, shuffled: bool) -> tuple[Ints, Ints]:
    """Return which form of its source's, all sources' in a row, each face is asked in, and which label it has.

    The faces with one label take turns through the forms, so that the label is shown in each place equally often.
    """
    at = placed(faces, context)
    counts = np.array([len(forms(source, context, shuffled=shuffled)) for source in context.words])
    if (counts == 1).all():
        return at.source, at.label
    labels = 1 + max(len(words.own) for words in context.words.values())
    form = evenly(at.source * labels + at.label, context.draw(faces, "form"), counts[at.source])
    return (np.cumsum(counts) - counts)[at.source] + form, at.label


def _letters(form: Form) -> tuple[str, ...]:
    """Return the letter of each label, in the source's order."""
    return tuple(ascii_uppercase[form.order.index(at)] for at in range(len(form.words)))


def _lettered(form: Form) -> Question:
    options = list(zip(ascii_uppercase, form.shown, strict=False))
    return question_among([name for name, _ in options], form.template, options=options)
