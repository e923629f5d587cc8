"""A calibration holds for the nets it was made with: others are told before anything is measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from calibrated import band, calibration
from tiny_onnx import mean_net

from ferbuild.builders import calibrating
from ferbuild.builders.config import NETS, Settings, read_settings
from ferbuild.builders.errors import FerError
from ferbuild.builders.files import file_sha256
from ferbuild.builders.nets import fitting_calibration
from ferbuild.manifests.calibration import Judge
from ferbuild.manifests.load import load_asset, load_calibration

SUMS = {name: load_asset(name).sha256 for name in NETS}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.chdir(tmp_path)
    return read_settings(required=False)


@pytest.fixture
def net(tmp_path: Path) -> Path:
    """The entry of a unit model called `mine`."""
    mean_net(tmp_path / "net.onnx", [[1.0, 0, 0]])
    entry = tmp_path / "mine.yaml"
    entry.write_text("file: net.onnx\norder: [AU1]\ninput: {width: 32, height: 32}\nlicence: MIT\n")
    return entry


def made(path: Path, by: str = "geometry", **weights: str) -> Path:
    """Write a calibration that judges AU1, made with these weights."""
    known = calibration({"AU1": {224: Judge(by=by, bands={"frontal": band(0.8, 0.2)})}})
    with_weights = known.made_by.model_copy(update={"weights": SUMS | weights})
    calibrating.write(known.model_copy(update={"made_by": with_weights}), path)
    return path


def fault(settings: Settings) -> FerError:
    with pytest.raises(FerError) as told:
        fitting_calibration(settings)
    return told.value


def test_the_shipped_calibration_was_made_with_the_shipped_nets(settings: Settings) -> None:
    assert fitting_calibration(settings) == load_calibration()
    assert dict(load_calibration().made_by.weights) == SUMS


@pytest.mark.parametrize("name", NETS)
def test_another_net_than_the_calibrations_is_told(settings: Settings, tmp_path: Path, name: str) -> None:
    own = tmp_path / "own.onnx"
    own.write_bytes(b"another net")
    replaced = replace(settings, models={name: own})
    told = fault(replaced)
    assert str(told.where) == "the shipped calibration"
    assert told.problem.startswith(f"was made with another {name} than the one in use")
    assert "fer-build calibrate" in told.hint and "`calibration:`" in told.hint
    mine = made(tmp_path / "calibration.yaml", **{name: file_sha256(own)})
    assert fitting_calibration(replace(replaced, calibration=mine)).made_by.weights[name] == file_sha256(own)
    assert fault(replace(settings, calibration=mine)).where == str(mine)


def test_a_net_that_is_not_there_is_told(settings: Settings, tmp_path: Path) -> None:
    told = fault(replace(settings, models={"centerface": tmp_path / "absent.onnx"}))
    assert told.problem == "no such file for centerface"


def test_a_judging_unit_model_has_to_be_the_one_in_use(settings: Settings, net: Path, tmp_path: Path) -> None:
    mine = made(tmp_path / "calibration.yaml", by="mine", mine=file_sha256(tmp_path / "net.onnx"))
    judged = replace(settings, calibration=mine)
    assert fault(judged).problem == "judges by the unit model mine, which fer-build.yaml does not name"
    assert fault(judged).hint.startswith("name its entry as `unit_model:`, or run `fer-build calibrate`")
    assert fitting_calibration(replace(judged, unit_model=net)).units["AU1"][224].by == "mine"
    mean_net(tmp_path / "net.onnx", [[2.0, 0, 0]])
    assert "another file of the unit model mine" in fault(replace(judged, unit_model=net)).problem


def test_a_unit_model_that_does_not_judge_is_measured_all_the_same(
    settings: Settings, net: Path, tmp_path: Path
) -> None:
    assert fitting_calibration(replace(settings, unit_model=net)) == load_calibration()
    worse = made(tmp_path / "calibration.yaml", mine="0" * 64)
    fitting_calibration(replace(settings, calibration=worse, unit_model=net))
    fitting_calibration(replace(settings, calibration=worse))


def test_a_calibration_that_cannot_be_read_is_told(settings: Settings, tmp_path: Path) -> None:
    assert fault(replace(settings, calibration=tmp_path / "absent.yaml")).problem == "cannot be read"
