"""The way of a face in counts: what went into every stage, what it kept and dropped, and whether the sums hold.

Nothing is built for it. A stage that is missing is named with the command that builds it; one whose counts do not add
up, or whose drops cannot be read, is told as a fault.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ferbuild.builders import status
from ferbuild.builders.build import Build
from ferbuild.builders.errors import FerError
from ferbuild.builders.mark import Mark, read_mark
from ferbuild.builders.reporting.dropped import Drops, read

ONE_EACH = ("faces", "measure", "cot", "bench")
"""Stages that write one row for each that they keep."""
REVIEWED = "reviewed"
"""What follows the name of a dataset whose reviewed rows were taken out."""
FILES = (".yaml", ".yml", ".json")
"""What the user's own files among the flags end in."""
BUILT = ("built", "stale", "incomplete")
"""States in which a stage's rows can be read."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A stage as it lies in the work folder."""

    name: str
    """As `status` calls it."""
    folder: Path
    state: str
    """built, stale, incomplete, damaged or missing."""
    unchecked: str
    """Why it cannot be told whether it is stale; empty where it can."""
    mark: Mark | None
    drops: Drops | None
    """None where there are none that can be read."""
    faults: Sequence[str]

    @property
    def whole(self) -> Mark | None:
        """What it says of itself, where its rows can be read."""
        return self.mark if self.state in BUILT else None


def look(build: Build) -> list[Seen]:
    """Return every stage of the way, and what lies beside them."""
    work, unchecked = build.settings.work, _unlisted(build)
    named = {name: (module, work / module.FOLDER) for name, module in status.STAGES.items()}
    named |= {name: (module, work / name) for name, module in status.BESIDE.items() if read_mark(work / name)}
    return [_seen(build, name, module, folder, unchecked) for name, (module, folder) in named.items()]


def _unlisted(build: Build) -> str:
    """Return why the releases cannot be listed now; empty where they can."""
    try:
        return "" if build.listings else "no releases"
    except FerError as err:
        return f"{Path(err.where).name}: {err.problem}"


def _seen(build: Build, name: str, module: ModuleType, folder: Path, unchecked: str) -> Seen:
    mark = read_mark(folder)
    if mark is None:
        return Seen(name, folder, "missing", "", None, None, ())
    drops, faults = None, list[str]()
    try:
        drops = read(folder, build.settings.seed)
    except FerError as err:
        faults.append(f"{_below(err.where, folder)}: {err.problem}")
    state, why = _state(build, name, module, folder, mark, unchecked)
    if state == "damaged":
        faults.append("a shard is missing or cut")
    faults += _sums(mark, drops)
    return Seen(name, folder, state, why, mark, drops, faults)


def _state(build: Build, name: str, module: ModuleType, folder: Path, mark: Mark, unchecked: str) -> tuple[str, str]:
    """Return the state of a stage, and why it is not known whether it is stale."""
    if unchecked:
        return status.on_disk(folder, mark), unchecked
    try:
        return status.state_of(build, name, module, folder).state, ""
    except FerError as err:
        return status.on_disk(folder, mark), f"{Path(err.where).name}: {err.problem}"


def _below(where: str, folder: Path) -> str:
    """Return a place as seen from the work folder: a page tells nothing of the machine's folders."""
    path = Path(where)
    return str(path.relative_to(folder.parent)) if path.is_relative_to(folder.parent) else path.name


def _sums(mark: Mark, drops: Drops | None) -> Iterator[str]:
    """Yield what does not add up: a row that is neither kept nor dropped, or a drop that is not there."""
    gone = sum(mark.dropped.values())
    if mark.kept + gone != mark.rows_in:
        yield f"in {mark.rows_in:,} is not kept {mark.kept:,} + dropped {gone:,}"
    if mark.stage in ONE_EACH and sum(mark.splits.values()) != mark.kept:
        yield f"kept {mark.kept:,} is not the {sum(mark.splits.values()):,} rows of its splits"
    if drops is not None and dict(drops.counts) != dict(mark.dropped):
        lying = sum(drops.counts.values())
        yield f"stage.json counts {gone:,} drops, reason by reason, and the {lying:,} that lie there are others"


def as_json(seen: Sequence[Seen]) -> list[dict[str, Any]]:
    return [_stage(one) for one in seen]


def _stage(one: Seen) -> dict[str, Any]:
    said: dict[str, Any] = {
        "stage": one.name,
        "folder": one.folder.name,
        "state": one.state,
        "unchecked": one.unchecked,
        "command": command(one),
        "faults": list(one.faults),
    }
    if one.mark is None:
        return said
    return said | counts(one.mark)


def counts(mark: Mark) -> dict[str, Any]:
    """Return what a stage counted."""
    return {
        "in": mark.rows_in,
        "kept": mark.kept,
        "dropped": sum(mark.dropped.values()),
        "reasons": dict(mark.dropped),
        "splits": dict(mark.splits),
        "findings": dict(mark.findings),
        "flags": _flags(mark),
        "key": mark.key,
        "complete": mark.complete,
    }


def command(one: Seen) -> str:
    """Return the command that builds a stage as it was built."""
    main, _, kind = one.name.partition("-")
    return f"fer-build apply-review {main}" if kind == REVIEWED else status.command(main, _flags(one.mark))


def _flags(mark: Mark | None) -> dict[str, str]:
    """Return what a stage was told on the command line; of the user's files only their names."""
    flags = mark.flags if mark else {}
    return {name: Path(value).name if value.endswith(FILES) else value for name, value in flags.items()}


def of(seen: Sequence[Seen], name: str) -> Seen:
    """Return a stage by its name."""
    return next(one for one in seen if one.name == name)
