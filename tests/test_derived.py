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


def test_pictures_need_not_be_square():
    originals = [face(n)[:40] for n in range(10)]
    assert sum(made([saved(x, 50) for x in originals], originals)) >= 9
    copies = [np.asarray(Image.fromarray(x).resize((64, 56), Image.Resampling.BICUBIC)) for x in originals]
    assert sum(made([saved(x, 85) for x in copies], originals)) >= 8


def test_a_small_copy_of_a_large_original_was_made_of_it():
    originals = [face(n, 224) for n in range(10)]
    copies = [saved(smaller(x, 48), 50) for x in originals]
    assert sum(made(copies, originals)) >= 9
    found = compared.compare(np.arange(10), np.arange(10, 20), np.zeros(10, np.bool_), fetch(*originals, *copies))
    assert (found.made == 1).sum() >= 9 and found.small.all()


@pytest.mark.parametrize(("side", "quality"), [(48, 15), (48, 40), (100, 15), (100, 20), (128, 12), (128, 20)])
def test_another_moment_does_not_pass_for_coded_twice(side, quality):
    """However many blocks a picture has: what differs is in two or three of them."""
    originals = np.stack([face(n, side) for n in range(20)])
    others = np.stack([blinked(x, 24) for x in originals])
    found = derived.made_of(np.stack([saved(x, quality) for x in originals]), others)
    assert not found.likely.any()


def test_a_shift_is_not_seen():
    """The blocks lie elsewhere then: nothing is said, and nothing wrong."""
    originals = [face(n) for n in range(10)]
    assert not any(made([saved(np.roll(x, 1, axis=1), 90) for x in originals], originals))


def test_a_picture_of_which_coding_left_little_tells_nothing():
    """10 blocks of quality 50 and some are enough, of 20 one needs 25."""
    originals = [face(n, 40) for n in range(10)]
    for rows, quality, tells in ((16, 55, True), (8, 55, False), (40, 20, True), (24, 20, False)):
        some = [x[:rows] for x in originals]
        assert sum(made([saved(x, quality) for x in some], some)) >= 8 if tells else True
        assert tells or not any(made([saved(x, quality) for x in some], some))


def test_a_picture_that_is_clipped_tells_nothing():
    """Ten blocks of 144 are whole: enough for the coefficients, and less than half of the picture."""
    originals = [np.full((96, 96), 255, np.uint8) for _ in range(10)]
    for at, original in enumerate(originals):
        original[:16, :40] = face(at, 96)[:16, :40]
    copies = [saved(x, 60) for x in originals]
    assert not any(made(copies, originals))
    cut = [x[:32, :48] for x in originals]  # ten of 24
    assert not any(made([x[:32, :48] for x in copies], cut))
    assert sum(made([x[:16, :40] for x in copies], [x[:16, :40] for x in originals])) >= 8


def test_a_clipped_place_does_not_hide_that_the_rest_was_coded():
    originals = [face(n) for n in range(10)]
    for original in originals:
        original[24:40, 24:40] = 255
    copies = [saved(x, 60) for x in originals]
    assert sum(made(copies, originals)) >= 8
    assert not any(made(copies, [blinked(x, -24) for x in originals]))


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


def test_what_was_likely_made_of_it_scores_in_either_order():
    picture = face(1)
    copy = saved(saved(picture, 92), 90)
    for pair in ((picture, copy), (copy, picture)):
        found = compare(*pair)
        assert (found.made.tolist(), found.score.tolist()) == ([0], [np.float32(compared.LIKELY)])


def test_large_pictures_are_compared_without():
    large = cv2.resize(face(1, 64), (200, 200), interpolation=cv2.INTER_CUBIC)
    assert compared.pictures([cv2.resize(large, (257, 40)), face(1)]).whole[0] is None
    found = compare(large, saved(large, 40))
    assert (found.made.tolist(), found.small.tolist()) == ([0], [False]) and found.score[0] >= same.SAME_FROM


def test_small_is_what_is_smaller_than_a_thumbnail():
    for side, small in ((24, True), (63, True), (64, False), (100, False)):
        pair = face(1, side), face(1, 100)
        assert [compare(*some).small[0] for some in (pair, pair[::-1])] == [small, small]
    long = cv2.resize(face(1), (400, 40))
    assert compare(long, long).small[0]


def test_pairs_do_not_depend_on_the_others_in_their_batch():
    pictures = [face(n) for n in range(70)] + [saved(face(n), 40 + n % 50) for n in range(70)]
    pictures[5::9] = [smaller(picture, 32) for picture in pictures[5::9]]
    i, j, mirrored = np.arange(70), np.arange(70, 140), np.arange(70) % 5 == 0
    pictures[70::5] = [np.ascontiguousarray(picture[:, ::-1]) for picture in pictures[70::5]]
    whole = compared.compare(i, j, mirrored, fetch(*pictures))
    alone = [compare(pictures[n], pictures[70 + n], mirrored=bool(mirrored[n])) for n in range(70)]
    assert whole.made.tolist() == [one.made[0] for one in alone] and (whole.made != 0).sum() >= 40
    assert np.allclose(whole.score, [one.score[0] for one in alone], atol=1e-4)
