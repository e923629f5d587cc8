"""Writes the report of a work folder: gathers it, and pictures where they are asked for, and puts the page in place."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ferbuild.builders.build import Build
from ferbuild.builders.files import write_text
from ferbuild.builders.reporting import pictures as faces
from ferbuild.builders.reporting import words
from ferbuild.builders.reporting.gather import Found, gather
from ferbuild.builders.reporting.page import page

log = logging.getLogger(__name__)

FOLDER = "report"
PAGE = "index.html"


@dataclass(frozen=True, slots=True)
class Written:
    """A page that was written."""

    page: Path
    found: Found
    pictures: int
    """Faces that the page shows."""

    def as_json(self) -> dict[str, Any]:
        """Return the figures of the page, and where it lies."""
        return {**self.found, "out": str(self.page), "pictures": self.pictures}

    def lines(self) -> Iterator[str]:
        """Yield what the terminal shows."""
        yield from words.summary(self.found)
        yield f"\n{self.page}"


def write(build: Build, out: Path | None = None, *, pictures: bool = False) -> Written:
    """Write the page to `out`, by default `report/` in the work folder; FerError where nothing is built at all."""
    folder = out or build.settings.work / FOLDER
    build.began("report")
    found = gather(build, folder)
    shown, without_room = faces.of(build, found) if pictures else ({}, 0)
    if shown:
        log.warning(
            "%s shows %d people's faces, whose licences forbid passing them on: it has to stay on this machine",
            folder / PAGE,
            len(shown),
        )
    write_text(folder / PAGE, page(found, shown, without_room=without_room))
    return Written(folder / PAGE, found, len(shown))
