"""Whom a model fails on, and whose rows a teacher keeps: the rows of RAF-DB, by who is on the picture.

Stands between a result (or the built rationales) with the release's attribute files and the gaps. What leaves it are
figures of groups; rows and their attributes stay in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from ferbuild.builders import cot, shards
from ferbuild.builders.build import Build
from ferbuild.builders.errors import FerError
from ferbuild.builders.evaluation import attributes, compare, gaps
from ferbuild.builders.evaluation.as_json import RESULT
from ferbuild.builders.evaluation.attributes import ATTRIBUTES, SET, UNSURE, Person, name_of
from ferbuild.builders.evaluation.gaps import Compared, Rows
from ferbuild.builders.mark import read_mark
from ferbuild.builders.training_rows import SPLIT

NEVER_ANSWERED = frozenset({"teacher gave up", "not asked"})
"""Drop reasons of rows that nothing was said of: whether they would be kept nobody knows."""


class Seen(NamedTuple):
    """A row, and what came of it."""

    name: str | None
    """Of the picture, as attributes are kept by; None where it is none of the release's names."""
    label: str
    good: bool
    cluster: str


class Told(NamedTuple):
    """The groups by one figure."""

    figure: str
    """accuracy, or kept."""
    about: str
    """The model, or the teacher whose rationales were kept."""
    rows: int
    unknown: int
    """Of the rows, those of which no attribute file tells."""
    unsure: int
    """Of the rows, those whose gender nobody could tell: they are in no group of gender."""
    plain: Mapping[str, Compared]
    """Attribute to its groups, all rows counting alike."""
    alike: Mapping[str, Compared]
    """The same, all labels counting alike."""


class Looked(NamedTuple):
    """What a look at the people found."""

    told: Sequence[Told]
    files: int
    """Attribute files that were read."""
    broken: int
    """Those that could not be."""
    first_broken: str


def look(build: Build, result: Path | None) -> Looked:
    """Return the groups by a result's answers, where one is named, and by which rows the built rationales kept.

    FerError where there is neither, no release of RAF-DB, or none of its attribute files.
    """
    releases = attributes.releases_of(build.settings.releases)
    known = [attributes.read_attributes(release) for release in releases]
    people = {name: person for one in reversed(known) for name, person in one.people.items()}
    seed, folder = build.settings.seed, build.settings.work / cot.FOLDER
    told = [of_result(result, people, seed=seed)] if result else []
    kept = of_rationales(folder, [one.source.name for one in releases], people, seed=seed)
    if kept is None and not result:
        hint = "name a result with --result, a model with --model, or build rationales first: fer-build cot"
        raise FerError(folder, "holds no rationales to faces of RAF-DB", hint)
    first = next((one.first_broken for one in known if one.broken), "")
    return Looked([*told, *([kept] if kept else [])], len(people), sum(one.broken for one in known), first)


def of_result(folder: Path, people: Mapping[str, Person], *, seed: int) -> Told:
    """Return the strict accuracy of every group in a result folder. FerError where it holds no answers to RAF-DB."""
    found = compare.read_rows(folder.name, folder)
    columns = zip(found.sets, found.paths, found.true, found.right, found.clusters, strict=True)
    rows = [Seen(name_of(path), true, right, cluster) for name, path, true, right, cluster in columns if name == SET]
    if not rows:
        hint = f"run fer-build eval with the set {SET}: no other release tells who is on its pictures"
        raise FerError(folder, "holds no answers to the RAF-DB benchmark", hint)
    return _tell("accuracy", _name(folder), rows, people, seed)


def _name(folder: Path) -> str:
    """Return the model that a result folder names, or the folder's own name."""
    try:
        return str(orjson.loads((folder / RESULT).read_bytes())["model"])
    except (OSError, ValueError, KeyError, TypeError):
        return folder.name


def of_rationales(folder: Path, sources: Iterable[str], people: Mapping[str, Person], *, seed: int) -> Told | None:
    """Return the share of rows that was kept of every group in a built `cot` dataset; None where none is built.

    sources: the names under which RAF-DB is built. Rows that nobody has answered yet are not counted.
    """
    if read_mark(folder) is None:
        return None
    known = frozenset(sources)
    rows = [*_kept(folder, known), *_dropped(folder, known)]
    return _tell("kept", _teacher(folder), rows, people, seed) if rows else None


def _kept(folder: Path, sources: frozenset[str]) -> Iterator[Seen]:
    """Yield the rows of the dataset; one whose teacher had to be told the label counts as lost."""
    for split, files in shards.split_files(folder).items():
        for file in files:
            for row in shards.read_stream(file).select(["faces", "label"]).to_pylist():
                face = row["faces"][0]
                if face["source"] in sources:
                    yield Seen(name_of(face["rel_path"]), row["label"], split == SPLIT, face["rel_path"])


def _dropped(folder: Path, sources: frozenset[str]) -> Iterator[Seen]:
    for table in shards.read_drops(folder):
        for row in table.to_pylist():
            if row["source"] in sources and row["reason"] not in NEVER_ANSWERED:
                yield Seen(name_of(row["rel_path"]), row["label"], False, row["rel_path"])


def _teacher(folder: Path) -> str:
    """Return the teacher that the first row names."""
    files = (file for paths in shards.split_files(folder).values() for file in paths)
    tables = (shards.read_stream(file) for file in files)
    return next((table["teacher"][0].as_py() for table in tables if table.num_rows), "")


def _tell(figure: str, about: str, rows: Sequence[Seen], people: Mapping[str, Person], seed: int) -> Told:
    found = [people.get(one.name or "") for one in rows]
    unsure = sum(one is not None and one["gender"] == UNSURE for one in found)
    plain, weighed = (
        {name: _compare(name, rows, found, alike=alike, seed=seed) for name in ATTRIBUTES} for alike in (False, True)
    )
    return Told(figure, about, len(rows), found.count(None), unsure, plain, weighed)


def _compare(
    attribute: str, rows: Sequence[Seen], people: Sequence[Person | None], *, alike: bool, seed: int
) -> Compared:
    columns = Rows(
        groups=[one[attribute] if one else None for one in people],
        labels=[one.label for one in rows],
        right=[one.good for one in rows],
        clusters=[one.cluster for one in rows],
    )
    order = [group for group in ATTRIBUTES[attribute] if group != UNSURE]
    return gaps.compare(columns, order, alike=alike, seed=seed)


def as_json(found: Looked) -> dict[str, Any]:
    """Return the figures; for this machine only."""
    files = {"read": found.files, "broken": found.broken}
    return {"attribute files": files, "method": gaps.METHOD, "figures": [_json(one) for one in found.told]}


def _json(one: Told) -> dict[str, Any]:
    counts = {"rows": one.rows, "without attributes": one.unknown, "gender unsure": one.unsure}
    by_weight = {"rows alike": one.plain, "labels alike": one.alike}
    shown = {
        weight: {name: gaps.as_json(groups) for name, groups in some.items()} for weight, some in by_weight.items()
    }
    return {"figure": one.figure, "about": one.about, **counts, **shown}


def export(found: Looked, path: Path) -> None:
    """Write the gaps alone; see `gaps.export`."""
    figures = {
        f"{one.figure}, {weight}": some
        for one in found.told
        for weight, some in (("rows alike", one.plain), ("labels alike", one.alike))
    }
    gaps.export(figures, path)
