"""The user's own insightface model pack as the detector, run by the insightface package.

Another answer to the `Detector` seam than CenterFace. Nothing is ever downloaded: the pack's folder and its ONNX
files have to be there before the package, which would fetch them, is asked.
"""

from __future__ import annotations

import importlib
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ferbuild.builders.detect import Detection, View, find_in
from ferbuild.builders.errors import FerError
from ferbuild.builders.files import file_sha256
from ferbuild.builders.images import Pixels
from ferbuild.builders.onnx_file import declared

NAME = "insightface"
TERMS = "insightface model pack: non-commercial research only, unless the weights' owner has licensed more to you"
"""What the package's README says of the packs it offers (insightface 2.1)."""
PACKAGES = ("insightface", "onnxruntime")
INSTALL = "pip install 'fer-build[insightface]'"
LEAST_SCORE = 0.5
"""The package's own default."""
LEAST_OUTPUTS = 5
"""A graph with as many is a detector to the package; recognition, landmark and age models have fewer."""


class InsightFace:
    """An SCRFD graph behind the package's `detect`. An instance belongs to one thread."""

    name = NAME
    terms = TERMS

    def __init__(self, folder: Path) -> None:
        """Open the detector among the ONNX files of `folder`. ImportError where a package is missing."""
        path = weights(folder)
        self.sha256 = file_sha256(path)
        self._model = _opened(path)

    def find(self, rgb: Pixels) -> list[Detection]:
        """Return the faces, best first."""
        return find_in(rgb, self._search)

    def _search(self, view: View) -> list[Detection]:
        height, width = view.pixels.shape[:2]
        bgr = np.ascontiguousarray(view.pixels[:, :, ::-1])
        boxes, points = self._model.detect(bgr, input_size=(width, height))
        if points is None:
            raise ValueError("it finds boxes, but not the five points of a face")
        corners = [view.back(box[:4].reshape(2, 2)).ravel().tolist() for box in boxes]
        return [
            Detection(float(box[4]), (x0, y0, x1, y1), view.back(five))
            for box, (x0, y0, x1, y1), five in zip(boxes, corners, points, strict=True)
        ]


def open_insight(folder: Path) -> InsightFace:
    """Return the detector of the model pack in `folder`; FerError where there is none, or nothing to run it with."""
    weights(folder)
    try:
        detector = InsightFace(folder)
        detector.find(np.zeros((32, 32, 3), np.uint8))
    except ImportError as err:
        raise FerError(f"detector {NAME}", f"the package {err.name or NAME} is not installed", INSTALL) from None
    except Exception as err:  # onnxruntime's own errors have no common base
        problem = f"cannot be run as an insightface detector: {str(err).strip():.200}"
        raise FerError(weights(folder), problem, f"correct `models: {{{NAME}: …}}`") from None
    return detector


@cache
def weights(folder: Path) -> Path:
    """Return the ONNX file of a model pack that finds faces; FerError where the folder is no such pack."""
    if not folder.is_dir():
        hint = f"name the pack's own folder, as in `models: {{{NAME}: ~/.insightface/models/buffalo_l}}`; {_NEVER}"
        raise FerError(folder, f"no such folder for {NAME}", hint)
    files = sorted(folder.glob("*.onnx"), key=lambda file: (not file.name.startswith("det"), file.name))
    for file in files:
        if len(declared(file).outputs) >= LEAST_OUTPUTS:
            return file
    if files:
        problem = f"none of its {len(files)} .onnx files is a face detector"
        raise FerError(folder, problem, f"name a whole pack; {_NEVER}")
    inside = sorted({file.parent for depth in ("*", "models/*") for file in folder.glob(f"{depth}/*.onnx")})
    hint = f"did you mean {inside[0]}?" if inside else f"put a model pack's files there; {_NEVER}"
    raise FerError(folder, "holds no .onnx file", hint)


_NEVER = "fer-build never downloads one"


def require() -> None:
    """FerError where a package is missing; asked before any work."""
    for package in PACKAGES:
        if not _installed(package):
            raise FerError(f"detector {NAME}", f"the package {package} is not installed", INSTALL)


def _installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ValueError:  # a package that something has blocked
        return False


def _opened(path: Path) -> Any:
    """Return the package's model of a detection file, on one thread: every process runs its nets so."""
    runtime: Any = importlib.import_module("onnxruntime")
    zoo: Any = importlib.import_module("insightface.model_zoo")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    model = zoo.get_model(
        str(path), providers=["CPUExecutionProvider"], sess_options=options, static_shape_sessions=False
    )
    model.det_thresh = LEAST_SCORE
    return model
