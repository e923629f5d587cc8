"""What a kind of question is given, and what it gives back; the seam between `rlvr` and the kinds.

A kind is a function from some faces to questions about them: which faces, which of a few worded questions, and the
answer. The columns that all kinds have in common are made in `rows`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ferbuild.builders.kinds.drawing import Draws, Floats, Ints, base, draws, uniform
from ferbuild.builders.questions import Question
from ferbuild.manifests.recipe import KindOptions, Picture

DRAWN = "drawn"
"""Column that faces may have: the random bits of their ids, drawn once for all kinds."""


@dataclass(frozen=True, slots=True)
class Words:
    """The labels of a source, in its order."""

    own: tuple[str, ...]
    canonical: tuple[str, ...]
    counts: tuple[int, ...] = ()
    """Training faces of each."""


@dataclass(frozen=True, slots=True)
class Context:
    """All that a kind may ask of the build."""

    kind: str
    options: KindOptions
    words: Mapping[str, Words]
    """By source."""
    templates: Mapping[str, tuple[str, ...]]
    """What is asked (the kind, or a form of it such as valence_sign) to the templates that word it."""
    seed: int
    split: str
    confusable: Mapping[str, Mapping[str, float]]
    """Canonical label to what it is taken for, with a weight."""
    picture: Picture
    measures: tuple[Path, str] | None = None
    """Folder and stage key of the measures."""
    calibration: Path | None = None

    def draw(self, faces: pa.Table, purpose: str) -> Draws:
        """Return 64 random bits a face, for a purpose within this kind."""
        known = DRAWN in faces.schema.names
        drawn = faces[DRAWN].to_numpy() if known else base(faces["id"], self.seed)
        return draws(drawn, f"{self.kind}/{purpose}")

    @property
    def plain(self) -> bool:
        """Whether nothing is drawn: all faces are asked the one question of their source."""
        return self.kind == "choose" and self.options == KindOptions()


class Made(NamedTuple):
    """Questions of one kind about some faces."""

    pictures: Ints
    """Rows of the faces that a question shows: int64, (questions,), or (questions, 2) with -1 where it is but one."""
    asked: Sequence[Question]
    which: Ints
    """The one of `asked` that each question is."""
    answers: pa.Array
    """Text, one of the question's choices unless the kind's verifier reads otherwise."""
    soft: pa.Array | None = None
    """list<float32>: share of the votes for each choice; None: nothing is known."""


Make = Callable[[pa.Table, Context], Made]
"""Faces, some rows of FACES, to the questions of one kind about them; a face may get none."""


class Placed(NamedTuple):
    """Which source, and which of its labels, every face has; -1 where it is none of the known ones."""

    source: Ints
    label: Ints


def placed(faces: pa.Table, context: Context) -> Placed:
    source = index_in(faces["source"], list(context.words))
    vocabulary = sorted({word for words in context.words.values() for word in words.own})
    table = np.full((len(context.words) + 1, len(vocabulary) + 1), -1, np.int64)  # the last of each: unknown
    for row, words in enumerate(context.words.values()):
        for at, word in enumerate(words.own):
            table[row, vocabulary.index(word)] = at
    return Placed(source, table[source, index_in(faces["label"], vocabulary)])


def index_in(values: pa.ChunkedArray, known: Sequence[str]) -> Ints:
    """Return where each value stands in `known`; -1 where it does not."""
    found = pc.fill_null(pc.index_in(values, pa.array(known, pa.string())), -1)
    return np.asarray(found.to_numpy(), np.int64)


def chosen(faces: pa.Table, context: Context) -> pa.Table:
    """Return the share of the faces that the kind's options ask for; all of them without a copy."""
    if context.options.share >= 1:
        return faces
    return faces.filter(pa.array(uniform(context.draw(faces, "share")) < context.options.share))


def numbers(column: pa.ChunkedArray) -> Floats:
    """Return a column of numbers; NaN where it is null."""
    return np.asarray(pc.fill_null(column.cast(pa.float64()), float("nan")).to_numpy(), np.float64)


def texts(words: Sequence[str], which: Ints) -> pa.Array:
    """Return `words[i]` for every i of `which`."""
    return pa.array(words, pa.string()).take(pa.array(which))


def nothing() -> Made:
    """Return no questions."""
    return Made(np.zeros(0, np.int64), [], np.zeros(0, np.int64), pa.array([], pa.string()))


def joined(some: Sequence[Made]) -> Made:
    """Return questions of one kind as one, with null shares where nothing is known of the votes."""
    some = [made for made in some if len(made.which)]
    if not some:
        return nothing()
    offsets = np.cumsum([0, *(len(made.asked) for made in some)])
    shares = [pa.nulls(len(made.which), SOFT) if made.soft is None else made.soft.cast(SOFT) for made in some]
    wide = any(made.pictures.ndim == 2 for made in some)
    return Made(
        np.concatenate([two(made.pictures) if wide else made.pictures for made in some]),
        [question for made in some for question in made.asked],
        np.concatenate([made.which + start for made, start in zip(some, offsets, strict=False)]),
        pa.concat_arrays([made.answers for made in some]),
        pa.concat_arrays(shares),
    )


def two(pictures: Ints) -> Ints:
    """Return the pictures of questions as (questions, 2)."""
    return pictures if pictures.ndim == 2 else np.stack([pictures, np.full(len(pictures), -1)], axis=1)


SOFT = pa.list_(pa.float32())
