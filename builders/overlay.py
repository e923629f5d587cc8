"""Lays small pictures over each other: blur and warp of many at once, the steps that improve their maps, and motion.

Stands below the judgement whether two pictures are one photograph; see there for what is compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Maps = npt.NDArray[np.float64]
"""k x 3 x 3: where a point of the first picture lies in the second, both from -0.5 to 0.5."""

LARGEST_CHANGE = 0.3
"""Of any number in the map: a crop by more than that is no near duplicate, and such a map has run astray."""
DAMPING = 1e-3
"""Share of the mean curvature, so that a direction without any contrast stays where it is."""
STIFF = 0.15
"""Share of the mean contrast of slopes added to a place's own, so that a smooth cheek does not move."""


def shifted(one: Floats, other: Floats, most: int) -> Maps:
    """Return maps that shift by whole pixels, `most` at most, to the best correlation."""
    maps, side = np.tile(np.eye(3), (len(one), 1, 1)), one.shape[1]
    inner = np.ascontiguousarray(one[:, most:-most, most:-most])
    for index in range(len(one)):
        found = cv2.matchTemplate(other[index], inner[index], cv2.TM_CCOEFF_NORMED)
        down, right = divmod(int(found.argmax()), found.shape[1])
        maps[index, :2, 2] = (right - most) / side, (down - most) / side
    return maps


def improved(one: Floats, other: Floats, maps: Maps, *, alike: bool, count: int) -> Maps:
    """Improve the maps by Gauss-Newton steps (inverse compositional: Baker and Matthews, IJCV 2004).

    alike: similarities (shift, scale, turn) alone, which reach further than affine maps do.
    """
    side, weights = one.shape[1], border(one.shape[1])
    one = levelled(one, np.broadcast_to(weights, one.shape))
    change = slopes(one, weights, alike=alike)
    back = inverse(change)
    for _ in range(count):
        over = levelled(warped(other, maps), np.broadcast_to(weights, one.shape))
        error = ((over - one) * weights).reshape(len(one), side * side, 1)
        maps = stepped(maps, back @ (change @ error))
    return maps


def correlation(one: Floats, other: Floats) -> Floats:
    weights = np.broadcast_to(border(one.shape[1]), one.shape)
    product = levelled(one, weights) * levelled(other, weights) * weights
    return np.asarray(product.sum((1, 2)) / weights.sum((1, 2)), np.float32)


def levelled(values: Floats, weights: Floats) -> Floats:
    """Return values of mean 0 and variance 1 where they weigh."""
    whole = weights.sum((1, 2), keepdims=True) + 1e-3
    values = values - (values * weights).sum((1, 2), keepdims=True) / whole
    spread = np.sqrt((values * values * weights).sum((1, 2), keepdims=True) / whole + 0.5)
    return np.asarray(values / spread, np.float32)


def inverse(slopes: Floats) -> npt.NDArray[np.float64]:
    curve = slopes @ slopes.transpose(0, 2, 1)
    size = curve.shape[1]
    least = DAMPING * np.trace(curve, axis1=1, axis2=2) / size + 1e-6
    return np.asarray(np.linalg.inv(curve + np.eye(size) * least[:, None, None]), np.float64)


def stepped(maps: Maps, step: npt.NDArray[np.float64]) -> Maps:
    """Return the maps after a step; one that has run astray begins anew."""
    maps = maps @ np.linalg.inv(as_maps(step[..., 0]))
    astray = np.abs(maps - np.eye(3)).max((1, 2)) > LARGEST_CHANGE
    maps[astray] = np.eye(3)
    return maps


def slopes(one: Floats, weights: Floats, *, alike: bool) -> Floats:
    """Return the change of every weighted pixel by each number of the map, k x (4 or 6) x pixels."""
    side = one.shape[1]
    place = ((np.arange(side) + 0.5) / side - 0.5).astype(np.float32)
    x, y = np.meshgrid(place, place)
    down, right = (np.asarray(slope, np.float32) * weights for slope in np.gradient(one, 1 / side, axis=(1, 2)))
    terms = [right * x, right * y, right, down * x, down * y, down]
    if alike:
        terms = [right * x + down * y, down * x - right * y, right, down]
    return np.stack(terms, 1, dtype=np.float32).reshape(len(one), len(terms), -1)


def as_maps(numbers: npt.NDArray[np.floating]) -> Maps:
    maps = np.tile(np.eye(3), (len(numbers), 1, 1))
    if numbers.shape[1] == 6:
        maps[:, :2] += numbers.reshape(-1, 2, 3)
        return maps
    scale, turn = numbers[:, 0], numbers[:, 1]
    maps[:, 0, 0] += scale
    maps[:, 1, 1] += scale
    maps[:, 0, 1] -= turn
    maps[:, 1, 0] += turn
    maps[:, :2, 2] += numbers[:, 2:]
    return maps


def warped(pictures: Floats, maps: Maps, edge: int = cv2.BORDER_REPLICATE) -> Floats:
    """Return every picture as its map shows it."""
    side = pictures.shape[1]
    unit = np.array([[1 / side, 0, 0.5 / side - 0.5], [0, 1 / side, 0.5 / side - 0.5], [0, 0, 1]])
    pixels = (np.linalg.inv(unit) @ maps @ unit)[:, :2]
    out = np.empty_like(pictures)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    for picture, matrix, into in zip(pictures, pixels, out, strict=True):
        cv2.warpAffine(picture, matrix, (side, side), dst=into, flags=flags, borderMode=edge)
    return out


def blurred(pictures: Floats, matrix: Floats) -> Floats:
    return np.asarray(matrix @ pictures @ matrix.T, np.float32)


@cache
def blurring(side: int, into: int, blur: float) -> Floats:
    """Return the `into` x `side` matrix that samples a line of `side` pixels through a Gaussian of `blur` pixels."""
    centre = (np.arange(into)[:, None] + 0.5) * side / into - 0.5
    weight = np.exp(-0.5 * ((np.arange(side) - centre) / blur) ** 2)
    return np.asarray(weight / weight.sum(1, keepdims=True), np.float32)


def fineness(thumbs: Floats) -> Floats:
    """Return the logarithm of the share of the finest detail: less in a picture that was smaller once."""
    fine, less, least = (
        blurred(thumbs, blurring(thumbs.shape[1], thumbs.shape[1], blur))[:, 6:-6, 6:-6] for blur in (0.6, 1.4, 2.8)
    )
    share = (((fine - less) ** 2).sum((1, 2)) + 20) / (((less - least) ** 2).sum((1, 2)) + 100)
    return np.asarray(np.log(share), np.float32)


@cache
def border(side: int) -> Floats:
    """Return weights that fall to the edges, where another crop shows something else."""
    place = (np.arange(side) + 0.5) / side
    weight = np.clip(np.minimum(place, 1 - place) / 0.12, 0, 1)
    return np.asarray(np.outer(weight, weight), np.float32)


@cache
def inside(side: int, edge: int) -> Floats:
    """Return side x side: 1, but 0 on the `edge` outermost pixels."""
    weight = np.zeros((side, side), np.float32)
    weight[edge : side - edge, edge : side - edge] = 1
    return weight


def whole(seen: Floats, places: Floats, share: float) -> npt.NDArray[np.bool_]:
    """Return which places show at least a share of themselves and do not lie at the edge, k x places x places."""
    found = np.asarray(blurred(seen, places) > share)
    found[:, [0, -1]] = found[:, :, [0, -1]] = False
    return found


def moved(one: Floats, fit: Floats, seen: Floats, grids: Sequence[Floats], share: float) -> list[Floats]:
    """Return, for every grid of places, how much of the difference small shifts explain where they explain most (k).

    In mean contrasts. A shift a place, by least squares (Lucas and Kanade, IJCAI 1981): noise has no part in it that
    grows with the place, while contours that moved have. grids: as of `blurring`.
    """
    left = one - fit
    down, right = (np.asarray(slope, np.float32) for slope in np.gradient((one + fit) / 2, axis=(1, 2)))
    terms = [x * seen for x in (right * right, right * down, down * down, right * left, down * left, one * one)]
    out = []
    for grid in grids:
        xx, xy, yy, x, y, contrast = (blurred(term, grid) for term in terms)
        inside = whole(seen, grid, share)
        count = np.maximum(inside.sum((1, 2)), 1)
        usual, spread = (np.where(inside, z, 0).sum((1, 2)) / count for z in (xx + yy, contrast))
        least = STIFF * usual[:, None, None] + 1e-9
        xx, yy = xx + least, yy + least
        energy = (yy * x * x - 2 * xy * x * y + xx * y * y) / (xx * yy - xy * xy)
        out.append(np.asarray(np.where(inside, energy, 0).max((1, 2)) / (spread + 1e-6), np.float32))
    return out
