"""What each word of a sentence is: a part, a move, a phrase that claims by itself, or grammar.

Second step of the claim reader. Many words can be several things ("open", "wide", "deep", "lower"): the other words
of the sentence decide. A mover and a way ("pulled … up") are put together to a move here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from ferbuild.filters.phrases import FILL, Chunk, Sentence, Vocabulary, Word
from ferbuild.manifests.load import load_units

Moves = tuple[tuple[str, ...], ...]
"""What a word does: each move by the names it can have, the likeliest first."""

Known = Callable[[str, str], Sequence[int]]
"""From a part and a move to the entries of the lexicon that they claim."""


class Parsed(NamedTuple):
    """A sentence with one letter a chunk."""

    letters: str
    chunks: list[Chunk]
    moves: Mapping[int, Moves]
    """Of every chunk whose letter is M."""
    ways: Mapping[int, tuple[int, ...]]
    """Chunks whose way is part of the move: the "up" of "pulled slightly up"."""
    codes: Mapping[int, str]
    """Units of the chunks whose letter is K."""
    asked: bool


_WAY = re.compile(rf"[{FILL}]*U")
_WAY_AROUND = re.compile(rf"[{FILL}]*[Dd]?[{FILL}]*P[{FILL}]*U")
_MORE_WAYS = re.compile(rf"[{FILL}]*[,C]{{1,2}}[{FILL}]*U")
_ABSORBED = re.compile(rf"(?:[{FILL}]*D[{FILL}]*P)?[{FILL}]*U")
_NOT_A_PLACE = re.compile(rf"[,CJRAI:oWBU]|\Z|D[{FILL}]*P")
_MOVES = re.compile("[GUm]")
_REFERS = re.compile("[=<>pclr]")
_THEY = frozenset({"it", "they"})
_LEADING_IT = re.compile(rf"[{FILL}]*p(?=[BNmMGU{FILL}])")
_AGAIN = re.compile(r"[=<>](?![XPmMU])|(?<=D)(?<!ID)[lr](?=[BN])|(?<=J)p(?=[BN])")


def parse(sentence: Sentence, vocabulary: Vocabulary, known: Known, carried: Word | None) -> Parsed:
    """Settle what every chunk is; `carried` is the part that a leading "it" or "they" stands for."""
    chunks = sentence.chunks
    letters = [chunk.word.letter for chunk in chunks]
    codes = _codes(chunks) if sentence.coded else {}
    for at, unit in codes.items():
        letters[at] = "K" if unit else "A"
    line = "".join(letters)
    if _REFERS.search(line):
        chunks = list(chunks)
        _refer(letters, chunks, vocabulary, carried)
    moves, ways = _join(letters, chunks, vocabulary) if _MOVES.search(line) else ({}, {})
    named = {chunk.word.part for chunk in chunks if chunk.word.part}
    for at, letter in enumerate(letters):
        if letter in "mU":
            word = chunks[at].word
            lone = word.moves + _alone(word.ways, vocabulary)
            if lone and (not word.grammar or any(known(part, move) for part in named for move in lone)):
                letters[at], moves[at] = "M", (lone,)
            else:
                letters[at] = word.grammar or "A"
    line = "".join(letters).replace("c", "X")
    return Parsed(line, chunks, moves, ways, {at: unit for at, unit in codes.items() if unit}, sentence.asked)


def _refer(letters: list[str], chunks: list[Chunk], vocabulary: Vocabulary, carried: Word | None) -> None:
    """Let "it", "the other one" and "the corners" stand for a part, by the part that was named last."""
    line = "".join(letters)
    lead = _LEADING_IT.match(line) if carried else None
    if carried and lead and chunks[lead.end() - 1].text in _THEY:
        at = lead.end() - 1
        letters[at], chunks[at] = "P", chunks[at]._replace(word=carried)
    again = {found.start() for found in _AGAIN.finditer(line)}
    last = carried
    for at, chunk in enumerate(chunks):
        if last and at in again and (letters[at] != "p" or chunk.text in _THEY):
            letters[at], chunks[at] = "P", chunk._replace(word=last)
        elif last and letters[at] == "c":
            region = vocabulary.lexicon.parts[last.part].region
            meant = (name for name in chunk.word.bare if vocabulary.lexicon.parts[name].region == region)
            for name in meant:
                letters[at], chunks[at] = "P", chunk._replace(word=Word("P", part=name))
        last = chunks[at].word if letters[at] == "P" else last


def _join(
    letters: list[str], chunks: list[Chunk], vocabulary: Vocabulary
) -> tuple[dict[int, Moves], dict[int, tuple[int, ...]]]:
    """Put movers and ways together, and return the moves with the places of their ways.

    A mover without a way is a move by itself, or nothing.
    """
    moves, joined = dict[int, Moves](), dict[int, tuple[int, ...]]()
    for at, chunk in enumerate(chunks):
        if letters[at] == "G":
            ways = _ways(letters, at, chunks, vocabulary)
            lone = chunk.word.moves + _alone(chunk.word.movers, vocabulary)
            moves[at] = tuple((move, *lone) for move in ways.values()) or ((lone,) if lone else ())
            letters[at], joined[at] = "M" if moves[at] else "A", tuple(ways)
            for way in ways:
                letters[way] = "A"
    for at, letter in enumerate(letters):
        if letter in "mM":
            absorbed = _ABSORBED.match("".join(letters), at + 1)
            if absorbed and chunks[way := absorbed.end() - 1].text != "in":
                letters[way] = chunks[way].word.grammar or "A"
                joined[at] = (*joined.get(at, ()), way)
    return moves, joined


def _ways(letters: list[str], at: int, chunks: list[Chunk], vocabulary: Vocabulary) -> dict[int, str]:
    """Return the ways that belong to the mover at `at`, by their place, and the move each makes with it."""
    line = "".join(letters)
    found = dict[int, str]()
    step = _WAY.match(line, at + 1) or _WAY_AROUND.match(line, at + 1)
    while step:
        way = step.end() - 1
        move = _pair(chunks[at].word, chunks[way].word, vocabulary)
        if move is None or (chunks[way].text == "in" and not _NOT_A_PLACE.match(line, way + 1)):
            break
        found[way] = move
        step = _MORE_WAYS.match(line, way + 1)
    if not found and at and line[at - 1] == "U":
        move = _pair(chunks[at].word, chunks[at - 1].word, vocabulary)
        found = {at - 1: move} if move else {}
    return found


def _pair(mover: Word, way: Word, vocabulary: Vocabulary) -> str | None:
    made = (vocabulary.pairs.get((m, w)) for m in mover.movers for w in way.ways)
    return next((move for move in made if move), None)


def _alone(names: Sequence[str], vocabulary: Vocabulary) -> tuple[str, ...]:
    return tuple(move for name in names for move in vocabulary.alone.get(name, ()))


def _codes(chunks: list[Chunk]) -> dict[int, str]:
    """Return the units written as codes, by the place of their number, and "" for the words around them.

    "AU12", "AU 12", "action unit 12", and lists of numbers after either: "AUs 1, 2 and 4", "AU6+12".
    """
    codes = dict[int, str]()
    reading = False
    for at, chunk in enumerate(chunks):
        if chunk.text in ("au", "aus", "unit", "units") and (chunk.text[0] == "a" or chunks[at - 1].text == "action"):
            codes[at], reading = "", True
        elif reading and chunk.text.isdecimal():
            unit = f"AU{int(chunk.text)}" if len(chunk.text) < len("100") else ""
            codes[at] = unit if unit in load_units().units else ""
        elif chunk.word.letter not in (",", "C"):
            reading = False
    return codes
