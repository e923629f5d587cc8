"""The result folders below a folder, as a leaderboard takes them: one entry a model, and what cannot be used, named.

Stands behind the scores and reads what they left on disk, in the form of `as_json`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict, Field

from ferbuild.builders.errors import FerError
from ferbuild.builders.evaluation.as_json import FORM, RESULT
from ferbuild.builders.evaluation.compare import Rows, read_rows
from ferbuild.builders.evaluation.figures import PUBLISHED
from ferbuild.manifests import load

NEAR = 1e-5
"""Shares that are nearer are the same: a score is written to six places."""

Share = Annotated[float, Field(ge=0, le=1)]


class Figure(NamedTuple):
    """A share, 0..1, and the ends of its 95 % interval; None where there is none."""

    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One model's result: shares 0..1, None of no rows; pooled over its sets and read strictly where not said else."""

    folder: Path
    place: str
    """The folder, seen from where results were looked for."""
    name: str
    """The model's; with its place where several results bear it."""
    baseline: bool
    """A program computed the answers; nobody was asked."""
    n: int
    """Rows."""
    strict: Figure
    """Accuracy."""
    uar: float | None
    f1: float | None
    official: float | None
    """Accuracy by the published scripts' reading."""
    sets: Mapping[str, float | None]
    """Accuracy in each."""
    unanswered: float
    """Rows without an answer, among them those refused, truncated and in error."""
    refused: float
    truncated: float
    error: float
    cost: float | None
    """US dollars."""
    marks: tuple[str, ...]
    """How it was got otherwise than from one greedy reply, the tool's prompt and photographs."""
    lacks: tuple[str, ...]
    """How its rows differ from the benchmark's, as in "rafdb 40 of 3,068 rows"; empty: all are there."""


class Broken(NamedTuple):
    """A result folder that cannot be used, or not for all that was asked."""

    place: str
    problem: str


class _Part(BaseModel):
    """Of a result; what else it holds is no matter here."""

    model_config = ConfigDict(frozen=True, strict=True)


class _Way(_Part):
    accuracy: Share | None
    uar: Share | None
    f1: Share | None
    n: int = Field(ge=0)
    unknown: int = Field(ge=0)
    intervals: dict[str, Annotated[list[Share], Field(min_length=2, max_length=2)] | None]


class _Set(_Part):
    strict: _Way
    official: _Way
    rates: dict[str, Share]
    cost: float | None
    samples: int = 1
    prompts: list[str] = Field(default_factory=list)
    synthetic: int = 0


class _Result(_Part):
    model: str
    baseline: bool = False
    """Left out where the answers come from a file."""
    sets: dict[str, _Set]
    pooled: _Set


def find(folder: Path) -> tuple[list[Entry], list[Broken]]:
    """Return every result below `folder`, at any depth, by place; FerError where there is not even a broken one."""
    if not folder.is_dir():
        raise FerError(folder, "is no folder", "name the one that results lie in, such as fer-data/eval")
    found, broken = list[Entry](), list[Broken]()
    whole = benchmark_rows()
    for path in sorted(folder.rglob(RESULT)):
        place = str(path.parent.relative_to(folder))
        try:
            found.append(_entry(path.parent, place, _read(path), whole))
        except FerError as err:
            broken.append(Broken(place, err.problem))
    if not found and not broken:
        raise FerError(folder, f"holds no {RESULT} at any depth", "score a model first: fer-build eval --model NAME")
    return _told_apart(found), broken


def benchmark_rows() -> dict[str, int]:
    """Return each set's rows in the published benchmark, in the order in which the default recipe names the sources."""
    sources = [load.load_source(name) for name in load.load_recipe("default").sources]
    marked = [(source, source.benchmark) for source in sources if source.benchmark]
    return {mark.set: sum(source.expected[source.rules[0]][mark.split].values()) for source, mark in marked}


def predictions(one: Entry) -> Rows:
    """Read the predictions of a result; FerError where they cannot be read, or are not those that were scored."""
    rows = read_rows(one.name, one.folder)
    accuracy = sum(rows.right) / len(rows.right) if rows.right else None
    same = accuracy == one.strict.value or abs((accuracy or 0) - (one.strict.value or 0)) < NEAR
    if len(rows.right) != one.n or not same:
        raise FerError(one.folder, f"its predictions are not those of its {RESULT}", "score the model again")
    return rows


def _read(path: Path) -> _Result:
    """Read a result; FerError where it is none, or of another version."""
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as err:
        raise FerError(path, f"{RESULT} cannot be read: {getattr(err, 'strerror', None) or err}") from None
    if not isinstance(found, dict) or found.get("stage") != "eval":
        raise FerError(path, f"{RESULT} is no score of fer-build eval")
    if (form := found.get("form")) != FORM:
        raise FerError(path, f"{RESULT} is of another version (form {form!r}, known is {FORM})", "score it again")
    return load.check(found, _Result, path)


def _entry(folder: Path, place: str, found: _Result, whole: Mapping[str, int]) -> Entry:
    pooled, strict = found.pooled, found.pooled.strict
    low, high = strict.intervals.get("accuracy") or (None, None)
    return Entry(
        folder=folder,
        place=place,
        name=found.model,
        baseline=found.baseline,
        n=strict.n,
        strict=Figure(strict.accuracy, low, high),
        uar=strict.uar,
        f1=strict.f1,
        official=pooled.official.accuracy,
        sets={name: one.strict.accuracy for name, one in found.sets.items()},
        unanswered=strict.unknown / strict.n if strict.n else 0.0,
        refused=pooled.rates.get("refused", 0.0),
        truncated=pooled.rates.get("truncated", 0.0),
        error=pooled.rates.get("error", 0.0),
        cost=pooled.cost,
        marks=tuple(_marks(pooled)),
        lacks=tuple(_lacks({name: one.strict.n for name, one in found.sets.items()}, whole)),
    )


def _marks(pooled: _Set) -> Iterator[str]:
    if pooled.samples > 1:
        yield f"{pooled.samples} samples"
    if any(one.startswith(PUBLISHED) for one in pooled.prompts):
        yield "published prompts"
    if pooled.synthetic:
        yield "rendered pictures"


def _lacks(rows: Mapping[str, int], whole: Mapping[str, int]) -> Iterator[str]:
    """Yield how the rows of a result differ from the benchmark's."""
    for name, count in whole.items():
        if not rows.get(name):
            yield f"no {name}"
        elif rows[name] < count:
            yield f"{name} {rows[name]:,} of {count:,} rows"
        elif rows[name] > count:
            yield f"{name} {rows[name]:,} rows, not {count:,}"
    yield from (f"{name}, which is not of the benchmark" for name in rows if name not in whole)


def _told_apart(found: Sequence[Entry]) -> list[Entry]:
    """Return the entries with names that no two of them share."""
    named = Counter(one.name for one in found)
    return [replace(one, name=f"{one.name} ({one.place})") if named[one.name] > 1 else one for one in found]
