"""`fer-build check`: every release's rows against the expected ones, as a table a person reads."""

from __future__ import annotations

from collections import Counter

import click
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ferbuild.builders import check as checking
from ferbuild.builders.check import Checked, SplitCount
from ferbuild.builders.cli.common import Options, common, emit, looking
from ferbuild.builders.sources.listing import Listing

SHOWN = 5
"""Addresses of unreadable pictures that are named; --json names all."""


@click.command()
@click.option("--deep", is_flag=True, help="Open and decode every picture too.")
@common
def check(options: Options, deep: bool) -> int:
    """Show rows found against expected, what was dropped and why, licence terms, and where to ask for the data.

    No picture is opened without --deep.

    \b
    fer-build check                     counts, label rules, licences
    fer-build check --deep              opens every picture too
    fer-build check --json | jq .       for a script
    """
    with looking(options) as build:
        found = checking.check(build, deep=deep)
    if options.as_json:
        emit({"stage": "check"} | checking.as_json(found))
    else:
        for one in found:
            _show(one, Console(highlight=False))
    return 1 if any(one.unreadable for one in found) else 0


def _show(one: Checked, console: Console) -> None:
    listing, licence = one.listing, one.listing.source.licence
    console.print(
        Text(f"\n{listing.source.title}", "bold").append(f"   layout {listing.layout}, rule {listing.rule}", "")
    )
    console.print(f"{listing.base}\n", markup=False, soft_wrap=True)
    console.print(_counts(one))
    lines = [line for count in one.splits for line in _verdicts(count)]
    lines += [f"{rows:,} dropped: {reason}" for reason, rows in _splitless(one).items()]
    for reason, paths in one.unreadable.items():
        more = "" if len(paths) <= SHOWN else f", and {len(paths) - SHOWN:,} more"
        lines.append(f"{len(paths):,} cannot be opened, {reason}: {', '.join(paths[:SHOWN])}{more}")
    lines += [f"note: {note}" for note in listing.notes]
    lines += [f"this copy is synthetic: {name}" for name in _synthetic(listing)]
    lines += [f"licence: {licence.name}. {licence.terms}", f"ask: {licence.ask}"]
    for line in lines:
        console.print(Padding(Text(line), (0, 0, 0, 2), expand=False))


def _synthetic(listing: Listing) -> list[str]:
    """Return the licences of rows that the release itself marks as synthetic."""
    return sorted(set(listing.rows.filter(listing.rows["synthetic"])["licence"].to_pylist()))


def _counts(one: Checked) -> Table:
    """Return a line a label, and for each split what was found beside what is expected."""
    table = Table("", box=None, pad_edge=False)
    for count in one.splits:
        table.add_column(count.split, justify="right")
        table.add_column("expected", justify="right", style="dim")
    for word in _words(one):
        table.add_row(word, *(cell for count in one.splits for cell in _cells(count, word)))
    table.add_row("all", *(cell for count in one.splits for cell in _sums(count)), style="bold")
    return table


def _cells(count: SplitCount, word: str) -> tuple[str, str]:
    expected = f"{count.expected.get(word, 0):,}" if count.expected is not None else ""
    return f"{count.found.get(word, 0):,}", expected


def _sums(count: SplitCount) -> tuple[str, str]:
    return f"{count.total:,}", f"{count.expected_total:,}" if count.expected_total is not None else ""


def _words(one: Checked) -> list[str]:
    seen = {word for count in one.splits for word in (*count.found, *(count.expected or {}))}
    known = [word for word in one.listing.source.candidates if word in seen]
    return known + sorted(seen - set(known))


def _verdicts(count: SplitCount) -> list[str]:
    """Return what there is to say of a split: the counts, missing pictures, and every drop reason."""
    if count.agrees is None:
        verdict = "no expected figure is known"
    else:
        verdict = "as expected" if count.agrees else "not the expected counts"
    missing = f"; pictures missing: {count.missing:,}" if count.missing else ""
    drops = [f"{count.split}: {rows:,} dropped: {reason}" for reason, rows in count.dropped.items()]
    return [f"{count.split}: {verdict}{missing}", *drops]


def _splitless(one: Checked) -> Counter[str]:
    """Return the drops of rows whose split nothing tells, by reason."""
    told = Counter[str]()
    for count in one.splits:
        told.update(count.dropped)
    return Counter(one.dropped) - told
