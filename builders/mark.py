"""What a stage did, and the `stage.json` in which its folder says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ferbuild.builders.files import write_text

FILE = "stage.json"
Rows = Sequence[Mapping[str, Any]]
"""Rows of a table of figures: the same names in each, numbers or text."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a stage did with its rows: `rows_in` = `kept` + the sum of `dropped`, always.

    `splits` counts the rows written, which are more than `kept` where a stage makes several of one.
    """

    stage: str
    rows_in: int
    kept: int
    dropped: Mapping[str, int]
    out: Path
    seconds: float = 0.0
    splits: Mapping[str, int] = field(default_factory=dict)
    findings: Mapping[str, int] = field(default_factory=dict)
    tables: Mapping[str, Rows] = field(default_factory=dict)
    """Figures beyond the counts, by their title."""
    complete: bool = True
    reused: bool = False

    def as_json(self) -> dict[str, Any]:
        found = {
            "stage": self.stage,
            "in": self.rows_in,
            "kept": self.kept,
            "dropped": dict(self.dropped),
            "splits": dict(self.splits),
            "seconds": round(self.seconds, 3),
            "out": str(self.out),
            "complete": self.complete,
            "reused": self.reused,
        }
        more = {"findings": dict(self.findings), "tables": {name: list(rows) for name, rows in self.tables.items()}}
        return found | {name: value for name, value in more.items() if value}


class Mark(BaseModel):
    """The content of `stage.json`: no path, no time, no worker count."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    stage: str
    rows_in: int = Field(alias="in")
    kept: int
    dropped: dict[str, int]
    splits: dict[str, int]
    findings: dict[str, int] = Field(default_factory=dict)
    tables: dict[str, list[dict[str, str | float | int]]] = Field(default_factory=dict)
    complete: bool
    out: str
    key: str
    flags: dict[str, str]

    def report(self, folder: Path) -> Report:
        """Return what was done, as the report of a stage that need not run again."""
        return Report(
            stage=self.stage,
            rows_in=self.rows_in,
            kept=self.kept,
            dropped=self.dropped,
            out=folder,
            splits=self.splits,
            findings=self.findings,
            tables=self.tables,
            complete=self.complete,
            reused=True,
        )


def read_mark(folder: Path) -> Mark | None:
    """Return what a stage's folder says of itself, None where it says nothing that can be read."""
    try:
        return Mark.model_validate_json((folder / FILE).read_bytes())
    except (OSError, ValidationError):
        return None


def write_mark(folder: Path, report: Report, key: str, flags: Mapping[str, str]) -> None:
    said = {name: value for name, value in report.as_json().items() if name not in ("seconds", "reused")}
    mark = Mark.model_validate(said | {"out": report.out.name, "key": key, "flags": dict(flags)})
    write_text(folder / FILE, mark.model_dump_json(indent=2, by_alias=True))
