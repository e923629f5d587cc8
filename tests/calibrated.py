"""Faces and calibrations made up for tests: what is judged is what a test says, by a unit model that does not exist."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ferbuild.builders.distances import ABOUT
from ferbuild.filters.units import sides
from ferbuild.manifests.calibration import Band, Calibration, Cutoff, Judge, MadeBy, Rule
from ferbuild.manifests.load import load_units

YES, NO, MAYBE = 0.9, 0.1, 0.5
"""Scores above, below and between the cutoffs of `every_unit`."""


def band(present: float | None, absent: float | None) -> Band:
    cuts = {"present": present, "absent": absent}
    made = {name: None if at is None else Cutoff(at=at, precision=0.95, recall=0.5) for name, at in cuts.items()}
    return Band(auc=0.9, faces=100, positives=50, **made)


def calibration(units: Mapping[str, Mapping[int, Judge]]) -> Calibration:
    return Calibration(
        made_by=MadeBy(renderer=1, commit="", seed=0, faces=0, weights={}),
        rule=Rule(precision=0.9, present_from=0.3, present_in=0.2, absent_in=0.4),
        sizes={48: 12.0, 224: 60.0},
        bands={"frontal": 15.0, "turned": 30.0},
        units={name: dict(judges) for name, judges in units.items()},
    )


def every_unit() -> Calibration:
    """Every unit is judged at 224 pixels, seen from the front: present from .8 on, absent up to .2."""
    return calibration({name: {224: Judge(by="net", bands={"frontal": band(0.8, 0.2)})} for name in load_units().units})


def measured(**changes: Any) -> dict[str, Any]:
    """Return a MEASURES row of a face that can be judged; measures by name, other columns too."""
    values = dict.fromkeys(ABOUT, 0.0) | {name: changes.pop(name) for name in list(changes) if name in ABOUT}
    row = {"faces_found": 1, "second_face": None, "eye_distance": 70.0, "yaw": 0.0, "pitch": 0.0, "unit_scores": None}
    return row | {"measures": values} | changes


def scored(scores: Mapping[str, float], rest: float = NO, **changes: Any) -> dict[str, Any]:
    """Return a row with these unit scores ("AU12", or "AU12.left"), all other units at `rest`."""
    rows = []
    for name in load_units().units:
        for side in sides(name):
            full = name if side is None else f"{name}.{side}"
            rows.append({"model": "net", "unit": full, "score": scores.get(full, scores.get(name, rest))})
    return measured(unit_scores=rows, **changes)
