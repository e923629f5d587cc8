"""Which part does which move: "raised brows", "the brows are raised", "raises her brows", "wrinkles around the eyes".

Third step of the claim reader. Grammar proposes parts for a move, the likeliest first, and the lexicon decides: the
first proposal of which it knows a claim is taken, so that "the cheeks narrow the eyes" is not read of the cheeks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from ferbuild.filters.moves import Known, Parsed
from ferbuild.filters.phrases import FILL


class Link(NamedTuple):
    """A claim of the lexicon found in a sentence."""

    entry: int
    at: int
    """The chunk that says it: the move, the phrase, or a unit's code."""
    part: int
    """The chunk that names the part; `at` where there is none."""
    name: str
    """The part, "" where there is none."""
    move: str
    before: bool
    """The move stands before its part or has none: "raised brows", "a smile"."""


CLOSE = FILL.replace("E", "")
_BOTH = "(?<=[Astv])C(?=[Astv])"  # "clearly and visibly"
_MANY = "(?:,?[CoN]|,)"
_AHEAD = re.compile(rf"(?:[{FILL}M]|,?[Co,](?=[{FILL}]*M))*P")
_AHEAD_NEAR = re.compile(rf"[{FILL}]*P")
_DONE_TO = re.compile(rf"[{FILL}]*D[{FILL}]*P")
_OBJECT = re.compile(rf"[{FILL}]*[OI]?[{FILL}Ddp]*?D[{FILL}]*P|[{FILL}]*[OI][{FILL}d]*P")
_PLACE = re.compile(rf"[{FILL}BNHnUp]*[IOW]?[Dd{FILL}]*P")
_SHARED = re.compile(rf"{_MANY}[{FILL}]*P(?![{FILL}BHN:]*M)")
_SHARED_FAR = re.compile(rf"{_MANY}D?[{FILL}]*P(?![{FILL}BHN:]*M)")
_TELLS = re.compile(rf"[BP:][{FILL}NnT]*\Z")
_NEAR = re.compile(rf"P(?:[{FILL}BNTnHdRpgQ:,U]|{_BOTH})*(?:I[Dd{FILL}]*|(?<=[nHB])D[{FILL}]*)?\Z")
_FAR = re.compile(
    rf"P(?:[{FILL}RU]|[IO][Dd{CLOSE}]*+(?:[XhEqk]{{1,3}}+|(?<=[lrab]))|,[^MPJFpD,]*,)*"  # "of the man"; ", who is old,"
    rf"[BH:](?:[{FILL}NTdgxU]|X[,C]+|{_BOTH})*(?:I[Dd{FILL}]*)?\Z"
)
_THEN = re.compile(rf"P[^PMJp,:]{{1,8}}C[{FILL}]*B[{FILL}NT]*\Z")
_AND = re.compile(rf"M[{FILL}IODdXEPhU]{{0,6}}[,CoJN]{{1,3}}[{FILL}BNnTpHI]*\Z")
_VERB = re.compile("[BR:]")
_LISTED = re.compile(rf"P{_MANY}[DN{FILL}]*\Z")
_AGAIN = re.compile(r"PB?\Z")
_PLACED = re.compile(rf"I[D{FILL}]*\Z")
_HEAD = re.compile(rf"P[{FILL}]*[IO][D{FILL}]*\Z")


def links(parsed: Parsed, known: Known) -> list[Link]:
    """Return the claims that the lexicon knows, in the order in which they are said."""
    found: list[Link] = []
    subjects: dict[int, list[int]] = {}
    for at, letter in enumerate(parsed.letters):
        linked = _first(parsed, at, known, subjects) if letter == "M" else []
        if letter == "K":
            found.append(Link(-1, at, at, "", "", True))
        elif letter in "MF" and not linked:
            found += [Link(entry, at, at, "", "", True) for entry in parsed.chunks[at].word.entries]
        found += linked
        if letter == "N" and found and not linked:
            found += _elided(parsed, at, found[-1])
    return found


def _elided(parsed: Parsed, at: int, last: Link) -> list[Link]:
    """Return what "the right one is not" denies: the claim made last, of the part named again."""
    part = _AGAIN.search(parsed.letters, 0, at)
    if not part or parsed.letters[at + 1 : at + 2] not in ("", ",", ":"):
        return []
    again = parsed.chunks[part.start()].text.split()[0] in ("left", "right", "other")
    return [last._replace(at=at, part=part.start())] if again else []


def _first(parsed: Parsed, at: int, known: Known, subjects: dict[int, list[int]]) -> list[Link]:
    """Return what the first proposed parts claim with the move at `at`; remembers whose move it was."""
    for parts in _proposals(parsed.letters, at, subjects):
        found = [link for part in parts for link in _found(parsed, at, part, known)]
        if found:
            subjects[at] = parts
            return found
    return []


def _found(parsed: Parsed, at: int, part: int, known: Known) -> Iterator[Link]:
    """Yield what a part and a move claim together."""
    name = parsed.chunks[part].word.part
    spots = [chunk.word.spot[1] for chunk in parsed.chunks[at + 1 : at + 5] if chunk.word.spot[0] == name]
    for names in parsed.moves[at]:
        for move in names:
            entries = next((known(spot, move) for spot in spots if known(spot, move)), ()) or known(name, move)
            if entries:
                yield from (Link(entry, at, part, name, move, at < part) for entry in entries)
                break


def _proposals(line: str, at: int, subjects: dict[int, list[int]]) -> Iterator[list[int]]:
    """Yield the parts that the move at `at` could be of, by their places, the likeliest first."""
    told = _TELLS.search(line, 0, at)
    if told and line[told.start()] == "P":
        yield from _object(line, at)
        yield from _behind(line, at, subjects)
        yield from _before(line, at)
    elif told:
        yield from _behind(line, at, subjects)
        yield from _before(line, at)
        yield from _after(line, at)
    else:
        yield from _before(line, at)
        yield from _after(line, at)
        yield from _behind(line, at, subjects)


def _before(line: str, at: int) -> Iterator[list[int]]:
    """Yield parts that the move stands before: "raised brows", "raised and furrowed brows", "raised brows and lids"."""
    told = _TELLS.search(line, 0, at)
    ahead = (_AHEAD_NEAR if told else _AHEAD).match(line, at + 1)
    if ahead:
        yield _share(line, ahead.end() - 1, _SHARED)


def _object(line: str, at: int) -> Iterator[list[int]]:
    """Yield parts that something is done to: "raises her brows"."""
    ahead = _DONE_TO.match(line, at + 1)
    if ahead:
        yield _share(line, ahead.end() - 1, _SHARED_FAR)


def _after(line: str, at: int) -> Iterator[list[int]]:
    """Yield parts named as the object or the place: "raises her brows", "lines are visible around the eyes"."""
    for pattern in (_OBJECT, _PLACE):
        ahead = pattern.match(line, at + 1)
        if ahead:
            yield _share(line, ahead.end() - 1, _SHARED_FAR)


def _behind(line: str, at: int, subjects: dict[int, list[int]]) -> Iterator[list[int]]:
    """Yield parts of which the move is told: "the brows are raised", "… and drawn together"."""
    loose = line[at + 1 : at + 2] in ("X", "P")
    near = _NEAR.search(line, 0, at)
    if near and not (loose and ("I" in near[0] or ("," in near[0] and not _VERB.search(near[0])))):
        yield from _heads(line, near.start())
    far = _FAR.search(line, 0, at)
    if far and not (loose and line[at - 1] in ",CI"):
        yield from _heads(line, far.start())
    then = _THEN.search(line, 0, at)
    if then and not loose:
        yield from _heads(line, then.start())
    both = _AND.search(line, 0, at)
    if both and both.start() in subjects and not (loose and "B" not in both[0]):
        yield subjects[both.start()]


def _heads(line: str, part: int) -> Iterator[list[int]]:
    """Yield what the subject is whose last part stands at `part`: a list, the head of a chain, or the part itself."""
    listed = [part]
    joined = ""
    while (before := _LISTED.search(line, 0, listed[0])) and not _PLACED.search(line, 0, before.start()):
        joined += before[0]
        listed.insert(0, before.start())
    if len(listed) > 1 and re.search("[CoN]", joined):
        yield listed
    head = _HEAD.search(line, 0, part)
    if head:
        yield [head.start()]
    yield [part]


def _share(line: str, part: int, more: re.Pattern[str]) -> list[int]:
    """Return the part at `part` and those listed after it that have no move of their own."""
    parts = [part]
    while following := more.match(line, parts[-1] + 1):
        parts.append(following.end() - 1)
    return parts
