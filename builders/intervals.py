"""How far a share that was seen in some rows may lie from the true one; beside the way of a face."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

Shares = TypeVar("Shares", float, npt.NDArray[np.float64])

TWO_SIDED = 1.96
"""Standard deviations: the true share lies between the ends in 95 of 100 cases."""
ONE_SIDED = 1.645
"""Standard deviations: the true share lies below the upper end (or above the lower one) in 95 of 100 cases."""


def wilson(share: Shares, count: int, z: float = TWO_SIDED) -> tuple[Shares, Shares]:
    """Return both ends, 0..1, of Wilson's interval (1927) of shares that were seen in `count` rows; 0 and 1 of none.

    It holds for few rows and for shares near 0 and 1 too: none in ten is no proof that there is none.
    """
    if not count:
        return share * 0, share * 0 + 1
    centre = share + z * z / (2 * count)
    spread = z * (share * (1 - share) / count + z * z / (4 * count * count)) ** 0.5
    scale = 1 + z * z / count
    return _within((centre - spread) / scale), _within((centre + spread) / scale)


def _within(ends: Shares) -> Shares:
    """Take off what rounding leaves outside of 0..1."""
    return np.clip(ends, 0.0, 1.0) if isinstance(ends, np.ndarray) else min(max(ends, 0.0), 1.0)
