"""The published scripts' reading of a reply, said once more: slowly, word for word, by nothing but comparing strings.

Written from the text of the rule ("Scoring the benchmark") and from nothing else; it knows no module of the package,
so that what the package does can be held against it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

LABELS = {
    "rafdb": ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral"),
    "affectnet": ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt"),
    "ferplus": ("angry", "contempt", "disgust", "fear", "happy", "neutral", "sad", "surprise"),
    "sfew": ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"),
}
"""The candidates of each set, in the order of its rows."""

SYNONYMS = {
    "rafdb": (
        ("anger", ("angry",)),
        ("disgust", ("revulsion", "repulsion")),
        ("fear", ("terror", "fright")),
        ("happiness", ("joy", "happy")),
        ("sadness", ("sad",)),
        ("neutral", ("normal", "calm", "blank")),
        ("surprise", ("shock", "astonishment")),
    ),
    "affectnet": (
        ("anger", ("angry", "mad")),
        ("contempt", ("scorn", "disdain")),
        ("disgust", ("revulsion", "repulsion")),
        ("fear", ("terror", "fright")),
        ("happiness", ("joy", "happy")),
        ("sadness", ("sad",)),
        ("neutral", ("normal", "calm", "blank")),
        ("surprise", ("shock", "astonishment")),
    ),
    "ferplus": (
        ("angry", ("anger",)),
        ("contempt", ("scorn", "disdain")),
        ("disgust", ("revulsion", "repulsion")),
        ("fear", ("terror", "fright")),
        ("happy", ("joy", "happiness")),
        ("sad", ("sorrow", "unhappy")),
        ("neutral", ("normal", "calm", "blank")),
        ("surprise", ("shock", "astonishment")),
    ),
    "sfew": (
        ("angry", ("anger", "mad")),
        ("disgust", ("revulsion", "repulsion")),
        ("fear", ("terror", "fright")),
        ("happy", ("joy", "happiness")),
        ("sad", ("sorrow", "unhappy")),
        ("neutral", ("normal", "calm", "blank")),
        ("surprise", ("shock", "astonishment")),
    ),
}
"""The labels of step 3 in the order in which they are tried, with their synonyms."""


class Found(NamedTuple):
    """A label, and the step of the rule that found it, 1 to 4."""

    label: str
    step: int


def official(response: str, candidates: Sequence[str], set_name: str, *, alone: bool = False) -> Found:
    """Read a response by the pooled rule, or (alone) by that of the stand-alone SFEW script."""
    labels = [candidate.lower() for candidate in candidates]
    answer = first_answer(response, alone=alone)
    if answer is not None:
        for label in labels:
            if answer == label or label in answer:
                return Found(label, 1)
    whole = response.lower()
    for label in labels:
        if stands_as_word(label, whole) or label in whole:
            return Found(label, 2)
    for label, synonyms in SYNONYMS[set_name]:
        for synonym in synonyms:
            if synonym in whole:
                return Found(label, 3)
    return Found("unknown", 4)


def first_answer(response: str, *, alone: bool) -> str | None:
    """Return the trimmed, lower-cased text of the first answer; None where there is none.

    An answer runs from its tag to the nearest end tag. Spaces of any kind at its two ends are trimmed, line ends too;
    a line end between its words makes it no answer, but for the stand-alone script.
    """
    for start in range(len(response)):
        if not tag_at(response, start, "<answer>", alone=alone):
            continue
        inside = start + len("<answer>")
        for end in range(inside, len(response)):
            if tag_at(response, end, "</answer>", alone=alone):
                text = response[inside:end].strip()
                if alone or "\n" not in text:
                    return text.lower()
                break
    return None


def tag_at(response: str, position: int, tag: str, *, alone: bool) -> bool:
    """Whether the tag stands there; letter case counts for the stand-alone script only."""
    if response[position] != "<":
        return False
    piece = response[position : position + len(tag)]
    if piece == tag:
        return True
    if alone or len(piece) < len(tag):
        return False
    # Letter by letter: of the whole, some letters become two, and the places of the rest would shift.
    return all(letter.casefold() == wanted for letter, wanted in zip(piece, tag, strict=True))


def stands_as_word(label: str, text: str) -> bool:
    """Whether the label stands in the text with no letter, digit or underscore beside it."""
    start = text.find(label)
    while start >= 0:
        before, after = text[:start][-1:], text[start + len(label) :][:1]
        if not is_of_word(before) and not is_of_word(after):
            return True
        start = text.find(label, start + 1)
    return False


def is_of_word(character: str) -> bool:
    return character.isalnum() or character == "_"
