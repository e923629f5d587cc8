"""Whether a rationale goes round in a loop, or says at length what it has said before.

Between a teacher's words and the checks of `trace`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

SHORT = 5
"""Words of the n-gram that any loop repeats: a text without one twice needs no closer look."""
LONGEST = 12
"""Words of the longest loop that is looked for."""
TIMES = ((4, 8), (3, 24))
"""A loop is so many times the same words in a row, over so many words in all."""


def distances(words: Sequence[str], size: int = SHORT) -> frozenset[int]:
    """Return how far apart, in words, the same `size` words in a row come again; of several times, each to the next."""
    grams = list(zip(*(words[at:] for at in range(size)), strict=False))
    if len(set(grams)) == len(grams):
        return frozenset()
    last: dict[tuple[str, ...], int] = {}
    found = set[int]()
    for at, gram in enumerate(grams):
        if gram in last:
            found.add(at - last[gram])
        last[gram] = at
    return frozenset(found)


def loops(words: Sequence[str], apart: Iterable[int]) -> bool:
    """Tell whether the same 1 to LONGEST words come again and again without others between.

    apart: their number, as `distances` finds it; no others need to be tried.
    """
    for period in sorted(period for period in apart if period <= LONGEST):
        run = longest = 0
        for word, earlier in zip(words[period:], words, strict=False):
            run = run + 1 if word == earlier else 0
            longest = max(longest, run)
        covered = longest + period
        if any(covered >= max(times * period, least) for times, least in TIMES):
            return True
    return False


def repeated_share(words: Sequence[str], size: int) -> float:
    """Return the share of characters, 0..1, in runs of `size` words that stood in the text before.

    The measure of Rae et al. 2021 (Gopher), table A1, "duplicate n-gram character fraction"; a run is counted once
    where runs overlap, and its first occurrence is not counted.
    """
    seen = set[tuple[str, ...]]()
    total = sum(map(len, words))
    again = at = 0
    while at + size <= len(words):
        gram = tuple(words[at : at + size])
        if gram in seen:
            again += sum(map(len, gram))
            at += size
        else:
            seen.add(gram)
            at += 1
    return again / total if total else 0.0
