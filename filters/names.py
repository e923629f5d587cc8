"""Whether a rationale names a person: by a first name, a title, or words that introduce a name.

Between a teacher's prose and the checks of `trace`. A capitalised word alone is no name: headings, labels, muscles,
brands and the first word of every sentence are written so.
"""

from __future__ import annotations

import re
from functools import cache

from ferbuild.filters.answer import FORMS
from ferbuild.filters.claims import shipped
from ferbuild.filters.phrases import EVEN
from ferbuild.manifests.wording import load_wording

_NAME = r"[A-ZÀ-Þ][^\W\d_]+(?:[-'][A-ZÀ-Þ]?[^\W\d_]+)*"
_RUN = rf"(?:[A-ZÀ-Þ]\.\s?)*{_NAME}(?:[ ](?:(?:de|del|van|von|der|la|di|bin|al)[ ])*(?:[A-ZÀ-Þ]\.\s?)*{_NAME})*"
_CAPITALS = re.compile(_NAME)
_ROLE = (
    "actor|actress|singer|politician|comedian|footballer|basketball player|tennis player|celebrity|musician|rapper"
    "|author|athlete|journalist|presenter|director|scientist|writer|wrestler|boxer|character"
)
_SURE = re.compile(
    rf"\b(?:resembl(?:es?|ing)|reminds? (?:me|one|us|you) of|known as|named|is called|recogni[sz]ed as|identified as"
    rf"|looks? (?:a lot |much |just |very much |exactly )?like|(?:played|portrayed) by|{_ROLE}),?\s+(?P<name>{_RUN})"
)
_LIKELY = re.compile(
    rf"\b(?:(?:this|that|it|he|she|person|man|woman|subject|photo|picture|image)"
    r" (?:is|shows|depicts|features|must be|may be|might be|could be|(?:seems|appears|looks) to be)"
    rf"|possibly|perhaps|probably|likely|belongs to|(?:photo|picture|image|portrait|face|features|likeness) of)"
    rf"\s+(?P<name>{_RUN})",
)
_INSIDE = re.compile(r" (?<=[a-z,] )[A-ZÀ-Þ][^\W\d_]")
"""A capital that begins no sentence; without one nobody is introduced."""
_ENDINGS = ("ness", "ing", "ed", "ly", "ion", "ful", "ous", "ive", "ment", "ant", "ary", "ity", "al", "ic")
"""Of words that are capitalised as headings and labels are."""


def names_person(text: str) -> bool:
    """Tell whether somebody is called by a name in a prose."""
    even = text.translate(EVEN)
    capitals = _CAPITALS.findall(even)
    if not _given().isdisjoint(name.removesuffix("'s") for name in capitals) and _given_name(even):
        return True
    if not _titles().isdisjoint(capitals) and _titled(even):
        return True
    if not _INSIDE.search(even):
        return False
    return any(_unknown(found["name"], 1) for found in _SURE.finditer(even)) or any(
        _unknown(found["name"], 2) for found in _LIKELY.finditer(even)
    )


def _given_name(text: str) -> bool:
    text = _nobody().sub(" ", text)
    return any(name.removesuffix("'s") in _given() for name in _CAPITALS.findall(text))


def _titled(text: str) -> bool:
    return any(_unknown(found["name"], 1) for found in _title().finditer(_nobody().sub(" ", text)))


def _unknown(run: str, least: int) -> bool:
    """Tell whether at least so many words in a row of capitalised ones could be a name, the first among them."""
    names = [name.removesuffix("'s") for name in _CAPITALS.findall(run)]
    count = next((at for at, name in enumerate(names) if _is_word(name)), len(names))
    return count >= least


def _is_word(name: str) -> bool:
    small = name.casefold()
    return name.isupper() or name in _words() or small in _vocabulary() or small.endswith(_ENDINGS)


@cache
def _given() -> frozenset[str]:
    return frozenset(load_wording().names.given.split())


@cache
def _titles() -> frozenset[str]:
    return frozenset(load_wording().names.titles.split())


@cache
def _words() -> frozenset[str]:
    return frozenset(load_wording().names.words.split())


@cache
def _vocabulary() -> frozenset[str]:
    """Return the small words of the lexicon and of the labels."""
    return frozenset(shipped().vocabulary.tree) | {form for family in FORMS for form in family}


@cache
def _title() -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(sorted(_titles()))})\.? (?P<name>{_RUN})")


@cache
def _nobody() -> re.Pattern[str]:
    phrases = [phrase.strip().translate(EVEN) for phrase in load_wording().names.none.split(",")]
    return re.compile("|".join(re.escape(phrase) for phrase in phrases))
