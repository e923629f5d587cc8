"""The shipped calibration: what it promises, whether fresh faces bear it out, and how one is made."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from calibrated import YES, every_unit, scored
from conftest import fer_build

from ferbuild.builders import calibrating, fitting
from ferbuild.builders.calibrate import RULE, Halves, calibrate, choose, intensity, restate, views
from ferbuild.builders.errors import FerError
from ferbuild.builders.fitting import LEAST_RECALL
from ferbuild.builders.render import VERSION
from ferbuild.builders.sample import SIZES, Seen, sample
from ferbuild.builders.trial import sentences, trial
from ferbuild.filters.units import PRESENT_FROM, judge, judge_truth, sides
from ferbuild.manifests import load
from ferbuild.manifests.calibration import MadeBy

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
                assert not (band.present and band.absent) or band.present.at >= band.absent.at


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


def made_up(count: int, *, seed: int = 5, noise: float = 0.05) -> list[Seen]:
    """Faces whose measures show AU12 plainly, AU4 when AU12 is there too (so only by the label), and nothing else."""
    rng = np.random.default_rng(seed)
    faces = []
    for number in range(count):
        kind = "labels" if number // 2 % 4 == 0 else "units"
        smile = rng.random() < 0.4
        lowered = smile if kind == "labels" else rng.random() < 0.4
        units = [{"unit": "AU12", "side": "both", "intensity": 0.8}] * smile
        units += [{"unit": "AU4", "side": "both", "intensity": 0.8}] * lowered
        lift = (0.0 if smile else -0.4) + rng.normal(0, noise, 2)
        measured = scored({}, corner_lift_left=lift[0], corner_lift_right=lift[1], yaw=float(rng.uniform(-14, 14)))
        faces += [
            Seen(number, kind, kind, size, units, measured | {"unit_scores": None, "eye_distance": size / 4})
            for size in SIZES
        ]
    return faces


def test_what_is_seen_is_calibrated_and_what_is_guessed_is_not() -> None:
    """AU4 comes with AU12 in faces of a label, and on its own it leaves no trace: nothing may be judged of it."""
    found = calibrate(made_up(1200), MADE_BY)
    frontal = found.units["AU12"][224].bands["frontal"]
    assert frontal.auc > 0.99 and frontal.faces == 600
    assert frontal.present and frontal.absent and frontal.present.at >= frontal.absent.at
    assert (frontal.present.precision, frontal.absent.precision) >= (0.95, 0.95)
    assert found.units["AU12"][224].weights.keys() >= {"corner_lift.own"}
    guessed = found.units["AU4"][224].bands["frontal"]
    assert guessed.auc > 0.6 and (guessed.present, guessed.absent) == (None, None)
    assert found.units["AU12"][224].bands["turned"].present is None, "no face there was turned"


def test_false_alarms_of_two_halves_add_up() -> None:
    """Of a unit whose halves err on their own, either half may be good enough where the whole face is not."""
    rng = np.random.default_rng(8)
    truth = np.zeros((2, 4000), bool)
    truth[:, :1000] = True
    scores = np.where(truth, 1.0, 0.0)
    scores[0, 1000:1060] = scores[1, 1060:1120] = 1.0
    one = np.ones(4000, bool)
    halves = Halves(truth=truth, labelled=one & False, held_out=np.arange(4000) % 2 == 1, turn=rng.uniform(0, 15, 4000))
    own, some, both = views(halves, scores, one, "present")
    right = [float(fitting.worst_precision(view, np.array([1.0]), prevalence=0.2)[0][0]) for view in (own, some, both)]
    assert right == pytest.approx([0.2 / (0.2 + 0.8 * 0.02), 0.2 / (0.2 + 0.8 * 0.04), 1.0])
    scores[0, 1000:1120], scores[1, 1120:1240] = 1.0, 1.0
    assert choose(halves, scores)["frontal"].present is None, "a half is right in .86, a face in .76"


def test_figures_are_those_of_faces_that_chose_nothing() -> None:
    """A trace that other faces do not bear is lost there: what it promised is neither kept nor judged."""
    made = calibrate(made_up(1200), MADE_BY)
    again = restate(made, made_up(1600, seed=11))
    frontal = again.units["AU12"][224].bands["frontal"]
    assert frontal.faces == 1600 and frontal.present and frontal.present.precision >= 0.95
    assert frontal.present.at == made.units["AU12"][224].bands["frontal"].present.at
    blurred = restate(made, made_up(1600, seed=11, noise=0.5))
    assert blurred.units["AU12"][224].bands["frontal"].present is None
    assert blurred.units["AU12"][224].bands["frontal"].auc < 0.9


def with_net(faces: Iterable[Seen], *, sided: bool = False, lost: int = 0) -> list[Seen]:
    """Give faces the scores of a net that sees AU4; `lost` of them have none."""
    rng = np.random.default_rng(6)
    found = []
    for at, face in enumerate(faces):
        lowered = 0.1 + 0.8 * bool(intensity(face.units, "AU4", None))
        names = ("AU4.left", "AU4.right", "AU12") if sided else ("AU4", "AU12")
        rows = [
            {"model": "net", "unit": unit, "score": (0.5 if unit == "AU12" else lowered) + rng.normal(0, 0.05)}
            for unit in names
        ]
        if at < lost:
            rows = [row | {"score": None} for row in rows]
        found.append(face._replace(measured=face.measured | {"unit_scores": rows}))
    return found


@pytest.mark.parametrize("sided", [False, True])
def test_a_unit_model_replaces_the_geometry_where_it_finds_more(sided: bool) -> None:
    faces = with_net(made_up(1200), sided=sided, lost=30)
    found = calibrate(faces, MADE_BY, ["net"])
    assert found.units["AU4"][224].by == "net" and found.units["AU4"][224].bands["frontal"].present
    assert found.units["AU12"][224].by == "geometry"
    lowered = [face for face in faces if face.size == 224 and intensity(face.units, "AU4", None)]
    assert judge(lowered[-1].measured, found)["AU4"].state == "present"
    assert judge(lowered[0].measured, found)["AU4"].why == "not measured", "one of those the net gave no number for"


def test_no_face_to_calibrate_on_is_told() -> None:
    with pytest.raises(FerError, match="48 px: no face could be measured"):
        calibrate([face._replace(measured={}) for face in made_up(4)], MADE_BY)


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


FAULTS = {
    "auc": (("units", "AU12", 224, "bands", "frontal", "auc"), "high"),
    "precision": (("rule", "precision"), 0.5),
    "finite": (("units", "AU12", 224, "bias"), float("nan")),
    "ascend": (("bands", "turned"), 10.0),
    "no unit": (("units", "AU99"), {}),
    "band": (("units", "AU12", 224, "bands", "sideways"), {"auc": 0.5, "faces": 1, "positives": 1}),
    "lies below": (
        ("units", "AU12", 224, "bands", "frontal"),
        {
            "auc": 0.9,
            "faces": 9,
            "positives": 3,
            "present": {"at": 0.0, "precision": 0.95, "recall": 0.5},
            "absent": {"at": 1.0, "precision": 0.95, "recall": 0.5},
        },
    ),
}


@pytest.mark.parametrize("problem", FAULTS)
def test_a_broken_calibration_is_named(problem: str, tmp_path: Path) -> None:
    data = yaml.safe_load((load.SHIPPED / "calibration.yaml").read_text())
    (*way, last), value = FAULTS[problem]
    place = data
    for key in way:
        place = place[key]
    place[last] = value
    (tmp_path / "broken.yaml").write_text(yaml.safe_dump(data))
    with pytest.raises(FerError) as told:
        load.load_calibration(tmp_path / "broken.yaml")
    assert told.value.where.endswith("broken.yaml") and problem in told.value.problem


def test_a_broken_calibration_stops_before_any_work(tmp_path: Path, demo) -> None:
    (tmp_path / "broken.yaml").write_text("rule: none\n")
    config = (demo.home / "fer-build.yaml").read_text().replace("releases/", f"{demo.home}/releases/")
    (tmp_path / "fer-build.yaml").write_text(f"{config}calibration: broken.yaml\n")
    ran = fer_build("cot", "--work", tmp_path / "w", "--json", cwd=tmp_path)
    assert ran.code == 2
    assert ran.json["error"]["where"].endswith("broken.yaml")
    assert [file.name for file in (tmp_path / "w").iterdir()] == [".lock"]
