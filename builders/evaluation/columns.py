"""The columns of the tables that show a score, cell by cell as text.

Stands between the wording of `figures` and the two forms of `tables`, terminal and Markdown, which differ in nothing
but how a table is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ferbuild.builders.evaluation.figures import (
    CLIPS,
    FLIPPED,
    NONE,
    PAIRED,
    POOLED,
    RATES,
    Found,
    Line,
    beyond_chance,
    chance,
    dollars,
    interval_of,
    percent,
    plain,
    readings,
    signed,
    span,
    told,
    told_span,
)

GAP = 2
"""Spaces between two columns on a terminal."""
METRICS = {"accuracy": "accuracy", "uar": "UAR", "precision": "precision", "recall": "recall", "f1": "F1"}
"""Of a reading, and their names in a head."""
CALIBRATED = {"agreement": "mean agreement", "accuracy": "accuracy"}
"""Of a bin, likewise."""


class Column(NamedTuple):
    """A column of a table; its figures stand to the right."""

    head: str
    cells: Sequence[str]

    @property
    def width(self) -> int:
        """Letters on a terminal, with the gap before it."""
        return max(map(len, (self.head, *self.cells))) + GAP


Table = Sequence[Column]
"""Names first, then figures."""


class Part(NamedTuple):
    """A titled table, and what must be known of it."""

    title: str
    table: Table
    notes: Sequence[str] = ()
    named: int = 1
    """How many columns name the rows."""


def names(rows: Sequence[Line], head: str = "") -> Column:
    return Column(head, [plain(line.name) for line in rows])


def scores(rows: Sequence[Line]) -> Table:
    """Return how good the model is, by the strict reading first."""
    strict = [line.strict for line in rows]
    return [
        Column("n", [f"{one['n']:,}" for one in strict]),
        Column("accuracy", [percent(one["accuracy"]) for one in strict]),
        Column("95 % interval", [span(interval_of(one, "accuracy")) for one in strict]),
        Column("UAR", [percent(one["uar"]) for one in strict]),
        Column("macro F1", [percent(one["f1"]) for one in strict]),
        Column("official", [percent(line.official["accuracy"]) for line in rows]),
        Column("difference", [signed(line.difference) for line in rows]),
    ]


def around(rows: Sequence[Line]) -> Table:
    """Return what stands around the figures: baselines, the human ceiling, and replies that could not be used."""
    return [
        *(Column(name, [percent(line.baseline(name)) for line in rows]) for name in ("majority", "random")),
        Column("ceiling", [percent(line.ceiling["accuracy"]) if line.ceiling else NONE for line in rows]),
        *(Column(name, [percent(line.rate(name)) for line in rows]) for name in RATES),
    ]


def more(found: Found) -> Iterator[Part]:
    """Yield what only some scores have."""
    if found.get("paired"):
        yield Part("beside other models, on the rows that both have", _paired(found["paired"]), [PAIRED, CLIPS], 2)
    if found.get("robustness"):
        yield Part("the same faces, asked or shown in another way", _robustness(found["robustness"]), [FLIPPED])
    if found.get("rationales"):
        yield Part("reasoning", _rationales(found["rationales"]), found.get("notes", ()))
    spent = {name: one for name, one in found["sets"].items() if one.get("tokens") or one.get("cost") is not None}
    if spent:
        yield Part("spent", _spent(_with_pooled(spent, found)))
    several = {name: one for name, one in _with_pooled(found["sets"], found).items() if one.get("pass_at")}
    if several:
        yield Part("of several samples", _several(several))


def _with_pooled(sets: Mapping[str, Found], found: Found) -> dict[str, Found]:
    """Return the sets, and all pooled where they are several."""
    return {**sets, **({POOLED: found["pooled"]} if len(sets) > 1 else {})}


def _paired(rows: Sequence[Found]) -> Table:
    return [
        Column("other", [plain(one["other"]) for one in rows]),
        Column("set", [one["set"] for one in rows]),
        Column("rows", [f"{one['n']:,}" for one in rows]),
        Column("difference", [signed(one["difference"]) for one in rows]),
        Column("95 % interval", [span((one["low"], one["high"]), differ=True) for one in rows]),
        Column("p", [chance(one["p"]) for one in rows]),
        Column("p (Holm)", [chance(one["p_holm"]) for one in rows]),
        Column("beyond chance", [beyond_chance(one) for one in rows]),
        Column("smallest shown", [percent(one["smallest"]) for one in rows]),
    ]


def _robustness(rows: Sequence[Found]) -> Table:
    return [
        Column("variant", [plain(one["variant"]) for one in rows]),
        Column("rows", [f"{one['rows']:,}" for one in rows]),
        Column("left out", [f"{one['left_out']:,}" for one in rows]),
        Column("flips", [f"{one['flips']:,}" for one in rows]),
        Column("flip rate", [percent(one["flip_rate"]) for one in rows]),
        Column("95 % interval", [span((one["low"], one["high"])) for one in rows]),
        Column("accuracy after", [percent(one["accuracy"]) for one in rows]),
        Column("before", [percent(one["accuracy_base"]) for one in rows]),
    ]


def _rationales(named: Mapping[str, Found]) -> Table:
    return [
        Column("figure", [*named]),
        Column("value", [told(name, one) for name, one in named.items()]),
        Column("95 % interval", [told_span(name, one) for name, one in named.items()]),
        Column("n", [f"{one['n']:,}" for one in named.values()]),
    ]


def _several(sets: Mapping[str, Found]) -> Table:
    passed = [[*one["pass_at"].values()] for one in sets.values()]
    return [
        Column("set", [*sets]),
        Column("samples", [f"{one['samples']}" for one in sets.values()]),
        Column("one is right", [percent(shares[0]) for shares in passed]),
        Column("any is right", [percent(shares[-1]) for shares in passed]),
        Column("calibration error", [percent((one["calibration"] or {}).get("ece")) for one in sets.values()]),
    ]


def _spent(sets: Mapping[str, Found]) -> Table:
    tokens = [one.get("tokens") or {} for one in sets.values()]
    return [
        Column("set", [*sets]),
        Column("tokens read", [f"{one['read']:,}" if one else NONE for one in tokens]),
        Column("written", [f"{one['written']:,}" if one else NONE for one in tokens]),
        Column("cost", [dollars(one.get("cost")) for one in sets.values()]),
        Column("samples", [f"{one['samples']}" for one in sets.values()]),
    ]


def ways(one: Found) -> Table:
    """Return every figure of a set by every way of reading, with its interval."""
    found = {way: one[way] for way in readings(one)}
    return [
        Column("reading", [*found]),
        Column("n", [f"{by['n']:,}" for by in found.values()]),
        *(Column(head, [_with_interval(by, name) for by in found.values()]) for name, head in METRICS.items()),
    ]


def _with_interval(by: Found, name: str) -> str:
    ends = interval_of(by, name)
    return percent(by[name]) + (f" ({span(ends)})" if ends else "")


def classes(one: Found) -> Table:
    rows = one["per_class"]
    return [
        Column("label", [row["label"] for row in rows]),
        *(Column(METRICS[what], [percent(row[what]) for row in rows]) for what in ("recall", "precision", "f1")),
        Column("n", [f"{row['n']:,}" for row in rows]),
    ]


def confusion(one: Found) -> Table:
    """Return the true labels and, in a column an answer, how often it was given to each."""
    grid = one["confusion"]
    columns = zip(grid["columns"], zip(*grid["counts"], strict=True), strict=True)
    return [Column("true", grid["rows"]), *(Column(head, [f"{n:,}" for n in counts]) for head, counts in columns)]


def calibration(found: Found) -> Table:
    bins = [part for part in found["bins"] if part["n"]]
    return [
        Column("agreement from", [percent(part["low"], 0) for part in bins]),
        Column("to", [percent(part["high"], 0) for part in bins]),
        *(Column(head, [percent(part[what]) for part in bins]) for what, head in CALIBRATED.items()),
        Column("n", [f"{part['n']:,}" for part in bins]),
    ]
