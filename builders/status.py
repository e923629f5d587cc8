"""What of the datasets is built, stale, incomplete or missing, without building anything."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import get_args, get_type_hints

from ferbuild.builders import bench, cot, counterfactual, faces, measure, rlvr, shards
from ferbuild.builders.build import Build
from ferbuild.builders.evaluation import fairness, run
from ferbuild.builders.evaluation.variants import PLAIN
from ferbuild.builders.mark import Mark, Report, read_mark
from ferbuild.builders.reviewing import applying
from ferbuild.builders.stage import Plan
from ferbuild.builders.styles import SUFFIX

VAR_KEYWORD = inspect.Parameter.VAR_KEYWORD
STAGES: Mapping[str, ModuleType] = {"faces": faces, "measure": measure, "cot": cot, "rlvr": rlvr, "bench": bench}
"""Command to its module, which has the FOLDER it fills and its plan."""
BESIDE: Mapping[str, ModuleType] = {
    "counterfactual": counterfactual,
    "fairness": fairness,
    **{f"{cot.FOLDER}-{style}": cot for style in SUFFIX if style != "think"},
    **{f"{name}{applying.SUFFIX}": applying for name in applying.DATASETS},
}
"""Folder to its module, of what is told of only where it is there: asked of renders, further arms of cot, or what a
review left of a dataset."""


@dataclass(frozen=True, slots=True)
class State:
    """`state` is one of: built, stale, incomplete, damaged, missing."""

    stage: str
    state: str
    report: Report | None
    flags: Mapping[str, str] = field(default_factory=dict)
    """What it was built with on the command line, such as another teacher than fer-build.yaml's."""


def status(build: Build) -> list[State]:
    """Return the state of every stage, planned anew with the flags it was last built with."""
    work = build.settings.work
    beside = [state_of(build, name, module, work / name) for name, module in BESIDE.items() if read_mark(work / name)]
    scored = [state_of(build, _called(folder), run, folder) for folder in sorted((work / run.FOLDER).glob("*/*"))]
    stages = (state_of(build, name, module, work / module.FOLDER) for name, module in STAGES.items())
    return [*stages, *beside, *(one for one in scored if one.report)]


def _called(folder: Path) -> str:
    """Return what a model's answers are called: eval/qwen7b, and eval/qwen7b/order for what it said asked otherwise."""
    name = f"{run.FOLDER}/{folder.parent.name}"
    return name if folder.name == PLAIN else f"{name}/{folder.name}"


def state_of(build: Build, name: str, module: ModuleType, folder: Path) -> State:
    """Return the state of the dataset in `folder`, planned anew by its stage's module; `name` is what it is called."""
    mark = read_mark(folder)
    if mark is None:
        return State(name, "missing", None)
    state = on_disk(folder, mark)
    if state == "built":
        known = mark.flags.keys() <= _taken(module.plan)
        current = known and module.plan(build, **mark.flags).key == mark.key
        state = "built" if current else "stale"
    return State(name, state, mark.report(folder), mark.flags)


def on_disk(folder: Path, mark: Mark) -> str:
    """Return the state of a dataset as far as its folder tells: incomplete, damaged, or built, which may be stale."""
    if not mark.complete:
        return "incomplete"
    return "built" if shards.is_intact(folder, mark.splits) else "damaged"


def command(stage: str, flags: Mapping[str, str]) -> str:
    """Return the command line that builds a dataset as it was built; published prompts are known by a digest alone."""
    words = ["fer-build", stage]
    for name, value in flags.items():
        if value:
            words.append(f"--{name.replace('_', '-')}")
            words += [] if value == "yes" else ["FILE" if name == "prompts" else value]
    return " ".join(words)


def _taken(plan: Callable[..., Plan]) -> set[str]:
    """Return the names of the flags that a stage is planned with, those of an unpacked TypedDict too."""
    hints = get_type_hints(plan)
    rest = (
        parameter.name for parameter in inspect.signature(plan).parameters.values() if parameter.kind is VAR_KEYWORD
    )
    more = {name for one in rest for kind in get_args(hints[one]) for name in kind.__annotations__}
    return hints.keys() | more
