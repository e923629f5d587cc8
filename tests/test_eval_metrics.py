import itertools
import warnings
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from official_rule import LABELS
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    precision_recall_fscore_support,
)

from ferbuild.builders.evaluation import metrics
from ferbuild.builders.evaluation.answers import ANSWERS, Loaded
from ferbuild.builders.evaluation.as_json import as_json
from ferbuild.builders.evaluation.reading import Said, said_by
from ferbuild.builders.evaluation.repeated import pass_at
from ferbuild.builders.evaluation.score import score
from ferbuild.filters.answer import FORMS, read
from ferbuild.filters.official import read_official

SETS = tuple(LABELS)
NEAR = 1e-12
MACRO = ("precision", "recall", "f1")


@st.composite
def numbered(draw):
    """Labels, and true and predicted label numbers of 1 to 60 rows; the number behind the labels is unknown."""
    labels = draw(st.integers(1, 8))
    rows = draw(st.integers(1, 60))
    seen = draw(st.lists(st.integers(0, labels - 1), min_size=1, max_size=labels, unique=True))
    said = draw(st.lists(st.integers(0, labels), min_size=1, max_size=labels + 1, unique=True))
    true = draw(st.lists(st.sampled_from(seen), min_size=rows, max_size=rows))
    return labels, true, draw(st.lists(st.sampled_from(said), min_size=rows, max_size=rows))


DEGENERATE = {
    "one row, right": (3, [1], [1]),
    "one row, wrong": (3, [1], [2]),
    "one row, unknown": (3, [1], [3]),
    "all unknown": (3, [0, 1, 2, 1], [3, 3, 3, 3]),
    "all right": (3, [0, 1, 2, 1], [0, 1, 2, 1]),
    "a class never true": (3, [0, 1, 0, 1], [0, 2, 0, 1]),
    "a class never predicted": (3, [0, 1, 2, 2], [0, 1, 1, 0]),
    "a class neither true nor predicted": (4, [0, 1, 2, 2], [0, 1, 1, 0]),
    "a class predicted but never true, and never right": (2, [0, 0], [1, 1]),
    "one label": (1, [0, 0], [0, 1]),
}


def _agrees_with_scikit(labels, true, predicted):
    """The package's figures are scikit-learn's: on the labels that are seen, and on the fixed ones."""
    square = metrics.confusion(true, predicted, labels + 1, labels + 1)
    assert (square == confusion_matrix(true, predicted, labels=range(labels + 1))).all()
    counts = metrics.confusion(true, predicted, labels, labels + 1)
    assert (counts == square[:labels]).all()
    seen, fixed = metrics.on_seen(square), metrics.on_labels(counts)
    union = sorted({*true, *predicted})
    for found, over in ((seen, union), (fixed, range(labels))):
        wanted = precision_recall_fscore_support(true, predicted, labels=over, average="macro", zero_division=0)
        assert [float(getattr(found, name)) for name in MACRO] == pytest.approx(wanted[:3], abs=NEAR, rel=0)
        assert float(found.accuracy) == accuracy_score(true, predicted)
    each = precision_recall_fscore_support(true, predicted, labels=range(labels), average=None, zero_division=0)
    per_class = metrics.per_class(counts)
    for one, wanted in zip(per_class, each, strict=True):
        assert one == pytest.approx(wanted, abs=NEAR, rel=0)
    with warnings.catch_warnings(action="ignore"):  # of classes that are predicted and never true
        balanced = balanced_accuracy_score(true, predicted)
    assert float(fixed.recall) == pytest.approx(balanced * len(set(true)) / labels, abs=NEAR, rel=0)


@given(numbered())
@settings(max_examples=60, deadline=None)
def test_every_figure_is_that_of_scikit_learn(drawn):
    _agrees_with_scikit(*drawn)


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_figures_are_those_of_scikit_learn(name):
    _agrees_with_scikit(*DEGENERATE[name])


@pytest.mark.parametrize("rows", [431, 11_072])
def test_figures_of_whole_sets_are_those_of_scikit_learn(rows):
    rng = np.random.default_rng(rows)
    true = rng.choice(8, rows, p=[0.3, 0.25, 0.2, 0.1, 0.08, 0.04, 0.02, 0.01])
    predicted = np.where(rng.random(rows) < 0.65, true, rng.integers(0, 9, rows))
    _agrees_with_scikit(8, true.tolist(), predicted.tolist())


def test_figures_of_many_matrices_are_those_of_each():
    counts = np.random.default_rng(3).integers(0, 6, (50, 4, 5))
    counts[7], counts[8, 2], counts[9, :, 1] = 0, 0, 0
    square = np.concatenate([counts, np.zeros((50, 1, 5), int)], axis=1)
    for figures, matrices in ((metrics.on_labels, counts), (metrics.on_seen, square)):
        whole = figures(matrices)
        for at, one in enumerate(matrices):
            assert np.array_equal([part[at] for part in whole], [*figures(one)], equal_nan=True)


def test_nothing_has_no_accuracy():
    nothing = np.zeros((3, 4), np.int64)
    assert np.isnan(metrics.on_labels(nothing).accuracy)
    assert metrics.ends(np.array([0.5, np.nan])) is None
    assert metrics.ends(np.array([])) is None


def test_rows_that_are_left_out_are_in_no_cell():
    assert metrics.confusion([0, -1, 1, 1], [1, 0, -1, 1], 2, 3).tolist() == [[0, 1, 0], [0, 1, 0]]


# Bootstrap

CELLS = [0, 1, 1, 3, 0, 2, 3, 3, -1, 0, 3, 1]  # of 2 x 2 matrices; the negative one is an error
CLIPS = ["a", "a", "a", "b", "b", "c", "d", "d", "e", "f", "g", "h"]


def _plain(cells, clusters, size, resamples, seed):
    """Draw the clusters one by one, as everybody writes it."""
    rng = np.random.default_rng(seed)
    names = sorted(set(clusters))
    holds = np.zeros((len(names), size), int)
    for cell, cluster in zip(cells, clusters, strict=True):
        if cell >= 0:
            holds[names.index(cluster), cell] += 1
    return np.array([holds[rng.integers(0, len(names), len(names))].sum(0) for _ in range(resamples)])


@pytest.mark.parametrize("clusters", [CLIPS, [str(at) for at in range(len(CELLS))]], ids=["clips", "rows"])
def test_resamples_are_distributed_as_those_of_a_plain_loop(clusters):
    count = 20_000
    ours = metrics.resampled(CELLS, clusters, 4, count, [1]).reshape(count, 2, 2)
    plain = _plain(CELLS, clusters, 4, count, 2).reshape(count, 2, 2)
    for figure in ("accuracy", "recall", "f1"):
        one, other = (getattr(metrics.on_labels(drawn), figure) for drawn in (ours, plain))
        spread = other.std()
        assert spread > 0.05
        assert abs(one.mean() - other.mean()) < 4 * spread * (2 / count) ** 0.5
        assert abs(one.std() - spread) < 5 * spread * (1 / count) ** 0.5
        for share in (2.5, 25, 50, 75, 97.5):
            assert (
                abs((one <= np.percentile(other, share)).mean() - (other <= np.percentile(other, share)).mean()) < 0.02
            )


def test_resamples_have_the_exact_chances_of_all_draws():
    cells, clusters, count = [0, 1, 1, 2], ["a", "a", "b", "c"], 60_000
    holds = {"a": (1, 1, 0), "b": (0, 1, 0), "c": (0, 0, 1)}
    chances = Counter()
    for draw in itertools.product("abc", repeat=3):
        chances[tuple(sum(holds[name][cell] for name in draw) for cell in range(3))] += 1 / 27
    seen = Counter(map(tuple, metrics.resampled(cells, clusters, 3, count, [5]).tolist()))
    assert set(seen) == set(chances)
    for outcome, chance in chances.items():
        assert abs(seen[outcome] / count - chance) < 4.5 * (chance * (1 - chance) / count) ** 0.5


def test_rows_alone_keep_their_number_and_clips_their_rows_together():
    alone = metrics.resampled([0, 1, 2, 2], ["a", "b", "c", "d"], 3, 500, [0])
    assert (alone.sum(1) == 4).all()
    together = metrics.resampled([0, 0, 0, 2, 2], ["a", "a", "a", "b", "b"], 3, 500, [0])
    assert {tuple(one) for one in together.tolist()} == {(6, 0, 0), (3, 0, 2), (0, 0, 4)}


def test_clusters_widen_intervals_as_much_as_they_have_rows():
    rng = np.random.default_rng(0)
    right = rng.random(60) < 0.7
    cells = np.repeat(np.where(right, 0, 1), 9).tolist()  # of one label and unknown: nine rows a clip, all alike
    clips = np.repeat(np.arange(60), 9).astype(str).tolist()
    widths = {}
    for name, clusters in {"rows": [str(at) for at in range(540)], "clips": clips}.items():
        low, high = metrics.ends(metrics.on_labels(metrics.resampled(cells, clusters, 2, 4000, [0])
                                                   .reshape(-1, 1, 2)).accuracy)  # fmt: skip
        assert low < right.mean() < high
        widths[name] = high - low
    assert widths["rows"] == pytest.approx(2 * 1.96 * (right.mean() * (1 - right.mean()) / 540) ** 0.5, rel=0.08)
    assert widths["clips"] == pytest.approx(3 * widths["rows"], rel=0.1)


@given(st.permutations(range(len(CELLS))), st.integers(0, 5))
def test_resamples_depend_on_the_seed_and_on_neither_order_nor_names(order, seed):
    usual = metrics.resampled(CELLS, CLIPS, 4, 20, [seed])
    mixed = metrics.resampled([CELLS[at] for at in order], [f"z{CLIPS[at]}" for at in order], 4, 20, [seed])
    assert (usual == mixed).all()
    assert (usual != metrics.resampled(CELLS, CLIPS, 4, 20, [seed + 1])).any()


def test_nothing_resamples_to_nothing():
    assert metrics.resampled([], [], 4, 3, [0]).tolist() == [[0] * 4] * 3
    assert metrics.resampled([-1, -1], ["a", "b"], 4, 3, [0]).tolist() == [[0] * 4] * 3


def test_the_interval_is_that_of_the_percentiles():
    assert metrics.ends(np.arange(1001) / 1000) == pytest.approx((0.025, 0.975), abs=NEAR)
    assert metrics.ends(np.array([0.4])) == (0.4, 0.4)


# Whole scores

WORDS = {"angry": "anger", "happy": "happiness", "sad": "sadness"}
REPLIES = ("<answer>{}</answer>", "<answer>{}</answer>", "<think>fear, anger</think><answer>{}.</answer>", "{}",
           "<answer>not {}</answer>", "I cannot judge this.", "", "<answer>joy</answer>", "<think>{}")  # fmt: skip


def _row(set_name, at, true, text, *, error=False, cluster=None):
    return {
        "set": set_name, "image_path": f"/{set_name}/{at}.png", "true_label": true, "canonical": WORDS.get(true, true),
        "choices": LABELS[set_name], "cluster": cluster or f"{set_name}{at}", "texts": [] if error else [text],
        "finishes": [] if error else ["stop"], "error": error, "detail": "HTTP 500" if error else "", "bare": False,
    }  # fmt: skip


def _score(rows, **options):
    return score(Loaded("made up", pa.Table.from_pylist(rows, schema=ANSWERS), []), **options)


def _replies(seed, count, sets=SETS):
    rng = np.random.default_rng(seed)
    for name in sets:
        for at in range(count):
            true, other = rng.choice(LABELS[name], 2).tolist()
            said = true if rng.random() < 0.6 else other
            text = REPLIES[rng.integers(len(REPLIES))].format(said)
            yield _row(name, at, true, text, error=bool(rng.random() < 0.1), cluster=f"{name}{at // 3}")


def _wanted(true, said, labels=None):
    """Return what scikit-learn makes of columns, as a set's script calls it, or on fixed labels."""
    macro = precision_recall_fscore_support(true, said, labels=labels, average="macro", zero_division=0)[:3]
    return {"accuracy": accuracy_score(true, said), **dict(zip(MACRO, macro, strict=True))}


def _figures(measured):
    return {name: measured.values[name] for name in ("accuracy", *MACRO)}


@pytest.mark.parametrize("seed", range(3))
def test_a_score_is_what_scikit_learn_makes_of_its_readings(seed):
    found = _score(list(_replies(seed, 150)), resamples=20)
    readings, columns = found.readings, {}
    for name in SETS:
        at = [row for row in range(len(readings)) if readings.sets[row] == name]
        kept = [row for row in at if readings.official[row] is not None]
        columns[name] = (
            ([readings.true[row] for row in kept], [readings.official[row] for row in kept]),
            ([readings.true[row] for row in at], [readings.said[row].label for row in at]),
        )
        one = found.sets[name].measured
        assert _figures(one["official"]) == pytest.approx(_wanted(*columns[name][0]), abs=NEAR)
        assert _figures(one["strict"]) == pytest.approx(_wanted(*columns[name][1], LABELS[name]), abs=NEAR)
        assert one["strict"].values["uar"] == pytest.approx(_balanced(*columns[name][1]), abs=NEAR)
        assert one["official"].values["uar"] == pytest.approx(_balanced(*columns[name][0]), abs=NEAR)
        assert (one["official"].n, one["strict"].n) == (len(kept), len(at))
        wanted = confusion_matrix(*columns[name][1], labels=[*LABELS[name], "unknown"])
        assert found.sets[name].counts.tolist() == wanted[:-1].tolist()
    _check_pooled(found, columns)


def _check_pooled(found, columns):
    pooled = [[WORDS.get(word, word) for name in SETS for word in columns[name][way][side]]
              for way in (0, 1) for side in (0, 1)]  # fmt: skip
    assert _figures(found.pooled.measured["official"]) == pytest.approx(_wanted(*pooled[:2]), abs=NEAR)
    labels = sorted({*pooled[2]})
    assert _figures(found.pooled.measured["strict"]) == pytest.approx(_wanted(*pooled[2:], labels), abs=NEAR)
    for way in ("official", "strict"):
        means = {key: np.mean([found.sets[name].measured[way].values[key] for name in SETS]) for key in
                 ("accuracy", "uar", *MACRO)}  # fmt: skip
        assert found.mean[way].values == pytest.approx(means, abs=NEAR)


def _balanced(true, said):
    with warnings.catch_warnings(action="ignore"):  # of unknown, which is never true
        return balanced_accuracy_score(true, said)


def test_nine_right_and_ninety_one_errors_are_no_hundred_per_cent():
    rows = [_row("rafdb", at, "fear", "<answer>fear</answer>", error=at >= 9) for at in range(100)]
    told = as_json(_score(rows))
    for one in (told["sets"]["rafdb"], told["pooled"]):
        assert (one["official"]["accuracy"], one["official"]["n"], one["official"]["unknown"]) == (1.0, 9, 0)
        assert (one["strict"]["accuracy"], one["strict"]["n"], one["strict"]["unknown"]) == (0.09, 100, 91)
        assert (one["outcomes"]["ok"], one["outcomes"]["error"]) == (9, 91)
        assert (one["rates"]["error"], one["rates"]["unknown"], one["disagreements"]) == (0.91, 0.91, 0)
        low, high = one["strict"]["intervals"]["accuracy"]
        assert 0.03 <= low < 0.09 < high <= 0.15
    assert (told["mean"]["official"]["accuracy"], told["mean"]["strict"]["accuracy"]) == (1.0, 0.09)


def test_errors_alone_have_a_strict_score_of_nought_and_no_official_one():
    told = as_json(_score([_row("sfew", at, "sad", "", error=True) for at in range(5)], resamples=20))
    for one in (told["sets"]["sfew"], told["pooled"]):
        figures = [one["official"][name] for name in ("accuracy", "uar", *MACRO)]
        assert (figures, one["official"]["n"]) == ([None] * 5, 0)
        assert [one["strict"][name] for name in ("accuracy", "uar", *MACRO)] == [0.0] * 5


def test_drawing_a_label_has_the_recall_of_the_choices_that_each_label_has():
    """Contempt is one of eight wherever it is asked for, fear one of eight or of seven; no other label has rows."""
    rows = [
        _row("rafdb", 0, "fear", ""),
        *(_row("ferplus", at, true, "") for at, true in enumerate(("fear", "contempt"))),
    ]
    found = _score(rows, resamples=1)
    fear, chance = (1 / 7 + 1 / 8) / 2, (1 / 7 + 1 / 8 + 1 / 8) / 3
    assert found.pooled.baselines["random"] == pytest.approx({"accuracy": chance, "uar": (fear + 1 / 8) / 8})
    assert found.sets["ferplus"].baselines["random"] == pytest.approx({"accuracy": 1 / 8, "uar": 2 / 8 / 8})


def test_a_set_without_an_official_row_leaves_no_official_mean():
    rows = [_row("sfew", at, "sad", "", error=True) for at in range(5)]
    rows += [_row("rafdb", at, "fear", "<answer>fear</answer>") for at in range(5)]
    found = as_json(_score(rows, resamples=20))["mean"]["official"]
    assert [found[name] for name in ("accuracy", "uar", *MACRO)] == [None] * 5
    assert [found["intervals"][name] for name in ("accuracy", "uar", *MACRO)] == [None] * 5


def test_a_score_is_the_same_again_and_with_another_seed_in_its_figures():
    rows = list(_replies(4, 40))
    first, again, other = (as_json(_score(rows, resamples=50, seed=seed)) for seed in (0, 0, 1))
    assert first == again
    for name in SETS:
        one, two = first["sets"][name]["strict"], other["sets"][name]["strict"]
        assert one["intervals"] != two["intervals"]
        assert {key: one[key] for key in one if key != "intervals"} == {
            key: two[key] for key in two if key != "intervals"
        }


def test_frames_of_a_clip_widen_the_interval_of_a_score():
    said = [("sad", "<answer>sad</answer>" if at // 9 % 2 else "<answer>fear</answer>") for at in range(180)]
    widths = []
    for clip in (9, 1):
        rows = [_row("sfew", at, true, text, cluster=str(at // clip)) for at, (true, text) in enumerate(said)]
        for way in ("strict", "official", "official-sfew"):
            low, high = as_json(_score(rows))["sets"]["sfew"][way]["intervals"]["accuracy"]
            widths.append(high - low)
    assert widths[0] == widths[1] == widths[2] == pytest.approx(3 * widths[3], rel=0.1)


def test_every_figure_lies_in_its_interval():
    found = as_json(_score(list(_replies(6, 300))))
    for name in SETS:
        for way in ("strict", "official"):
            one = found["sets"][name][way]
            for key in ("accuracy", "uar"):
                low, high = one["intervals"][key]
                assert 0 <= low < one[key] < high <= 1
                assert high - low < 0.2


@pytest.mark.parametrize(("samples", "right"), [(n, right) for n in range(2, 7) for right in range(n + 1)])
def test_pass_at_k_is_the_share_of_all_draws_of_k_with_a_right_one(samples, right):
    draws = [list(itertools.combinations([1] * right + [0] * (samples - right), k)) for k in range(1, samples + 1)]
    wanted = [sum(map(max, one)) / len(one) for one in draws]
    assert pass_at([Said("fear", "ok", 1.0, right, samples)], samples) == pytest.approx(wanted, abs=NEAR)


@given(st.lists(st.sampled_from(["fear", "anger", "sad", "", "not fear", "joy"]), min_size=1, max_size=7))
def test_the_published_reading_of_several_samples_is_that_of_most(said):
    """So that the two readings of a row differ by the reading alone."""
    row = _row("rafdb", 0, "fear", "")
    [found] = _score([row | {"texts": said, "finishes": [""] * len(said)}], resamples=1).readings.official
    read = [read_official(one, LABELS["rafdb"], "rafdb") for one in said]
    known = [one for one in read if one != "unknown"]
    assert found == (max(known, key=known.count) if known else "unknown")


@given(st.lists(st.sampled_from(["fear", "anger", "sad", "", "not fear", "joy"]), min_size=1, max_size=7))
def test_of_samples_the_label_that_most_give_counts_and_of_equals_the_first(said):
    found = said_by([f"<answer>{one}</answer>" for one in said], (), LABELS["rafdb"], "fear")
    given = ["sadness" if one == "sad" else one for one in said if one in ("fear", "anger", "sad")]
    assert (found.samples, found.right) == (len(said), given.count("fear"))
    most = max(given, key=given.count) if given else "unknown"
    assert (found.label, found.agreement) == (most, given.count(most) / len(said))
    assert found.outcome == ("ok" if given else {"": "empty"}.get(said[0], "not a candidate"))


# The strict reader

COUNTED = ("ok", "several")
around = st.text(" \t\n.,;:!?*_`'\"“”()[]…—-#😊", max_size=5)
thoughts = st.sampled_from(["", "<think>fear, anger or happy?</think>", "<THINK>not <answer>sad</answer></THINK>\n"])
one_of_a_set = st.sampled_from(SETS).flatmap(lambda name: st.tuples(st.just(name), st.sampled_from(LABELS[name])))


def _forms(label):
    return next(family for family in FORMS if label in family)


@given(one_of_a_set, st.data(), thoughts, around, around)
def test_strict_form_case_dress_and_tags_change_nothing(chosen, data, thought, before, after):
    name, label = chosen
    form = data.draw(st.sampled_from(_forms(label)))
    said = "".join(data.draw(st.sampled_from([letter, letter.upper()])) for letter in form)
    begin, end = data.draw(
        st.sampled_from([("<answer>", "</answer>"), ("<ANSWER>", "</Answer >"), ("<answer\n>",) * 2])
    )
    end = end if end.startswith("</") else "</answer\n>"
    assert read(f"{thought}{begin}{before}{said}{after}{end}", LABELS[name]) == (label, "ok")


@given(
    one_of_a_set, st.data(), st.sampled_from(["not", "no", "never", "it is not", "It's not", "definitely not", "isn't"])
)
def test_strict_what_is_denied_is_never_the_answer(chosen, data, word):
    name, label = chosen
    other = data.draw(st.sampled_from([one for one in LABELS[name] if one != label]))
    denied, meant = (data.draw(st.sampled_from(_forms(one))) for one in (label, other))
    for said in (f"{word} {denied}, {meant}", f"{meant}, {word} {denied}", f"{word} {denied} but {meant}",
                 f"{meant} rather than {denied}", f"neither {denied} nor {denied}: {meant}"):  # fmt: skip
        assert read(f"<answer>{said}</answer>", LABELS[name]) == (other, "ok"), said
    assert read(f"<answer>{word} {denied}</answer>", LABELS[name]).label is None


@given(one_of_a_set, st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=6), st.booleans())
def test_strict_a_label_inside_another_word_is_none(chosen, more, in_front):
    name, label = chosen
    word = more + label if in_front else label + more
    if any(word in family for family in FORMS):
        return
    assert read(f"<answer>{word}</answer>", LABELS[name]) == (None, "not a candidate")


@given(one_of_a_set, one_of_a_set, st.text(" abcdefg.,\n", max_size=20))
def test_strict_a_label_without_an_answer_counts_for_nothing(chosen, thought, prose):
    name, label = chosen
    for text in (f"{prose}{label}", f"<think>{thought[1]}</think>{prose}{label}", f"<think>{label}</think>{prose}"):
        assert read(text, LABELS[name]).status not in COUNTED
        assert read(f"{text}<answer>{label}</answer>", LABELS[name]) == (label, "ok")
        assert read(f"{text}<answer>{label}", LABELS[name]) == (None, "truncated")


@pytest.mark.parametrize(
    "said", ["fear? No, sadness", "Fear. No. Sadness.", "fear (no, sadness)", "fear - no - sadness"]
)
def test_strict_what_is_taken_back_is_not_the_answer(said):
    assert read(f"<answer>{said}</answer>", LABELS["rafdb"]).label != "fear"
