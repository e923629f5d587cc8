"""What was measured of a face, in words: for the baseline's own text, and as evidence for a teacher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ferbuild.filters.units import SIDES, Judged, judge
from ferbuild.manifests.calibration import Calibration
from ferbuild.manifests.load import load_units


def facts(measured: Mapping[str, Any], calibration: Calibration) -> list[str]:
    """Return a sentence for every action unit that the calibration lets be judged on a face; none where it bears none.

    `measured` is a row of the MEASURES schema, or empty.
    """
    judged, units = judge(measured, calibration), load_units().units
    present = [sentence([shown(name, judged)]) for name in units if judged[name].state == "present"]
    return present + [sentence([unit.lacking]) for name, unit in units.items() if judged[name].state == "absent"]


def shown(name: str, judged: Mapping[str, Judged]) -> str:
    """Return the clause for a unit that is present, with its side where the other half is known to lack it."""
    unit = load_units().units[name]
    if not unit.sided:
        return unit.shown
    states = {side: judged[f"{name}.{side}"].state for side in SIDES}
    if sorted(states.values()) == ["absent", "present"]:
        side = next(side for side, state in states.items() if state == "present")
        return f"{unit.shown} on the person's {side} side only"
    return unit.shown


def sentence(clauses: Sequence[str]) -> str:
    """Return clauses joined to a sentence; there must be one at least."""
    *first, last = clauses
    text = f"{', '.join(first)} and {last}" if first else last
    return f"{text[0].upper()}{text[1:]}."
