"""How many answers flip where only the form of the question changes, and how many flip by chance alone.

Stands behind the answers to the variants: it compares each with the answers to the benchmark as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from ferbuild.builders.evaluation.clustered import PLACES, Draws, share
from ferbuild.builders.evaluation.reading import Readings, read_all


def robustness(plain: Readings, variants: Mapping[str, pa.Table], *, seed: int, resamples: int) -> list[dict[str, Any]]:
    """Return of every variant, over the rows with a reply to both: the share of answers that flip, with its 95 %
    interval by clusters, the accuracy before and after, and the rows that are left out, lacking a reply.
    """
    draws = Draws(seed, resamples)
    return [_compared(plain, read_all(table), name, draws) for name, table in variants.items()]


def _compared(plain: Readings, other: Readings, name: str, draws: Draws) -> dict[str, Any]:
    before = {(plain.sets[at], plain.paths[at]): at for at in range(len(plain))}
    keys = zip(other.sets, other.paths, strict=True)
    both = [(before[key], at) for at, key in enumerate(keys) if key in before]
    pairs = [(one, two) for one, two in both if "error" not in (plain.said[one].outcome, other.said[two].outcome)]
    flips = [int(plain.said[one].label != other.said[two].label) for one, two in pairs]
    found = share(flips, [plain.clusters[one] for one, _ in pairs], draws).as_json()
    return {
        "variant": name,
        "rows": len(pairs),
        "left_out": len(plain) - len(pairs),
        "flips": sum(flips),
        "flip_rate": found["value"],
        "accuracy_base": _share(sum(plain.said[one].label == plain.true[one] for one, _ in pairs), len(pairs)),
        "accuracy": _share(sum(other.said[two].label == other.true[two] for _, two in pairs), len(pairs)),
        "low": found["low"],
        "high": found["high"],
    }


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, PLACES) if whole else None
