"""Looks for releases under a folder: which source each subfolder is, told by its layout alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ferbuild.builders.errors import FerError
from ferbuild.builders.sources import layouts_at
from ferbuild.manifests import load

DEPTH = 5
"""Folders below the given one that are looked into."""
CROWD = 200
"""A folder with more folders in it holds pictures, not releases, and is not gone into."""


class Found(NamedTuple):
    source: str
    root: Path
    layout: str


def find_releases(folder: Path) -> list[Found]:
    """Return the first place of every known source at or below `folder`, nearest first, in the sources' order.

    A layout that only falls back for want of a better one counts where no other source, and nowhere a better
    layout of its own, was found.
    """
    if not folder.is_dir():
        raise FerError(folder, "is no folder", "name the folder your releases lie in")
    sources = [load.load_source(name) for name in load.names("sources")]
    hits = [(place, source, layout) for place in _folders(folder) for source in sources
            for layout in layouts_at(source, place)[:1]]  # fmt: skip
    found: dict[str, Found] = {}
    for fallback in (False, True):
        taken = {one.root for one in found.values()}
        for place, source, layout in hits:
            if layout.fallback == fallback and not (fallback and place in taken):
                found.setdefault(source.name, Found(source.name, place, layout.name))
    return [found[source.name] for source in sources if source.name in found]


def _folders(top: Path) -> Iterator[Path]:
    """Yield `top` and the folders below it, breadth first, DEPTH deep; links and hidden folders are passed over."""
    level = [top]
    for _ in range(DEPTH + 1):
        yield from level
        level = sorted(child for folder in level for child in _children(folder))


def _children(folder: Path) -> list[Path]:
    try:
        found = [child for child in folder.iterdir() if child.is_dir() and not child.name.startswith(".")]
    except OSError:
        return []
    return found if len(found) <= CROWD else []
