"""Two models on the same rows: what is joined, the test, the interval, Holm's correction, the smallest difference."""

from __future__ import annotations

import json
from itertools import pairwise
from math import comb, sqrt
from statistics import NormalDist

import numpy as np
import orjson
import pyarrow as pa
import pytest
import result_folders as made
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import bdtr
from scipy.stats import binomtest

from ferbuild.builders.errors import FerError
from ferbuild.builders.evaluation import as_json, compare, output
from ferbuild.builders.evaluation.answers import ANSWERS
from ferbuild.builders.evaluation.compare import Rows, adjusted, holm, mcnemar, overall, smallest
from ferbuild.builders.evaluation.reading import read_all

P_VALUES = st.lists(st.none() | st.floats(0, 1), max_size=12)


def rows(name: str, right: dict[str, list[bool]], *, per_cluster: int = 1) -> Rows:
    """Predictions of rows named by set and place."""
    found = made.lines(right, per_cluster=per_cluster)
    columns = (name, *([line[key] for line in found] for key in ("set", "image_path", "true_label")))
    return Rows(*columns, [line["outcome"] == "ok" for line in found], [line["cluster"] for line in found])


def flags(text: str) -> list[bool]:
    return [letter == "1" for letter in text]


def drawn(seed: int, rows_in: int, *, size: int = 1, alike: float = 0.5) -> tuple[list[bool], list[bool]]:
    """Two models of which clusters of `size` rows tend to be right or wrong together."""
    rng = np.random.default_rng(seed)
    groups = -(-rows_in // size)
    both = np.repeat(rng.random((2, groups)) < 0.6, size, axis=1)[:, :rows_in]
    own = rng.random((2, rows_in)) < 0.6
    found = np.where(rng.random((2, rows_in)) < alike, both, own)
    return found[0].tolist(), found[1].tolist()


def test_counts_and_the_exact_test_by_hand():
    one = rows("one", {"sfew": flags("1111110001")})
    other = rows("other", {"sfew": flags("1100001100")})
    (found,) = compare.compare(one, other)
    assert (found.other, found.set, found.n, found.b, found.c, found.left_out) == ("other", "sfew", 10, 5, 2, 0)
    assert found.difference == pytest.approx(0.3)
    assert found.p == pytest.approx(2 * sum(comb(7, k) for k in range(3)) / 2**7)
    assert found.p_holm == found.p
    assert found.low < 0.3 < found.high


def test_the_same_predictions_do_not_differ():
    one = rows("one", {"sfew": flags("1100")})
    (found,) = compare.compare(one, one._replace(name="again"))
    assert found[3:9] == (0.0, 0.0, 0.0, 0, 0, 1.0)
    assert found.smallest is None


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_is_a_fair_coin(b, c):
    expected = min(1.0, 2 * float(bdtr(min(b, c), b + c, 0.5)))
    assert mcnemar(b, c) == pytest.approx(expected)
    assert mcnemar(b, c) == pytest.approx(binomtest(b, b + c).pvalue if b + c else 1.0)


def test_rows_are_joined_by_set_and_path_in_any_order():
    one = rows("one", {"rafdb": flags("1101"), "sfew": flags("10")})
    other = rows("other", {"sfew": flags("01"), "rafdb": flags("0111")})
    found = {row.set: row for row in compare.compare(one, other)}
    assert list(found) == ["rafdb", "sfew", "pooled", "mean"]
    assert [(row.b, row.c, row.n) for row in found.values()] == [(1, 1, 4), (1, 1, 2), (2, 2, 6), (None, None, 6)]


def test_what_only_one_has_is_left_out_and_counted():
    one = rows("one", {"rafdb": flags("1111"), "sfew": flags("1")})
    other = rows("other", {"rafdb": flags("00"), "affectnet": flags("111")})
    other = other._replace(true=["anger", *other.true[1:]])
    (found,) = compare.compare(one, other)
    assert (found.set, found.n, found.b, found.left_out) == ("rafdb", 1, 1, 3)
    one = rows("one", {"rafdb": flags("1111"), "sfew": flags("11")})
    pooled = overall(compare.compare(one, rows("other", {"rafdb": flags("01"), "sfew": flags("1"), "ferplus": [True]})))
    assert (pooled.set, pooled.n, pooled.left_out) == ("pooled", 3, 4)


def test_no_row_in_common_is_an_error():
    with pytest.raises(FerError, match="one and other: have no row in common"):
        compare.compare(rows("one", {"rafdb": [True]}), rows("other", {"sfew": [True]}))


def test_the_mean_weighs_sets_alike_and_is_not_tested():
    one = rows("one", {"rafdb": [True] * 90, "sfew": flags("1000000000")})
    other = rows("other", {"rafdb": [True] * 81 + [False] * 9, "sfew": flags("1111100000")})
    found = {row.set: row for row in compare.compare(one, other)}
    assert found["pooled"].difference == pytest.approx((9 - 4) / 100)
    assert found["mean"].difference == pytest.approx((0.1 - 0.4) / 2)
    assert found["mean"].low < (0.1 - 0.4) / 2 < found["mean"].high
    assert found["mean"][6:11] == (None,) * 5
    tested = [found[name] for name in ("rafdb", "sfew", "pooled")]
    assert [row.p_holm for row in tested] == holm([row.p for row in tested])


@settings(max_examples=40)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_the_other_way_round_is_the_same_with_the_sign_turned(pairs):
    one, other = (rows(name, {"sfew": [pair[at] for pair in pairs]}) for at, name in enumerate(("one", "other")))
    (found,), (turned,) = compare.compare(one, other, resamples=50), compare.compare(other, one, resamples=50)
    assert (found.b, found.c, found.p, found.smallest) == (turned.c, turned.b, turned.p, turned.smallest)
    assert found.difference == -turned.difference
    assert found.difference == pytest.approx((found.b - found.c) / len(pairs))


def test_the_interval_is_that_of_resampled_clusters():
    """Against a plain loop over clusters drawn with replacement: ends within four standard errors of such a loop."""
    a, b = drawn(3, 120, size=4)
    one, other = (rows(name, {"sfew": right}, per_cluster=4) for name, right in (("one", a), ("other", b)))
    (found,) = compare.compare(one, other, resamples=4000)
    sums = (np.array(a, int) - np.array(b, int)).reshape(30, 4).sum(1)
    rng = np.random.default_rng(11)
    loop = np.array([sums[rng.integers(0, 30, 30)].sum() / 120 for _ in range(4000)])
    low, high = np.percentile(loop, [2.5, 97.5])
    assert found.low == pytest.approx(low, abs=0.015) and found.high == pytest.approx(high, abs=0.015)


def test_clusters_of_unequal_size_share_the_rows_anew():
    """A resample has as many clusters, not as many rows: the difference is over the rows that it has."""
    one = rows("one", {"sfew": flags("1110")})._replace(clusters=["a", "a", "a", "b"])
    other = rows("other", {"sfew": flags("0001")})
    (found,) = compare.compare(one, other)
    assert (found.low, found.high) == (-1.0, 1.0)  # only b, and only a


def test_clusters_widen_the_interval_and_the_smallest_difference():
    a, b = drawn(5, 600, size=6, alike=0.9)
    (apart,) = compare.compare(rows("one", {"sfew": a}), rows("other", {"sfew": b}))
    one, other = (rows(name, {"sfew": right}, per_cluster=6) for name, right in (("one", a), ("other", b)))
    (together,) = compare.compare(one, other)
    assert together.high - together.low > 1.5 * (apart.high - apart.low)
    assert together.smallest > 1.5 * apart.smallest
    assert apart.smallest == pytest.approx(smallest(600, (apart.b + apart.c) / 600))
    assert together.p == apart.p


def test_a_seed_decides_and_no_other_set_does():
    a, b = drawn(7, 300)
    alone = [rows("one", {"rafdb": a}), rows("other", {"rafdb": b})]
    more = [rows("one", {"sfew": b, "rafdb": a}), rows("other", {"rafdb": b, "sfew": a})]
    (once,) = compare.compare(*alone, seed=4)
    assert compare.compare(*alone, seed=4) == [once]
    beside = next(row for row in compare.compare(*more, seed=4) if row.set == "rafdb")
    assert (beside.low, beside.high) == (once.low, once.high)
    others = {compare.compare(*alone, seed=seed)[0][4:6] for seed in range(5, 10)}
    assert others != {(once.low, once.high)}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], []),
        ([0.04], [0.04]),
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.01, None, 0.02], [0.02, None, 0.02]),
        ([0.6, 0.7], [1.0, 1.0]),
    ],
)
def test_holm_by_hand(values, expected):
    assert holm(values) == [one if one is None else pytest.approx(one) for one in expected]


@given(P_VALUES)
def test_holm_steps_down(values):
    found = holm(values)
    known = [(p, q) for p, q in zip(values, found, strict=True) if p is not None]
    assert all(q is None for p, q in zip(values, found, strict=True) if p is None)
    assert all(p <= q <= min(1, p * len(known)) or p == q for p, q in known)
    assert all(a[1] <= b[1] for a, b in pairwise(sorted(known)))
    for p, q in known:  # rejected at a level exactly where every smaller one is, by its own step
        steps = [min(1.0, (len(known) - rank) * one) for rank, (one, _) in enumerate(sorted(known)) if one <= p]
        assert q == max(steps)


def test_several_comparisons_are_corrected_together():
    one = rows("one", {"sfew": [True] * 12})
    found = [compare.compare(one, rows(str(k), {"sfew": made.first(12 - k, 12)}))[0] for k in (6, 8, 10)]
    assert [row.p_holm for row in found] == [row.p for row in found]
    assert [row.p_holm for row in adjusted(found)] == holm([row.p for row in found])


@given(st.floats(20, 20000), st.floats(0.01, 1))
def test_the_smallest_difference_solves_connors_formula(pairs, discordant):
    found = smallest(pairs, discordant)
    error, power = NormalDist().inv_cdf(0.975), NormalDist().inv_cdf(0.8)
    if found is None:  # not even the discordant share itself would do
        needed = ((error * sqrt(discordant) + power * sqrt(discordant - discordant**2)) / discordant) ** 2
        assert needed > pairs * (1 - 1e-9)
        return
    needed = ((error * sqrt(discordant) + power * sqrt(discordant - found**2)) / found) ** 2
    assert needed == pytest.approx(pairs)
    assert 0 < found <= discordant


@pytest.mark.parametrize(("pairs", "discordant"), [(100, 0.0), (2, 1.0), (431, 0.005)])
def test_some_rows_cannot_show_any_difference(pairs, discordant):
    assert smallest(pairs, discordant) is None


def test_the_smallest_difference_is_found_four_times_in_five():
    """The exact test is a little more careful than the formula, which is of the normal one."""
    rng = np.random.default_rng(0)
    trials, pairs, discordant = 4000, 3068, 0.2
    d = smallest(pairs, discordant)
    counts = rng.multinomial(pairs, [(discordant + d) / 2, (discordant - d) / 2, 1 - discordant], size=trials)
    b, c = counts[:, 0], counts[:, 1]
    p = np.minimum(1, 2 * bdtr(np.minimum(b, c), b + c, 0.5))
    assert 0.76 < (p < 0.05).mean() < 0.82


def test_json_has_the_keys_that_tables_and_pages_take():
    found = compare.as_json(compare.compare(rows("one", {"sfew": flags("110")}), rows("o", {"sfew": flags("000")}))[0])
    names = ("other", "set", "n", "difference", "low", "high", "b", "c", "p", "p_holm", "smallest", "left_out")
    assert tuple(found) == names
    assert (found["difference"], found["p"]) == (0.666667, 0.5)
    json.dumps(found, allow_nan=False)


def test_rows_in_clusters_come_to_plain_numbers():
    a, b = drawn(5, 600, size=6, alike=0.9)
    one, other = (rows(name, {"sfew": right}, per_cluster=6) for name, right in (("one", a), ("other", b)))
    (found,) = compare.compare(one, other)
    assert orjson.loads(orjson.dumps(compare.as_json(found)))["smallest"] == round(found.smallest, 6)


def answers(labels: str) -> pa.Table:
    """Rows whose true label is fear, answered with fear (1), anger (0) or not at all (-)."""
    said = {"1": ["<answer>fear</answer>"], "0": ["<answer>anger</answer>"], "-": []}
    found = [
        {
            "set": "rafdb",
            "image_path": f"/{at}.jpg",
            "true_label": "fear",
            "canonical": "fear",
            "choices": ["fear", "anger"],
            "cluster": f"c{at // 2}",
            "texts": said[one],
            "finishes": ["stop"] * len(said[one]),
            "error": one == "-",
            "bare": False,
        }
        for at, one in enumerate(labels)
    ]
    return pa.Table.from_pylist(found, schema=ANSWERS)


def test_predictions_come_back_from_disk_as_they_were_read(tmp_path):
    readings = read_all(answers("110-1"))
    output.write_predictions(tmp_path / as_json.PREDICTIONS, readings)
    own = compare.rows_of("m", readings)
    assert compare.read_rows("m", tmp_path) == own
    assert own.right == [True, True, False, False, True]
    assert own.clusters == ["c0", "c0", "c1", "c1", "c2"]
    assert {"set", "image_path", "true_label", "strict", "cluster"} <= set(as_json.predicted(readings, 0))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (None, "cannot be read"),
        ('{"set": "rafdb"', "holds no predictions"),
        ('{"set": "rafdb"}\n', "holds no predictions"),
        ("[1]\n", "holds no predictions"),
        ("line twice", "has a picture twice"),
        ("null path", "something else than text"),
    ],
)
def test_broken_predictions_are_named(tmp_path, text, problem):
    line = made.lines({"rafdb": [True]})[0]
    if text == "line twice":
        text = f"{json.dumps(line)}\n" * 2
    elif text == "null path":
        text = json.dumps(line | {"image_path": None})
    if text is not None:
        (tmp_path / as_json.PREDICTIONS).write_text(text)
    with pytest.raises(FerError, match=problem) as caught:
        compare.read_rows("m", tmp_path)
    assert caught.value.where == str(tmp_path / as_json.PREDICTIONS)


def test_no_predictions_at_all_are_no_rows(tmp_path):
    (tmp_path / as_json.PREDICTIONS).write_text("")
    assert compare.read_rows("m", tmp_path) == Rows("m", [], [], [], [], [])
