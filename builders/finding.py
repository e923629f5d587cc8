"""Looks for releases under a folder: which source each subfolder is, told by its layout alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ferbuild.builders.errors import FerError
from ferbuild.builders.sources import recognise
from ferbuild.manifests import load
from ferbuild.manifests.schema import Source

DEPTH = 3
"""Folders below the given one that are looked into; a layout itself reaches two further."""


class Found(NamedTuple):
    source: str
    root: Path
    layout: str


def find_releases(folder: Path) -> list[Found]:
    """Return the first place of every known source at or below `folder`, nearest first, in the sources' order."""
    if not folder.is_dir():
        raise FerError(folder, "is no folder", "name the folder your releases lie in")
    sources = [load.load_source(name) for name in load.names("sources")]
    found: dict[str, Found] = {}
    for place in _folders(folder):
        for source in sources:
            if source.name not in found and (hit := _layout_at(source, place)):
                found[source.name] = Found(source.name, place, hit)
    return [found[source.name] for source in sources if source.name in found]


def _layout_at(source: Source, place: Path) -> str | None:
    """Return the layout of a source whose base is `place` itself."""
    hits = [layout.name for layout, base in recognise(source, place) if base == place]
    return hits[0] if hits else None


def _folders(top: Path) -> Iterator[Path]:
    """Yield `top` and the folders below it, breadth first, DEPTH deep; links and hidden folders are passed over."""
    level = [top]
    for _ in range(DEPTH + 1):
        yield from level
        level = sorted(child for folder in level for child in _children(folder))


def _children(folder: Path) -> list[Path]:
    try:
        return [child for child in folder.iterdir() if child.is_dir() and not child.name.startswith(".")]
    except OSError:
        return []
