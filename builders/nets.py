"""The nets that measure a face: which files they are, what they are known by, and opening them once a process.

Stands before the measures: every command that measures pictures takes its nets from here, so that all measure alike.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2

from ferbuild.builders.assets import fetch
from ferbuild.builders.config import Settings
from ferbuild.builders.files import file_sha256
from ferbuild.builders.measures import Models, load_models
from ferbuild.builders.unit_model import read_unit_model
from ferbuild.manifests import load

WEIGHTS = ("centerface", "face_mesh")


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
    return Nets(tuple((name, fetch(name, local=local.get(name))) for name in WEIGHTS), settings.unit_model)


def as_options(settings: Settings) -> dict[str, Any]:
    """Return what of the nets changes what they measure, for a stage key; nothing is fetched for it."""
    local = settings.models
    sums = {name: file_sha256(local[name]) if name in local else load.load_asset(name).sha256 for name in WEIGHTS}
    if settings.unit_model is None:
        return sums
    model = read_unit_model(settings.unit_model)
    return sums | {"unit model": [model.entry.model_dump(mode="json", exclude={"file"}), model.sha256]}


@cache
def opened(nets: Nets) -> Models:
    """Return the nets, opened once a process; each process runs them on one thread."""
    cv2.setNumThreads(1)
    return load_models(dict(nets.weights), nets.unit_model)
