"""Kinds `valence` and `arousal`: which of two faces has more of it, or on which side of none a face stands.

Asked of faces that bear numbers, as AffectNet's do, from -1 to 1; -2 stands for none there. What lies too close
together, or too close to 0, is not asked.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from ferbuild.builders.kinds.drawing import Floats, Ints, evenly
from ferbuild.builders.kinds.made import Context, Made, joined, numbers, texts
from ferbuild.builders.kinds.odd import wordings
from ferbuild.builders.kinds.two_labels import lots

APART, FROM_ZERO = 0.4, 0.2
"""The margins of two faces and of one, where the recipe names none: about a fifth and a tenth of the scale, -1 to 1."""
PLACES = ("first", "second")
SIGNS: Mapping[str, tuple[str, str]] = {"valence": ("pleasant", "unpleasant"), "arousal": ("excited", "calm")}
"""More than none, less than none."""


def affect(faces: pa.Table, context: Context) -> Made:
    """Ask about the column that the kind is called after, in the two forms that the options name."""
    values = numbers(faces[context.kind])
    drawn = context.draw(faces, "form")
    found = []
    for lot in lots(faces, context):
        rows = lot.rows[np.abs(values[lot.rows]) <= 1]
        rows = rows[np.argsort(drawn[rows], kind="stable")]
        cut = {"two": len(rows), "sign": 0, "both": 2 * (len(rows) // 3)}[context.options.form]
        found.append(_compared(faces, context, rows[:cut], values))
        found.append(_signed(faces, context, rows[cut:], values))
    return joined(found)


def _compared(faces: pa.Table, context: Context, rows: Ints, values: Floats) -> Made:
    """Ask which of two faces has more; no face comes twice, and either place is as often the right one."""
    half = len(rows) // 2
    pairs = np.stack([rows[:half], rows[half : 2 * half]], axis=1)
    pairs = pairs[np.abs(np.diff(values[pairs], axis=1)[:, 0]) >= _margin(context, APART)]
    drawn = context.draw(faces, "place")[pairs[:, 0]]
    right = evenly(np.zeros(len(pairs), np.int64), drawn, 2)
    turned = values[pairs].argmax(axis=1) != right
    pairs = np.where(turned[:, None], pairs[:, ::-1], pairs)
    return Made(pairs, *wordings(context, context.draw(faces, "wording")[pairs[:, 0]], PLACES), texts(PLACES, right))


def _signed(faces: pa.Table, context: Context, rows: Ints, values: Floats) -> Made:
    """Ask on which side of none a face stands; both sides come equally often."""
    margin = _margin(context, FROM_ZERO)
    sides = [rows[values[rows] >= max(margin, np.finfo(float).tiny)], rows[values[rows] <= -max(margin, 1e-9)]]
    count = min(map(len, sides))
    rows = np.concatenate([side[:count] for side in sides])
    signs = SIGNS[context.kind]
    drawn = context.draw(faces, "wording")[rows]
    found = wordings(context, drawn, signs, f"{context.kind}_sign")
    return Made(rows, *found, texts(signs, np.repeat([0, 1], count)))


def _margin(context: Context, usual: float) -> float:
    return usual if context.options.margin is None else context.options.margin
