"""A net of the user's own that takes a picture of a face: its entry held against its ONNX file, opened, and fed.

Stands below unit models and classifiers, which differ only in what the numbers of the output mean. OpenCV runs the
file; onnxruntime, where it is installed, if OpenCV cannot.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from ferbuild.builders.align import Matrix, align, warp
from ferbuild.builders.detect import Detection, Floats
from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.builders.files import file_sha256
from ferbuild.builders.images import Pixels
from ferbuild.builders.onnx_file import Declared, declared
from ferbuild.manifests.schema import ModelInput, NetEntry

Run = Callable[[Floats], Floats]
"""1 x channels x height x width to the output."""

NONE = "-"
"""In the list of what the numbers stand for: one that is of no use here."""


class Net(NamedTuple):
    """An opened file; it belongs to one thread."""

    sha256: str
    run: Run


class Meant(NamedTuple):
    """What an entry says its numbers stand for, as an error tells of it."""

    key: str
    """Of the entry."""
    numbers: int
    idle: str
    """What a number does that NONE stands for, as in "scores none of the units"."""


def open_net(entry: NetEntry, path: Path, meant: Meant) -> Net:
    """Open the ONNX file at `path` and try it on a black picture.

    FerError: the entry does not fit the file, the file is another than its sha256 says, or nothing here can run it.
    """
    sha256 = file_sha256(path)
    if entry.sha256 not in (None, sha256):
        raise FerError(path, f"has sha256 {sha256}, {entry.name} asks for {entry.sha256}", "correct `file` or `sha256`")
    ends = declared(path)
    output = _check_ends(entry, path, ends)
    run = _open(path, ends.inputs[0].name, output, np.zeros(_shape(entry.input), np.float32))
    size = run(np.zeros(_shape(entry.input), np.float32)).size
    if size != meant.numbers:
        hint = f"write one name a number, `{NONE}` for one that {meant.idle}"
        raise FerError(path, f"{output} gives {size} numbers, `{meant.key}` names {meant.numbers}", hint)
    return Net(sha256, run)


def check_input(entry: NetEntry, where: str) -> None:
    """FerError where what the entry says of its picture does not go together."""
    channels = _shape(entry.input)[1]
    for key, numbers in (("mean", entry.input.mean), ("std", entry.input.std)):
        if len(numbers) not in (1, channels):
            raise FerError(where, f"input.{key} has {len(numbers)} numbers", f"write one, or {channels}")
    if entry.crop.by == "points" and entry.input.width != entry.input.height:
        raise FerError(where, "an aligned face is square, its input is not", "use `crop: {by: box}`")


def cut(rgb: Pixels, face: Detection | None, entry: NetEntry) -> Pixels:
    """Return the face as the net takes it, RGB, height x width; all of the picture where the entry's crop is `none`.

    ValueError where the face has no extent, or there is none.
    """
    width, height = entry.input.width, entry.input.height
    if entry.crop.by == "none":
        return resized(rgb, width, height)
    if face is None:
        raise ValueError("no face")
    if entry.crop.by == "points":
        return align(rgb, face.points, width, margin=entry.crop.margin)
    return warp(rgb, _from_box(face.box, width, height, entry.crop.margin), (width, height))


def resized(pixels: Pixels, width: int, height: int) -> Pixels:
    """Return a picture at another size, in pixels, its shape not kept; every pixel counts where it is shrunk."""
    shrinks = width * height < pixels.shape[0] * pixels.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=how), np.uint8)


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


def _shape(how: ModelInput) -> tuple[int, int, int, int]:
    return 1, 1 if how.colour == "grey" else 3, how.height, how.width


def _check_ends(entry: NetEntry, path: Path, ends: Declared) -> str:
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
