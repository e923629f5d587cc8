"""Who is rendered: sex, age, descent and the shape of head and features, by the mesh's own targets.

Stands beside `draw`, which gives each person a picture. Shapes that look like an expression vary too: faces differ
at rest, and a measurement has to bear it.
"""

from __future__ import annotations

import numpy as np

from ferbuild.builders.render.head import DESCENTS
from ferbuild.builders.render.scene import Identity

AGES = (18.0, 80.0)
"""Years; there are no children."""

SPREAD: dict[str, tuple[str, str, float]] = {
    "head/fat": ("head-fat-decr", "head-fat-incr", 0.3),
    "head/width": ("head-scale-horiz-decr", "head-scale-horiz-incr", 0.22),
    "head/height": ("head-scale-vert-decr", "head-scale-vert-incr", 0.18),
    "head/depth": ("head-scale-depth-decr", "head-scale-depth-incr", 0.3),
    "head/angle": ("head-angle-in", "head-angle-out", 0.25),
    "forehead/height": ("forehead-scale-vert-decr", "forehead-scale-vert-incr", 0.25),
    "forehead/depth": ("forehead-trans-backward", "forehead-trans-forward", 0.3),
    "forehead/temple": ("forehead-temple-decr", "forehead-temple-incr", 0.4),
    "forehead/bulge": ("forehead-nubian-decr", "forehead-nubian-incr", 0.3),
    "brow/angle": ("eyebrows-angle-down", "eyebrows-angle-up", 0.14),
    "brow/height": ("eyebrows-trans-down", "eyebrows-trans-up", 0.25),
    "brow/depth": ("eyebrows-trans-backward", "eyebrows-trans-forward", 0.3),
    "chin/width": ("chin-width-decr", "chin-width-incr", 0.3),
    "chin/height": ("chin-height-decr", "chin-height-incr", 0.25),
    "chin/depth": ("chin-prominent-decr", "chin-prominent-incr", 0.4),
    "chin/jaw": ("chin-prognathism-decr", "chin-prognathism-incr", 0.2),
    "chin/bones": ("chin-bones-decr", "chin-bones-incr", 0.25),
    "mouth/width": ("mouth-scale-horiz-decr", "mouth-scale-horiz-incr", 0.3),
    "mouth/height": ("mouth-scale-vert-decr", "mouth-scale-vert-incr", 0.25),
    "mouth/depth": ("mouth-scale-depth-decr", "mouth-scale-depth-incr", 0.25),
    "mouth/place": ("mouth-trans-down", "mouth-trans-up", 0.18),
    "mouth/angles": ("mouth-angles-down", "mouth-angles-up", 0.2),
    "mouth/bow": ("mouth-cupidsbow-decr", "mouth-cupidsbow-incr", 0.4),
    "mouth/lower": ("mouth-lowerlip-height-decr", "mouth-lowerlip-height-incr", 0.35),
    "mouth/lower volume": ("mouth-lowerlip-volume-decr", "mouth-lowerlip-volume-incr", 0.4),
    "mouth/upper": ("mouth-upperlip-height-decr", "mouth-upperlip-height-incr", 0.35),
    "mouth/upper volume": ("mouth-upperlip-volume-decr", "mouth-upperlip-volume-incr", 0.4),
    "nose/base": ("nose-base-down", "nose-base-up", 0.35),
    "nose/curve": ("nose-curve-concave", "nose-curve-convex", 0.4),
    "nose/hump": ("nose-hump-decr", "nose-hump-incr", 0.35),
    "nose/flare": ("nose-flaring-decr", "nose-flaring-incr", 0.35),
    "nose/nostrils": ("nose-nostrils-width-decr", "nose-nostrils-width-incr", 0.35),
    "nose/point": ("nose-point-down", "nose-point-up", 0.35),
    "nose/point width": ("nose-point-width-decr", "nose-point-width-incr", 0.35),
    "nose/depth": ("nose-scale-depth-decr", "nose-scale-depth-incr", 0.35),
    "nose/width": ("nose-scale-horiz-decr", "nose-scale-horiz-incr", 0.35),
    "nose/height": ("nose-scale-vert-decr", "nose-scale-vert-incr", 0.22),
    "nose/place": ("nose-trans-down", "nose-trans-up", 0.15),
    "nose/volume": ("nose-volume-decr", "nose-volume-incr", 0.35),
    "nose/bridge": ("nose-width1-decr", "nose-width1-incr", 0.4),
    "neck/round": ("measure-neck-circ-decr", "measure-neck-circ-incr", 0.4),
}
"""A way in which heads differ: the target below, the one above, and the spread of the weight between them."""

PAIRED: dict[str, tuple[str, str, float]] = {
    "cheek/bones": ("cheek-bones-decr", "cheek-bones-incr", 0.4),
    "cheek/volume": ("cheek-volume-decr", "cheek-volume-incr", 0.4),
    "cheek/inner": ("cheek-inner-decr", "cheek-inner-incr", 0.3),
    "ear/size": ("ear-scale-decr", "ear-scale-incr", 0.3),
    "ear/wing": ("ear-wing-decr", "ear-wing-incr", 0.4),
    "eye/bag": ("eye-bag-decr", "eye-bag-incr", 0.4),
    "eye/outer": ("eye-corner1-down", "eye-corner1-up", 0.3),
    "eye/inner": ("eye-corner2-down", "eye-corner2-up", 0.25),
    "eye/fold": ("eye-eyefold-down", "eye-eyefold-up", 0.4),
    "eye/epicanthus": ("eye-epicanthus-in", "eye-epicanthus-out", 0.4),
    "eye/height inner": ("eye-height1-decr", "eye-height1-incr", 0.15),
    "eye/height": ("eye-height2-decr", "eye-height2-incr", 0.15),
    "eye/height outer": ("eye-height3-decr", "eye-height3-incr", 0.15),
    "eye/size": ("eye-scale-decr", "eye-scale-incr", 0.25),
    "eye/apart": ("eye-trans-in", "eye-trans-out", 0.25),
    "eye/place": ("eye-trans-down", "eye-trans-up", 0.2),
}
"""The same for what exists on both sides, named without `l-` and `r-`."""
OFF = {"eye-height1-incr": 0.15, "eye-height2-incr": 0.3, "eye-height3-incr": 0.15}
"""Means other than 0: the base mesh's eyes are narrower than most people's."""
PAIRED_SLIP = 0.06
"""Spread of the difference between the sides."""

OUTLINES = ("head-oval", "head-round", "head-rectangular", "head-square", "head-triangular", "head-invertedtriangular",
            "head-diamond", "head-oval", "head-round")  # fmt: skip
CROOKED = (
    *("asym-brown-1", "asym-brown-2", "asym-cheek-1", "asym-cheek-2", "asym-eye-1", "asym-eye-3", "asym-eye-4"),
    *("asym-eye-6", "asym-jaw-1", "asym-jaw-2", "asym-jaw-3", "asym-mouth-1", "asym-mouth-2", "asym-nose-1"),
    *("asym-nose-2", "asym-nose-3", "asym-temple-1", "asym-top-1"),
)
"""Asymmetries; each exists for the left and the right."""
CROOKED_SPREAD = 0.16


def draw_identity(rng: np.random.Generator, number: int = 0) -> Identity:
    """Return a person; `number` only names it."""
    shares = rng.dirichlet([0.5] * len(DESCENTS))
    shapes: dict[str, float] = {}
    for low, high, spread in SPREAD.values():
        _lean(shapes, low, high, rng.normal(0, spread))
    for low, high, spread in PAIRED.values():
        both = rng.normal(OFF.get(high, 0), spread)
        for side in "lr":
            _lean(shapes, f"{side}-{low}", f"{side}-{high}", both + rng.normal(0, PAIRED_SLIP))
    shapes[str(rng.choice(OUTLINES))] = round(float(rng.uniform(0, 0.5)), 3)
    for name in CROOKED:
        _lean(shapes, f"{name}-l", f"{name}-r", rng.normal(0, CROOKED_SPREAD))
    return Identity(
        number=number,
        sex=round(float(np.clip(rng.choice([0.08, 0.92]) + rng.normal(0, 0.08), 0, 1)), 3),
        age=round(float(rng.triangular(AGES[0], 26, AGES[1])), 1),
        descent={name: round(float(share), 3) for name, share in zip(DESCENTS, shares, strict=True)},
        shapes={name: weight for name, weight in sorted(shapes.items()) if weight},
    )


def _lean(shapes: dict[str, float], low: str, high: str, weight: float) -> None:
    """Add a weight between two opposed targets; beyond 1 the mesh folds."""
    shapes[high if weight > 0 else low] = round(float(min(abs(weight), 1.0)), 3)
