"""`fer-build check`: every release's rows against the expected ones, as a table a person reads."""

from __future__ import annotations

import click
from rich.console import Console
from rich.table import Table

from ferbuild.builders import check as checking
from ferbuild.builders.check import Checked, SplitCount
from ferbuild.builders.cli.common import Options, building, common, emit


@click.command()
@click.option("--deep", is_flag=True, help="Open and decode every picture too.")
@common
def check(options: Options, deep: bool) -> int:
    """Show rows found against expected, what was dropped and why, licence terms, and where to ask for the data.

    No picture is opened without --deep.
    """
    with building(options) as build:
        found = checking.check(build, deep=deep)
    if options.as_json:
        emit({"stage": "check"} | checking.as_json(found))
    else:
        for one in found:
            _show(one, Console(highlight=False))
    return 1 if any(one.unreadable for one in found) else 0


def _show(one: Checked, console: Console) -> None:
    listing = one.listing
    console.print(
        f"\n[bold]{listing.source.title}[/bold]  {listing.base}  (layout {listing.layout}, rule {listing.rule})"
    )
    console.print(_counts(one))
    for note in listing.notes:
        console.print(f"  note: {note}", markup=False)
    for reason, rows in one.dropped.items():
        console.print(f"  {rows:>7,}  dropped: {reason}", markup=False)
    for reason, rows in one.unreadable.items():
        console.print(f"  {rows:>7,}  cannot be opened: {reason}", markup=False)
    licence = listing.source.licence
    console.print(f"  licence: {licence.name}. {licence.terms}\n  ask: {licence.ask}", markup=False)


def _counts(one: Checked) -> Table:
    words = _words(one)
    table = Table("split", "rows", *words, "", box=None, pad_edge=False)
    for count in one.splits:
        table.add_row(
            count.split, f"{count.total:,}", *(f"{count.found.get(word, 0):,}" for word in words), _verdict(count)
        )
        if count.expected is not None and not count.agrees:
            wanted = [f"{count.expected.get(word, 0):,}" for word in words]
            table.add_row("  expected", f"{count.expected_total:,}", *wanted, "", style="dim")
    return table


def _words(one: Checked) -> list[str]:
    seen = {word for count in one.splits for word in (*count.found, *(count.expected or {}))}
    known = [word for word in one.listing.source.candidates if word in seen]
    return known + sorted(seen - set(known))


def _verdict(count: SplitCount) -> str:
    missing = f"; {count.missing:,} pictures missing" if count.missing else ""
    if count.agrees is None:
        return f"no expected figure{missing}"
    if count.agrees:
        return f"as expected{missing}"
    return f"expected {count.expected_total:,}{missing}"
