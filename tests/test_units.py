"""Judgements of action units: places in a calibration, cutoffs, sides, and what cannot be judged."""

from __future__ import annotations

import math
from typing import Any

import pytest
from calibrated import band, calibration, measured
from hypothesis import given
from hypothesis import strategies as st

from ferbuild.filters.units import SIDES, Judged, Place, features, find_place, judge, judge_truth
from ferbuild.manifests.calibration import Judge
from ferbuild.manifests.load import load_units


def lift_judge(present: float | None = 1.0, absent: float | None = -1.0) -> Judge:
    """Score 10 * corner_lift.own + 2: nought at a lift of -0.2."""
    return Judge(by="geometry", bias=2.0, weights={"corner_lift.own": 10.0}, bands={"frontal": band(present, absent)})


def gap_judge() -> Judge:
    return Judge(by="geometry", bias=-1.0, weights={"lip_gap": 10.0}, bands={"frontal": band(0.5, -0.5)})


KNOWN = calibration({"AU12": {224: lift_judge()}, "AU25": {224: gap_judge()}})


def lifted(left: float, right: float, **changes: Any) -> dict[str, Any]:
    return measured(corner_lift_left=left, corner_lift_right=right, **changes)


@pytest.mark.parametrize(
    ("left", "right", "states"),
    [
        (0.0, 0.0, ("present", "present", "present")),
        (0.0, -0.4, ("present", "absent", "present")),
        (-0.4, -0.4, ("absent", "absent", "absent")),
        (-0.2, -0.4, ("unknown", "absent", "unknown")),
        (-0.2, 0.0, ("unknown", "present", "present")),
        (-0.1, -0.3, ("present", "absent", "present")),  # on the cutoffs, which belong to the judgements
    ],
)
def test_sides_and_the_whole(left: float, right: float, states: tuple[str, str, str]) -> None:
    found = judge(lifted(left, right), KNOWN)
    assert (found["AU12.left"].state, found["AU12.right"].state, found["AU12"].state) == states
    assert {one.why for one in found.values() if one.state == "unknown"} <= {"unclear", "not calibrated"}


def test_a_unit_without_sides_has_one_judgement() -> None:
    found = judge(measured(lip_gap=0.3), KNOWN)
    assert found["AU25"] == Judged("present")
    assert "AU25.left" not in found


def test_every_unit_is_answered_for() -> None:
    names = {
        name
        for name, unit in load_units().units.items()
        for name in (name, *([f"{name}.left", f"{name}.right"] if unit.sided else []))
    }
    for row in (measured(), {}, measured(yaw=80.0), measured(eye_distance=3.0)):
        assert set(judge(row, KNOWN)) == names
    assert set(judge_truth([])) == names


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"faces_found": 0}, "not measured"),
        ({"measures": None}, "not measured"),
        ({"yaw": None}, "not measured"),
        ({"pitch": math.nan}, "not measured"),
        ({"second_face": 0.5}, "several faces"),
        ({"eye_distance": 11.9}, "too small"),
        ({"yaw": 30.1}, "turned"),
        ({"pitch": -31.0}, "turned"),
    ],
)
def test_faces_that_nobody_may_judge(changes: dict[str, Any], why: str) -> None:
    row = measured() | changes
    assert find_place(row, KNOWN) == why
    assert set(judge(row, KNOWN).values()) == {Judged("unknown", why)}


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({}, Place(224, "frontal")),
        ({"eye_distance": 59.9}, Place(48, "frontal")),
        ({"eye_distance": 12.0, "yaw": -15.0}, Place(48, "frontal")),
        ({"yaw": 15.1}, Place(224, "turned")),
        ({"pitch": 30.0}, Place(224, "turned")),
        ({"second_face": 0.49}, Place(224, "frontal")),
    ],
)
def test_places(changes: dict[str, Any], place: Place) -> None:
    assert find_place(measured(**changes), KNOWN) == place


def test_a_place_without_a_cutoff_is_not_calibrated() -> None:
    small = judge(lifted(0.0, 0.0, eye_distance=20.0), KNOWN)
    turned = judge(lifted(0.0, 0.0, yaw=20.0), KNOWN)
    assert small["AU12"] == turned["AU12"] == Judged("unknown", "not calibrated")
    only_absent = calibration({"AU12": {224: lift_judge(present=None)}})
    assert judge(lifted(0.5, 0.5), only_absent)["AU12"] == Judged("unknown", "unclear")
    assert judge(lifted(-0.5, -0.5), only_absent)["AU12"] == Judged("absent")


def test_a_missing_value_cannot_be_judged() -> None:
    row = lifted(0.0, 0.0)
    row["measures"]["corner_lift_left"] = None
    found = judge(row, KNOWN)
    assert found["AU12.left"] == Judged("unknown", "not measured")
    assert found["AU12.right"] == Judged("present")


def test_a_unit_model_is_read_by_its_own_scores() -> None:
    model = Judge(by="net", bands={"frontal": band(0.8, 0.2)})
    known = calibration({"AU12": {224: model}, "AU25": {224: model}, "AU4": {224: model}})
    scores = {"AU12.left": 0.9, "AU12.right": 0.1, "AU25": 0.85, "AU4": 0.05}
    row = measured(unit_scores=[{"model": "net", "unit": unit, "score": value} for unit, value in scores.items()])
    found = judge(row, known)
    assert [found[name].state for name in ("AU12.left", "AU12.right", "AU25")] == ["present", "absent", "present"]
    assert [found[name].state for name in ("AU4", "AU4.left", "AU4.right")] == ["absent"] * 3
    assert judge(measured(), known)["AU12"] == Judged("unknown", "not measured")


def test_features_of_a_half_and_of_the_whole() -> None:
    row = lifted(-0.1, -0.3, yaw=10.0, pitch=5.0, lip_gap=0.2)
    left, right, whole = (features(row, side) for side in (*SIDES, None))
    assert (left["corner_lift.own"], left["corner_lift.other"]) == (-0.1, -0.3)
    assert (right["corner_lift.own"], right["corner_lift.other"]) == (-0.3, -0.1)
    assert whole["corner_lift.mean"] == pytest.approx(-0.2)
    assert whole["corner_lift.gap"] == pytest.approx(0.2)
    assert (left["lip_gap"], whole["lip_gap"]) == (0.2, 0.2)
    assert left["yaw.own"] == -right["yaw.own"] == pytest.approx(math.radians(10))
    assert whole["pitch"] == pytest.approx(math.radians(5))


def test_known_truth_takes_the_form_of_judgements() -> None:
    units = [
        {"unit": "AU12", "side": "left", "intensity": 0.6},
        {"unit": "AU12", "side": "right", "intensity": 0.29},
        {"unit": "AU4", "side": "both", "intensity": 0.3},
        {"unit": "AU25", "side": "both", "intensity": None},
    ]
    found = judge_truth(units)
    assert [found[name].state for name in ("AU12.left", "AU12.right", "AU12")] == ["present", "absent", "present"]
    assert [found[name].state for name in ("AU4.left", "AU4.right", "AU25", "AU1")] == [*["present"] * 3, "absent"]


@given(left=st.floats(-1, 1), right=st.floats(-1, 1))
def test_a_mirrored_face_has_mirrored_judgements(left: float, right: float) -> None:
    one, other = judge(lifted(left, right), KNOWN), judge(lifted(right, left), KNOWN)
    assert (one["AU12.left"], one["AU12.right"], one["AU12"]) == (
        other["AU12.right"],
        other["AU12.left"],
        other["AU12"]._replace(why=one["AU12"].why),
    )
