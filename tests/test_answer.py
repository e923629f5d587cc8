import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferbuild.filters.answer import FORMS, read

GOLDEN = json.loads((Path(__file__).parent / "answers.json").read_text(encoding="utf-8"))
SETS = {name: tuple(labels) for name, labels in GOLDEN["sets"].items()}
RAFDB, FERPLUS = SETS["rafdb"], SETS["ferplus"]
REAL = [SETS[name] for name in ("rafdb", "ferplus", "affectnet", "sfew", "compound")]

candidates = st.sampled_from(REAL).flatmap(lambda labels: st.tuples(st.just(labels), st.sampled_from(labels)))
around = st.text(" \n\t.,;:!?*_`'\"“”()[]…—-", max_size=6)
pieces = st.sampled_from(
    [
        "<think>",
        "</think>",
        "<answer>",
        "</answer>",
        "<ANSWER >",
        "not ",
        "fear",
        "sadness",
        ", ",
        " or ",
        "it is ",
        "\n",
    ]
)


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: f"{case['why']}: {case['text'][:40]}")
def test_golden(case):
    reading = read(case["text"], SETS[case["set"]])
    assert (reading.label, reading.status) == (case["label"], case["status"])


@given(candidates, st.data(), around, around)
def test_any_candidate_in_any_dress_comes_back(chosen, data, before, after):
    labels, label = chosen
    said = "".join(data.draw(st.sampled_from([letter.lower(), letter.upper()])) for letter in label)
    said = said.replace(" ", data.draw(st.sampled_from([" ", "  ", "-"])))
    text = f"<think>so</think><answer>{before}{said}{after}</answer>"
    assert read(text, labels) == (label, "ok")


@given(st.sampled_from([RAFDB, FERPLUS]), st.sampled_from(FORMS), st.data())
def test_every_form_of_a_family_is_its_candidate(labels, family, data):
    form = data.draw(st.sampled_from(family))
    wanted = [label for label in labels if label in family]
    reading = read(f"<answer>{form}</answer>", labels)
    assert reading == ((wanted[0], "ok") if wanted else (None, "not a candidate"))


@given(st.sampled_from(REAL), st.one_of(st.text(max_size=200), st.lists(pieces, max_size=25).map("".join)))
def test_anything_is_read_and_a_label_is_a_candidate(labels, text):
    label, status = read(text, labels)
    assert label is None or label in labels
    assert (label is not None) or status != "ok"
    if status in ("empty", "truncated", "refused", "not a candidate"):
        assert label is None


@given(candidates, candidates)
def test_a_negated_label_never_wins(one, other):
    labels, wrong = one
    right = other[1]
    if right not in labels or right == wrong:
        return
    assert read(f"<answer>not {wrong}, {right}</answer>", labels) == (right, "ok")
    assert read(f"<answer>{right}, not {wrong}</answer>", labels) == (right, "ok")
    assert read(f"<answer>{right}, {wrong}</answer>", labels) == (None, "several")


@pytest.mark.parametrize(
    "piece",
    ["<answer>", "</answer>", "<think>", "</think>", "<answer></answer>", "<answer", "<", "<answer>fear and ", "not ",
     "i ", "sorry, ", "<think>\n", "<answer> not fear", "I cannot " + "x" * 50, " - ", "!"],
)  # fmt: skip
def test_a_megabyte_of_anything_takes_no_longer_than_reading_it(piece):
    text = piece * (1_000_000 // len(piece))
    began = time.process_time()
    assert read(text, RAFDB).status != "ok"
    assert read(f"<answer>{text}", RAFDB).status != "ok"
    assert time.process_time() - began < 1.5


def test_fifty_thousand_simple_replies_a_second():
    text = f"<think>{'The brows are raised and drawn together. ' * 10}</think>\n<answer>Happy</answer>"
    read(text, RAFDB)
    best = min(_seconds(lambda: [read(text, RAFDB) for _ in range(2000)]) for _ in range(5))
    assert best < 2000 / 50_000


def _seconds(work):
    began = time.process_time()
    work()
    return time.process_time() - began
