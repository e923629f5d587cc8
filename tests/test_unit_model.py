"""A user's action-unit net: its entry, its file, and numbers that are known because the net is."""

from __future__ import annotations

import json
import re
import sys
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from conftest import REPO
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_onnx import mean_net

from ferbuild.builders import picture_net, unit_model
from ferbuild.builders.align import TEMPLATE
from ferbuild.builders.config import read_settings
from ferbuild.builders.detect import Detection
from ferbuild.builders.errors import FerError
from ferbuild.builders.files import file_sha256
from ferbuild.builders.onnx_file import declared
from ferbuild.builders.unit_model import TAKEN, open_unit_model, read_unit_model
from ferbuild.manifests.load import check
from ferbuild.manifests.schema import UnitModelEntry

COLOUR = np.array([51, 102, 204])
"""In 0..1: .2, .4, .8."""
FLAT = np.tile(COLOUR.astype(np.uint8), (300, 300, 1))
FACE = Detection(0.9, (100, 100, 200, 200), (TEMPLATE + 100).astype(np.float32))
IDENTITY = [[1.0, 0, 0], [0, 1, 0], [0, 0, 1]]


def entry(**changes: Any) -> UnitModelEntry:
    data = {
        "name": "mine",
        "file": "net.onnx",
        "order": ["AU1", "AU12.left", "AU12.right"],
        "input": {"width": 32, "height": 32},
        "licence": "mine alone",
    }
    return check(data | changes, UnitModelEntry, "mine.yaml")


@pytest.fixture
def net(tmp_path):
    return mean_net(tmp_path / "net.onnx", IDENTITY)


def scores(path, rgb=FLAT, face=FACE, **changes: Any) -> list[float | None]:
    return list(open_unit_model(entry(**changes), path).score(rgb, face).values())


def test_a_score_is_what_the_net_computes(net):
    model = open_unit_model(entry(), net)
    assert (model.name, model.order) == ("mine", ("AU1", "AU12.left", "AU12.right"))
    assert model.sha256 == file_sha256(net)
    found = model.score(FLAT, FACE)
    assert list(found) == ["AU1", "AU12.left", "AU12.right"]
    assert list(found.values()) == pytest.approx([0.2, 0.4, 0.8], rel=2e-5)
    assert model.score(FLAT, FACE) == found


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"colour": "bgr"}, [0.8, 0.4, 0.2]),
        ({"scale": 1.0}, [51, 102, 204]),
        ({"mean": [0.5]}, [-0.3, -0.1, 0.3]),
        ({"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.25, 0.1]}, [0.2, 0.8, 5.0]),
        ({"mean": [104.0, 117.0, 124.0], "scale": 1.0, "colour": "bgr"}, [100, -15, -73]),
    ],
)
def test_pixels_are_scaled_as_the_entry_says(net, how, expected):
    assert scores(net, input={"width": 32, "height": 32, **how}) == pytest.approx(expected, rel=1e-5)


def test_a_grey_input(tmp_path):
    path = mean_net(tmp_path / "grey.onnx", [[2.0], [-1.0]], size=(48, 48))
    grey = round(0.299 * 51 + 0.587 * 102 + 0.114 * 204)
    how = {"width": 48, "height": 48, "colour": "grey", "scale": 1.0}
    assert scores(path, order=["AU4", "AU43"], input=how) == pytest.approx([2 * grey, -grey], rel=1e-6)


def test_sigmoid(tmp_path):
    path = mean_net(tmp_path / "logits.onnx", [[5.0, 0, 0], [0, -500, 0], [0, 0, 500]])
    low, high = 1 / (1 + np.exp(200)), 1.0
    assert scores(path, activation="sigmoid") == pytest.approx([1 / (1 + np.exp(-1)), low, high], abs=1e-7)
    assert scores(path) == pytest.approx([1, -200, 400], rel=1e-5)


def test_an_output_that_is_no_unit_is_left_out(net):
    model = open_unit_model(entry(order=["-", "AU25", "-"]), net)
    assert model.order == ("AU25",)
    assert model.score(FLAT, FACE) == {"AU25": pytest.approx(0.4, rel=2e-5)}


def test_the_box_is_cut_with_its_margin(net):
    white = np.zeros((300, 300, 3), np.uint8)
    white[100:200, 100:200] = 255
    for margin, share in ((0.0, 1.0), (0.5, 1 / 4), (1.0, 1 / 9)):
        found = scores(net, white, crop={"by": "box", "margin": margin})
        assert found == pytest.approx([share] * 3, abs=0.03)


def test_without_a_crop_the_whole_picture_is_taken(net):
    half = np.zeros((300, 200, 3), np.uint8)
    half[:150] = 255
    assert scores(net, half, crop="none") == pytest.approx([0.5] * 3, abs=0.01)
    assert scores(net, half, crop={"by": "none"}, input={"width": 32, "height": 32, "scale": 1.0})[0] > 100


def test_a_long_box_keeps_its_shape(tmp_path):
    path = mean_net(tmp_path / "wide.onnx", IDENTITY, size=(32, 64))
    white = np.zeros((300, 300, 3), np.uint8)
    white[100:200, 125:175] = 255
    face = FACE._replace(box=(125, 100, 175, 200))
    found = scores(path, white, face, crop={"by": "box"}, input={"width": 64, "height": 32})
    assert found == pytest.approx([1 / 4] * 3, abs=0.03)


def test_the_aligned_crop_follows_the_points(net):
    picture = np.zeros((300, 300, 3), np.uint8)
    cv2.rectangle(picture, (100, 100), (211, 211), (255, 255, 255), -1)
    assert scores(net, picture) == pytest.approx([1.0] * 3, abs=0.01)
    shifted = FACE._replace(points=FACE.points + np.float32([56, 0]))
    assert scores(net, picture, shifted) == pytest.approx([0.5] * 3, abs=0.02)
    assert scores(net, picture, crop={"margin": 0.5}) == pytest.approx([0.25] * 3, abs=0.02)


def test_numbers_that_are_none_are_null(tmp_path):
    path = mean_net(tmp_path / "log.onnx", [[1.0, 0, 0], [0, -1, 0], [0, 0, 0]], last=("Log",))
    assert scores(path) == [pytest.approx(np.log(0.2), rel=1e-5), None, None]


@pytest.mark.parametrize("crop", ["points", "box"])
def test_a_face_that_cannot_be_cut_out_has_no_scores(net, crop):
    nowhere = Detection(0.5, (7, 7, 7, 90), np.full((5, 2), 7, np.float32))
    assert scores(net, FLAT, nowhere, crop={"by": crop}) == [None] * 3


@pytest.mark.parametrize(
    ("changes", "problem", "hint"),
    [
        ({"order": ["AU1", "AU2"]}, "scores gives 3 numbers, `order` names 2", "one name a number"),
        ({"order": ["AU1", "AU2", "AU4", "AU5"]}, "gives 3 numbers, `order` names 4", "`-`"),
        ({"order": ["AU1", "AU2", "AU112"]}, "order: no unit 'AU112'", "did you mean 'AU12'"),
        ({"order": ["AU1", "AU2", "AU1.left"]}, "order: no unit 'AU1.left'", "`-` stands for"),
        ({"order": ["AU1", "AU4", "AU1"]}, "order: 'AU1' stands twice", "`-`"),
        *(({"name": name}, "a name of the tool's own", "another `name`") for name in TAKEN),
        ({"sha256": "0" * 64}, "has sha256", "correct `file` or `sha256`"),
        ({"output": "score"}, "has no output 'score'", "did you mean 'scores'"),
        ({"input": {"width": 112, "height": 112}}, r"takes picture \(1 x 3 x 32 x 32\)", "says 1 x 3 x 112 x 112"),
        ({"input": {"width": 32, "height": 32, "colour": "grey"}}, "takes picture", "says 1 x 1 x 32 x 32"),
        ({"input": {"width": 32, "height": 32, "mean": [0.1, 0.2]}}, "input.mean has 2 numbers", "one, or 3"),
        ({"input": {"width": 32, "height": 64}}, "an aligned face is square", "by: box"),
    ],
)
def test_an_entry_that_does_not_fit(net, changes, problem, hint):
    with pytest.raises(FerError, match=problem) as caught:
        open_unit_model(entry(**changes), net)
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "change",
    [
        {"activation": "softmax"},
        {"crop": {"by": "mesh"}},
        {"input": {"std": [0.0]}},
        {"input": {"width": 0}},
        {"order": []},
        {"sha256": "abc"},
        {"name": "a:b"},
        {"ordr": ["AU1"]},
    ],
)
def test_an_entry_is_checked_before_its_file(change):
    with pytest.raises(FerError, match=r"mine\.yaml"):
        entry(**change)


def test_files_that_are_no_onnx(tmp_path, net):
    for data in (b"", b"GIF89a" * 40, np.random.default_rng(1).bytes(5000), net.read_bytes()[:60]):
        path = tmp_path / "other.onnx"
        path.write_bytes(data)
        with pytest.raises(FerError, match="is no ONNX file"):
            open_unit_model(entry(), path)
    with pytest.raises(FerError, match="cannot be read"):
        open_unit_model(entry(), tmp_path / "absent.onnx")
    with pytest.raises(FerError, match="cannot be read"):
        open_unit_model(entry(), tmp_path)


@given(st.data())
@settings(max_examples=200)
def test_any_bytes_are_declared_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("onnx") / "any.onnx"
    whole = mean_net(path, IDENTITY).read_bytes()
    at = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:at] + data.draw(st.binary(max_size=8)) + whole[at + data.draw(st.integers(0, 3)) :])
    try:
        found = declared(path)
    except FerError:
        return
    assert all(isinstance(tensor.name, str) for tensor in (*found.inputs, *found.outputs))


def test_what_a_file_declares(tmp_path):
    path = mean_net(
        tmp_path / "a.onnx", IDENTITY, size=("h", "w"), batch="n", outputs=("scores", "minus"), weights_as_input=True
    )
    found = declared(path)
    assert [str(one) for one in found.inputs] == ["picture (any x 3 x any x any)"]
    assert [str(one) for one in found.outputs] == ["scores (any x 3)", "minus (any x 3)"]


def test_of_several_outputs_one_is_named(tmp_path, monkeypatch):
    path = mean_net(tmp_path / "two.onnx", IDENTITY, outputs=("scores", "minus"))
    with pytest.raises(FerError, match="has 2 outputs") as caught:
        open_unit_model(entry(), path)
    assert caught.value.hint == "name one as `output`: scores (1 x 3), minus (1 x 3)"
    for engine in (cv2.dnn.ENGINE_NEW, cv2.dnn.ENGINE_CLASSIC):
        monkeypatch.setattr(cv2.dnn, "ENGINE_NEW", engine)
        assert scores(path, output="scores") == pytest.approx([0.2, 0.4, 0.8], rel=2e-5)
        assert scores(path, output="minus") == pytest.approx([-0.2, -0.4, -0.8], rel=2e-5)


def test_more_than_a_picture_is_refused(tmp_path):
    path = mean_net(tmp_path / "aged.onnx", IDENTITY, second_input=True)
    with pytest.raises(FerError, match="takes 2 inputs, not one picture") as caught:
        open_unit_model(entry(), path)
    assert caught.value.hint == "it takes picture (1 x 3 x 32 x 32), age (1)"


def refusing(engines, monkeypatch):
    """Make OpenCV refuse some engines, and tell which were tried."""
    tried = []
    real = picture_net._opencv

    def opencv(path, output, engine):
        tried.append(engine)
        if engine in engines:
            raise cv2.error("OpenCV(5) x.cpp:1: error: (-213) no such layer\n")
        return real(path, output, engine)

    monkeypatch.setattr(picture_net, "_opencv", opencv)
    return tried


def test_the_older_engine_is_tried_next(net, monkeypatch):
    tried = refusing([cv2.dnn.ENGINE_NEW], monkeypatch)
    assert scores(net) == pytest.approx([0.2, 0.4, 0.8], rel=2e-5)
    assert tried == [cv2.dnn.ENGINE_NEW, cv2.dnn.ENGINE_CLASSIC]


def test_without_onnxruntime_the_error_says_what_to_install(net, monkeypatch):
    refusing([cv2.dnn.ENGINE_NEW, cv2.dnn.ENGINE_CLASSIC], monkeypatch)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(FerError, match=r"OpenCV cannot run it: \(-213\) no such layer") as caught:
        open_unit_model(entry(), net)
    assert caught.value.hint == "pip install onnxruntime"


class Session:
    """Stands in for onnxruntime's: gives ten times the channel means."""

    def __init__(self, path, options, providers):
        assert providers == ["CPUExecutionProvider"] and options.intra_op_num_threads == 1
        if "broken" in path:
            raise RuntimeError("no kernel")

    def run(self, names, feeds):
        assert names == ["scores"] and list(feeds) == ["picture"]
        return [10 * feeds["picture"].mean((2, 3))]


def test_onnxruntime_takes_what_opencv_cannot(net, monkeypatch):
    refusing([cv2.dnn.ENGINE_NEW, cv2.dnn.ENGINE_CLASSIC], monkeypatch)
    runtime = SimpleNamespace(SessionOptions=SimpleNamespace, InferenceSession=Session)
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    assert scores(net) == pytest.approx([2, 4, 8], rel=1e-5)
    broken = net.rename(net.with_name("broken.onnx"))
    with pytest.raises(FerError, match="neither OpenCV nor onnxruntime can run it: no kernel") as caught:
        open_unit_model(entry(), broken)
    assert caught.value.hint == "OpenCV says: (-213) no such layer"


def test_the_real_onnxruntime_agrees(net, monkeypatch):
    pytest.importorskip("onnxruntime")
    by_opencv = scores(net)
    refusing([cv2.dnn.ENGINE_NEW, cv2.dnn.ENGINE_CLASSIC], monkeypatch)
    assert scores(net) == pytest.approx(by_opencv, rel=2e-5)


def test_the_entry_of_the_configuration(tmp_path, monkeypatch):
    (tmp_path / "nets").mkdir()
    path = mean_net(tmp_path / "nets/au.onnx", IDENTITY)
    text = "file: au.onnx\norder: [AU1, AU2, AU4]\ninput: {width: 32, height: 32}\nlicence: MIT\n"
    (tmp_path / "nets/my_au.yaml").write_text(f"{text}sha256: {file_sha256(path)}\n")
    (tmp_path / "fer-build.yaml").write_text("unit_model: nets/my_au.yaml\n")
    found = read_settings(tmp_path / "fer-build.yaml").unit_model
    assert found == tmp_path / "nets/my_au.yaml"
    model = read_unit_model(found)
    assert model.name == "my_au"
    assert model.score(FLAT, FACE) == pytest.approx({"AU1": 0.2, "AU2": 0.4, "AU4": 0.8}, rel=2e-5)
    (tmp_path / "fer-build.yaml").write_text("{}\n")
    assert read_settings(tmp_path / "fer-build.yaml").unit_model is None
    with pytest.raises(FerError, match="cannot be read"):
        read_unit_model(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        ("~nosuchuser/x.onnx", "no such user"),
        ("a\0b.onnx", "no file can have this name"),
    ],
)
def test_a_file_that_cannot_be_named_is_refused(tmp_path, file, problem):
    text = {"file": file, "order": ["AU1"], "licence": "MIT"}
    (tmp_path / "mine.yaml").write_text(json.dumps(text))
    with pytest.raises(FerError, match=problem):
        read_unit_model(tmp_path / "mine.yaml")


def test_names_of_the_tools_own_are_taken():
    assert set(TAKEN) == {"geometry", "centerface", "face_mesh", "insightface"}


def test_the_documented_entry_is_one():
    text = (REPO / "docs/configuration.md").read_text()
    block = re.search(r"```yaml\n# my_au\.yaml\n(.*?)```", text, re.DOTALL)[1]
    found = check(yaml.safe_load(block), UnitModelEntry, "docs")
    assert set(yaml.safe_load(block)) == set(UnitModelEntry.model_fields) - {"about"}
    unit_model._check_entry(found)
