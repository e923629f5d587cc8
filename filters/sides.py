"""Which half of the face a claim is about, and how strong the movement is said to be.

Part of the claim reader. A side is the person's own where the text says whose it is ("her left brow") or names the
viewer's ("the viewer's right" is the person's left); a bare "left" could be either and counts as "one".
"""

from __future__ import annotations

import re
from typing import Literal

from ferbuild.filters.links import Link
from ferbuild.filters.moves import Parsed
from ferbuild.filters.phrases import FILL, Chunk

_LEFTWARDS = re.compile(rf"[{FILL}DdOH]{{0,6}}\Z")
_RIGHTWARDS = re.compile(rf"[{FILL}UIODdXhMBH]{{0,8}}(?:,X?X?I?[D]?[lrab])?")
_NEAR = re.compile(rf"[{FILL}dDOI]{{0,3}}\Z")
_NEXT = re.compile(rf"[{FILL}dIB]{{0,3}}")
_LEADING = re.compile(rf"[{FILL}]*I[Dd{FILL}]*[X]{{0,2}},")
_BOTH = re.compile(rf"[D{FILL}]*[PX](?!,?C)")
_SIDES = frozenset("lrab12")
_POSSESSIVE = frozenset({"her", "his", "their", "my", "own"})
_ONE_OF_TWO = re.compile(r"(?:eyebrow|brow|mouth corner|lip corner|corner of .*|eye|eyelid)\Z")
_FACE = frozenset({"face", "faces", "expression", "expressions"})


def side_of(parsed: Parsed, link: Link) -> Literal["", "left", "right", "one", "both"]:
    """Return the side that the words around a claim name."""
    low, high = sorted((link.at, link.part))
    before, after = _LEFTWARDS.search(parsed.letters, 0, low), _RIGHTWARDS.match(parsed.letters, high + 1)
    start, end = before.start() if before else low, after.end() if after else high + 1
    told = [at for at in range(start, end) if parsed.letters[at] in _SIDES or _again(parsed, at)]
    leading = _LEADING.match(parsed.letters)
    if not told and leading:
        told = [at for at in range(leading.end()) if parsed.letters[at] in _SIDES]
    found = {_named(parsed, at) for at in told} - {""}
    if "both" in parsed.chunks[link.part].text.split():
        found.add("both")
    if found >= {"left", "right"} or (not found and link.name and _either(parsed, link, start)):
        return "both" if found else "one"
    return next((side for side in ("left", "right", "one", "both") if side in found), "")  # type: ignore[return-value]


def _again(parsed: Parsed, at: int) -> bool:
    """Tell whether a chunk names a part again by its side: "the right one"."""
    return parsed.letters[at] == "P" and parsed.chunks[at].text.split()[0] in ("left", "right")


def _named(parsed: Parsed, at: int) -> str:
    """Return the side that the chunk at `at` names."""
    chunk = parsed.chunks[at]
    letter = chunk.text[0] if _again(parsed, at) else parsed.letters[at]
    if letter in "ab":
        return "right" if letter == "a" else "left"
    if letter == "1":
        return "one"
    if letter == "2":
        return "both" if chunk.text != "both" or _BOTH.match(parsed.letters, at + 1) else ""
    side = "left" if letter == "l" else "right"
    owned = any(_owned(parsed, place) for place in range(at + 1) if parsed.letters[place] in "lr")
    return side if owned or _owned(parsed, at) else "one"


def _owned(parsed: Parsed, at: int) -> bool:
    """Tell whether the text says that a "left" or a "right" is the person's own."""
    if at and _possessive(parsed.chunks[at - 1]):
        return True
    for place in range(at + 1, min(at + 5, len(parsed.chunks))):
        chunk = parsed.chunks[place]
        if parsed.letters[place] == "P":
            return any(_belongs(word) for word in chunk.text.split())
        if parsed.letters[place] == "O" and place + 1 < len(parsed.chunks):
            owner = parsed.chunks[place + 1 : place + 3]
            return _possessive(owner[0]) or any("h" in one.word.letters and one.text not in _FACE for one in owner)
        if parsed.letters[place] in ",J":
            break
    return False


def _possessive(chunk: Chunk) -> bool:
    return _belongs(chunk.text)


def _belongs(word: str) -> bool:
    return word in _POSSESSIVE or word.endswith("'s")


def _either(parsed: Parsed, link: Link, start: int) -> bool:
    """Tell whether "a" or "an" picks one of two: "an eyebrow", "a corner of the mouth"."""
    name = parsed.chunks[link.part].text
    low = min(link.at, link.part)
    single = any(parsed.chunks[at].text in ("a", "an") for at in range(start, low))
    return single and name != "brow" and bool(_ONE_OF_TWO.match(name))


def strength_of(parsed: Parsed, link: Link) -> Literal["", "slight", "strong"]:
    """Return how strong the words around a claim call it."""
    low, high = sorted((link.at, link.part))
    before, after = _NEAR.search(parsed.letters, 0, low), _NEXT.match(parsed.letters, high + 1)
    start, end = before.start() if before else low, after.end() if after else high + 1
    letters = "".join(parsed.chunks[at].word.letters for at in range(start, end) if at not in (link.at, link.part))
    return "slight" if "s" in letters else "strong" if "t" in letters else ""
