"""What a model gets to see: the file's own bytes, or a small picture enlarged by the one policy."""

from __future__ import annotations

import cv2
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferbuild.builders.images import decode
from ferbuild.builders.record import IMAGE
from ferbuild.builders.shown import as_shown, enlarged, image_shown, shown, shown_size
from ferbuild.manifests.recipe import Picture

SMALL = cv2.imencode(".png", np.random.default_rng(0).integers(0, 255, (48, 60, 3), np.uint8))[1].tobytes()


def test_nothing_is_touched_where_the_policy_enlarges_nothing() -> None:
    column = pa.array([{"bytes": SMALL, "path": "a.png"}], IMAGE)
    assert shown(SMALL, Picture()) is SMALL
    assert as_shown(column, Picture()) is column
    assert enlarged(Picture()) == {}


def test_a_small_picture_is_enlarged_and_a_large_one_left() -> None:
    policy = Picture(enlarge_to=96)
    found = decode(shown(SMALL, policy), max_pixels=10**6)
    assert found.shape == (96, 120, 3)
    large = shown(SMALL, policy)
    assert shown(large, policy) is large
    assert image_shown({"bytes": SMALL, "path": "deep/a.png"}, policy) == {"bytes": large, "path": "deep/a.jpeg"}
    assert image_shown(None, policy) is None


def test_the_policy_enters_the_key_of_what_shows_pictures() -> None:
    assert enlarged(Picture(enlarge_to=96)) != enlarged(Picture(enlarge_to=96, crop_quality=80)) != {}


@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(0, 2048))
def test_the_shorter_side_is_never_less_and_nothing_shrinks(width: int, height: int, least: int) -> None:
    size = shown_size(width, height, Picture(enlarge_to=least))
    assert min(size) == max(least, min(width, height))
    assert size[0] >= width and size[1] >= height
    assert max(size) / min(size) == pytest.approx(max(width, height) / min(width, height), abs=1 / min(size))
