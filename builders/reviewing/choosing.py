"""Which rows of a catalogue are shown: by their columns, by words in their texts, and by what was decided of them.

Stands between the catalogue and the page. A search reads the mapped texts once and is remembered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from ferbuild.builders.reviewing.catalogue import CHOSEN_BY, Catalogue, texts

Mask = npt.NDArray[np.bool_]
REMEMBERED = 16
"""Searches whose rows are remembered."""
THREADS = 4
STATES = ("undecided", "decided")
DISPUTES = ("open", "settled")
MODES: Mapping[str, tuple[str, ...]] = {
    "state": STATES,
    "decision": ("accept", "reject", "relabel"),
    "dispute": DISPUTES,
}
"""What rows are chosen by that a reviewer did, with the values of each: whether this reviewer decided, and how; whether
several disagree about it, or did before somebody settled it."""


class Query(NamedTuple):
    """What rows must be like; what is empty asks for nothing."""

    columns: Mapping[str, frozenset[str]] = {}
    """Of CHOSEN_BY: the values that may stand there; "" is a null."""
    low: float | None = None
    """Least agreement, 0..1."""
    high: float | None = None
    text: str = ""
    """Words that stand in some text of the row just so, in letters of either case."""
    state: str = ""
    decision: str = ""
    dispute: str = ""

    @property
    def by_columns(self) -> tuple[Any, ...]:
        """What of it depends on the catalogue alone."""
        return tuple(sorted(self.columns.items())), self.low, self.high, self.text


def query_of(words: Mapping[str, list[str]]) -> Query:
    """Return the query of the parameters of an address. ValueError where one of them has no such value."""
    columns = {name: frozenset(words[name]) for name in CHOSEN_BY if words.get(name)}
    chosen = {name: (words.get(name) or [""])[0] for name in MODES}
    for name, value in chosen.items():
        if value and value not in MODES[name]:
            raise ValueError(f"{name} is one of {', '.join(MODES[name])}")
    low, high = (_share(words, name) for name in ("low", "high"))
    return Query(columns, low, high, (words.get("text") or [""])[0], **chosen)


def _share(words: Mapping[str, list[str]], name: str) -> float | None:
    said = (words.get(name) or [""])[0]
    value = float(said) if said else None
    if value is not None and not 0 <= value <= 1:
        raise ValueError(f"{name} is a share from 0 to 1")
    return value


class Chooser:
    """Finds rows by their columns and texts, and remembers the last searches."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._found = lru_cache(REMEMBERED)(self._search)

    def mask(self, query: Query) -> Mask:
        """Return of every row whether columns and texts are as asked; what was decided is not looked at."""
        found = np.ones(len(self.catalogue), np.bool_)
        rows = self.catalogue.rows
        for name, values in query.columns.items():
            if name not in rows.columns:
                return np.zeros(len(rows), np.bool_)
            found &= rows[name].cast(pl.String).fill_null("").is_in(sorted(values)).to_numpy()
        if (query.low, query.high) != (None, None):
            if "agreement" not in rows.columns:
                return np.zeros(len(rows), np.bool_)
            wanted = pl.col("agreement").is_between(query.low or 0.0, 1.0 if query.high is None else query.high)
            found &= rows.select(wanted.fill_null(value=False)).to_series().to_numpy()
        return found & self._found(query.text.casefold()) if query.text else found

    def _search(self, text: str) -> Mask:
        with ThreadPoolExecutor(THREADS) as pool:
            parts = list(pool.map(lambda file: self._hits(file, text), range(len(self.catalogue.files))))
        return np.concatenate(parts)

    def _hits(self, file: int, text: str) -> Mask:
        table: pa.Table = self.catalogue.opened(file)
        found = np.zeros(table.num_rows, np.bool_)
        pattern = f"(?i){re.escape(text)}"
        for one in texts(table, self.catalogue.kind):
            values = pl.Series(pl.from_arrow(one.values))
            hits = values.str.contains(pattern).fill_null(value=False).arg_true().to_numpy()
            found[np.searchsorted(one.starts, hits, side="right") - 1] = True
        return found
