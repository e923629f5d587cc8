"""Whether a rationale is in English all through.

Between a teacher's prose and the checks of `trace`; what English is, the claim reader says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from ferbuild.filters.claims import is_english, shipped
from ferbuild.filters.prose import sentences
from ferbuild.manifests.lexicon import load_lexicon

LEAST = 6
"""Words from which a sentence is judged by itself: "Zygomaticus major: active" is too short to tell."""

_OTHER_SCRIPT = re.compile(r"[^\W\d_a-zA-ZªºÀ-ɏ]")
_LETTER = re.compile(r"[^\W\d_]")


def plainly_english(text: str, words: Sequence[str]) -> bool:
    """Tell, without a closer look, that all of a text is in English: it is ASCII and its known words stand close.

    words: those of the text, in small letters. Half of them must be known, and no five in a row unknown.
    """
    if not text.isascii():
        return False
    known = _known()
    line = "".join("k" if word in known else "." for word in words)
    return "....." not in line and 2 * line.count("k") >= len(line)


@cache
def _known() -> frozenset[str]:
    """Return the commonest English words, and all that begin a phrase of the lexicon."""
    return frozenset(load_lexicon().english) | frozenset(shipped().vocabulary.tree)


def other_script(text: str) -> float:
    """Return the share of letters, 0..1, that are not Latin."""
    if text.isascii():
        return 0.0
    others = len(_OTHER_SCRIPT.findall(text))
    return others / len(_LETTER.findall(text)) if others else 0.0


def foreign(text: str) -> float:
    """Return the share of words, 0..1, that stand in sentences of another language; 1.0 where the whole text does."""
    if not is_english(text):
        return 1.0
    total = other = 0
    for sentence in sentences(text):
        count = sentence.count(" ") + 1
        total += count
        if count >= LEAST and not is_english(sentence):
            other += count
    return other / total if total else 0.0
