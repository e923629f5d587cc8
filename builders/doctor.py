"""What this machine lacks, and for which command: looked at without building, asking or fetching anything.

Stands before the command line, beside the way of a face. No key and no token is ever told, only whether it is set.
"""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal, NamedTuple

from packaging.requirements import Requirement

from ferbuild.builders.api_keys import found_key
from ferbuild.builders.assets import cache_folder, cached_path
from ferbuild.builders.config import FILE, Settings
from ferbuild.builders.errors import FerError
from ferbuild.builders.files import file_sha256
from ferbuild.builders.standing import Standing, standings
from ferbuild.manifests import load
from ferbuild.manifests.schema import Asset, TeacherEntry

PACKAGE = "fer-build"
EXTRAS = {
    "insightface": "`detector: insightface`, with weights of your own",
    "openai": "teachers of kind batch (OpenAI's Batch API)",
    "vllm": "teachers of kind vllm, in this process",
    "cluster": "--engine daft, and Ray clusters",
    "train": "python training/run.py",
}
"""Extra to what it is needed for; those of people who work on the tool itself are not told of."""
LIBRARIES = {"cv2": "on Debian or Ubuntu: apt-get install libgl1 libglib2.0-0"}
"""Modules that count on libraries of the system, and what to do where they cannot be imported."""
ROOMY = 5_000_000_000
"""Bytes that should be free where datasets are built: 360,000 faces of 48 pixels take 1.5 GB at every stage."""

State = Literal["ok", "note", "fault"]


class Finding(NamedTuple):
    """One thing that was looked at. `note`: something optional is not there; `fault`: a command will stop at it."""

    area: str
    name: str
    state: State
    said: str
    hint: str = ""


def findings(settings: Settings, config: Path | None) -> Iterator[Finding]:
    """Yield all that there is to say, area by area. Servers have 2 s to answer, all at once."""
    yield from _versions()
    yield from _extras()
    yield from _models(settings)
    yield from _folders(settings)
    yield from _releases(settings, config)
    yield from _teachers(settings)
    yield _hub()


def _versions() -> Iterator[Finding]:
    yield Finding("versions", PACKAGE, "ok", version(PACKAGE))
    yield Finding("versions", "Python", "ok", f"{platform.python_version()} on {platform.platform(terse=True)}")
    wanted = [one for one in _requirements() if one.marker is None or one.marker.evaluate({"extra": ""})]
    for one in wanted:
        said, fits = _installed(one)
        hint = "" if fits else f"pip install '{one}'"
        yield Finding("versions", one.name, "ok" if fits else "fault", said, hint)
    for module, hint in LIBRARIES.items():
        try:
            import_module(module)
        except ImportError as err:
            yield Finding("versions", module, "fault", f"cannot be imported: {err}", hint)


def _extras() -> Iterator[Finding]:
    for extra, use in EXTRAS.items():
        wanted = [one for one in _requirements() if one.marker and _only_for(one, extra)]
        lacking = [one.name for one in wanted if not _installed(one)[1]]
        if lacking:
            said = f"not installed ({', '.join(lacking)}): needed for {use}"
            yield Finding("extras", extra, "note", said, f"pip install '{PACKAGE}[{extra}]'")
        else:
            yield Finding("extras", extra, "ok", f"for {use}")


def _requirements() -> list[Requirement]:
    return [Requirement(one) for one in requires(PACKAGE) or ()]


def _only_for(one: Requirement, extra: str) -> bool:
    marker = one.marker
    return marker is not None and marker.evaluate({"extra": extra}) and not marker.evaluate({"extra": ""})


def _installed(one: Requirement) -> tuple[str, bool]:
    """Return the version that is installed, in words, and whether it is one that is wanted."""
    try:
        found = version(one.name)
    except PackageNotFoundError:
        return f"not installed, {one.specifier} is needed", False
    fits = one.specifier.contains(found, prereleases=True)
    return (found if fits else f"{found}, {one.specifier} is needed"), fits


def _models(settings: Settings) -> Iterator[Finding]:
    for name in load.entries("models.yaml"):
        own = settings.models.get(name)
        yield _model(load.load_asset(name)) if own is None else _own_model(name, own)


def _model(asset: Asset) -> Finding:
    path = cached_path(asset)
    if not path.exists():
        return Finding("models", asset.name, "note", f"not fetched yet: {asset.use}", "the first command in need does")
    if file_sha256(path) != asset.sha256:
        return Finding("models", asset.name, "fault", f"{path} has another sha256 than expected", f"remove {path}")
    return Finding("models", asset.name, "ok", f"{asset.use} ({asset.licence})")


def _own_model(name: str, path: Path) -> Finding:
    if path.exists():
        return Finding("models", name, "ok", f"your own: {path}")
    return Finding("models", name, "fault", f"{path} is not there", f"correct `models: {{{name}: …}}` in {FILE}")


def _folders(settings: Settings) -> Iterator[Finding]:
    for name, folder in {"work folder": settings.work, "cache": cache_folder()}.items():
        place = next(one for one in (folder, *folder.resolve().parents) if one.exists())
        free = shutil.disk_usage(place).free
        said = f"{folder}: {free / 1e9:,.1f} GB free"
        if not os.access(place, os.W_OK):
            yield Finding("disk", name, "fault", f"{place} cannot be written", "name another folder with --work")
        elif free < ROOMY:
            yield Finding("disk", name, "note", said, "360,000 faces of 48 pixels take 1.5 GB at every stage")
        else:
            yield Finding("disk", name, "ok", said)


def _releases(settings: Settings, config: Path | None) -> Iterator[Finding]:
    path = config or Path(FILE)
    if not path.exists():
        yield Finding("releases", FILE, "note", "not there", "fer-build init --find DIR writes it")
    for one in settings.releases:
        there = one.root.exists()
        hint = "" if there else f"correct its place in {path}"
        said = str(one.root) if there else f"{one.root} is not there"
        yield Finding("releases", one.source.name, "ok" if there else "fault", said, hint)


def _teachers(settings: Settings) -> Iterator[Finding]:
    names = list(dict.fromkeys([*load.entries("teachers.yaml"), settings.teacher]))
    try:
        load.load_teacher(settings.teacher)
    except FerError as err:
        yield Finding("teachers", settings.teacher, "fault", f"{err.where}: {err.problem}", err.hint)
        names.remove(settings.teacher)
    entries = [load.load_teacher(name) for name in names]
    for name, entry, now in zip(names, entries, standings(entries, settings.own), strict=True):
        yield _teacher(entry, now, chosen=name == settings.teacher)


def _teacher(entry: TeacherEntry, now: Iterable[Standing], *, chosen: bool) -> Finding:
    standing = list(now)
    key = f"; {entry.key} is set" if entry.key and found_key(entry) else ""
    said = "; ".join(" ".join(part for part in (one.url, one.said) if part) for one in standing)
    if any(one.answers for one in standing):
        return Finding("teachers", entry.name, "ok", said + key)
    return Finding(
        "teachers", entry.name, "fault" if chosen else "note", said + key, f"fer-build teachers {entry.name}"
    )


def _hub() -> Finding:
    from huggingface_hub import get_token

    if get_token():
        return Finding("hub", "token", "ok", "is set")
    return Finding("hub", "token", "note", "not set: needed for publish --repo", "hf auth login")
