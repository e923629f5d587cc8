"""Hair, headgear and lashes by simple geometry: a raised copy of the scalp, a curtain round it, a knot.

Stands between the shaped head and the rasteriser. The package has none of these but the lashes; everything here is
laid out on the resting base mesh and follows the person's head.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ferbuild.builders.render.head import LASHES, SKIN, Head
from ferbuild.builders.render.package import Floats, Ints
from ferbuild.builders.render.scene import Hair
from ferbuild.builders.render.vectors import along, unit

HAIR, CLOTH, LASH = range(3)
"""What a corner of the overlay is made of."""

HEIGHTS = np.array([6.45, 6.6, 6.9, 7.1, 7.16, 7.32, 7.5, 7.65, 7.8, 7.9, 7.98, 8.06, 8.15])
FRONTS = np.array([-1.5, -0.15, 0.1, 0.4, 0.76, 0.9, 1.0, 1.07, 1.14, 1.23, 1.38, 1.7, 2.5])
"""The hairline seen from the side: at each height, hair grows behind that z. Decimetres of the base mesh."""
CENTRE_Z = 0.55
"""Of the skull, decimetres."""
CHIN, SKULL = 6.2, 7.6
"""Decimetres: where the head and, above the ears, the skull begin."""
HANGING = {"long", "bob", "scarf"}
CLOSE = {"cropped": 0.035, "bun": 0.05, "bald": 0.012}
"""Styles that stay near the scalp: decimetres."""
SUNK = -0.03
"""Decimetres: clear parts lie below the skin, where they hide nothing."""
CURLS = np.array([31.0, 27.0, 23.0])
"""Waves to a decimetre, times two pi, in each direction."""
HALF_WIDTH, HALF_DEPTH = 0.79, 0.93
"""Of the curtain round the skull, decimetres."""


@dataclass(frozen=True, slots=True, eq=False)
class Overlay:
    """A surface over the head: C corners that see light through where they are thin."""

    rest: Floats
    """C x 3, on the resting base mesh."""
    points: Floats
    """C x 3, where they are."""
    normals: Floats
    """C x 3, unit, in the head's frame."""
    cover: Floats
    """C: how far inside the hairline, decimetres; of a lash, 0..1 opaque."""
    stuff: npt.NDArray[np.int8]
    """C."""
    triangles: Ints
    """T x 3."""


class _Piece(NamedTuple):
    rest: Floats
    points: Floats
    normals: Floats
    cover: Floats
    stuff: int
    triangles: Ints


@dataclass(frozen=True, slots=True, eq=False)
class _Scalp:
    """Where hair or headgear can lie, and the lashes."""

    vertices: Ints
    triangles: Ints
    """T x 3 rows of `vertices`."""
    lash_corners: Ints
    lash_cover: Floats
    lash_triangles: Ints


def overlay(head: Head, hair: Hair, shape: Floats, points: Floats, normals: Floats) -> Overlay:
    """Return hair or headgear and lashes of a face: `shape` at rest, `points` with its expression (V x 3)."""
    scalp = _scalp(head)
    fit = _fit(head, shape)
    pieces = [_lashes(head, scalp, points, normals)]
    if hair.style == "bald":
        pieces.append(_cap(head, scalp, points, normals, replace(hair, volume=0.0), HAIR))
    elif hair.style == "scarf":
        pieces += [_cap(head, scalp, points, normals, hair, CLOTH), _curtain(hair, fit, CLOTH)]
    elif hair.style == "cap":
        close = replace(hair, volume=0.03)
        pieces += [_cap(head, scalp, points, normals, close, HAIR), _hat(head, scalp, points, normals)]
    else:
        pieces.append(_cap(head, scalp, points, normals, hair, HAIR))
        if hair.style in HANGING:
            pieces.append(_curtain(hair, fit, HAIR))
        if hair.style == "bun":
            pieces.append(_knot(fit))
    return _joined(pieces)


@lru_cache(maxsize=2)
def _scalp(head: Head) -> _Scalp:
    inside = hairline(head.rest)
    triangles = head.corners[head.triangles[head.parts == SKIN]]
    near = (inside[triangles] > -0.9).any(1)
    chosen = triangles[near]
    lash = head.parts == LASHES
    used, flat = np.unique(head.triangles[lash], return_inverse=True)
    vertices = head.corners[used]
    skin = np.unique(head.corners[head.triangles[head.parts == SKIN]])
    lids = head.rest[skin[np.abs(head.rest[skin, 1] - 7.28) < 0.1]]
    gap = np.sqrt(((head.rest[vertices][:, None] - lids[None]) ** 2).sum(-1)).min(1)
    cover = np.clip(1 - gap / np.where(head.rest[vertices, 1] > 7.27, 0.045, 0.028), 0, 1) ** 1.5
    scalp, number = np.unique(chosen, return_inverse=True)
    return _Scalp(scalp.astype(np.int32), number.reshape(-1, 3).astype(np.int32), vertices, cover,
                  flat.reshape(-1, 3).astype(np.int32))  # fmt: skip


def hairline(rest: Floats, *, lift: float = 0.0, over_ears: bool = False) -> Floats:
    """Return how far points of the base mesh (N x 3) lie behind the hairline, decimetres; `lift`: receding."""
    x, y, z = rest.T
    inside = np.interp(y, HEIGHTS, FRONTS) - z - lift * 1.3
    ears = np.where(y < 7.42, (0.7 - np.abs(x)) * 6, 1)
    lower = np.where(ears < 0, np.maximum(inside, 0.1), inside) if over_ears else np.minimum(inside, ears)
    return np.asarray(lower, np.float32)


def _fit(head: Head, shape: Floats) -> Callable[[Floats], Floats]:
    """Return what moves a point of the base mesh's surroundings as this person's head differs from it.

    Width and depth are the skull's, since jaws and ears differ more; the height is that of the whole head.
    """
    skull = head.rest[:, 1] > SKULL
    one, two = _extent(head.rest[skull]), _extent(shape[skull])
    tall = head.rest[:, 1] > CHIN
    whole, other = _extent(head.rest[tall]), _extent(shape[tall])
    one[:, 1], two[:, 1] = whole[:, 1], other[:, 1]
    grow = (two[1] - two[0]) / (one[1] - one[0])
    return lambda points: np.asarray((points - one.mean(0)) * grow + two.mean(0), np.float32)


def _extent(points: Floats) -> Floats:
    """Return least and greatest coordinates, 2 x 3."""
    return np.stack([points.min(0), points.max(0)])


def _lashes(head: Head, scalp: _Scalp, points: Floats, normals: Floats) -> _Piece:
    at = scalp.lash_corners
    return _Piece(head.rest[at], points[at], normals[at], scalp.lash_cover, LASH, scalp.lash_triangles)


def _cap(head: Head, scalp: _Scalp, points: Floats, normals: Floats, hair: Hair, stuff: int) -> _Piece:
    """Return the raised copy of the scalp: flat at the hairline, `volume` high further in."""
    inside = _inside(head, scalp, hair, stuff)[scalp.vertices]
    volume = min(hair.volume, CLOSE.get(hair.style, 1.0))
    rise = np.where(inside < -0.05, SUNK, 0.006 + volume * _ease(inside / 0.35))
    if hair.style == "curly":
        rise = rise * (1 + 0.35 * np.sin(along(head.rest[scalp.vertices], CURLS)))
    out = points[scalp.vertices] + normals[scalp.vertices] * rise[:, None].astype(np.float32)
    return _Piece(head.rest[scalp.vertices], out, normals[scalp.vertices], inside, stuff, _seen(scalp, inside))


def _seen(scalp: _Scalp, inside: Floats) -> Ints:
    """Return the scalp's triangles that are not wholly outside: a clear one would hide what hangs behind it."""
    return scalp.triangles[(inside[scalp.triangles] > -0.03).any(1)]


def _inside(head: Head, scalp: _Scalp, hair: Hair, stuff: int) -> Floats:
    if stuff == CLOTH:
        return _covered(head.rest)
    lifted = hairline(head.rest, lift=hair.hairline, over_ears=hair.style in HANGING)
    if hair.style == "bald":
        ring = np.minimum(lifted, (7.75 - head.rest[:, 1]) * 1.2)
        return np.asarray(ring if hair.length > 2.6 else np.full_like(lifted, -1), np.float32)
    return lifted


def _covered(rest: Floats) -> Floats:
    """Return how far inside a scarf's edge points of the base mesh lie: brow to chin round the face."""
    x, y, z = rest.T
    around = np.hypot(x / 0.62, (y - 7.12) / 0.98) - 1
    return np.asarray(np.where(z > 0.35, around * 0.7, 0.4) * (y > 5.6), np.float32)


class _Drape(NamedTuple):
    """How something hangs round the head: at each height, from the middle of the back, how far, how wide."""

    heights: tuple[float, ...]
    """Decimetres, ascending."""
    reach: tuple[float, ...]
    """Degrees to either side."""
    swell: tuple[float, ...]
    """Times the skull's half width and depth."""
    back: float
    """Decimetres backwards to a decimetre down."""


HUNG = _Drape((5.6, 6.5, 7, 7.35, 7.65, 8.15), (112, 116, 125, 127, 118, 104), (1.1, 1.1, 1.15, 1.12, 1.01, 0.86), 0.05)
WOUND = _Drape((5.6, 6.1, 6.5, 7.0, 7.6, 8.15), (178, 175, 150, 116, 114, 112), (1.2, 0.94, 0.92, 0.98, 1, 0.86), 0.0)
"""Long hair, and a scarf, which closes under the chin."""


def _curtain(hair: Hair, fit: Callable[[Floats], Floats], stuff: int) -> _Piece:
    """Return hair that hangs round the back and the sides of the head, or a scarf."""
    drape = WOUND if stuff == CLOTH else HUNG
    low = 8.35 - (2.75 if stuff == CLOTH else hair.length)
    y, side = np.meshgrid(np.linspace(8.15, low, 24), np.linspace(-1, 1, 41), indexing="ij")
    angle = np.radians(np.interp(y, drape.heights, drape.reach)) * side
    swell, thick = np.interp(y, drape.heights, drape.swell), min(hair.volume, 0.12)
    x = np.sin(angle) * (HALF_WIDTH + thick) * swell
    z = CENTRE_Z - np.cos(angle) * (HALF_DEPTH + thick) * swell - drape.back * (8.2 - y)
    cover = np.minimum(0.08 + (1 - np.abs(side)) * 25, 0.02 + (y - low) * 0.6 + (0.2 if stuff == CLOTH else 0.0))
    outwards = np.stack([np.sin(angle) / HALF_WIDTH, np.zeros_like(x), -np.cos(angle) / HALF_DEPTH], -1)
    rest = np.stack([x, y, z], -1).reshape(-1, 3)
    return _Piece(rest, fit(rest), unit(outwards.reshape(-1, 3)), cover.ravel(), stuff, _grid(*y.shape))


def _knot(fit: Callable[[Floats], Floats]) -> _Piece:
    up, around = np.meshgrid(np.linspace(-np.pi / 2, np.pi / 2, 9), np.linspace(0, 2 * np.pi, 17), indexing="ij")
    ball = np.stack([np.cos(up) * np.cos(around), np.sin(up), np.cos(up) * np.sin(around)], -1).reshape(-1, 3)
    rest = (ball * 0.3 + [0, 8.52, 0.2]).astype(np.float32)
    return _Piece(rest, fit(rest), ball.astype(np.float32), np.full(len(rest), 1, np.float32), HAIR, _grid(9, 17))


def _hat(head: Head, scalp: _Scalp, points: Floats, normals: Floats) -> _Piece:
    """Return a close cap of cloth, down to the upper forehead."""
    at = scalp.vertices
    inside = head.rest[at, 1] - 7.45 - 0.19 * head.rest[at, 2]
    rise = np.where(inside < -0.01, SUNK, 0.07 + 0.05 * _ease(inside / 0.3))
    out = points[at] + normals[at] * rise[:, None]
    return _Piece(head.rest[at], out, normals[at], inside, CLOTH, _seen(scalp, inside))


def _grid(rows: int, columns: int) -> Ints:
    at = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    one, two, three, four = at[:-1, :-1].ravel(), at[:-1, 1:].ravel(), at[1:, 1:].ravel(), at[1:, :-1].ravel()
    return np.concatenate([np.column_stack([one, two, three]), np.column_stack([one, three, four])])


def _ease(values: Floats) -> Floats:
    share = np.clip(values, 0, 1)
    return np.asarray(share * share * (3 - 2 * share))


def _joined(pieces: list[_Piece]) -> Overlay:
    starts = np.cumsum([0, *(len(piece.rest) for piece in pieces[:-1])])
    stuff = np.concatenate([np.full(len(piece.rest), piece.stuff, np.int8) for piece in pieces])
    triangles = np.concatenate([piece.triangles + start for piece, start in zip(pieces, starts, strict=True)])
    fields = ([piece[at] for piece in pieces] for at in range(4))
    rest, points, normals, cover = (np.concatenate(field).astype(np.float32) for field in fields)
    return Overlay(rest, points, normals, cover, stuff, triangles.astype(np.int32))
