"""Rendered faces, measured: what a calibration is fitted on, and what the claim check is tried on.

Stands beside the way of a face: each face is drawn by its seed and number, rendered at every size and measured as any
picture is, and comes back with the units it is known to show. No picture is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import cv2
import numpy as np

from ferbuild.builders import pool
from ferbuild.builders.images import Pixels
from ferbuild.builders.measures import Models, measure_pixels
from ferbuild.builders.nets import SHIPPED, Nets, opened
from ferbuild.builders.record import CANONICAL
from ferbuild.builders.render.draw import Kind, draw, draw_at
from ferbuild.builders.render.head import load_head
from ferbuild.builders.render.picture import Rendered, render_sizes

SIZES = (48, 100, 224)
"""Sides of a face picture in pixels: FER2013's, RAF-DB's, and what a model is shown."""
GREY = 48
"""Pictures of this size are grey, as FER2013's are."""
KINDS: tuple[Kind, ...] = ("labels", "units", "pairs", "pairs")
"""Of four faces in turn: one shows a label, one a single unit, two some units drawn on their own."""
CHUNK = 40
"""Faces to a piece of work."""


class Seen(NamedTuple):
    """One face at one size."""

    number: int
    kind: str
    label: str
    size: int
    units: list[dict[str, Any]]
    """What it shows, as `record.UNITS`."""
    measured: dict[str, Any]
    """What was measured, as a MEASURES row without id and label."""


def sample(
    count: int,
    *,
    seed: int,
    workers: int = 1,
    kinds: tuple[Kind, ...] = KINDS,
    nets: Nets = SHIPPED,
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> list[Seen]:
    """Return `count` faces at every size, by number and size; the same seed gives the same, whatever the workers."""
    starts = [range(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]
    work = partial(_see_all, seed=seed, kinds=kinds, nets=nets)
    found: list[Seen] = []
    for faces in pool.each(work, starts, workers=workers, stage="calibrate"):
        found += faces
        tick(len(found) // len(SIZES), count)
    return sorted(found, key=lambda face: (face.number, face.size))


def _see_all(numbers: range, *, seed: int, kinds: tuple[Kind, ...], nets: Nets) -> list[Seen]:
    return [face for number in numbers for face in see(number, seed=seed, kinds=kinds, models=opened(nets))]


def see(number: int, *, seed: int, kinds: tuple[Kind, ...], models: Models) -> list[Seen]:
    """Draw, render and measure one face at every size. Pairs of neighbours are of one kind: one of each half."""
    kind = kinds[number // 2 % len(kinds)]
    label = CANONICAL[number // 2 // len(kinds) % len(CANONICAL)] if kind == "labels" else None
    scene = draw(draw_at(seed, number), kind=kind, label=label)
    pictures = render_sizes(load_head(), scene, SIZES)
    return [
        Seen(
            number,
            kind,
            scene.label,
            size,
            [one._asdict() for one in picture.units],
            measure_pixels(_as_shot(picture, size), models),
        )
        for size, picture in zip(SIZES, pictures, strict=True)
    ]


def _as_shot(picture: Rendered, size: int) -> Pixels:
    if size != GREY:
        return picture.rgb
    grey = cv2.cvtColor(picture.rgb, cv2.COLOR_RGB2GRAY)
    return np.repeat(np.asarray(grey, np.uint8)[..., None], 3, 2)
