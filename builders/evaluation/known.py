"""What is known of the benchmark before a reply is read: its sets, their words and their rows.

Stands beside the replies: without the benchmark at hand it is the manifests that know the words of a set and how many
rows it has of each; with it every row is known.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pyarrow as pa

from ferbuild.builders import shards
from ferbuild.builders.errors import FerError
from ferbuild.builders.evaluation.grouped import groups_of
from ferbuild.builders.evaluation.said import CHOICES, TRUE, text_of
from ferbuild.manifests import load
from ferbuild.manifests.schema import Benchmark, Source

FACES = "faces"
"""The dataset beside a built benchmark that knows near duplicates."""
RECIPE = "default"
"""Its sources are the benchmark's, in the order of the benchmark's sets."""
WANTED = "name a built ferbench folder, or files with the published rows: image_path, true_label, candidate_labels"


class Row(NamedTuple):
    """A row of the benchmark."""

    path: str
    true: str
    id: str | None = None
    group: str | None = None
    """Of near duplicates, as the faces dataset groups them; None where it is not at hand."""


@dataclass(frozen=True, slots=True)
class Rows:
    """All rows of a set, in their published order."""

    rows: Sequence[Row]
    by_path: Mapping[str, Row]
    by_name: Mapping[str, Row]
    """By the picture's id, or by its file name where no other row has the same."""

    def find(self, path: str) -> Row | None:
        return self.by_path.get(path) or self.by_name.get(path.rpartition("/")[2])


@dataclass(frozen=True, slots=True)
class KnownSet:
    """A set of the benchmark."""

    name: str
    words: Sequence[str]
    """Its own labels."""
    canonical: Mapping[str, str]
    """Own word to the word shared by all sets, where they differ."""
    aliases: frozenset[str] = frozenset()
    """What else it is called, folded by `folded`."""
    pattern: re.Pattern[str] | None = None
    """Finds the published path at the end of a picture's path, wherever somebody keeps it; None: no path is known."""
    expected: Mapping[str, int] = field(default_factory=dict)
    """Rows of each label as published; empty where nobody knows."""
    bench: Rows | None = None
    """The rows themselves, where the benchmark is at hand."""

    def published(self, path: str) -> str | None:
        """Return the published path at the end of `path`; None where it does not end in one of this set."""
        found = self.pattern.search(path) if self.pattern else None
        return f"/{found[1]}" if found else None

    def word(self, label: str) -> str | None:
        """Return a label in the set's own spelling, whatever its letter case; None where it is no word of the set."""
        if label in self.words:
            return label
        return next((one for one in self.words if one.casefold() == label.casefold()), None)


Sets = Mapping[str, KnownSet]


def folded(name: str) -> str:
    """Return letters and digits of a name alone, in lower case: "SFEW_2.0" is "sfew20"."""
    return re.sub(r"[\W_]", "", name.lower())


def known_sets(bench: Sequence[Path] = (), set_name: str = "") -> Sets:
    """Return the sets that manifests know, and those of `bench`, with its rows; `set_name` for files that name none.

    FerError where a part of `bench` holds no benchmark rows.
    """
    sources = map(load.load_source, load.load_recipe(RECIPE).sources)
    sets = {source.benchmark.set: _of_source(source, source.benchmark) for source in sources if source.benchmark}
    for path in bench:
        found = _of_folder(path) if path.is_dir() else _of_file(path, sets, set_name)
        for name, one in found.items():
            sets[name] = _joined(sets.get(name), one)
    return sets


def set_of(name: str, sets: Sets) -> KnownSet | None:
    """Return the set that goes by a name, whatever its letter case and marks; None where none does."""
    wanted = folded(name)
    return next((one for one in sets.values() if wanted in one.aliases), None) if wanted else None


def named_in(path: Path, sets: Sets) -> KnownSet | None:
    """Return the one set that a file's name speaks of, or its folder's, or that one's; None where none does."""
    path = path.absolute()
    for part in (path.name, path.parent.name, path.parent.parent.name):
        found = [one for one in sets.values() if any(alias in folded(part) for alias in one.aliases)]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def by_path(path: str, sets: Sets) -> tuple[KnownSet, str] | None:
    """Return the set whose published paths `path` ends in, and that path; None where it is none."""
    return next(((one, found) for one in sets.values() if (found := one.published(path))), None)


def _of_source(source: Source, mark: Benchmark) -> KnownSet:
    expected = source.expected.get(source.rules[0], {}).get(mark.split, {})
    top = mark.path.strip("/").partition("/")[0]
    aliases = {folded(name) for name in (mark.set, mark.file.removesuffix("_qa.json"), top)}
    pattern = _pattern(mark.path)
    return KnownSet(mark.set, source.candidates, source.canonical, frozenset(aliases), pattern, expected)


def _pattern(path: str) -> re.Pattern[str]:
    """Return the expression of a published path: a name may lie in folders of its own, a label is one folder."""
    parts = re.split(r"\{(\w+)\}", path.strip("/"))
    filled = [(".+" if part in ("name", "stem") else "[^/]+") if at % 2 else re.escape(part)
              for at, part in enumerate(parts)]  # fmt: skip
    return re.compile(rf"(?:^|/)({''.join(filled)})$")


def _of_folder(folder: Path) -> dict[str, KnownSet]:
    """Return the sets of a built benchmark, with the groups of the faces dataset beside it where that is built."""
    tables = {split: _columns(files) for split, files in shards.split_files(folder).items()}
    names = [one for table in tables.values() for one in table["id"].to_pylist()]
    groups = groups_of(folder.parent / FACES, names)
    found = {}
    for split, table in tables.items():
        ids, answers, shared, paths = (table[name].to_pylist() for name in ("id", "answer", "canonical", "image_path"))
        rows = [Row(path, true, one, groups.get(one)) for one, path, true in zip(ids, paths, answers, strict=True)]
        words = table["choices"][0].as_py() if rows else []
        canonical = {word: common for word, common in zip(answers, shared, strict=True) if word != common}
        found[split] = KnownSet(split, words, canonical, frozenset({folded(split)}), bench=_rows(rows))
    return found


def _columns(files: Iterable[Path]) -> pa.Table:
    try:
        names = ["id", "answer", "canonical", "image_path", "choices"]
        return pa.concat_tables([shards.read_stream(path).select(names) for path in files])
    except KeyError as err:
        raise FerError(next(iter(files)).parent.parent, f"holds no benchmark ({err})", WANTED) from None


def _of_file(path: Path, sets: Sets, set_name: str) -> dict[str, KnownSet]:
    """Return the sets of a file of published rows."""
    found: dict[str, list[Row]] = {}
    for at, row in enumerate(_published(path)):
        place = text_of(row, ("image_path",)) if isinstance(row, dict) else ""
        true = text_of(row, TRUE) if place else ""
        if not place or not true or not any(name in row for name in CHOICES):
            raise FerError(path, f"row {at + 1} is no row of the benchmark", WANTED)
        seen = by_path(place, sets)
        known = seen[0] if seen else set_of(set_name, sets) or named_in(path, sets)
        if known is None:
            raise FerError(path, f"no set can be told of {place}", f"name it: --set, one of {_listed(sets)}")
        word = known.word(true)
        if word is None:
            raise FerError(
                path, f"row {at + 1}: {true!r} is no label of {known.name}", f"its own: {_listed(known.words)}"
            )
        found.setdefault(known.name, []).append(Row(seen[1] if seen else place, word, text_of(row, ("id",)) or None))
    return {name: KnownSet(name, (), {}, bench=_rows(rows)) for name, rows in found.items()}


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)


def _published(path: Path) -> list[Any]:
    try:
        rows = orjson.loads(path.read_bytes())
    except OSError as err:
        raise FerError(path, "cannot be read", err.strerror or str(err)) from None
    except orjson.JSONDecodeError as err:
        raise FerError(path, f"is no JSON ({err})", WANTED) from None
    if not isinstance(rows, list) or not rows:
        raise FerError(path, "holds no list of rows", WANTED)
    return rows


def _rows(rows: Sequence[Row]) -> Rows:
    names = Counter(row.path.rpartition("/")[2] for row in rows)
    by_name = {name: row for row in rows if names[name := row.path.rpartition("/")[2]] == 1}
    return Rows(rows, {row.path: row for row in rows}, by_name | {row.id: row for row in rows if row.id})


def _joined(one: KnownSet | None, other: KnownSet) -> KnownSet:
    """Return what is known of a set with the rows of `other` beside its own; of two equal ones that with an id."""
    if one is None or other.bench is None:
        return one or other
    rows = dict(one.bench.by_path) if one.bench else {}
    rows |= {path: row for path, row in other.bench.by_path.items() if row.id or path not in rows}
    return replace(one, bench=_rows(list(rows.values())))
