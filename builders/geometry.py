"""The embedded baseline teacher: from mesh measures to a written judgement, without a model and without the label.

On the way of a face it stands where a served teacher stands: `answer` sees the measures and the choices and
nothing else. It is made to try and to test the tool. The reference values below are chosen by hand, from two
portraits and smooth warps of them; they are no calibration, faces differ at rest, and wrong answers are expected:
the consistency filter is there for them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, NamedTuple

from ferbuild.builders.measures import PRESENT
from ferbuild.filters.answer import FORMS

MAX_YAW = 30.0
"""Degrees; beyond it the mesh guesses the hidden side of the face."""
CLEAR = 1.0
"""Steps from rest at which a cue is worth a word."""
FAR = 3.0
"""Steps beyond which a cue says nothing more."""


class Cue(NamedTuple):
    """Something to look at: measures, whose mean counts, and how far from a face at rest it stands."""

    word: str
    measures: tuple[str, ...]
    rest: float
    """Eye distances on the face at rest that is compared with."""
    step: float
    """Eye distances that make a visible difference."""
    finding: str
    """The measured numbers in a sentence: `{0}`, `{1}` per measure; a negative `rest` is told as a depth."""
    above: str
    """What is said of a value clearly above `rest`."""
    below: str


class Seen(NamedTuple):
    """A cue on one face."""

    name: str
    steps: float
    """-FAR..FAR, distance from rest."""
    sentence: str


def _sided(name: str) -> tuple[str, str]:
    return f"{name}_left", f"{name}_right"


CUES: dict[str, Cue] = {
    "brows inner": Cue(
        "inner brows", _sided("brow_inner"), 0.27, 0.035,
        "The inner ends of the brows stand {0} (left) and {1} (right) above the eyes",
        "higher than at rest", "lower than at rest",
    ),
    "brows outer": Cue(
        "outer brows", _sided("brow_outer"), 0.215, 0.03,
        "The outer ends of the brows stand {0} (left) and {1} (right) above the eyes",
        "higher than at rest", "lower than at rest",
    ),
    "lids": Cue(
        "eyes", _sided("eye_open"), 0.13, 0.045,
        "The lids are {0} (left) and {1} (right) apart",
        "wider open than at rest", "narrower than at rest",
    ),
    "nose": Cue(
        "nose", ("nose_length",), 0.70, 0.05,
        "The base of the nose lies {0} below the line of the eyes",
        "further down than at rest", "further up than at rest",
    ),
    "upper lip": Cue(
        "upper lip", ("upper_lip_nose",), 0.19, 0.03,
        "The upper lip begins {0} below the nose",
        "further from it than at rest", "nearer to it than at rest",
    ),
    "corners": Cue(
        "lip corners", _sided("corner_lift"), -0.235, 0.05,
        "The lip corners lie {0} (left) and {1} (right) below the nose",
        "higher than at rest", "lower than at rest",
    ),
    "mouth width": Cue(
        "width of the mouth", ("mouth_width",), 0.86, 0.08,
        "The mouth is {0} wide",
        "wider than at rest", "narrower than at rest",
    ),
    "lip gap": Cue(
        "opening of the mouth", ("lip_gap",), 0.05, 0.08,
        "The lips are {0} apart",
        "further open than at rest", "more closed than at rest",
    ),
    "one side": Cue(
        "two sides of the mouth", ("mouth_skew",), 0.0, 0.02,
        "One lip corner stands {0} higher than the other",
        "the mouth is uneven", "the mouth is uneven",
    ),
}  # fmt: skip
"""What is looked at, from the brows down. `one side` takes the difference without its sign."""

AT_REST = "about as at rest"

PATTERNS: dict[str, dict[str, float]] = {
    "neutral": {},
    "happiness": {"corners": 2.5, "mouth width": 2.5, "upper lip": -1.5, "lip gap": 1, "lids": -0.5},
    "sadness": {"brows inner": 1.3, "corners": -2, "mouth width": -0.8, "lip gap": -0.3, "upper lip": 0.6},
    "surprise": {"brows inner": 2, "brows outer": 1, "lids": 0.7, "lip gap": 2.3, "corners": -2, "mouth width": -0.5},
    "fear": {"brows inner": 1.8, "brows outer": 0.3, "lids": 0.3, "corners": -2, "mouth width": 1.4, "upper lip": 1.7},
    "disgust": {"brows inner": -1.5, "brows outer": -1, "lids": -1, "nose": -2.5, "corners": -2, "mouth width": -1},
    "anger": {"brows inner": -1.5, "brows outer": -0.7, "lids": -0.7, "nose": -0.8, "corners": -1, "mouth width": -1.2},
    "contempt": {"one side": 1.5, "corners": 1, "mouth width": 1},
}
"""Canonical label to the steps from rest that speak for it, after the EMFACS prototypes; a cue not named rests."""

FAMILY = {form: forms[0] for forms in FORMS for form in forms}
"""Any form of a label word to the canonical one."""


def answer(measured: Mapping[str, Any], choices: Sequence[str]) -> str:
    """Return a reasoned answer among `choices`, or a sentence without tags where it cannot judge.

    `measured` is a row of the MEASURES schema, or empty. The same measures and choices give the same text. It
    cannot judge where no face was found, the mesh is not present, the head is turned by more than MAX_YAW
    degrees, a value is missing, or no choice is a word of the eight expressions it knows.
    """
    known = {choice: FAMILY[choice.casefold()] for choice in choices if choice.casefold() in FAMILY}
    obstacle = _obstacle(measured) or ("" if known else "none of the words offered is one I know")
    if obstacle:
        return f"I cannot judge this face: {obstacle}."
    seen = [_look(name, cue, measured["measures"]) for name, cue in CUES.items()]
    ranked = sorted(known, key=lambda choice: _misfit(known[choice], seen))
    return f"<think>{_reason(measured, seen, ranked, known)}</think><answer>{ranked[0]}</answer>"


def _obstacle(measured: Mapping[str, Any]) -> str:
    """Return what stands in the way of judging, or ""."""
    values = measured.get("measures")
    if not measured.get("faces_found") or not values:
        return "nothing on it could be measured"
    presence, yaw = measured.get("presence"), measured.get("yaw")
    if not _is_number(presence) or float(presence or 0) < PRESENT:
        return "the mesh does not fit it"
    if not _is_number(yaw) or abs(float(yaw or 0)) > MAX_YAW:
        return "it is turned too far to the side"
    needed = (name for cue in CUES.values() for name in cue.measures)
    return "" if all(_is_number(values.get(name)) for name in needed) else "some of its measures are missing"


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and math.isfinite(value)


def _look(name: str, cue: Cue, values: Mapping[str, float]) -> Seen:
    found = [abs(values[measure]) if name == "one side" else values[measure] for measure in cue.measures]
    steps = (sum(found) / len(found) - cue.rest) / cue.step
    meaning = cue.above if steps >= CLEAR else cue.below if steps <= -CLEAR else AT_REST
    sign = -1 if cue.rest < 0 else 1
    numbers = cue.finding.format(*(f"{sign * value:z.2f}" for value in found))
    return Seen(name, max(-FAR, min(FAR, steps)), f"{numbers}, {meaning}.")


def _misfit(label: str, seen: Sequence[Seen]) -> float:
    """Return the squared distance, in steps, of what is seen from the label's pattern."""
    pattern = PATTERNS[label]
    return sum((cue.steps - pattern.get(cue.name, 0.0)) ** 2 for cue in seen)


def _reason(measured: Mapping[str, Any], seen: Sequence[Seen], ranked: Sequence[str], known: Mapping[str, str]) -> str:
    turned = f"The head is turned by {abs(measured['yaw']):.0f}°, so both sides of the face can be measured."
    told = [cue.sentence for cue in seen if _worth_telling(cue, known[ranked[0]])]
    return " ".join([turned, COMPARED, *told, _verdict(seen, ranked, known)])


COMPARED = "Lengths are in eye distances; at rest means the fixed face compared with, not this person's own."


def _worth_telling(cue: Seen, label: str) -> bool:
    return abs(cue.steps) >= CLEAR or cue.name in (PATTERNS[label] or ("brows inner", "lids", "corners", "lip gap"))


def _verdict(seen: Sequence[Seen], ranked: Sequence[str], known: Mapping[str, str]) -> str:
    best = f"Taken together this is nearest to {ranked[0]}"
    if len(ranked) == 1 or known[ranked[0]] == known[ranked[1]]:
        return f"{best}."
    word = CUES[_telling_cue(seen, known[ranked[0]], known[ranked[1]])].word
    return f"{best}; {ranked[1]} comes next, but fits the {word} less well."


def _telling_cue(seen: Sequence[Seen], best: str, next_best: str) -> str:
    """Return the cue that speaks most for `best` against `next_best`."""

    def lead(cue: Seen) -> float:
        own, other = (PATTERNS[label].get(cue.name, 0.0) for label in (best, next_best))
        return abs(cue.steps - other) - abs(cue.steps - own)

    return max(seen, key=lead).name
