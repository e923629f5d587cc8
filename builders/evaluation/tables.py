"""A score as tables: lines for a terminal, and Markdown for a paper's appendix or a model's card.

Stands behind the score and before the command line; what the tables hold comes from `columns`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap

import click

from ferbuild.builders.evaluation import columns
from ferbuild.builders.evaluation.columns import Column, Table
from ferbuild.builders.evaluation.figures import (
    NONE,
    RATES,
    Found,
    Line,
    asked_by,
    cautions,
    counted,
    in_markdown,
    lines,
    outcomes,
    percent,
    plain,
    weakest,
    who,
)

BOLD = "accuracy"
"""Head of the figures that stand out."""
STRIKING = 5.0
"""Per cent of the rows; from here on a terminal marks the rate."""
LINES = 4
"""Of a warning on a terminal, at most; Markdown and the page have all of it."""


def terminal(found: Found, *, width: int) -> list[str]:
    """Return the lines that a terminal of `width` letters shows; none is longer, down to a width of about 60."""
    rows = lines(found)
    about = [*_wrapped(who(found), width), *_wrapped(_how(found), width)]
    out = [click.style(_cut(plain(found["model"]), width), bold=True), *about, ""]
    for table in _first(rows):
        out += [*_packed(table, width), ""]
    for part in columns.more(found):
        notes = (line for note in part.notes for line in _wrapped(plain(note), width))
        out += [click.style(part.title, bold=True), *_packed(part.table, width, part.named), *notes, ""]
    if warnings := [*_problems(found), *cautions(found)]:
        title = click.style("to know of these figures", fg="yellow", bold=True)
        out += [title, *(line for text in warnings for line in _wrapped(text, width, "  ")), ""]
    return [*out, click.style("lowest recall", bold=True), *(f"  {text}" for text in _weakest(found))]


def _first(rows: Sequence[Line]) -> tuple[Table, Table]:
    """Return the tables that every score has; the mean of the sets has neither baselines nor rates."""
    whole = [line for line in rows if line.whole]
    return [columns.names(rows), *columns.scores(rows)], [columns.names(whole), *columns.around(whole)]


def _how(found: Found) -> str:
    how = f"figures in %, 95 % intervals of {counted(found['resamples'], 'resample')}, seed {found['seed']}"
    samples = found["pooled"]["samples"]
    return "; ".join([how, *([f"{samples} samples each"] if samples > 1 else []), *filter(None, [asked_by(found)])])


def _problems(found: Found) -> Iterator[str]:
    for one in found["problems"]:
        detail = f": {plain(one['detail'])}" if one["detail"] else ""
        yield f"{plain(one['where'])}: {one['kind']}, {counted(one['count'], 'row')}{detail}"


def _weakest(found: Found) -> Iterator[str]:
    for one in weakest(found):
        yield f"{percent(one.recall):>5} %  {plain(one.label)} in {plain(one.set)} ({counted(one.n, 'row')})"


def _packed(table: Table, width: int, named: int = 1) -> Iterator[str]:
    """Yield the lines of a table; columns for which there is no room beside its names go on below them.

    `named`: how many columns name its rows.
    """
    names, figures = table[:named], table[named:]
    room = width - sum(one.width for one in names) + columns.GAP
    beside: list[Column] = []
    for column in figures:
        if beside and sum(one.width for one in beside) + column.width > room:
            yield from _grid(names, beside)
            beside = []
        beside.append(column)
    yield from _grid(names, beside)


def _grid(names: Sequence[Column], beside: Sequence[Column]) -> Iterator[str]:
    yield _named(names, [one.head for one in names]) + "".join(f"{one.head:>{one.width}}" for one in beside)
    for at, cells in enumerate(zip(*(one.cells for one in names), strict=True)):
        figures = (_styled(one.head, f"{one.cells[at]:>{one.width}}") for one in beside)
        yield _named(names, cells) + "".join(figures)


def _named(names: Sequence[Column], cells: Sequence[str]) -> str:
    wide = [one.width - columns.GAP for one in names]
    return (" " * columns.GAP).join(f"{cell:<{size}}" for cell, size in zip(cells, wide, strict=True))


def _styled(head: str, cell: str) -> str:
    """Return a padded cell as a terminal shows it: the figure that counts bold, and rates that strike marked."""
    if head == BOLD:
        return click.style(cell, bold=True)
    strikes = head in RATES and cell.strip() != NONE and float(cell) >= STRIKING
    return click.style(cell, fg="yellow") if strikes else cell


def _wrapped(text: str, width: int, before: str = "") -> list[str]:
    """Return text in lines, at most LINES of them."""
    return wrap(
        text, width, initial_indent=before, subsequent_indent=2 * before, max_lines=LINES, placeholder=" …",
        break_on_hyphens=False,  # paths have hyphens
    )  # fmt: skip


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def markdown(found: Found) -> str:
    """Return the score as Markdown, from headings of the second level on."""
    rows = lines(found)
    parts = [
        f"## FERBench: {in_markdown(found['model'])}",
        *([f"{in_markdown(who(found)[0].upper() + who(found)[1:])}."] if found.get("baseline") else []),
        *([f"Model: {in_markdown(who(found))}."] if who(found) and not found.get("baseline") else []),
        f"Answers are read by the `{found['extractor']}` extractor. `official` is the accuracy by the published"
        f" script's reading; the difference, strict less official, is in points. All {_how(found)}.",
    ]
    if warnings := [*_problems(found), *cautions(found)]:
        parts += ["### To know before the figures", "\n".join(f"- {in_markdown(text)}" for text in warnings)]
    parts += map(_table, _first(rows))
    for part in columns.more(found):
        parts += [f"### {part.title.capitalize()}", _table(part.table), *map(in_markdown, part.notes)]
    parts += ["### Lowest recall", "\n".join(f"- {text.strip()}" for text in _weakest(found))]
    for name, one in found["sets"].items():
        parts += _of_set(name, one)
    return "\n\n".join(parts) + "\n"


def _of_set(name: str, one: Found) -> Iterator[str]:
    """Yield what Markdown tells of one set: every reading, its classes, confusions and outcomes, and its samples."""
    yield f"### {in_markdown(name)}"
    yield _table(columns.ways(one))
    yield _table(columns.classes(one))
    yield "Rows are the true labels, columns what was answered:"
    yield _table(columns.confusion(one))
    yield "Replies: " + ", ".join(f"{what} {count:,}" for what, count in outcomes(one)) + "."
    if passed := one.get("pass_at"):
        shares = ", ".join(f"k = {k}: {percent(share)} %" for k, share in passed.items())
        yield f"One of k samples is right: {shares}."
    if found := one.get("calibration"):
        error = percent(found["ece"])
        yield f"Calibration by the agreement of {one['samples']} samples, expected calibration error {error} points:"
        yield _table(columns.calibration(found))


def _table(table: Table) -> str:
    """Return a Markdown table: names to the left, figures to the right."""
    head = [in_markdown(one.head) for one in table]
    rule = [":--", *("--:" for _ in table[1:])]
    rows = zip(*(map(in_markdown, one.cells) for one in table), strict=True)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))
