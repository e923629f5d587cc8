"""What a detector, and where it is asked for the mesh, sees on a picture before a face is cut out of it.

On the way of a face this stands between decoding and the cut, and only where the recipe or a source asks: for a crop
that a detector finds, an alignment, or a check. What the cut leaves of it becomes the row's columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from ferbuild.builders import nets
from ferbuild.builders.config import Settings
from ferbuild.builders.detect import Detection, Detector
from ferbuild.builders.distances import Pose, pose
from ferbuild.builders.images import Pixels, describe
from ferbuild.builders.measures import known_as, main_face, seen_points
from ferbuild.builders.mesh import FaceMesh
from ferbuild.builders.nets import Nets
from ferbuild.filters import bind, face
from ferbuild.manifests.recipe import Picture

AROUND = 0.5
"""Share of an annotated box's side that is searched on each side of it: a detector needs some of what is around."""


class Look(NamedTuple):
    """What looks at a picture; cheap to send to another process."""

    nets: Nets
    pose: bool = False
    """Lay the mesh on the face too: only a check of the pose needs it."""


class Seen(NamedTuple):
    """What was seen on a picture, in pixels of all of it."""

    face: Detection | None = None
    """The face meant, of those found."""
    pose: Pose | None = None
    columns: Mapping[str, Any] = MappingProxyType({})
    """Of FACES, those that do not depend on the cut."""
    fault: str = ""
    """What a net said that failed on this picture."""

    def moved(self, x: int, y: int) -> Seen:
        """Return the same, seen on a larger picture in which this one's corner lies at x, y."""
        if self.face is None:
            return self
        x0, y0, x1, y1 = self.face.box
        points = self.face.points + np.array([x, y], np.float32)
        return self._replace(face=Detection(self.face.score, (x0 + x, y0 + y, x1 + x, y1 + y), points))


FAILED = "detector failed"
"""Of a picture on which a net raised an error: a drop reason, and a finding where the row is kept."""

NOTHING = Seen()
"""Nobody looked."""


def nets_needed(settings: Settings, picture: Picture, crops: Iterable[str]) -> tuple[str, ...]:
    """Return the names of the nets that faces cut out so have to be shown to: none, the detector, or the mesh too."""
    asked = bind.needed(face, settings.recipe.face_checks)
    detector, mesh = nets.names_of(settings)
    if "pose" in asked:
        return detector, mesh
    return (detector,) if asked or picture.align != "none" or "detect" in crops else ()


def look_of(settings: Settings, picture: Picture, crop: str) -> Look | None:
    """Return what looks at the pictures of a source, its nets fetched where they are missing; None: nothing need."""
    names = nets_needed(settings, picture, [crop])
    return Look(nets.some_of(settings, names), pose=len(names) > 1) if names else None


def look(rgb: Pixels, box: Sequence[float] | None, how: Look) -> Seen:
    """Look for the face that an annotated `box` (x0 y0 x1 y1, pixels) means, or the picture shows.

    With a box only its neighbourhood is searched: all of a large scene would be shrunk until the face is lost. An
    error of a net is the picture's, and the next one is looked at.
    """
    x, y, part = _around(rgb, box)
    if not part.size:
        return NOTHING
    detector, mesh = nets.finder(how.nets), nets.mesher(how.nets) if how.pose else None
    inside = None if box is None else [box[0] - x, box[1] - y, box[2] - x, box[3] - y]
    try:
        return _seen(part, inside, detector, mesh).moved(x, y)
    except Exception as err:  # whatever a net raises: OpenCV's and onnxruntime's errors have no common base
        return Seen(fault=describe(err))


def _seen(part: Pixels, box: Sequence[float] | None, detector: Detector, mesh: FaceMesh | None) -> Seen:
    found = detector.find(part)
    columns: dict[str, Any] = {"faces_found": len(found), "detector": known_as(detector)}
    if not found:
        return Seen(columns=columns)
    face, second = main_face(found, part.shape[1], part.shape[0], box=box)
    points = seen_points(mesh.find(part, face.points)) if mesh else None
    turn = None if points is None else pose(points)
    return Seen(face, turn, columns | {"second_face": second, "det_score": face.score})


def _around(rgb: Pixels, box: Sequence[float] | None) -> tuple[int, int, Pixels]:
    """Return what is searched, and where its corner lies in the picture; nothing, where a box and it do not meet."""
    if box is None:
        return 0, 0, rgb
    height, width = rgb.shape[:2]
    if not np.isfinite(box).all() or min(box[2], width) <= max(box[0], 0) or min(box[3], height) <= max(box[1], 0):
        return 0, 0, rgb[:0]
    across, down = AROUND * (box[2] - box[0]), AROUND * (box[3] - box[1])
    x0, x1 = (int(np.clip(round(at), 0, width)) for at in (box[0] - across, box[2] + across))
    y0, y1 = (int(np.clip(round(at), 0, height)) for at in (box[1] - down, box[3] + down))
    return x0, y0, np.ascontiguousarray(rgb[y0:y1, x0:x1])
