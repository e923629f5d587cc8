"""Draws scenes by chance: a person, a picture of it, and an expression by label, by single unit or by several.

Stands at the beginning of a render. Every number comes from the generator that is passed in, so the same generator
gives the same scenes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np

from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.builders.record import CANONICAL
from ferbuild.builders.render import looks, units
from ferbuild.builders.render.identity import draw_identity
from ferbuild.builders.render.scene import Camera, Crop, Framing, Identity, Light, Photo, Pose, Scene
from ferbuild.manifests.load import load_units

Kind = Literal["labels", "units", "pairs"]
NONE = "none"
"""The label of a picture whose units were drawn one by one."""
STRENGTH = (0.5, 1.1)
"""Range of a label's intensity."""
BANDS = {"frontal": (15.0, 12.0), "turned": (30.0, 18.0), "side": (45.0, 22.0), "profile": (70.0, 25.0)}
"""Range of pose to the largest yaw and pitch in degrees; `frontal` is the usual."""
BAND_SHARES = {"frontal": 0.65, "turned": 0.23, "side": 0.12, "profile": 0.0}
VARIANT = 0.25
"""Chance of each variant of a compound form."""
SMALL_UNITS = ("AU1", "AU2", "AU4", "AU5", "AU6", "AU7", "AU12", "AU14", "AU15", "AU17", "AU24", "AU25")
"""Units that a face shows a little of without meaning anything."""
AGAINST = (("AU43", "AU5"), ("AU27", "AU24"), ("AU27", "AU28"), ("AU27", "AU23"), ("AU26", "AU28"), ("AU18", "AU20"))
"""Pairs that undo each other: of those drawn together the second is left out."""


def draw(
    rng: np.random.Generator,
    *,
    label: str | None = None,
    asked: Mapping[str, float] | None = None,
    kind: Kind = "labels",
    strength: tuple[float, float] = STRENGTH,
    identity: Identity | None = None,
    like: Scene | None = None,
    pose: Pose | None = None,
    band: str | None = None,
    framing: Framing | None = None,
    calm: bool = False,
) -> Scene:
    """Return a scene. What is not given is drawn.

    label: a canonical word, shown through one of its prototypes at an intensity of `strength`.
    asked: units (`AU12`, `AU12.left`, …) to intensity 0..1, instead of a label; `{}` is a face at rest.
    kind: what to draw where neither is given: a label, a single unit, or two or three units.
    like: the scene of another picture of the same person, who keeps skin, eyes and hair.
    pose: degrees; band: one of BANDS to draw it from. calm: no unit moves but those asked for.
    FerError for an unknown label, unit or band.
    """
    form = ""
    if asked is None and label is None and kind != "labels":
        asked = draw_unit(rng) if kind == "units" else draw_several(rng)
    if asked is None:
        label = label or str(rng.choice(CANONICAL))
        asked, form = label_units(rng, label, strength)
    else:
        label = label or NONE
    weights = units.weights_of(asked)
    if not calm:
        weights = _with_small_units(rng, weights, asked)
    person = identity or (like.identity if like else draw_identity(rng))
    return Scene(
        seed=int(rng.integers(1 << 31)),
        kind=kind,
        label=label,
        weights=weights,
        identity=person,
        skin=like.skin if like else looks.draw_skin(rng, person),
        eyes=like.eyes if like else looks.draw_eyes(rng, person),
        hair=like.hair if like else looks.draw_hair(rng, person),
        pose=pose or draw_pose(rng, band),
        light=draw_light(rng),
        camera=draw_camera(rng),
        background=looks.draw_background(rng),
        photo=draw_photo(rng),
        framing=framing or Crop(),
        form=form,
    )


def draw_at(seed: int, *keys: int) -> np.random.Generator:
    """Return the generator of one picture: it depends on the seed and the keys alone."""
    return np.random.default_rng([seed, *keys])


def label_units(rng: np.random.Generator, label: str, strength: tuple[float, float]) -> tuple[dict[str, float], str]:
    """Return units and intensities that show a label, and which form of its prototype was taken."""
    prototypes = load_units().prototypes
    if label not in prototypes:
        raise FerError(f"label {label!r}", "has no prototype", did_you_mean(label, prototypes))
    prototype = prototypes[label]
    compound = bool(prototype.compound) and rng.random() < 0.5
    members = list(prototype.compound if compound else prototype.emfacs)
    if compound:
        members += [one for one in prototype.variants if rng.random() < VARIANT]
    level = rng.uniform(*strength)
    side = str(rng.choice(["left", "right"]))
    out: dict[str, float] = {}
    for member in members:
        unit, one_sided, _ = member.partition(".one")
        if unit in units.names():
            amount = float(np.clip(level * rng.uniform(0.8, 1.2), 0, 1))
            out |= {f"{unit}.{side}": amount} if one_sided else _uneven(rng, unit, amount)
    return out, ("compound" if compound else "emfacs")


def _uneven(rng: np.random.Generator, unit: str, amount: float) -> dict[str, float]:
    """Return a unit with the small difference that two halves of a face have."""
    if not units.is_sided(unit):
        return {unit: amount}
    lean = rng.normal(0, 0.06)
    return {f"{unit}.left": float(np.clip(amount * (1 + lean), 0, 1)),
            f"{unit}.right": float(np.clip(amount * (1 - lean), 0, 1))}  # fmt: skip


def draw_unit(rng: np.random.Generator, unit: str | None = None) -> dict[str, float]:
    """Return a single unit at 0.3 to 1; a sided one on one side half of the time."""
    unit = unit or str(rng.choice(units.names()))
    amount = float(rng.uniform(0.3, 1))
    if units.is_sided(unit) and rng.random() < 0.5:
        return {f"{unit}.{rng.choice(['left', 'right'])}": amount}
    return _uneven(rng, unit, amount)


def draw_several(rng: np.random.Generator) -> dict[str, float]:
    """Return two or three units, each drawn without regard to the others, so that none foretells another."""
    chosen = [str(one) for one in rng.choice(units.names(), int(rng.integers(2, 4)), replace=False)]
    for one, other in AGAINST:
        if one in chosen and other in chosen:
            chosen.remove(other)
    out: dict[str, float] = {}
    for unit in chosen:
        out |= draw_unit(rng, unit)
    return out


def _with_small_units(
    rng: np.random.Generator, weights: Mapping[str, float], asked: Mapping[str, float]
) -> dict[str, float]:
    """Return the weights with a trace of a few units that were not asked for."""
    taken = {key.partition(".")[0] for key in asked}
    few = {str(one) for one in rng.choice(SMALL_UNITS, 3, replace=False)} - taken
    trace = units.weights_of({one: float(rng.uniform(0, 0.12)) for one in sorted(few)})
    return units.clipped({name: weights.get(name, 0) + trace.get(name, 0) for name in {*weights, *trace}})


def draw_pose(rng: np.random.Generator, band: str | None = None) -> Pose:
    """Return a pose in one of BANDS, by default drawn by BAND_SHARES."""
    if band is not None and band not in BANDS:
        raise FerError(f"band {band!r}", "no such range of pose", did_you_mean(band, BANDS))
    name = band or str(rng.choice(list(BAND_SHARES), p=list(BAND_SHARES.values())))
    yaw, pitch = BANDS[name]
    inner = 0.0 if name == "frontal" else BANDS[list(BANDS)[list(BANDS).index(name) - 1]][0]
    turn = float(rng.uniform(inner, yaw)) * float(rng.choice([-1, 1]))
    return Pose(round(turn, 2), round(float(rng.uniform(-pitch, pitch)), 2), round(float(rng.normal(0, 5)), 2))


def draw_light(rng: np.random.Generator) -> Light:
    return Light(
        yaw=float(rng.uniform(-65, 65)),
        pitch=float(rng.uniform(5, 60)),
        key=float(rng.uniform(0.5, 0.95)),
        ambient=float(rng.uniform(0.3, 0.6)),
        warmth=float(rng.normal(0, 0.4)),
        rim=float(rng.uniform(0, 0.5) * (rng.random() < 0.4)),
    )


def draw_camera(rng: np.random.Generator) -> Camera:
    return Camera(
        distance=float(rng.uniform(5, 16)),
        tilt=float(np.clip(rng.normal(0, 2.5), -7, 7)),
        zoom=float(rng.uniform(0.93, 1.07)),
        shift=(float(rng.normal(0, 0.012)), float(rng.normal(0, 0.012))),
    )


def draw_photo(rng: np.random.Generator) -> Photo:
    return Photo(
        blur=float(rng.choice([0.0, 0.4, 0.8, 1.4], p=[0.35, 0.3, 0.25, 0.1])),
        noise=float(min(rng.gamma(1.5, 1.4), 7)),
        quality=int(rng.integers(75, 98)),
        gamma=float(rng.uniform(0.85, 1.2)),
        seed=int(rng.integers(1 << 31)),
    )
