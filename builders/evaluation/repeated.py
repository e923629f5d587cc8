"""What several samples of each row tell: the chance that one of k is right, and whether agreement means being right.

Stands beside the score; of one sample a row there is nothing to tell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import comb
from typing import Any

import numpy as np

from ferbuild.builders.evaluation.reading import Readings, Said
from ferbuild.filters.official import UNKNOWN

BINS = 10
"""Bins of equal width that agreement is calibrated in."""


def pass_at(said: Sequence[Said], samples: int) -> list[float]:
    """Return pass@k for k from 1 to `samples`, by the unbiased estimate (Chen et al. 2021, arXiv 2107.03374)."""
    if samples < 2:
        return []
    kinds = Counter((one.samples, one.right) for one in said)
    return [sum(rows * _one_of(k, *kind) for kind, rows in kinds.items()) / len(said) for k in range(1, samples + 1)]


def _one_of(k: int, samples: int, right: int) -> float:
    """Return the chance that one of k samples drawn from these is right; where there are fewer, all are drawn."""
    k = min(k, samples)
    return 1 - comb(samples - right, k) / comb(samples, k) if samples else 0.0


def calibration(readings: Readings, rows: Sequence[int]) -> dict[str, Any]:
    """Return how often the majority is right, by the share of samples that agree on it, and the mean distance.

    That is the expected calibration error, 0..1, over rows with an answer; a bin holds its upper end.
    """
    answered = [row for row in rows if readings.said[row].label != UNKNOWN]
    agreement = np.array([readings.said[row].agreement for row in answered])
    right = np.array([readings.said[row].label == readings.true[row] for row in answered], np.float64)
    at = np.clip(np.ceil(agreement * BINS - 1e-9).astype(int) - 1, 0, BINS - 1)
    bins = [
        {
            "low": number / BINS,
            "high": (number + 1) / BINS,
            "n": int((at == number).sum()),
            "agreement": float(agreement[at == number].mean()),
            "accuracy": float(right[at == number].mean()),
        }
        for number in sorted(set(at.tolist()))
    ]
    missed = sum(one["n"] * abs(one["agreement"] - one["accuracy"]) for one in bins)
    return {"ece": missed / len(answered) if answered else None, "bins": bins}
