"""The nets that measure a face: which files they are, what they are known by, and opening them once a process.

Stands before the measures: every command that measures pictures takes its nets from here, so that all measure alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2

from ferbuild.builders import insight
from ferbuild.builders.assets import fetch
from ferbuild.builders.config import NETS, Settings
from ferbuild.builders.detect import Detector
from ferbuild.builders.errors import FerError
from ferbuild.builders.files import file_sha256
from ferbuild.builders.measures import Models, load_detector, load_mesh
from ferbuild.builders.mesh import FaceMesh
from ferbuild.builders.unit_model import read_unit_model
from ferbuild.manifests import load
from ferbuild.manifests.calibration import Calibration

ANEW = "run `fer-build calibrate` with these nets, and name the file it writes as `calibration:` in fer-build.yaml"


class Nets(NamedTuple):
    """The files of the nets; cheap to send to another process."""

    weights: tuple[tuple[str, Path], ...] = ()
    """Name in models.yaml to file; one that is not named is fetched. `insightface` and its folder replace the
    default detector."""
    unit_model: Path | None = None
    """The YAML entry of the user's own net for action units."""


SHIPPED = Nets()


def names_of(settings: Settings) -> tuple[str, str]:
    """Return the names of the nets in use: what finds a face, and what meshes it."""
    return settings.detector, NETS[1]


def nets_of(settings: Settings) -> Nets:
    """Return the nets that fer-build.yaml asks for, fetched where they are missing."""
    return some_of(settings, names_of(settings))._replace(unit_model=settings.unit_model)


def some_of(settings: Settings, names: Iterable[str]) -> Nets:
    """Return those of the nets that have these names, fetched where they are missing, and no unit model."""
    names = tuple(names)
    if insight.NAME in names:
        insight.require()
    return Nets(tuple((name, _file(settings, name)) for name in names))


def as_options(settings: Settings) -> dict[str, Any]:
    """Return what of the nets changes what they measure, for a stage key; nothing is fetched for it."""
    found = sums(settings, names_of(settings))
    if settings.unit_model is None:
        return found
    model = read_unit_model(settings.unit_model)
    return found | {"unit model": [model.entry.model_dump(mode="json", exclude={"file"}), model.sha256]}


def fitting_calibration(settings: Settings) -> Calibration:
    """Return the calibration in use; nothing is fetched for it.

    FerError where it cannot be read, or judges by other nets than those in use: its figures do not hold for what they
    measure. A unit model that it does not judge by is measured all the same.
    """
    found = load.load_calibration(settings.calibration)
    made_with = found.made_by.weights
    where = settings.calibration or "the shipped calibration"
    for name, used in sums(settings, names_of(settings)).items():
        if name not in made_with and name not in NETS:
            raise FerError(where, f"was not made with {name}, which is in use: its figures do not hold", ANEW)
        if made_with.get(name, used) != used:
            raise FerError(where, f"was made with another {name} than the one in use: its figures do not hold", ANEW)
    model = read_unit_model(settings.unit_model) if settings.unit_model else None
    for name in sorted({judge.by for judges in found.units.values() for judge in judges.values()} - {"geometry"}):
        if model is None or model.name != name:
            hint = f"name its entry as `unit_model:`, or {ANEW}"
            raise FerError(where, f"judges by the unit model {name}, which fer-build.yaml does not name", hint)
        if made_with.get(name) != model.sha256:
            raise FerError(where, f"judges by another file of the unit model {name} than the one in use", ANEW)
    return found


def sums(settings: Settings, names: Iterable[str]) -> dict[str, str]:
    """Return the sha256 of some nets, by name; nothing is fetched for it."""
    return {name: _sum(settings, name) for name in names}


def _sum(settings: Settings, name: str) -> str:
    if name not in settings.models:
        return load.load_asset(name).sha256
    own = _file(settings, name)
    return file_sha256(insight.weights(own) if name == insight.NAME else own)


def _file(settings: Settings, name: str) -> Path:
    """Return the file of a net, fetched where it is missing, or insightface's folder."""
    own = settings.models.get(name)
    return own if own and name == insight.NAME else fetch(name, local=own)


@cache
def finder(nets: Nets) -> Detector:
    """Return the detector, opened once a process; each process runs its nets on one thread."""
    cv2.setNumThreads(1)
    return load_detector(dict(nets.weights))


@cache
def mesher(nets: Nets) -> FaceMesh:
    """Return the mesh, opened once a process."""
    cv2.setNumThreads(1)
    return load_mesh(dict(nets.weights))


@cache
def opened(nets: Nets) -> Models:
    """Return all nets that measure a face, opened once a process."""
    return Models(finder(nets), mesher(nets), read_unit_model(nets.unit_model) if nets.unit_model else None)
