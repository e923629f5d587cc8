"""`fer-build duplicates`: which faces show one photograph, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from ferbuild.builders.cli.common import Options, common, emit, looking

DISAGREEING = 10
"""Groups with several labels that are printed; `--json` has all."""
MEMBERS = 5
"""Rows of a group that are printed."""


@click.command()
@click.option("--sheet", type=click.Path(path_type=Path), help="Also write the pairs side by side, .png or .jpg.")
@common
def duplicates(options: Options, sheet: Path | None) -> int:
    """Tell which faces show one photograph: the largest groups, labels that disagree, and what a benchmark shows.

    Reads what `fer-build faces` wrote. What is kept of a group is the recipe's to say (`duplicates:`).

    \b
    fer-build duplicates                       the groups, as text
    fer-build duplicates --sheet pairs.png     and their pictures, side by side
    """
    from ferbuild.builders import duplicate_report as report
    from ferbuild.builders.sheets import PAIRS, sheet_format

    if sheet is not None:
        sheet_format(sheet)
    with looking(options) as build:
        found = report.read(build)
        drawn = report.write_sheet(build, found, sheet, PAIRS) if sheet is not None else 0
    told = report.as_json(found)
    if options.as_json:
        emit(told | {"sheet": str(sheet) if drawn else None})
    else:
        _show(told)
        if sheet is not None:
            click.echo(f"\n{drawn} pairs side by side: {sheet}" if drawn else "\nno pairs to show")
    return 0


def _show(told: Mapping[str, Any]) -> None:
    click.echo(
        f"{told['rows']:,} rows show the photograph of another one, in {told['groups']:,} groups; "
        f"{told['kept']:,} of them were kept"
    )
    for title in ("dropped", "sources"):
        if told[title]:
            click.echo(f"  {title:<9}" + ", ".join(f"{name} {count:,}" for name, count in told[title].items()))
    if told["sizes"]:
        click.echo("  sizes    " + ", ".join(f"{size}: {count:,}" for size, count in told["sizes"].items()))
        click.echo("\nthe largest groups")
        _groups(told["largest"])
    if told["disagreeing"]:
        click.echo(f"\n{len(told['disagreeing']):,} groups whose labels disagree")
        _groups(told["disagreeing"][:DISAGREEING])
    click.echo("\ntraining rows that a benchmark shows, dropped" + ("" if told["contaminations"] else ": none"))
    for name, sources in told["contaminations"].items():
        click.echo(f"  {name:<10}" + ", ".join(f"{source} {count:,}" for source, count in sources.items()))


def _groups(groups: Sequence[Sequence[Mapping[str, Any]]]) -> None:
    for rows in groups:
        for at, row in enumerate(rows[:MEMBERS]):
            mark = f"{len(rows):>4,}" if at == 0 else " " * 4
            became = row["reason"] or "kept"
            click.echo(f"  {mark}  {row['source']}/{row['split']}  {row['rel_path']}  {row['label']}  ({became})")
        if len(rows) > MEMBERS:
            click.echo(f"        and {len(rows) - MEMBERS:,} more")
