import json
import re
import time
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import official_rule
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from official_rule import LABELS, SYNONYMS, official

from ferbuild.builders.evaluation.answers import ANSWERS
from ferbuild.builders.evaluation.reading import read_all
from ferbuild.builders.evaluation.score import disagreements
from ferbuild.filters.answer import read
from ferbuild.filters.official import read_official

CASES = json.loads((Path(__file__).parent / "scoring_cases.json").read_text(encoding="utf-8"))["cases"]
KNOWN = [case for case in CASES if case["why"].startswith("known mis-scoring: ")]
COUNTED = ("ok", "several")
SETS = tuple(LABELS)
WAYS = [(name, False) for name in SETS] + [("sfew", True)]

named = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['why']}: {case['response'][:40]}")
each_way = pytest.mark.parametrize(("set_name", "alone"), WAYS)


@named
def test_official_reads_the_golden_cases_as_the_published_scripts_do(case):
    name, response = case["set"], case["response"]
    assert read_official(response, LABELS[name], name) == case["official"]
    assert official(response, LABELS[name], name).label == case["official"]


@named
def test_strict_reads_the_golden_cases_as_somebody_who_takes_care(case):
    found = read(case["response"], LABELS[case["set"]])
    counted = found.label if found.label and found.status in COUNTED else "unknown"
    assert (counted, found.status) == (case["strict"], case["outcome"])


@pytest.mark.parametrize("case", [case for case in CASES if case["set"] == "sfew"], ids=lambda case: case["why"])
def test_the_stand_alone_script_of_sfew_reads_them_its_own_way(case):
    told = case.get("alone", case["official"])
    assert read_official(case["response"], LABELS["sfew"], "sfew", alone=True) == told
    assert official(case["response"], LABELS["sfew"], "sfew", alone=True).label == told


def test_the_golden_cases_hold_all_that_is_known_to_be_misread():
    assert [(case["set"], case["true"], case["official"], case["outcome"]) for case in KNOWN] == [
        ("ferplus", "sad", "happy", "not a candidate"),
        ("sfew", "happy", "angry", "malformed"),
        ("rafdb", "sadness", "fear", "ok"),
        ("rafdb", "happiness", "fear", "ok"),
        ("rafdb", "anger", "surprise", "several"),
        ("affectnet", "unknown", "neutral", "refused"),
        ("rafdb", "unknown", "surprise", "truncated"),
    ]
    assert len(CASES) - len(KNOWN) >= 60
    assert len({(case["set"], case["response"]) for case in CASES}) == len(CASES)
    assert {case["set"] for case in CASES} == set(SETS)


def test_strict_never_takes_another_label_than_the_one_meant_and_official_does():
    wrong = Counter(
        way for case in CASES for way in ("official", "strict") if case[way] not in (case["true"], "unknown")
    )
    assert wrong["strict"] == 0
    assert wrong["official"] > 60


def test_the_score_reads_the_golden_cases_alike():
    readings = read_all(_table(CASES))
    assert readings.official == [case["official"] for case in CASES]
    assert [(one.label, one.outcome) for one in readings.said] == [(case["strict"], case["outcome"]) for case in CASES]
    assert readings.official_alone == [case.get("alone", case["official"]) for case in CASES]
    differ = [at for at, case in enumerate(CASES) if case["official"] != case["strict"]]
    assert disagreements(readings, range(len(CASES))) == differ
    assert len(differ) > 100


def _table(cases):
    def row(at, case):
        choices = LABELS[case["set"]]
        return {"set": case["set"], "image_path": f"/{at}.png", "true_label": case["true"], "canonical": case["true"],
                "choices": choices, "cluster": str(at), "texts": [case["response"]], "finishes": ["stop"],
                "error": False, "bare": False}  # fmt: skip

    return pa.Table.from_pylist([row(at, case) for at, case in enumerate(cases)], schema=ANSWERS)


SAID = [(name, label, word) for name in SETS for label, words in SYNONYMS[name] for word in words]


@pytest.mark.parametrize(("set_name", "label", "word"), SAID)
def test_every_synonym_is_the_label_of_the_first_that_has_it(set_name, label, word):
    candidates = [candidate for candidate in LABELS[set_name] if candidate in word]
    for text in (f"<answer>{word}</answer>", f"A look of {word.upper()}ish things.", f"x{word}x"):
        assert read_official(text, LABELS[set_name], set_name) == (candidates[0] if candidates else label)
        assert official(text, (), set_name) == (label, 3)
        assert read_official(text, (), set_name) == label


# What replies are put together from: tags in every state, all labels and synonyms, their forms and words that hold
# them, line ends, letters that change their length or their class with their case.
TAGS = (
    *("<answer>", "</answer>") * 8,
    *("<think>", "</think>", "<ANSWER>", "</ANSWER>", "<Answer>", "</aNswer>", "<answer >", "</ answer>", "<answer"),
    *("answer>", "<answer/>", "</answer", "<<answer>", "<answer>>", "< answer>", "<an\nswer>", "<anſwer>", "</anſwer>"),
    *("<answer></answer>", "<answer>\n", "\n</answer>", "<İnswer>", "<answeŕ>", "&lt;answer&gt;", "[answer]"),
)
LETTERS = (
    *("İ", "ı", "ſ", "ß", "ẞ", "Σ", "ς", "\u212a", "\u212b", "ﬁ", "Ǆ", "ŉ", "\u0307", "\u0301", "\u00ad", "\u200b"),
    *("e\u0301", "é", "快乐", "грусть", "levé", "😊", "\U0001d41a", "ｆｅａｒ", "\x00", "\ud800", "\x1c", "²", "٣"),
)
SPACES = (" ",) * 6 + ("\n",) * 4 + ("  ", "\t", "\r\n", "\r", "\v", "\f", "\x85", "\xa0", "\u2028", "\u3000", "")
MARKS = (".", ",", ";", ":", "!", "?", "*", "**", "_", "`", '"', "“", "-", "/", "(", ")", "1", "0", "\\", "$", "^", "|")
WORDS = (
    *("not", "no", "neither", "nor", "and", "or", "but", "un", "dis", "ness", "ful", "ly", "ed", "fea", "r", "sur"),
    *("prise", "cal", "maybe", "emotion", "unknown", "none", "happy", "happily", "sadly", "surprised"),
    *("Surprised", "afraid", "angry", "ANGRY", "unhappy", "fearless", "SADNESS", "Fear", "hungry", "made"),
    *("madam", "nomad", "crusade", "ambassador", "abnormal", "blanket", "danger", "stranger", "enjoy"),
    *("HAPPİNESS", "blan\u212a", "\u212aind", "shoc\u212a", "ſad"),
    *("rather than", "it is", "I cannot judge", "a neutral face", "The brows are raised"),
)
ROWS = 22_000  # a set: more than 20,000 different ones
TRIED = 2_000  # of them, of each way to misread the rule


def _fragments(set_name):
    labels = LABELS[set_name]
    synonyms = [word for _, words in SYNONYMS[set_name] for word in words]
    others = [word for name in SETS for label, words in SYNONYMS[name] for word in (label, *words)]
    heavy = [*labels, *synonyms] * 2 + [label.title() for label in labels] + [label.upper() for label in labels]
    return np.array([*TAGS * 2, *LETTERS, *SPACES * 3, *MARKS, *WORDS, *others, *heavy], object)


OPEN = np.array(
    [*["<answer>"] * 9, "<ANSWER>", "<Answer>", "<anſwer>", "<answer>\n", "<answer> \n ", "<answer >", ""], object
)
CLOSE = np.array(
    [*["</answer>"] * 9, "</ANSWER>", "</aNswer>", "</anſwer>", "\n</answer>", "\r\n</answer>", "</answer", ""], object
)


@cache
def _responses(set_name):
    """Return ROWS responses with their candidates: the set's, and every fourth time some of them, in another order.

    Half are fragments in any order; half have one or two answers of up to three fragments among others.
    """
    rng = np.random.default_rng([SETS.index(set_name), 7])
    fragments, labels = _fragments(set_name), LABELS[set_name]
    chosen = rng.choice(fragments, (ROWS, 14)).tolist()
    within = rng.choice(np.array([*labels * 6, *SPACES * 2, *LETTERS, *MARKS, *WORDS], object), (ROWS, 6)).tolist()
    tags = np.stack([rng.choice(some, ROWS) for some in (OPEN, CLOSE, OPEN, CLOSE)], 1).tolist()
    counts = rng.integers(0, 4, (ROWS, 5)).tolist()
    loose = rng.integers(0, 15, ROWS).tolist()
    some = [
        tuple(rng.permutation(labels)[: at // 8 % (len(labels) + 1)].tolist()) if at % 8 < 2 else labels
        for at in range(ROWS)
    ]
    found = []
    for at, (row, inner, tag, count) in enumerate(zip(chosen, within, tags, counts, strict=True)):
        if at % 2:
            said = "".join(row[: loose[at]])
        else:
            one, two = "".join(inner[: count[1]]), "".join(inner[3 : 3 + count[2]])
            second = f"{tag[2]}{two}{tag[3]}" if count[4] > 1 else ""
            said = f"{''.join(row[: count[0]])}{tag[0]}{one}{tag[1]}{''.join(row[3 : 3 + count[3]])}{second}"
        found.append((said, some[at]))
    return found


@each_way
def test_official_agrees_with_the_rule_on_whatever_is_said(set_name, alone):
    steps, labels = Counter(), Counter()
    for response, candidates in _responses(set_name):
        told = official(response, candidates, set_name, alone=alone)
        steps[told.step] += 1
        labels[told.label] += 1
        assert read_official(response, candidates, set_name, alone=alone) == told.label, (response, candidates)
    assert len({response for response, _ in _responses(set_name)}) > 20_000
    assert min(steps[step] for step in (1, 2, 3, 4)) > ROWS / 20
    assert set(labels) == {*LABELS[set_name], "unknown"}
    assert min(labels.values()) > ROWS / 200


READ = {"pattern": r"<answer>\s*(.*?)\s*</answer>", "flags": re.IGNORECASE}
MISREAD = {
    "the dot matches line ends": {"flags": re.IGNORECASE | re.DOTALL},
    "tags count in one letter case only": {"flags": 0},
    "tags count in the case of ASCII letters only": {"flags": re.IGNORECASE | re.ASCII},
    "an answer runs to the last end tag": {"pattern": r"<answer>\s*(.*)\s*</answer>"},
    "line ends beside the tags are not trimmed": {"pattern": "<answer>(.*?)</answer>"},
    "no line separator of any kind inside": {"pattern": r"<answer>\s*([^\n\r\v\f\x85\u2028]*?)\s*</answer>"},
    "the last answer": {"which": -1},
    "the answer has to be the label": {"inside": lambda answer, label: answer == label},
    "the answer has to hold the label as a word": {
        "inside": lambda answer, label: re.search(rf"\b{label}\b", answer) is not None
    },
    "what stands in tags is all that counts": {"anywhere": False},
    "words of the whole before parts of words": {"words_first": True},
    "no parts of words": {"parts": False},
    "no synonyms": {"synonyms": False},
    "synonyms in the order of the candidates": {"reordered": True},
    "letter case folded": {"lower": str.casefold},
    "the whole is not lower case": {"lower": lambda text: text},
}


def _reads(response, candidates, set_name, *, pattern=READ["pattern"], flags=READ["flags"], which=0, parts=True,
           inside=lambda answer, label: label in answer, anywhere=True, words_first=False, synonyms=True,
           reordered=False, lower=str.lower):  # fmt: skip
    """Read a response as the rule says; every option is a way to misunderstand it."""
    answers = [lower(found) for found in re.findall(pattern, response, flags)]
    taken = answers[which].strip() if answers else None
    whole = lower(response)
    by_word = [label for label in candidates if re.search(rf"\b{label}\b", whole)]
    by_part = [label for label in candidates if label in whole]
    table = sorted(SYNONYMS[set_name], key=lambda one: LABELS[set_name].index(one[0]) if reordered else 0)
    ways = (
        [label for label in candidates if taken is not None and inside(taken, label)],
        by_word if words_first or not parts else by_part,
        by_part if words_first else [],
        [label for label, words in table if synonyms and any(word in whole for word in words)],
    )
    steps = ways if anywhere or taken is None else ways[:1]
    return next((labels[0] for labels in steps if labels), "unknown")


def test_a_second_restatement_agrees():
    for set_name in SETS:
        for response, candidates in _responses(set_name)[:TRIED]:
            assert _reads(response, candidates, set_name) == official(response, candidates, set_name).label


@pytest.mark.parametrize("misread", MISREAD)
def test_what_is_generated_tells_every_misreading_of_the_rule(misread):
    """A comparison that no misreading fails proves nothing."""
    differ = sum(
        _reads(response, candidates, set_name, **MISREAD[misread]) != read_official(response, candidates, set_name)
        for set_name in SETS
        for response, candidates in _responses(set_name)[:TRIED]
    )
    assert differ >= 5


@each_way
@given(st.one_of(st.text(max_size=80), st.lists(st.sampled_from([*TAGS, *WORDS, *LETTERS, *SPACES]), max_size=12)))
def test_official_agrees_with_the_rule_on_any_text(set_name, alone, said):
    text = "".join(said)
    candidates = LABELS[set_name]
    for response in (text, f"<answer>{text}</answer>{candidates[-1]}", f"<AnSwEr>{text}\n{candidates[0]}</answer>"):
        told = official(response, candidates, set_name, alone=alone)
        assert read_official(response, candidates, set_name, alone=alone) == told.label


@pytest.mark.parametrize("piece", ["<answer>", "</answer>", "<answer>\n", "<answer> ", "<", "\n", "a ", "İ", "unhapp "])
def test_two_thousand_tokens_of_nothing_but_one_are_read_at_once(piece):
    text = f"<answer>{piece * (8_000 // len(piece))}"
    began = time.process_time()
    assert {read_official(text, LABELS["sfew"], "sfew", alone=alone) for alone in (False, True)} == {"unknown"}
    assert time.process_time() - began < 1.0


def test_the_rule_knows_the_labels_of_every_set():
    for name in SETS:
        assert sorted(label for label, _ in SYNONYMS[name]) == sorted(LABELS[name])
    assert official_rule.__doc__ and "ferbuild" not in Path(official_rule.__file__).read_text(encoding="utf-8")
