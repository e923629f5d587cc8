"""What becomes of a row by what its reviewers decided, and by what was decided about the faces that it shows.

Stands between what stands of the logs and the reviewed datasets.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ferbuild.builders import faces
from ferbuild.builders.reasons import DISAGREE
from ferbuild.builders.reviewing import log
from ferbuild.builders.reviewing.standing import Decisions, Outcome, standing

REJECTED, RELABELLED = "rejected in review", "relabelled in review"
FACE_REJECTED, FACE_RELABELLED = "its face was rejected in review", "its face was relabelled in review"


class Fate(NamedTuple):
    """What becomes of a row."""

    reason: str
    """Why it is dropped, or would be if it were no benchmark's."""
    detail: str
    label: str = ""
    """The canonical word that it gets, and stays."""
    dropped: bool = True


class Review(NamedTuple):
    """What was decided about a dataset, and about the faces that its rows show."""

    rows: Mapping[str, Outcome]
    faces: Mapping[str, Outcome]
    """Empty of the faces dataset itself."""
    keys: Mapping[str, str]
    """Decided row to the stage key of the build that was looked at last."""

    @property
    def digest(self) -> str:
        """Hash of all that the reviewed dataset depends on; no time enters."""
        told = [[[row, *one] for row, one in sorted(some.items())] for some in (self.rows, self.faces)]
        return hashlib.sha256(json.dumps([told, sorted(self.keys.items())]).encode()).hexdigest()


def decided(work: Path, dataset: str) -> Review:
    """Return what was decided about a dataset of a work folder, and about its faces."""
    own = standing(log.read(log.path_of(work, dataset)))
    upstream = Decisions() if dataset == faces.FOLDER else standing(log.read(log.path_of(work, faces.FOLDER)))
    keys = {row: max(said for said in own.verdicts(row).values()).key for row, _ in own.outcomes()}
    return Review(dict(own.outcomes()), dict(upstream.outcomes()), keys)


def of_row(name: str, shown: Sequence[str], review: Review, *, labels: bool, safe: bool, drops: bool) -> Fate | None:
    """Return what becomes of a row that shows some faces; None: it stays as it is.

    `labels`: it is a face, which may get another label. `safe`: it is a benchmark's, and stays. `drops`: a disagreement
    drops it.
    """
    own = review.rows.get(name)
    if safe:
        return _of_benchmark(own)
    fate = _of_row(own, labels=labels, drops=drops)
    return fate if fate and fate.dropped else _of_faces(shown, review.faces, drops=drops) or fate


def _of_row(one: Outcome | None, *, labels: bool, drops: bool) -> Fate | None:
    """Return what becomes of a row by what was decided about it; None: it stays as it is."""
    if one is None or one.result == "accept":
        return None
    if one.result == "reject":
        return Fate(REJECTED, one.note)
    if one.result == "disagree":
        return Fate(DISAGREE, one.note, dropped=drops)
    label = one.label or ""
    if labels:
        return Fate("", "", label, dropped=False)
    return Fate(RELABELLED, _joined(label, one.note))


def _of_faces(shown: Sequence[str], review: Mapping[str, Outcome], *, drops: bool) -> Fate | None:
    """Return what becomes of a row by what was decided about the faces that it shows, the worst first."""
    seen = {name: one for name in shown if (one := review.get(name)) is not None}
    for name, one in seen.items():
        if one.result == "reject":
            return Fate(FACE_REJECTED, _joined(name, one.note))
    for name, one in seen.items():
        if one.result == "relabel":
            return Fate(FACE_RELABELLED, _joined(name, one.label or "", one.note))
    for name, one in seen.items():
        if one.result == "disagree":
            return Fate(DISAGREE, _joined(f"face {name}", one.note), dropped=drops)
    return None


def _of_benchmark(one: Outcome | None) -> Fate | None:
    """Return what is told of a benchmark's face, which stays as it is whatever was decided."""
    told = {"reject": REJECTED, "relabel": RELABELLED, "disagree": DISAGREE}
    return Fate(told[one.result], "", dropped=False) if one and one.result in told else None


def _joined(*words: str) -> str:
    return "; ".join(filter(None, words))
