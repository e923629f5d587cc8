"""A score as JSON: what `--json` prints, what `result.json` holds, and what tables, pages and leaderboards read.

Stands behind the score. Shares are 0..1, to six places, so that two runs give the same bytes on any machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from ferbuild.builders.evaluation import metrics
from ferbuild.builders.evaluation.matrices import Measured
from ferbuild.builders.evaluation.reading import Readings
from ferbuild.builders.evaluation.score import Score, SetScore
from ferbuild.filters.official import UNKNOWN

RESULT, PREDICTIONS = "result.json", "predictions.jsonl"
"""Of a result folder: the score, and a JSON line a row."""
FORM = 1
"""Of result.json: raised when a key changes its meaning."""
RATES = {
    "unknown": ("malformed", "truncated", "refused", "empty", "not a candidate", "error"),
    "refused": ("refused",),
    "truncated": ("truncated",),
    "error": ("error",),
    "bad format": ("malformed", "not a candidate", "several"),
    "empty": ("empty",),
}
"""Rates and the outcomes they are made of. Of "several", whose last label counts, only the form is bad."""


def as_json(score: Score) -> dict[str, Any]:
    """Return the score as JSON values."""
    return {
        "stage": "eval",
        "form": FORM,
        "model": score.name,
        "extractor": "strict",
        "rows": len(score.readings),
        "sets": {name: _set(one) for name, one in score.sets.items()},
        "pooled": _set(score.pooled),
        "mean": {way: _measured(one) for way, one in score.mean.items()},
        "problems": [asdict(one) for one in score.problems],
        "disagreements": [predicted(score.readings, at) for at in score.disagreements],
        "resamples": score.resamples,
        "seed": score.seed,
    }


def predictions(readings: Readings) -> Iterator[dict[str, Any]]:
    """Yield a line a row."""
    return (predicted(readings, at) for at in range(len(readings)))


def predicted(readings: Readings, at: int) -> dict[str, Any]:
    """Return of one row what is true, what was read each way, and how it was found."""
    said = readings.said[at]
    return {
        "set": readings.sets[at],
        "image_path": readings.paths[at],
        "true_label": readings.true[at],
        "official": readings.official[at],
        "strict": said.label,
        "outcome": said.outcome,
        "agreement": round(said.agreement, 6),
        "cluster": readings.clusters[at],
    }


def _set(one: SetScore) -> dict[str, Any]:
    return {
        "labels": list(one.labels),
        **{way: _measured(found) for way, found in one.measured.items()},
        "baselines": {name: _rounded(values) for name, values in one.baselines.items()},
        "ceiling": one.ceiling,
        "per_class": _per_class(one),
        "confusion": {
            "rows": list(one.labels),
            "columns": [*one.labels, UNKNOWN],
            "counts": one.counts.tolist(),
        },
        "outcomes": dict(one.outcomes),
        "rates": _rates(one.outcomes),
        "disagreements": len(one.disagreements),
        "tokens": one.tokens,
        "prompts": list(one.prompts),
        "synthetic": one.synthetic,
        "cost": None if one.cost is None else round(one.cost, 6),
        "samples": one.samples,
        "pass_at": {str(k): round(share, 6) for k, share in enumerate(one.pass_at, 1)} or None,
        "calibration": _deep(one.calibration),
    }


def _measured(found: Measured) -> dict[str, Any]:
    ends = {name: None if pair is None else [round(end, 6) for end in pair] for name, pair in found.intervals.items()}
    return {**_rounded(found.values), "n": found.n, "unknown": found.unknown, "intervals": ends}


def _rounded(values: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name: None if value is None else round(value, 6) for name, value in values.items()}


def _per_class(one: SetScore) -> list[dict[str, Any]]:
    found = metrics.per_class(one.counts)
    columns: Sequence[Any] = (one.labels, *(values.tolist() for values in found))
    return [
        {"label": label, "precision": round(p, 6), "recall": round(r, 6), "f1": round(f, 6), "n": n}
        for label, p, r, f, n in zip(*columns, strict=True)
    ]


def _rates(outcomes: Mapping[str, int]) -> dict[str, float]:
    rows = max(sum(outcomes.values()), 1)
    return {name: round(sum(outcomes[one] for one in made_of) / rows, 6) for name, made_of in RATES.items()}


def _deep(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, Mapping):
        return {name: _deep(one) for name, one in value.items()}
    return [_deep(one) for one in value] if isinstance(value, list) else value
