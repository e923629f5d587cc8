"""How rationales put facial movements into words: the schema of `lexicon.yaml` and the checks on it.

On the way of a face this comes before the claim reader, which turns it into tables once a process; what only reading
can tell, whether phrasings and examples are read as their entry says, `filters.claims` checks when it does so.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources.abc import Traversable
from itertools import product
from pathlib import Path
from typing import Literal

from pydantic import Field

from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.manifests.load import SHIPPED, check, load_units, read_yaml
from ferbuild.manifests.schema import Strict

Direction = Literal[
    "", "raised", "lowered", "together", "apart", "wrinkled", "deepened", "widened", "narrowed", "tightened", "tense",
    "relaxed", "open", "closed", "pressed", "puckered", "funnelled", "protruded", "inward", "stretched", "back",
    "shown", "bitten", "trembling", "moved",
]  # fmt: skip
Region = Literal["", "brows", "eyes", "nose", "cheeks", "mouth", "chin"]

Grammar = Literal[
    "definite", "indefinite", "pronoun", "be", "have", "and", "or", "of", "at", "with", "relative", "contrast",
    "this face", "visible", "filler", "not", "without", "no sign", "absent", "degree", "maybe", "unsure", "unlike",
    "elsewhere", "other person", "relation", "emotion", "involves", "human", "left", "right",
    "viewer left", "viewer right", "one", "both", "slight", "strong", "again", "again left", "again right",
]  # fmt: skip


_DOUBLES = re.compile(r"[^aeiou]*[aeiou][^aeiouwxy]")


class Part(Strict):
    """A part of the face and what it is called."""

    region: Region
    names: list[str] = Field(min_length=1)
    of: str = ""
    """The larger part that this is a part of."""
    bare: list[str] = Field(default_factory=list)
    """Names that need another part of the region named before: "the mouth turns down at the corners"."""
    spots: list[str] = Field(default_factory=list)
    """Said of the larger part, these words mean this one: brows raised "in the middle"."""


class Words(Strict):
    """Words for one thing: verbs stand for all their regular forms, words for themselves."""

    verbs: list[str] = Field(default_factory=list)
    words: list[str] = Field(default_factory=list)


class Move(Words):
    """What a part does."""

    direction: Direction
    pairs: list[str] = Field(default_factory=list)
    """`mover way`, in either order and also around the part: "pull up"."""
    alone: list[str] = Field(default_factory=list)
    """Movers or ways that mean it without the other."""


class Entry(Strict):
    """What is claimed, and the phrasings that claim it."""

    units: list[str]
    """Empty for a region of which nothing is said that a unit stands for."""
    need: Literal["any", "all"] = "any"
    negated: bool = False
    """It is claimed that the units are NOT there, as in "closed lips"."""
    one_way: bool = False
    """Denied, it claims nothing: lips may part and hide the teeth."""
    shared: bool = False
    """A phrasing may stand in another entry that says so too; it claims both."""
    say: list[str] = Field(default_factory=list)
    """A part and what it does."""
    words: list[str] = Field(default_factory=list)
    """Taken as they stand."""
    region: Region = ""
    direction: Direction = ""
    examples: list[str] = Field(min_length=1)


class Lexicon(Strict):
    """What `lexicon.yaml` holds."""

    groups: dict[str, list[str]]
    parts: dict[str, Part]
    movers: dict[str, Words]
    ways: dict[str, list[str]]
    moves: dict[str, Move]
    entries: list[Entry]
    grammar: dict[Grammar, list[str]]
    idioms: list[str]
    english: list[str]
    control: list[str] = Field(min_length=1)
    """Sentences in which nothing may be read."""


def load_lexicon(path: Path | None = None) -> Lexicon:
    """Return the shipped lexicon, or the one in `path`; FerError where an entry cannot mean what it says."""
    return _read(path, str(path)) if path else _shipped()


@cache
def _shipped() -> Lexicon:
    return _read(SHIPPED / "lexicon.yaml", "lexicon.yaml")


def _read(path: Traversable, where: str) -> Lexicon:
    found = check(read_yaml(path), Lexicon, where)
    for number, entry in enumerate(found.entries, 1):
        _check_entry(entry, f"{where}: entry {number}")
    _check_twice(found, where)
    _check_names(found, where)
    return found


def phrasings(lexicon: Lexicon) -> Counter[str]:
    """Return how many phrasings are listed for each unit, and under "" how many there are in all."""
    counts = Counter[str]()
    for entry in lexicon.entries:
        listed = len({*entry.say, *entry.words})
        counts.update(dict.fromkeys(entry.units, listed) | {"": listed})
    return counts


def spell_out(pattern: str, groups: Mapping[str, list[str]], where: str) -> Iterator[tuple[str, ...]]:
    """Yield the word sequences that `pattern` stands for; FerError for a group that is not there."""
    pieces = pattern.replace("}", "{").split("{")
    for name in pieces[1::2]:
        if name not in groups:
            raise FerError(where, f"{pattern!r} names the group {name!r}", did_you_mean(name, groups))
    choices = [[piece] if at % 2 == 0 else groups[piece] for at, piece in enumerate(pieces)]
    for chosen in product(*choices):
        yield tuple("".join(chosen).casefold().replace("-", " ").replace(",", " , ").split())


def inflect(verb: str) -> tuple[str, ...]:
    """Return the regular forms of a verb, of which only the first word changes: raise, raises, raised, raising.

    A short stem doubles its last letter (drop, dropped).
    """
    stem, _, rest = verb.partition(" ")
    tail = f" {rest}" if rest else ""
    third = f"{stem}es" if stem.endswith(("s", "x", "ch", "sh")) else f"{stem}s"
    base = f"{stem}{stem[-1]}" if _DOUBLES.fullmatch(stem) else stem.removesuffix("e")
    return tuple(f"{form}{tail}" for form in (stem, third, f"{base}ed", f"{base}ing"))


def _check_entry(entry: Entry, where: str) -> None:
    unknown = [unit for unit in entry.units if unit not in load_units().units]
    if unknown:
        raise FerError(where, f"unknown unit {unknown[0]!r}", did_you_mean(unknown[0], load_units().units))
    blank = [phrase for phrase in (*entry.say, *entry.words, *entry.examples) if not phrase.strip()]
    if blank or not (entry.say or entry.words):
        raise FerError(where, "an empty phrasing matches everything or nothing", "write words, or take it out")
    if not entry.units and not entry.region:
        raise FerError(where, "it claims nothing", "name units, or the region")


def _check_twice(lexicon: Lexicon, where: str) -> None:
    """Refuse a phrasing that stands twice, unless every entry it stands in is `shared`."""
    first: dict[tuple[str, ...], Entry] = {}
    for number, entry in enumerate(lexicon.entries, 1):
        for phrase in (*entry.say, *entry.words):
            for words in spell_out(phrase, lexicon.groups, where):
                other = first.setdefault(words, entry)
                if other is not entry and not (other.shared and entry.shared):
                    raise FerError(
                        f"{where}: entry {number}",
                        f"{phrase!r} stands under {_name(other)} too",
                        "take one out, or write `shared: true` in both where it claims both",
                    )


def _name(entry: Entry) -> str:
    joined = (" and " if entry.need == "all" else " or ").join(entry.units) or f"the region {entry.region}"
    return f"no {joined}" if entry.negated else joined


def _check_names(lexicon: Lexicon, where: str) -> None:
    """Refuse a pair that is not a mover and a way, and a lone word or a larger part that is not there."""
    known = {*lexicon.movers, *lexicon.ways}
    for name, move in lexicon.moves.items():
        for word in (*move.alone, *(word for pair in move.pairs for word in pair.split())):
            if word not in known:
                raise FerError(f"{where}: moves.{name}", f"no mover and no way {word!r}", did_you_mean(word, known))
        for pair in move.pairs:
            mover, _, way = pair.partition(" ")
            if mover not in lexicon.movers or way not in lexicon.ways:
                raise FerError(f"{where}: moves.{name}", f"{pair!r} is not a mover and a way", "as in: pull up")
    for name, part in lexicon.parts.items():
        if part.of and part.of not in lexicon.parts:
            raise FerError(f"{where}: parts.{name}", f"no part {part.of!r}", did_you_mean(part.of, lexicon.parts))
