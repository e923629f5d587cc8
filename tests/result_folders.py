"""Result folders as `fer-build eval` leaves them, made up: what a leaderboard reads and a comparison joins."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

WHOLE = {"rafdb": 3068, "ferplus": 3573, "affectnet": 4000, "sfew": 431}
"""Rows of the published benchmark."""
Line = dict[str, Any]


def lines(right: Mapping[str, Sequence[bool]], *, per_cluster: int = 1, outcome: str = "refused") -> list[Line]:
    """A line a row of predictions; a wrong row has no answer, for the reason `outcome`."""
    return [
        {
            "set": name,
            "image_path": f"/{name}/{at}.png",
            "true_label": "fear",
            "official": "fear" if ok else "unknown",
            "strict": "fear" if ok else "unknown",
            "outcome": "ok" if ok else outcome,
            "agreement": 1.0,
            "cluster": f"{name}-{at // per_cluster}",
        }
        for name, flags in right.items()
        for at, ok in enumerate(flags)
    ]


def first(count: int, of: int) -> list[bool]:
    """The first `count` rows are right."""
    return [at < count for at in range(of)]


def score(model: str, rows: Sequence[Line], *, cost: float | None = None, **more: Any) -> dict[str, Any]:
    """The JSON of a score, as far as leaderboards read it, and one key more."""
    sets = {name: [row for row in rows if row["set"] == name] for name in dict.fromkeys(row["set"] for row in rows)}
    return {
        "stage": "eval",
        "form": 1,
        "model": model,
        "extractor": "strict",
        "sets": {name: part(some, None) for name, some in sets.items()},
        "pooled": part(rows, cost),
        "mean": {},
        "problems": [],
        "resamples": 2000,
        "seed": 0,
        **more,
    }


def part(rows: Sequence[Line], cost: float | None) -> dict[str, Any]:
    rates = {
        name: sum(row["outcome"] == name for row in rows) / len(rows) for name in ("refused", "truncated", "error")
    }
    strict, official = way([row["strict"] for row in rows]), way([row["official"] for row in rows])
    return {"labels": ["fear"], "official": official, "strict": strict, "rates": rates, "cost": cost}


def way(said: Sequence[str]) -> dict[str, Any]:
    n, unknown = len(said), said.count("unknown")
    share = round((n - unknown) / n, 6)
    ends = [round(max(share - 0.01, 0), 6), round(min(share + 0.01, 1), 6)]
    values = {"accuracy": share, "uar": round(share * 0.9, 6), "f1": round(share * 0.8, 6)}
    return {**values, "n": n, "unknown": unknown, "intervals": {"accuracy": ends}}


def write(folder: Path, model: str, rows: Sequence[Line], **more: Any) -> Path:
    """A result folder of these predictions."""
    folder.mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(score(model, rows, **more)))
    (folder / "predictions.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return folder


def full(folder: Path, model: str, share: float, **more: Any) -> Path:
    """A result on all of the benchmark, of which this share is right in every set."""
    return write(folder, model, lines({name: first(round(share * n), n) for name, n in WHOLE.items()}), **more)
