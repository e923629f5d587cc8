"""Pictures that nobody may judge, from pixels to verdict: a profile, two faces, a tiny face, a covered one, none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ferbuild.builders.images import Pixels
from ferbuild.builders.measures import measure_pixels
from ferbuild.builders.nets import SHIPPED, opened
from ferbuild.builders.render.draw import draw, draw_at
from ferbuild.builders.render.head import load_head
from ferbuild.builders.render.picture import render
from ferbuild.builders.render.scene import Pose, View
from ferbuild.filters.grounding import check_claims, read_claims
from ferbuild.filters.units import judge
from ferbuild.manifests.load import load_calibration

pytestmark = pytest.mark.network

TEXT = "The lip corners are pulled up and the jaw is dropped."


def smile(yaw: float = 0.0, *, size: int = 224) -> Pixels:
    scene = draw(draw_at(4, 2), asked={"AU12": 1.0, "AU27": 0.8}, pose=Pose(yaw, 0, 0), calm=True)
    return render(load_head(), scene, width=size, height=size).rgb


def side_by_side() -> Pixels:
    return np.ascontiguousarray(np.concatenate([smile(), smile()[:, ::-1]], 1))


def tiny(pixels: int) -> Pixels:
    """A face of so many pixels in a picture of 224."""
    scene = draw(draw_at(4, 2), asked={"AU12": 1.0}, pose=Pose(0, 0, 0), calm=True)
    small = render(load_head(), scene, width=224, height=224).rgb
    whole = np.full((224, 224, 3), 128, np.uint8)
    whole[100 : 100 + pixels, 100 : 100 + pixels] = cv2.resize(small, (pixels, pixels), interpolation=cv2.INTER_AREA)
    return whole


def in_view(eye_distance: float) -> Pixels:
    scene = draw(draw_at(4, 2), asked={"AU12": 1.0}, pose=Pose(0, 0, 0), framing=View(eye_distance, 0.5, 0.4))
    return render(load_head(), scene, width=320, height=320).rgb


def why(rgb: Pixels) -> set[str]:
    """Return the reasons for which the two claims of TEXT are not judged; the verdict where one is."""
    found = check_claims(read_claims(TEXT), judge(measure_pixels(rgb, opened(SHIPPED)), load_calibration()))
    assert len(found) == 2
    return {one.why or one.verdict for one in found}


@pytest.mark.parametrize("yaw", [-90, -70, 70, 90])
def test_a_profile(yaw: int) -> None:
    assert why(smile(yaw)) <= {"turned", "not measured"}


def test_two_faces() -> None:
    measured = measure_pixels(side_by_side(), opened(SHIPPED))
    assert measured["faces_found"] == 2 and measured["second_face"] > 0.5
    assert why(side_by_side()) == {"several faces"}


@pytest.mark.parametrize("pixels", [12, 16, 20])
def test_a_tiny_face(pixels: int) -> None:
    assert why(tiny(pixels)) <= {"too small", "not measured"}


def test_no_face() -> None:
    assert why(np.full((224, 224, 3), 90, np.uint8)) == {"not measured"}


def test_half_a_face_hidden() -> None:
    """What covers a face is not measured: only that nothing breaks, and that a verdict is a verdict."""
    covered = smile().copy()
    covered[120:] = 30
    assert why(covered) <= {"turned", "not measured", "unclear", "not calibrated", "supported", "contradicted"}


def test_a_plain_smile_is_judged_all_the_same() -> None:
    assert "supported" in why(smile())


def test_a_face_in_a_view_is_judged_by_its_own_size() -> None:
    measured = measure_pixels(in_view(0.13), opened(SHIPPED))
    assert measured["eye_distance"] == pytest.approx(0.13 * 320, rel=0.15)
    assert {one.why for one in judge(measured, load_calibration()).values()} <= {"", "unclear", "not calibrated"}
