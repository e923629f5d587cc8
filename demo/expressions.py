"""What the demo's faces do: units of movement on mesh points, and the units that make each expression.

Stands before the way of a face, as the data of `demo.portraits`. A unit moves named mesh points; lengths
are in eye distances, and a pair of points is given once, by its index on the left of the picture.
"""

from __future__ import annotations

from typing import NamedTuple


class Move(NamedTuple):
    """How far a point goes at weight 1, in eye distances."""

    out: float
    """Away from the midline of the face."""
    down: float


PAIRS = {
    **{55: 285, 107: 336, 52: 282, 105: 334, 46: 276, 70: 300},  # brows, lower and upper edge
    **{33: 263, 133: 362, 159: 386, 145: 374, 158: 385, 153: 380, 160: 387, 144: 373},  # lids
    **{98: 327, 129: 358, 205: 425, 50: 280, 207: 427},  # nose wings and cheeks
    **{61: 291, 40: 270, 39: 269, 37: 267, 91: 321, 181: 405, 84: 314},  # outer lips
    **{80: 310, 81: 311, 82: 312, 88: 318, 178: 402, 87: 317},  # inner lips
    **{172: 397, 136: 365, 150: 379, 149: 378, 176: 400, 148: 377},  # jaw line
    **{58: 288, 132: 361, 127: 356, 54: 284, 67: 297},  # rim of the face
}
"""Left to right; with MIDDLE, all the points that a warp holds on to."""

MIDDLE = (10, 9, 168, 6, 4, 2, 0, 13, 14, 17, 200, 152)

OUTER_UPPER = (40, 39, 37, 0, 267, 269, 270)
INNER_UPPER = (80, 81, 82, 13, 312, 311, 310)
INNER_LOWER = (88, 178, 87, 14, 317, 402, 318)
OUTER_LOWER = (91, 181, 84, 17, 314, 405, 321)
"""Four lines along the lips from left to right; the two inner ones are the edges of the mouth opening."""

QUARTER_UPPER, QUARTER_LOWER = (40, 80), (91, 88)
NEAR_UPPER, NEAR_LOWER = (39, 81), (181, 178)
MIDDLE_UPPER, MIDDLE_LOWER = (37, 0, 82, 13), (84, 17, 87, 14)
UPPER_LIP = (*QUARTER_UPPER, *NEAR_UPPER, *MIDDLE_UPPER)
LOWER_LIP = (*QUARTER_LOWER, *NEAR_LOWER, *MIDDLE_LOWER)


def _all(points: tuple[int, ...], out: float, down: float) -> dict[int, Move]:
    return {point: Move(out, down) for point in points}


UNITS: dict[str, dict[int, Move]] = {
    "brows up, inner": {
        **_all((55, 107), 0.01, -0.16),
        **_all((52, 105), 0, -0.06),
        9: Move(0, -0.06),
    },
    "brows up, outer": {**_all((46, 70), 0.01, -0.12), **_all((52, 105), 0, -0.15)},
    "brows together": {**_all((55, 107), -0.08, 0), **_all((52, 105), -0.04, 0)},
    "brows down": {
        **_all((55, 107), -0.01, 0.17),
        **_all((52, 105), 0, 0.09),
        **_all((46, 70), 0, -0.02),
        9: Move(0, 0.08),
    },
    "eyes wide": {159: Move(0, -0.05), 158: Move(0, -0.05), 160: Move(0, -0.04), 145: Move(0, 0.02)},
    "lids tight": {**_all((159, 158, 160), 0, 0.025), **_all((145, 153, 144), 0, -0.03)},
    "cheeks up": {205: Move(0.02, -0.08), 50: Move(0.01, -0.06), **_all((145, 153, 144), 0, -0.025)},
    "nose wrinkled": {
        129: Move(0.03, -0.11),
        98: Move(0.02, -0.1),
        **_all((4, 2), 0, -0.06),
        205: Move(0.01, -0.1),
        50: Move(0, -0.05),
        **_all((145, 153, 144), 0, -0.03),
    },
    "upper lip up": {
        **_all(UPPER_LIP, 0, -0.1),
        129: Move(0.02, -0.04),
        207: Move(0, -0.04),
    },
    "corners up": {
        61: Move(0.11, -0.15),
        **_all((*QUARTER_UPPER, *QUARTER_LOWER), 0.08, -0.07),
        **_all((*NEAR_UPPER, *NEAR_LOWER), 0.04, -0.01),
        **_all((*MIDDLE_UPPER, *MIDDLE_LOWER), 0, 0.01),
        205: Move(0.05, -0.09),
        207: Move(0.07, -0.1),
        50: Move(0.02, -0.05),
    },
    "corners down": {
        61: Move(0.01, 0.15),
        **_all((*QUARTER_UPPER, *QUARTER_LOWER), 0, 0.08),
        **_all((*NEAR_UPPER, *NEAR_LOWER), 0, 0.02),
        207: Move(0.02, 0.08),
        **_all((*MIDDLE_UPPER, *MIDDLE_LOWER), 0, -0.01),
    },
    "lips stretched": {
        61: Move(0.15, 0.04),
        **_all((*QUARTER_UPPER, *QUARTER_LOWER), 0.11, 0.015),
        **_all((*NEAR_UPPER, *NEAR_LOWER), 0.06, 0),
        207: Move(0.08, 0.02),
    },
    "lips narrow": {
        61: Move(-0.1, 0.02),
        **_all((*QUARTER_UPPER, *QUARTER_LOWER), -0.06, 0),
        **_all((*NEAR_UPPER, *NEAR_LOWER), -0.03, 0),
    },
    "lips thin": {**_all(OUTER_UPPER[:4], 0, 0.045), **_all(OUTER_LOWER[:4], 0, -0.06)},
    "chin up": {**_all(LOWER_LIP, 0, -0.08), **_all(UPPER_LIP, 0, -0.02), 200: Move(0, -0.05)},
    "lower lip down": {
        **_all(MIDDLE_LOWER, 0, 0.1),
        **_all(NEAR_LOWER, 0, 0.09),
        **_all(QUARTER_LOWER, 0, 0.06),
    },
    "jaw down": {
        **_all(MIDDLE_UPPER, 0, -0.03),
        **_all(MIDDLE_LOWER, 0, 0.36),
        **_all(NEAR_LOWER, 0, 0.33),
        **_all(QUARTER_LOWER, 0, 0.24),
        61: Move(-0.03, 0.1),
        **_all((152, 148, 176, 200), 0, 0.32),
        149: Move(0, 0.29),
        150: Move(-0.01, 0.23),
        136: Move(-0.01, 0.16),
        172: Move(0, 0.08),
    },
    "face wide": {136: Move(0.05, 0), 172: Move(0.07, 0), 58: Move(0.07, 0), 132: Move(0.06, 0)},
    "face long": {**_all((152, 148, 176, 149, 200), 0, 0.07), 150: Move(0, 0.05), 136: Move(0, 0.03)},
}
"""Name to what it moves. The last two are not expressions: they make faces differ."""

Weights = dict[str, float]

EXPRESSIONS: dict[str, Weights] = {
    "neutral": {},
    "happiness": {"corners up": 1.2, "cheeks up": 1, "upper lip up": 0.2, "lower lip down": 0.3},
    "sadness": {
        "corners down": 1,
        "brows up, inner": 1,
        "brows together": 0.5,
        "lids tight": 0.5,
        "chin up": 0.3,
    },
    "surprise": {
        "brows up, inner": 0.9,
        "brows up, outer": 0.85,
        "eyes wide": 0.9,
        "jaw down": 0.68,
        "lips narrow": 0.7,
    },
    "fear": {
        "brows up, inner": 1.2,
        "brows up, outer": 0.3,
        "brows together": 1,
        "eyes wide": 1.2,
        "lips stretched": 1,
        "jaw down": 0.25,
        "lower lip down": 0.6,
        "corners down": 0.3,
    },
    "disgust": {
        "nose wrinkled": 1.2,
        "upper lip up": 1,
        "chin up": 0.8,
        "brows down": 0.7,
        "lids tight": 1,
        "corners down": 0.9,
    },
    "anger": {
        "brows down": 1.1,
        "brows together": 0.7,
        "lips thin": 1,
        "lips narrow": 0.5,
        "corners down": 0.5,
        "lids tight": 0.4,
    },
    "contempt": {"corners up, left": 1.1, "cheeks up, left": 0.8, "lips thin": 0.3},
}
"""Canonical label to the units that show it; a name that ends in ", left" moves one side only."""
