"""What a model will see of the faces that are built: told before it is asked, since nothing can be mended afterwards.

Of the faces only the columns of source and size are read, never a picture.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

from ferbuild.builders import training_rows
from ferbuild.builders.shown import shown_size
from ferbuild.builders.training_rows import Pairs
from ferbuild.builders.visual_tokens import Preflight, Spread, preflight
from ferbuild.manifests.recipe import Picture
from ferbuild.manifests.schema import TeacherEntry

log = logging.getLogger(__name__)


def face_sizes(folder: Path, benchmarks: Pairs, policy: Picture) -> Iterator[tuple[str, int, int]]:
    """Yield source, width and height (pixels) of every training face of a built faces dataset, as a model gets it."""
    for job in training_rows.jobs(folder, benchmarks):
        piece = job.work
        table = piece.read().select(["source", "width", "height"])
        for source, width, height in zip(*(column.to_pylist() for column in table.columns), strict=True):
            if (source, piece.split) not in benchmarks:
                yield source, *shown_size(width, height, policy)


def tell(folder: Path, benchmarks: Pairs, entry: TeacherEntry, policy: Picture) -> list[Preflight]:
    """Log what every source's pictures are to the entry's model, and a warning where it sees little; return it."""
    found = preflight(face_sizes(folder, benchmarks, policy), entry)
    for one in found:
        log.info("%s", describe(one))
        if one.warning:
            log.warning("%s: %s", one.source, one.warning)
    return found


def describe(one: Preflight) -> str:
    """Return one line on the pictures of a source."""
    seen = f"{_spread(one.tokens)} visual tokens" if one.tokens else "visual tokens unknown"
    return f"{one.source}: {one.pictures:,} faces of {_spread(one.pixels)} pixels a side, {seen}"


def _spread(one: Spread) -> str:
    return f"{one.median:,}" if one.least == one.most else f"{one.median:,} ({one.least:,} to {one.most:,})"
