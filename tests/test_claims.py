import copy
import re
from pathlib import Path
from typing import get_args

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ferbuild.builders.errors import FerError
from ferbuild.filters import claims
from ferbuild.filters.claims import checked, is_english, read_claims, read_with, shipped
from ferbuild.filters.phrases import LETTERS
from ferbuild.manifests.lexicon import Grammar, Lexicon, inflect, load_lexicon, phrasings
from ferbuild.manifests.load import load_units

SENTENCES = yaml.safe_load((Path(__file__).parent / "claims.yaml").read_text(encoding="utf-8"))
HELD_OUT = SENTENCES[2::3]
TUNED = [one for at, one in enumerate(SENTENCES) if at % 3 != 2]
STRENGTHS = {"~": "slight", "^": "strong"}


def wanted(short):
    """Spell out "!AU1|AU2@left~" as (units, need, region, side, negated) and the strength, "" where it is not told."""
    found = re.fullmatch(r"(!?)(?:\((\w+)\)|([AU\d|+]+))(?:@(\w+))?([~^]?)", short)
    negated, region, units, side, strength = found.groups()
    names = tuple(re.split(r"[|+]", units)) if units else ()
    need = "all" if "+" in (units or "") else "any"
    return (names, need, region or "", side or "", bool(negated)), STRENGTHS.get(strength, "")


def key(claim):
    return claim.units, claim.need, "" if claim.units else claim.region, claim.side, claim.negated


def keys(text):
    return [key(claim) for claim in read_claims(text)]


def short(text):
    """Return the claims of a text as the YAML writes them."""
    told = []
    for claim in read_claims(text):
        what = ("+" if claim.need == "all" else "|").join(claim.units) or f"({claim.region})"
        told.append(f"{'!' * claim.negated}{what}{'@' * bool(claim.side)}{claim.side}")
    return told


def score(sentences):
    """Return precision and recall of the claims, by units, need, region, side and negation."""
    hits = found = meant = 0
    for one in sentences:
        left = [wanted(claim)[0] for claim in one["claims"]]
        read = keys(one["text"])
        found, meant = found + len(read), meant + len(left)
        for claim in read:
            if claim in left:
                left.remove(claim)
                hits += 1
    return hits / found, hits / meant


def test_there_are_enough_sentences_and_half_of_them_are_traps():
    traps = [one for one in SENTENCES if not one["claims"] or any(claim.startswith("!") for claim in one["claims"])]
    assert len(SENTENCES) >= 300
    assert len({one["text"] for one in SENTENCES}) == len(SENTENCES)
    assert 2 * len(traps) >= len(SENTENCES)
    assert len(HELD_OUT) == len(SENTENCES) // 3


@pytest.mark.parametrize("part", [TUNED, HELD_OUT], ids=["tuned", "held out"])
def test_precision_and_recall(part):
    precision, recall = score(part)
    assert precision >= 0.95
    assert recall >= 0.95


def test_a_trap_claims_nothing_that_is_there():
    """No claim may be read of the sentences that claim nothing, tuned or held out."""
    assert [one["text"] for one in SENTENCES if not one["claims"] and keys(one["text"])] == []


def test_strength_is_read_where_the_sentences_tell_it():
    told = right = 0
    for one in SENTENCES:
        strengths = {what: strength for what, strength in map(wanted, one["claims"]) if strength}
        read = {key(claim): claim.strength for claim in read_claims(one["text"])}
        told += sum(what in read for what in strengths)
        right += sum(read.get(what) == strength for what, strength in strengths.items())
    assert told >= 25
    assert right >= 0.9 * told


@pytest.mark.parametrize(
    ("text", "claims"),
    [
        ("Her eyes are wide and her brows raised.", ["AU5", "AU1|AU2"]),
        ("The brows are raised but not drawn together.", ["AU1|AU2", "!AU4"]),
        ("Neither the brows nor the lids are raised.", ["!AU1|AU2", "!AU5"]),
        ("No raised brows, wide eyes, or open mouth.", ["!AU1|AU2", "!AU5", "!AU25|AU26|AU27"]),
        ("The lips are not parted, and the brows are lowered.", ["!AU25", "AU4"]),
        ("The mouth is not closed.", ["AU25"]),
        ("The eyes are not open.", ["AU43"]),
        ("The teeth are not visible.", []),
        ("Look at the brows. They are lowered.", ["AU4"]),
        ("The mouth turns down at the corners.", ["AU15"]),
        ("The brows are raised in the middle.", ["AU1"]),
        ("Brows: lowered. Mouth: corners down.", ["AU4", "AU15"]),
        ("She pulls the corners of her mouth far up.", ["AU12"]),
        ("The raised brows may mean surprise.", ["AU1|AU2"]),
        ("Raised brows may mean surprise.", []),
        ("The inner brows are raised (AU1).", ["AU1"]),
        ("The brows are raised (AU1+2).", ["AU1", "AU2"]),
        ("The brows are not raised (AU1+2).", ["!AU1", "!AU2"]),
        ("AUs 1, 2 and 4 are active, and action unit 12 is not.", ["AU1", "AU2", "AU4", "!AU12"]),
        ("AU99 and AU3 are active.", []),
        ("The lack of a smile, the lowered brows and the pressed lips stand out.", ["!AU12", "AU4", "AU24"]),
        ("No sign of a smile, raised cheeks or squinted eyes.", ["!AU12", "!AU6", "!AU6|AU7"]),
        ("The mouth isn't just open.", ["AU25|AU26|AU27"]),
        ("The brows aren't merely lowered, they are knitted.", ["AU4"]),
        ("The brows are just not raised.", ["!AU1|AU2"]),
        ("No wonder the brows are raised.", ["AU1|AU2"]),
        ("She cannot hide a smile.", ["AU12"]),
        ("He can hardly suppress a grin.", ["AU12"]),
        ("There is no denying the frown lines.", ["AU4"]),
        ("He cannot smile.", ["!AU12"]),
        ("There is hardly a smile.", ["!AU12"]),
        ("The lip tightener is not at work.", ["!AU23"]),
        ("The cheek raiser is not involved.", ["!AU6"]),
        ("AU4 does not show.", ["!AU4"]),
        ("The smile is not genuine, as the eyes are cold.", ["AU12"]),
        ("- AU12 (lip corner puller): absent\n- AU4: present\n- Frown lines: none", ["!AU12", "AU4", "!AU4"]),
        ("Raised brows: not observed. Open mouth: no.", ["!AU1|AU2", "!AU25|AU26|AU27"]),
        ("The mouth is open, as if crying, and the eyes are closed.", ["AU25|AU26|AU27", "AU43"]),
        ("I cannot say that the lips are parted.", []),
        ("There is no movement apart from a slight smile.", ["AU12"]),
        ("Her mouth is half open and her eyes are half closed.", ["AU25|AU26|AU27", "(eyes)"]),
        ("The lips form a slight frown.", ["AU4|AU15"]),
        ("The face does not show raised brows, wide eyes and a smile.", ["!AU1|AU2", "!AU5", "!AU12"]),
        ("He does not show a smile and his eyes are narrowed.", ["!AU12", "AU6|AU7"]),
        ("It lacks the raised cheeks and the crinkled eyes of a real smile.", ["!AU6"]),
        ("The brows are not raised and drawn together.", ["!AU1|AU2"]),
    ],
)
def test_grammar(text, claims):
    assert short(text) == claims


@pytest.mark.parametrize(
    ("text", "side"),
    [
        ("Her left brow is raised.", "left"),
        ("The person's right brow is raised.", "right"),
        ("The left brow of the woman is raised.", "left"),
        ("The left brow is raised.", "either"),
        ("The lip corner on the left is pulled up.", "either"),
        ("On the right side of the face, the brow is raised.", "either"),
        ("The viewer sees the brow raised on the left.", "either"),
        ("Only the left brow is raised.", "one"),
        ("The left brow alone is raised.", "one"),
        ("The brow is raised on the right side only.", "one"),
        ("The brow is only raised on the right.", "one"),
        ("One brow is raised.", "one"),
        ("An eyebrow is raised.", "one"),
        ("The viewer's right brow is raised.", "left"),
        ("The brow on the left side of the image is raised.", "right"),
        ("On the person's left side only, the brows are raised.", "left"),
        ("Both brows are raised.", "both"),
        ("His left and right brows are raised.", "both"),
        ("The left and right brows are raised.", "both"),
        ("The left and the right brow are raised.", "both"),
        ("The brows are raised on both the left and the right.", "both"),
        ("One cannot overlook the raised brows.", ""),
        ("The brows are raised.", ""),
        ("Both the brows and the lids are raised.", ""),
    ],
)
def test_sides(text, side):
    assert read_claims(text)[0].side == side


def test_a_claim_tells_where_it_stands_and_what_it_says():
    text = "<think>Well: her brows are\nslightly raised.</think><answer>surprise</answer>"
    (claim,) = read_claims(text)
    assert (claim.text, text[claim.start : claim.end]) == ("brows are\nslightly raised", claim.text)
    assert (claim.units, claim.need, claim.region, claim.direction) == (("AU1", "AU2"), "any", "brows", "raised")
    assert (claim.side, claim.strength, claim.negated) == ("", "slight", False)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("The corners of the mouth are pulled slightly up.", "corners of the mouth are pulled slightly up"),
        ("She pulls her lip corners up and out.", "pulls her lip corners up and out"),
        ("The brows are drawn tightly together here.", "brows are drawn tightly together"),
        ("The brows are drawn down and in, again.", "brows are drawn down and in"),
        ("The upper lip curls up a little.", "upper lip curls up"),
    ],
)
def test_the_words_of_a_claim_take_in_its_way(text, said):
    (claim,) = read_claims(text)
    assert (claim.text, text[claim.start : claim.end]) == (said, said)


def test_what_a_claim_implies_is_not_claimed_twice():
    assert short("A smile, with the lip corners up.") == ["AU12"]
    assert short("A Duchenne smile; she smiles.") == ["AU6+AU12", "AU12"]
    assert short("It is a smile, a Duchenne smile.") == ["AU6+AU12"]
    assert short("The brows are relaxed and not lowered.") == ["!AU1|AU2|AU4"]


FOREIGN = [
    "Die Augenbrauen sind angehoben und der Mund steht offen.",
    "Les sourcils sont froncés, la bouche est ouverte.",
    "Las cejas están levantadas y los ojos muy abiertos.",
    "Le sopracciglia sono sollevate e la bocca è aperta.",
    "De wenkbrauwen zijn opgetrokken en de mond staat open.",
    "Брови подняты, рот открыт.",
    "眉毛上扬，嘴巴张开，眼睛睁大。",
    "AU12 ist aktiv, die Mundwinkel sind angehoben.",
    "<think>Die Person lächelt breit.</think><answer>happiness because of the smile on the face</answer>",
]
ENGLISH = ["", "AU6 + AU12", "A smile.", "Brows lowered, lips pressed.", "I cannot say what this person's face shows."]


@pytest.mark.parametrize("text", FOREIGN)
def test_another_language_is_told_and_claims_nothing(text):
    assert not is_english(text)
    assert read_claims(text) == []


@pytest.mark.parametrize("text", [*ENGLISH, *[one["text"] for one in TUNED if one["claims"]]])
def test_english_is_told(text):
    assert is_english(text)


def test_the_answer_is_never_read():
    thinking = "<think>The brows are lowered.</think>"
    for answer in ("<answer>a smile</answer>", "<answer>a smile", "<ANSWER >\nThe lips are parted.\n</ANSWER>"):
        assert short(thinking + answer) == ["AU4"]


@given(st.text())
def test_any_text_is_read_and_offsets_hold(text):
    spans = [(claim.start, claim.end) for claim in read_with(shipped(), text)]
    assert spans == sorted(spans)
    assert all(0 <= start < end <= len(text) for start, end in spans)


LEXICON_WORDS = sorted({word for one in SENTENCES for word in re.findall(r"[\w']+|[.,:;?\"()\n-]", one["text"])})


@settings(max_examples=300)
@given(st.lists(st.sampled_from([*LEXICON_WORDS, "AU1", "+2", "İ", "’", "<think>", "<answer>", "</answer>"])))
def test_any_order_of_words_is_read_and_offsets_hold(words):
    text = " ".join(words)
    claims = read_with(shipped(), text)
    assert [claim.start for claim in claims] == sorted(claim.start for claim in claims)
    for claim in claims:
        assert claim.text == text[claim.start : claim.end] != ""


@given(st.sampled_from(SENTENCES), st.text())
def test_what_stands_in_the_answer_changes_nothing(one, answer):
    thinking = f"<think>{one['text']}</think>"
    answer = answer.replace("<", "")
    assert read_claims(f"{thinking}<answer>{answer}</answer>") == read_claims(f"{thinking}<answer></answer>")


@given(st.sampled_from(SENTENCES))
def test_a_sentence_about_something_else_changes_nothing(one):
    assert read_claims(f"{one['text']} The wall behind is grey, and a lamp stands in front of it.") == read_claims(
        one["text"]
    )


SUBJECTS = ["brows", "inner corners of the eyebrows", "lip corners", "cheeks", "upper lids", "upper lip"]
VERBS = ["are", "seem", "appear to be", "remain"]
NOT = {"are": "are not", "seem": "do not seem", "appear to be": "do not appear to be", "remain": "do not remain"}


@given(st.sampled_from(SUBJECTS), st.sampled_from(VERBS), st.sampled_from(["raised", "lifted", "pulled up"]))
def test_not_turns_a_claim_round(subject, verb, move):
    (plain,) = keys(f"The {subject} {verb} {move}.")
    (denied,) = keys(f"The {subject} {NOT[verb]} {move}.")
    assert not plain[-1]
    assert denied == (*plain[:-1], True)


@pytest.mark.parametrize("lead", ["I doubt whether", "If", "It is unclear if", "Imagine that"])
def test_what_is_supposed_claims_nothing(lead):
    assert keys(f"{lead} the brows are raised and the lips are parted") == []


@pytest.mark.parametrize(
    "text", ["eyes wide " * 20000, "AU1+" * 20000, "not " * 40000, "in fear " * 20000, "." * 50000 + "a"]
)
def test_a_text_without_end_is_read_in_time(text):
    assert len(read_with(shipped(), text)) <= 1000


def test_the_lexicon_has_enough_phrasings():
    counts = phrasings(load_lexicon())
    assert counts.pop("") >= 400
    assert set(counts) == set(load_units().units)
    assert min(counts.values()) >= 8


def test_regular_forms():
    assert inflect("raise") == ("raise", "raises", "raised", "raising")
    assert inflect("press") == ("press", "presses", "pressed", "pressing")
    assert inflect("drop") == ("drop", "drops", "dropped", "dropping")
    assert inflect("puff up") == ("puff up", "puffs up", "puffed up", "puffing up")


SHIPPED = load_lexicon().model_dump()


def changed(**entry):
    """Return the shipped lexicon with one more entry."""
    new = copy.deepcopy(SHIPPED)
    new["entries"].append({"units": ["AU12"], "words": ["mirthful face"], "examples": ["A mirthful face."]} | entry)
    return new


def load(tmp_path, lexicon):
    file = tmp_path / "lexicon.yaml"
    file.write_text(yaml.safe_dump(lexicon, sort_keys=False), encoding="utf-8")
    return checked(load_lexicon(file))


def test_a_phrasing_can_be_added(tmp_path):
    reader = load(tmp_path, changed())
    assert [claim.units for claim in read_with(reader, "She shows a mirthful face.")] == [("AU12",)]


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"units": ["AU21"]}, "unknown unit 'AU21'"),
        ({"words": []}, "an empty phrasing"),
        ({"words": [" "]}, "an empty phrasing"),
        ({"units": []}, "it claims nothing"),
        ({"examples": ["She is merry."]}, "'She is merry.' does not match"),
        ({"examples": ["She does not show a mirthful face."]}, "does not match"),
        ({"words": ["snarl"]}, "'snarl' stands under AU9 or AU10 too"),
        ({"say": ["brows lifted"]}, "'brows lifted' stands under entry 3 too"),
        ({"say": ["raised hat"]}, "'raised hat' has no single part and move: none"),
        ({"say": ["brows raised and mouth open"]}, "has no single part and move: brows + raise, mouth + open"),
        ({"say": ["{brwo} glazed"]}, "names the group 'brwo'"),
        ({"words": ["stiff upper lip"]}, "'stiff upper lip' is not read as it says: nothing"),
        ({"words": ["the train"], "examples": ["The train."]}, "'The train' is read in"),
    ],
)
def test_an_entry_that_cannot_mean_what_it_says_is_refused(tmp_path, entry, problem):
    with pytest.raises(FerError, match=re.escape(problem)) as err:
        load(tmp_path, changed(**entry))
    assert err.value.hint


def test_shared_phrasings_must_say_so(tmp_path):
    twice = {"words": ["wry face"], "examples": ["A wry face."], "shared": True}
    lexicon = changed(**twice)
    lexicon["entries"].append({"units": ["AU14"]} | twice)
    reader = load(tmp_path, lexicon)
    assert [claim.units for claim in read_with(reader, "It is a wry face.")] == [("AU12",), ("AU14",)]
    lexicon["entries"][-1]["shared"] = False
    with pytest.raises(FerError, match="'wry face' stands under AU12 too"):
        load(tmp_path, lexicon)


@pytest.mark.parametrize(
    ("room", "name", "value", "problem"),
    [
        ("moves", "raise", {"direction": "raised", "pairs": ["pul up"]}, "no mover and no way 'pul'"),
        ("moves", "raise", {"direction": "raised", "pairs": ["up pull"]}, "'up pull' is not a mover and a way"),
        ("moves", "raise", {"direction": "skyward"}, "moves.raise.direction"),
        ("parts", "inner brows", {"region": "brows", "names": ["inner brows"], "of": "brow"}, "no part 'brow'"),
        ("grammar", "perhaps", ["perhaps"], "grammar.perhaps"),
    ],
)
def test_a_word_that_leads_nowhere_is_refused(tmp_path, room, name, value, problem):
    lexicon = copy.deepcopy(SHIPPED)
    lexicon[room][name] = value
    with pytest.raises(FerError, match=re.escape(problem)):
        load(tmp_path, lexicon)


def test_the_shipped_lexicon_is_what_is_checked():
    assert shipped().vocabulary.lexicon == Lexicon.model_validate(SHIPPED)


def test_every_kind_of_grammar_has_its_own_letter():
    assert set(LETTERS) == set(get_args(Grammar)) == set(SHIPPED["grammar"])
    assert len(set(LETTERS.values())) == len(LETTERS)


@pytest.mark.parametrize("name", load_units().units)
def test_the_words_of_the_tool_itself_are_read_as_the_unit(name):
    unit = load_units().units[name]
    assert short(f"{unit.shown.capitalize()}.") == [name]
    assert short(f"{unit.lacking.capitalize()}.") == [f"!{name}"]
    for side in ("left", "right") if unit.sided else ():
        other = "the chin is raised" if name != "AU17" else "the brows are lowered"
        (_, claim, _) = read_claims(f"{other}, {unit.shown} on the person's {side} side only and the lips are parted.")
        assert (claim.units, claim.side) == ((name,), side)


@given(st.text(st.sampled_from("aAuU sS'’é.1-") | st.characters(max_codepoint=0x2FF), max_size=80))
def test_words_are_the_same_by_translation_and_by_the_expression(text) -> None:
    """English is told by them; ASCII goes the fast way."""
    folded = text.casefold()
    assert claims._words(folded) == [word.replace("’", "'") for word in claims._WORD.findall(folded)]
