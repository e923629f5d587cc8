"""The log of what reviewers decide: lines of JSON that are only added to, each on the disk before it is answered for.

Stands beside the datasets, in `reviews/<dataset>.jsonl` of the work folder, and outlives every rebuild of them. Several
servers may write one log at a time. A write that was cut short leaves a line that is no decision: it is told and left
out, and the next one begins on a line of its own.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

import filelock
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ferbuild.builders.errors import FerError
from ferbuild.builders.record import CANONICAL

log = logging.getLogger(__name__)

FOLDER = "reviews"
LONGEST = 2000
"""Characters of a note."""
Verb = Literal["accept", "reject", "relabel", "note", "undo"]
VERDICTS = ("accept", "reject", "relabel")
"""Of the verbs those that decide about a row; a note stands beside them."""


class Entry(BaseModel):
    """One line: what a reviewer did with a row."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    at: str
    """ISO 8601, UTC."""
    reviewer: str = Field(min_length=1, max_length=64)
    dataset: str
    key: str
    """Stage key of the dataset that was looked at."""
    id: str
    """Of the row; of a drop stage, id and reason with a slash between."""
    faces: tuple[str, ...]
    """Ids of the faces that the row shows."""
    decision: Verb
    label: str | None = None
    """Of `relabel`: the canonical word that it should be."""
    note: str | None = Field(default=None, max_length=LONGEST)
    """An empty note takes an earlier one away."""
    settles: bool = False
    """The decision ends a disagreement of others."""

    @model_validator(mode="after")
    def _is_whole(self) -> Entry:
        if (self.decision == "relabel") != (self.label is not None):
            raise ValueError("a label belongs to `relabel`, and to nothing else")
        if self.label is not None and self.label not in CANONICAL:
            raise ValueError(f"{self.label!r} is no canonical label")
        if self.decision == "note" and self.note is None:
            raise ValueError("a note has no text")
        return self


class Tail(NamedTuple):
    """What was read of a log."""

    entries: list[Entry]
    stop: int
    """Where to read on: the byte behind the last whole line."""
    damaged: int
    """Lines that are no decision."""


def path_of(work: Path, dataset: str) -> Path:
    """Return where the decisions about a dataset of a work folder lie."""
    return work / FOLDER / f"{dataset}.jsonl"


def now() -> str:
    """Return the time as the log has it, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def append(path: Path, entry: Entry) -> None:
    """Add a line and have it on the disk before returning; FerError where it cannot be written."""
    line = entry.model_dump_json().encode() + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(path.with_suffix(".lock")):
            _add(path, line)
    except OSError as err:
        hint = "free some space; decisions that were answered for are kept"
        raise FerError(path, f"cannot be written: {err.strerror or err}", hint) from None


def _add(path: Path, line: bytes) -> None:
    fresh = not path.exists()
    with path.open("ab+", buffering=0) as file:
        file.write(line if _ends_whole(path) else b"\n" + line)
        os.fsync(file.fileno())
    if fresh:
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


def _ends_whole(path: Path) -> bool:
    """Tell whether the next line can follow at once: a write that was cut short leaves no end of line."""
    with path.open("rb") as file:
        if not file.seek(0, os.SEEK_END):
            return True
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"


def read_on(path: Path, start: int = 0) -> Tail:
    """Return the decisions from byte `start` on; none where there is no log. FerError where it cannot be read.

    A last line without its end counts where it is whole, as it will once another one follows it.
    """
    try:
        with path.open("rb") as file:
            file.seek(start)
            data = file.read()
    except FileNotFoundError:
        return Tail([], start, 0)
    except OSError as err:
        raise FerError(path, f"cannot be read: {err.strerror or err}", "mend that; nothing was changed") from None
    *lines, rest = data.split(b"\n")
    last = _entry(rest)
    found = [_entry(line) for line in lines if line.strip()]
    entries = [one for one in (*found, last) if one is not None]
    stop = start + len(data) - (0 if last else len(rest))
    return Tail(entries, stop, found.count(None) + (last is None and bool(rest)))


def read(path: Path) -> list[Entry]:
    """Return all decisions of a log, and tell of lines that are none."""
    tail = read_on(path)
    if tail.damaged:
        log.warning("%s: %d damaged lines are left out: a write was cut short there", path, tail.damaged)
    return tail.entries


def _entry(line: bytes) -> Entry | None:
    try:
        return Entry.model_validate_json(line)
    except ValidationError:
        return None


def logged(work: Path) -> Iterable[str]:
    """Return the datasets of a work folder that somebody reviewed, by name."""
    return sorted(path.stem for path in (work / FOLDER).glob("*.jsonl"))
