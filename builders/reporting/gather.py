"""The whole report as one object: what the page shows and `--json` prints. Nothing is built, asked or changed for it.

A part whose stage is missing is `{"absent": {"why", "command", "broken"}}`; what is there and cannot be read is one of
`problems` too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ferbuild.builders import faces
from ferbuild.builders.build import Build
from ferbuild.builders.errors import FerError
from ferbuild.builders.mark import Mark
from ferbuild.builders.reporting import (
    agreement,
    asked,
    balance,
    copies,
    doubts,
    dropped,
    scores,
    texts,
    versions,
    ways,
)
from ferbuild.builders.reporting.rows import short, sources
from ferbuild.builders.reporting.ways import Seen
from ferbuild.builders.reviewing import figures

DATASETS = ("faces", "cot", "rlvr", "bench")
"""Stages whose rows have a label and a picture; what is called `<one>-<kind>` is told of like it."""
FORM = 1
"""Of the object; raised where a name in it changes its meaning or goes."""

Found = dict[str, Any]


def gather(build: Build, out: Path) -> Found:
    """Return the report of a work folder; FerError where nothing at all is built in it."""
    seen = ways.look(build)
    if not any(one.mark for one in seen):
        hint = "`fer-build demo` builds one to look at; with releases of your own: `fer-build cot`, or --work DIR"
        raise FerError(build.settings.work, "nothing is built here yet", hint)
    known = sources(build.settings)
    sets = [one for one in seen if one.name.partition("-")[0] in DATASETS]
    cots = [one for one in seen if one.name == "cot" or (one.mark and one.mark.stage == "cot")]
    found: Found = {
        "stage": "report",
        "form": FORM,
        "stages": ways.as_json(seen),
        "balance": _each(sets, lambda one, mark: balance.of(one.folder, faces=one.folder.name.startswith("faces"))),
        "drops": {one.name: _drops(one) for one in seen if one.mark},
        "agreement": _each(cots, lambda one, mark: agreement.of(one.folder, mark, known)),
        "suspects": {one.name: doubts.of(build, one.mark) for one in cots if one.mark and one.whole},
        "duplicates": _one(ways.of(seen, faces.FOLDER), lambda: copies.of(build)),
        "rationales": _each(cots, lambda one, mark: texts.of(one.folder, mark)),
        "replies": _replies(build, seen),
        "reviews": _reviews(build),
        "scores": _scores(build, out),
        "versions": _read("versions", lambda: versions.of(build.settings, seen)),
    }
    return found | {"problems": problems(found)}


def problems(found: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return what is there and is not as it should be: sums that do not hold, and parts that cannot be read."""
    faults = [
        {"where": one["stage"], "problem": fault, "command": one["command"]}
        for one in found["stages"]
        for fault in one["faults"]
    ]
    several = ("balance", "drops", "agreement", "rationales")
    parts = [(f"{part} of {name}", one) for part in several for name, one in found[part].items()]
    parts += [(part, found[part]) for part in ("duplicates", "replies", "reviews", "scores", "versions")]
    return faults + [
        {"where": where, "problem": one["absent"]["why"], "command": one["absent"]["command"]}
        for where, one in parts
        if "absent" in one and one["absent"]["broken"]
    ]


def absent(why: str, command: str = "", *, broken: bool = False) -> Found:
    """Return what stands in the place of a part that is not there; `broken`: it is, and cannot be read."""
    return {"absent": {"why": short(why), "command": short(command), "broken": broken}}


def _each(seen: Sequence[Seen], look: Callable[[Seen, Mark], Found]) -> dict[str, Found]:
    return {one.name: _one(one, lambda one=one: look(one, one.mark)) for one in seen}  # type: ignore[misc]


def _one(one: Seen, look: Callable[[], Found]) -> Found:
    """Return a part that reads the rows of a stage."""
    if one.mark is None:
        return absent(f"{one.name} is not built", ways.command(one))
    if one.whole is None:
        return absent(f"{one.name} is damaged: a shard is missing or cut", ways.command(one))
    return _read(one.name, look)


def _read(where: str, look: Callable[[], Found]) -> Found:
    try:
        return look()
    except FerError as err:
        return absent(f"{Path(err.where).name}: {err.problem}", err.hint, broken=True)


def _drops(one: Seen) -> Found:
    if one.mark is None or one.drops is None:
        return absent(one.faults[0] if one.faults else f"{one.name} has no drops", ways.command(one))
    return dropped.as_json(one.drops, one.mark)


def _replies(build: Build, seen: Sequence[Seen]) -> Found:
    """Return what asking took. A baseline is not asked: it computes what it says."""
    if build.settings.store.exists():
        return _read("replies", lambda: asked.of(build.settings))
    why = "no teacher was ever asked: nothing was paid for"
    return absent(why, "fer-build cot --teacher qwen72b --estimate tells what asking would take")


def _reviews(build: Build) -> Found:
    found = _read("reviews", lambda: {one.dataset: one.as_json() for one in figures.summaries(build.settings.work)})
    return found or absent("nobody has reviewed any rows", "fer-build review cot --sample 200")


def _scores(build: Build, out: Path) -> Found:
    folder = build.settings.work / "eval"
    if not any(folder.glob("*/*/result.json")):
        return absent("no model was scored", "fer-build eval --model NAME")
    return _read("scores", lambda: scores.of(build.settings.work, out))
