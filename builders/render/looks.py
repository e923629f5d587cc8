"""How a person looks and what stands behind: skin, eyes, hair and background, drawn by chance.

Stands beside `draw`. Skin tone is drawn evenly from light to dark, loosely tied to the descent of the shapes.
"""

from __future__ import annotations

import colorsys

import numpy as np

from ferbuild.builders.render.package import Floats
from ferbuild.builders.render.scene import Background, Colour, Eyes, Hair, Identity, Skin

TONE_CENTRES = {"african": 0.75, "asian": 0.35, "caucasian": 0.2}
IRISES: tuple[Colour, ...] = (
    (0.22, 0.13, 0.07),
    (0.32, 0.19, 0.09),
    (0.42, 0.30, 0.14),
    (0.36, 0.40, 0.24),
    (0.36, 0.47, 0.55),
    (0.47, 0.55, 0.60),
)
HAIRS: tuple[Colour, ...] = (
    (0.035, 0.030, 0.030),
    (0.075, 0.05, 0.04),
    (0.16, 0.10, 0.065),
    (0.27, 0.17, 0.10),
    (0.45, 0.31, 0.18),
    (0.62, 0.49, 0.31),
    (0.40, 0.17, 0.08),
)
GREY: Colour = (0.62, 0.61, 0.60)
FEMALE_STYLES = {
    **{"long": 0.3, "bob": 0.22, "short": 0.1, "bun": 0.16},
    **{"curly": 0.1, "scarf": 0.08, "cropped": 0.02, "cap": 0.02},
}
MALE_STYLES = {"short": 0.42, "cropped": 0.22, "curly": 0.1, "bald": 0.13, "long": 0.04, "cap": 0.09}


def draw_skin(rng: np.random.Generator, person: Identity) -> Skin:
    centre = sum(share * TONE_CENTRES[name] for name, share in person.descent.items())
    tone = rng.uniform(0, 1) if rng.random() < 0.35 else np.clip(rng.normal(centre, 0.16), 0, 1)
    made_up = person.sex < 0.5 and rng.random() < 0.45
    lips = (0.96, 0.58, 0.68) if made_up else (0.95, 0.75, 0.80)
    return Skin(
        tone=round(float(tone), 3),
        warmth=_round(np.clip(rng.normal(0, 0.45), -1, 1)),
        flush=_round(rng.beta(1.6, 3)),
        blotches=_round(rng.uniform(0.2, 1)),
        freckles=_round(rng.beta(1, 4) * (rng.random() < 0.35) * (tone < 0.45)),
        stubble=_round(rng.beta(1.2, 1.6) * (person.sex > 0.5) * (rng.random() < 0.65)),
        lines=_round(np.clip((person.age - 22) / 45 + rng.normal(0, 0.12), 0.05, 1)),
        gloss=_round(rng.uniform(0.2, 1)),
        lips=_jitter(rng, lips, 0.035),
    )


def draw_eyes(rng: np.random.Generator, person: Identity) -> Eyes:
    light = person.descent.get("caucasian", 0)
    odds = np.array([3 - 2 * light, 2, 1, light, light, light])
    return Eyes(
        iris=_jitter(rng, IRISES[int(rng.choice(len(IRISES), p=odds / odds.sum()))], 0.04),
        pupil=_round(rng.uniform(0.32, 0.52)),
        gaze=(_round(rng.normal(0, 2.5)), _round(rng.normal(0, 2))),
        lashes=_round(rng.uniform(0.55, 1) if person.sex < 0.5 else rng.uniform(0.3, 0.75)),
    )


def draw_hair(rng: np.random.Generator, person: Identity) -> Hair:
    styles = FEMALE_STYLES if person.sex < 0.5 else MALE_STYLES
    style = str(rng.choice(list(styles), p=list(styles.values())))
    colour = HAIRS[int(rng.choice(len(HAIRS), p=_hair_odds(person)))]
    grey = float(np.clip((person.age - 42) / 25 + rng.normal(0, 0.3), 0, 1)) if person.age > 38 else 0.0
    mixed = tuple(a * (1 - grey) + b * grey for a, b in zip(colour, GREY, strict=True))
    receding = max(0.0, (person.age - 30) / 40) * (person.sex > 0.5) * rng.uniform(0, 0.5)
    return Hair(
        style=style,
        colour=_jitter(rng, mixed, 0.015),
        volume=_round(rng.uniform(0.03, 0.09) if style in ("cropped", "short", "bun") else rng.uniform(0.08, 0.2)),
        length=_round(rng.uniform(1.5, 1.9) if style == "bob" else rng.uniform(2.2, 3.4)),
        hairline=_round(rng.normal(0, 0.06) + receding),
        part=_round(rng.uniform(-0.6, 0.6)),
        brow=_round(np.clip(rng.normal(0.9 if person.sex < 0.5 else 1.15, 0.15), 0.6, 1.6)),
        brow_dark=_round(rng.uniform(0.7, 1)),
        brow_arch=_round(rng.normal(0.3 if person.sex < 0.5 else 0.0, 0.3)),
        cloth=_jitter(rng, colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.05, 0.6), rng.uniform(0.15, 0.85)), 0.02),
    )


def _hair_odds(person: Identity) -> Floats:
    light = person.descent.get("caucasian", 0)
    odds = np.array([3 - 2.5 * light, 2.5, 1.5, 2 * light, 1.5 * light, light, 0.5 * light])
    return np.asarray(odds / odds.sum())


def draw_background(rng: np.random.Generator) -> Background:
    def colour() -> Colour:
        return _jitter(rng, colorsys.hsv_to_rgb(rng.random(), 0.6 * rng.beta(1.2, 3.5), rng.uniform(0.1, 0.9)), 0.0)

    return Background(
        kind=str(rng.choice(["plain", "gradient", "texture"], p=[0.25, 0.35, 0.4])),
        colours=(colour(), colour()),
        scale=_round(rng.uniform(3, 14)),
        seed=int(rng.integers(1 << 31)),
    )


def _jitter(rng: np.random.Generator, colour: tuple[float, ...], spread: float) -> Colour:
    red, green, blue = (round(float(np.clip(part + rng.normal(0, spread), 0, 1)), 3) for part in colour)
    return red, green, blue


def _round(value: float) -> float:
    return round(float(value), 3)
