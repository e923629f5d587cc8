"""Action units to the renderer's face units, and back: what a picture is made to show, and what it then shows.

Stands between the shared list of units and the mesh. The truth of a picture is read from the face units that were
really applied, never from what was asked for.

How intensities (0..1) follow from face-unit weights, where more than the one driver of `units.yaml` counts:

- A sided unit is read on each side; equal sides are one entry, `both`. Left and right are the person's own.
- AU23, AU24 and AU28 share two movements, press (mean of mouthPressLeft and Right) and roll (mean of mouthRollLower
  and Upper). What the two have in common is AU23: the largest a with press >= 0.5 a and roll >= 0.4 a. The press that
  remains is AU24, the roll that remains is AU28.
- AU26 and AU27 are both the jaw: AU26 = jawOpen / 0.45, at most 1; AU27 = (jawOpen - 0.5) / 0.5, at least 0.
- AU25 is measured on the mesh, since many units part the lips: the gap of the lips' inner edges over 0.17 eye
  distances, at most 1; at intensity 0.3 the gap is 0.05, which is plain to see. Asking for AU25 opens the lips (a
  negative mouthClose) without lowering the jaw.
- Anything else is its driver's weight over the driver's share, at most 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import NamedTuple

from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.manifests.load import load_units

PRESS, ROLL = ("mouthPressLeft", "mouthPressRight"), ("mouthRollLower", "mouthRollUpper")
TIGHT_PRESS, TIGHT_ROLL = 0.5, 0.4
JAW, JAW_DROP, JAW_STRETCH = "jawOpen", 0.45, 0.5
LIPS = "mouthClose"
FULL_GAP = 0.17
"""Eye distances between the lips at which AU25 has intensity 1."""
STRONGEST = 1.15
"""No face unit goes further; beyond it the mesh folds."""
SHARED = ("AU23", "AU24", "AU28", "AU26", "AU27", "AU25")
"""The units with rules of their own."""
SIDES = {"left": "Left", "right": "Right"}
FAINT = 0.005
"""Less than this is not written down."""


class Shown(NamedTuple):
    """A unit that a picture shows."""

    unit: str
    side: str
    """left, right (the person's own) or both."""
    intensity: float


def names() -> list[str]:
    """Return the units that can be rendered."""
    return [name for name, unit in load_units().units.items() if unit.drivers]


def is_sided(unit: str) -> bool:
    return load_units().units[unit].sided


def weights_of(asked: Mapping[str, float]) -> dict[str, float]:
    """Return the face units that show what is asked: `AU12`, `AU12.left` or `AU12.right` to intensity 0..1.

    FerError for a unit that is unknown, cannot be rendered or has no sides.
    """
    out: dict[str, float] = {}
    for key, intensity in asked.items():
        unit, _, side = key.partition(".")
        for driver, weight in _drive(unit, side or "both", intensity).items():
            out[driver] = out.get(driver, 0.0) + weight
    return clipped(out)


def clipped(weights: Mapping[str, float]) -> dict[str, float]:
    """Return the weights within what the mesh bears, rounded, by name, without zeros."""
    low = {LIPS: -0.4}
    kept = {name: round(min(STRONGEST, max(low.get(name, 0.0), value)), 4) for name, value in weights.items()}
    return {name: kept[name] for name in sorted(kept) if kept[name]}


def shown(weights: Mapping[str, float], gap: float) -> list[Shown]:
    """Return what face-unit weights show, by the rules above; `gap` is in eye distances. Faint units are left out."""
    found: list[Shown] = []
    for unit in names():
        if unit not in SHARED:
            found += _plain(unit, weights)
    for unit, value in {**_lips(weights), **_jaw(weights), "AU25": gap / FULL_GAP}.items():
        found.append(Shown(unit, "both", _rounded(value)))
    order = {unit: at for at, unit in enumerate(load_units().units)}
    return sorted((one for one in found if one.intensity >= FAINT), key=lambda one: (order[one.unit], one.side))


def with_unit(weights: Mapping[str, float], unit: str, intensity: float, side: str = "both") -> dict[str, float]:
    """Return weights in which `unit` has this intensity and every other unit what it had.

    Of units that share a movement only one can be set: AU27 above 0 makes AU26 1, AU26 below 1 makes AU27 0. AU25 moves
    the lips alone; what jaw, upper and lower lip open stays open.
    """
    out = dict(weights)
    if unit in ("AU23", "AU24", "AU28"):
        _checked(unit, side)
        lips = _lips(weights) | {unit: intensity}
        out |= dict.fromkeys((*PRESS, *ROLL), 0.0) | weights_of({name: value for name, value in lips.items() if value})
    elif unit == "AU27" and not intensity:
        _checked(unit, side)
        out[JAW] = min(out.get(JAW, 0.0), JAW_DROP)
    else:
        out |= _drive(unit, side, intensity)
    return clipped(out)


def _drive(unit: str, side: str, intensity: float) -> dict[str, float]:
    """Return what one unit asks of its drivers."""
    _checked(unit, side)
    if unit == "AU27":
        return {JAW: JAW_STRETCH * (1 + intensity) if intensity else 0.0}
    sides = [""] if not is_sided(unit) else list(SIDES.values()) if side == "both" else [SIDES[side]]
    drivers = load_units().units[unit].drivers
    return {driver + ending: share * intensity for driver, share in drivers.items() for ending in sides}


def _checked(unit: str, side: str) -> None:
    known = names()
    if unit not in known:
        raise FerError(f"unit {unit!r}", "cannot be rendered", did_you_mean(unit, known))
    if side != "both" and (side not in SIDES or not is_sided(unit)):
        raise FerError(f"unit {unit}", f"has no side {side!r}", "write left or right of a sided unit, or both")


def _plain(unit: str, weights: Mapping[str, float]) -> Iterable[Shown]:
    """Return the entries of a unit with one driver."""
    driver, share = _driver(unit)
    if not is_sided(unit):
        return [Shown(unit, "both", _rounded(weights.get(driver, 0.0) / share))]
    left, right = (_rounded(weights.get(driver + ending, 0.0) / share) for ending in SIDES.values())
    return [Shown(unit, "both", left)] if left == right else [Shown(unit, "left", left), Shown(unit, "right", right)]


@cache
def _driver(unit: str) -> tuple[str, float]:
    drivers = load_units().units[unit].drivers
    if len(drivers) != 1:
        raise FerError(f"unit {unit}", "has several drivers and no rule to read it by", "correct units.yaml")
    return next(iter(drivers.items()))


def _lips(weights: Mapping[str, float]) -> dict[str, float]:
    press, roll = (sum(weights.get(name, 0.0) for name in pair) / 2 for pair in (PRESS, ROLL))
    tight = min(press / TIGHT_PRESS, roll / TIGHT_ROLL, 1.0)
    return {"AU23": tight, "AU24": press - TIGHT_PRESS * tight, "AU28": roll - TIGHT_ROLL * tight}


def _jaw(weights: Mapping[str, float]) -> dict[str, float]:
    jaw = weights.get(JAW, 0.0)
    return {"AU26": jaw / JAW_DROP, "AU27": (jaw - JAW_STRETCH) / (1 - JAW_STRETCH)}


def _rounded(value: float) -> float:
    return round(min(1.0, max(0.0, value)), 3)
