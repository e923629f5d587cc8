"""The benchmark's questions asked another way: an answer that follows the face stays, one that follows the form flips.

Stands between the benchmark and whoever is asked. Each variant changes one thing and leaves the rest.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np
import simplejpeg
import xxhash

from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.builders.images import Pixels, decode, encode
from ferbuild.filters.answer import FORMS
from ferbuild.manifests.recipe import Picture

PLAIN = "answers"
"""The benchmark as it is; also the name of the folder of its answers."""
QUALITY = 60
"""Of the re-encoded JPEG: what a messenger makes of a photograph."""


class Asked(NamedTuple):
    """What a model is shown and asked of one row."""

    choices: Sequence[str]
    """As they are listed to it."""
    prompt: str
    image: bytes
    """Encoded."""


Change = Callable[[Asked, str, int], Asked]
"""From what is asked plainly, the row's id and the seed."""


def _order(asked: Asked, name: str, seed: int) -> Asked:
    """List the labels in another order, drawn for each row."""
    draw = np.random.default_rng([seed, xxhash.xxh32_intdigest(name.encode())])
    order = draw.permutation(len(asked.choices))
    return _relisted(asked, [asked.choices[at] for at in order])


def _words(asked: Asked, name: str, seed: int) -> Asked:
    """Call every label that has another form by that: happiness happy, anger angry, fear fearful."""
    return _relisted(asked, [_other_word(label) for label in asked.choices])


def _mirror(asked: Asked, name: str, seed: int) -> Asked:
    """Mirror the picture, left and right; it is encoded without loss."""
    return asked._replace(image=encode(np.ascontiguousarray(_pixels(asked)[:, ::-1]), Picture(crop_format="png")))


def _jpeg(asked: Asked, name: str, seed: int) -> Asked:
    """Encode the picture as a JPEG of quality QUALITY, its colour at half the resolution."""
    pixels = np.ascontiguousarray(_pixels(asked))
    return asked._replace(image=simplejpeg.encode_jpeg(pixels, quality=QUALITY, colorsubsampling="420"))


def _again(asked: Asked, name: str, seed: int) -> Asked:
    """Change nothing: what flips here flips by chance, and is to be taken off the other variants."""
    return asked


VARIANTS: Mapping[str, Change] = {"again": _again, "order": _order, "words": _words, "mirror": _mirror, "jpeg": _jpeg}
"""Name to what it changes."""


def known_variant(name: str) -> str:
    """Return the name; FerError where no variant is called so."""
    if name not in VARIANTS:
        raise FerError(f"--variant {name}", "no variant is called so", did_you_mean(name, VARIANTS))
    return name


def _relisted(asked: Asked, choices: Sequence[str]) -> Asked:
    """Put another list of labels in the place of the one in the prompt, of whatever wording."""
    before, after = ", ".join(asked.choices), ", ".join(choices)
    if before not in asked.prompt:
        problem = f"the prompt does not list the labels as {before!r}, so that they cannot be listed otherwise"
        raise FerError("robustness", problem, "leave the variants order and words out")
    return Asked(choices, asked.prompt.replace(before, after), asked.image)


def _other_word(label: str) -> str:
    """Return the adjective of a noun, the noun of an adjective; the label itself where there is no other word for it.

    The parser takes either for the label, so that the answer needs no translation.
    """
    for noun, adjective, *_ in FORMS[1:]:
        if label in (noun, adjective):
            return adjective if label == noun else noun
    return label


def _pixels(asked: Asked) -> Pixels:
    pixels = decode(asked.image, max_pixels=sys.maxsize)
    return pixels if pixels.ndim == 3 else np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB), np.uint8)
