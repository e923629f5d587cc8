"""Near duplicates: what counts as one photograph, what is found, and how groups are made of pairs."""

from __future__ import annotations

from collections import Counter

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ferbuild.builders import cells, compared, contested, groups, hashing, near, overlay, probing, same
from ferbuild.builders.render.draw import draw, draw_at
from ferbuild.builders.render.head import load_head
from ferbuild.builders.render.picture import render
from ferbuild.builders.render.scene import with_unit

SIZE = 160


def photo(number: int, size: int = SIZE) -> np.ndarray:
    """Return smooth blobs under fine grain, RGB: as rich in detail as a face, and cheap."""
    rng = np.random.default_rng(number)
    total = np.zeros((size, size, 3), np.float32)
    for cells_, amount in ((5, 60), (10, 45), (20, 25), (40, 10)):
        noise = rng.normal(0, amount, (cells_, cells_, 1)).astype(np.float32) * np.ones(3, np.float32)
        total += cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.clip(total + 120, 0, 255).astype(np.uint8)


def jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(data, cv2.IMREAD_COLOR)


def resized(picture: np.ndarray, side: int) -> np.ndarray:
    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)


def new_crop(picture: np.ndarray, shift: float, scale: float, turn: float, size: int = 96) -> np.ndarray:
    middle = picture.shape[0] / 2
    matrix = cv2.getRotationMatrix2D((middle, middle), turn, scale * size / (0.75 * picture.shape[0]))
    matrix[:, 2] += size / 2 - middle + shift * size
    return cv2.warpAffine(picture, matrix, (size, size), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT)


CROP = (0.0, 1.0, 0.0)
CHANGES = {
    "JPEG 30": lambda x: jpeg(x, 30),
    "half size": lambda x: resized(x, 48),
    "double size": lambda x: cv2.resize(x, (192, 192), interpolation=cv2.INTER_CUBIC),
    "brighter": lambda x: np.clip(x * 1.15 + 5, 0, 255).astype(np.uint8),
    "4 % cut": lambda x: np.ascontiguousarray(x[4:, :-4]),
    "shifted": lambda x: cv2.copyMakeBorder(x, 1, 0, 0, 1, cv2.BORDER_REPLICATE)[:-1, 1:],
}


def hashed(pictures: list[np.ndarray]) -> hashing.Columns:
    return hashing.hash_many(pictures)


def found(pictures: list[np.ndarray], **options) -> near.Pairs:
    return near.near_pairs(hashed(pictures), lambda at: compared.pictures(pictures[row] for row in at), **options)


def listed(pairs: near.Pairs) -> list[tuple[int, int, bool]]:
    return list(zip(pairs.i.tolist(), pairs.j.tolist(), pairs.mirrored.tolist(), strict=True))


# hashes


@settings(max_examples=40, deadline=None)
@given(st.integers(16, 210), st.integers(16, 210), st.integers(0, 9), st.booleans())
def test_a_mirrored_picture_has_the_mirrored_hashes(height, width, number, grey):
    picture = cv2.resize(photo(number), (width, height), interpolation=cv2.INTER_AREA)
    picture = picture[..., 0] if grey else picture
    flipped = hashed([np.ascontiguousarray(picture[:, ::-1])])
    turned = hashing.mirrored(hashed([picture]))
    assert [one.tolist() for one in flipped] == [one.tolist() for one in turned]


def test_many_are_hashed_as_one_by_one():
    pictures = [resized(photo(n), side) for n, side in enumerate((48, 100, 48, 131, 224, 48))]
    one_by_one = hashing.columns(map(hashing.hash_pixels, pictures))
    assert all(np.array_equal(one, other) for one, other in zip(hashed(pictures), one_by_one, strict=True))
    assert [one.shape for one in hashed([])] == [(0,), (0, 32), (0, 64)]


def test_a_grey_picture_is_hashed_as_its_rgb():
    picture = resized(photo(1), 48)[..., 1]
    assert hashing.hash_pixels(picture) == hashing.hash_pixels(np.repeat(picture[..., None], 3, axis=2))


def test_the_hashes_are_these_on_every_machine():
    rows, columns = np.mgrid[0:48, 0:60]
    picture = ((rows * 7 + columns * 11 + rows * columns) % 251).astype(np.uint8)
    one = hashing.hash_pixels(picture)
    assert f"{one.hash64:016x}" == HASH64
    assert one.hash256.hex()[:16] == HASH256
    assert list(one.descriptor[:6]) == DESCRIPTOR


HASH64 = "0001000003032787"
HASH256 = "000a01ad000000bf"
DESCRIPTOR = [255, 254, 249, 247, 236, 246]


def test_cosines_are_whole_and_alternate_under_mirroring():
    for side in (1, 2, 47, 48, 223):
        table = hashing.cosines(side)
        assert np.array_equal(table, np.rint(table)) and np.abs(table).max() <= hashing.TABLE
        assert np.array_equal(table[:, ::-1], table * (-1.0) ** np.arange(hashing.ACROSS)[:, None])


def test_a_blank_picture_has_no_contrast():
    contrast = [row[63] for row in hashed([np.full((48, 48), 90, np.uint8), photo(1)]).descriptor]
    assert contrast[0] < hashing.FLAT < contrast[1]


def test_a_moved_descriptor_is_nearer_to_the_new_crop():
    large = photo(3)
    one, other = (hashed([new_crop(large, *crop)]).descriptor[:, :63].astype(float) for crop in (CROP, (0.05, 1, 0)))
    still = (probing.windows(one, probing.Move()) * probing.windows(other, probing.Move())).sum()
    moved = (probing.windows(one, probing.Move(-0.05, -0.05)) * probing.windows(other, probing.Move())).sum()
    assert moved > 0.95 > still


# one photograph or two


@pytest.mark.parametrize("change", CHANGES)
def test_a_copy_is_the_same(change):
    pictures = [new_crop(photo(n), *CROP) for n in range(12)]
    thumbs = [np.array([same.thumbnail(x) for x in some]) for some in (pictures, list(map(CHANGES[change], pictures)))]
    assert (same.same(*thumbs) >= same.SAME_FROM).all()


@pytest.mark.parametrize("crop", [(0.05, 1.0, 0.0), (0.0, 1.1, 0.0), (0.01, 0.92, 0.0), (0.0, 1.0, 4.0)])
def test_a_new_crop_is_the_same(crop):
    one, other = (np.array([same.thumbnail(new_crop(photo(n), *c)) for n in range(12)]) for c in (CROP, crop))
    assert (same.same(one, other) >= same.SAME_FROM).all()


def test_other_photographs_and_blank_ones_are_not():
    thumbs = np.array([same.thumbnail(photo(n)) for n in range(12)] + [np.full((64, 64), 9, np.uint8)])
    assert (same.same(thumbs, np.roll(thumbs, 1, axis=0)) < same.SAME_FROM).all()
    assert same.same(thumbs[-1:], thumbs[-1:])[0] == 0


@pytest.mark.parametrize("unit", ["AU12", "AU26", "AU43"])
def test_one_person_with_another_expression_is_not(unit):
    head, scenes = load_head(), [with_unit(draw(draw_at(5, n), band="frontal"), unit, 0.0) for n in range(2)]
    pairs = [[render(head, one, width=100, height=100).rgb for one in (s, with_unit(s, unit, 0.9))] for s in scenes]
    thumbs = [np.array([same.thumbnail(pair[at]) for pair in pairs]) for at in (0, 1)]
    assert (same.same(*thumbs) < same.SAME_FROM).all()
    assert (same.same(thumbs[0], thumbs[0]) > 0.9).all()


@pytest.mark.parametrize("unit", ["AU12", "AU26"])
def test_strong_coding_of_a_small_picture_does_not_hide_an_expression(unit):
    head, scene = load_head(), with_unit(draw(draw_at(5, 2), band="frontal"), unit, 0.0)
    one, other = (resized(render(head, s, width=96, height=96).rgb, 48) for s in (scene, with_unit(scene, unit, 0.9)))
    thumbs = [np.array([same.thumbnail(x)]) for x in (one, jpeg(other, 30), jpeg(one, 60))]
    assert same.same(thumbs[0], thumbs[1])[0] < same.SAME_FROM <= same.same(thumbs[0], thumbs[2])[0]


def test_a_copy_with_a_clipped_colour_is_the_same():
    pictures = [np.clip(new_crop(photo(n), *CROP) * (1.2, 1.0, 0.9), 0, 255).astype(np.uint8) for n in range(6)]
    bright = [jpeg(np.clip(x * 1.2, 0, 255).astype(np.uint8), 90) for x in pictures]
    assert all((x == 255).mean() > 0.005 for x in bright)
    one, other = (np.array([same.thumbnail(x) for x in some]) for some in (pictures, bright))
    assert (same.same(one, other) >= same.SAME_FROM).all()


def test_what_moved_is_told_from_noise_of_the_same_strength():
    side, seen = same.SIDE, np.ones((2, same.SIDE, same.SIDE), np.float32)
    still = cv2.GaussianBlur(same.thumbnail(photo(1)).astype(np.float32), (0, 0), 1.6)
    part = np.zeros((side, side), np.float32)
    part[24:40, 24:40] = 1
    change = (np.roll(still, 1, axis=1) - still) * part
    noise = cv2.GaussianBlur(np.random.default_rng(0).normal(size=(side, side)).astype(np.float32), (0, 0), 1.6) * part
    noise *= np.sqrt((change**2).sum() / (noise**2).sum())
    grid = overlay.blurring(side, same.BROAD, same.BROADER)
    (found,) = overlay.moved(np.stack([still + change, still + noise]), np.stack([still] * 2), seen, [grid], same.SEEN)
    assert found[0] > 3 * found[1] > 0
    (nothing,) = overlay.moved(np.stack([still] * 2), np.stack([still] * 2), seen, [grid], same.SEEN)
    assert (nothing == 0).all()


def test_pairs_do_not_depend_on_the_others_in_their_batch():
    one = np.array([same.thumbnail(photo(n)) for n in range(70)])
    other = np.array([same.thumbnail(jpeg(photo(n), 40)) for n in range(70)])
    alone = np.concatenate([same.same(one[[n]], other[[n]]) for n in (0, 40, 69)])
    assert np.allclose(same.same(one, other)[[0, 40, 69]], alone, atol=1e-4)


# search


@pytest.fixture(scope="module")
def crowd() -> list[np.ndarray]:
    """200 photographs; then of the first six a copy by every change, of the next four a new crop, of two a mirror."""
    firsts = [new_crop(photo(n), *CROP) for n in range(200)]
    copies = [change(firsts[n]) for n, change in enumerate(CHANGES.values())]
    crops = ((0.05, 1, 0), (0, 1.1, 0), (0.01, 0.92, 0), (0, 1, 4))
    again = [new_crop(photo(6 + n), *crop) for n, crop in enumerate(crops)]
    mirrors = [np.ascontiguousarray(jpeg(firsts[10 + n], 60)[:, ::-1]) for n in range(2)]
    return [*firsts, *copies, *again, *mirrors]


def test_copies_new_crops_and_mirrors_are_found_and_nothing_else(crowd):
    pairs = found(crowd)
    assert listed(pairs) == [(n, 200 + n, n >= 10) for n in range(12)]
    assert pairs.cut == 0 and pairs.candidates >= 12 and (pairs.score >= same.SAME_FROM).all()


def test_workers_change_nothing(crowd):
    one, other = found(crowd), found(crowd, workers=3)
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_progress_ends_at_the_number_of_candidates(crowd):
    ticks = []
    pairs = found(crowd, tick=lambda done, total: ticks.append((done, total)))
    assert ticks[-1] == (pairs.candidates, pairs.candidates)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_pictures(count):
    assert listed(found([photo(1)] * count)) == [(0, 1, False)] * (count == 2)


def test_thousands_of_blank_and_equal_pictures_cost_nothing(crowd):
    blank = [np.full((48, 48), 200, np.uint8)] * 3000
    pairs = found([*crowd[:50], *blank, *[crowd[0]] * 300])
    assert pairs.candidates < 3500
    assert listed(pairs) == [(0, 3050 + n, False) for n in range(300)]


def test_a_crowd_that_looks_alike_is_cut_and_counted_but_held_together():
    rng = np.random.default_rng(0)
    keys = np.zeros((300, probing.DIMS), np.int8)
    keys[:, 0] = probing.LENGTH
    keys[:, 1] = rng.integers(-9, 10, 300)
    at = cells.look(cells.build(keys), keys, np.arange(300), 0.9 * probing.LENGTH**2)
    beside = Counter(at.asked.tolist())
    assert max(beside.values()) <= cells.MOST and at.cut + len(at.asked) == 300 * 299
    assert {row for row, other in zip(at.asked, at.near, strict=True) if other == 0} == set(range(1, 300))


# what pairs say of each other


def settled(*pairs: tuple[int, int, float] | tuple[int, int, float, bool], made=(), small=False) -> list:
    """Return the pairs that are settled, of pairs with their log-odds beyond what is asked for, and mirrored ones.

    made: the original and the copy of those that were made of one another.
    """
    i, j, odds, mirrored = (np.array(part) for part in zip(*[(*pair, False)[:4] for pair in pairs], strict=True))
    score = (1 / (1 + np.exp(-odds.astype(float) - contested.CAUTION * small))).astype(np.float32)
    which = [(pair in made) - (pair[::-1] in made) for pair in zip(i.tolist(), j.tolist(), strict=True)]
    found = compared.Compared(score, np.array(which, np.int8), np.full(len(i), small))
    stays = contested.settled(int(max(j)) + 1, i, j, mirrored, found)
    return list(zip(i[stays].tolist(), j[stays].tolist(), strict=True))


def test_a_copy_that_passes_beside_two_that_are_apart_belongs_to_the_nearer():
    assert settled((0, 1, -4.0), (0, 2, 0.9), (1, 2, 0.3)) == [(0, 2)]
    assert settled((0, 1, -4.0), (0, 2, 0.3), (1, 2, 0.9)) == [(1, 2)]


def test_what_fails_beside_a_copy_of_it_counts_too():
    """Alone, 3 is nearest to 2; but 4 is a copy of 2, and apart from 3."""
    pairs = [(0, 1, 2.0), (0, 3, 0.8), (1, 3, 0.7), (2, 3, 0.9), (2, 4, 2.0), (3, 4, -3.0), (0, 2, -5.0), (1, 2, -5.0)]
    assert settled(*pairs) == [(0, 1), (0, 3), (1, 3), (2, 4)]


def test_two_copies_may_fail_beside_each_other():
    """Each was changed in its way, and passes beside the photograph itself."""
    assert settled((0, 1, 1.5), (0, 2, 1.2), (1, 2, -1.5)) == [(0, 1), (0, 2)]
    assert settled((0, 1, 1.5), (0, 2, 1.2), (1, 2, -1.8)) == [(0, 1)]


def test_one_look_that_finds_nothing_does_not_outvote_many():
    assert settled((0, 1, 9.0), (0, 2, 3.0), (1, 2, 2.0), (0, 3, 2.9), (1, 3, 2.9), (2, 3, -20.0)) == [
        (0, 1),
        (0, 2),
        (1, 2),
        (0, 3),
        (1, 3),
    ]


def test_a_pair_that_is_there_twice_counts_by_the_better():
    assert settled((0, 1, 1.0), (0, 1, -6.0), (1, 2, 0.5), (0, 2, -0.6)) == [(0, 1), (1, 2)]


def test_a_mirrored_pair_that_failed_says_nothing():
    assert settled((0, 1, 1.0), (1, 2, 0.9), (0, 2, -9.0, True)) == [(0, 1), (1, 2)]
    assert settled((0, 1, 1.0), (1, 2, 0.9), (0, 2, -9.0)) == [(0, 1)]


def test_what_a_copy_fails_beside_does_not_count_where_its_original_was_compared():
    """1 was made of 0, and no longer shows what 0 and 2 have in common; of 3 only the copy is near."""
    pairs = (0, 1, 3.0), (0, 2, 0.5), (1, 2, -3.0), (1, 3, 0.5)
    assert settled(*pairs, made=[(0, 1)]) == [(0, 1), (0, 2), (1, 3)]
    assert settled(*pairs) == [(0, 1), (1, 3)]


def test_what_passes_beside_a_copy_does_not_outweigh_its_original():
    """0 and 2 are apart; 1 and 3 were made of them, so strongly coded that they pass beside each other."""
    pairs = (0, 1, -0.4), (2, 3, -0.4), (0, 2, -0.6), (1, 2, 0.8), (0, 3, 0.8), (1, 3, 2.0)
    assert settled(*pairs, made=[(0, 1), (2, 3)]) == [(0, 1), (2, 3)]
    assert settled(*pairs, made=[(1, 0), (3, 2)]) == [(0, 1), (2, 3), (1, 2), (0, 3), (1, 3)]


def test_a_copy_of_two_that_are_apart_does_not_join_them():
    """2 was made of 0, and of 1 as far as it shows: coding left too little to tell them."""
    pairs = (0, 1, -4.0), (0, 2, 3.0), (1, 2, 3.0)
    assert settled(*pairs, made=[(0, 2), (1, 2)]) == [(0, 2)]
    assert settled((0, 1, 2.0), *pairs[1:], made=[(0, 2), (1, 2)]) == [(0, 1), (0, 2), (1, 2)]


def test_the_mean_of_all_originals_counts():
    """Of two links between two clusters neither is left out."""
    pairs = (0, 1, 3.0), (2, 3, 3.0), (0, 2, 1.0), (1, 3, -1.0)
    assert settled(*pairs, (0, 3, 0.4), (1, 2, 0.4)) == [(0, 1), (2, 3), (0, 2), (0, 3), (1, 2)]
    assert settled(*pairs, (0, 3, 0.1), (1, 2, -1.8)) == [(0, 1), (2, 3)]


def test_nothing_to_settle():
    nothing = compared.joined([])
    none = np.zeros(0, np.int64)
    assert contested.settled(5, none, none, none.astype(bool), nothing).tolist() == []


def test_more_is_asked_of_small_pictures():
    score = np.full(1, 0.7, np.float32)  # log-odds .85
    assert 0 < np.log(0.7 / 0.3) < contested.CAUTION
    for small, stays in ((False, True), (True, False)):
        found = compared.Compared(score, np.zeros(1, np.int8), np.array([small]))
        assert contested.settled(2, np.array([0]), np.array([1]), np.array([False]), found).tolist() == [stays]
    assert settled((0, 1, -0.1), small=True) == [] != settled((0, 1, -0.1), small=True, made=[(0, 1)])


def test_a_pair_that_just_passed_stays_in_a_dispute():
    assert settled((0, 1, 1e-4), (1, 2, 0.9), (2, 3, 0.5), (1, 3, -2.0)) == [(0, 1), (1, 2)]


def test_a_crowd_is_left_as_it_is(monkeypatch):
    pairs = [(0, 1, -4.0), (0, 2, 0.9), (1, 2, 0.3)]
    monkeypatch.setattr(contested, "CROWD", 3)
    assert settled(*pairs) == [(0, 2)]
    monkeypatch.setattr(contested, "CROWD", 2)
    assert settled(*pairs) == [(0, 2), (1, 2)]


def test_the_search_says_which_pairs_are_settled(monkeypatch):
    said = {(0, 1): 0.8, (0, 2): 0.01, (1, 2): 0.6}

    def compare(i, j, mirrored, fetch):
        score = np.array([said[pair] for pair in zip(i.tolist(), j.tolist(), strict=True)], np.float32)
        return compared.Compared(score, np.zeros(len(i), np.int8), np.zeros(len(i), np.bool_))

    monkeypatch.setattr(compared, "compare", compare)
    picture = new_crop(photo(1), *CROP)
    pairs = found([picture, jpeg(picture, 60), jpeg(picture, 80)])
    assert (listed(pairs), pairs.candidates) == ([(0, 1, False), (1, 2, False)], 3)
    assert pairs.settled.tolist() == [True, False]


def by_hand(links: list[tuple[int, int, float]]) -> dict[int, int]:
    """Return what `joined` does, looking at all links after every step; links with two equal means are not judged."""
    odds = {(one, other): value for one, other, value in links}
    owner = {row: row for pair in odds for row in pair}
    while True:
        between: dict[tuple[int, int], list[float]] = {}
        for (one, other), value in odds.items():
            ends = sorted((owner[one], owner[other]))
            if ends[0] != ends[1]:
                between.setdefault((ends[0], ends[1]), []).append(value)
        means = {ends: sum(values) / len(values) for ends, values in between.items()}
        best = max(means, key=lambda ends: means[ends], default=None)
        if best is None or means[best] <= 0:
            return owner
        assume(list(means.values()).count(means[best]) == 1)
        owner = {row: best[0] if first == best[1] else first for row, first in owner.items()}


LINKS = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(-999, 999)).filter(lambda link: link[0] < link[1]),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(LINKS)
def test_clusters_are_joined_by_the_largest_mean(links):
    links = {link[:2]: link for link in links}.values()
    whole = [(one, other, float(odds)) for one, other, odds in links]  # sums of whole numbers are exact in any order
    clusters, expected = contested.joined(whole), by_hand(whole)
    assert clusters.keys() == expected.keys()
    assert all((clusters[a] == clusters[b]) == (expected[a] == expected[b]) for a in expected for b in expected)


@settings(max_examples=100, deadline=None)
@given(LINKS)
def test_a_dispute_touches_nothing_elsewhere(links):
    passed = [(one, other, abs(odds) + 0.5) for one, other, odds in links]
    disputed = [(20, 21, -4.0), (20, 22, 0.9), (21, 22, 0.3)]
    assert settled(*passed, *disputed) == [*((one, other) for one, other, _ in passed), (20, 22)]


# groups


def pairs_of(*rows: tuple[int, int] | tuple[int, int, bool]) -> near.Pairs:
    i, j, flip = zip(*[(*row, False)[:3] for row in rows], strict=True) if rows else ((), (), ())
    scores, settled = np.ones(len(rows), np.float32), np.ones(len(rows), np.bool_)
    arrays = np.array(i, np.int64), np.array(j, np.int64), np.array(flip, np.bool_)
    return near.Pairs(*arrays, scores, settled, len(rows), 0)


def by_distance(most: int):
    """Rows are places on a line: near enough is the same."""

    def verify(i, j, mirrored):
        return (np.abs(i - j) <= most) & ~mirrored

    return verify


def test_a_chain_falls_into_groups_around_one_row_each():
    chain = pairs_of(*((n, n + 1) for n in range(9)))
    stands = groups.group(10, chain, np.arange(10), by_distance(3))
    assert stands.tolist() == [0, 0, 0, 0, 4, 4, 4, 4, 8, 8]


def test_rank_says_who_stands_for_a_group():
    pairs = pairs_of((0, 1), (1, 2))
    assert groups.group(4, pairs, np.array([2, 1, 0, 0]), by_distance(5)).tolist() == [2, 2, 2, 3]


def test_a_mirror_of_a_mirror_is_asked_about_as_plain():
    asked = []

    def verify(i, j, mirrored):
        asked.extend(zip(i.tolist(), j.tolist(), mirrored.tolist(), strict=True))
        return np.ones(len(i), np.bool_)

    stands = groups.group(4, pairs_of((0, 1, True), (1, 2, True), (2, 3)), np.arange(4), verify)
    assert stands.tolist() == [0, 0, 0, 0]
    assert asked == [(0, 2, False), (0, 3, False)]


def test_no_pairs_no_groups():
    assert groups.group(3, pairs_of(), np.arange(3), by_distance(1)).tolist() == [0, 1, 2]


@settings(max_examples=150, deadline=None)
@given(st.sets(st.tuples(st.integers(0, 11), st.integers(0, 11))), st.permutations(range(12)), st.integers(0, 11))
def test_every_row_was_verified_against_its_first(drawn, rank, most):
    edges = sorted((i, j) for i, j in drawn if i < j)
    asked = set()

    def verify(i, j, mirrored):
        yes = by_distance(most)(i, j, mirrored)
        asked.update((min(a, b), max(a, b)) for a, b, ok in zip(i.tolist(), j.tolist(), yes, strict=True) if ok)
        return yes

    stands = groups.group(12, pairs_of(*edges), np.array(rank), verify)
    for row, first in enumerate(stands.tolist()):
        assert stands[first] == first and rank[first] <= rank[row]
        assert row == first or (min(row, first), max(row, first)) in asked | set(edges)
    for i, j in edges:  # two rows that are a pair stand alone only where a better one took the other
        assert not (
            stands[i] == i and stands[j] == j and Counter(stands.tolist())[i] == Counter(stands.tolist())[j] == 1
        )
