"""Tells whether two pictures are one photograph, or two moments of one person.

Stands behind the search for near duplicates, which proposes pairs: the second picture is laid over the first by an
affine map, and what then differs is judged where it differs most. Coding noise and blur lie all over a picture; an
expression changes one place and leaves the rest as it was, and what it changes looks like contours that moved. A pair
that may be one photograph is judged twice: by what differs, then by a fitted weighing of that and of motion.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from ferbuild.builders.overlay import (
    Floats,
    Maps,
    blurred,
    blurring,
    border,
    correlation,
    fineness,
    improved,
    inside,
    inverse,
    levelled,
    moved,
    shifted,
    slopes,
    stepped,
    warped,
    whole,
)

SIDE = 64
"""Pixels a side of a thumbnail."""
SAME_FROM = 0.5
"""Score from which two pictures are one photograph."""

Thumbs = npt.NDArray[np.uint8]
"""k x 64 x 64, grey."""

COARSE = 32
"""Pixels a side at which the second picture is first laid over the first."""
SHIFT = 4
"""Pixels of COARSE by which two pictures may be shifted: an eighth of the side, more than any new crop."""
HOPELESS = 0.6
"""Correlation at COARSE below which the fine steps are spared."""
FINE_STEPS = 2
"""At the full size, on what both pictures show; without them edges in another crop count as differences."""
SHARP, SOFT, WIDE = 1.2, 2.2, 7.0
"""Pixels of 64: blur of pictures alike in sharpness, of those that are not, and the blur that stands for the light."""
GAP = 0.22
"""Natural logarithm of the ratio of fine detail from which two pictures are not alike in sharpness: half the size of
48 px leaves .26 to .64; coding, a new crop or another expression less than .2."""
CELLS, CELL = 20, 2.5
"""The difference is judged in 20 x 20 places, each a Gaussian of that many pixels of 64."""
SEEN = 0.97
"""Share of a place that both pictures have to show for it to count."""
EDGE = 2
"""Pixels of 64 at each side that are not judged: a copy that was shifted or turned repeats its edge there."""
BRIGHT, WHITE = 170, 250
"""Grey from which a picture may be clipped in one colour, and from which it has lost what lay there."""
FLOOR = 1.0
"""Mean contrasts added to a place's own, so that noise in a smooth cheek is not taken for a change."""
CHANGE = 0.008
"""Share of a place's contrast that may differ in a picture without noise. Fitted: see `benchmarks/near_duplicates`."""
NOISE, NOISIEST = 4.0, 0.01
"""Median differences allowed at the worst place: what coding noise reaches there; and the largest median that counts,
as two persons differ all over. Fitted with CHANGE."""
APART = 0.08
"""Share of the whole contrast that may differ, however evenly it is spread."""
FEWEST = 0.3
"""Share of the places that both pictures have to show."""
AGAIN = 0.2
"""First score from which a pair is looked at again: every copy reaches it, and only few others."""
MIDDLE = 1.6
"""Pixels of 64: blur of the second look, whose motion still shows at half the size of 48 px."""
BROAD, BROADER = 16, 4.0
"""Motion is looked for in 16 x 16 places of that many pixels of 64, too: a whole mouth, where noise cancels out."""
QUIET, LOUD, LOUDEST = 0.002, 12.0, 0.02
"""Second look: share of the worst place's contrast that may differ in a picture without noise; medians allowed besides;
and the largest median that counts. Fitted at 224 px, where a gaze is all that two pictures may differ in."""
GLARE = 4.0
"""Times more that may differ where a picture is white: one colour is clipped from BRIGHT on, before grey is."""
WEIGHTS = (
    (-6.572, -1.229, -1.392, 1.091, -1.080, 2.631, 2.497),
    (-5.944, -1.704, -0.801, -0.954, -0.957, 3.246, 0.691),
)
"""Of `Evidence`, in its order, and a constant: of pictures alike in sharpness, and of those that are not, where blur
moves contours too. Logistic regressions on pairs of 48 px: `benchmarks/near_duplicates_fit.py`, seeds 77 and 78."""
BIAS = -0.25
"""Added to both; set on seeds 77 to 81 between the copies that are lost and the wrong pairs that are found."""
BATCH = 64
"""Pairs at a time: the arrays then stay in the processor's cache."""


def thumbnail(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return a picture, RGB or grey, as 64 x 64 grey."""
    grey = picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    how = cv2.INTER_AREA if min(grey.shape) > SIDE else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(grey, (SIDE, SIDE), interpolation=how), np.uint8)


def same(a: Thumbs, b: Thumbs) -> Floats:
    """Return a score of every pair of thumbnails, 0..1: from SAME_FROM on they show one photograph.

    A mirrored picture has to be mirrored back before. A picture without contrast is the same as none.
    """
    parts = [slice(start, start + BATCH) for start in range(0, len(a), BATCH)]
    return np.concatenate([_scores(a[part], b[part]) for part in parts]) if parts else np.zeros(0, np.float32)


def _scores(a: Thumbs, b: Thumbs) -> Floats:
    one, other = a.astype(np.float32), b.astype(np.float32)
    seen = first_look(one, other)
    again = np.flatnonzero(seen.scores >= AGAIN)
    if len(again):
        seen.scores[again] = weighed(evidence(one[again], other[again], seen.at(again)))
    return seen.scores


class First(NamedTuple):
    """Of a first look at k pairs."""

    maps: Maps
    scores: Floats
    """k: these only tell what is worth a second look."""
    unlike: npt.NDArray[np.bool_]
    """k: one picture is less sharp than the other, by GAP or more; not judged where the two cannot be laid over."""

    def at(self, rows: npt.NDArray[np.intp]) -> First:
        return First(self.maps[rows], self.scores[rows], self.unlike[rows])


def first_look(one: Floats, other: Floats) -> First:
    maps, close = register(one, other)
    scores, unlike = np.zeros(len(one), np.float32), np.zeros(len(one), np.bool_)
    kept = np.flatnonzero(close >= HOPELESS)
    unlike[kept] = np.abs(fineness(one[kept]) - fineness(other[kept])) >= GAP
    for rows, blur in ((kept[~unlike[kept]], SHARP), (kept[unlike[kept]], SOFT)):
        if len(rows):
            scores[rows] = judge(differences(one[rows], other[rows], maps[rows], blur))
    return First(maps, scores, unlike)


class Evidence(NamedTuple):
    """Of a second look at k pairs: k x 6 natural logarithms, k, and k."""

    values: Floats
    """The first look's excess; energy of motion in a broad place, as a share of the mean contrast; the lesser deviation
    of either picture and the greater median of its finest detail, in grey levels; energy of motion in a small place;
    and the share of the worst small place's contrast that differs."""
    excess: Floats
    """Share of the worst place's contrast that differs, less where it is white, over what is allowed of it."""
    unlike: npt.NDArray[np.bool_]
    """As at the first look."""


def weighed(found: Evidence) -> Floats:
    """Return scores: 0.5 where the evidence is balanced, and where the worst place differs by just what is allowed."""
    weights = np.array(WEIGHTS)[found.unlike.astype(np.intp)]
    sure = 1 / (1 + np.exp(-((found.values * weights[:, :-1]).sum(1) + weights[:, -1] + BIAS)))
    return np.asarray(np.minimum(sure, 1 / (1 + found.excess)), np.float32)


def evidence(one: Floats, other: Floats, first: First) -> Evidence:
    """Look again at pairs, k x 64 x 64 grey levels each, of a first score that is at least AGAIN."""
    laid = _laid(one, other, first.maps, MIDDLE)
    fit = _fitted(laid)
    small = _places(laid, fit)
    count = np.maximum(small.seen.sum((1, 2)), 1)
    spread = np.where(small.seen, small.contrast, 0).sum((1, 2)) / count
    share = small.between / (small.contrast + spread[:, None, None] + 1e-6)
    grids = blurring(SIDE, BROAD, BROADER), blurring(SIDE, CELLS, CELL)
    broad, near = moved(laid.one, fit, laid.seen, grids, SEEN)
    clear = share / (1 + GLARE * blurred(laid.bright, grids[1]))
    worst, worst_clear = (np.where(small.seen, x, 0).max((1, 2)) for x in (share, clear))
    lesser = np.minimum(one.std((1, 2)), other.std((1, 2)))
    finest = np.maximum(_finest(one), _finest(other))
    values = np.stack([1 / np.clip(first.scores, 1e-3, 0.999) - 1, broad, lesser, finest, near, worst], 1)
    allowed = QUIET + LOUD * np.minimum(_median(share, small.seen), LOUDEST)
    excess = np.asarray(worst_clear / allowed, np.float32)
    return Evidence(np.log(values + 1e-6).astype(np.float32), excess, first.unlike)


def _finest(pictures: Floats) -> Floats:
    fine, less = (blurred(pictures, blurring(SIDE, SIDE, blur)) for blur in (0.6, 1.2))
    return np.asarray(np.median(np.abs(fine - less).reshape(len(pictures), -1), axis=1), np.float32)


class Differences(NamedTuple):
    """What two pictures differ in at every place, k x 20 x 20."""

    between: Floats
    """Mean square of the difference."""
    contrast: Floats
    """Mean square of the picture."""
    seen: npt.NDArray[np.bool_]
    """Both pictures show the place."""


def judge(found: Differences) -> Floats:
    """Return the score of each pair: 0.5 where the difference is just what is allowed."""
    count = found.seen.sum((1, 2))
    spread = np.where(found.seen, found.contrast, 0).sum((1, 2)) / np.maximum(count, 1)
    share = found.between / (found.contrast + FLOOR * spread[:, None, None] + 1e-6)
    worst = np.where(found.seen, share, 0).max((1, 2))
    usual = _median(share, found.seen)
    all_over = np.where(found.seen, found.between, 0).sum((1, 2)) / np.maximum(count, 1) / (2 * spread + 1e-6)
    excess = np.maximum(worst / (CHANGE + NOISE * np.minimum(usual, NOISIEST)), all_over / APART)
    enough = count >= FEWEST * CELLS * CELLS
    return np.where(enough, 1 / (1 + excess), 0).astype(np.float32)


def _median(values: Floats, seen: npt.NDArray[np.bool_]) -> Floats:
    """Return the median over the places that are seen."""
    ordered = np.sort(np.where(seen, values, np.inf).reshape(len(values), -1), axis=1)
    middle = np.maximum(seen.sum((1, 2)) - 1, 0) // 2
    found = ordered[np.arange(len(values)), middle]
    return np.where(np.isfinite(found), found, 0).astype(np.float32)


def differences(a: Floats, b: Floats, maps: Maps, blur: float) -> Differences:
    """Lay b over a, take light, contrast and sharpness off, and return what is left."""
    laid = _laid(a, b, maps, blur)
    return _places(laid, _fitted(laid))


def _places(laid: Laid, fit: Floats) -> Differences:
    places = blurring(SIDE, CELLS, CELL)
    left = laid.one - fit
    between, contrast = (blurred(x * x * laid.seen, places) for x in (left, laid.one))
    return Differences(between, contrast, whole(laid.seen, places, SEEN))


class Laid(NamedTuple):
    """Two pictures, one over the other, without noise and light: k x 64 x 64 each."""

    one: Floats
    other: Floats
    seen: Floats
    """1 where both show something."""
    bright: Floats
    """0..1: how near to white either is."""


def _laid(a: Floats, b: Floats, maps: Maps, blur: float) -> Laid:
    inner = inside(SIDE, EDGE)
    seen = warped(np.where(b < WHITE, inner, 0).astype(np.float32), maps, cv2.BORDER_CONSTANT)
    seen = (seen * np.where(a < WHITE, inner, 0) > 0.999).astype(np.float32)
    over = warped(b, maps)
    shares = [(matrix, blurred(seen, matrix) + 1e-3) for matrix in (blurring(SIDE, SIDE, x) for x in (blur, WIDE))]
    one, other = (levelled(_band(x * seen, shares), seen) for x in (a, over))
    bright = np.clip((np.maximum(a, over) - BRIGHT) / (WHITE - BRIGHT), 0, 1)
    return Laid(one, other, seen, np.asarray(bright, np.float32))


def _band(pictures: Floats, shares: list[tuple[Floats, Floats]]) -> Floats:
    """Take noise and light off what is seen alone: across an edge, another crop shows something else."""
    fine, light = (np.asarray(blurred(pictures, matrix) / share, np.float32) for matrix, share in shares)
    return fine - light


def _fitted(laid: Laid) -> Floats:
    """Return the best fit to the one of the other: stronger or weaker, there and where it is bright, and less sharp."""
    other, count = laid.other, len(laid.one)
    around = np.pad(other, ((0, 0), (1, 1), (1, 1)), mode="edge")
    edge = around[:, :-2, 1:-1] + around[:, 2:, 1:-1] + around[:, 1:-1, :-2] + around[:, 1:-1, 2:] - 4 * other
    terms = np.stack([other, edge, other * laid.bright], 1).reshape(count, 3, -1)
    weighted = terms * laid.seen.reshape(count, 1, -1)
    square = weighted @ terms.transpose(0, 2, 1) + np.eye(3, dtype=np.float32)
    factors = np.linalg.solve(square, weighted @ laid.one.reshape(count, -1, 1))
    return np.asarray((factors.transpose(0, 2, 1) @ terms).reshape(other.shape), np.float32)


def register(a: Floats, b: Floats) -> tuple[Maps, Floats]:
    """Return the map from every a to its b, and their correlation at the coarse size."""
    one, other = (detail(x, COARSE, 2.0) for x in (a, b))
    maps = shifted(one, other, SHIFT)
    maps = improved(one, other, maps, alike=True, count=4)
    maps = improved(one, other, maps, alike=False, count=2)
    close = correlation(one, warped(other, maps))
    kept = np.flatnonzero(close >= HOPELESS)
    for _ in range(FINE_STEPS if len(kept) else 0):
        laid = _laid(a[kept], b[kept], maps[kept], SHARP)
        weights = laid.seen * border(SIDE)
        change = slopes(laid.one, weights, alike=False)
        error = ((laid.other - laid.one) * weights).reshape(len(kept), -1, 1)
        maps[kept] = stepped(maps[kept], inverse(change) @ (change @ error))
    return maps, close


def detail(thumbs: Floats, side: int, blur: float) -> Floats:
    """Return pictures at another size without noise (blur: pixels of 64) and without the light."""
    small = blurred(thumbs, blurring(SIDE, side, blur))
    return small - blurred(small, blurring(side, side, side / 7))
