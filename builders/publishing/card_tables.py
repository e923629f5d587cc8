"""Figures as Markdown: tables, and bars of block characters beside them.

Bars are text and no pictures: they need no file in the repository, show in a diff and a terminal as on the Hub, stand
beside the number that a screen reader reads, and are the same bytes wherever they are made.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

WIDTH = 24
"""Characters of the longest bar."""
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def table(rows: Sequence[Mapping[str, Any]], bar: str = "") -> str:
    """Return rows of the same names as a table; with `bar`, a last column that draws that one's numbers."""
    names = list(rows[0])
    most = max((row[bar] for row in rows), default=0) if bar else 0
    right = {name for name in names if all(isinstance(row[name], int | float) for row in rows)}
    rule = ["---:" if name in right else "---" for name in names]
    lines = [[_cell(row[name]) for name in names] for row in rows]
    if bar:
        rule, names = [*rule, "---"], [*names, ""]
        lines = [[*line, bar_of(row[bar], most)] for line, row in zip(lines, rows, strict=True)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (names, rule, *lines))


def counts(name: str, count: str, found: Mapping[str, int]) -> str:
    """Return a mapping of counts as a table with bars, the largest first."""
    ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return table([{name: key, count: value} for key, value in ordered], count)


def bar_of(value: float, most: float) -> str:
    """Return a bar of WIDTH characters for `most`, in steps of an eighth; empty for nothing."""
    eighths = round(WIDTH * 8 * value / most) if most else 0
    if value and not eighths:
        eighths = 1
    return "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")


def quoted(text: str) -> str:
    """Return a text as a block that shows it as it is, whatever it holds."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}text\n{text.strip()}\n{fence}"


def _cell(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:g}"
    return html.escape(str(value), quote=False).replace("|", "\\|").replace("\n", " ")
