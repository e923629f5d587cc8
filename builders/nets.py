"""The nets that measure a face: which files they are, what they are known by, and opening them once a process.

Stands before the measures: every command that measures pictures takes its nets from here, so that all measure alike.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2

from ferbuild.builders.assets import fetch
from ferbuild.builders.config import NETS, Settings
from ferbuild.builders.errors import FerError
from ferbuild.builders.files import file_sha256
from ferbuild.builders.measures import Models, load_models
from ferbuild.builders.unit_model import read_unit_model
from ferbuild.manifests import load
from ferbuild.manifests.calibration import Calibration

ANEW = "run `fer-build calibrate` with these nets, and name the file it writes as `calibration:` in fer-build.yaml"


class Nets(NamedTuple):
    """The files of the nets; cheap to send to another process."""

    weights: tuple[tuple[str, Path], ...] = ()
    """Name in models.yaml to file; one that is not named is fetched."""
    unit_model: Path | None = None
    """The YAML entry of the user's own net for action units."""


SHIPPED = Nets()


def nets_of(settings: Settings) -> Nets:
    """Return the nets that fer-build.yaml asks for, fetched where they are missing."""
    local = settings.models
    return Nets(tuple((name, fetch(name, local=local.get(name))) for name in NETS), settings.unit_model)


def as_options(settings: Settings) -> dict[str, Any]:
    """Return what of the nets changes what they measure, for a stage key; nothing is fetched for it."""
    sums = _sums(settings)
    if settings.unit_model is None:
        return sums
    model = read_unit_model(settings.unit_model)
    return sums | {"unit model": [model.entry.model_dump(mode="json", exclude={"file"}), model.sha256]}


def fitting_calibration(settings: Settings) -> Calibration:
    """Return the calibration in use; nothing is fetched for it.

    FerError where it cannot be read, or judges by other nets than those in use: its figures do not hold for what they
    measure. A unit model that it does not judge by is measured all the same.
    """
    found = load.load_calibration(settings.calibration)
    made_with = found.made_by.weights
    where = settings.calibration or "the shipped calibration"
    for name, used in _sums(settings).items():
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


def _sums(settings: Settings) -> dict[str, str]:
    """Return the sha256 of the nets that find and mesh a face, by name."""
    own = settings.models
    return {
        name: file_sha256(fetch(name, local=own[name])) if name in own else load.load_asset(name).sha256
        for name in NETS
    }


@cache
def opened(nets: Nets) -> Models:
    """Return the nets, opened once a process; each process runs them on one thread."""
    cv2.setNumThreads(1)
    return load_models(dict(nets.weights), nets.unit_model)
