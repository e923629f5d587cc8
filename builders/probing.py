"""Descriptors to keys that can be compared: what tells faces apart stays, what a new crop changes is weighed down.

Stands between the hashes and the search. A descriptor is linear in the picture, so the descriptor of a picture that
is cropped anew is a product of matrices; which directions tell faces apart is learned from the descriptors at hand.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ferbuild.builders.hashing import FREQUENCIES, SCALE, weights

Floats = npt.NDArray[np.float64]
Keys = npt.NDArray[np.int8]
"""n x DIMS whole numbers, of length LENGTH but for rounding."""

DIMS = 24
"""Of a key."""
LENGTH = 120
"""Of a key."""
GRID = 20
"""Points a side on which a moved descriptor is sampled."""
WINDOW = 0.8
"""Share of the picture that is compared: a new crop still shows it."""
LOWEST = 7
"""Cosines a side of the window."""
LEARNED = 20_000
"""Descriptors that the directions are learned from, at most."""
MADE = 1000
"""Made-up descriptors among them, with the spectrum of photographs, so that a small set learns too."""
MOVED = 3000
"""Descriptors that are moved to learn what a new crop changes."""
MOVES = 40
"""Of each."""
REACH = (0.05, 0.08, 4.0)
"""Largest shift (share of the side), logarithm of scale, and turn in degrees, of the moves that are learned from."""
NOISE = 0.02
"""Mean variance under moves that every direction is given: rounding and coding."""


class Move(NamedTuple):
    """A new crop of a picture."""

    right: float = 0.0
    """Share of the side."""
    down: float = 0.0
    scale: float = 1.0
    turn: float = 0.0
    """Degrees."""


STEP = 0.045
"""Share of the side between two probes."""
PROBES = (
    Move(),
    *(Move(STEP * np.cos(angle), STEP * np.sin(angle)) for angle in np.arange(3) * np.pi / 3),
    Move(scale=0.92),
    Move(turn=3.5),
)
"""One of each two opposite moves: the other one is found from the other picture."""


class Directions(NamedTuple):
    """How a window becomes a key."""

    mean: Floats
    matrix: Floats


def learn(descriptors: npt.NDArray[np.int8]) -> Directions:
    """Return the directions in which pictures differ more than new crops of them do (linear discriminants)."""
    from scipy import linalg  # within: it takes long to import, and only a search among many pictures needs it

    rows = np.linspace(0, len(descriptors) - 1, min(len(descriptors), LEARNED)).astype(np.int64)
    rows = np.unique(rows) if len(descriptors) else rows
    seen = np.concatenate([_made(), descriptors[rows, :63].astype(np.float64)])
    still = windows(seen, Move())
    within = _under_moves(seen[-MOVED:], still[-MOVED:])
    within += np.eye(len(within)) * (NOISE * np.trace(within) / len(within))
    values, vectors = linalg.eigh(np.cov(still.T), within)
    values, vectors = values[::-1][:DIMS], vectors[:, ::-1][:, :DIMS]
    return Directions(still.mean(0), vectors * np.sqrt(np.clip(1 - 1 / values, 0, 1) / values))


def _made() -> Floats:
    rng = np.random.default_rng(0)
    made = rng.normal(size=(MADE, 63))
    return np.asarray(np.rint(made * (SCALE / np.linalg.norm(made, axis=1, keepdims=True))))


def _under_moves(seen: Floats, still: Floats) -> Floats:
    rng = np.random.default_rng(1)
    shift, scale, turn = REACH
    found = np.zeros((still.shape[1], still.shape[1]))
    for _ in range(MOVES):
        right, down = rng.uniform(-shift, shift, 2)
        move = Move(right, down, float(np.exp(rng.uniform(-scale, scale))), rng.uniform(-turn, turn))
        left = windows(seen, move) - still
        found += left.T @ left
    return found / (MOVES * len(seen))


def keys(descriptors: npt.NDArray[np.int8], directions: Directions, move: Move) -> Keys:
    """Return the keys of pictures as they would be, cropped anew."""
    found = (windows(descriptors[:, :63].astype(np.float32), move) - directions.mean) @ directions.matrix
    found *= LENGTH / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)
    return np.rint(found).astype(np.int8)


def windows(descriptors: Floats, move: Move) -> Floats:
    """Return the cosine coefficients, at length 1, of the pictures' window after a move."""
    found = descriptors @ moving(move).T
    return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9), np.float64)


@cache
def moving(move: Move) -> Floats:
    """Return the matrix from descriptors to the coefficients of a moved window."""
    place = ((np.arange(GRID) + 0.5) / GRID - 0.5) * WINDOW * move.scale
    y, x = np.meshgrid(place, place, indexing="ij")
    cos, sin = np.cos(np.deg2rad(move.turn)), np.sin(np.deg2rad(move.turn))
    right, down = 0.5 + move.right + x * cos - y * sin, 0.5 + move.down + x * sin + y * cos
    v, u = np.array(FREQUENCIES).T
    edge = np.where(v == 0, 1, 2**0.5) * np.where(u == 0, 1, 2**0.5)
    waves = np.cos(np.pi * v * down[..., None]) * np.cos(np.pi * u * right[..., None]) * (edge * edge / weights())
    lines = np.cos(np.pi * np.arange(LOWEST)[:, None] * (np.arange(GRID) + 0.5) / GRID) / GRID
    lines[1:] *= 2**0.5
    found = np.einsum("ag,bh,ghn->abn", lines, lines, waves)
    kept = [(a, b) for a in range(LOWEST) for b in range(LOWEST) if 0 < a + b <= LOWEST]
    return np.array([found[place] for place in kept])
