"""The linear probe: what simple numbers of a face say of its label, learnt from the training faces of the same source.

Stands beside the other baselines. It is the figure that a model has to beat to have been worth more than a histogram:
fitted once for a build, kept beside the answers, and asked of the pictures as the faces stage would have stored them.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import xxhash

from ferbuild.builders import faces, pool, training_rows
from ferbuild.builders.build import Build
from ferbuild.builders.errors import FerError
from ferbuild.builders.evaluation import gradients, linear
from ferbuild.builders.evaluation.gradients import Floats, describe
from ferbuild.builders.evaluation.linear import Linear
from ferbuild.builders.evaluation.posed import (
    Own,
    Posed,
    benchmarked,
    best,
    own_words,
    refuse_untrained,
    replies,
    said,
    untrained,
)
from ferbuild.builders.facing import Facing
from ferbuild.builders.framing import frame, grown
from ferbuild.builders.images import PictureError, Pixels, decode
from ferbuild.builders.looking import NOTHING, look
from ferbuild.builders.shards import Slice
from ferbuild.builders.training_rows import Pairs

VERSION = 1
"""Raised when the code makes other numbers or another model of the same faces."""
NAME = "probe"
FILE = "eval/probe.npz"
"""Below the work folder."""
MOST = 20_000
"""Faces of a source that are learnt from."""


class Drawn(NamedTuple):
    """A training face that is learnt from."""

    piece: int
    at: int
    """In the rows that `training_rows.read` gives of the piece."""
    label: str
    place: int
    """In the drawn order of its label."""


class Wanted(NamedTuple):
    """Some drawn faces of one slice; cheap to send to another process."""

    piece: Slice
    benchmarks: Pairs
    number: int
    """Of the piece."""
    at: tuple[int, ...]


@dataclass(slots=True)
class Probe:
    """One linear model a source."""

    key: str
    """Of everything that the models depend on."""
    file: Path
    own: Mapping[str, Own]
    how: Mapping[str, Facing] = field(default_factory=dict)
    """How the pictures of a source become faces; known once it is prepared."""
    name: str = NAME

    @classmethod
    def planned(cls, build: Build) -> Probe:
        settings = build.settings
        parts = [
            [VERSION, MOST, linear.STRENGTHS, linear.FOLD, linear.ITERATIONS],
            [gradients.SIDE, gradients.CELL, gradients.BLOCK, gradients.BINS, gradients.THUMBNAIL],
            [settings.seed, faces.plan(build).key, sorted(build.benchmarks)],
        ]
        key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]
        return cls(key, settings.work / FILE, own_words(build))

    @property
    def version(self) -> Mapping[str, Any]:
        return {"baseline": NAME, "key": self.key}

    def prepare(self, build: Build) -> None:
        """Bring the faces up to date and fit, unless the file holds what they would give.

        FerError where no source has training faces, or the recipe enlarges pictures whose boxes are in pixels of the
        file: the face would be cut out in the wrong place.
        """
        self.how = _facings(build)
        for source, how in self.how.items():
            if how.crop == "box" and how.picture.enlarge_to:
                hint = "use a recipe without `enlarge_to`: what the probe sees is 64 pixels a side all the same"
                raise FerError(f"recipe {build.settings.recipe.name}", f"enlarges the pictures of {source}", hint)
        models = linear.read(self.file, self.key)
        if models is None:
            models = _fit_all(build)
            linear.write(self.file, self.key, models)
        refuse_untrained(self.own, models)

    def answer(self, rows: pa.Table) -> list[str]:
        """Return the answers; FerError for a source without training faces."""
        return replies(rows, self._said)

    def _said(self, one: Posed, picture: bytes) -> str:
        models = _models(self.file, self.key)
        if one.source not in models:
            raise untrained(one.source)
        scores = models[one.source].scores(describe(as_faced(picture, one.box, self.how[one.source])))
        return said(best(scores, one.choices, self.own[one.source]))


def as_faced(picture: bytes, box: Sequence[float] | None, how: Facing) -> Pixels:
    """Return the face of a benchmark picture as the faces stage stores a training face of the same source.

    So AffectNet's is cut out by the release's own box, and encoded and decoded again as those learnt from are. A
    picture that the box misses, or on which no face is found to cut out or align, is taken whole: the stage drops it
    from training, and a benchmark is never thinned.
    """
    pixels = decode(picture, max_pixels=sys.maxsize)
    wanted = box if how.crop == "box" else None
    seen = look(pixels, wanted, how.look) if how.look else NOTHING
    if how.crop == "detect" and seen.face:
        wanted = grown(seen.face, how.picture.margin)
    try:
        found = frame(picture, pixels, wanted, seen.face, how.picture).cut
    except PictureError:
        return pixels
    return pixels if found.data is picture else decode(found.data, max_pixels=sys.maxsize)


def _facings(build: Build) -> dict[str, Facing]:
    picture = faces.picture_of(build, None)
    return {one.source.name: faces.facing(build, one, picture) for one in build.benchmark_listings}


@cache
def _models(file: Path, key: str) -> Mapping[str, Linear]:
    """Return the fitted models, read once a process; FerError where they are gone."""
    found = linear.read(file, key)
    if found is None:
        raise FerError(file, "is gone, or was replaced by another build", "run the command again: it is fitted anew")
    return found


def _fit_all(build: Build) -> dict[str, Linear]:
    """Return a model for every source of the benchmark with training faces of two labels or more."""
    upstream = faces.run(build)
    build.began(NAME)
    pieces = [job.work for job in training_rows.jobs(upstream.out, build.benchmarks)]
    drawn = {source: found for source, found in _draw(pieces, build).items() if len({one.label for one in found}) > 1}
    total, done = sum(map(len, drawn.values())), 0
    models = {}
    for source, found in drawn.items():
        numbers = np.empty((len(found), gradients.COUNT), np.float32)
        for rows, some in _described(pieces, found, build):
            numbers[rows] = some
            done += len(some)
            if build.tick:
                build.tick(NAME, done, total)
        labels, places = (np.array([getattr(one, part) for one in found]) for part in ("label", "place"))
        models[source] = linear.fit(numbers, labels, places)
    return models


def _draw(pieces: Sequence[Slice], build: Build) -> dict[str, list[Drawn]]:
    """Return the faces to learn from by source, in the order of the pieces: at most MOST, as evenly over the labels as
    there are faces, drawn by their ids and the seed.
    """
    found: dict[str, list[tuple[int, str, int, int]]] = {name: [] for name in benchmarked(build)}
    for number, piece in enumerate(pieces):
        table = training_rows.read(piece, build.benchmarks).select(["id", "source", "canonical"])
        for at, row in enumerate(table.to_pylist()):
            if row["source"] in found:
                rank = xxhash.xxh3_64_intdigest(row["id"].encode(), seed=build.settings.seed)
                found[row["source"]].append((rank, row["canonical"], number, at))
    return {source: _evenly(some) for source, some in found.items()}


def _evenly(ranked: Sequence[tuple[int, str, int, int]]) -> list[Drawn]:
    """Draw from (rank, label, piece, row) the first of every label, then the second ones, and so on."""
    nth = dict[str, int]()
    placed = []
    for rank, label, number, at in sorted(ranked):
        nth[label] = nth.get(label, -1) + 1
        placed.append((nth[label], rank, Drawn(number, at, label, nth[label])))
    return sorted(one for *_, one in sorted(placed)[:MOST])


def _described(pieces: Sequence[Slice], drawn: Sequence[Drawn], build: Build) -> Iterator[tuple[slice, Floats]]:
    """Yield which of the drawn faces were described, and their numbers; pieces come in any order."""
    wanted, starts, start = [], dict[int, int](), 0
    for number, group in groupby(drawn, key=itemgetter(0)):
        at = tuple(one.at for one in group)
        wanted.append(Wanted(pieces[number], build.benchmarks, number, at))
        starts[number] = start
        start += len(at)
    for number, some in pool.each(_describe_some, wanted, workers=build.settings.workers, stage=NAME):
        yield slice(starts[number], starts[number] + len(some)), some


def _describe_some(wanted: Wanted) -> tuple[int, Floats]:
    images = training_rows.read(wanted.piece, wanted.benchmarks)["image"].take(pa.array(wanted.at, pa.int64()))
    try:
        pixels = (decode(image["bytes"], max_pixels=sys.maxsize) for image in images.to_pylist())
        return wanted.number, np.stack([describe(one) for one in pixels])
    except PictureError as err:
        hint = "its bytes were changed on disk: delete the folder and run `fer-build faces` again"
        raise FerError(wanted.piece.path, f"holds a picture that no longer decodes ({err.reason})", hint) from None
