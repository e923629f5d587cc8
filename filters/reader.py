"""The lexicon made ready for reading: a tree of its words, and what each part and move claim together.

The claim reader builds this once a process, and reads every rationale with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from ferbuild.builders.errors import FerError
from ferbuild.filters.links import links
from ferbuild.filters.moves import parse
from ferbuild.filters.phrases import LETTERS, Vocabulary, Word, sentences
from ferbuild.manifests.lexicon import Lexicon, inflect, spell_out


class Meaning(NamedTuple):
    """One thing that a word sequence of the lexicon can be."""

    letter: str = ""
    part: str = ""
    entry: int = -1
    move: str = ""
    mover: str = ""
    way: str = ""
    spot: tuple[str, str] = ("", "")
    bare: str = ""
    idiom: bool = False


class Reader(NamedTuple):
    """A lexicon made ready for reading."""

    vocabulary: Vocabulary
    table: dict[tuple[str, str], tuple[int, ...]]
    """(part, move) to the entries that it claims."""

    def known(self, part: str, move: str) -> tuple[int, ...]:
        return self.table.get((part, move), ())


def make_reader(lexicon: Lexicon) -> Reader:
    """Make a lexicon ready for reading; FerError where a phrasing cannot be understood."""
    vocabulary = _vocabulary(lexicon)
    return Reader(vocabulary, _table(vocabulary))


def _vocabulary(lexicon: Lexicon) -> Vocabulary:
    meanings: dict[tuple[str, ...], list[Meaning]] = {}
    for phrase, meaning in _meanings(lexicon):
        meanings.setdefault(phrase, []).append(meaning)
    tree: dict[str, Any] = {}
    for phrase, found in meanings.items():
        node = tree
        for part in phrase:
            node = node.setdefault(part, {})
        node[""] = _word(found)
    heads = {phrase[0] for phrase, found in meanings.items() for one in found if one.part or one.entry >= 0}
    pairs = dict[tuple[str, str], str]()
    alone = dict[str, tuple[str, ...]]()
    for name, move in lexicon.moves.items():
        for pair in move.pairs:
            mover, way = pair.split()
            pairs[mover, way] = name
        for word in move.alone:
            alone[word] = (*alone.get(word, ()), name)
    return Vocabulary(lexicon, tree, frozenset(heads | {"au", "aus", "action"}), pairs, alone)


def _word(meanings: list[Meaning]) -> Word:
    """Return all that a word can be, and what it is as long as its sentence does not decide otherwise."""
    grammar = "".join(one.letter for one in meanings)[:1]
    part = next((one.part for one in meanings if one.part), "")
    entries = tuple(one.entry for one in meanings if one.entry >= 0)
    moves = tuple(one.move for one in meanings if one.move)
    movers = tuple(one.mover for one in meanings if one.mover)
    ways = tuple(one.way for one in meanings if one.way)
    bare = tuple(one.bare for one in meanings if one.bare)
    told = (
        ("X", any(one.idiom for one in meanings)),
        ("P", part),
        ("F", entries and not moves),
        ("U", ways),
        ("G", movers and not grammar),
        ("m", moves),
        ("c", bare and not grammar),
    )
    letter = next((letter for letter, holds in told if holds), grammar)
    other = "I" if grammar == "I" else "F" if entries else grammar
    spot = next((one.spot for one in meanings if one.spot[0]), ("", ""))
    return Word(letter, other, part, entries, moves, movers, ways, spot, bare)


def _meanings(lexicon: Lexicon) -> Iterator[tuple[tuple[str, ...], Meaning]]:
    """Yield every word sequence of the lexicon with one thing it can be."""
    for key, phrases in lexicon.grammar.items():
        yield from _spelt(lexicon, phrases, Meaning(letter=LETTERS[key]), f"grammar.{key}")
    for name, part in lexicon.parts.items():
        yield from _spelt(lexicon, part.names, Meaning(part=name), f"parts.{name}")
        yield from _spelt(lexicon, part.bare, Meaning(bare=name), f"parts.{name}.bare")
        yield from _spelt(lexicon, part.spots, Meaning("A", spot=(part.of, name)), f"parts.{name}.spots")
    for name, move in lexicon.moves.items():
        yield from _spelt(lexicon, _forms(move.verbs, move.words), Meaning(move=name), f"moves.{name}")
    for name, mover in lexicon.movers.items():
        yield from _spelt(lexicon, _forms(mover.verbs, mover.words), Meaning(mover=name), f"movers.{name}")
    for name, ways in lexicon.ways.items():
        yield from _spelt(lexicon, ways, Meaning(way=name), f"ways.{name}")
    for number, entry in enumerate(lexicon.entries):
        yield from _spelt(lexicon, entry.words, Meaning(entry=number), f"entry {number + 1}")
    yield from _spelt(lexicon, lexicon.idioms, Meaning(idiom=True), "idioms")


def _forms(verbs: list[str], words: list[str]) -> list[str]:
    return [*words, *(form for verb in verbs for form in inflect(verb))]


def _spelt(
    lexicon: Lexicon, phrases: list[str], meaning: Meaning, where: str
) -> Iterator[tuple[tuple[str, ...], Meaning]]:
    found = (words for phrase in phrases for words in spell_out(phrase, lexicon.groups, f"lexicon.yaml: {where}"))
    for words in dict.fromkeys(found):
        yield words, meaning


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
                problem = f"{phrase!r} stands under entry {others[0] + 1} too"
                raise FerError(where, problem, f"both say {' '.join(key)!r}: take one out")
            table[key] = (*others, number)
    return table


def _anything(part: str, move: str) -> tuple[int, ...]:
    return (0,)
