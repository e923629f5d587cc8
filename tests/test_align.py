"""Faces brought onto the template: the map is the best similarity, and the crop holds what it should."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferbuild.builders.align import TEMPLATE, align, similarity, template

NUMBERS = st.floats(-200, 200, allow_nan=False, width=32)
FIVE = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=5, max_size=5).map(np.array)


def applied(matrix, points):
    return points @ matrix[:, :2].T + matrix[:, 2]


def distance(matrix, points, targets):
    return float(np.sum((applied(matrix, points) - targets) ** 2))


@given(FIVE.filter(lambda points: np.sqrt(points.var(0).sum()) >= 1))
def test_no_other_similarity_is_nearer(points):
    x, y = points.T
    one, none = np.ones(5), np.zeros(5)
    rows = np.concatenate([np.column_stack([x, -y, one, none]), np.column_stack([y, x, none, one])])
    a, b, shift_x, shift_y = np.linalg.lstsq(rows, TEMPLATE.T.ravel(), rcond=None)[0]
    best = distance(np.array([[a, -b, shift_x], [b, a, shift_y]]), points, TEMPLATE)
    found = similarity(points, TEMPLATE)
    assert distance(found, points, TEMPLATE) <= best + 1e-6 * max(1, best)
    assert found[0, 0] == pytest.approx(found[1, 1]) and found[0, 1] == pytest.approx(-found[1, 0])


@given(st.floats(-np.pi, np.pi), st.floats(0.1, 20), NUMBERS, NUMBERS)
def test_a_turned_template_comes_back(angle, scale, x, y):
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = TEMPLATE @ turn.T + (x, y)
    assert np.allclose(applied(similarity(points, TEMPLATE), points), TEMPLATE, atol=1e-6)


def test_a_mirrored_face_is_not_mirrored_back():
    matrix = similarity(TEMPLATE * (-1, 1), TEMPLATE)
    assert np.linalg.det(matrix[:, :2]) >= 0


@pytest.mark.parametrize("points", [np.zeros((5, 2)), np.full((5, 2), 7.1), np.full((5, 2), np.nan), TEMPLATE * np.inf])
def test_points_without_direction(points):
    with np.errstate(invalid="ignore"), pytest.raises(ValueError, match="no direction"):
        similarity(points.astype(np.float32), TEMPLATE)


def test_the_template_grows_with_the_side_and_shrinks_with_the_margin():
    assert np.allclose(template(112), TEMPLATE)
    assert np.allclose(template(224), TEMPLATE * 2)
    assert np.allclose(template(112, margin=0.5), 56 + (TEMPLATE - 56) / 2)


@pytest.mark.parametrize(("side", "margin"), [(112, 0.0), (224, 0.0), (64, 0.25)])
def test_the_points_land_on_the_template(side, margin):
    """Five dots drawn on a turned face come out where the template says."""
    turn = cv2.getRotationMatrix2D((150.0, 150.0), 25, 1.4)
    points = (applied(turn, TEMPLATE + 90)).astype(np.float32)
    picture = np.zeros((320, 320, 3), np.uint8)
    for x, y in points:
        cv2.circle(picture, (round(float(x) * 16), round(float(y) * 16)), 3 * 16, (255, 255, 255), -1, cv2.LINE_AA, 4)
    crop = align(picture, points, side, margin=margin)
    assert crop.shape == (side, side, 3) and crop.dtype == np.uint8
    for x, y in template(side, margin=margin):
        around = crop[round(y) - 3 : round(y) + 4, round(x) - 3 : round(x) + 4, 0].astype(float)
        ys, xs = np.mgrid[-3:4, -3:4]
        centre = np.array([(xs * around).sum(), (ys * around).sum()]) / around.sum() + (round(x), round(y))
        assert np.hypot(*(centre - (x, y))) < 0.6
    assert (crop > 128).mean() < 0.1


def test_what_lies_outside_is_black():
    crop = align(np.full((112, 112, 3), 255, np.uint8), (TEMPLATE - (56, 0)).astype(np.float32), 112)
    assert crop[:, :55].max() == 0 and crop[:, 57:].min() == 255


def test_the_crop_is_the_one_of_insightface():
    face_align = pytest.importorskip("insightface.utils.face_align")
    points = (TEMPLATE @ np.array([[1.1, 0.3], [-0.3, 1.1]]) + (20, 40)).astype(np.float32)
    points += np.random.default_rng(3).normal(0, 2, (5, 2)).astype(np.float32)
    assert np.allclose(similarity(points, TEMPLATE), face_align.estimate_norm(points, 112), atol=1e-4)
    picture = np.random.default_rng(4).integers(0, 256, (260, 260, 3), np.uint8)
    other = face_align.norm_crop(picture, points, 112)
    assert np.mean(align(picture, points, 112) != other) < 0.01  # noise shows the last digits of the map
