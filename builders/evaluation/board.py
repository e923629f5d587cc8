"""A leaderboard as a person sees it: lines for a terminal, Markdown, and one HTML page that needs nothing else.

Stands behind the ranking and before the command line. All three show the same cells; figures are worded in `figures`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from math import ceil, floor
from textwrap import wrap
from typing import NamedTuple

import click
from jinja2 import Environment

from ferbuild.builders.evaluation import figures
from ferbuild.builders.evaluation.figures import (
    NONE,
    chance,
    counted,
    dollars,
    in_markdown,
    percent,
    plain,
    signed,
    span,
)
from ferbuild.builders.evaluation.leaderboard import Board, rank
from ferbuild.builders.evaluation.page import place
from ferbuild.builders.evaluation.results import Entry
from ferbuild.builders.templated import environment
from ferbuild.manifests.schema import Published

FULL = "all of FERBench"
PARTIAL = "on part of FERBench, ranked apart: each on rows of its own"
PUBLISHED = "published, not run here: accuracy by the published scripts' reading"
BASELINE = " *"
LEGEND = (
    "strict: accuracy by this tool's reading, in %, as are UAR, macro F1 and the sets; official: accuracy by the"
    " published scripts' reading, which leaves out rows without a reply; unanswered: of the rows, those without an"
    " answer, counted as wrong: refused, cut off, in error, empty or not to be read; * a baseline, no reasoning model"
)
PAIRS = "compared on the rows that both have"
PAIRS_LEGEND = (
    "difference in strict accuracy, in points, with its paired bootstrap interval; b, c: rows that only the first, only"
    " the other has right; p: McNemar's exact test, and after Holm's correction for all of these; smallest: what these"
    " rows can show with 80 % power at 5 % (Connor 1987)"
)
PAIR_HEAD = ("model", "other", "rows", "difference", "95 % interval", "b", "c", "p", "p (Holm)", "smallest", "left out")
GAP = 2
"""Spaces between two columns on a terminal."""
LONG = 0.55
"""Share of the whole range from which on an axis has room for half of its marks."""


class Row(NamedTuple):
    """A line of the board: its cells as text, and the shares, 0..1, that its chart draws."""

    cells: Sequence[str]
    strict: float | None = None
    low: float | None = None
    high: float | None = None
    official: float | None = None


class Section(NamedTuple):
    title: str
    rows: Sequence[Row]
    notes: Sequence[str]
    """What a reader must know of single rows."""


def head(board: Board) -> list[str]:
    """Return the heads of the columns: rank and model first, all others figures."""
    return [
        "", "model", "rows", "strict", "95 % interval", "UAR", "macro F1", "official", *map(plain, board.sets),
        "unanswered", "cost",
    ]  # fmt: skip


def sections(board: Board) -> list[Section]:
    """Return what the board shows, section by section; one without rows is left out."""
    lacking = [f"{plain(one.name)}: {'; '.join(map(plain, one.lacks))}" for one in board.partial]
    sources = [f"{one.name}: {_by_set(one)}{one.source}. Read in {one.seen}." for one in board.published]
    found = [
        Section(FULL, [_row(one, str(rank(one, board.full)), board.sets) for one in board.full], []),
        Section(PARTIAL, [_row(one, NONE, board.sets) for one in board.partial], lacking),
        Section(PUBLISHED, [_published(one, board.sets) for one in board.published], sources),
    ]
    return [one for one in found if one.rows]


def pairs(board: Board) -> list[list[str]]:
    """Return the cells of the comparisons, in the order of PAIR_HEAD."""
    return [
        [
            plain(pair.one),
            plain(pair.found.other),
            f"{pair.found.n:,}",
            signed(pair.found.difference),
            span((pair.found.low, pair.found.high), differ=True),
            f"{pair.found.b:,}",
            f"{pair.found.c:,}",
            chance(pair.found.p),
            chance(pair.found.p_holm),
            percent(pair.found.smallest),
            f"{pair.found.left_out:,}",
        ]
        for pair in board.pairs
    ]


def terminal(board: Board, *, width: int) -> Iterator[str]:
    """Yield the lines that a terminal of `width` letters shows; columns without room stand again below."""
    found = sections(board)
    rows = [row.cells for one in found for row in one.rows]
    titles = dict(zip(_starts(found), (one.title for one in found), strict=True))
    yield from _drawn([head(board), *rows], titles, width, left=2)
    for note in (note for one in found for note in one.notes):
        yield from wrap(note, width, initial_indent="  ", subsequent_indent="    ")
    if board.pairs:
        yield click.style(f"\n{PAIRS}", bold=True)
        yield from _drawn([[*PAIR_HEAD], *pairs(board)], {}, width, left=2)
    if board.broken:
        yield click.style(f"\n{counted(len(board.broken), 'problem')}", fg="red", bold=True)
        for one in board.broken:
            yield from wrap(
                f"{plain(one.place)}: {plain(one.problem)}", width, initial_indent="  ", subsequent_indent="    "
            )
    for text in (LEGEND, PAIRS_LEGEND) if board.pairs else (LEGEND,):
        yield ""
        yield from wrap(text, width)


def markdown(board: Board) -> str:
    """Return the board as Markdown, from a heading of the second level on."""
    parts = ["## FERBench leaderboard"]
    for one in sections(board):
        parts += [_heading(one.title), _table(head(board), [row.cells for row in one.rows])]
        parts += ["\n".join(f"- {in_markdown(note)}" for note in one.notes)] if one.notes else []
    if board.pairs:
        parts += [_heading(PAIRS), _table(PAIR_HEAD, pairs(board)), in_markdown(PAIRS_LEGEND)]
    if board.broken:
        told = (f"- {in_markdown(one.place)}: {in_markdown(one.problem)}" for one in board.broken)
        parts += [_heading(counted(len(board.broken), "problem")), "\n".join(told)]
    return "\n\n".join([*parts, in_markdown(LEGEND)]) + "\n"


def page(board: Board) -> str:
    """Return the board as one HTML page: no script, no request, no second file."""
    found = sections(board)
    low, high = _axis([row for one in found for row in one.rows])
    values = {
        "head": head(board),
        "sections": found,
        "low": low,
        "high": high,
        "steps": _steps(low, high),
        "pair_head": PAIR_HEAD,
        "pairs": pairs(board),
        "broken": board.broken,
        "legend": LEGEND,
        "pairs_legend": PAIRS_LEGEND,
    }
    text = _environment().get_template("leaderboard.html").render(values)
    return text.encode("utf-8", "replace").decode()  # half of a surrogate pair, as JSON may hold, cannot be written


def said_of(row: Row) -> str:
    """Return in words what the chart draws of a row, for those who cannot see it."""
    parts = [f"strict {percent(row.strict)} %"] if row.strict is not None else []
    parts += [f"interval {span((row.low, row.high))}"] if row.low is not None and row.high is not None else []
    parts += [f"official {percent(row.official)} %"] if row.official is not None else []
    return f"{row.cells[1]}: {', '.join(parts) or 'no rows'}"


def _row(one: Entry, number: str, sets: Sequence[str]) -> Row:
    value, low, high = one.strict
    ends = None if low is None or high is None else (low, high)
    marks = f" ({', '.join(one.marks)})" if one.marks else ""
    name = plain(one.name) + marks + (BASELINE if one.baseline else "")
    shares = (one.uar, one.f1, one.official, *(one.sets.get(name) for name in sets), one.unanswered)
    cells = [number, name, f"{one.n:,}", percent(value), span(ends), *map(percent, shares), dollars(one.cost)]
    return Row(cells, value, low, high, one.official)


def _published(one: Published, sets: Sequence[str]) -> Row:
    """Return a row whose only figure is the official accuracy: no other of this tool's was ever published."""
    cells = [NONE, one.name, f"{one.rows:,}", *[NONE] * 4, percent(one.accuracy), *[NONE] * (len(sets) + 2)]
    return Row(cells, official=one.accuracy)


def _by_set(one: Published) -> str:
    """Return its accuracies in words: the columns of the sets hold strict ones."""
    shares = ", ".join(f"{name} {percent(share)}" for name, share in one.sets.items())
    return f"official accuracy in {shares}; " if shares else ""


def _starts(found: Sequence[Section]) -> list[int]:
    """Return the number of the first row of each section."""
    return [sum(len(one.rows) for one in found[:at]) for at in range(len(found))]


def _drawn(rows: Sequence[Sequence[str]], titles: dict[int, str], width: int, *, left: int) -> Iterator[str]:
    """Yield a table, its head first; `left` columns name the rows and stand before every block of columns."""
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for block in _blocks(wide, width, left):
        for at, cells in enumerate(rows):
            if title := titles.get(at - 1):
                yield click.style(title, bold=True)
            named = "  ".join(f"{cells[one]:<{wide[one]}}" for one in range(left))
            yield (named + "".join(f"{cells[one]:>{wide[one] + GAP}}" for one in block)).rstrip()
        yield ""


def _blocks(wide: Sequence[int], width: int, left: int) -> Iterator[list[int]]:
    """Yield the columns that find room beside each other, with those that name the rows before them."""
    room = width - sum(wide[:left]) - GAP * (left - 1)
    block, used = list[int](), 0
    for at in range(left, len(wide)):
        if block and used + wide[at] + GAP > room:
            yield block
            block, used = [], 0
        block.append(at)
        used += wide[at] + GAP
    yield block


def _heading(title: str) -> str:
    return f"### {in_markdown(title[0].upper() + title[1:])}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = [":--", ":--", *("--:" for _ in heads[2:])]
    cells = [[in_markdown(one) for one in line] for line in (heads, *rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in (cells[0], rule, *cells[1:]))


def _axis(rows: Sequence[Row]) -> tuple[float, float]:
    """Return the ends of an axis that holds all that is drawn: whole tenths, 0..1."""
    drawn = [one for row in rows for one in row[1:] if one is not None]
    low, high = floor(10 * min(drawn, default=0.0)) / 10, ceil(10 * max(drawn, default=1.0)) / 10
    return (low, high) if low < high else (max(low - 0.1, 0.0), min(high + 0.1, 1.0))


def _steps(low: float, high: float) -> list[float]:
    """Return what the axis is marked at: every tenth, of a long one every fifth."""
    apart = 1 if high - low <= LONG else 2
    return [tenth / 10 for tenth in range(round(10 * low), round(10 * high) + 1) if tenth % apart == 0]


@cache
def _environment() -> Environment:
    return environment(__name__, percent, span, plain, figures.interval_of, counted, place, said_of)
