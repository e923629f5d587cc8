"""A score as one HTML page that needs nothing else: no network, no script, no second file.

Stands behind the score and before the command line. What the page says is worded in `figures`, how it looks lies in
`templates`; text of models and files is escaped, and the page's own policy forbids scripts and requests besides.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

import cv2
import numpy as np
from jinja2 import Environment

from ferbuild.builders.evaluation import figures
from ferbuild.builders.evaluation.columns import METRICS
from ferbuild.builders.evaluation.figures import POOLED, RATES, Found, Line
from ferbuild.builders.images import PictureError, Pixels, decode, encode
from ferbuild.builders.templated import environment
from ferbuild.filters.official import UNKNOWN
from ferbuild.manifests.recipe import Picture

SIDE = 160
"""Pixels of the longer side of a picture on the page, at most."""
STORED = Picture(crop_quality=85)
"""How pictures are stored on the page."""
START = 280
"""Letters of a reply that are shown at once."""
LONGEST = 6000
"""Letters of a reply that the page holds."""
STEPS = (0.02, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0)
"""Where an axis of shares may end."""
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Characters that a page must not hold, or that turn the direction of what follows."""


class Example(NamedTuple):
    """A row that a model got wrong."""

    set: str
    image_path: str
    true_label: str
    predicted: str
    """The label that was read, or "unknown"."""
    outcome: str
    text: str
    """What the model said."""
    picture: bytes | None
    """The encoded file; None where it is not at hand."""


class Panel(NamedTuple):
    """What the page tells of one set, or of all pooled, behind the switch."""

    key: str
    """Of its elements; made of digits, so that no name of a set can end an attribute."""
    name: str
    found: Found


class Card(NamedTuple):
    """An example as the page shows it."""

    example: Example
    keys: Sequence[str]
    """Of the panels that it stands beside."""
    start: str
    rest: str
    """What follows `start`; empty where that is all."""
    left_out: int
    """Letters of the reply that the page does not hold."""
    picture: str
    """A data URI; empty where none is shown."""
    why: str
    """Why none is shown."""


def page(found: Found, examples: Sequence[Example], *, pictures: bool) -> str:
    """Return the page. `pictures` embeds those of the examples, people's faces: such a page has to stay at home.

    Every example given is shown, in the order given; a picture is made smaller, to SIDE pixels.
    """
    panels = panels_of(found)
    cards = [_card(one, panels, pictures=pictures) for one in examples]
    values = {
        "found": found,
        "lines": figures.lines(found),
        "headline": figures.headline(found),
        "cautions": [*figures.cautions(found)],
        "weakest": figures.weakest(found),
        "panels": panels,
        "cards": cards,
        "without_examples": [panel for panel in panels if not any(panel.key in card.keys for card in cards)],
        "unknown": UNKNOWN,
        "shows_faces": any(card.picture for card in cards),
        "rates": RATES,
        "metrics": METRICS,
        "outcomes": figures.outcomes,
        "readings": figures.readings,
        "who": figures.who(found),
        "asked_by": figures.asked_by(found),
        "wrong": figures.wrong(found),
        "paired_note": f"{figures.PAIRED} {figures.CLIPS}",
        "flipped_note": figures.FLIPPED,
        "about": _about() if found.get("rationales") else {},
    }
    text = _environment().get_template("page.html").render(values)
    return text.encode("utf-8", "replace").decode()  # half of a surrogate pair, as JSON may hold, cannot be written


def panels_of(found: Found) -> list[Panel]:
    """Return what the switch chooses from, all pooled first; a single set stands alone."""
    sets: Mapping[str, Found] = found["sets"]
    parts = {POOLED: found["pooled"], **sets} if len(sets) != 1 else sets
    return [Panel(str(at), name, one) for at, (name, one) in enumerate(parts.items())]


def _card(example: Example, panels: Sequence[Panel], *, pictures: bool) -> Card:
    text = _CONTROLS.sub("\ufffd", example.text)
    start = text if len(text) <= START else text[:START].rsplit(" ", 1)[0]
    picture, why = _shown(example.picture) if pictures else ("", "left out")
    return Card(
        example=example,
        keys=[panel.key for panel in panels if panel.name in (POOLED, example.set)],
        start=start,
        rest=text[len(start) : LONGEST],
        left_out=max(len(text) - LONGEST, 0),
        picture=picture,
        why=why,
    )


def _shown(data: bytes | None) -> tuple[str, str]:
    """Return the data URI of a picture, or why there is none."""
    if data is None:
        return "", "not at hand"
    try:
        return embedded(data, SIDE, STORED), ""
    except PictureError as err:
        return "", err.reason


def embedded(data: bytes, side: int, stored: Picture) -> str:
    """Return the data URI of an encoded picture, its longer side `side` pixels at most. PictureError: it is none."""
    pixels = _small(decode(data, max_pixels=stored.max_pixels), side)
    return f"data:image/jpeg;base64,{base64.b64encode(encode(pixels, stored)).decode()}"


def _small(pixels: Pixels, side: int) -> Pixels:
    """Return the picture no larger than `side`; never enlarged."""
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def place(value: float, low: float = 0.0, high: float = 1.0) -> str:
    """Return where on an axis from `low` to `high` a value lies, as SVG and CSS write it; never off the axis."""
    return f"{100 * min(max((value - low) / (high - low), 0.0), 1.0):.2f}%"


def axis_end(values: Sequence[float | None]) -> float:
    """Return the end, 0..1, of an axis that has room for all values, whatever their sign."""
    top = max((abs(value) for value in values if value is not None), default=0.0)
    return next((step for step in STEPS if top <= step), STEPS[-1])


def said_of(line: Line) -> str:
    """Return in words what the first chart draws of a set, for those who cannot see it."""
    ends = figures.interval_of(line.strict, "accuracy")
    parts = [f"strict accuracy {figures.percent(line.strict['accuracy'])} %"]
    parts += [f"interval {figures.span(ends)}"] if ends else []
    parts += [f"official {figures.percent(line.official['accuracy'])} %"]
    known = {name: line.baseline(name) for name in ("majority", "random")}
    known |= {"human ceiling": line.ceiling["accuracy"] if line.ceiling else None}
    parts += [f"{name} {figures.percent(value)} %" for name, value in known.items() if value is not None]
    return f"{line.name}: {', '.join(parts)}"


def _about() -> Mapping[str, str]:
    from ferbuild.builders.evaluation.rationale import ABOUT  # takes half a second, and a leaderboard has none

    return ABOUT


@cache
def _environment() -> Environment:
    words = (figures.percent, figures.signed, figures.span, figures.chance, figures.dollars, figures.plain)
    others = (
        figures.interval_of,
        figures.beyond_chance,
        figures.counted,
        figures.told,
        figures.told_span,
        figures.is_share,
    )
    made = environment(__name__, *words, *others, place, axis_end, said_of)
    made.filters |= {"thousands": _thousands, "zip": zip}
    return made


def _thousands(count: int) -> str:
    return f"{count:,}"
