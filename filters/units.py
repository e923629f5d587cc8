"""Which action units a measured face shows, as far as the calibration lets anyone say.

On the way of a face this stands between the measures and everything that claims something of a face: the claim
check, the geometry teacher, questions on single units. A value that the calibration does not bear is "unknown".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from ferbuild.manifests.calibration import Calibration, Judge
from ferbuild.manifests.load import load_units

State = Literal["present", "absent", "unknown"]

PRESENT_FROM = 0.3
"""Intensity, 0..1, from which a unit counts as truly present; FACS calls what lies below a trace."""

RIVAL = 0.5
"""Of two faces, the share of the first's weight from which nobody knows which one a text is about."""

SIDES = ("left", "right")
"""The person's own."""

LEFT, RIGHT = "_left", "_right"


class Judged(NamedTuple):
    """What may be said of a unit on a face."""

    state: State
    why: str = ""
    """Of "unknown": not measured, several faces, too small, turned, not calibrated, or unclear: a value in between."""


class Place(NamedTuple):
    """Where in a calibration a face belongs."""

    size: int
    """Side of the calibrated picture in pixels."""
    band: str
    """Range of pose."""


def judge(measured: Mapping[str, Any], calibration: Calibration) -> dict[str, Judged]:
    """Return what may be said of every unit of a MEASURES row.

    Keys are the units, as in "AU12", and the halves of sided ones, as in "AU12.left"; a sided unit is present
    where one of its halves is, and absent where both are.
    """
    place = find_place(measured, calibration)
    seen = {} if isinstance(place, str) else {side: features(measured, side) for side in (*SIDES, None)}
    found: dict[str, Judged] = {}
    for name, unit in load_units().units.items():
        if isinstance(place, str):
            halves = [Judged("unknown", place)] * 2
        else:
            judged_by = calibration.units.get(name, {}).get(place.size)
            scores = [score(judged_by, name, seen, side) for side in sides(name)] if judged_by else []
            halves = [_judge_one(judged_by, place.band, value) for value in scores or (math.nan,) * len(sides(name))]
        if unit.sided:
            found |= {f"{name}.{side}": half for side, half in zip(SIDES, halves, strict=True)}
        found[name] = _joined(halves)
    return found


def judge_truth(units: Iterable[Mapping[str, Any]]) -> dict[str, Judged]:
    """Return the same of a face whose units are known (rows of `record.UNITS`): nothing is unknown."""
    shown = {
        f"{row['unit']}.{side}"
        for row in units
        if row["intensity"] is None or row["intensity"] >= PRESENT_FROM
        for side in (SIDES if row["side"] == "both" else (row["side"],))
    }
    found: dict[str, Judged] = {}
    for name, unit in load_units().units.items():
        halves = [Judged("present" if f"{name}.{side}" in shown else "absent") for side in SIDES]
        if unit.sided:
            found |= {f"{name}.{side}": half for side, half in zip(SIDES, halves, strict=True)}
        found[name] = _joined(halves)
    return found


def find_place(measured: Mapping[str, Any], calibration: Calibration) -> Place | str:
    """Return where a MEASURES row belongs in the calibration, or why it cannot be judged."""
    if not measured.get("faces_found") or not measured.get("measures"):
        return "not measured"
    if (measured.get("second_face") or 0) >= RIVAL:
        return "several faces"
    numbers = [measured.get(name) for name in ("eye_distance", "yaw", "pitch")]
    if any(not isinstance(number, (int, float)) or not math.isfinite(number) for number in numbers):
        return "not measured"
    eye_distance, yaw, pitch = (float(number) for number in numbers if number is not None)
    sizes = [size for size, least in calibration.sizes.items() if eye_distance >= least]
    if not sizes:
        return "too small"
    bands = [name for name, most in calibration.bands.items() if max(abs(yaw), abs(pitch)) <= most]
    return Place(max(sizes), bands[0]) if bands else "turned"


def features(measured: Mapping[str, Any], side: str | None) -> dict[str, float]:
    """Return what a judge weighs, from a MEASURES row.

    For a half of the face a sided measure gives `<name>.own` and `<name>.other`, for the whole face
    `<name>.mean` and `<name>.gap` (the size of the difference); a measure of the midline keeps its name. `yaw.own`
    and `pitch` are the pose in radians, yaw positive where the half is turned away. Scores of a unit model stand under
    `<model>:<unit>`. NaN where a value is missing.
    """
    values: dict[str, float] = {k: math.nan if v is None else v for k, v in measured["measures"].items()}
    found: dict[str, float] = {}
    for name, value in values.items():
        if name.endswith(RIGHT):
            stem = name.removesuffix(RIGHT)
            found |= _paired(stem, values[stem + LEFT], value, side)
        elif not name.endswith(LEFT):
            found[name] = value
    yaw, pitch = math.radians(measured["yaw"]), math.radians(measured["pitch"])
    turned = {"left": yaw, "right": -yaw, None: abs(yaw)}
    scores = {
        f"{row['model']}:{row['unit']}": math.nan if row["score"] is None else row["score"]
        for row in measured.get("unit_scores") or ()
    }
    return found | {"yaw.own": turned[side], "pitch": pitch} | scores


def score(judge: Judge, unit: str, seen: Mapping[str | None, Mapping[str, float]], side: str | None) -> float:
    """Return the judge's score of a unit, or of its half, from the `features` of each side; NaN where one is missing.

    A unit model's scores stand among the features, under `<model>:<unit>`.
    """
    if judge.by != "geometry":
        own = f"{judge.by}:{unit}"
        return seen[None].get(own if side is None else f"{own}.{side}", seen[None].get(own, math.nan))
    values = seen[side]
    return judge.bias + sum(weight * values.get(name, math.nan) for name, weight in judge.weights.items())


def _paired(stem: str, left: float, right: float, side: str | None) -> dict[str, float]:
    if side is None:
        return {f"{stem}.mean": (left + right) / 2, f"{stem}.gap": abs(left - right)}
    own, other = (left, right) if side == "left" else (right, left)
    return {f"{stem}.own": own, f"{stem}.other": other}


def _judge_one(judge: Judge | None, band: str, value: float) -> Judged:
    limits = judge.bands.get(band) if judge else None
    if limits is None or (limits.present is None and limits.absent is None):
        return Judged("unknown", "not calibrated")
    if math.isnan(value):
        return Judged("unknown", "not measured")
    if limits.present and value >= limits.present.at:
        return Judged("present")
    if limits.absent and value <= limits.absent.at:
        return Judged("absent")
    return Judged("unknown", "unclear")


def sides(unit: str) -> tuple[str | None, ...]:
    """Return what of a unit is judged: its two halves, or the whole."""
    return SIDES if load_units().units[unit].sided else (None,)


def _joined(halves: list[Judged]) -> Judged:
    """Return what holds of a unit whose halves were judged: one half is enough to show it, both must lack it."""
    states = [half.state for half in halves]
    if "present" in states:
        return Judged("present")
    if states.count("absent") == len(halves):
        return Judged("absent")
    return next(half for half in halves if half.state == "unknown")
