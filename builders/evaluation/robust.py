"""How many answers flip where only the form of the question changes, and how many flip by chance alone.

Stands behind the answers to the variants: it compares each with the answers to the benchmark as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from ferbuild.builders.evaluation import metrics
from ferbuild.builders.evaluation.reading import Readings, read_all


def robustness(plain: Readings, variants: Mapping[str, pa.Table], *, seed: int, resamples: int) -> list[dict[str, Any]]:
    """Return of every variant, over the rows with a reply to both: the share of answers that flip, with its 95 %
    interval by clusters, and the accuracy before and after.
    """
    return [
        _compared(plain, read_all(table), name, (seed, at), resamples)
        for at, (name, table) in enumerate(variants.items())
    ]


def _compared(plain: Readings, other: Readings, name: str, seed: Sequence[int], resamples: int) -> dict[str, Any]:
    before = {(plain.sets[at], plain.paths[at]): at for at in range(len(plain))}
    pairs = [
        (before[key], at)
        for at in range(len(other))
        if (key := (other.sets[at], other.paths[at])) in before and other.said[at].outcome != "error"
    ]
    pairs = [(one, two) for one, two in pairs if plain.said[one].outcome != "error"]
    flips = [int(plain.said[one].label != other.said[two].label) for one, two in pairs]
    again = metrics.resampled(flips, [plain.clusters[one] for one, _ in pairs], 2, resamples, seed)
    ends = metrics.ends(again[:, 1] / np.maximum(again.sum(1), 1)) if pairs else None
    share = {
        "flip_rate": _share(sum(flips), len(pairs)),
        "accuracy_base": _share(sum(plain.said[one].label == plain.true[one] for one, _ in pairs), len(pairs)),
        "accuracy": _share(sum(other.said[two].label == other.true[two] for _, two in pairs), len(pairs)),
    }
    low, high = (round(end, 6) for end in ends) if ends else (None, None)
    return {"variant": name, "rows": len(pairs), "flips": sum(flips), **share, "low": low, "high": high}


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None
