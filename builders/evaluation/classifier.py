"""A classifier of expressions that the user has, as an ONNX file with a small entry in YAML, scored like any model.

Stands beside the baselines: the label with the highest number among those asked for is the answer. The entry and its
file are read and run as those of a unit model are.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pyarrow as pa

from ferbuild.builders import nets
from ferbuild.builders.build import Build
from ferbuild.builders.config import place
from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.builders.evaluation.posed import Own, Posed, best, own_words, replies, said
from ferbuild.builders.geometry import FAMILY
from ferbuild.builders.images import Pixels, decode
from ferbuild.builders.measures import main_face
from ferbuild.builders.nets import Nets
from ferbuild.builders.picture_net import NONE, Meant, Net, blob, check_input, cut, open_net
from ferbuild.manifests.load import load_classifier
from ferbuild.manifests.schema import ClassifierEntry

IDLE = "is none of the eight expressions"
FREE = {"file", "about", "licence", "terms"}
"""Keys of an entry that change no answer."""


class Opened(NamedTuple):
    """An entry and its file; it belongs to one process."""

    entry: ClassifierEntry
    labels: tuple[str, ...]
    """Of each number of the output the label that all sets share, or NONE."""
    net: Net

    def scores(self, rgb: Pixels, by: Nets | None) -> dict[str, float]:
        """Return the finite ones of the numbers by label; ValueError where no face can be cut out.

        `by` finds the face, the largest central one as everywhere; None: nobody looks for it.
        """
        found = nets.finder(by).find(rgb) if by else []
        face = main_face(found, rgb.shape[1], rgb.shape[0])[0] if found else None
        numbers = self.net.run(blob(cut(rgb, face, self.entry), self.entry.input)).ravel()
        named = zip(self.labels, numbers.tolist(), strict=True)
        return {label: number for label, number in named if label != NONE and np.isfinite(number)}


@dataclass(slots=True)
class Classifier:
    """The classifier whose entry lies at `path`."""

    path: Path
    name: str
    version: Mapping[str, Any]
    own: Mapping[str, Own]
    looks: bool
    """Whether a face is looked for."""
    nets: Nets | None = None
    """Known once it is prepared."""

    @classmethod
    def of(cls, path: Path, build: Build, *, taken: Collection[str]) -> Classifier:
        """Open the classifier; FerError where its entry, its file and the `taken` names do not go together."""
        where = path.resolve()
        opened = open_classifier(where)
        entry = opened.entry
        if entry.name in taken:
            problem = f"bears the name {entry.name}, which the tool has for another model"
            raise FerError(path, problem, "give it another `name`")
        looks = entry.crop.by != "none"
        version = {
            "baseline": "classifier",
            "entry": entry.model_dump(mode="json", exclude=FREE),
            "sha256": opened.net.sha256,
            "nets": nets.sums(build.settings, [build.settings.detector]) if looks else {},
        }
        return cls(where, entry.name, version, own_words(build), looks)

    def prepare(self, build: Build) -> None:
        """Fetch the detector where it is missing and the entry wants one."""
        self.nets = nets.some_of(build.settings, [build.settings.detector]) if self.looks else None

    def answer(self, rows: pa.Table) -> list[str]:
        """Return the answers; a blank one where no face is found, or the net gives no number for any choice."""
        return replies(rows, self._said)

    def _said(self, one: Posed, picture: bytes) -> str:
        rgb = decode(picture, max_pixels=sys.maxsize)
        try:
            scores = open_classifier(self.path).scores(rgb, self.nets)
        except ValueError:
            return ""
        return said(best(scores, one.choices, self.own[one.source]))


@cache
def open_classifier(path: Path) -> Opened:
    """Open the classifier whose entry is the YAML file at `path`, once a process; it runs on one thread.

    FerError: the entry does not hold together or does not fit its file, or nothing here can run it.
    """
    entry = load_classifier(path)
    labels = _labels(entry)
    check_input(entry, _where(entry))
    cv2.setNumThreads(1)
    return Opened(entry, labels, open_net(entry, place(path.parent, entry.file), Meant("labels", len(labels), IDLE)))


def _labels(entry: ClassifierEntry) -> tuple[str, ...]:
    """Return the label that each word of the entry means; FerError for one that means none, or the same as another."""
    for word in entry.labels:
        if word != NONE and word.casefold() not in FAMILY:
            hint = f"{did_you_mean(word.casefold(), FAMILY)}; `{NONE}` stands for a number that {IDLE}"
            raise FerError(_where(entry), f"labels: no expression is called {word!r}", hint)
    found = tuple(NONE if word == NONE else FAMILY[word.casefold()] for word in entry.labels)
    named = [label for label in found if label != NONE]
    if twice := [label for label in named if named.count(label) > 1]:
        raise FerError(_where(entry), f"labels: {twice[0]} stands twice", f"write `{NONE}` for the one to leave out")
    return found


def _where(entry: ClassifierEntry) -> str:
    return f"classifier {entry.name}"
