"""Support and lift, on rows whose figures can be worked out by hand."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from ferbuild.builders import lift
from ferbuild.builders.measure import partners


def rows(*counts: tuple[int, int, int, int | None, int | None]) -> pl.DataFrame:
    """Rows of supported, contradicted, not judged, supported and contradicted elsewhere."""
    names = ("supported", "contradicted", "not_judged", "supported_elsewhere", "contradicted_elsewhere")
    return pl.DataFrame(list(counts), schema=dict.fromkeys(names, pl.Int32), orient="row")


def test_support_and_lift_are_ratios_of_sums() -> None:
    found = lift.tally(rows((3, 1, 2, 1, 1), (1, 0, 0, 0, 1)))
    assert (found.rationales, found.claims, found.supported, found.contradicted, found.not_judged) == (2, 7, 4, 1, 2)
    assert found.support == pytest.approx(4 / 5)
    assert (found.borne_out, found.elsewhere) == (pytest.approx(4 / 7), pytest.approx(1 / 7))
    assert found.lift == pytest.approx(3 / 7)


def test_what_cannot_be_judged_elsewhere_is_not_borne_out_there() -> None:
    """Verdicts "absent" are rare: were the unclear ones left out, nearly everything would be supported everywhere."""
    found = lift.tally(rows(*[(1, 0, 0, 0, 0)] * 10))
    assert (found.support, found.borne_out, found.elsewhere, found.lift) == (1.0, 1.0, 0.0, 1.0)


def test_what_fits_every_face_lifts_nothing() -> None:
    found = lift.tally(rows(*[(2, 1, 0, 2, 1)] * 50))
    assert (found.lift, found.error) == (0.0, 0.0)


def test_rationales_without_another_face_count_for_support_alone() -> None:
    found = lift.tally(rows((1, 1, 0, 0, 2), (10, 0, 0, None, None)))
    assert found.support == pytest.approx(11 / 12)
    assert found.lift == pytest.approx(1 / 2)


def test_nothing_judged_is_no_figure() -> None:
    found = lift.tally(rows((0, 0, 4, 0, 0)))
    assert (found.support, found.borne_out, found.elsewhere, found.lift) == (None, 0.0, 0.0, 0.0)
    assert lift.tally(rows((0, 0, 0, 0, 0))).lift is None


def test_the_interval_is_the_bootstraps() -> None:
    """The linearised error against resampling, which it stands for."""
    rng = np.random.default_rng(3)
    own = rng.binomial(6, 0.8, 400)
    other = rng.binomial(6, 0.6, 400)
    table = rows(*((int(a), int(6 - a), 0, int(b), int(6 - b)) for a, b in zip(own, other, strict=True)))
    found = lift.tally(table)
    drawn = []
    for _ in range(600):
        at = rng.integers(0, 400, 400)
        drawn.append(own[at].sum() / 2400 - other[at].sum() / 2400)
    assert found.error == pytest.approx(1.96 * np.std(drawn), rel=0.1)


def test_partners_share_the_label_and_are_other_faces() -> None:
    ids = [f"{at:03d}" for at in range(100)]
    labels = ["a" if at % 3 else "b" for at in range(99)] + ["alone"]
    found = partners(ids, labels, 0)
    label = dict(zip(ids, labels, strict=True))
    assert set(found) == set(ids[:99])
    assert all(label[one] == label[other] and one != other for one, other in found.items())
    assert len(set(found.values())) == 99  # everyone is somebody's partner once
    assert partners(ids[::-1], labels[::-1], 0) == found
    assert partners(ids, labels, 1) != found
