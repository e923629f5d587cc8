"""What the annotators' votes say of the choices of a question: shares that a reward can give part credit by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ferbuild.builders.kinds.drawing import Floats, Ints
from ferbuild.builders.record import VOTE_WORDS

OPINIONS = 8
"""The first so many of VOTE_WORDS name an expression."""
NONE = len(VOTE_WORDS)
"""The column of `shares` for a word that nobody could vote for."""


def shares(faces: pa.Table) -> Floats:
    """Return of every face the share of the votes that each of VOTE_WORDS has, and 0: float64, faces x 11.

    A row without votes is NaN. Annotators who saw no face or nothing known count in the whole.
    """
    found = np.full((faces.num_rows, NONE + 1), np.nan)
    known = np.flatnonzero(_known(faces["votes"]))
    if known.size:
        votes = pc.list_flatten(faces["votes"].take(pa.array(known))).to_numpy().reshape(-1, len(VOTE_WORDS))
        whole = votes.sum(axis=1, keepdims=True)
        found[known, :NONE] = np.divide(votes, whole, out=np.full(votes.shape, np.nan), where=whole > 0)
        found[known, NONE] = np.where(whole[:, 0] > 0, 0, np.nan)
    return found


def agreement(faces: pa.Table) -> Floats:
    """Return the share of the votes that the leading expression of each face has, 0..1; NaN without votes."""
    return np.asarray(shares(faces)[:, :OPINIONS].max(axis=1), np.float64)


def soft(faces: pa.Table, which: Ints, choices: Sequence[Sequence[str]]) -> pa.Array | None:
    """Return the share of each face's votes that the canonical labels `choices[which]` have, in their order.

    Null where a face has no votes; None where none has.
    """
    known = np.flatnonzero(_known(faces["votes"]))
    if not known.size:
        return None
    found, told = table(faces.select(["votes"]).take(pa.array(known)), which[known], choices)
    told_of = told[:, 0]
    known, found, told = known[told_of], found[told_of], told[told_of]
    mask = np.ones(faces.num_rows, bool)
    mask[known] = False
    rows = np.zeros(faces.num_rows, np.int64)
    rows[known] = np.arange(len(known))
    return lists(found[told], told.sum(axis=1)).take(pa.array(rows, mask=mask))


def table(faces: pa.Table, which: Ints, choices: Sequence[Sequence[str]]) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the shares of the labels `choices[which]`, faces x most labels, and where they are told.

    Nothing is told of a face without votes, nor beyond a face's own number of labels.
    """
    columns = [[column_of(label) for label in labels] for labels in choices]
    widest = max(map(len, columns))
    padded = np.array([[*row, *[-1] * (widest - len(row))] for row in columns], np.int64)[which]
    found = np.take_along_axis(shares(faces), np.where(padded < 0, NONE, padded), axis=1)
    return found, np.asarray((padded >= 0) & ~np.isnan(found))


def with_rest(one: pa.Array) -> pa.Array:
    """Return lists of one share each as lists of that share and what is left of 1; null stays null."""
    share = pc.list_flatten(one).to_numpy().astype(np.float64)
    known = pc.is_valid(one)
    place = np.cumsum(np.asarray(known)) - 1
    both = lists(np.stack([share, 1 - share], axis=1).ravel(), np.full(len(share), 2))
    return both.take(pa.array(np.maximum(place, 0), mask=~np.asarray(known)))


def lists(values: NDArray[np.float64], lengths: Ints) -> pa.Array:
    """Return list<float32> of `lengths` values each."""
    offsets = pa.array(np.cumsum([0, *lengths]).astype(np.int32))
    return pa.ListArray.from_arrays(offsets, pa.array(values.astype(np.float32)))


def _known(votes: pa.ChunkedArray) -> NDArray[np.bool_]:
    return np.asarray(pc.is_valid(votes).to_numpy(), np.bool_)


def column_of(label: str) -> int:
    return VOTE_WORDS.index(label) if label in VOTE_WORDS[:OPINIONS] else NONE
