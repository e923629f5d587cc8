"""What a rationale claims of a face: action units and regions, with side and strength, there or not there.

On the way of a face this stands between a teacher's text and the measurements it is held against (`grounding`). Read
are assertions about this face as it is; what is asked, supposed, general, past, or said of somebody else is not. In
one sentence a claim that another one already implies is left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import Literal, NamedTuple

from ferbuild.builders.errors import FerError
from ferbuild.filters.links import Link, links
from ferbuild.filters.moves import Parsed, parse
from ferbuild.filters.phrases import FILL, Sentence, Word, offsets, sentences
from ferbuild.filters.reader import Reader, make_reader
from ferbuild.filters.scopes import Scopes, find_scopes
from ferbuild.filters.sides import Side, Strength, side_of, strength_of
from ferbuild.manifests.lexicon import Direction, Entry, Lexicon, Region, load_lexicon, spell_out
from ferbuild.manifests.load import load_units


class Claim(NamedTuple):
    """Something said of a face."""

    text: str
    """The words that say it, as they stand."""
    start: int
    """Offset in the rationale, in characters; `end` is one past the last."""
    end: int
    units: tuple[str, ...]
    """Empty for a region claim that names no unit."""
    need: Literal["any", "all"]
    """How many of several units it takes."""
    region: Region
    direction: Direction
    side: Side
    """The person's own left or right, or both; "one" is exactly one of them, "either" the one that a text calls left or
    right without saying whose; "" where it speaks of no side."""
    strength: Strength
    negated: bool
    """It is said that they are not there."""


COMMON_FROM = 0.2
"""Share of words that are among the commonest English ones; running text has 0.3 to 0.6."""

KNOWN_FROM = 0.5
"""Share of words that the lexicon knows, where a note has no sentences: "Brows lowered, lips pressed"."""

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_BARE = {code: " " for code in range(128) if not chr(code).isalpha() and chr(code) != "'"}
NOT_PROSE = re.compile(r"<answer\s*>.*?(?:</answer\s*>|\Z)|<[^<>]{0,40}>", re.IGNORECASE | re.DOTALL)
_GLOSS = re.compile(r"[A:,CKD]{0,8}\Z")
_DETERMINED = re.compile(rf"[DpBHW][{FILL}MPFKCo,UX]*\Z")


def read_claims(text: str) -> list[Claim]:
    """Return the claims of a rationale in the order of their offsets; none where it is not in English."""
    return read_with(shipped(), text) if is_english(text) else []


@cache
def shipped() -> Reader:
    """Return the shipped lexicon's reader, checked; built once a process."""
    return checked(load_lexicon())


def checked(lexicon: Lexicon) -> Reader:
    """Return a lexicon's reader; FerError where a phrasing or an example is not read as its entry says."""
    reader = make_reader(lexicon)
    for number, entry in enumerate(lexicon.entries, 1):
        _check_entry(reader, entry, f"lexicon.yaml: entry {number} ({', '.join(entry.units) or entry.region})")
    for sentence in lexicon.control:
        read = read_with(reader, sentence)
        if read:
            raise FerError("lexicon.yaml: control", f"{read[0].text!r} is read in {sentence!r}", "narrow the phrasing")
    return reader


def read_with(reader: Reader, text: str) -> list[Claim]:
    """Return what a reader finds in `text`, whatever its language."""
    claims: list[Claim] = []
    carried: Word | None = None
    for sentence in sentences(text, reader.vocabulary):
        parsed = parse(sentence, reader.vocabulary, reader.known, carried)
        claims += _claims(sentence, parsed, reader, text)
        carried = next((c.word for c in reversed(parsed.chunks) if c.word.part), carried)
    return claims


def is_english(text: str) -> bool:
    """Tell whether a text is in English: by its share of the commonest English words, or of the lexicon's."""
    words = _words(NOT_PROSE.sub(" ", text).casefold())
    if "au" in words or "aus" in words:
        words = [word for word in words if word not in ("au", "aus")]
    common, tree = _common(), shipped().vocabulary.tree
    hits = sum(map(common.__contains__, words))
    return hits >= COMMON_FROM * len(words) or sum(map(tree.__contains__, words)) >= KNOWN_FROM * len(words)


def _words(text: str) -> list[str]:
    """Return the words of a text in small letters, as `_WORD` finds them: a translation is three times as fast."""
    if text.isascii() and "''" not in text:
        tokens = text.translate(_BARE).split()
        return [word for token in tokens if (word := token.strip("'"))] if "'" in text else tokens
    return [word.replace("’", "'") for word in _WORD.findall(text)]


@cache
def _common() -> frozenset[str]:
    return frozenset(load_lexicon().english)


def _check_entry(reader: Reader, entry: Entry, where: str) -> None:
    """Refuse an entry of which a phrasing or an example is not read as it says."""
    wanted = ({*entry.units}, entry.need, entry.negated)
    for phrase in (*entry.say, *entry.words):
        for words in spell_out(phrase, reader.vocabulary.lexicon.groups, where):
            read = read_with(reader, " ".join(words))
            if wanted not in [({*claim.units}, claim.need, claim.negated) for claim in read]:
                told = "; ".join(" ".join(claim.units) or claim.region for claim in read) or "nothing"
                raise FerError(where, f"{phrase!r} is not read as it says: {told}", "see that its words are known")
    for example in entry.examples:
        if wanted not in [({*claim.units}, claim.need, claim.negated) for claim in read_with(reader, example)]:
            raise FerError(where, f"the example {example!r} does not match", "add a phrasing, or mend the example")


class _Said(NamedTuple):
    """A claim with the words it was found by."""

    link: Link
    claim: Claim


def _claims(sentence: Sentence, parsed: Parsed, reader: Reader, text: str) -> list[Claim]:
    """Return what a sentence claims."""
    found = links(parsed, reader.known)
    if not found:
        return []
    scopes = find_scopes(parsed)
    places = offsets(sentence)
    said = [
        _Said(link, claim)
        for link in found
        if (claim := _claim(link, parsed, scopes, reader.vocabulary.lexicon, places, text)) is not None
    ]
    claims = _coded(said, parsed) if parsed.codes else [one.claim for one in said]
    if len(claims) > 1:
        claims = [claim for at, claim in enumerate(claims) if not _implied(claims, at)]
    return sorted(claims, key=lambda claim: (claim.start, claim.end))


def _claim(
    link: Link, parsed: Parsed, scopes: Scopes, lexicon: Lexicon, places: Sequence[tuple[int, int]], text: str
) -> Claim | None:
    """Return what was found as a claim; None where it is not said of this face."""
    entry = _CODE if link.entry < 0 else lexicon.entries[link.entry]
    denied = link.at in scopes.negated
    if link.at in scopes.dead or (denied and entry.one_way) or _general(link, parsed, scopes):
        return None
    said = (link.at, link.part, *parsed.ways.get(link.at, ()))
    start, end = places[parsed.chunks[min(said)].first][0], places[parsed.chunks[max(said)].end - 1][1]
    units = (parsed.codes[link.at],) if link.entry < 0 else tuple(entry.units)
    region = lexicon.parts[link.name].region if link.name else entry.region or load_units().units[units[0]].region
    return Claim(
        text=text[start:end],
        start=start,
        end=end,
        units=units,
        need=entry.need,
        region=region,
        direction=lexicon.moves[link.move].direction if link.move else entry.direction,
        side=side_of(parsed, link),
        strength=strength_of(parsed, link),
        negated=entry.negated != denied,
    )


def _general(link: Link, parsed: Parsed, scopes: Scopes) -> bool:
    """Tell whether it is said of faces in general: "raised brows may …" but not "the raised brows may …"."""
    if link.at not in scopes.generic or not link.before:
        return False
    return not _DETERMINED.search(parsed.letters, 0, min(link.at, link.part))


_CODE = Entry(units=[], words=["AU"], examples=["AU1"])


def _coded(said: list[_Said], parsed: Parsed) -> list[Claim]:
    """Return the claims, without phrases that a unit's code beside them makes precise: "jaw drop (AU26)"."""
    claims = {at: one.claim for at, one in enumerate(said)}
    for at, code in enumerate(said):
        for other, phrase in enumerate(said):
            if code.link.entry < 0 <= phrase.link.entry and _beside(parsed, code.link, phrase.link):
                if not {*code.claim.units} & {*phrase.claim.units}:
                    continue
                side, strength = phrase.claim.side or code.claim.side, phrase.claim.strength or code.claim.strength
                claims[at] = code.claim._replace(side=side, strength=strength, negated=phrase.claim.negated)
                claims.pop(other, None)
    return list(claims.values())


def _beside(parsed: Parsed, code: Link, phrase: Link) -> bool:
    low, high = sorted((phrase.at, phrase.part))
    between = parsed.letters[high + 1 : code.at] if code.at > high else parsed.letters[code.at + 1 : low]
    return bool(_GLOSS.match(between))


def _implied(claims: Sequence[Claim], at: int) -> bool:
    """Tell whether another claim says what the one at `at` says; of two that say the same, the first stays."""
    claim = claims[at]
    return any(
        _implies(one, claim) and (other < at or not _implies(claim, one))
        for other, one in enumerate(claims)
        if other != at
    )


def _implies(claim: Claim, other: Claim) -> bool:
    """Tell whether `other` says nothing that `claim` does not say already."""
    if claim.negated != other.negated or (other.side and other.side != claim.side):
        return False
    mine, its = {*claim.units}, {*other.units}
    if mine == its:
        return claim.need == other.need and (bool(mine) or claim.region == other.region)
    if not mine or not its:
        return False
    if claim.need == "all" and not claim.negated:
        return its < mine
    same = claim.region == other.region and other.need == "any"
    return same and (its < mine if claim.negated else mine < its)
