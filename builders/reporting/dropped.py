"""The drops of a stage: how many for which reason, and some of each to look at, drawn by seed.

What is drawn depends on the seed and the ids alone: neither on the order of the rows nor on how many shards hold them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from ferbuild.builders import shards
from ferbuild.builders.mark import Mark
from ferbuild.builders.reasons import SOURCES, STAGES
from ferbuild.builders.record import DROPS
from ferbuild.builders.reporting.rows import rank, short

EACH = 3
"""Examples of a reason, at most."""
REASONS = 40
"""Reasons of a stage that are told one by one, at most."""


class Drops(NamedTuple):
    """What the drops of a stage hold."""

    counts: Mapping[str, int]
    examples: Mapping[str, list[dict[str, str]]]
    """Reason to rows of DROPS, texts as they are."""


def read(folder: Path, seed: int) -> Drops:
    """Return the counts and some examples of each reason; FerError where the drops cannot be read."""
    counts: Counter[str] = Counter()
    tables = list(shards.read_drops(folder))
    drawn = []
    for shard, table in enumerate(tables):
        reasons = table["reason"].to_pylist()
        counts.update(reasons)
        ranks = [rank(name, seed) for name in table["id"].to_pylist()]
        rows = pl.DataFrame({"reason": reasons, "rank": pl.Series(ranks, dtype=pl.UInt64)}).with_row_index("at")
        drawn.append(_first(rows).with_columns(shard=pl.lit(shard)))
    examples: dict[str, list[dict[str, str]]] = {}
    for reason, shard, at in _first(pl.concat(drawn)).select("reason", "shard", "at").iter_rows() if drawn else ():
        examples.setdefault(reason, []).extend(tables[shard].slice(at, 1).to_pylist())
    return Drops(counts, examples)


def _first(rows: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of each reason that the seed puts first."""
    return rows.sort("rank", maintain_order=True).group_by("reason", maintain_order=True).head(EACH)


def as_json(found: Drops, mark: Mark) -> dict[str, Any]:
    """Return the reasons, the most frequent first, each with its meaning and its examples."""
    ordered = sorted(found.counts.items(), key=lambda item: (-item[1], item[0]))
    reasons = [
        {
            "reason": short(reason),
            "rows": rows,
            "share": rows / mark.rows_in if mark.rows_in else None,
            "meaning": meaning(mark.stage, reason),
            "examples": [_example(row) for row in found.examples.get(reason, ())],
        }
        for reason, rows in ordered[:REASONS]
    ]
    return {"rows": sum(found.counts.values()), "reasons": reasons, "left_out": len(ordered[REASONS:])}


def _example(row: Mapping[str, str]) -> dict[str, str]:
    return {name: short(row[name]) for name in DROPS.names if name != "reason"}


def meaning(stage: str, reason: str) -> str:
    """Return what a reason means at a stage; empty where only a manifest says it."""
    known = {**(SOURCES if stage in ("faces", "bench") else {}), **STAGES.get(stage, {})}
    start = next((one for one in known if "<" in one and reason.startswith(one.partition("<")[0])), reason)
    return known.get(start, "")
