"""Likely label errors: faces of which several samples of a teacher agree on another label.

Reads the faces and the stored replies, and asks nobody. The annotators' votes stand beside, where a release has them:
a face that they were split on too is worth a look first.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from ferbuild.builders import sheets, training_rows
from ferbuild.builders.asking import Asking
from ferbuild.builders.errors import FerError
from ferbuild.builders.files import durable
from ferbuild.builders.images import decode
from ferbuild.builders.record import VOTE_WORDS
from ferbuild.builders.samples import Votes, is_suspect
from ferbuild.builders.stage import Job
from ferbuild.builders.traces import choices_of

SHOWN = 64
"""Faces on a sheet, at most."""


class Suspect(NamedTuple):
    """A face whose label the teacher does not believe."""

    id: str
    source: str
    rel_path: str
    label: str
    teacher: str
    """What its samples agree on."""
    share: float
    """Of the samples, 0..1."""
    samples: int
    votes: Mapping[str, int]
    """Of the annotators, those that were given; empty where the release has none."""
    image: bytes


class Found(NamedTuple):
    """What a look at all faces found."""

    suspects: list[Suspect]
    """The surest first."""
    looked_at: int
    """Faces with enough samples to tell."""
    too_few: int
    """Faces with fewer samples than the recipe asks for."""


def find(jobs: Sequence[Job], asking: Asking) -> Found:
    """Return the suspects among the faces; FerError where no face has samples enough."""
    looked_at, too_few, found = 0, 0, list[Suspect]()
    for job in jobs:
        table = training_rows.read(job.work, asking.benchmarks)
        for at, (row, votes) in enumerate(_answered(table, asking)):
            enough = votes.samples >= asking.consistency.suspect_samples
            looked_at, too_few = looked_at + enough, too_few + (not enough)
            if is_suspect(votes, row["label"], asking.consistency):
                found.append(_suspect(row, votes, table["image"][at]["bytes"].as_py()))
    if not looked_at:
        least = asking.consistency.suspect_samples
        hint = f"ask for more: fer-build cot --teacher {asking.entry.name} --samples {least}"
        raise FerError(f"teacher {asking.entry.name}", f"no face has {least} samples", hint)
    return Found(sorted(found, key=_order), looked_at, too_few)


def _answered(table: pa.Table, asking: Asking) -> Iterator[tuple[Mapping[str, Any], Votes]]:
    rows = table.drop_columns("image").to_pylist()
    chosen = choices_of(table, training_rows.SPLIT, asking)
    return zip(rows, (one.votes for one in chosen), strict=True)


def _suspect(row: Mapping[str, Any], votes: Votes, image: bytes) -> Suspect:
    other = votes.majority or ""
    given = dict(zip(VOTE_WORDS, row["votes"] or (), strict=False))
    said = {word: count for word, count in given.items() if count}
    share = votes.share(other)
    return Suspect(row["id"], row["source"], row["rel_path"], row["label"], other, share, votes.samples, said, image)


def _order(one: Suspect) -> tuple[float, int, str]:
    return -one.share, -one.samples, one.id


def as_json(one: Suspect) -> dict[str, Any]:
    return {name: value for name, value in one._asdict().items() if name != "image"} | {"votes": dict(one.votes)}


def write_table(found: Sequence[Suspect], path: Path) -> None:
    """Write the suspects as CSV, a row each; the annotators' votes as text, most first."""
    names = [name for name in Suspect._fields if name != "image"]
    with durable(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(names)
        for one in found:
            out.writerow([_cell(getattr(one, name)) for name in names])


def told(votes: Mapping[str, int]) -> str:
    """Return annotators' votes in words, most first: "fear 6, surprise 4"."""
    return ", ".join(f"{word} {count}" for word, count in sorted(votes.items(), key=lambda item: -item[1]))


def _cell(value: Any) -> Any:
    return told(value) if isinstance(value, Mapping) else round(value, 4) if isinstance(value, float) else value


def write_sheet(found: Sequence[Suspect], path: Path, max_pixels: int) -> None:
    """Write the surest suspects as a picture sheet, the label and what the teacher sees below each."""
    pictures = [
        (f"{one.label}>{one.teacher}"[: sheets.WIDTH], decode(one.image, max_pixels=max_pixels))
        for one in found[:SHOWN]
    ]
    sheets.write_sheet(pictures, path, columns=8)
