"""The shipped calibration: what it promises, whether fresh faces bear it out, and how one is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from calibrated import YES, every_unit, scored
from conftest import fer_build

from ferbuild.builders import calibrating
from ferbuild.builders.calibrate import RULE, calibrate, intensity
from ferbuild.builders.fitting import LEAST_RECALL
from ferbuild.builders.render import VERSION
from ferbuild.builders.sample import SIZES, Seen, sample
from ferbuild.builders.trial import sentences, trial
from ferbuild.filters.units import PRESENT_FROM, judge, judge_truth, sides
from ferbuild.manifests import load
from ferbuild.manifests.schema import MadeBy

SHIPPED = load.load_calibration()
MADE_BY = MadeBy(renderer=0, commit="", seed=0, faces=0, weights={})


def cutoffs() -> list[Any]:
    return [
        cut
        for judges in SHIPPED.units.values()
        for judge_ in judges.values()
        for band in judge_.bands.values()
        for cut in (band.present, band.absent)
        if cut
    ]


def test_it_was_made_with_this_renderer_and_these_nets() -> None:
    assert SHIPPED.made_by.renderer == VERSION
    assert SHIPPED.made_by.weights == {name: load.load_asset(name).sha256 for name in ("centerface", "face_mesh")}
    assert SHIPPED.made_by.faces >= 6000
    assert SHIPPED.rule == RULE
    assert tuple(SHIPPED.sizes) == SIZES


def test_nothing_below_the_rule_may_be_judged() -> None:
    assert len(cutoffs()) > 20
    assert min(cut.precision for cut in cutoffs()) >= RULE.precision == 0.9
    assert min(cut.recall for cut in cutoffs()) >= LEAST_RECALL
    for judges in SHIPPED.units.values():
        for one in judges.values():
            for band in one.bands.values():
                assert not (band.present and band.absent) or band.present.at > band.absent.at


def test_what_cannot_be_rendered_is_never_judged() -> None:
    blind = {name for name, unit in load.load_units().units.items() if not unit.drivers}
    assert blind == {"AU11"} and not blind & set(SHIPPED.units)
    assert judge(scored({"AU11": YES}), SHIPPED)["AU11"].why == "not calibrated"


def test_the_trial_that_is_shipped_holds_the_promise() -> None:
    found = SHIPPED.trial
    assert found is not None and found.seed != SHIPPED.made_by.seed
    assert found.total.precision >= 0.95
    assert found.total.judged == sum(score.judged for score in found.units.values())
    assert found.total.sentences == found.total.judged + sum(found.why.values())


@pytest.fixture(scope="module")
def fresh() -> list[Seen]:
    """Faces that no calibration was made of."""
    return sample(128, seed=77, workers=1)


@pytest.mark.network
def test_fresh_faces_bear_it_out(fresh: list[Seen]) -> None:
    """From end to end on new faces: of what is judged, 95 of 100 sentences rightly, and not by judging nothing."""
    found = trial(fresh, SHIPPED, 77)
    assert found.total.precision >= 0.95
    shipped = SHIPPED.trial
    assert shipped is not None and found.total.coverage >= 0.6 * shipped.total.coverage > 0.04


@pytest.mark.network
def test_judgements_of_fresh_faces_are_right(fresh: list[Seen]) -> None:
    right = wrong = 0
    for face in fresh:
        truth = judge_truth(face.units)
        for name, one in judge(face.measured, SHIPPED).items():
            right += one.state == truth[name].state
            wrong += one.state not in ("unknown", truth[name].state)
    assert right > 500
    assert right / (right + wrong) >= 0.95


@pytest.mark.network
def test_half_of_the_sentences_are_false_and_all_are_read(fresh: list[Seen]) -> None:
    for face in fresh[:60]:
        said, truth = list(sentences(face, 3)), judge_truth(face.units)
        assert said and sum(one.true for one in said) * 2 == len(said) == sum(one.affirms for one in said) * 2
        assert all(one.true == ((truth[one.unit].state == "present") == one.affirms) for one in said)
    known = trial([face._replace(measured=scored({})) for face in fresh], every_unit(), 3)
    assert known.total.judged == known.total.sentences, "every unit is judged there, so every sentence was read"
    assert set(known.units) == set(SHIPPED.units)


def made_up(count: int) -> list[Seen]:
    """Faces whose measures show AU12 plainly, AU4 when AU12 is there too (so only by the label), and nothing else."""
    rng = np.random.default_rng(5)
    faces = []
    for number in range(count):
        kind = "labels" if number // 2 % 4 == 0 else "units"
        smile = rng.random() < 0.4
        lowered = smile if kind == "labels" else rng.random() < 0.4
        units = [{"unit": "AU12", "side": "both", "intensity": 0.8}] * smile
        units += [{"unit": "AU4", "side": "both", "intensity": 0.8}] * lowered
        lift = (0.0 if smile else -0.4) + rng.normal(0, 0.05, 2)
        measured = scored({}, corner_lift_left=lift[0], corner_lift_right=lift[1], yaw=float(rng.uniform(-14, 14)))
        faces += [Seen(number, kind, kind, size, units, measured | {"unit_scores": None}) for size in SIZES]
    return faces


def test_what_is_seen_is_calibrated_and_what_is_guessed_is_not() -> None:
    """AU4 comes with AU12 in faces of a label, and on its own it leaves no trace: nothing may be judged of it."""
    found = calibrate(made_up(1200), MADE_BY)
    frontal = found.units["AU12"][224].bands["frontal"]
    assert frontal.auc > 0.99 and frontal.faces == 1200
    assert frontal.present and frontal.absent and frontal.present.at > frontal.absent.at
    assert (frontal.present.precision, frontal.absent.precision) >= (0.95, 0.95)
    assert found.units["AU12"][224].weights.keys() >= {"corner_lift.own"}
    guessed = found.units["AU4"][224].bands["frontal"]
    assert guessed.auc > 0.6 and (guessed.present, guessed.absent) == (None, None)
    assert found.units["AU12"][224].bands["turned"].present is None, "no face there was turned"


def test_a_unit_model_replaces_the_geometry_where_it_finds_more() -> None:
    rng = np.random.default_rng(6)
    faces = []
    for face in made_up(1200):
        scores = {"AU4": 0.1 + 0.8 * bool(intensity(face.units, "AU4", None)), "AU12": 0.5}
        rows = [{"model": "net", "unit": unit, "score": value + rng.normal(0, 0.05)} for unit, value in scores.items()]
        faces.append(face._replace(measured=face.measured | {"unit_scores": rows}))
    found = calibrate(faces, MADE_BY, ["net"])
    assert found.units["AU4"][224].by == "net" and found.units["AU4"][224].bands["frontal"].present
    assert found.units["AU12"][224].by == "geometry"
    lowered = next(face for face in faces if face.size == 224 and intensity(face.units, "AU4", None))
    assert judge(lowered.measured, found)["AU4"].state == "present"


def test_intensity_is_of_the_side_that_is_asked() -> None:
    units = [{"unit": "AU12", "side": "left", "intensity": 0.5}, {"unit": "AU1", "side": "both", "intensity": 0.7}]
    assert [intensity(units, "AU12", side) for side in ("left", "right", None)] == [0.5, 0.0, 0.5]
    assert [intensity(units, "AU1", side) for side in ("left", None)] == [0.7, 0.7]
    assert intensity(units, "AU9", None) == 0.0 < PRESENT_FROM
    assert sides("AU12") == ("left", "right") and sides("AU1") == (None,)


@pytest.mark.network
def test_a_sample_is_the_same_whatever_the_workers(fresh: list[Seen]) -> None:
    again = sample(44, seed=77, workers=2)
    assert again == fresh[: len(again)]
    assert [face.size for face in again[:3]] == list(SIZES)
    assert {face.kind for face in again} == {"labels", "units", "pairs"}


@pytest.mark.network
def test_the_command_writes_what_a_project_can_name(run, tmp_path: Path) -> None:
    made = run("calibrate", "--count", 40, "--workers", 2, "--out", "mine.yaml", "--json")
    assert made.code == 0, made.err
    found = load.load_calibration(tmp_path / "mine.yaml")
    assert (found.made_by.faces, found.made_by.renderer) == (40, VERSION)
    assert found.trial is not None and found.trial.faces == 3 * (40 // calibrating.TRIAL_SHARE)
    calibrating.write(found, tmp_path / "again.yaml")
    assert (tmp_path / "again.yaml").read_bytes() == (tmp_path / "mine.yaml").read_bytes()


def test_a_broken_calibration_is_named(tmp_path: Path, demo) -> None:
    data = yaml.safe_load((load.SHIPPED / "calibration.yaml").read_text())
    data["units"]["AU12"][224]["bands"]["frontal"]["auc"] = "high"
    (tmp_path / "broken.yaml").write_text(yaml.safe_dump(data))
    config = (demo.home / "fer-build.yaml").read_text().replace("releases/", f"{demo.home}/releases/")
    (tmp_path / "fer-build.yaml").write_text(f"{config}calibration: broken.yaml\n")
    ran = fer_build("cot", "--work", tmp_path / "w", "--json", cwd=tmp_path)
    assert ran.code == 2
    assert ran.json["error"]["where"].endswith("broken.yaml") and "auc" in ran.json["error"]["problem"]
