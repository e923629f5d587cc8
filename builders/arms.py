"""Arms of the cot stage: what its flags may ask for, each combination a dataset of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from ferbuild.builders.build import Build
from ferbuild.builders.errors import FerError
from ferbuild.builders.rounds import MOST_TRIES, Quota, quota_of
from ferbuild.builders.styles import Style, style_of
from ferbuild.filters import bind, trace


@dataclass(frozen=True, slots=True)
class Arm:
    """What the command line may ask of the stage; every part of it makes another dataset."""

    samples: int = 1
    style: Style = "think"
    quota: Quota | None = None
    evidence: bool = False
    hints: bool = False
    structured: bool = False

    @property
    def flags(self) -> dict[str, str]:
        """What a mark holds of it: `arm_of` makes the same arm of it. What is as usual is left out."""
        said = {
            "samples": str(self.samples) if self.samples > 1 else "",
            "style": self.style if self.style != "think" else "",
            "quota": str(self.quota or ""),
            "evidence": "yes" if self.evidence else "",
            "hint_failures": "yes" if self.hints else "",
            "structured": "yes" if self.structured else "",
        }
        return {name: value for name, value in said.items() if value}

    def folder(self, main: str) -> str:
        """Return the folder of the arm, of the stage's `main` one."""
        return main if self.style == "think" else f"{main}-{self.style}"


class Flags(TypedDict, total=False):
    """The same as flags of the command, or as text, which a mark holds."""

    samples: int | str
    style: str
    quota: str
    evidence: bool | str
    hint_failures: bool | str
    structured: bool | str


def arm_of(build: Build, flags: Flags) -> Arm:
    """Return the arm of some flags; FerError for what cannot be."""
    style, quota = flags.get("style") or "think", quota_of(flags.get("quota", ""))
    samples = int(flags.get("samples") or 0) or (MOST_TRIES if quota else 1)
    evidence, hints, structured = (bool(flags.get(name)) for name in ("evidence", "hint_failures", "structured"))
    arm = Arm(samples, style_of(style), quota, evidence, hints, structured)
    recipe = build.settings.recipe
    least = recipe.consistency.suspect_samples
    if hints and (quota or samples < least):
        problem = "a likely label error must not get a hint, and shows only in several samples of every face"
        raise FerError("--hint-failures", problem, f"add --samples {least} or more, and no --quota")
    if quota and samples < 2:
        raise FerError("--quota", "asks faces again that failed, and one sample is all that is allowed", "--samples 8")
    if style != "think" and "answered" not in {check.name for check in bind.bind(trace, recipe.trace_checks)}:
        hint = "add it to the recipe's trace_checks"
        raise FerError(f"--style {style}", "is rewritten from an answer, which the check `answered` sees to", hint)
    return arm
