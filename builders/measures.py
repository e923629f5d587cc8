"""What is measured on a picture of a face: where it is, how it is turned, and the distances of its mesh.

On the way of a face this follows detection and mesh; the measures stage stores what `measure_picture` returns,
and the geometry teacher and the claim check read nothing else of the picture. A measure is no action unit: faces
differ at rest, and what a value means is for the calibration to say (`filters.units`).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from ferbuild.builders import insight
from ferbuild.builders.assets import fetch
from ferbuild.builders.detect import Detection, Detector, open_detector
from ferbuild.builders.distances import ABOUT, Points, eye_distance, measure_points, pose
from ferbuild.builders.images import Pixels, decode
from ferbuild.builders.mesh import FaceMesh, Mesh, open_mesh
from ferbuild.builders.record import DETECTOR
from ferbuild.builders.unit_model import UnitModel, read_unit_model

PRESENT = 0.5
"""A mesh with less presence is a guess: nothing is measured on it."""

UNIT_SCORES = pa.list_(pa.struct([("model", pa.string()), ("unit", pa.string()), ("score", pa.float32())]))
"""A unit model's name, a unit or a half of it as in `AU12.left`, and what the model gives for it, in its own scale."""

MEASURES = pa.schema(
    [
        ("id", pa.string()),
        ("canonical", pa.string()),  # its label, to find another face that has it
        ("width", pa.int32()),  # pixels of the picture
        ("height", pa.int32()),
        ("faces_found", pa.int32()),
        ("second_face", pa.float32()),  # how large and central the next face is, as a share of the measured one; 0..1
        ("det_score", pa.float32()),  # 0..1
        ("landmarks", pa.list_(pa.float32())),  # x y of the five points, pixels of `image`
        ("presence", pa.float32()),  # 0..1
        ("eye_distance", pa.float32()),  # pixels between the eye centres
        ("yaw", pa.float32()),  # degrees; positive: turned to the person's left
        ("pitch", pa.float32()),  # degrees; positive: looking up
        ("roll", pa.float32()),  # degrees; positive: clockwise in the picture
        ("measures", pa.struct([(name, pa.float32()) for name in ABOUT])),
        ("unit_scores", UNIT_SCORES),  # of a unit model, where one is named
        ("detector", DETECTOR),
    ]
)


class Models(NamedTuple):
    """The opened nets; they belong to one thread."""

    detector: Detector
    mesh: FaceMesh
    units: UnitModel | None = None
    """The user's own net for action units."""


def load_models(local: Mapping[str, Path] | None = None, unit_model: Path | None = None) -> Models:
    """Open the default detector and the mesh, fetched where `local` (name in models.yaml to file) has none.

    `unit_model` is the YAML entry of a net for action units.
    """
    own = local or {}
    return Models(load_detector(own), load_mesh(own), read_unit_model(unit_model) if unit_model else None)


def load_detector(own: Mapping[str, Path]) -> Detector:
    """Open the detector: insightface where `own` has its folder, else CenterFace, fetched where `own` has no file."""
    if insight.NAME in own:
        return insight.open_insight(own[insight.NAME])
    return open_detector(fetch("centerface", local=own.get("centerface")))


def load_mesh(own: Mapping[str, Path]) -> FaceMesh:
    """Open the mesh, fetched where `own` has no file."""
    return open_mesh(fetch("face_mesh", local=own.get("face_mesh")))


def measure_picture(data: bytes, models: Models) -> dict[str, Any]:
    """Return the MEASURES row, without `id` and `canonical`, of an encoded picture.

    Of several faces the largest central one is measured. Where none is found, `faces_found` is 0 and the rest
    null; where the mesh is not present, `measures` and the pose are null. Raises PictureError for bytes that
    are no picture, which the faces stage has dropped before.
    """
    return measure_pixels(decode(data, max_pixels=sys.maxsize), models)


def measure_pixels(rgb: Pixels, models: Models) -> dict[str, Any]:
    """Return what `measure_picture` does, of decoded pixels (H x W x 3, RGB)."""
    found = models.detector.find(rgb)
    row: dict[str, Any] = dict.fromkeys(MEASURES.names[2:])
    row |= {"width": rgb.shape[1], "height": rgb.shape[0], "faces_found": len(found)}
    row |= {"detector": known_as(models.detector)}
    if not found:
        return row
    face, second = main_face(found, rgb.shape[1], rgb.shape[0])
    mesh = models.mesh.find(rgb, face.points)
    row |= {"second_face": second, "det_score": face.score, "landmarks": face.points.ravel().tolist()}
    row |= {"unit_scores": _unit_scores(rgb, face, models.units)}
    return row | {"presence": mesh.presence} | _judged(mesh)


def known_as(detector: Detector) -> dict[str, str]:
    """Return the column that says what found a face."""
    return {"name": detector.name, "sha256": detector.sha256, "terms": detector.terms}


def main_face(
    found: Sequence[Detection], width: int, height: int, *, box: Sequence[float] | None = None
) -> tuple[Detection, float | None]:
    """Return the face meant and the next one's weight as a share of its, None where it is the only one.

    The face meant is the one that overlaps an annotated `box` (x0 y0 x1 y1) most, and without one, or where none
    does, the largest central one. A face weighs its area, less towards the corners of the picture, down to nothing
    there.
    """

    def weight(face: Detection) -> float:
        x0, y0, x1, y1 = face.box
        off = np.hypot((x0 + x1) / width - 1, (y0 + y1) / height - 1) / np.sqrt(2)
        return float((x1 - x0) * (y1 - y0) * max(0.0, 1 - off))

    def rank(face: Detection) -> tuple[float, float]:
        return (overlap(face.box, box) if box else 0.0), weight(face)

    first, *others = sorted(found, key=rank, reverse=True)
    return first, min(1.0, max(map(weight, others)) / max(weight(first), 1e-9)) if others else None


def overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Return how much of two boxes (x0 y0 x1 y1) is shared, 0..1: the area of both by the area of either."""
    width, height = min(one[2], other[2]) - max(one[0], other[0]), min(one[3], other[3]) - max(one[1], other[1])
    both = max(0.0, width) * max(0.0, height)
    areas = ((x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (one, other))
    return both / max(sum(areas) - both, 1e-9)


def _unit_scores(rgb: Pixels, face: Detection, model: UnitModel | None) -> list[dict[str, Any]] | None:
    if model is None:
        return None
    scores = model.score(rgb, face)
    return [{"model": model.name, "unit": unit, "score": score} for unit, score in scores.items()]


def seen_points(mesh: Mesh) -> Points | None:
    """Return the mesh's points for measuring; None where it is not present, or of no size."""
    points = mesh.points.astype(np.float64)
    return None if mesh.presence < PRESENT or eye_distance(points) < 1 else points


def _judged(mesh: Mesh) -> dict[str, Any]:
    points = seen_points(mesh)
    if points is None:
        return {}
    return pose(points)._asdict() | {"eye_distance": eye_distance(points), "measures": measure_points(points)}
