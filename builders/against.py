"""The calibration in use against people: how its judgements agree with the action units that coders wrote down.

Stands beside the way of a face: it reads a coded release, measures its pictures as any other, and changes nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from ferbuild.builders import images, pool
from ferbuild.builders.config import Release, Settings
from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.builders.measures import measure_picture
from ferbuild.builders.nets import Nets, fitting_calibration, nets_of, opened
from ferbuild.builders.record import Row
from ferbuild.builders.sources.codes import coded
from ferbuild.builders.sources.tree import read_picture
from ferbuild.filters.units import judge, judge_truth
from ferbuild.manifests.calibration import Calibration
from ferbuild.manifests.load import load_units

CHUNK = 50
"""Pictures to a piece of work."""


class Picture(NamedTuple):
    """A coded picture."""

    base: Path
    rel_path: str
    units: list[dict[str, Any]]
    """As `record.UNITS`."""


class Agreement(NamedTuple):
    """How often the judgements of a unit are what the coders wrote."""

    coded: int
    """Pictures in which they saw it."""
    present: int
    """Judged present."""
    present_right: int
    absent: int
    absent_right: int

    @property
    def precision(self) -> float | None:
        """Right of those judged present; None where none is."""
        return self.present_right / self.present if self.present else None

    @property
    def absent_precision(self) -> float | None:
        return self.absent_right / self.absent if self.absent else None


class Compared(NamedTuple):
    """A whole release against its codes."""

    source: str
    pictures: int
    unmeasured: Mapping[str, int]
    """Pictures on which nothing could be judged, by reason."""
    units: Mapping[str, Agreement]


def compare(settings: Settings, name: str, *, tick: Callable[[int, int], None] = lambda done, total: None) -> Compared:
    """Return how the calibration in use agrees with the codes of a release in fer-build.yaml; FerError without one."""
    release = _release(settings, name)
    calibration = fitting_calibration(settings)
    found = coded(release.source, release.root, layout=release.layout)
    pictures = [Picture(found.base, row["rel_path"], row["units"]) for row in found.rows.iter_rows(named=True)]
    pieces = [pictures[at : at + CHUNK] for at in range(0, len(pictures), CHUNK)]
    work = partial(_tally, calibration=calibration, nets=nets_of(settings))
    counts, why, done = Counter[tuple[str, str]](), Counter[str](), 0
    for some, reasons in pool.each(work, pieces, workers=settings.workers, stage="calibrate"):
        counts.update(some)
        why.update(reasons)
        done += CHUNK
        tick(min(done, len(pictures)), len(pictures))
    units = {unit: Agreement(*(counts[unit, part] for part in Agreement._fields)) for unit in load_units().units}
    return Compared(name, len(pictures), dict(sorted(why.items())), units)


def _release(settings: Settings, name: str) -> Release:
    known = {release.source.name: release for release in settings.releases}
    if name not in known:
        hint = did_you_mean(name, known) if known else "name its folder under `sources:` of fer-build.yaml"
        raise FerError(f"--against {name}", "no such source in fer-build.yaml", hint)
    return known[name]


def _tally(
    pictures: Sequence[Picture], *, calibration: Calibration, nets: Nets
) -> tuple[Counter[tuple[str, str]], Counter[str]]:
    """Return, for some pictures, how often each part of each unit's agreement came, and why others gave none."""
    counts, why = Counter[tuple[str, str]](), Counter[str]()
    for picture in pictures:
        truth = judge_truth(picture.units)
        counts.update((unit, "coded") for unit in load_units().units if truth[unit].state == "present")
        measured = _measured(picture, nets)
        if measured is None:
            why["unreadable"] += 1
            continue
        judged = judge(measured, calibration)
        states = {judged[unit].state for unit in load_units().units}
        if states == {"unknown"}:
            why[judged["AU12"].why] += 1
        for unit in load_units().units:
            state = judged[unit].state
            if state != "unknown":
                counts[unit, state] += 1
                counts[unit, f"{state}_right"] += truth[unit].state == state
    return counts, why


def _measured(picture: Picture, nets: Nets) -> Row | None:
    """Return the measures of a picture; None where it cannot be read or is none."""
    try:
        data = read_picture(picture.base, picture.rel_path)
    except (OSError, KeyError, ValueError):
        return None
    try:
        return measure_picture(data, opened(nets))
    except images.PictureError:
        return None
