"""The score of one model: every figure of every set, pooled and as the mean of the sets, with its interval.

Stands at the end of the way: it takes readings and returns numbers, which tables, pages and leaderboards show.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ferbuild.builders.evaluation import matrices
from ferbuild.builders.evaluation.answers import Loaded, Problem
from ferbuild.builders.evaluation.matrices import Drawn, Measured
from ferbuild.builders.evaluation.metrics import RESAMPLES, Counts
from ferbuild.builders.evaluation.reading import OUTCOMES, Readings, canonical_of, read_all
from ferbuild.builders.evaluation.repeated import calibration, pass_at

Cost = Callable[[int, int], float | None]
"""From tokens read and written to US dollars; None where no prices are known."""


@dataclass(frozen=True, slots=True)
class SetScore:
    """All that is told of one set, or of all sets pooled."""

    labels: Sequence[str]
    measured: Mapping[str, Measured]
    """By way of reading: official, strict; in SFEW official-sfew too."""
    counts: Counts
    """(labels, labels + unknown): strict."""
    outcomes: Mapping[str, int]
    disagreements: Sequence[int]
    """Rows of the readings that the two ways read otherwise."""
    samples: int
    """Of each row, at most."""
    pass_at: Sequence[float]
    """Chance that one of k samples is right, k from 1 to `samples`; empty of one sample."""
    calibration: Mapping[str, Any] | None
    tokens: Mapping[str, int] | None
    prompts: Sequence[str]
    """Versions of the prompts that were asked, `file:…` where they are the published ones; empty: not known."""
    synthetic: int
    """Rows whose picture is no photograph of a person."""
    cost: float | None
    baselines: Mapping[str, Mapping[str, float | None]]
    ceiling: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """One model's score, and the readings that it rests on."""

    name: str
    sets: Mapping[str, SetScore]
    pooled: SetScore
    mean: Mapping[str, Measured]
    problems: Sequence[Problem]
    readings: Readings
    resamples: int
    seed: int

    @property
    def disagreements(self) -> Sequence[int]:
        """Rows of the readings that the published scripts and the strict parser read otherwise."""
        return self.pooled.disagreements


def score(
    loaded: Loaded,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    ceilings: Mapping[str, Mapping[str, Any]] | None = None,
    cost: Cost = lambda read, written: None,
) -> Score:
    """Return every figure of a model's replies; `ceilings` are what people reach, by set."""
    table, readings = loaded.table, read_all(loaded.table)
    drawn: dict[str, dict[str, Drawn]] = {}
    sets: dict[str, SetScore] = {}
    for at, name in enumerate(dict.fromkeys(readings.sets)):
        rows = [row for row, one in enumerate(readings.sets) if one == name]
        drawn[name] = matrices.draw(readings, rows, resamples, (seed, at))
        part = table.filter(pc.equal(table["set"], name))
        sets[name] = _set_score(readings, rows, drawn[name], part, cost, (ceilings or {}).get(name))
    whole = _set_score(readings, range(len(readings)), matrices.pool(drawn), table, cost, None)
    return Score(loaded.name, sets, whole, matrices.mean(drawn), loaded.problems, readings, resamples, seed)


def _set_score(
    readings: Readings,
    rows: Sequence[int],
    drawn: Mapping[str, Drawn],
    table: pa.Table,
    cost: Cost,
    ceiling: Mapping[str, Any] | None,
) -> SetScore:
    said, tokens = [readings.said[row] for row in rows], _tokens(table)
    outcomes = Counter(one.outcome for one in said)
    samples = max((one.samples for one in said), default=1)
    return SetScore(
        labels=drawn["strict"].labels,
        measured={way: matrices.measured(way, one) for way, one in drawn.items()},
        counts=drawn["strict"].counts,
        outcomes={name: outcomes[name] for name in OUTCOMES},
        disagreements=disagreements(readings, rows),
        samples=samples,
        pass_at=pass_at(said, samples),
        calibration=calibration(readings, rows) if samples > 1 else None,
        tokens=tokens,
        prompts=sorted(one for one in table["prompt_version"].unique().to_pylist() if one),
        synthetic=pc.sum(table["synthetic"]).as_py() or 0,
        cost=cost(tokens["read"], tokens["written"]) if tokens else None,
        baselines=_baselines(readings, rows, drawn["strict"].counts),
        ceiling=ceiling,
    )


def disagreements(readings: Readings, rows: Sequence[int]) -> list[int]:
    """Return the rows that the published script and the strict parser read otherwise; errors are none."""
    return [row for row in rows if readings.official[row] not in (None, readings.said[row].label)]


def _tokens(table: pa.Table) -> dict[str, int] | None:
    """Return the tokens of some rows; None where none is counted."""
    sums = {name: pc.sum(table[f"tokens_{name}"]).as_py() for name in ("read", "written")}
    return None if None in sums.values() else sums


def _baselines(readings: Readings, rows: Sequence[int], counts: Counts) -> dict[str, Mapping[str, float | None]]:
    """Return what always naming the most frequent label scores here, and what drawing one of the choices does.

    Of drawing, a label's recall is the mean over its rows: pooled sets offer seven or eight choices.
    """
    if not len(rows):
        return {name: {"accuracy": None, "uar": None} for name in ("majority", "random")}
    true = counts.sum(-1)
    chances: dict[str, list[float]] = {}
    for row in rows:
        chances.setdefault(canonical_of(readings.true[row]), []).append(1 / max(len(readings.choices[row]), 1))
    return {
        "majority": {"accuracy": float(true.max() / true.sum()), "uar": 1 / len(true)},
        "random": {
            "accuracy": sum(map(sum, chances.values())) / len(rows),
            "uar": sum(sum(some) / len(some) for some in chances.values()) / len(true),
        },
    }
