"""How much a model sees of a face: the visual tokens that a picture becomes, and what that makes of a build's faces.

The rule is that of Qwen2-VL and its successors (`smart_resize` in transformers' image_processing_qwen2_vl); models
that pad a picture to whole patches, or take a fixed count, are entered as such in teachers.yaml.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from ferbuild.manifests.schema import ImageTokens, TeacherEntry

FEW = 16
"""Visual tokens a picture; with fewer, a token covers a quarter of the face or more in each direction."""
ENOUGH = 64
"""Tokens that the advice aims at: what 224 pixels are to Qwen2.5-VL."""


class Spread(NamedTuple):
    median: int
    least: int
    most: int


class Preflight(NamedTuple):
    """What one source's pictures are to a model."""

    source: str
    pictures: int
    pixels: Spread
    """Of the shorter side."""
    tokens: Spread | None
    """None where the entry does not say how its model sees."""
    warning: str
    """Empty where there is none."""


def visual_tokens(width: int, height: int, image: ImageTokens) -> int:
    """Return the tokens of a picture of `width` x `height` pixels, both 1 or more."""
    if image.tokens is not None:
        return image.tokens
    whole = math.ceil if image.rounding == "up" else round
    across, down = (whole(side / image.patch) for side in (width, height))
    pixels = across * down * image.patch**2
    if pixels > image.max_pixels:
        shrink = math.sqrt(width * height / image.max_pixels)
        across, down = (max(1, math.floor(side / shrink / image.patch)) for side in (width, height))
    elif pixels < image.min_pixels:
        grow = math.sqrt(image.min_pixels / (width * height))
        across, down = (math.ceil(side * grow / image.patch) for side in (width, height))
    return max(1, across) * max(1, down)


def preflight(rows: Iterable[tuple[str, int, int]], entry: TeacherEntry) -> list[Preflight]:
    """Return what every source's pictures are to the entry's model, by the order the sources come in.

    A row is (source, width, height), in pixels; they are counted one by one, never held.
    """
    counted: dict[str, Counter[tuple[int, int]]] = {}
    for source, width, height in rows:
        counted.setdefault(source, Counter())[width, height] += 1
    return [_of_source(source, sizes, entry) for source, sizes in counted.items()]


def _of_source(source: str, sizes: Counter[tuple[int, int]], entry: TeacherEntry) -> Preflight:
    image = entry.image
    shorter: Counter[int] = Counter()
    tokens: Counter[int] = Counter()
    for (width, height), pictures in sizes.items():
        shorter[min(width, height)] += pictures
        if image:
            tokens[visual_tokens(width, height, image)] += pictures
    seen = _spread(tokens) if image else None
    warning = _advice(seen, image, entry.kind) if seen and image and seen.median < FEW else ""
    return Preflight(source, sizes.total(), _spread(shorter), seen, warning)


def _spread(counts: Counter[int]) -> Spread:
    """Return the lower median, the least and the most of a bag of numbers."""
    ordered = sorted(counts)
    half, passed = (counts.total() + 1) // 2, 0
    for number in ordered:
        passed += counts[number]
        if passed >= half:
            return Spread(number, ordered[0], ordered[-1])
    return Spread(0, 0, 0)


def _advice(seen: Spread, image: ImageTokens, kind: str) -> str:
    least = ENOUGH * image.patch**2
    side = math.isqrt(least)
    text = (
        f"half of the faces become {seen.median} visual tokens or fewer: enlarge them for the teacher and the training"
        f" alike (recipe: `picture: {{enlarge_to: {side}}}`)"
    )
    edges = f'{{"size": {{"shortest_edge": {least}, "longest_edge": {image.max_pixels}}}}}'
    where = {"http": "--mm-processor-kwargs of `vllm serve`", "vllm": "engine.mm_processor_kwargs"}.get(kind)
    alone = f", or for this model alone ({where}: {edges}, and `min_pixels: {least}` under `image` of its entry)"
    return text + alone if where and image.min_pixels > 1 else text
