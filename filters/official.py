"""How the published benchmark scripts read an answer, restated, so that a score can stand beside the paper's.

Not the tool's own reading, which is `answer`: this one takes the first tag and any word that occurs in the text.
Stands beside `answer`, behind a model's reply. Source: the evaluation scripts of UniFER (arXiv 2511.00389), by their
behaviour.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

UNKNOWN = "unknown"

_BEGIN = re.compile("<answer>", re.IGNORECASE)
_END = re.compile("</answer>", re.IGNORECASE)

_COMMON = {
    "disgust": ("revulsion", "repulsion"),
    "fear": ("terror", "fright"),
    "neutral": ("normal", "calm", "blank"),
    "surprise": ("shock", "astonishment"),
}
_NOUNS = {"anger": ("angry",), "happiness": ("joy", "happy"), "sadness": ("sad",)}
_ADJECTIVES = {"angry": ("anger",), "happy": ("joy", "happiness"), "sad": ("sorrow", "unhappy")}
_CONTEMPT = {"contempt": ("scorn", "disdain")}
_ALPHABETIC = ("anger", "angry", "contempt", "disgust", "fear", "happiness", "happy", "sadness", "sad", "neutral")


def _in_order(*tables: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
    """Return tables as one, in the scripts' order, which decides where a text holds words of two labels."""
    both = {label: words for table in tables for label, words in table.items()}
    order = (*_ALPHABETIC, "surprise")
    return MappingProxyType({label: both[label] for label in order if label in both})


SYNONYMS: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "rafdb": _in_order(_NOUNS, _COMMON),
        "affectnet": _in_order(_NOUNS | {"anger": ("angry", "mad")}, _COMMON, _CONTEMPT),
        "ferplus": _in_order(_ADJECTIVES, _COMMON, _CONTEMPT),
        "sfew": _in_order(_ADJECTIVES | {"angry": ("anger", "mad")}, _COMMON),
    }
)
"""Set to label to the words that stand for it where no candidate occurs."""

POOLED: Mapping[str, str] = MappingProxyType({"angry": "anger", "happy": "happiness", "sad": "sadness"})
"""What the script that pools the four sets makes of their words, on both sides."""


def read_official(text: str, candidates: Sequence[str], set_name: str, *, alone: bool = False) -> str:
    """Return the candidate that the published script takes a reply for, or UNKNOWN.

    `alone`: by the script that scores SFEW alone, which wants the tag in lower case and lets it span lines; the other
    sets' own scripts read as the pooled one does. KeyError: the scripts know no such set.
    """
    said = _spanning(text) if alone else _on_a_line(text)
    if said is not None:
        for label in candidates:
            if label.lower() in said.lower():
                return label
    lower = text.lower()
    for label in candidates:
        if label in lower or (not label.isalnum() and re.search(rf"\b{label}\b", lower)):
            return label
    synonyms = SYNONYMS[set_name].items()
    return next((label for label, words in synonyms if any(word in lower for word in words)), UNKNOWN)


def _on_a_line(text: str) -> str | None:
    """Return what stands in the first tag whose text, spaces and line ends around it aside, is on one line.

    The scripts say it by one expression, whose time grows with the square of a reply that loops.
    """
    for begin in _BEGIN.finditer(text):
        end = _END.search(text, begin.end())
        if end is None:
            return None
        if "\n" not in (said := text[begin.end() : end.start()].strip()):
            return said
    return None


def _spanning(text: str) -> str | None:
    _, begin, rest = text.partition("<answer>")
    said, end, _ = rest.partition("</answer>")
    return said.strip() if begin and end else None
