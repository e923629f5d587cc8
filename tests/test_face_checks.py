"""The checks of filters/face.py: what each drops, at which threshold, and what it has to be given for that."""

from __future__ import annotations

import inspect

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferbuild.builders import assets
from ferbuild.builders.errors import FerError
from ferbuild.builders.images import Pixels, decode
from ferbuild.builders.reasons import PICTURES
from ferbuild.filters import bind, face

FOUND = {"faces_found": 1, "second_face": None, "det_score": 0.8, "yaw": 10.0, "pitch": -5.0, "roll": 3.0}


def row(pixels: Pixels | None = None, **values: object) -> dict[str, object]:
    picture = np.zeros((60, 50, 3), np.uint8) if pixels is None else pixels
    size = {"pixels": picture, "height": picture.shape[0], "width": picture.shape[1]}
    return size | FOUND | values


def reasons(spec: bind.Spec, *rows: dict[str, object]) -> list[str | None]:
    [check] = bind.bind(face, [spec])
    return [check.check(one) for one in rows]


def test_size_and_shape() -> None:
    small, long = row(np.zeros((15, 90, 3), np.uint8)), row(np.zeros((20, 81, 3), np.uint8))
    assert reasons("too_small", small, long) == ["too small", None]
    assert reasons("extreme_aspect", row(), long) == [None, "extreme aspect"]
    assert reasons({"extreme_aspect": {"ratio": 4.05}}, long) == [None]


def test_blank_is_a_picture_of_one_grey() -> None:
    halves = np.full((40, 40, 3), 100, np.uint8)
    halves[:20] = 103  # a standard deviation of 1.5 grey levels
    assert reasons("blank", row(), row(halves)) == ["blank", "blank"]
    assert reasons({"blank": {"deviation": 1.4}}, row(halves)) == [None]
    coloured = np.zeros((40, 40, 3), np.uint8)
    coloured[:20] = (200, 0, 0)
    assert reasons("blank", row(coloured)) == [None]


def test_faces_are_counted_only_where_somebody_looked() -> None:
    none, nobody = row(faces_found=0, det_score=None), row(faces_found=None, det_score=None)
    assert reasons("no_face", row(), none, nobody) == [None, "no face", None]
    assert reasons({"no_face": {"score": 0.81}}, row(), row(det_score=0.82), none) == ["no face", None, "no face"]
    two = [row(faces_found=2, second_face=weight) for weight in (0.49, 0.5)]
    assert reasons("several_faces", *two, row(), nobody) == [None, "several faces", None, None]
    assert reasons({"several_faces": {"weight": 0.1}}, *two) == ["several faces"] * 2


@pytest.mark.parametrize("angle", ["yaw", "pitch", "roll"])
def test_a_pose_is_extreme_either_way(angle: str) -> None:
    turned = [row(**{angle: degrees}) for degrees in (-61.0, -44.0, 44.0, 61.0, None)]
    assert reasons("extreme_pose", *turned) == ["extreme pose", None, None, "extreme pose", None]
    assert reasons({"extreme_pose": {angle: 40.0}}, *turned) == ["extreme pose"] * 4 + [None]


def crops() -> list[Pixels]:
    whole = [decode(assets.fetch(name).read_bytes(), max_pixels=10**6) for name in ("astronaut", "grace_hopper")]
    return [np.ascontiguousarray(whole[0][40:200, 150:310]), np.ascontiguousarray(whole[1][110:350, 145:385])]


def sized(rgb: Pixels, side: int) -> Pixels:
    how = cv2.INTER_AREA if side < rgb.shape[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rgb, (side, side), interpolation=how))


@pytest.mark.network
@pytest.mark.parametrize("at", [0, 1])
def test_a_face_that_was_enlarged_is_judged_as_the_small_one(at: int) -> None:
    rgb = crops()[at]
    small = sized(rgb, 48)
    sharp = [rgb, sized(rgb, 100), small, sized(small, 224), sized(rgb, 25)]
    soft = [cv2.GaussianBlur(small, (0, 0), 1.6), sized(cv2.GaussianBlur(small, (0, 0), 1.6), 224), sized(rgb, 8)]
    soft += [cv2.GaussianBlur(sized(rgb, 224), (0, 0), 9), sized(cv2.GaussianBlur(sized(rgb, 224), (0, 0), 9), 48)]
    assert reasons("blurred", *map(row, sharp), *map(row, soft)) == [None] * 5 + ["blurred"] * 5
    assert reasons({"blurred": {"sharpness": 0.0}}, *map(row, soft)) == [None] * 5


@pytest.mark.network
def test_sharpness_does_not_depend_on_light() -> None:
    for rgb in crops():
        dark = (rgb * 0.3 + 20).astype(np.uint8)
        assert face._sharpness(dark) == pytest.approx(face._sharpness(rgb), rel=0.1)


@given(st.tuples(st.integers(1, 5000), st.integers(1, 40)), st.booleans(), st.integers(0, 2**32 - 1))
def test_no_picture_is_too_odd_for_a_check(shape: tuple[int, int], turned: bool, seed: int) -> None:
    rgb = np.random.default_rng(seed).integers(0, 256, (*(shape[::-1] if turned else shape), 3), np.uint8)
    known = set(PICTURES) | {None}
    for name in bind.checks_of(face):
        assert set(reasons(name, row(rgb))) <= known


def test_a_check_says_what_it_needs_and_every_threshold_is_an_option() -> None:
    known = bind.checks_of(face)
    assert set(known) == {
        "blank", "blurred", "extreme_aspect", "extreme_pose", "no_face", "several_faces", "too_small",
    }  # fmt: skip
    for check in known.values():
        _, *options = inspect.signature(check).parameters.values()
        assert options and all(one.kind is one.KEYWORD_ONLY and one.default is not one.empty for one in options)
    assert bind.needed(face, ["too_small", "blank", "blurred", "extreme_aspect"]) == set()
    assert bind.needed(face, ["blank", {"no_face": {}}, "several_faces"]) == {"faces"}
    assert bind.needed(face, ["extreme_pose", "no_face"]) == {"faces", "pose"}
    with pytest.raises(FerError, match="did you mean 'no_face'"):
        bind.needed(face, ["no_faces"])
