"""From a rationale to its sentences, and in each the words that matter: parts of the face, moves, negations, …

First step of the claim reader. A sentence becomes a string with one letter a chunk, so that what comes after can
describe grammar by regular expressions over letters; LETTERS says what they stand for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ferbuild.manifests.lexicon import Lexicon

LETTERS: Mapping[str, str] = {
    "definite": "D", "indefinite": "d", "pronoun": "p", "be": "B", "have": "H", "and": "C", "or": "o", "of": "O",
    "at": "I", "with": "W", "relative": "R", "contrast": "J", "this face": "j", "visible": "v", "filler": "A",
    "not": "N", "without": "Q", "no sign": "n", "absent": "Z", "degree": "x", "maybe": "T", "unsure": "Y",
    "unlike": "L", "elsewhere": "e", "other person": "q", "relation": "k", "emotion": "E", "involves": "g",
    "human": "h", "left": "l", "right": "r", "viewer left": "a", "viewer right": "b", "one": "1", "both": "2",
    "slight": "s", "strong": "t", "again": "=", "again left": "<", "again right": ">",
}  # fmt: skip
"""Besides: P a part, M a move, F a phrase that claims by itself, K a unit's code, `,` `:` and `"`, X any other word."""

FILL = "AjstvlrabxE12"
"""What may stand between a part and its move without parting them."""


class Word(NamedTuple):
    """What a word, or several in a row, can be; most are only one of these."""

    letter: str
    """What it is by itself; `m` for a move or grammar, G a mover, U a way, `c` one of the `bare` names."""
    grammar: str = ""
    """What else it is where it is no move."""
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


class Chunk(NamedTuple):
    """A word of the lexicon, or one it does not know, in a rationale."""

    word: Word
    text: str
    """In small letters, words parted by one space."""
    first: int
    """Its first word by number; `end` is one past the last."""
    end: int


class Sentence(NamedTuple):
    text: str
    """The whole text it stands in, in small letters."""
    start: int
    end: int
    chunks: list[Chunk]
    asked: bool
    """It is a question."""
    coded: bool
    """It may name units by their codes."""


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
    r"<answer\s*>.*?(?:</answer\s*>|\Z)|<[^<>]{0,40}>|(?<![.!?])[.!?]++(?=[\s\"'”’)*_<]|\Z)|;|\n\s*\n|\n(?=\s*[^a-z\s])",
    re.IGNORECASE | re.DOTALL,
)
_TOKEN = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*|\d+|[,()—–:/\"+&-]")
EVEN = str.maketrans({"’": "'", "‘": "'", "“": '"', "”": '"', "*": " ", "_": " ", "`": " ", "#": " ", "‑": "-"})
_HYPHEN = re.compile(r"(?<=[^\W\d_])-(?=[^\W\d_])")
_SIGNS = {",": ",", "—": ",", "–": ",", "-": ",", "/": ",", ":": ":", '"': '"', "(": "A", ")": "A", "+": "C"}
_UNKNOWN = {letter: Word(letter, letter) for letter in 'XAD,:"C'}
_LONGEST = 200
_CODED = frozenset({"au", "aus", "action"})
_BEFORE_NAME = frozenset(
    {
        "of",
        "between",
        "from",
        "to",
        "under",
        "below",
        "beneath",
        "above",
        "around",
        "reach",
        "reaches",
        "reaching",
        "reached",
    }
)
_IT = frozenset({"it", "they"})
_SKIPPED = frozenset(
    {"the", "his", "her", "their", "its", "a", "both", "this", "these", "one", "your", "my", "left", "right"}
)


def sentences(text: str, vocabulary: Vocabulary) -> Iterator[Sentence]:
    """Yield the sentences of `text` that could claim something; what stands in an answer block is not looked at."""
    even = text.translate(EVEN)
    if "-" in even:
        even = _HYPHEN.sub(" ", even)
    small = even.lower()
    if len(small) != len(text):  # offsets must hold: some capitals have two letters as their small form
        small = "".join(letter.lower()[:1] for letter in even)
    start = 0
    for cut in _CUT.finditer(even):
        yield from _sentence(small, start, cut.start(), "?" in cut[0], vocabulary)
        start = cut.end()
    yield from _sentence(small, start, len(even), False, vocabulary)


def offsets(sentence: Sentence) -> list[tuple[int, int]]:
    """Return where each word of the sentence begins and ends in the text."""
    return [token.span() for token in _TOKEN.finditer(sentence.text, sentence.start, sentence.end)]


def _sentence(text: str, start: int, end: int, asked: bool, vocabulary: Vocabulary) -> Iterator[Sentence]:
    """Yield the sentence between two characters, if there is a word in it that a claim could rest on.

    More than _LONGEST words are no sentence, and are cut.
    """
    words = _TOKEN.findall(text, start, end)
    if vocabulary.heads.isdisjoint(words) and _IT.isdisjoint(words[:4]):
        return
    coded = not _CODED.isdisjoint(words)
    if len(words) <= _LONGEST:
        yield Sentence(text, start, end, _chunks(words, vocabulary.tree), asked, coded)
        return
    places = [token.span() for token in _TOKEN.finditer(text, start, end)]
    for first in range(0, len(words), _LONGEST):
        piece, spots = words[first : first + _LONGEST], places[first : first + _LONGEST]
        yield Sentence(text, spots[0][0], spots[-1][1], _chunks(piece, vocabulary.tree), asked, coded)


def _chunks(words: list[str], tree: dict[str, Any]) -> list[Chunk]:
    """Return the longest known phrases from left to right, and the unknown words between them."""
    chunks = []
    at, last = 0, len(words)
    while at < last:
        said = words[at]
        node = tree.get(said)
        word, end = None, at + 1
        if node:
            word = node.get("")
            if end < last and (len(node) > 1 or word is None) and (words[end] in node or said in _BEFORE_NAME):
                word, end = _longest(words, at, node)
        if end > at + 1:
            said = " ".join(words[at:end])
        chunks.append(Chunk(word or _unknown(said), said, at, end))
        at = end
    return chunks


def _longest(words: list[str], at: int, node: dict[str, Any]) -> tuple[Word | None, int]:
    """Return the longest phrase that begins at `at` and where it ends."""
    best, end = node.get(""), at + 1
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
            best, end = node[""], here + 1
    return best, end


def _unknown(word: str) -> Word:
    if word in _SIGNS:
        return _UNKNOWN[_SIGNS[word]]
    if word.endswith("ly"):
        return _UNKNOWN["A"]
    return _UNKNOWN["D" if word.endswith("'s") else "X"]
