"""What decides the bytes of the datasets: versions, keys and hashes, as somebody who uses them would cite them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ferbuild.builders import nets
from ferbuild.builders.config import Settings
from ferbuild.builders.errors import FerError
from ferbuild.builders.reporting.rows import column, frame, parts, short
from ferbuild.builders.reporting.ways import Seen
from ferbuild.prompts.render import template_version, templates

PACKAGES = (
    "pyarrow", "numpy", "opencv-python", "pillow", "simplejpeg", "polars", "scikit-learn", "scipy", "datasets",
)  # fmt: skip
"""Packages whose releases may change a byte of a shard."""
MOST = 60
"""Rules, prompts and teachers that are told, at most."""


def of(settings: Settings, seen: Sequence[Seen]) -> dict[str, Any]:
    """Return everything that a dataset of this work folder depends on; FerError where a shard cannot be read."""
    recipe = settings.recipe.model_dump(mode="json")
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()
    named = {one.name: one for one in seen if one.whole}
    cots = [one for one in named.values() if one.mark and one.mark.stage == "cot"]
    asked = [one for name, one in named.items() if name in ("rlvr", "bench") or one in cots]
    return {
        "tool": {"fer-build": version("fer-build")},
        "recipe": {"name": settings.recipe.name, "sha256": digest},
        "seed": settings.seed,
        "keys": {one.name: one.mark.key for one in named.values() if one.mark},
        "models": _models(settings, named.get("measure")),
        "label_rules": _rules(named.get("faces")),
        "prompts": [one for dataset in asked for one in _prompts(dataset)][:MOST],
        "teachers": [one for dataset in cots for one in _teachers(dataset)][:MOST],
        "packages": dict(_packages()),
    }


def _packages() -> Iterator[tuple[str, str]]:
    for name in PACKAGES:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue


def _models(settings: Settings, measured: Seen | None) -> list[dict[str, str]]:
    """Return the nets by which faces were measured, and those that would be used now."""
    found = []
    if measured:
        rows = set[tuple[str, str]]()
        for _, table in parts(measured.folder, ("detector",)):
            rows |= {(one["name"], one["sha256"]) for one in column(table["detector"]).drop_nulls().unique()}
        found = [{"name": short(name), "sha256": short(sum256), "use": "measured"} for name, sum256 in sorted(rows)]
    try:
        now = nets.sums(settings, nets.names_of(settings))
    except FerError:
        return found
    known = {(one["name"], one["sha256"]) for one in found}
    return found + [
        {"name": name, "sha256": sum256, "use": "configured"}
        for name, sum256 in now.items()
        if (name, sum256) not in known
    ]


def _rules(faces: Seen | None) -> list[dict[str, str]]:
    """Return the label rule and the licence of every source of the faces."""
    found = set[tuple[str, str, str]]()
    for _, table in parts(faces.folder, ("source", "label_rule", "licence")) if faces else ():
        found |= set(frame(table).unique().iter_rows())
    names = ("source", "label_rule", "licence")
    return [dict(zip(names, map(short, row), strict=True)) for row in sorted(found, key=str)][:MOST]


def _prompts(dataset: Seen) -> Iterator[dict[str, str]]:
    """Yield the prompts that the rows of a dataset were asked by, with the template that has this version now."""
    known = {template_version(name): name for name in templates()}
    found = set[str]()
    for _, table in parts(dataset.folder, ("prompt_version",)):
        found |= set(column(table["prompt_version"]).drop_nulls().unique())
    for asked in sorted(found):
        yield {"dataset": dataset.folder.name, "version": short(asked), "template": known.get(asked, "")}


def _teachers(dataset: Seen) -> Iterator[dict[str, str]]:
    """Yield who wrote the rationales of a dataset, and what they were judged by."""
    names = ("teacher", "model", "sampling", "grounding_version")
    found = set[tuple[str, ...]]()
    for _, table in parts(dataset.folder, names):
        found |= set(frame(table).unique().iter_rows())
    for row in sorted(found, key=str):
        yield {"dataset": dataset.folder.name} | dict(zip(names, map(short, row), strict=True))
