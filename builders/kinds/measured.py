"""Kind `measure`: whether one action unit is to be seen, answered from what was measured and calibrated.

A unit is asked about only on faces of which the calibration can say that it is there, or that it is not.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from ferbuild.builders import measure
from ferbuild.builders.kinds.forms import asked
from ferbuild.builders.kinds.made import Context, Made, texts
from ferbuild.builders.kinds.two_labels import YES_NO
from ferbuild.builders.questions import question_among
from ferbuild.filters.units import judge
from ferbuild.manifests.load import load_calibration, load_units
from ferbuild.manifests.schema import Unit

STATES = ("present", "absent")
"""In the order of YES_NO."""
State = tuple[str, int]
"""A unit, and which of STATES it is in."""
_NUMBER = re.compile(r" \(AU\d+\)")


def measured(faces: pa.Table, context: Context) -> Made:
    """Ask whether a unit is to be seen; of every unit as many faces have it as lack it, among these faces."""
    known = judged(faces["id"].to_pylist(), context)
    drawn = context.draw(faces, "unit")
    order = [int(at) for at in np.argsort(drawn, kind="stable") if known[at]]
    picked = even_states(order, known)
    units = load_units().units
    names = list(units)
    rows = np.array(sorted(picked), np.int64)
    unit = np.array([names.index(picked[row][0]) for row in rows.tolist()], np.int64)
    state = np.array([picked[row][1] for row in rows.tolist()], np.int64)
    templates = context.templates[context.kind]
    form = (context.draw(faces, "wording")[rows] % np.uint64(len(templates))).astype(np.int64)
    found = asked(
        form * len(names) + unit,
        lambda code: question_among(
            YES_NO, templates[code // len(names)], statement=_statement(units[names[code % len(names)]])
        ),
    )
    return Made(rows, *found, texts(YES_NO, state))


def _statement(unit: Unit) -> str:
    """Return what is said of a face that shows a unit, without the unit's number."""
    return _NUMBER.sub("", unit.shown)


def judged(ids: Sequence[str], context: Context) -> list[list[State]]:
    """Return of every face what the calibration can say of whole units."""
    if context.measures is None:
        return [[] for _ in ids]
    found = measure.read_measures(*context.measures, context.split, ids)
    calibration, units = load_calibration(context.calibration), load_units().units
    states = (judge(found[one], calibration) if one in found else {} for one in ids)
    return [
        [(name, STATES.index(one[name].state)) for name in units if name in one and one[name].state in STATES]
        for one in states
    ]


def even_states(order: Sequence[int], known: Sequence[Sequence[State]]) -> dict[int, State]:
    """Return one unit a face, faces taken in this order, so that each unit is there as often as it is lacking.

    A face is asked about the unit that most needs one in its state, and then about the one that has fewest; what one
    state has more of in the end is left out.
    """
    counts: Counter[State] = Counter()
    faces: Mapping[State, list[int]] = defaultdict(list)
    for row in order:
        best = min(known[row], key=lambda one: (counts[one] - counts[one[0], 1 - one[1]], counts[one], one))
        counts[best] += 1
        faces[best].append(row)
    return {
        row: state
        for state, rows in faces.items()
        for row in rows[: min(counts[state], counts[state[0], 1 - state[1]])]
    }
