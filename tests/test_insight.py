"""insightface as the detector, on a generated pack whose graph has SCRFD's ends; the package's own code runs it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_onnx import mean_net, scrfd_net

from ferbuild.builders import insight, nets
from ferbuild.builders.config import read_settings
from ferbuild.builders.errors import FerError
from ferbuild.builders.files import file_sha256
from ferbuild.builders.images import Pixels

BOX = (1.0, 2.0, 3.0, 4.0)
POINTS = (0.0, 0.0, 2.0, 0.0, 1.0, 1.0, 0.0, 2.0, 2.0, 2.0)
SIDE = 160
"""Padded by 30 % and searched at 256 pixels a picture of this side keeps its scale, and 48 pixels are 3 cells."""


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """A pack as insightface lays it out: the detector is one of its files."""
    folder = tmp_path / "home" / "models" / "buffalo_x"
    folder.mkdir(parents=True)
    scrfd_net(folder / "det_x.onnx", BOX, POINTS)
    mean_net(folder / "a_recogniser.onnx", [[1.0, 0, 0]], size=(112, 112))
    return folder


def picture(*corners: tuple[int, int], bright: int = 255) -> Pixels:
    """A black picture with a bright cell at each x, y."""
    rgb = np.zeros((SIDE, SIDE, 3), np.uint8)
    for x, y in corners:
        rgb[y : y + 16, x : x + 16] = bright
    return rgb


def opened(pack: Path) -> insight.InsightFace:
    pytest.importorskip("insightface")
    return insight.open_insight(pack)


def test_the_packages_detector_gives_faces_in_pixels_of_the_picture(pack: Path) -> None:
    detector = opened(pack)
    [face] = detector.find(picture((64, 48)))
    assert face.box == pytest.approx((64 - 16, 48 - 32, 64 + 48, 48 + 64))
    assert face.points == pytest.approx(np.array(POINTS).reshape(5, 2) * 16 + (64, 48))
    assert face.points.dtype == np.float32
    assert face.score == pytest.approx(127.5 / 128, abs=1e-5)
    assert detector.find(picture()) == []


def test_faces_come_best_first_and_one_that_overlaps_a_better_one_is_none(pack: Path) -> None:
    rgb = np.maximum(picture((16, 16), bright=230), picture((96, 64)))
    rgb[64:80, 112:128] = 240
    found = opened(pack).find(rgb)
    assert [face.box[:2] for face in found] == [(80, 32), (0, -16)]


def test_the_file_that_finds_faces_is_known_by_its_hash_and_terms(pack: Path) -> None:
    detector = opened(pack)
    assert (detector.name, detector.sha256) == ("insightface", file_sha256(pack / "det_x.onnx"))
    assert "non-commercial" in detector.terms


def fault(call: object, *words: object) -> FerError:
    assert callable(call)
    with pytest.raises(FerError) as told:
        call(*words)
    return told.value


def test_a_folder_that_is_no_pack_is_told_before_the_package_is_asked(
    pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "insightface", None)
    told = fault(insight.open_insight, tmp_path / "absent")
    assert told.problem == "no such folder for insightface"
    assert "never downloads" in told.hint
    assert fault(insight.open_insight, pack.parent.parent).hint == f"did you mean {pack}?"
    (pack / "det_x.onnx").unlink()
    assert fault(insight.open_insight, pack).problem == "none of its 1 .onnx files is a face detector"
    (pack / "a_recogniser.onnx").unlink()
    assert fault(insight.open_insight, pack).problem == "holds no .onnx file"
    (pack / "det_x.onnx").write_bytes(b"\x00" * 100)
    assert "is no ONNX file" in fault(insight.open_insight, pack).problem


@pytest.mark.parametrize("package", ["insightface", "onnxruntime"])
def test_a_missing_package_ends_in_the_pip_line(pack: Path, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    for name in [name for name in sys.modules if name.startswith("insightface.")]:
        monkeypatch.delitem(sys.modules, name)
    for call in (insight.require, lambda: insight.open_insight(pack)):
        told = fault(call)
        assert told.hint == "pip install 'fer-build[insightface]'"


def test_a_detector_without_points_is_refused(pack: Path) -> None:
    pytest.importorskip("insightface")
    scrfd_net(pack / "det_x.onnx", BOX, POINTS, with_points=False)
    assert "not the five points" in fault(insight.open_insight, pack).problem


def test_fer_build_yaml_names_the_detector_and_its_folder(pack: Path, tmp_path: Path) -> None:
    config = tmp_path / "fer-build.yaml"
    config.write_text(f"detector: insightface\nmodels: {{insightface: {pack}}}\n")
    settings = read_settings(config)
    assert nets.sums(settings, nets.names_of(settings))["insightface"] == file_sha256(pack / "det_x.onnx")
    told = fault(nets.fitting_calibration, settings)
    assert told.problem.startswith("was not made with insightface, which is in use")
    pytest.importorskip("insightface")
    assert nets.finder(nets.some_of(settings, ["insightface"])).name == "insightface"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("detector: insightfase\n", "no detector is called 'insightfase' .did you mean 'insightface'"),
        ("detector: insightface\n", "works with a model pack of your own .*nothing is downloaded"),
        ("models: {insigtface: x}\n", "unknown model 'insigtface' .did you mean 'insightface'"),
    ],
)
def test_a_slip_in_the_configuration_is_named(text: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "fer-build.yaml").write_text(text)
    with pytest.raises(FerError, match=problem):
        read_settings(tmp_path / "fer-build.yaml")
