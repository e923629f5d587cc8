"""How often a teacher agrees with the labels, class by class, and what it says instead.

All faces count to which a reply came, those that were kept and those that were dropped: of a dropped one the drop holds
the reply that came nearest, which is read as the filters read it. Left out is whatever tells nothing of the teacher's
own word: rows without a reply, rows that a hint was given for, and near copies, whose drop names another row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.compute as pc

from ferbuild.builders import shards
from ferbuild.builders.intervals import wilson
from ferbuild.builders.keep_rates import COPY
from ferbuild.builders.mark import Mark, Rows
from ferbuild.builders.reasons import TRACES
from ferbuild.builders.reporting.balance import in_order
from ferbuild.builders.reporting.rows import NO_LABEL, canonical, frame, parts, short, sources_of
from ferbuild.filters.answer import read
from ferbuild.manifests.schema import Source

NONE = "no answer"
"""What stands for a reply that answers nothing that counts."""
WORDLESS = ("teacher gave up", "not asked", COPY)
"""Reasons whose detail is no reply."""
AT_ONCE = 5_000
"""Texts that are in memory at a time."""

Pairs = Counter[tuple[str, str]]
"""Label and answer, both in the words that all sources share, to rows."""


def of(folder: Path, mark: Mark, known: Mapping[str, Source]) -> dict[str, Any]:
    """Return agreement, confusion and keep rates of a cot dataset; FerError where a shard cannot be read."""
    kept, hinted = _kept(folder, known)
    lost, wordless = _lost(folder, known)
    pairs = kept + lost
    labels = in_order(label for label, _ in pairs)
    answers = [one for one in in_order(answer for _, answer in pairs) if one != NONE] + [NONE]
    return {
        "teachers": _teachers(folder),
        "answered": pairs.total(),
        "agreeing": sum(count for (label, answer), count in pairs.items() if label == answer),
        "left_out": {"hinted": hinted, **wordless},
        "classes": [_class(label, pairs, kept) for label in labels],
        "confusion": {
            "labels": labels,
            "answers": answers,
            "counts": [[pairs[label, answer] for answer in answers] for label in labels],
        },
        "keep_rates": {name: rates(mark.tables.get("keep rate", ()), name) for name in ("source", "size")},
    }


def _teachers(folder: Path) -> list[str]:
    found: set[str] = set()
    for _, table in parts(folder, ("teacher",)):
        found |= {short(name) for name in pc.unique(table["teacher"]).to_pylist()}
    return sorted(found)


def _kept(folder: Path, known: Mapping[str, Source]) -> tuple[Pairs, int]:
    """Return what the kept rows answer, and how many are left out since the teacher was told the label."""
    pairs, hinted = Pairs(), 0
    for _, table in parts(folder, ("canonical", "answer", "hinted", "faces")):
        rows = frame(table.drop_columns("faces")).with_columns(source=sources_of(table))
        hinted += int(rows["hinted"].sum())
        for label, answer, source, count in _by_answer(rows.filter(~pl.col("hinted"))):
            said = canonical(answer, source, known) if answer else NONE
            pairs[short(label or NO_LABEL), short(said)] += count
    return pairs, hinted


def _by_answer(rows: pl.DataFrame) -> Iterator[tuple[str, str | None, str, int]]:
    yield from rows.group_by("canonical", "answer", "source").len().iter_rows()


def _lost(folder: Path, known: Mapping[str, Source]) -> tuple[Pairs, dict[str, int]]:
    """Return what the dropped rows answer, and how many of each reason are no replies."""
    pairs, wordless = Pairs(), Counter[str]()
    for table in shards.read_drops(folder):
        columns = table.select(["source", "label", "reason", "detail"])
        for batch in columns.to_batches(max_chunksize=AT_ONCE):
            for source, label, reason, detail in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                if reason in WORDLESS or reason not in TRACES:
                    wordless[reason] += 1
                else:
                    pairs[canonical(label, source, known), _said(detail, source, known)] += 1
    named = Pairs({(short(label), answer): count for (label, answer), count in pairs.items()})
    return named, {short(reason): count for reason, count in sorted(wordless.items())}


def _said(text: str, source: str, known: Mapping[str, Source]) -> str:
    """Return the shared word for what a reply answers; NONE where nothing counts."""
    label = read(text, known[source].candidates).label if source in known else None
    return canonical(label, source, known) if label else NONE


def _class(label: str, pairs: Pairs, kept: Pairs) -> dict[str, Any]:
    """Return the agreement of a label with both ends of its 95 % interval, and the share that was kept."""
    own = {answer: count for (one, answer), count in pairs.items() if one == label}
    rows, agreeing = sum(own.values()), own.get(label, 0)
    low, high = wilson(agreeing / rows, rows)
    stayed = sum(count for (one, _), count in kept.items() if one == label)
    return {
        "label": label, "rows": rows, "agreeing": agreeing, "share": agreeing / rows, "low": low, "high": high,
        "kept": stayed,
    }  # fmt: skip


def rates(rows: Rows, name: str) -> list[dict[str, Any]]:
    """Return the keep rates of a stage by label and `name`, summed over all else."""
    asked, kept = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for row in rows:
        cell = str(row["canonical"]), str(row[name])
        asked[cell] += int(row["in"])
        kept[cell] += int(row["kept"])
    ordered = sorted(asked, key=lambda cell: (*_first_number(cell[1]), cell[1]))
    return [
        {"canonical": short(label), name: short(value), "in": asked[label, value], "kept": kept[label, value]}
        for label in in_order(label for label, _ in asked)
        for value in dict.fromkeys(value for _, value in ordered)
        if (label, value) in asked
    ]


def _first_number(text: str) -> tuple[int, int]:
    """Return what puts "64-127 px" before "128-255 px"."""
    digits = text.partition("-")[0].partition(" ")[0]
    return (0, int(digits)) if digits.isdecimal() else (1, 0)
