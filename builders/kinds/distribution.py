"""Kind `distribution`: how people's votes on a face are divided, in per cents; verified by the Brier score."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ferbuild.builders.kinds import votes
from ferbuild.builders.kinds.choose import pick
from ferbuild.builders.kinds.drawing import Floats, Ints
from ferbuild.builders.kinds.forms import forms
from ferbuild.builders.kinds.made import Context, Made
from ferbuild.builders.questions import question_among


def distribution(faces: pa.Table, context: Context) -> Made:
    """Ask for the per cents of all labels, of faces that have votes; those who named no label do not count.

    The answer names the labels that have votes, most first, as in `happiness 70, neutral 30`.
    """
    known = [form for source in context.words for form in forms(source, context, shuffled=False)]
    which, _ = pick(faces, context, shuffled=False)
    canonical = [
        [context.words[source].canonical[at] for at in form.order]
        for source in context.words
        for form in forms(source, context, shuffled=False)
    ]
    found, told = votes.table(faces, which, canonical)
    found = np.where(told, found, 0)
    rows = np.flatnonzero(found.sum(axis=1) > 0)
    exact = found[rows] / found[rows].sum(axis=1, keepdims=True)
    spoken = [
        _spoken(*one) for one in zip(whole_per_cents(exact), (known[at].shown for at in which[rows]), strict=True)
    ]
    asked = [question_among(form.shown, form.template) for form in known]
    soft = votes.lists(exact[told[rows]], told[rows].sum(axis=1))
    return Made(rows, asked, which[rows], pa.array(spoken, pa.string()), soft)


def whole_per_cents(shares: Floats) -> Ints:
    """Return whole per cents that sum to 100 in each row: those that lose most by rounding down are rounded up."""
    parts = np.round(shares * 100, 9)
    found = np.floor(parts).astype(np.int64)
    rank = np.argsort(np.argsort(found - parts, axis=1, kind="stable"), axis=1, kind="stable")
    return np.asarray(found + (rank < 100 - found.sum(axis=1, keepdims=True)), np.int64)


def _spoken(per_cents: Ints, words: tuple[str, ...]) -> str:
    said = sorted(zip(-per_cents[: len(words)], range(len(words)), words, strict=True))
    return ", ".join(f"{word} {-number}" for number, _, word in said if number)
