"""The rationales themselves: how long they are, by teacher and by class, in which style, and how well grounded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

from ferbuild.builders import lift
from ferbuild.builders.errors import FerError
from ferbuild.builders.mark import Mark
from ferbuild.builders.reporting.balance import in_order
from ferbuild.builders.reporting.rows import NO_LABEL, firsts, frame, parts, short
from ferbuild.filters.claims import NOT_PROSE

WIDTHS = (1, 2, 5, 10, 20, 25, 50, 100, 200, 500)
"""Words that a bar of the histogram may span."""
BARS = 24
"""Bars, at most, but where even the widest are more."""
SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Of the rationales, those that are no longer than what is told of a class."""
TEACHERS = 12
PROSE = f"(?is){NOT_PROSE.pattern.replace('Z', 'z')}"
"""What is no prose, as polars writes it: the end of a text is spelt otherwise there."""


class Kind(NamedTuple):
    """What the report tells rationales apart by."""

    teacher: str
    style: str
    hinted: bool
    label: str
    words: int
    """Parted by spaces; tags and answer left out."""


def of(folder: Path, mark: Mark) -> dict[str, Any]:
    """Return lengths, styles and grounding of a cot dataset; FerError where a shard cannot be read."""
    rows = _counted(folder)
    teachers = _sums(rows, "teacher", "style")
    found, why = _grounding(folder) if rows else ([], "holds no rationale")
    return {
        "rationales": rows.total(),
        "styles": {style: count for (style,), count in sorted(_sums(rows, "style").items())},
        "hinted": sum(count for kind, count in rows.items() if kind.hinted),
        "truncated": mark.dropped.get("truncated", 0),
        "teachers": [
            _teacher(name, style, _words(rows, name, style)) for (name, style), _ in teachers.most_common(TEACHERS)
        ],
        "classes": [_class(label, _words(rows, label=label)) for label in in_order(kind.label for kind in rows)],
        "grounding": found,
        "not_grounded": why,
    }


def _counted(folder: Path) -> Counter[Kind]:
    """Return the rationales of each kind; no text is kept."""
    found: Counter[Kind] = Counter()
    for _, table in parts(folder, ("teacher", "style", "hinted", "canonical", "completion")):
        text = firsts(table["completion"], "content").str.replace_all(PROSE, " ")
        rows = frame(table.drop_columns("completion")).with_columns(words=text.str.count_matches(r"\S+"))
        for *kind, count in rows.group_by("teacher", "style", "hinted", "canonical", "words").len().iter_rows():
            teacher, style, hinted, label, words = kind
            found[Kind(short(teacher), short(style), hinted, short(label or NO_LABEL), words)] += count
    return found


def _sums(rows: Counter[Kind], *names: str) -> Counter[tuple[str, ...]]:
    """Return the rationales by some of what tells them apart."""
    found: Counter[tuple[str, ...]] = Counter()
    for kind, count in sorted(rows.items()):
        found[tuple(getattr(kind, name) for name in names)] += count
    return found


def _words(rows: Counter[Kind], teacher: str = "", style: str = "", label: str = "") -> dict[int, int]:
    """Return the rationales of each length, of a teacher in a style or of a label, the shortest first."""
    found: Counter[int] = Counter()
    for kind, count in rows.items():
        if (kind.teacher, kind.style) == (teacher or kind.teacher, style or kind.style) and kind.label == (
            label or kind.label
        ):
            found[kind.words] += count
    return dict(sorted(found.items()))


def _teacher(teacher: str, style: str, words: Mapping[int, int]) -> dict[str, Any]:
    width, bars = histogram(words)
    rows = sum(words.values())
    return {
        "teacher": teacher,
        "style": style,
        "rows": rows,
        "mean": round(sum(length * count for length, count in words.items()) / rows, 1),
        "median": quantile(words, 0.5),
        "least": min(words),
        "most": max(words),
        "width": width,
        "histogram": bars,
    }


def histogram(words: Mapping[int, int]) -> tuple[int, list[dict[str, int]]]:
    """Return the words that a bar spans, and the bars from the first to the last that holds a rationale."""
    least, most = min(words), max(words)
    width = next((one for one in WIDTHS if most // one - least // one < BARS), WIDTHS[-1])
    counts: Counter[int] = Counter()
    for length, count in words.items():
        counts[length // width] += count
    bars = range(least // width, most // width + 1)
    return width, [{"from": bar * width, "to": bar * width + width - 1, "rows": counts[bar]} for bar in bars]


def quantile(words: Mapping[int, int], share: float) -> int:
    """Return the length that `share`, 0..1, of the rationales do not surpass; `words` has the shortest first."""
    least = share * sum(words.values())
    return next(length for length, sofar in zip(words, accumulate(words.values()), strict=True) if sofar >= least)


def _class(label: str, words: Mapping[int, int]) -> dict[str, Any]:
    found = {f"p{round(100 * share)}": quantile(words, share) for share in SHARES}
    return {"label": label, "rows": sum(words.values())} | found


def _grounding(folder: Path) -> tuple[list[dict[str, Any]], str]:
    """Return what the claims are worth, teacher by teacher, or why that cannot be told."""
    try:
        return [lift.as_json(one) | {"dataset": folder.name} for one in lift.report([folder])], ""
    except FerError as err:
        return [], f"{err.problem}: {err.hint}" if err.hint else err.problem
