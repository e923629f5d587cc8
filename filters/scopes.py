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
_CLAUSE_LOOSE = re.compile(rf"(?:,[Co]?|[Co])(?:D[{FILL}M]*[PF]|[{FILL}]*P[{FILL}]*[BN]|p|A+[Qn])|:")
_DEGREE = re.compile(r"[AvslrabE12BdD]*x")
_UNSEEN = re.compile(r"[AslrabxtE12B]*v(?![AvslrabxtE12]*[MPF])|[BH]?j?(?=[,:]|\Z)")
"""After "not": "visible", or nothing, as in "the smile is not"; but a smile that is "not genuine" is there."""
_SHOWN = re.compile(rf"[{FILL}]*[BHMGFN]")
_GENERIC = re.compile(rf"E[{FILL}T]*,?R?[{FILL}TB]*g")
_GENERIC_FACE = re.compile(rf"[{FILL}]*d?[{FILL}]*E[{FILL}]*h[{FILL}T]*[HgM]")
_IN_EMOTION = re.compile(rf"[{FILL}]*IE,")
_AS_IF = re.compile(rf",C?(?:D[{FILL}M]*[PF]|[{FILL}]*P[{FILL}]*[BN])")
_ANSWER = re.compile(r"Q(?=[,:]|\Z)")
_AFTER_OBJECTS = re.compile(
    rf"[J:]|,R|(?:,[Co]?|[Co])(?:p|[{FILL}T]*[BH]|[Dd{FILL}M]*[PF][{FILL}]*[BHNT:]|D[{FILL}M]*[PF][{FILL}]*[XM])"
)
_NOT_BOTH = re.compile(rf"N[{FILL}]*M[{FILL}]*C[{FILL}]*M(?![{FILL}]*P)")
_CLAIMS = re.compile("[MFK]")
_OF_SOME = re.compile(rf"POd[{FILL}]*F")
_LACKED_OF = re.compile(rf"[MP]O[Dd]?[{FILL}]*F")
_QUOTED = re.compile('"([^"]{4,})"')
_LACKS = frozenset({"lacks", "lack", "lacked"})
_TAKES = frozenset(
    {"show", "display", "exhibit", "have", "see", "observe", "notice", "find", "detect", "include", "feature"}
)
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
            _negate(parsed, at, negated, dead)
        elif letter == "T":
            dead.update(range(at, _end(line, at, _CLAUSE if _SHOWN.match(line, at + 1) else _CLAUSE_LOOSE)))
            generic.update(_subject(line, at))
        elif letter in "YL":
            dead.update(range(at, _end(line, at, _loose_end(parsed, at))))
        elif letter == "e":
            dead.update(range(line.rfind("J", 0, at) + 1, _end(line, at, None)))
        elif at not in dead and (letter == "q" or (letter == "k" and line[at - 1 : at] == "D")):
            dead.update(range(at, _end(line, at, None)))
    dead.update(of.end() - 1 for of in _OF_SOME.finditer(line))
    dead.update(of.end() - 1 for of in _LACKED_OF.finditer(line) if of.start() in negated)
    dead.update(both.end() - 1 for both in _NOT_BOTH.finditer(line))  # "not raised and drawn together"
    dead.update(at for quoted in _QUOTED.finditer(line) for at in range(quoted.start(), quoted.end()))
    _generalise(parsed, dead, generic)
    return Scopes(frozenset(negated), frozenset(dead), frozenset(generic))


def _loose_end(parsed: Parsed, at: int) -> re.Pattern[str] | None:
    """Return what ends a comparison, or an "as if …, and the eyes are"; what an "if" supposes goes on to the end."""
    if parsed.letters[at] == "L":
        return _CLAUSE_LOOSE
    return _AS_IF if parsed.chunks[at].text.startswith("as ") else None


def _generalise(parsed: Parsed, dead: set[int], generic: set[int]) -> None:
    """Add what is said of an emotion, not of this face: "anger involves …", "a fearful face has …", "in fear, …"."""
    line = parsed.letters
    for general in _GENERIC.finditer(line):
        generic.update(range(general.start(), _end(line, general.end(), None)))
    opening = _GENERIC_FACE.match(line) or _IN_EMOTION.match(line)
    if opening and _OWN.isdisjoint(chunk.text for chunk in parsed.chunks):
        dead.update(range(0, _end(line, opening.end() - 1, None)))


def _negate(parsed: Parsed, at: int, negated: set[int], dead: set[int]) -> None:
    """Add the scope of the negation at `at`."""
    line = parsed.letters
    if line[at] == "N" and (degree := _DEGREE.match(line, at + 1)):
        dead.update(range(at, _reach(line, degree.end(), sign=False)))
        return
    unseen = _UNSEEN.match(line, at + 1) if line[at] == "N" else None
    absent = line[at] == "Z" or _ANSWER.match(line, at)
    subject = _subject(line, at) if unseen or absent else range(0)
    after = unseen.end() if unseen else at + 1
    if _CLAIMS.search(line, subject.start, subject.stop):
        negated.update(subject)
    elif (unseen or absent) and line[after : after + 1] == ":":  # "what is not there: raised brows, …"
        negated.update(range(at, len(line)))
    elif _takes_objects(parsed, at):
        negated.update(range(at, _end_of_objects(line, at + 1)))
    else:
        negated.update(range(at, _reach(line, at + 1, sign=line[at] == "n")))


def _takes_objects(parsed: Parsed, at: int) -> bool:
    """Tell whether a list of things is denied: "does not show a, b and c", "lacks a and b"."""
    if parsed.letters[at] != "N":
        return parsed.chunks[at].text in _LACKS
    verb = next((one for one in range(at + 1, len(parsed.letters)) if parsed.letters[one] not in FILL), at)
    return parsed.chunks[verb].text in _TAKES


def _end_of_objects(line: str, start: int) -> int:
    """Return where a list ends whose verb is denied: at a contrast, a new verb or a new subject, "with" or "which"."""
    after = _AFTER_OBJECTS.search(line, start)
    end = after.start() if after else len(line)
    return next((at for at in range(start, end) if line[at] == "W" and _CLAIMS.search(line, start, at)), end)


def _reach(line: str, start: int, *, sign: bool) -> int:
    """Return where a negation ends: at a contrast, a new clause, "with" or "and".

    A list goes on over its commas if an "or" is still to come; after a word like "no sign of" over "and" and bare
    commas too, but not into "…, the lowered brows".
    """
    clause = _CLAUSE.search(line, start)
    end = clause.start() if clause else len(line)
    for at in range(start, end):
        letter = line[at]
        if letter in "J:" or (letter == "W" and _CLAIMS.search(line, start, at)):
            return at
        if letter == "," and "o" not in line[at:end] and (not sign or _new_item(line, start, at)):
            return at
        if sign and (letter == "H" or line[at - 1 : at + 1] in ("XD", "pD", "hD")) and _CLAIMS.search(line, start, at):
            return at
        if letter == "C" and (not sign or line[at + 1 : at + 2] in "BHDdp"):
            return at
    return end


def _new_item(line: str, start: int, at: int) -> bool:
    return _new_subject(line, at) and bool(_CLAIMS.search(line, start, at))


def _subject(line: str, at: int) -> range:
    """Return the run of chunks that the verb at `at` is said of; in a list, "smile: absent", what stands before."""
    end = at
    while end and line[end - 1] in f"{FILL}BT":
        end -= 1
    start = end = end - (line[end - 1 : end] == ":")
    while start and line[start - 1] not in "JBHR:T" and not _new_subject(line, start - 1):
        start -= 1
    return range(start, end)


def _new_subject(line: str, at: int) -> bool:
    return line[at] in "C," and line[at + 1 : at + 2] in ("D", "d")


def _end(line: str, at: int, clause: re.Pattern[str] | None) -> int:
    """Return where a scope that begins at `at` ends: at a contrast, or where `clause` matches."""
    found = [_RESET.search(line, at), clause.search(line, at) if clause else None]
    return min([one.start() for one in found if one] + [len(line)])
