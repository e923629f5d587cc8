"""The embedded baseline teacher: from judged action units to a written judgement; no model, and no sight of the label.

On the way of a face it stands where a served teacher stands: `answer` sees what the calibration lets be said of the
measures, and the choices, and nothing else. It is made to try and to test the tool. What it claims is what was
measured, so the claim check agrees with it by construction: it is marked, and left out of comparisons.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ferbuild.builders.facts import sentence, shown
from ferbuild.filters.answer import FORMS
from ferbuild.filters.units import SIDES, Judged, find_place, judge
from ferbuild.manifests.calibration import Calibration
from ferbuild.manifests.load import load_units
from ferbuild.manifests.schema import Prototype

FAMILY = {form: forms[0] for forms in FORMS for form in forms}
"""Any form of a label word to the canonical one."""

CORE, VARIANT, OTHER = 0.75, 0.35, 0.06
"""How often a unit shows in faces of a label: where a published form has it, where it is a variant, and elsewhere.
Round numbers, not fitted: prototypes are no necessary conditions."""
COMPARED = 3
"""Of so many of the nearest labels the units that are missing are told."""
WRONG = 0.1
"""Share of judgements that the calibration allows to be wrong."""


def answer(measured: Mapping[str, Any], choices: Sequence[str], calibration: Calibration) -> str:
    """Return a reasoned answer among `choices`, or a sentence without tags where it cannot judge.

    `measured` is a row of the MEASURES schema, or empty. The same measures, choices and calibration give the same
    text. It cannot judge where the face has no place in the calibration (not measured, too small, turned too far,
    several faces), where no unit can be judged, or where no choice is a word of the eight expressions it knows.
    """
    known = {choice: FAMILY[choice.casefold()] for choice in choices if choice.casefold() in FAMILY}
    judged = judge(measured, calibration)
    obstacle = _obstacle(measured, judged, calibration) or ("" if known else "none of the words offered is one I know")
    if obstacle:
        return f"I cannot judge this face: {obstacle}."
    ranked = sorted(known, key=lambda choice: -fit(known[choice], judged))
    return f"<think>{_reason(measured, judged, ranked, known)}</think><answer>{ranked[0]}</answer>"


OBSTACLES = {
    "not measured": "nothing on it could be measured",
    "several faces": "another face is as large, and nobody knows which one is meant",
    "too small": "it is smaller than any face the measurements were calibrated on",
    "turned": "it is turned too far",
}


def _obstacle(measured: Mapping[str, Any], judged: Mapping[str, Judged], calibration: Calibration) -> str:
    """Return what stands in the way of judging, or ""."""
    place = find_place(measured, calibration)
    if isinstance(place, str):
        return OBSTACLES[place]
    certain = any(one.state != "unknown" for one in judged.values())
    return "" if certain else "no measured value is clear enough to say anything"


def fit(label: str, judged: Mapping[str, Judged]) -> float:
    """Return the log likelihood of what is judged, were `label` (canonical) shown; an unknown unit says nothing."""
    prototype = load_units().prototypes[label]
    total = 0.0
    for name in load_units().units:
        state = judged[name].state
        if state != "unknown":
            total += _log_likelihood(state == "present", _share(prototype, name))
    return total + _sidedness(prototype, judged)


def _share(prototype: Prototype, unit: str) -> float:
    """Return how often a unit shows where the label does, on one side at least."""
    names = {unit, f"{unit}.one"}
    if names & {*prototype.emfacs, *prototype.compound}:
        return CORE
    return VARIANT if names & set(prototype.variants) else OTHER


def _sidedness(prototype: Prototype, judged: Mapping[str, Judged]) -> float:
    """Return what one-sided and two-sided units say for or against a label that is shown on one side, or on both."""
    total = 0.0
    for name, unit in load_units().units.items():
        states = [judged[f"{name}.{side}"].state for side in SIDES] if unit.sided else []
        if "present" in states and "unknown" not in states:
            one_sided = states.count("present") == 1
            total += _log_likelihood(one_sided, CORE if f"{name}.one" in prototype.emfacs else OTHER)
    return total


def _log_likelihood(seen: bool, share: float) -> float:
    said = share * (1 - WRONG) + (1 - share) * WRONG
    return math.log(said if seen else 1 - said)


def _reason(
    measured: Mapping[str, Any], judged: Mapping[str, Judged], ranked: Sequence[str], known: Mapping[str, str]
) -> str:
    turn, apart = abs(measured["yaw"]), measured["eye_distance"]
    pose = f"The head is turned by {turn:.0f}° and the eyes are {apart:.0f} pixels apart."
    present = [shown(name, judged) for name in load_units().units if judged[name].state == "present"]
    absent = [
        load_units().units[name].lacking
        for name in load_units().units
        if judged[name].state == "absent" and any(_share(_prototype(known, c), name) > OTHER for c in ranked[:COMPARED])
    ]
    told = [sentence(present)] if present else ["No movement stands out."]
    told += [sentence(absent)] if absent else []
    return " ".join([pose, *told, _verdict(ranked)])


def _prototype(known: Mapping[str, str], choice: str) -> Prototype:
    return load_units().prototypes[known[choice]]


def _verdict(ranked: Sequence[str]) -> str:
    best = f"Taken together this is nearest to {ranked[0]}"
    return f"{best}; {ranked[1]} comes next." if len(ranked) > 1 else f"{best}."
