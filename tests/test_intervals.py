"""Wilson's interval, against its published form and on arrays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferbuild.builders.intervals import ONE_SIDED, TWO_SIDED, wilson


def test_none_of_ten_is_no_proof_that_there_is_none() -> None:
    assert wilson(0.0, 10) == (0.0, pytest.approx(TWO_SIDED**2 / (10 + TWO_SIDED**2)))
    assert wilson(1.0, 10) == (pytest.approx(10 / (10 + TWO_SIDED**2)), 1.0)


def test_of_nothing_nothing_is_known() -> None:
    assert wilson(0.0, 0) == (0.0, 1.0)
    low, high = wilson(np.array([0.0, 0.0]), 0)
    assert (low.tolist(), high.tolist()) == ([0.0, 0.0], [1.0, 1.0])


@given(st.lists(st.integers(0, 50), min_size=1, max_size=5), st.sampled_from([ONE_SIDED, TWO_SIDED]))
def test_the_ends_solve_the_score_equation(seen: list[int], z: float) -> None:
    """Both ends p are where the share lies z standard deviations, by p itself, from p."""
    shares = np.array(seen) / 50
    for end in wilson(shares, 50, z):
        assert (shares - end) ** 2 == pytest.approx(z * z * end * (1 - end) / 50)
    low, high = wilson(shares, 50, z)
    assert ((low <= shares + 1e-12) & (shares <= high + 1e-12)).all()
    assert list(zip(low, high, strict=True)) == [pytest.approx(wilson(float(share), 50, z)) for share in shares]
