"""Kinds `verify` and `pair`: whether one label fits, and which of two does; the other label is one it is confused with.

Both are balanced label by label, over the whole split: of the questions that name a label, half have it as the right
one. Faces of labels that are more frequent than what they are confused with are partly left out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from ferbuild.builders.kinds import votes
from ferbuild.builders.kinds.drawing import Floats, Ints, allotted, balanced, confusion, evenly
from ferbuild.builders.kinds.forms import asked, ways
from ferbuild.builders.kinds.made import Context, Made, Words, joined, placed, texts
from ferbuild.builders.questions import Question, question_among

YES_NO = ("yes", "no")


class Lot(NamedTuple):
    """The faces of one source."""

    words: Words
    rows: Ints
    label: Ints

    def only(self, keep: Ints) -> Lot:
        return Lot(self.words, self.rows[keep], self.label[keep])


def verify(faces: pa.Table, context: Context) -> Made:
    """Ask whether the face shows a label: its own, or one that it could be taken for."""
    return joined([_verified(faces, context, lot) for lot in lots(faces, context)])


def pair(faces: pa.Table, context: Context) -> Made:
    """Ask which of two labels the face shows: its own, and one that it could be taken for, in either order."""
    return joined([_paired(faces, context, lot) for lot in lots(faces, context)])


def lots(faces: pa.Table, context: Context) -> list[Lot]:
    """Return the faces source by source, those without one of its labels left out."""
    at = placed(faces, context)
    rows = (np.flatnonzero((at.source == number) & (at.label >= 0)) for number in range(len(context.words)))
    found = (Lot(words, some, at.label[some]) for words, some in zip(context.words.values(), rows, strict=True))
    return [lot for lot in found if lot.rows.size]


def _verified(faces: pa.Table, context: Context, lot: Lot) -> Made:
    beside = balanced(np.array(lot.words.counts) / 2, confusion(lot.words.canonical, context.confusable))
    named, keep = _drawn(faces, context, lot, beside + np.diag(beside.sum(axis=1)))
    lot, named = lot.only(keep), named[keep]
    known, size = ways(lot.words, context), len(lot.words.own)
    form = _form(faces, context, lot, len(known))
    found = asked(
        form * size + named,
        lambda code: question_among(YES_NO, known[code // size].template, label=known[code // size].words[code % size]),
    )
    share = votes.soft(faces.take(pa.array(lot.rows)), named, [[label] for label in lot.words.canonical])
    answers = texts(YES_NO, (named != lot.label).astype(np.int64))
    return Made(lot.rows, *found, answers, None if share is None else votes.with_rest(share))


def _paired(faces: pa.Table, context: Context, lot: Lot) -> Made:
    beside = balanced(lot.words.counts, confusion(lot.words.canonical, context.confusable))
    other, keep = _drawn(faces, context, lot, beside)
    lot, other = lot.only(keep), other[keep]
    known, size = ways(lot.words, context), len(lot.words.own)
    drawn = context.draw(faces, "place")[lot.rows] >> np.uint64(8)
    place = evenly(
        lot.label, drawn | (other.astype(np.uint64) << np.uint64(56)), 2
    )  # beside each other label evenly too
    first, second = np.where(place == 0, lot.label, other), np.where(place == 0, other, lot.label)
    form = _form(faces, context, lot, len(known))

    def choice(code: int) -> Question:
        way = known[code // size**2]
        return question_among([way.words[code // size % size], way.words[code % size]], way.template)

    found = asked((form * size + first) * size + second, choice)
    spoken = [word for way in known for word in way.words]
    shown = [[one, two] for one in lot.words.canonical for two in lot.words.canonical]
    soft = votes.soft(faces.take(pa.array(lot.rows)), first * size + second, shown)
    return Made(lot.rows, *found, texts(spoken, form * size + lot.label), soft)


def _drawn(faces: pa.Table, context: Context, lot: Lot, numbers: Floats) -> tuple[Ints, Ints]:
    """Return the label that each face is asked about, and which faces are asked at all.

    `numbers` says how many faces of each label (row) of the whole split get each label (column).
    """
    rest = np.maximum(np.array(lot.words.counts) - numbers.sum(axis=1), 0)
    found = allotted(lot.label, context.draw(faces, "label")[lot.rows], np.column_stack([numbers, rest]))
    return found, np.flatnonzero(found < numbers.shape[1])


def _form(faces: pa.Table, context: Context, lot: Lot, ways: int) -> Ints:
    return (context.draw(faces, "form")[lot.rows] % np.uint64(ways)).astype(np.int64)
