"""Which half of the face a claim is about, and how strong the movement is said to be.

Part of the claim reader. A side is the person's own where the text says whose it is ("her left brow") or names the
viewer's ("the viewer's right" is the person's left); a bare "left" is "either": one half is meant, but not told which.
"""

from __future__ import annotations

import re
from typing import Literal

from ferbuild.filters.links import Link
from ferbuild.filters.moves import Parsed
from ferbuild.filters.phrases import FILL

Side = Literal["", "left", "right", "one", "either", "both"]
Strength = Literal["", "slight", "strong"]

_ORDER: tuple[Side, ...] = ("left", "right", "one", "either", "both")
_LEFTWARDS = re.compile(rf"(?:[{FILL}DdOH]|(?<=[lr])C(?=D?[lr])|(?<=[lr])XOD?h){{0,7}}\Z")
_RIGHTWARDS = re.compile(rf"(?:ID?P)?:?(?:[{FILL}UIODdXhMBH]|(?<=[lr])C(?=D?[lr])){{0,8}}(?:,X?X?I?[D]?[lrab])?")
_NEAR = re.compile(rf"[{FILL}dDOI]{{0,3}}\Z")
_NEXT = re.compile(rf"[{FILL}dIB:]{{0,3}}")
_SET_OFF = re.compile(rf"(?:\A|[,C:])[{FILL}]*I[DdOh{FILL}X]*,[D{FILL}]*\Z")
_HINT = re.compile("[lrab12]")
_SAYS = re.compile(r"\b(?:both|left|right|other)\b")
_AN = re.compile(rf"d[{FILL}M]*P")
_MEASURED = re.compile("[stx]")
_BOTH = re.compile(rf"[D{FILL}]*[PX](?!,?C)")
_SIDES = frozenset("lrab12")
_PAIR = re.compile(r"lCr|rCl|(?:\A|[^I])D(?:lCDr|rCDl)")
_ONLY_BEFORE = re.compile("[AIDvM]{1,5}\\Z")
_ONLY_AFTER = re.compile("[XP]?A(?![stx])")
_ONLY = frozenset({"only", "alone", "solely", "exclusively"})
_POSSESSIVE = frozenset({"her", "his", "their", "my", "own"})
_ONE_OF_TWO = re.compile(r"(?:eyebrow|brow|mouth corner|lip corner|corner of .*|eye|eyelid)\Z")
_FACE = frozenset({"face", "faces", "expression", "expressions"})


def side_of(parsed: Parsed, link: Link) -> Side:
    """Return the side that the words around a claim name."""
    name = parsed.chunks[link.part].text
    if not (_HINT.search(parsed.letters) or (link.name and _SAYS.search(name)) or _AN.search(parsed.letters)):
        return ""
    low, high = sorted((link.at, link.part))
    before, after = _LEFTWARDS.search(parsed.letters, 0, low), _RIGHTWARDS.match(parsed.letters, high + 1)
    start, end = before.start() if before else low, after.end() if after else high + 1
    told = [at for at in range(start, end) if parsed.letters[at] in _SIDES or _again(parsed, at)]
    set_off = None if told else _SET_OFF.search(parsed.letters, 0, low)
    if set_off:
        told = [at for at in range(set_off.start(), low) if parsed.letters[at] in _SIDES]
    found: set[Side] = {_named(parsed, at) for at in told} - {""}
    if "both" in name.split():
        found.add("both")
    if not found:
        return "one" if link.name and _either(parsed, link, start) else ""
    return "both" if found >= {"left", "right"} else min(found, key=_ORDER.index)


def _again(parsed: Parsed, at: int) -> bool:
    """Tell whether a chunk names a part again by its side: "the right one", "the other"."""
    return parsed.letters[at] == "P" and parsed.chunks[at].text.split()[0] in ("left", "right", "other")


def _named(parsed: Parsed, at: int) -> Side:
    """Return the side that the chunk at `at` names; "" where its "both" is no side."""
    chunk = parsed.chunks[at]
    letter = chunk.text[0] if _again(parsed, at) else parsed.letters[at]
    if letter == "o":
        return "either"
    if letter in "ab":
        return "right" if letter == "a" else "left"
    if letter == "1":  # "one would say" counts no side
        return "" if parsed.letters[at + 1 : at + 2] == "T" or _can(parsed, at + 1) else "one"
    if letter == "2":
        return "both" if chunk.text != "both" or _BOTH.match(parsed.letters, at + 1) else ""
    side: Side = "left" if letter == "l" else "right"
    if _PAIR.search(parsed.letters, max(at - 5, 0), at + 4):
        return "both"
    owned = any(_owned(parsed, place) for place in range(at + 1) if parsed.letters[place] in "lr")
    if owned or _owned(parsed, at):
        return side
    return "one" if _only(parsed, at) else "either"


def _can(parsed: Parsed, at: int) -> bool:
    """Tell whether the chunk at `at` is a filler with a verb: "one cannot hide a smile"."""
    return at < len(parsed.chunks) and parsed.chunks[at].text.startswith(("can", "could"))


def _only(parsed: Parsed, at: int) -> bool:
    """Tell whether the side at `at` is said to be the only one: "on the left side only", "only the left brow"."""
    before, after = _ONLY_BEFORE.search(parsed.letters, 0, at), _ONLY_AFTER.match(parsed.letters, at + 1)
    places = [*(range(before.start(), at) if before else ()), *((after.end() - 1,) if after else ())]
    return any(parsed.chunks[place].text in _ONLY for place in places)


def _owned(parsed: Parsed, at: int) -> bool:
    """Tell whether the text says that a "left" or a "right" is the person's own."""
    if at and _owns(parsed.chunks[at - 1].text):
        return True
    for place in range(at + 1, min(at + 5, len(parsed.chunks))):
        chunk = parsed.chunks[place]
        if parsed.letters[place] == "P" and any(_owns(word) for word in chunk.text.split()):
            return True
        if parsed.letters[place] == "O":
            owners = range(place + 1, min(place + 3, len(parsed.chunks)))
            return any(_owns(parsed.chunks[one].text) or _person(parsed, one) for one in owners)
        if parsed.letters[place] in ",J":
            break
    return False


def _owns(word: str) -> bool:
    return word in _POSSESSIVE or word.endswith("'s")


def _person(parsed: Parsed, at: int) -> bool:
    return parsed.letters[at] == "h" and parsed.chunks[at].text not in _FACE


def _either(parsed: Parsed, link: Link, start: int) -> bool:
    """Tell whether "a" or "an" picks one of two: "an eyebrow", "a corner of the mouth"."""
    name = parsed.chunks[link.part].text
    low = min(link.at, link.part)
    single = any(parsed.chunks[at].text in ("a", "an") for at in range(start, low))
    return single and name != "brow" and bool(_ONE_OF_TWO.match(name))


def strength_of(parsed: Parsed, link: Link) -> Strength:
    """Return how strong the words around a claim call it."""
    if not _MEASURED.search(parsed.letters):
        return ""
    low, high = sorted((link.at, link.part))
    before, after = _NEAR.search(parsed.letters, 0, low), _NEXT.match(parsed.letters, high + 1)
    start, end = before.start() if before else low, after.end() if after else high + 1
    letters = parsed.letters[start:end]
    return "slight" if "s" in letters else "strong" if "t" in letters or "x" in letters else ""
