"""Which topics a rationale speaks of: the phrases of `wording.yaml`, found in one pass over its words.

Between a teacher's prose and the checks of `trace`; the lists are data, this module only finds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any, NamedTuple

from ferbuild.filters.prose import tokens
from ferbuild.manifests.lexicon import spell_out
from ferbuild.manifests.wording import Wording, load_wording


class Found(NamedTuple):
    """A phrase of a topic, by its words: `end` is one past the last."""

    topic: str
    start: int
    end: int


Tree = dict[str, Any]
"""Word to the tree of the words that can follow; under "" the topics of the words so far, each with "is it `but`"."""


@lru_cache(maxsize=4)  # every check of a row asks for the same reply
def topics(reply: str) -> frozenset[str]:
    """Return the topics of which a reply speaks outside its answer."""
    return frozenset(found.topic for found in find(tokens(reply), shipped()))


def find(said: Sequence[str], tree: Tree) -> list[Found]:
    """Return the phrases in `said` that no `but` phrase of their topic overlaps, in order."""
    hits = list[Found]()
    excepted = set[tuple[str, int]]()
    for start, word in enumerate(said):
        node = tree.get(word)
        end = start
        while node is not None:
            end += 1
            for topic, but in node.get("", ()):
                if but:
                    excepted.update((topic, at) for at in range(start, end))
                else:
                    hits.append(Found(topic, start, end))
            node = node.get(said[end]) if end < len(said) else None
    if not excepted:
        return hits
    return [hit for hit in hits if not any((hit.topic, at) in excepted for at in range(hit.start, hit.end))]


@cache
def shipped() -> Tree:
    """Return the tree of the shipped lists; built once a process."""
    return tree_of(load_wording())


def tree_of(wording: Wording) -> Tree:
    """Return the tree of all phrases; FerError for a group that is not there."""
    tree: Tree = {}
    for topic, listed in wording.topics.items():
        for phrases, but in ((listed.says, False), (listed.but, True)):
            for phrase in phrases:
                for said in spell_out(phrase, wording.groups, f"wording.yaml: {topic}"):
                    _plant(tree, said, topic, but)
    return tree


def _plant(tree: Tree, said: Sequence[str], topic: str, but: bool) -> None:
    node = tree
    for word in said:
        node = node.setdefault(word, {})
    if (topic, but) not in (marks := node.setdefault("", [])):
        marks.append((topic, but))
