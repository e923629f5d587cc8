"""Whether an answer to a question is right, by the question's kind: for rewards, data checks and published rows alike.

What a reply answers is read by `filters.answer`, the one parser; here it is held against the row's own answer. A new
kind with one right answer among its choices is one entry more in KINDS.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from ferbuild.filters.answer import inside, read, spellings

Verifier = Callable[[str, Sequence[str], str, Sequence[float] | None], float]
"""A reply, the row's choices, answer and shares of votes to what the reply is worth, 0..1."""

OFF = 0.5
"""Per cents by which the sum of a distribution may miss 100, for each of its words: rounding."""

_PART = re.compile(r"[,;|\n]|\band\b")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_UNIT = re.compile(r"per\s?cent\b|percent\b|%")
_WORD = re.compile(r"[^\W_]+")


def verify(
    kind: str, text: str, choices: Sequence[str], answer: str, soft: Sequence[float] | None = None
) -> float | None:
    """Return what a reply is worth: 1 right, 0 wrong, of `distribution` a share; None where no kind has this name."""
    verifier = KINDS.get(kind)
    return None if verifier is None else verifier(text, choices, answer, soft)


def one_of_them(text: str, choices: Sequence[str], answer: str, soft: Sequence[float] | None = None) -> float:
    """Return 1 where a well-formed reply answers with the right choice and no other, else 0."""
    reading = read(text, choices)
    return float(reading.status == "ok" and reading.label == answer)


def distribution(text: str, choices: Sequence[str], answer: str, soft: Sequence[float] | None = None) -> float:
    """Return 1 - half the Brier score (Brier 1950) of the shares that a reply gives, 0..1; 0 where they cannot be read.

    The truth is what `answer` says, in whole per cents; the votes' exact shares where it says nothing.
    """
    truth = _shares(answer, choices) or list(soft or ())
    said = read_shares(text, choices)
    if said is None or len(truth) != len(said):
        return 0.0
    return 1 - sum((one - other) ** 2 for one, other in zip(said, truth, strict=True)) / 2


KINDS: Mapping[str, Verifier] = {
    "choose": one_of_them,
    "letter": one_of_them,
    "verify": one_of_them,
    "pair": one_of_them,
    "odd": one_of_them,
    "valence": one_of_them,
    "arousal": one_of_them,
    "measure": one_of_them,
    "distribution": distribution,
}
"""How an answer is verified, by the row's `kind`."""


def read_shares(text: str, choices: Sequence[str]) -> list[float] | None:
    """Return the share, 0..1, that a reply gives to each of the choices; None where it cannot be read.

    Read is `happiness 70, neutral 30` in any order, with or without per cent signs, the number before or after its
    word; a word left out has none. What the sum misses of 100 by rounding is shared out.
    """
    said = inside(text)
    return None if said is None else _shares(said, choices)


def _shares(said: str, choices: Sequence[str]) -> list[float] | None:
    known = spellings(tuple(choices))
    found: dict[str, float] = {}
    for part in _PART.split(said.casefold()):
        if not _WORD.search(part):
            continue
        numbers = _NUMBER.findall(part)
        word = " ".join(_WORD.findall(_UNIT.sub(" ", _NUMBER.sub(" ", part))))
        if len(numbers) != 1 or word not in known or known[word] in found:
            return None
        found[known[word]] = float(numbers[0])
    whole = sum(found.values())
    if not found or abs(whole - 100) > OFF * len(choices):
        return None
    return [found.get(choice, 0.0) / whole for choice in choices]
