"""Models that anyone can run, as the scale that a figure is read on: the commonest label, measures, simple features.

Stands where a served model stands when FERBench is scored. A baseline computes its reply from the row, so nothing is
asked, stored or paid for; no baseline sees the row's label.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from ferbuild.builders import geometry, grounding, measure, nets
from ferbuild.builders.build import Build
from ferbuild.builders.evaluation.classifier import Classifier
from ferbuild.builders.evaluation.posed import (
    Own,
    Posed,
    best,
    own_words,
    posed,
    refuse_untrained,
    replies,
    said,
    spoken,
    untrained,
)
from ferbuild.builders.evaluation.probe import Probe
from ferbuild.builders.measures import measure_picture
from ferbuild.builders.nets import Nets
from ferbuild.builders.training_rows import SPLIT
from ferbuild.manifests import load
from ferbuild.manifests.schema import ClassifierEntry, TeacherEntry

NAMES = ("majority", "geometry", "probe")
OF_CLASSIFIERS = frozenset(ClassifierEntry.model_fields) - frozenset(TeacherEntry.model_fields)
"""Keys that make a YAML file a classifier's, and not a teacher's."""


class Program(Protocol):
    """An embedded model; it is sent to the worker processes as it is after `prepare`."""

    @property
    def name(self) -> str:
        """As `--model` says it, and the name of its folder."""

    @property
    def version(self) -> Mapping[str, Any]:
        """Everything that its replies depend on besides the rows, for a stage key."""

    def prepare(self, build: Build) -> None:
        """Make what answering needs; FerError, before any of the work, where that cannot be."""

    def answer(self, rows: pa.Table) -> list[str]:
        """Return a reply to each row of a FERBENCH table; a blank one where it can say nothing."""


def program_of(name: str, build: Build) -> Program | None:
    """Return the baseline that a name, or a YAML file, means; None where it means none of them.

    A YAML file may be a classifier's entry, or that of a teacher of kind geometry. FerError for a classifier that
    cannot be opened.
    """
    if name == "majority":
        return Majority(_commonest(build), own_words(build))
    if name == "geometry":
        return _geometry(name, build)
    if name == "probe":
        return Probe.planned(build)
    if not name.endswith((".yaml", ".yml")):
        return None
    said_there = load.read_yaml(Path(name))
    if said_there.get("kind") == "geometry":
        return _geometry(load.load_teacher(name).name, build)
    if set(said_there) & OF_CLASSIFIERS:
        return Classifier.of(Path(name), build, taken=(*NAMES, *load.entries("teachers.yaml")))
    return None


@dataclass(frozen=True, slots=True)
class Majority:
    """Says the commonest label of the training faces of the row's source, whatever the picture shows."""

    labels: Mapping[str, str]
    """Source to label; one without training faces has none."""
    own: Mapping[str, Own]
    name: str = "majority"

    @property
    def version(self) -> Mapping[str, Any]:
        return {"baseline": self.name, "labels": self.labels}

    def prepare(self, build: Build) -> None:
        """FerError where no source has training faces."""
        refuse_untrained(self.own, self.labels)

    def answer(self, rows: pa.Table) -> list[str]:
        """Return the same of every row of a source; FerError for one without training faces."""
        return [self._said(one) for one in posed(rows)]

    def _said(self, one: Posed) -> str:
        if one.source not in self.labels:
            raise untrained(one.source)
        return said(best({self.labels[one.source]: 1.0}, one.choices, self.own[one.source]))


def _commonest(build: Build) -> dict[str, str]:
    """Return the label that most training faces of each source of the benchmark have, as the releases list them.

    Of equally common ones it is the first in the order in which the source lists its labels.
    """
    found = {}
    for listing in build.listings:
        source, rows = listing.source, build.chosen(listing.rows)
        trained = source.benchmark and (source.name, SPLIT) not in build.benchmarks
        counts = Counter(rows.filter(pc.equal(rows["split"], SPLIT))["canonical"].to_pylist() if trained else ())
        order = [label for label in spoken(source.candidates, source.canonical) if counts[label]]
        if order:
            found[source.name] = max(order, key=counts.__getitem__)
    return found


@dataclass(slots=True)
class Geometry:
    """The embedded teacher of the same name, shown the benchmark's pictures: what a face mesh lets one judge."""

    name: str
    version: Mapping[str, Any]
    calibration: Path | None
    nets: Nets | None = None
    """Known once it is prepared."""

    def prepare(self, build: Build) -> None:
        """Fetch the nets that are missing; FerError where the calibration was made with others."""
        nets.fitting_calibration(build.settings)
        self.nets = nets.nets_of(build.settings)

    def answer(self, rows: pa.Table) -> list[str]:
        """Return the reasoned answers; a blank one where no face is found."""
        return replies(rows, self._said)

    def _said(self, one: Posed, picture: bytes) -> str:
        measured = measure_picture(picture, nets.opened(self.nets or nets.SHIPPED))
        known = load.load_calibration(self.calibration)
        return geometry.answer(measured, one.choices, known) if measured["faces_found"] else ""


def _geometry(name: str, build: Build) -> Geometry:
    settings = build.settings
    version = {
        "baseline": "geometry",
        "measures": [measure.VERSION, nets.as_options(settings)],
        "grounding": grounding.version(settings.calibration),
    }
    return Geometry(name, version, settings.calibration)
