"""The checks on what a rationale says, on sentences of which every third is held out."""

from pathlib import Path

import pytest
import yaml

from ferbuild.builders.errors import FerError
from ferbuild.filters import trace
from ferbuild.filters.bind import bind
from ferbuild.filters.prose import sentences, tokens
from ferbuild.filters.wording import find, shipped, tree_of
from ferbuild.manifests.lexicon import spell_out
from ferbuild.manifests.wording import Names, Topic, Wording, load_wording

CASES = yaml.safe_load((Path(__file__).parent / "trace_cases.yaml").read_text(encoding="utf-8"))
CHOICES = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
CHECKS = {
    "label leak": trace.leaks,
    "talks about the prompt": trace.prompt_talk,
    "names a person": trace.names_person,
    "speaks of age, ethnicity, gender or health": trace.personal,
    "concludes otherwise": trace.concludes_otherwise,
    "repetition": trace.repetitive,
    "other language": trace.other_language,
}
TRAITS = ("age", "ethnicity", "gender", "health")


def row(case):
    answer = case.get("answer", "sadness")
    reply = f"<think>{case['text']}</think><answer>{answer}</answer>"
    return {"reply": reply, "finish": "stop", "choices": CHOICES, "label": answer}


def said(name, case):
    """Return all that a check says of a case: of the traits, each by itself."""
    if CHECKS[name] is not trace.personal:
        found = [CHECKS[name](row(case))]
    else:
        off = dict.fromkeys(TRAITS, False)
        found = [trace.personal(row(case), **{**off, trait: True}) for trait in TRAITS]
    return [reason for reason in found if reason]


def parted(name):
    """Return the cases of a check that rules were tuned on, and those that are held out."""
    return [one for at, one in enumerate(CASES[name]) if at % 3 != 2], CASES[name][2::3]


def score(cases):
    """Return precision and recall of what the checks say of (name, case) pairs, drop reason by drop reason."""
    hits = found = meant = 0
    for name, case in cases:
        got = said(name, case)
        found, meant = found + len(got), meant + len(case["says"])
        hits += len({*got} & {*case["says"]})
    return hits / found, hits / meant


def test_there_are_enough_cases_and_half_of_them_are_traps():
    cases = [case for listed in CASES.values() for case in listed]
    texts = [(case["text"], case.get("answer")) for case in cases]
    assert len(cases) >= 380
    assert len({*texts}) == len(texts)
    assert 2 * sum(not case.get("says") for case in cases) >= len(cases)
    assert set(CASES) == {"clean", "unseen", *CHECKS}


@pytest.mark.parametrize("held_out", [False, True], ids=["tuned", "held out"])
@pytest.mark.parametrize("name", CHECKS)
def test_precision_and_recall_of_each_check(name, held_out):
    precision, recall = score([(name, case) for case in parted(name)[held_out]])
    assert precision >= 0.9
    assert recall >= 0.9


def test_precision_and_recall_over_all_that_is_held_out():
    precision, recall = score([(name, case) for name in CHECKS for case in parted(name)[1]])
    assert precision >= 0.98
    assert recall >= 0.98


def test_sentences_written_for_another_test_are_left_alone():
    """Sentences that claim something of a face, of which some do speak of a person's age or gender."""
    sentences_of_claims = yaml.safe_load((Path(__file__).parent / "claims.yaml").read_text(encoding="utf-8"))
    said = [{"text": one["text"]} for one in sentences_of_claims if one["claims"]]
    checks = {name: check for name, check in CHECKS.items() if check not in (trace.personal, trace.concludes_otherwise)}
    assert len(said) >= 200
    assert [(name, one) for one in said for name, check in checks.items() if check(row(one))] == []
    found = [trace.personal(row(one), age=False, gender=False) for one in said]
    assert found == [None] * len(said)


@pytest.mark.parametrize(("section", "recall"), [("clean", 0.8), ("unseen", 0.45)])
def test_whole_rationales_whose_answer_is_swapped_for_each_other_label(section, recall):
    """Many rationales name no conclusion; those that name one are to be found, and none where nothing was swapped."""
    swapped = [{**one, "answer": other} for one in CASES[section] for other in CHOICES if other != one["answer"]]
    found = sum(trace.concludes_otherwise(row(one)) is not None for one in swapped)
    assert found / len(swapped) >= recall


def test_a_rationale_that_lost_a_sentence_is_hardly_ever_taken_for_another_label():
    """Where the sentence that names the answer is gone, a rival must not become the conclusion."""
    said = wrong = 0
    for one in [*CASES["clean"], *CASES["unseen"]]:
        lines = sentences(one["text"])
        for at in range(len(lines)):
            left = {**one, "text": " ".join(lines[:at] + lines[at + 1 :])}
            said, wrong = said + 1, wrong + (trace.concludes_otherwise(row(left)) is not None)
    assert said > 300
    assert wrong / said <= 0.01


@pytest.mark.parametrize("case", [*CASES["clean"], *CASES["unseen"]], ids=lambda case: case["text"][:30])
def test_a_good_rationale_passes_every_check(case):
    everything = [
        "answered",
        {"reasons": {"words": 5}},
        "agrees",
        "too_long",
        *(check.__name__ for check in CHECKS.values()),
    ]
    assert [check.check(row(case)) for check in bind(trace, everything)] == [None] * len(everything)


def test_what_the_embedded_baseline_writes_passes_every_check():
    text = (
        "The head is turned by 12° and the eyes are 48 pixels apart. The jaw is dropped on the person's left side only "
    )
    text += "and the lips are apart. The lip corners are not pulled up. Taken together this is nearest to surprise; "
    case = {"text": text + "fear comes next.", "answer": "surprise"}
    assert [check(row(case)) for check in CHECKS.values()] == [None] * len(CHECKS)


@pytest.mark.parametrize("trait", TRAITS)
def test_each_trait_is_turned_off_by_itself(trait):
    case = row({"text": "The young Asian man is ill."})
    others = [one for one in TRAITS if one != trait]
    assert trace.personal(case, **dict.fromkeys(others, False)) == f"speaks of {trait}"
    assert trace.personal(case, **{trait: False}) == f"speaks of {others[0]}"
    assert trace.personal(case, **dict.fromkeys(TRAITS, False)) is None


def test_a_pronoun_is_gender_only_where_it_is_asked_for():
    case = row({"text": "Her brows are raised."})
    assert trace.personal(case) is None
    assert trace.personal(case, pronouns=True) == "speaks of gender"
    assert trace.personal(case, pronouns=True, gender=False) is None


@pytest.mark.parametrize(
    "text",
    [
        "The brows are lowered, which confirms that this is anger.",
        "The label fits the raised cheeks.",
        "This must be fear, although the mouth is closed.",
        "It is correctly seen as sad because of the lids.",
    ],
)
def test_a_teacher_that_was_told_is_held_to_more(text):
    assert trace.leaks(row({"text": text})) is None
    assert trace.leaks(row({"text": text}), widely=True) == "label leak"


def test_an_answer_tag_in_the_thinking_is_talk_of_the_prompt():
    reply = "<think>The lids droop. Then I write <answer>sadness</answer> at the end.</think><answer>sadness</answer>"
    seen = {"reply": reply, "finish": "stop", "choices": CHOICES, "label": "sadness"}
    assert trace.answered(seen) is None
    assert trace.prompt_talk(seen) == "talks about the prompt"


@pytest.mark.parametrize("topic", load_wording().topics)
def test_every_phrase_is_found_as_it_stands_and_every_exception_takes_one_back(topic):
    wording = load_wording()
    listed = wording.topics[topic]
    unexcepted = tree_of(wording.model_copy(update={"topics": {topic: Topic(says=listed.says)}}))
    for phrase in listed.says:
        for words in spell_out(phrase, wording.groups, topic):
            assert topic in {one.topic for one in find(tokens(" ".join(words)), unexcepted)}, words
    for phrase in listed.but:
        for words in spell_out(phrase, wording.groups, topic):
            assert topic not in {one.topic for one in find(tokens(" ".join(words)), shipped())}, words
        assert any(find(words, unexcepted) for words in spell_out(phrase, wording.groups, topic)), phrase


def test_phrases_are_words_in_a_row_in_one_sentence_whatever_their_dress():
    names = Names(given="", titles="", none="", words="")
    topic = Topic(says=["{the}old hat"], but=["old hat box"])
    tree = tree_of(Wording(groups={"the": ["", "the "]}, topics={"hats": topic}, names=names))

    def found(text):
        return [(one.start, one.end) for one in find(tokens(text), tree)]

    assert found("An OLD **hat**") == [(1, 3)]
    assert found("the old-hat’s brim") == [(0, 3), (1, 3)]
    assert found("It is old. Hat on!") == found("old, hat") == found("old\nhat") == found("older hat") == []
    assert found("an old hat box, an old hat") == [(6, 8)]


def test_a_group_that_is_not_there_is_named():
    names = Names(given="", titles="", none="", words="")
    with pytest.raises(FerError) as caught:
        tree_of(Wording(groups={"hat": ["hat"]}, topics={"hats": Topic(says=["old {hats}"])}, names=names))
    assert caught.value.where == "wording.yaml: hats"
    assert caught.value.hint == "did you mean 'hat'?"


def test_no_first_name_is_another_word_of_the_lists():
    names = load_wording().names
    given = names.given.split()
    assert len(given) == len({*given})
    assert not {*given} & {*names.words.split()}
    assert not {name.casefold() for name in given} & {
        "hazel",
        "iris",
        "mark",
        "will",
        "grace",
        "joy",
        "hope",
        "may",
        "rose",
    }
