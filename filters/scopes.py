"""What a sentence takes back: negation, and what is said of another face, another time, or of no face at all.

Fourth step of the claim reader. A scope is a run of chunks; a claim lies in it where the chunk that says it does.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ferbuild.filters.moves import Parsed
from ferbuild.filters.phrases import FILL


class Scopes(NamedTuple):
    negated: frozenset[int]
    """Chunks of which it is said that they are NOT there."""
    dead: frozenset[int]
    """Chunks that say nothing of this face as it is."""
    generic: frozenset[int]
    """Chunks that say nothing of it without a determiner: "raised brows may …" but "the raised brows may …"."""


NONE = Scopes(frozenset(), frozenset(), frozenset())

_RESET = re.compile("[Jj]")
_TRIGGER = re.compile('[NQnZTYLeqkE"]|POd')
_CLAUSE = re.compile(rf"(?:,[Co]?|[Co])(?:[D{FILL}M]*P[{FILL}]*[BN:]|D[{FILL}]*[XF]*B|p)")
_CLAUSE_LOOSE = re.compile(rf"(?:,[Co]?|[Co])(?:D[{FILL}M]*[PF]|[{FILL}]*P[{FILL}]*[BN]|p)|:")
_DEGREE = re.compile(r"[AvslrabE12BdD]*x")
_UNSEEN = re.compile(r"[AslrabxtE12B]*(?:v(?![AvslrabxtE12]*[MPF])|(?=[,:]|\Z))")
_SHOWN = re.compile(rf"[{FILL}]*[BHMGFN]")
_GENERIC = re.compile(rf"E[{FILL}T]*,?R?[{FILL}TB]*g")
_GENERIC_FACE = re.compile(rf"[{FILL}]*d?[{FILL}]*E[{FILL}]*h[{FILL}T]*[HgM]")
_IN_EMOTION = re.compile(rf"[{FILL}]*IE,")
_CLAIMS = re.compile("[MFK]")
_OF_SOME = re.compile(rf"POd[{FILL}]*F")
_QUOTED = re.compile('"([^"]{4,})"')
_OWN = frozenset({"her", "his", "she", "he"})


def find_scopes(parsed: Parsed) -> Scopes:
    """Return what the sentence takes back."""
    line = parsed.letters
    if parsed.asked:
        return Scopes(frozenset(), frozenset(range(len(line))), frozenset())
    if not _TRIGGER.search(line):
        return NONE
    negated, dead, generic = set[int](), set[int](), set[int]()
    for at, letter in enumerate(line):
        if letter in "NQnZ":
            _negate(line, at, negated, dead)
        elif letter == "T":
            dead.update(range(at, _end(line, at, _CLAUSE if _SHOWN.match(line, at + 1) else _CLAUSE_LOOSE)))
            generic.update(_subject(line, at))
        elif letter in "YL":
            dead.update(range(at, _end(line, at, _CLAUSE_LOOSE if letter == "L" else None)))
        elif letter == "e":
            dead.update(range(line.rfind("J", 0, at) + 1, _end(line, at, None)))
        elif at not in dead and (letter == "q" or (letter == "k" and line[at - 1 : at] == "D")):
            dead.update(range(at, _end(line, at, None)))
    dead.update(of.end() - 1 for of in _OF_SOME.finditer(line))
    dead.update(at for quoted in _QUOTED.finditer(line) for at in range(quoted.start(), quoted.end()))
    _generalise(parsed, dead, generic)
    return Scopes(frozenset(negated), frozenset(dead), frozenset(generic))


def _generalise(parsed: Parsed, dead: set[int], generic: set[int]) -> None:
    """Add what is said of an emotion, not of this face: "anger involves …", "a fearful face has …", "in fear, …"."""
    line = parsed.letters
    for general in _GENERIC.finditer(line):
        generic.update(range(general.start(), _end(line, general.end(), None)))
    opening = _GENERIC_FACE.match(line) or _IN_EMOTION.match(line)
    if opening and _OWN.isdisjoint(chunk.text for chunk in parsed.chunks):
        dead.update(range(0, _end(line, opening.end() - 1, None)))


def _negate(line: str, at: int, negated: set[int], dead: set[int]) -> None:
    """Add the scope of the negation at `at`."""
    if line[at] == "N" and (degree := _DEGREE.match(line, at + 1)):
        dead.update(range(at, _reach(line, degree.end(), sign=False)))
        return
    unseen = _UNSEEN.match(line, at + 1) if line[at] == "N" else None
    subject = _subject(line, at) if unseen or line[at] == "Z" else range(0)
    if _CLAIMS.search(line, subject.start, subject.stop):
        negated.update(subject)
    elif unseen and line[unseen.end() : unseen.end() + 1] == ":":  # "what is not there: raised brows, …"
        negated.update(range(at, len(line)))
    else:
        negated.update(range(at, _reach(line, at + 1, sign=line[at] == "n")))


def _reach(line: str, start: int, *, sign: bool) -> int:
    """Return where a negation ends: at a contrast, a new clause, "with" or "and".

    A list goes on over its commas if an "or" is still to come; after a word like "no sign of" over "and" too.
    """
    clause = _CLAUSE.search(line, start)
    end = clause.start() if clause else len(line)
    for at in range(start, end):
        letter = line[at]
        if letter in "J:" or (letter == "W" and _CLAIMS.search(line, start, at)):
            return at
        if letter == "," and not sign and "o" not in line[at:end]:
            return at
        if sign and (letter == "H" or line[at - 1 : at + 1] in ("XD", "pD", "hD")) and _CLAIMS.search(line, start, at):
            return at
        if letter == "C" and (not sign or line[at + 1 : at + 2] in "BHDdp"):
            return at
    return end


def _subject(line: str, at: int) -> range:
    """Return the run of chunks that the verb at `at` is said of."""
    end = at
    while end and line[end - 1] in f"{FILL}BT":
        end -= 1
    start = end
    while start and line[start - 1] not in "JBHR:T" and not _new_subject(line, start - 1):
        start -= 1
    return range(start, end)


def _new_subject(line: str, at: int) -> bool:
    return line[at] in "C," and line[at + 1 : at + 2] in ("D", "d")


def _end(line: str, at: int, clause: re.Pattern[str] | None) -> int:
    """Return where a scope that begins at `at` ends: at a contrast, or where `clause` matches."""
    found = [_RESET.search(line, at), clause.search(line, at) if clause else None]
    return min([one.start() for one in found if one] + [len(line)])
