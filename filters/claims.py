"""What a rationale claims of a face: action units and regions, with side and strength, there or not there.

On the way of a face this stands between a teacher's text and the measurements it is held against (`grounding`). Read
are assertions about this face as it is; what is asked, supposed, general, past, or said of somebody else is not. In
one sentence a claim that another one already implies is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Literal, NamedTuple

from ferbuild.builders.errors import FerError
from ferbuild.filters.links import Link, links
from ferbuild.filters.moves import Parsed, parse
from ferbuild.filters.phrases import FILL, Sentence, Vocabulary, Word, compiled, sentences
from ferbuild.filters.scopes import Scopes, find_scopes
from ferbuild.filters.sides import side_of, strength_of
from ferbuild.manifests.lexicon import Direction, Entry, Lexicon, Region, load_lexicon, spell_out
from ferbuild.manifests.load import load_units

Side = Literal["", "left", "right", "one", "both"]
Strength = Literal["", "slight", "strong"]


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
    """The person's own; "one" where a text does not say whose left, or which side; "" where it speaks of no side."""
    strength: Strength
    negated: bool
    """It is said that they are not there."""


class Reader(NamedTuple):
    """A lexicon made ready for reading."""

    vocabulary: Vocabulary
    table: Mapping[tuple[str, str], tuple[int, ...]]
    """(part, move) to the entries that it claims."""

    def known(self, part: str, move: str) -> tuple[int, ...]:
        return self.table.get((part, move), ())


COMMON_FROM = 0.2
"""Share of words that are among the commonest English ones; running text has 0.3 to 0.6."""

KNOWN_FROM = 0.5
"""Share of words that the lexicon knows, where a note has no sentences: "Brows lowered, lips pressed"."""

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_ANSWER = re.compile(r"<answer\s*>.*?(?:</answer\s*>|\Z)|<[^<>]{0,40}>", re.IGNORECASE | re.DOTALL)
_GLOSS = re.compile(r"[A:,CKD]{0,8}\Z")
_DETERMINED = re.compile(rf"[DpBHW][{FILL}MPFKCo,UX]*\Z")


def read_claims(text: str) -> list[Claim]:
    """Return the claims of a rationale in the order of their offsets; none where it is not in English."""
    return read_with(shipped(), text) if is_english(text) else []


@cache
def shipped() -> Reader:
    """Return the shipped lexicon's reader, checked; built once a process."""
    return make_reader(load_lexicon())


def make_reader(lexicon: Lexicon) -> Reader:
    """Make a lexicon ready for reading; FerError where a phrasing or an example is not read as its entry says."""
    vocabulary = compiled(lexicon)
    reader = Reader(vocabulary, _table(vocabulary))
    for number, entry in enumerate(lexicon.entries):
        _check_entry(reader, entry, f"lexicon.yaml: entry {number + 1} ({', '.join(entry.units) or entry.region})")
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
        claims += _claims(parsed, reader, text)
        carried = next((c.word for c in reversed(parsed.chunks) if c.word.part), carried)
    return claims


def is_english(text: str) -> bool:
    """Tell whether a text is in English: by its share of the commonest English words, or of the lexicon's."""
    words = [word.replace("’", "'") for word in _WORD.findall(_ANSWER.sub(" ", text).casefold())]
    common, tree = _common(), shipped().vocabulary.tree
    hits = sum(word in common for word in words)
    return hits >= COMMON_FROM * len(words) or sum(word in tree for word in words) >= KNOWN_FROM * len(words)


@cache
def _common() -> frozenset[str]:
    return frozenset(load_lexicon().english)


def _table(vocabulary: Vocabulary) -> dict[tuple[str, str], tuple[int, ...]]:
    """Return what each part and move claim together, read out of the `say` phrases."""
    table = dict[tuple[str, str], tuple[int, ...]]()
    entries = vocabulary.lexicon.entries
    for number, entry in enumerate(entries):
        for phrase in entry.say:
            parsed = [parse(sentence, vocabulary, _anything, None) for sentence in sentences(phrase, vocabulary)]
            keys = {(link.name, link.move) for one in parsed for link in links(one, _anything) if link.move}
            where = f"lexicon.yaml: entry {number + 1}"
            if len(keys) != 1:
                told = ", ".join(" + ".join(key) for key in sorted(keys)) or "none"
                hint = "name one part and one move, or list it under `words`"
                raise FerError(where, f"{phrase!r} has no single part and move: {told}", hint)
            key = keys.pop()
            others = [other for other in table.get(key, ()) if other != number]
            if any(not (entry.shared and entries[other].shared) for other in others):
                raise FerError(where, f"{phrase!r} stands under entry {others[0] + 1} too", f"both say {' '.join(key)!r}")
            table[key] = (*others, number)
    return table


def _anything(part: str, move: str) -> tuple[int, ...]:
    return (0,)


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


def _claims(parsed: Parsed, reader: Reader, text: str) -> list[Claim]:
    """Return what a sentence claims."""
    found = links(parsed, reader.known)
    if not found:
        return []
    scopes = find_scopes(parsed)
    said = [_Said(link, _claim(link, parsed, scopes, reader, text)) for link in found if _asserted(link, parsed, scopes)]
    claims = _coded(said, parsed)
    kept = [
        claim
        for at, claim in enumerate(claims)
        if not any(_implies(one, claim) and (other < at or not _implies(claim, one)) for other, one in enumerate(claims) if other != at)
    ]
    return sorted(kept, key=lambda claim: (claim.start, claim.end))


def _asserted(link: Link, parsed: Parsed, scopes: Scopes) -> bool:
    """Tell whether what was found is said of this face."""
    if link.at in scopes.dead:
        return False
    if link.at not in scopes.generic or not link.before:
        return True
    return bool(_DETERMINED.search(parsed.letters, 0, min(link.at, link.part)))


def _claim(link: Link, parsed: Parsed, scopes: Scopes, reader: Reader, text: str) -> Claim:
    lexicon = reader.vocabulary.lexicon
    first, last = sorted((parsed.chunks[link.at], parsed.chunks[link.part]), key=lambda chunk: chunk.start)
    entry = _CODE if link.entry < 0 else lexicon.entries[link.entry]
    units = (parsed.codes[link.at],) if link.entry < 0 else tuple(entry.units)
    region = lexicon.parts[link.name].region if link.name else entry.region or load_units().units[units[0]].region
    direction = lexicon.moves[link.move].direction if link.move else entry.direction
    return Claim(
        text=text[first.start : last.end],
        start=first.start,
        end=last.end,
        units=units,
        need=entry.need,
        region=region,
        direction=direction,
        side=side_of(parsed, link),
        strength=strength_of(parsed, link),
        negated=entry.negated != (link.at in scopes.negated),
    )


_CODE = Entry(units=[], words=["AU"], region="", examples=["AU1"])


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
