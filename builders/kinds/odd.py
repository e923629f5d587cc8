"""Kind `odd`: whether two faces show the same expression. Half of the questions have it so, and no face comes twice."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ferbuild.builders.kinds.drawing import Draws, Ints
from ferbuild.builders.kinds.forms import asked
from ferbuild.builders.kinds.made import Context, Made, joined, texts
from ferbuild.builders.kinds.two_labels import Lot, lots
from ferbuild.builders.questions import Question, question_among

SAME = ("same", "different")


def odd(faces: pa.Table, context: Context) -> Made:
    """Ask of two faces of one source, both among these, whether their labels are the same."""
    drawn = context.draw(faces, "partner")
    return joined([_compared(faces, context, lot, drawn) for lot in lots(faces, context)])


def _compared(faces: pa.Table, context: Context, lot: Lot, drawn: Draws) -> Made:
    order = np.argsort(drawn[lot.rows], kind="stable")
    pairs, differ = paired(lot.rows[order], lot.label[order])
    turned = (drawn[pairs].sum(axis=1) >> np.uint64(32)) % np.uint64(2) == 1
    pairs = np.where(turned[:, None], pairs[:, ::-1], pairs)
    return Made(pairs, *wordings(context, drawn[pairs[:, 0]], SAME), texts(SAME, differ))


def wordings(context: Context, drawn: Draws, choices: tuple[str, ...], what: str = "") -> tuple[list[Question], Ints]:
    """Return the questions of a kind whose text is the same for all faces, and which wording each row gets."""
    known = context.templates[what or context.kind]
    which = (drawn % np.uint64(len(known))).astype(np.int64)
    return asked(which, lambda code: question_among(choices, known[code]))


def paired(rows: Ints, label: Ints) -> tuple[Ints, Ints]:
    """Return disjoint pairs of rows, (pairs, 2), and 1 where the labels of a pair differ: half of them do.

    Half of the faces of each label go into pairs among themselves, the others into pairs with another label; what
    finds no partner, and what one side has more pairs of than the other, is left out.
    """
    alike, free = [], np.ones(len(rows), bool)
    for one in np.unique(label):
        own = np.flatnonzero(label == one)
        own = own[: 2 * ((len(own) + 2 * (int(one) % 2)) // 4)]  # labels take turns in rounding up
        free[own] = False
        alike.append(rows[own].reshape(-1, 2))
    same = np.concatenate(alike)
    mixed = rows[_unlike(label, np.flatnonzero(free))]
    count = min(len(same), len(mixed))
    return np.concatenate([_spread(same, count), mixed[:count]]), np.repeat([0, 1], count)


def _unlike(label: Ints, free: Ints) -> Ints:
    """Return pairs of `free` with different labels, (pairs, 2): as they come, then those that met their own kind."""
    met = free[: len(free) // 2 * 2].reshape(-1, 2)
    differ = label[met[:, 0]] != label[met[:, 1]]
    again = met[~differ].ravel()
    again = again[np.argsort(label[again], kind="stable")].reshape(2, -1).T  # each with the one half of them further on
    parted = label[again[:, 0]] != label[again[:, 1]]
    return np.concatenate([met[differ], again[parted]])


def _spread(pairs: Ints, count: int) -> Ints:
    """Return so many of the pairs, from all over them: they are in the order of their labels."""
    return pairs[np.linspace(0, len(pairs) - 1, count).round().astype(np.int64)] if count else pairs[:0]
