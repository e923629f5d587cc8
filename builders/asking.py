"""What a teacher is asked of the faces, and everything that reading its replies needs.

Stands before `traces` and `rounds`. Nobody is asked here: requests are made, one by one, in the order of the faces.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from ferbuild.builders import measure
from ferbuild.builders.facts import facts
from ferbuild.builders.grounding import Grounds
from ferbuild.builders.questions import Question, question_among
from ferbuild.builders.replies import Request
from ferbuild.builders.samples import Judge
from ferbuild.builders.shown import shown
from ferbuild.builders.styles import Style
from ferbuild.builders.teacher import AskOptions, Teacher, open_teacher
from ferbuild.builders.training_rows import Pairs
from ferbuild.filters import bind, trace
from ferbuild.manifests.load import load_calibration
from ferbuild.manifests.recipe import Check, Claims, Consistency, Picture
from ferbuild.manifests.schema import TeacherEntry

Rows = Sequence[Mapping[str, Any]]


class Asking(NamedTuple):
    """Everything that turning a slice of faces into traces needs; cheap to send to another process."""

    entry: TeacherEntry
    store: Path
    template: str
    """The recipe's question; what it is called with a suffix asks the same another way."""
    questions: Mapping[str, Question]
    """Of every source, in the plain words."""
    checks: tuple[Check, ...]
    benchmarks: Pairs
    measures: tuple[Path, str] | None
    """Folder and stage key of the measures; None where neither the teacher nor the claims need them."""
    calibration: Path | None
    claims: Claims
    grounds: Grounds | None
    """What claims are held against; None where they are not checked."""
    consistency: Consistency = Consistency()
    samples: int = 1
    """Of every face; with `in_turn` the most that are asked for."""
    in_turn: bool = False
    """A face is asked again only while nothing that keeps it came."""
    style: Style = "think"
    picture: Picture = Picture()
    evidence: bool = False
    """What was measured is told to the teacher."""
    hints: bool = False
    """Faces that it got wrong are asked about again, with the label."""
    structured: bool = False
    """Replies are held to a regex where the server can; see `AskOptions`."""

    @property
    def judge(self) -> Judge:
        return Judge(bind.bind(trace, self.checks), self.consistency)

    def open(self) -> Teacher:
        """Return the teacher, to recall what it said."""
        options = AskOptions(structured=self.structured)
        return open_teacher(self.entry, store=self.store, options=options, calibration=self.calibration)


def requests(table: pa.Table, split: str, asking: Asking, *, sample: int | None = None) -> Iterator[Request]:
    """Yield what the teacher is asked of each face; neither the label nor anything made from it enters.

    All samples of a face one after another, or `sample` alone.
    """
    numbers = range(asking.samples) if sample is None else (sample,)
    measured = _measured(table, split, asking)
    for name, source, image in _faces(table, asking):
        question = asked(asking, source, measured.get(name))
        for number in numbers:
            yield _request(asking, question, name, image, number, measured.get(name))


def hinted(table: pa.Table, asking: Asking) -> Iterator[Request]:
    """Yield what the teacher is asked of faces that it got wrong: it is told the label and argues for it."""
    for (name, source, image), label in zip(_faces(table, asking), table["label"].to_pylist(), strict=True):
        choices = asking.questions[source].choices
        question = question_among(choices, f"{asking.template}_hinted", label=label)
        yield _request(asking, question, name, image, 0, None)


def asked(asking: Asking, source: str, measured: Mapping[str, Any] | None) -> Question:
    """Return what is asked of a face: the question of its source, with what was measured where that is told."""
    question = asking.questions[source]
    told = facts(measured or {}, load_calibration(asking.calibration)) if asking.evidence else []
    return question_among(question.choices, f"{asking.template}_evidence", facts=told) if told else question


def told_evidence(table: pa.Table, split: str, asking: Asking) -> list[bool]:
    """Return of every face whether the teacher was told what was measured: nothing is where nothing can be judged."""
    measured = _measured(table, split, asking) if asking.evidence else {}
    known = load_calibration(asking.calibration)
    return [bool(asking.evidence and facts(measured.get(name, {}), known)) for name in table["id"].to_pylist()]


def _measured(table: pa.Table, split: str, asking: Asking) -> Mapping[str, Mapping[str, Any]]:
    """Return the measures of the faces by id, where the teacher gets to see any of them."""
    if asking.measures is None or not (asking.entry.baseline or asking.evidence):
        return {}
    return measure.read_measures(*asking.measures, split, table["id"].to_pylist())


def _faces(table: pa.Table, asking: Asking) -> Iterator[tuple[str, str, bytes]]:
    for name, source, image in zip(table["id"].to_pylist(), table["source"].to_pylist(), table["image"], strict=True):
        yield name, source, shown(image["bytes"].as_py(), asking.picture)


def _request(
    asking: Asking, question: Question, name: str, image: bytes, sample: int, measured: Mapping[str, Any] | None
) -> Request:
    return Request(
        id=name,
        messages=tuple(question.messages),
        images=(image,),
        choices=question.choices,
        measured=measured if asking.entry.baseline else None,
        sample=sample,
    )
