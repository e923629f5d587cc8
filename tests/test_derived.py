"""Whether one picture was made of another one by coding it anew: what is seen of it, and what is not taken for it."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ferbuild.builders import compared, derived, same


def face(number: int, side: int = 48) -> np.ndarray:
    """Return grey blobs with grain, neither black nor white."""
    rng = np.random.default_rng(number)
    total = rng.normal(0, 4, (side, side)).astype(np.float32)
    for cells, amount in ((4, 40), (8, 25), (20, 10)):
        noise = rng.normal(0, amount, (cells, cells)).astype(np.float32)
        total += cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC)
    return np.clip(total * 0.6 + 125, 5, 250).astype(np.uint8)


def saved(picture: np.ndarray, quality: int, **options) -> np.ndarray:
    """Return what Pillow reads of what it saved."""
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=quality, **options)
    return np.asarray(Image.open(out).convert("L"))


def smaller(picture: np.ndarray, side: int, how: Image.Resampling = Image.Resampling.LANCZOS) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize((side, side), how))


def blinked(picture: np.ndarray, by: int) -> np.ndarray:
    """Return a picture that differs by so many grey levels in a place of a ninth of the side."""
    place = np.zeros(picture.shape, np.float32)
    third = picture.shape[0] // 3
    place[third : third + third // 3, third : third + third // 3] = by
    moved = picture + cv2.GaussianBlur(place, (0, 0), 1.0)
    return np.clip(np.rint(moved), 0, 255).astype(np.uint8)


def made(copies: list[np.ndarray], originals: list[np.ndarray]) -> list[bool]:
    return derived.made_of(np.stack(copies), np.stack(originals)).surely.tolist()


@pytest.mark.parametrize("quality", [20, 30, 50, 60, 75, 90, 95])
def test_a_picture_coded_anew_was_made_of_it(quality):
    originals = [face(n) for n in range(20)]
    assert sum(made([saved(x, quality) for x in originals], originals)) >= 19
    assert not any(made([saved(x, quality) for x in originals], [*originals[1:], originals[0]]))


@pytest.mark.parametrize("quality", [30, 60, 90])
def test_coding_does_not_hide_that_one_place_differs(quality):
    """10 grey levels in a place of 5 px: half of what JPEG 30 changes elsewhere."""
    originals = [face(n) for n in range(20)]
    others = [blinked(x, 10) for x in originals]
    copies = [saved(x, quality) for x in originals]
    assert np.abs(np.stack(others).astype(int) - originals).max() == 10
    assert quality > 30 or np.abs(np.stack(copies).astype(int) - originals).max() >= 20
    assert sum(made(copies, others)) == 0


def test_what_was_coded_before_is_the_original_too():
    """A copy of a coded picture shows its own steps, the later ones."""
    originals = [saved(face(n), 85) for n in range(20)]
    assert sum(made([saved(x, 40) for x in originals], originals)) >= 19
    assert not any(made(originals, [saved(x, 40) for x in originals]))


@pytest.mark.parametrize(("first", "then"), [(30, 90), (60, 90), (90, 90), (75, 90), (92, 90), (95, 70)])
def test_what_was_coded_twice_likely_was_made_of_it(first, then):
    """By the coarser steps, which still show, or within wider ones."""
    originals = [face(n) for n in range(20)]
    copies = np.stack([saved(saved(x, first), then) for x in originals])
    assert derived.made_of(copies, np.stack(originals)).likely.sum() >= 19
    others = np.stack([blinked(x, 10) for x in originals])
    assert not derived.made_of(copies, others).likely.any()


@pytest.mark.parametrize("how", [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS])
@pytest.mark.parametrize(("side", "quality"), [(24, 90), (34, 85), (96, 92)])
def test_a_picture_resized_by_pillow_was_made_of_it(how, side, quality):
    originals = [face(n) for n in range(10)]
    copies = [saved(smaller(x, side, how), quality) for x in originals]
    assert sum(made(copies, originals)) >= 8
    assert not any(made(copies, [*originals[1:], originals[0]]))


@pytest.mark.parametrize("way", [cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC])
def test_a_picture_resized_by_opencv_was_made_of_it(way):
    originals = [face(n) for n in range(10)]
    assert sum(made([saved(cv2.resize(x, (24, 24), interpolation=way), 90) for x in originals], originals)) >= 9


def test_a_resized_picture_that_was_not_coded_was_made_of_it():
    originals = [face(n) for n in range(10)]
    copies = [smaller(x, 32) for x in originals]
    assert made(copies, originals) == [True] * 10
    assert not any(made(copies, [blinked(x, 40) for x in originals]))


def test_a_shift_is_not_seen():
    """The blocks lie elsewhere then: nothing is said, and nothing wrong."""
    originals = [face(n) for n in range(10)]
    assert not any(made([saved(np.roll(x, 1, axis=1), 90) for x in originals], originals))


def test_a_picture_of_which_coding_left_little_tells_nothing():
    originals = [face(n) for n in range(10)]
    assert not any(made([saved(x // 16 + 100, 10) for x in originals], [x // 16 + 100 for x in originals]))


def test_a_picture_that_is_clipped_tells_nothing():
    originals = [np.clip(face(n).astype(int) * 8 - 890, 0, 255).astype(np.uint8) for n in range(10)]
    assert all(((x == 0) | (x == 255)).mean() > 0.3 for x in originals)
    assert not any(made([saved(x, 60) for x in originals], originals))


@pytest.mark.parametrize("shape", [(7, 48), (48, 3), (1, 1)])
def test_a_picture_without_a_whole_block_tells_nothing(shape):
    assert made([np.full(shape, 90, np.uint8)], [face(1)]) == [False]
    assert derived.made_of(np.zeros((0, 48, 48), np.uint8), np.zeros((0, 48, 48), np.uint8)).likely.tolist() == []


@settings(max_examples=60, deadline=None)
@given(st.integers(15, 98))
def test_the_steps_are_those_of_libjpeg(quality):
    """Pillow says which steps it coded with."""
    out = io.BytesIO()
    Image.fromarray(face(3)).save(out, "JPEG", quality=quality)
    steps = derived._tables()[derived.QUALITIES.index(quality)]
    assert Image.open(out).quantization[0] == steps.astype(int).ravel().tolist()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(25, 92))
def test_a_coded_picture_shows_its_steps(number, quality):
    picture = saved(face(number), quality)[None]
    found = derived._steps(derived._coefficients(derived._blocks(picture)))[0]
    true = derived._tables()[derived.QUALITIES.index(quality)]
    assert np.abs(found[:4, :4] / true[:4, :4] - 1).max() < 0.1


# what is compared


def fetch(*pictures: np.ndarray):
    return lambda at: compared.pictures(pictures[row] for row in at)


def compare(one: np.ndarray, other: np.ndarray, *, mirrored: bool = False) -> compared.Compared:
    return compared.compare(np.array([0]), np.array([1]), np.array([mirrored]), fetch(one, other))


def test_which_was_made_of_which():
    picture = face(1)
    for pair, which in (
        ((picture, saved(picture, 40)), 1),
        ((saved(picture, 40), picture), -1),
        ((picture, face(2)), 0),
    ):
        found = compare(*pair)
        assert found.made.tolist() == [which]
        assert (found.score[0] == compared.SURELY) == (which != 0)


def test_a_mirrored_copy_was_made_of_it_too():
    picture = face(1)
    copy = saved(np.ascontiguousarray(picture[:, ::-1]), 40)
    assert compare(picture, copy, mirrored=True).made.tolist() == [1]
    assert compare(copy, picture, mirrored=True).made.tolist() == [-1]
    assert compare(picture, copy).made.tolist() == [0]


def test_large_pictures_are_compared_without():
    large = cv2.resize(face(1, 64), (200, 200), interpolation=cv2.INTER_CUBIC)
    assert compared.pictures([large, face(1)]).whole[0] is None
    found = compare(large, saved(large, 40))
    assert (found.made.tolist(), found.small.tolist()) == ([0], [False]) and found.score[0] >= same.SAME_FROM


def test_small_is_what_is_smaller_than_a_thumbnail():
    assert [compare(face(1, side), face(1, 100)).small[0] for side in (24, 63, 64, 100)] == [True, True, False, False]


def test_pairs_do_not_depend_on_the_others_in_their_batch():
    pictures = [face(n) for n in range(70)] + [saved(face(n), 40 + n % 50) for n in range(70)]
    i, j = np.arange(70), np.arange(70, 140)
    whole = compared.compare(i, j, np.zeros(70, np.bool_), fetch(*pictures))
    alone = [compare(pictures[n], pictures[70 + n]).made[0] for n in range(70)]
    assert whole.made.tolist() == alone and sum(alone) >= 66
