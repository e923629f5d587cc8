"""What of the datasets is built, stale, incomplete or missing, without building anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType

from ferbuild.builders import bench, cot, faces, measure, rlvr, stage
from ferbuild.builders.build import Build
from ferbuild.builders.stage import Report

STAGES: Mapping[str, ModuleType] = {"faces": faces, "measure": measure, "cot": cot, "rlvr": rlvr, "bench": bench}
"""Command to its module, which has the FOLDER it fills and its plan."""


@dataclass(frozen=True, slots=True)
class State:
    """`state` is one of: built, stale, incomplete, missing."""

    stage: str
    state: str
    report: Report | None


def status(build: Build) -> list[State]:
    """Return the state of every stage, planned anew with the flags it was last built with."""
    return [_state(build, name, module) for name, module in STAGES.items()]


def _state(build: Build, name: str, module: ModuleType) -> State:
    found = stage.read_report(build.settings.work / module.FOLDER)
    if found is None:
        return State(name, "missing", None)
    if not found.report.complete:
        return State(name, "incomplete", found.report)
    current = module.plan(build, **found.flags).key == found.key
    return State(name, "built" if current else "stale", found.report)
