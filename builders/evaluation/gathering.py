"""Rows of files of results to one table of answers, each held against what is known of the benchmark.

Stands between the files and the score. Whatever is wrong with a row is counted and told; a row that belongs to the
benchmark and holds nothing that can be read stays, as an error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.builders.evaluation.answers import ANSWERS, PROBLEMS, Loaded, Problem, cluster_of
from ferbuild.builders.evaluation.known import KnownSet, Row, Sets, by_path, named_in, set_of
from ferbuild.builders.evaluation.said import Said, Unread

LONGEST = 200
"""Characters of a detail: what a file holds may be of any length."""


@dataclass(slots=True)
class _Fault:
    """Rows of one file or set that something is wrong with."""

    count: int
    first: str
    otherwise: int = 0
    """Doubled rows that say something else than those that stand."""


@dataclass(slots=True)
class Gathering:
    """Takes one file after another, and then is the table."""

    sets: Sets
    forced: KnownSet | None = None
    """The set that all rows are said to be of; None: each is told by what it holds."""
    kept: dict[str, dict[str, tuple[Any, ...]]] = field(default_factory=dict)
    """Set to image path to the cells of a row, in the order of ANSWERS."""
    faults: dict[tuple[str, str], _Fault] = field(default_factory=dict)
    """By kind and where."""
    strange: str = ""
    """The first name of a set that is none."""
    choices: dict[tuple[str, tuple[str, ...]], Sequence[str] | None] = field(default_factory=dict)
    """What `_choices` said before: nearly all rows of a set have the same."""
    names: dict[str, KnownSet | None] = field(default_factory=dict)
    """What `_told` said before."""
    last: KnownSet | None = None
    """The set of the row before, which is most often that of the next."""

    def take(self, file: Path, rows: Iterable[Said | Unread]) -> None:
        """Add the rows of a file. FerError where they cannot be joined with a benchmark that is not at hand."""
        where, named = str(file), named_in(file, self.sets)
        for said in rows:
            if isinstance(said, Unread):
                self._fault("not readable", where, said.why)
            elif found := self._set(said, where, named):
                self._place(said, *found, where)

    def loaded(self, name: str, files: Sequence[Path]) -> Loaded:
        """Return the table and all that is wrong with it. FerError where no row can be scored."""
        if not any(self.kept.values()):
            raise self._nothing(files)
        for set_name, rows in self.kept.items():
            self._tell_missing(self.sets[set_name], rows)
        cells = [row for set_name in self.sets for row in self.kept.get(set_name, {}).values()]
        columns = [pa.array(column, kind.type) for column, kind in zip(zip(*cells, strict=True), ANSWERS, strict=True)]
        return Loaded(name, pa.table(columns, schema=ANSWERS), list(self._problems()))

    def _set(self, said: Said, where: str, named: KnownSet | None) -> tuple[KnownSet, str] | None:
        """Return the set that a row is of, and its path as published; None where it is told as a fault."""
        told, (seen, path) = self._told(said.set), self._seen(said.path)
        if said.set and not told and not self.forced:
            self.strange = self.strange or said.set
            self._fault("unknown set", where, f"{said.path}: no set {said.set!r}")
            return None
        known = self.forced or told or seen or self._at_hand(path) or named
        if known is None:
            self._fault("unknown set", where, path or f"row {said.at}")
            return None
        if other := next((one for one in (told, seen) if one and one is not known), None):
            self._fault("another benchmark", where, f"{path} is of {other.name}, not of {known.name}")
            return None
        return known, path

    def _told(self, name: str) -> KnownSet | None:
        if name not in self.names:
            self.names[name] = set_of(name, self.sets)
        return self.names[name]

    def _seen(self, path: str) -> tuple[KnownSet | None, str]:
        """Return the set of which `path` is a published one, and that path; of another path None and itself."""
        path = path.replace("\\", "/")
        if self.last and (found := self.last.published(path)):
            return self.last, found
        self.last, path = by_path(path, self.sets) or (None, path)
        return self.last, path

    def _at_hand(self, path: str) -> KnownSet | None:
        return next((one for one in self.sets.values() if one.bench and path in one.bench.by_path), None)

    def _place(self, said: Said, known: KnownSet, path: str, where: str) -> None:
        """Add a row of a set, or tell why it is none."""
        row = _row(said, known, path, where)
        path = row.path if row else path
        word = known.word(said.true)
        why = _strange(said.true, word, known, row)
        choices = self._choices(said.choices, known)
        if why or choices is None:
            self._fault("another benchmark", where, f"{path}: {why or 'its labels are ' + ', '.join(said.choices)}")
            return
        true = word or (row.true if row else "")
        if not true:
            self._fault("not readable", where, f"{path}: no true_label")
            return
        rows = self.kept.setdefault(known.name, {})
        cells = _cells(said, known, path, true, choices, row)
        if path in rows:
            fault = self._fault("doubled", where, path)
            fault.otherwise += rows[path][_TEXTS] != cells[_TEXTS]
            return
        rows[path] = cells
        self._tell_reply(said, path, where)

    def _choices(self, said: Sequence[str], known: KnownSet) -> Sequence[str] | None:
        """Return the labels asked for, in the set's own spelling; None where they are not the set's."""
        key = (known.name, tuple(said))
        if key not in self.choices:
            words = [known.word(one.strip()) for one in said]
            fits = sorted(map(str, words)) == sorted(known.words)
            self.choices[key] = [word for word in words if word] if fits else None if said else known.words
        return self.choices[key]

    def _tell_reply(self, said: Said, path: str, where: str) -> None:
        if said.fault:
            self._fault("not readable", where, f"{path}: {said.fault}")
        elif said.error is not None:
            self._fault("error", where, f"{path}: {said.error}" if said.error else path)
        elif not said.texts or not all(text and not text.isspace() for text in said.texts):
            self._fault("empty", where, path)

    def _tell_missing(self, known: KnownSet, rows: dict[str, tuple[Any, ...]]) -> None:
        if known.bench:
            missing = [path for path in known.bench.by_path if path not in rows]
            if missing:
                self.faults["missing", known.name] = _Fault(len(missing), f"the first: {missing[0]}")
            return
        total = sum(known.expected.values())
        there = Counter(cells[_TRUE] for cells in rows.values())
        if known.expected and (more := there - Counter(known.expected)):
            listed = ", ".join(f"{label} {there[label]:,} of {known.expected.get(label, 0):,}" for label in more)
            told = f"more rows than published, which are scored all the same: {listed}; --bench tells which they are"
            self.faults["another benchmark", known.name] = _Fault(more.total(), told)
        if total > len(rows):
            lacks = [
                f"{label} {few:,}" for label, all_of in known.expected.items() if (few := all_of - there[label]) > 0
            ]
            told = f"{len(rows):,} of {total:,} rows are there; missing: {', '.join(lacks)}"
            self.faults["missing", known.name] = _Fault(total - len(rows), told)

    def _fault(self, kind: str, where: str, detail: str) -> _Fault:
        found = self.faults.get((kind, where))
        if found is None:
            found = self.faults[kind, where] = _Fault(0, detail)
        found.count += 1
        return found

    def _problems(self) -> Iterator[Problem]:
        for wanted in PROBLEMS:
            for (kind, where), fault in self.faults.items():
                if kind == wanted:
                    more = "; the first of each counts" if kind == "doubled" else ""
                    if fault.otherwise:
                        more += f", and {fault.otherwise:,} of the others say something else"
                    yield Problem(kind, where, fault.count, _short(fault.first) + more)

    def _nothing(self, files: Sequence[Path]) -> FerError:
        """Return why no row can be scored."""
        found = list(self._problems())
        told = "; ".join(f"{one.count:,} {one.kind} ({one.detail})" for one in found[:4]) or "no rows"
        kinds = {one.kind for one in found}
        if "unknown set" in kinds:
            hint = f"name the set, --set {' or '.join(self.sets)}"
            hint = f"{hint}; {did_you_mean(self.strange, self.sets)}" if self.strange else hint
        elif "another benchmark" in kinds:
            hint = "is it the right file, and the right --set and benchmark for it?"
        else:
            hint = WANTED
        return FerError(files[0] if len(files) == 1 else f"{len(files)} files", f"no row can be scored: {told}", hint)


WANTED = (
    "wanted: a JSON list or JSON lines of benchmark rows with `model_response`, a log of lmms-eval (--log_samples), a"
    " result table of VLMEvalKit, or a folder that `fer-build eval` wrote"
)

_TEXTS, _TRUE = (ANSWERS.get_field_index(name) for name in ("texts", "true_label"))


def _row(said: Said, known: KnownSet, path: str, where: str) -> Row | None:
    """Return the row of the benchmark that was answered; None where it is not at hand, or knows no such row.

    FerError where nothing but its place is known of a row, and the benchmark is not at hand or has another label there.
    """
    if known.bench is None:
        if not path:
            problem = "does not say which picture a row is of: lmms-eval leaves `doc` out of its logs since 0.4"
            hint = "give the benchmark too: --bench with the ferbench folder, or the published JSON, that was asked"
            raise FerError(where, problem, hint)
        return None
    row = known.bench.find(path) if path else None
    if row is None and said.at is not None and 0 <= said.at < len(known.bench.rows):
        row, word = known.bench.rows[said.at], known.word(said.true)
        if word and word != row.true:
            problem = f"row {said.at} of {known.name} is said to be {word}, and the benchmark has {row.true} there"
            hint = "give the benchmark in the order in which it was asked, or rows that name their image_path"
            raise FerError(where, problem, hint)
    return row


def _strange(true: str, word: str | None, known: KnownSet, row: Row | None) -> str:
    """Return why a row is not one of the benchmark; empty where it is. `word`: its label in the set's own spelling."""
    if true and word is None:
        return f"{true!r} is no label of {known.name}"
    if known.bench and row is None:
        return f"no such row in {known.name}"
    if row and word and word != row.true:
        return f"its true label is said to be {word}, and is {row.true}"
    return ""


def _cells(
    said: Said, known: KnownSet, path: str, true: str, choices: Sequence[str], row: Row | None
) -> tuple[Any, ...]:
    """Return the cells of a row of ANSWERS, in its order."""
    failed = said.error is not None or bool(said.fault)
    texts = [] if failed else list(said.texts) or [""]
    ends = [*said.finishes, *[""] * len(texts)][: len(texts)]
    group = (row.group if row else None) or said.cluster or None
    return (
        known.name,
        path,
        true,
        known.canonical.get(true, true),
        choices,
        cluster_of(known.name, path, group),
        texts,
        ends,
        failed,
        (said.error or said.fault) if failed else "",
        said.bare,
        said.tokens_read,
        said.tokens_written,
        (row.id if row else None) or said.id,
        said.prompt_version,
        None,
    )


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
