"""Small pictures of the faces that the report names, where the user asks for them: such a page has to stay at home."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from ferbuild.builders import duplicate_report, faces, images
from ferbuild.builders.build import Build
from ferbuild.builders.errors import FerError
from ferbuild.builders.evaluation.page import embedded
from ferbuild.builders.reporting import copies
from ferbuild.builders.reporting.rows import look_up
from ferbuild.manifests.recipe import Picture

SIDE = 112
"""Pixels of the longer side, at most."""
STORED = Picture(crop_quality=80)
MOST_LETTERS = 3_000_000
"""Of all pictures on the page: text is to have room beside them."""


def of(build: Build, found: Mapping[str, Any]) -> tuple[dict[str, str], int]:
    """Return data URIs by the ids of the faces that a report names, and how many pictures had no room."""
    wanted = list(dict.fromkeys(_ids(found)))
    pixels = _read(build, wanted)
    uris: dict[str, str] = {}
    room = MOST_LETTERS
    for name in (name for name in wanted if name in pixels):
        uri = embedded(images.encode(pixels[name], Picture(crop_format="png")), SIDE, STORED)
        if len(uri) <= room:
            uris[name] = uri
            room -= len(uri)
    return uris, len(pixels) - len(uris)


def _read(build: Build, wanted: Sequence[str]) -> dict[str, images.Pixels]:
    """Return the pictures that are there: of kept faces from the shards, of dropped ones from their releases."""
    folder = build.settings.work / faces.FOLDER
    try:
        return duplicate_report.pictures_of(build, set(wanted))
    except FerError:  # the releases are elsewhere: what the shards hold is shown all the same
        try:
            return duplicate_report.pictures_of(build, set(look_up(folder, wanted)))
        except FerError:
            return {}


def _ids(found: Mapping[str, Any]) -> Iterable[str]:
    """Yield the ids of the faces that are named, those to look at first before the others."""
    suspects = (row["id"] for one in found["suspects"].values() for row in one["rows"])
    shown = copies.ids(found["duplicates"]) if "absent" not in found["duplicates"] else ()
    stages = (one for one in found["drops"].values() if "absent" not in one)
    examples = (row["id"] for one in stages for reason in one["reasons"] for row in reason["examples"])
    return chain(suspects, shown, examples)
