"""Action units scored by a net that the user has, as an ONNX file with a small entry in YAML.

On the way of a face this stands beside the mesh: its scores go into the measures, and the calibration decides, unit
by unit, whether they say more than the geometry does.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ferbuild.builders.config import DETECTORS, NETS, place
from ferbuild.builders.detect import Detection, Floats
from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.builders.images import Pixels
from ferbuild.builders.picture_net import NONE, Meant, Run, blob, check_input, cut, open_net
from ferbuild.manifests.load import load_unit_model, load_units
from ferbuild.manifests.schema import UnitModelEntry

TAKEN = ("geometry", *NETS, *DETECTORS)
"""Names that a calibration uses for the tool's own."""


@dataclass(frozen=True, slots=True)
class UnitModel:
    """An opened net; it belongs to one thread."""

    entry: UnitModelEntry
    sha256: str
    run: Run

    @property
    def name(self) -> str:
        return self.entry.name

    @property
    def order(self) -> tuple[str, ...]:
        """The units and halves it scores, in the output's order."""
        return tuple(unit for unit in self.entry.order if unit != NONE)

    def score(self, rgb: Pixels, face: Detection) -> dict[str, float | None]:
        """Return a number for each of `order`, in the model's own scale after its activation.

        None where the model gives no finite number, or the face cannot be cut out.
        """
        try:
            crop = cut(rgb, face, self.entry)
        except ValueError:
            return dict.fromkeys(self.order)
        numbers = _activated(self.run(blob(crop, self.entry.input)).ravel(), self.entry.activation)
        found = zip(self.entry.order, numbers.tolist(), strict=True)
        return {unit: number if np.isfinite(number) else None for unit, number in found if unit != NONE}


def read_unit_model(path: Path) -> UnitModel:
    """Open the model whose entry is the YAML file at `path`; FerError as `open_unit_model`."""
    entry = load_unit_model(path)
    return open_unit_model(entry, place(path.parent, entry.file))


def open_unit_model(entry: UnitModelEntry, path: Path) -> UnitModel:
    """Open the ONNX file at `path` and try it on a black picture.

    OpenCV runs it; onnxruntime, where it is installed, if OpenCV cannot. FerError: the entry does not hold together or
    does not fit the file, the file is another than its sha256 says, or nothing here can run it.
    """
    _check_entry(entry)
    net = open_net(entry, path, Meant("order", len(entry.order), "scores none of the units"))
    return UnitModel(entry, net.sha256, net.run)


def _activated(numbers: Floats, activation: str) -> Floats:
    # 1 / (1 + exp(-x)) in a form that nowhere overflows
    return np.exp(-np.logaddexp(np.float32(0), -numbers)) if activation == "sigmoid" else numbers


def _check_entry(entry: UnitModelEntry) -> None:
    where = f"unit model {entry.name}"
    units = load_units().units
    known = [*units, *(f"{unit}.{side}" for unit in units if units[unit].sided for side in ("left", "right"))]
    if entry.name in TAKEN:
        raise FerError(where, "bears a name of the tool's own", f"give it another `name` than {', '.join(TAKEN)}")
    for unit in entry.order:
        if unit not in (*known, NONE):
            hint = f"{did_you_mean(unit, known)}; `{NONE}` stands for a number that scores none of them"
            raise FerError(where, f"order: no unit {unit!r}", hint)
    named = [unit for unit in entry.order if unit != NONE]
    if twice := [unit for unit in named if named.count(unit) > 1]:
        raise FerError(where, f"order: {twice[0]!r} stands twice", f"write `{NONE}` for the one to leave out")
    check_input(entry, where)
