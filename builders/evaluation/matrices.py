"""The confusion matrices of a model, of each set, pooled and resampled, and the figures that follow from them.

Stands between what replies answer and the score: every way of reading has its own matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isnan
from typing import NamedTuple

import numpy as np

from ferbuild.builders.evaluation import metrics
from ferbuild.builders.evaluation.metrics import Counts, Shares
from ferbuild.builders.evaluation.reading import ALONE, Readings, canonical_of
from ferbuild.builders.record import CANONICAL
from ferbuild.filters.official import POOLED, UNKNOWN

STRICT, OFFICIAL, OFFICIAL_ALONE = "strict", "official", "official-sfew"
"""Ways of reading."""


class Measured(NamedTuple):
    """Figures by one way of reading."""

    values: Mapping[str, float | None]
    """accuracy, uar, precision, recall, f1: shares 0..1; None of no rows."""
    intervals: Mapping[str, tuple[float, float] | None]
    """Of each, 95 %."""
    n: int
    """Rows that count."""
    unknown: int
    """Of these, rows without an answer."""


class Drawn(NamedTuple):
    """The matrices by one way of reading: as they are, and resampled."""

    labels: Sequence[str]
    """The fixed set of labels."""
    names: Sequence[str]
    """Of the columns: the labels, what else was read, unknown. The rows are the labels (strict) or all of these."""
    counts: Counts
    again: Counts
    """(resamples, …)."""


def draw(readings: Readings, rows: Sequence[int], resamples: int, seed: tuple[int, int]) -> dict[str, Drawn]:
    """Return the matrices of one set by every way of reading; `rows` are the set's."""
    true = [readings.true[row] for row in rows]
    labels = list(dict.fromkeys(label for row in rows for label in readings.choices[row]))
    labels += sorted(set(true) - set(labels))
    clusters = [readings.clusters[row] for row in rows]
    ways: dict[str, list[str | None]] = {
        OFFICIAL: [readings.official[row] for row in rows],
        STRICT: [readings.said[row].label for row in rows],
    }
    if rows and readings.sets[rows[0]] == ALONE:
        ways[OFFICIAL_ALONE] = [readings.official_alone[row] for row in rows]
    found = {}
    for way, said in ways.items():
        strange = sorted({one for one in said if one} - {*labels, UNKNOWN})
        names = [*labels, *strange, UNKNOWN]
        height = _height(way, labels, names)
        number = {name: at for at, name in enumerate(names)}
        down, across = [number[one] for one in true], [number[one] if one else -1 for one in said]
        once = metrics.confusion(down, across, height, len(names))
        cells = [a * len(names) + b if b >= 0 else -1 for a, b in zip(down, across, strict=True)]
        again = metrics.resampled(cells, clusters, height * len(names), resamples, seed)
        found[way] = Drawn(labels, names, once, again.reshape(resamples, height, len(names)))
    return found


def pool(drawn: Mapping[str, Mapping[str, Drawn]]) -> dict[str, Drawn]:
    """Return the matrices of all sets together, each set resampled on its own, in the words that all share."""
    return {way: _summed(way, [one[way] for one in drawn.values()]) for way in (OFFICIAL, STRICT)}


def measured(way: str, drawn: Drawn) -> Measured:
    """Return the figures and their intervals."""
    values, again = _values(way, drawn.counts, drawn), _values(way, drawn.again, drawn)
    n = int(drawn.counts.sum())
    return Measured(
        {name: float(one) if n else None for name, one in values.items()},
        {name: metrics.ends(one) if n else None for name, one in again.items()},
        n,
        int(drawn.counts[:, -1].sum()),
    )


def mean(drawn: Mapping[str, Mapping[str, Drawn]]) -> dict[str, Measured]:
    """Return the mean of the sets' figures, each set resampled on its own; None where a set counts no row."""
    means = {}
    for way in (OFFICIAL, STRICT):
        parts = [one[way] for one in drawn.values()]
        once = [_values(way, part.counts, part) for part in parts]
        again = [_values(way, part.again, part) for part in parts]
        values = {name: float(np.mean([one[name] for one in once])) for name in (once[0] if once else ())}
        ends = {name: metrics.ends(np.mean([one[name] for one in again], axis=0)) for name in values}
        means[way] = Measured(
            {name: None if isnan(value) else value for name, value in values.items()},
            ends,
            sum(int(part.counts.sum()) for part in parts),
            sum(int(part.counts[:, -1].sum()) for part in parts),
        )
    return means


def _height(way: str, labels: Sequence[str], names: Sequence[str]) -> int:
    return len(labels) if way == STRICT else len(names)


def _summed(way: str, parts: Sequence[Drawn]) -> Drawn:
    shared = _shared(way)
    labels = _ordered({shared(label) for part in parts for label in part.labels})
    names = [*labels, *_ordered({shared(name) for part in parts for name in part.names} - {*labels, UNKNOWN}), UNKNOWN]
    number = {name: at for at, name in enumerate(names)}
    shape = (_height(way, labels, names), len(names))
    counts = np.zeros(shape, np.int64)
    again = np.zeros((len(parts[0].again) if parts else 0, *shape), np.int64)
    for part in parts:
        to = np.array([number[shared(name)] for name in part.names])
        for row, column in np.ndindex(*part.counts.shape):
            counts[to[row], to[column]] += part.counts[row, column]
            again[:, to[row], to[column]] += part.again[:, row, column]
    return Drawn(labels, names, counts, again)


def _shared(way: str) -> Callable[[str], str]:
    """Return what turns a set's word into the pooled one: the published script maps three, and leaves the rest."""
    return canonical_of if way == STRICT else lambda word: POOLED.get(word, word)


def _ordered(words: set[str]) -> list[str]:
    return [*(word for word in CANONICAL if word in words), *sorted(words - set(CANONICAL))]


def _values(way: str, counts: Counts, drawn: Drawn) -> dict[str, Shares]:
    """Return every figure of the matrices, in arrays of the leading shape.

    UAR is over the fixed labels, by every way of reading; so are the macro figures of strict. Those of the official way
    are over the labels that are true or predicted, unknown among them, as the published scripts have it.
    """
    found = metrics.on_labels(counts) if way == STRICT else metrics.on_seen(counts)
    uar = metrics.recall_on(counts, len(drawn.labels))
    return {
        "accuracy": found.accuracy,
        "uar": uar,
        "precision": found.precision,
        "recall": found.recall,
        "f1": found.f1,
    }
