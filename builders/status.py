"""What of the datasets is built, stale, incomplete or missing, without building anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ferbuild.builders import bench, cot, faces, measure, rlvr, stage
from ferbuild.builders.build import Build
from ferbuild.builders.stage import Plan, Report

Planner = Callable[..., Plan]

STAGES: Mapping[str, tuple[str, Planner]] = {
    "faces": ("faces", faces.plan),
    "measure": ("measures", measure.plan),
    "cot": ("cot", cot.plan),
    "rlvr": ("rlvr", rlvr.plan),
    "bench": ("ferbench", bench.plan),
}
"""Command to the folder it fills and its plan."""


@dataclass(frozen=True, slots=True)
class State:
    """`state` is one of: built, stale, incomplete, missing."""

    stage: str
    state: str
    report: Report | None


def status(build: Build) -> list[State]:
    """Return the state of every stage, planned anew with the flags it was last built with."""
    return [_state(build, name, folder, plan) for name, (folder, plan) in STAGES.items()]


def _state(build: Build, name: str, folder: str, plan: Planner) -> State:
    found = stage.read_report(build.settings.work / folder)
    if found is None:
        return State(name, "missing", None)
    report, key, flags = found
    if not report.complete:
        return State(name, "incomplete", report)
    return State(name, "built" if plan(build, **flags).key == key else "stale", report)
