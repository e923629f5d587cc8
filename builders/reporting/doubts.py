"""Likely label errors: faces of which several samples of the teacher agree on another label, the surest first.

They show in the stored replies alone, and only where a face has several of them: the pictures are read for the keys of
these, which takes a while, and is not done where every face has one reply.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from ferbuild.builders import cot, faces, suspects, training_rows
from ferbuild.builders.arms import Flags, arm_of
from ferbuild.builders.build import Build
from ferbuild.builders.errors import FerError
from ferbuild.builders.mark import Mark
from ferbuild.builders.reporting.rows import short
from ferbuild.builders.suspects import Suspect

COMMAND = "fer-build suspects --out suspects.csv"
SHOWN = 24
"""Suspects that the report names."""
MOST = 50_000
"""Faces whose pictures are read, at most: of more a command of its own tells, which may take its time."""
TEXTS = ("id", "source", "rel_path", "label", "teacher")


def of(build: Build, mark: Mark) -> dict[str, Any]:
    """Return the surest suspects of the teacher by which a cot dataset was built, or why none can be told."""
    name = mark.flags.get("teacher")
    try:
        entry = cot.entry_of(build, name)
        if entry.baseline:
            return _none(f"{entry.name} is a baseline, which always says the same of a face")
        arm = arm_of(build, cast(Flags, {key: value for key, value in mark.flags.items() if key != "teacher"}))
        least = build.settings.recipe.consistency.suspect_samples
        if arm.samples < least:
            command = f"fer-build cot --teacher {short(name or entry.name)} --samples {least}"
            return _none(f"every face has {arm.samples} reply, and it takes {least} to tell", command)
        plain = replace(arm, quota=None, hints=False)
        jobs = training_rows.jobs(build.settings.work / faces.FOLDER, build.benchmarks)
        if (count := sum(job.rows for job in jobs)) > MOST:
            return _none(f"{count:,} faces are too many to look through for a page", COMMAND)
        found = suspects.find(jobs, cot.asking_of(build, entry, plain))
    except FerError as err:
        return _none(f"{err.problem}", err.hint)
    return {
        "why": "",
        "command": COMMAND,
        "suspects": len(found.suspects),
        "looked_at": found.looked_at,
        "too_few": found.too_few,
        "rows": [_row(one) for one in found.suspects[:SHOWN]],
    }


def _none(why: str, command: str = "") -> dict[str, Any]:
    return {"why": why, "command": command, "suspects": None, "looked_at": 0, "too_few": 0, "rows": []}


def _row(one: Suspect) -> dict[str, Any]:
    texts: Mapping[str, str] = {name: short(getattr(one, name)) for name in TEXTS}
    return {**texts, "share": one.share, "samples": one.samples, "votes": suspects.told(one.votes)}
