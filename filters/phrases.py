"""From a rationale to its sentences, and in each the words that matter: parts of the face, moves, negations, …

First step of the claim reader. A sentence becomes a string with one letter a chunk, so that what comes after can
describe grammar by regular expressions over letters; LETTERS says what they stand for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ferbuild.manifests.lexicon import Lexicon, inflect, spell_out

LETTERS: Mapping[str, str] = {
    "definite": "D", "indefinite": "d", "pronoun": "p", "be": "B", "have": "H", "and": "C", "or": "o", "of": "O",
    "at": "I", "with": "W", "relative": "R", "contrast": "J", "this face": "j", "visible": "v", "filler": "A", "not": "N",
    "without": "Q", "no sign": "n", "absent": "Z", "degree": "x", "maybe": "T", "unsure": "Y", "unlike": "L",
    "elsewhere": "e", "other person": "q", "relation": "k", "emotion": "E", "involves": "g", "human": "h",
    "left": "l", "right": "r", "viewer left": "a", "viewer right": "b", "one": "1", "both": "2", "slight": "s",
    "strong": "t", "again": "=", "again left": "<", "again right": ">",
}  # fmt: skip
"""Besides: P a part, M a move, F a phrase that claims by itself, K a unit's code, `,` `:` and `"`, X any other word."""

PLACES = "M", "F", "K"
FILL = "AjstvlrabxE12"
"""What may stand between a part and its move without parting them."""


class Word(NamedTuple):
    """What a word, or several in a row, can be; most are only one of these."""

    letters: str = ""
    """Its letters of grammar, the first one first."""
    part: str = ""
    entries: tuple[int, ...] = ()
    """Entries of the lexicon whose fixed phrase it is."""
    moves: tuple[str, ...] = ()
    movers: tuple[str, ...] = ()
    ways: tuple[str, ...] = ()
    spot: tuple[str, str] = ("", "")
    """A part, and the part of it that is meant."""
    bare: tuple[str, ...] = ()
    """Parts that are meant where another part of their region was named before."""
    idiom: bool = False


class Chunk(NamedTuple):
    """A word of the lexicon, or one it does not know, in a rationale."""

    word: Word
    text: str
    """In small letters, words parted by one space."""
    start: int
    end: int


class Sentence(NamedTuple):
    chunks: list[Chunk]
    asked: bool
    """It is a question."""


class Vocabulary(NamedTuple):
    """The lexicon made ready for reading."""

    lexicon: Lexicon
    tree: dict[str, Any]
    """Word to the tree of the words that can follow; under "" what the words so far mean."""
    heads: frozenset[str]
    """First words of what a claim needs: a sentence without any claims nothing."""
    pairs: Mapping[tuple[str, str], str]
    """(mover, way) to the move they make."""
    alone: Mapping[str, tuple[str, ...]]
    """Mover or way to the moves it can be by itself."""


_CUT = re.compile(
    r"<answer\s*>.*?(?:</answer\s*>|\Z)|<[^<>]{0,40}>|[.!?]+(?=[\s\"'”’)*_<]|\Z)|;|\n\s*\n|\n(?=\s*[^a-z\s])",
    re.IGNORECASE | re.DOTALL,
)
_TOKEN = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*|\d+|[,()—–:/\"+&-]")
_EVEN = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "*": " ", "_": " ", "`": " ", "#": " ", "‑": "-"})
_HYPHEN = re.compile(r"(?<=[^\W\d_])-(?=[^\W\d_])")
_SIGNS = {",": ",", "—": ",", "–": ",", "-": ",", "/": ",", ":": ":", '"': '"', "(": "A", ")": "A", "+": "C"}
_UNKNOWN = {letter: Word(letter) for letter in "XAD,:\""}
_BEFORE_NAME = frozenset("of between from to under below beneath above around reach reaches reaching reached".split())
_IT = frozenset({"it", "they"})
_SKIPPED = frozenset("the his her their its a both this these one your my left right".split())


def sentences(text: str, vocabulary: Vocabulary) -> Iterator[Sentence]:
    """Yield the sentences of `text` that could claim something; what stands in an answer block is not looked at."""
    even = text.translate(_EVEN)
    if "-" in even:
        even = _HYPHEN.sub(" ", even)
    start = 0
    for cut in _CUT.finditer(even):
        yield from _sentence(even, start, cut.start(), "?" in cut[0], vocabulary)
        start = cut.end()
    yield from _sentence(even, start, len(even), False, vocabulary)


def _sentence(text: str, start: int, end: int, asked: bool, vocabulary: Vocabulary) -> Iterator[Sentence]:
    """Yield the sentence between two characters, if there is a word in it that a claim could rest on."""
    found = list(_TOKEN.finditer(text, start, end))
    words = [token[0].casefold() for token in found]
    if not (vocabulary.heads.isdisjoint(words) and _IT.isdisjoint(words[:4])):
        chunks = [
            Chunk(word, " ".join(words[i:j]), found[i].start(), found[j - 1].end())
            for word, i, j in _chunks(words, vocabulary.tree)
        ]
        yield Sentence(chunks, asked)


def _chunks(words: list[str], tree: dict[str, Any]) -> Iterator[tuple[Word, int, int]]:
    """Yield the longest known phrases from left to right, and the unknown words between them."""
    at = 0
    while at < len(words):
        node = tree.get(words[at])
        word, end = (_longest(words, at, node) if node else None) or (_unknown(words[at]), at + 1)
        yield word, at, end
        at = end


def _longest(words: list[str], at: int, node: dict[str, Any]) -> tuple[Word, int] | None:
    best = (node[""], at + 1) if "" in node else None
    named = words[at] in _BEFORE_NAME
    for here in range(at + 1, len(words)):
        word = words[here]
        following = node.get(word)
        if following is None:
            if named and (word in _SKIPPED or word.endswith("'s")):
                continue
            break
        node, named = following, word in _BEFORE_NAME
        if "" in node:
            best = (node[""], here + 1)
    return best


def _unknown(word: str) -> Word:
    if word in _SIGNS:
        return _UNKNOWN[_SIGNS[word]]
    if word.endswith("ly"):
        return _UNKNOWN["A"]
    return _UNKNOWN["D" if word.endswith("'s") else "X"]


def compiled(lexicon: Lexicon) -> Vocabulary:
    """Make a lexicon ready for reading."""
    tree: dict[str, Any] = {}
    heads = {"au", "aus", "action"}
    for phrase, word in _meanings(lexicon):
        if word.part or word.entries:
            heads.add(phrase[0])
        _plant(tree, phrase, word)
    pairs = dict[tuple[str, str], str]()
    alone = dict[str, tuple[str, ...]]()
    for name, move in lexicon.moves.items():
        for pair in move.pairs:
            mover, _, way = pair.partition(" ")
            pairs[mover, way] = name
        for word in move.alone:
            alone[word] = (*alone.get(word, ()), name)
    return Vocabulary(lexicon, tree, frozenset(heads), pairs, alone)


def _plant(tree: dict[str, Any], phrase: tuple[str, ...], word: Word) -> None:
    """Put a meaning into the tree, beside what the same words can mean already."""
    for part in phrase:
        tree = tree.setdefault(part, {})
    old: Word = tree.get("", Word())
    tree[""] = Word(
        old.letters + word.letters,
        old.part or word.part,
        old.entries + word.entries,
        old.moves + word.moves,
        old.movers + word.movers,
        old.ways + word.ways,
        word.spot if word.spot[0] else old.spot,
        old.bare + word.bare,
        old.idiom or word.idiom,
    )


def _meanings(lexicon: Lexicon) -> Iterator[tuple[tuple[str, ...], Word]]:
    """Yield every word sequence of the lexicon with one thing it can be."""
    for key, phrases in lexicon.grammar.items():
        yield from _spelt(lexicon, phrases, Word(letters=LETTERS[key]), f"grammar.{key}")
    for name, part in lexicon.parts.items():
        yield from _spelt(lexicon, part.names, Word(part=name), f"parts.{name}")
        yield from _spelt(lexicon, part.bare, Word("X", bare=(name,)), f"parts.{name}.bare")
        yield from _spelt(lexicon, part.spots, Word("A", spot=(part.of, name)), f"parts.{name}.spots")
    for name, move in lexicon.moves.items():
        forms = {*move.words, *(form for verb in move.verbs for form in inflect(verb))}
        yield from _spelt(lexicon, sorted(forms), Word(moves=(name,)), f"moves.{name}")
    for name, mover in lexicon.movers.items():
        forms = {*mover.words, *(form for verb in mover.verbs for form in inflect(verb))}
        yield from _spelt(lexicon, sorted(forms), Word(movers=(name,)), f"movers.{name}")
    for name, ways in lexicon.ways.items():
        yield from _spelt(lexicon, ways, Word(ways=(name,)), f"ways.{name}")
    for number, entry in enumerate(lexicon.entries):
        yield from _spelt(lexicon, entry.words, Word(entries=(number,)), f"entry {number + 1}")
    yield from _spelt(lexicon, lexicon.idioms, Word(idiom=True), "idioms")


def _spelt(lexicon: Lexicon, phrases: list[str], word: Word, where: str) -> Iterator[tuple[tuple[str, ...], Word]]:
    for phrase in dict.fromkeys(phrases):
        for words in spell_out(phrase, lexicon.groups, f"lexicon.yaml: {where}"):
            yield words, word
