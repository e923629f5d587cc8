"""Action units scored by a net that the user has, as an ONNX file with a small entry in YAML.

On the way of a face this stands beside the mesh: its scores go into the measures, and the calibration decides, unit
by unit, whether they say more than the geometry does.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ferbuild.builders.align import Matrix, align, warp
from ferbuild.builders.config import DETECTORS, NETS, place
from ferbuild.builders.detect import Detection, Floats
from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.builders.files import file_sha256
from ferbuild.builders.images import Pixels
from ferbuild.builders.onnx_file import Declared, declared
from ferbuild.manifests.load import load_unit_model, load_units
from ferbuild.manifests.schema import ModelInput, UnitModelEntry

Run = Callable[[Floats], Floats]
"""1 x channels x height x width to the output."""

NONE = "-"
"""In `order`: a number that scores no unit of the table."""

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
    sha256 = file_sha256(path)
    if entry.sha256 not in (None, sha256):
        raise FerError(path, f"has sha256 {sha256}, {entry.name} asks for {entry.sha256}", "correct `file` or `sha256`")
    ends = declared(path)
    output = _check_ends(entry, path, ends)
    run = _open(path, ends.inputs[0].name, output, np.zeros(_shape(entry.input), np.float32))
    size = run(np.zeros(_shape(entry.input), np.float32)).size
    if size != len(entry.order):
        hint = f"write one name a number, `{NONE}` for one that scores none of the units"
        raise FerError(path, f"{output} gives {size} numbers, `order` names {len(entry.order)}", hint)
    return UnitModel(entry, sha256, run)


def cut(rgb: Pixels, face: Detection, entry: UnitModelEntry) -> Pixels:
    """Return the face as the model takes it, RGB, height x width; ValueError where it has no extent."""
    width, height = entry.input.width, entry.input.height
    if entry.crop.by == "points":
        return align(rgb, face.points, width, margin=entry.crop.margin)
    return warp(rgb, _from_box(face.box, width, height, entry.crop.margin), (width, height))


def blob(crop: Pixels, how: ModelInput) -> Floats:
    """Return 1 x channels x height x width, float32, of an RGB picture."""
    if how.colour == "grey":
        pixels = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)[:, :, None]
    else:
        pixels = crop if how.colour == "rgb" else crop[:, :, ::-1]
    mean, std = np.asarray(how.mean, np.float32), np.asarray(how.std, np.float32)
    scaled = (pixels.astype(np.float32) * np.float32(how.scale) - mean) / std
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None], np.float32)


def _from_box(box: Sequence[float], width: int, height: int, margin: float) -> Matrix:
    """Return the map that puts the box (x0 y0 x1 y1) in the middle of width x height pixels, its shape kept."""
    x0, y0, x1, y1 = box
    if not (x1 - x0 >= 1 and y1 - y0 >= 1 and np.isfinite(box).all()):
        raise ValueError("a box without extent")
    scale = min(width / (x1 - x0), height / (y1 - y0)) / (1 + 2 * margin)
    shift = (width / 2 - scale * (x0 + x1) / 2, height / 2 - scale * (y0 + y1) / 2)
    return np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])


def _activated(numbers: Floats, activation: str) -> Floats:
    # 1 / (1 + exp(-x)) in a form that nowhere overflows
    return np.exp(-np.logaddexp(np.float32(0), -numbers)) if activation == "sigmoid" else numbers


def _shape(how: ModelInput) -> tuple[int, int, int, int]:
    return 1, 1 if how.colour == "grey" else 3, how.height, how.width


def _check_entry(entry: UnitModelEntry) -> None:
    where = f"unit model {entry.name}"
    units = load_units().units
    known = [*units, *(f"{unit}.{side}" for unit in units if units[unit].sided for side in ("left", "right"))]
    if entry.name in TAKEN:
        raise FerError(where, "bears a name of the tool's own", f"give it another `name` than {', '.join(TAKEN)}")
    for unit in entry.order:
        if unit not in (*known, NONE):
            hint = f"{did_you_mean(unit, known)} `{NONE}` stands for a number that scores none of them"
            raise FerError(where, f"order: no unit {unit!r}", hint)
    named = [unit for unit in entry.order if unit != NONE]
    if twice := [unit for unit in named if named.count(unit) > 1]:
        raise FerError(where, f"order: {twice[0]!r} stands twice", f"write `{NONE}` for the one to leave out")
    channels = _shape(entry.input)[1]
    for key, numbers in (("mean", entry.input.mean), ("std", entry.input.std)):
        if len(numbers) not in (1, channels):
            raise FerError(where, f"input.{key} has {len(numbers)} numbers", f"write one, or {channels}")
    if entry.crop.by == "points" and entry.input.width != entry.input.height:
        raise FerError(where, "an aligned face is square, its input is not", "use `crop: {by: box}`")


def _check_ends(entry: UnitModelEntry, path: Path, ends: Declared) -> str:
    """Return the output's name; FerError where the entry's input or output is not the file's."""
    if len(ends.inputs) != 1:
        named = ", ".join(map(str, ends.inputs)) or "none"
        raise FerError(path, f"takes {len(ends.inputs)} inputs, not one picture", f"it takes {named}")
    shape, wanted = ends.inputs[0].shape, _shape(entry.input)
    fits = len(shape) == 4 and all(size in (None, want) for size, want in zip(shape, wanted, strict=True))
    if shape and not fits:
        told = f"the entry says {' x '.join(map(str, wanted))}: picture, channels, height, width"
        raise FerError(path, f"takes {ends.inputs[0]}", f"{told}; correct `input`")
    names = [output.name for output in ends.outputs]
    if entry.output is not None:
        if entry.output not in names:
            raise FerError(path, f"has no output {entry.output!r}", did_you_mean(entry.output, names))
        return entry.output
    if len(names) != 1:
        raise FerError(path, f"has {len(names)} outputs", f"name one as `output`: {', '.join(map(str, ends.outputs))}")
    return names[0]


def _open(path: Path, source: str, output: str, trial: Floats) -> Run:
    """Return the first way to run the file that takes the trial picture; FerError where there is none."""
    said = []
    for engine in (cv2.dnn.ENGINE_NEW, cv2.dnn.ENGINE_CLASSIC):
        try:
            run = _opencv(path, output, engine)
            run(trial)
        except (cv2.error, TypeError, ValueError) as err:
            said.append(str(err).rpartition("error: ")[2].strip().splitlines()[0][:200])
        else:
            return run
    try:
        run = _onnxruntime(path, source, output)
        run(trial)
    except ModuleNotFoundError:
        raise FerError(path, f"OpenCV cannot run it: {said[0]}", "pip install onnxruntime") from None
    except Exception as err:  # onnxruntime's own errors have no common base
        problem = f"neither OpenCV nor onnxruntime can run it: {str(err).strip()[:200]}"
        raise FerError(path, problem, f"OpenCV says: {said[0]}") from None
    return run


def _opencv(path: Path, output: str, engine: int) -> Run:
    net = cv2.dnn.readNetFromONNX(str(path), engine)
    names = list(net.getUnconnectedOutLayersNames())
    if output not in names and len(names) > 1:
        raise ValueError(f"OpenCV knows no output {output!r}")
    at = names.index(output) if output in names else 0

    def run(picture: Floats) -> Floats:
        net.setInput(picture)
        return np.array(net.forward(names)[at], np.float32)

    return run


def _onnxruntime(path: Path, source: str, output: str) -> Run:
    runtime: Any = importlib.import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1  # every process runs its nets on one thread
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(picture: Floats) -> Floats:
        return np.array(session.run([output], {source: picture})[0], np.float32)

    return run
