"""Support and lift, on rows whose figures can be worked out by hand; and which face a rationale is tried on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from calibrated import calibration, measured

from ferbuild.builders import calibrating, lift, measure
from ferbuild.builders.cli.grounding import show_grounding
from ferbuild.builders.measure import partners, partners_of
from ferbuild.builders.measures import MEASURES


def rows(*counts: tuple[int, int, int, int | None, int | None]) -> pl.DataFrame:
    """Rows of supported, contradicted, not judged, supported and contradicted elsewhere; each tried on the next one."""
    names = ("supported", "contradicted", "not_judged", "supported_elsewhere", "contradicted_elsewhere")
    made = pl.DataFrame(list(counts), schema=dict.fromkeys(names, pl.Int32), orient="row")
    ids = [f"{at:04d}" for at in range(len(counts))]
    others = [None if row[3] is None else ids[at - 1] for at, row in enumerate(counts)]
    return made.with_columns(pl.Series("id", ids, pl.String), pl.Series("elsewhere", others, pl.String))


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
    assert (found.rationales, found.tried) == (2, 1)


def test_nothing_judged_is_no_figure() -> None:
    found = lift.tally(rows((0, 0, 4, 0, 0)))
    assert (found.support, found.borne_out, found.elsewhere, found.lift) == (None, 0.0, 0.0, 0.0)
    assert lift.tally(rows((0, 0, 0, 0, 0))).lift is None


def test_a_dropped_face_tells_nothing_of_a_kept_rationale() -> None:
    table = rows((2, 0, 0, 1, 1), (2, 0, 0, 2, 0), (2, 0, 0, 0, 2), (2, 0, 0, 0, 2))
    table = table.with_columns(elsewhere=pl.Series(["0001", "0000", "dropped", None]))
    found = lift.tally(table)
    assert (found.rationales, found.tried, found.lift) == (4, 2, pytest.approx(1 / 4))
    assert lift.tally(table[2:]) == lift.Tally(2, 4, 4, 0, 0, 1.0, 0, None, None, None, None)


def test_what_fits_every_face_lifts_nothing_where_only_strong_ones_are_kept() -> None:
    """The same text of every face; a face bears it out, and its teacher finds the label, where it shows strongly."""
    strength = np.random.default_rng(5).uniform(0, 1, 2000)
    ids = [f"{at:04d}" for at in range(2000)]
    shows = dict(zip(ids, (int(one > 0.5) for one in strength), strict=True))
    pairs = partners(ids, ["happiness"] * 2000, 0)
    table = rows(*((shows[one], 0, 1 - shows[one], shows[pairs[one]], 0) for one in ids))
    table = table.with_columns(elsewhere=pl.Series([pairs[one] for one in ids]))
    kept = table.filter(pl.Series(strength > 0.4))
    found = lift.tally(kept)
    assert found.lift is not None and found.error is not None
    assert abs(found.lift) < found.error < 0.05
    assert found.tried == pytest.approx(0.6 * kept.height, rel=0.1)
    over_all = (kept["supported"] - kept["supported_elsewhere"]).mean()
    assert over_all > 0.25, "on all faces the text would seem to tell something"


def test_one_rationale_has_no_interval(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alone = lift.tally(rows((1, 0, 0, 0, 1)))
    assert (alone.tried, alone.lift, alone.error) == (1, 1.0, None)
    assert lift.tally_json(alone)["error"] is None
    show_grounding(lift.Grounding(tmp_path, "qwen7b", False, alone, {"anger": alone}, {}, {}, 0))
    shown = capsys.readouterr().out
    assert shown.count("+100.0% ± –") == 2 and "0.0%," not in shown
    assert "lift over 1 of 1 rationales" in shown


def test_the_interval_of_two_rationales() -> None:
    """Residuals of -1/4 and 1/4: a sum of squares of 1/8, twice that for two rows in the place of one less."""
    assert lift.tally(rows((1, 0, 0, 0, 1), (1, 0, 0, 1, 0))).error == pytest.approx(1.96 / 2)


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


def face(name: str, **changes: object) -> dict[str, object]:
    return measured(**changes) | {"id": name, "canonical": "fear"}


def test_partners_are_faces_that_can_be_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the calibration eyes are 12 pixels apart or more, and heads turned by 30 degrees at most."""
    able = [face("a"), face("b", eye_distance=12.5), face("c", yaw=-29.0)]
    lost = [
        face("small", eye_distance=11.0),
        face("turned", pitch=31.0),
        face("rivalled", second_face=0.8),
        face("hidden") | {"measures": None},
        face("none") | {"faces_found": 0, "measures": None},
    ]
    table = pa.Table.from_pylist(lost[:2] + able + lost[2:], schema=MEASURES)
    monkeypatch.setattr(measure, "_indexed", lambda folder, key, split: (table, {}))
    calibrating.write(calibration({}), tmp_path / "mine.yaml")
    found = partners_of(tmp_path, "key", "train", 0, tmp_path / "mine.yaml")
    assert set(found) == set(found.values()) == {"a", "b", "c"}
    wide = calibration({}).model_copy(update={"bands": {"frontal": 15.0, "turned": 60.0}})
    calibrating.write(wide, tmp_path / "wide.yaml")
    assert set(partners_of(tmp_path, "key", "train", 0, tmp_path / "wide.yaml")) == {"a", "b", "c", "turned"}
