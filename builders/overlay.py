"""Lays small pictures over each other: blur and warp of many at once, and the step that improves their maps.

Stands below the judgement whether two pictures are one photograph; see there for what is compared.
"""

from __future__ import annotations

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


@cache
def border(side: int) -> Floats:
    """Return weights that fall to the edges, where another crop shows something else."""
    place = (np.arange(side) + 0.5) / side
    weight = np.clip(np.minimum(place, 1 - place) / 0.12, 0, 1)
    return np.asarray(np.outer(weight, weight), np.float32)
