"""`fer-build contamination`: do the training faces show pictures that they will be judged by?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ferbuild.builders.cli.common import Options, common, emit, looking

if TYPE_CHECKING:
    from ferbuild.builders.contamination import Contamination

SHOWN = 10
"""Rows that are printed."""


@click.command()
@click.option("--against", required=True, help="`ferbench`, a folder of pictures, or the folder of a saved dataset.")
@click.option("--ids-only", is_flag=True, help="Only ids and hashes in the table, and no sheet: to be passed on.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="The table, .csv or .parquet; default: in the work folder."
)
@click.option(
    "--sheet", type=click.Path(path_type=Path), help="The pairs side by side, .png or .jpg; default: there too."
)
@common
def contamination(options: Options, against: str, ids_only: bool, out: Path | None, sheet: Path | None) -> int:
    """Find the training faces that show a picture of a benchmark, or of any other folder or dataset.

    Looks at the faces that `fer-build faces` kept, benchmark splits apart: the same file, the same pixels, a near
    duplicate, or a mirrored one. Each face found is one row of a table, with the surest picture that it shows.

    \b
    fer-build contamination --against ferbench                all benchmark splits at hand
    fer-build contamination --against /data/OtherBenchmark    pictures, ZIP archives of them, or a saved dataset

    Exit code: 0 where no face was found, 1 where some were, 2 where nothing could be compared.
    """
    from ferbuild.builders import contamination as stage
    from ferbuild.builders.sheets import PAIRS, sheet_format

    if ids_only and sheet is not None:
        raise click.UsageError("--sheet shows pictures, --ids-only is for what may be passed on: leave one out")
    with looking(options) as build:
        name = "contamination-ids.csv" if ids_only else "contamination.csv"
        out = out or build.settings.work / name
        sheet = None if ids_only else sheet or build.settings.work / "contamination.jpg"
        stage.check_suffix(out)
        if sheet is not None:
            sheet_format(sheet)
        found = stage.check(build, against)
    stage.write_table(found, out, ids_only=ids_only)
    if sheet is not None and found.rows.height:
        stage.write_sheet(found, sheet, PAIRS)
    else:
        sheet = None
    if options.as_json:
        emit(_as_json(found, against, out, sheet))
    else:
        _show(found, against, out, sheet)
    return 1 if found.rows.height else 0


def _as_json(found: Contamination, against: str, out: Path, sheet: Path | None) -> dict[str, object]:
    return {
        "stage": "contamination",
        "against": against,
        "training": found.training,
        "pictures": found.pictures,
        "unreadable": dict(found.unreadable),
        "contaminated": found.rows.height,
        "kinds": found.kinds,
        "out": str(out),
        "sheet": str(sheet) if sheet else None,
    }


def _show(found: Contamination, against: str, out: Path, sheet: Path | None) -> None:
    from ferbuild.builders.contamination import first

    counts = f"{found.training:,} training faces against {found.pictures:,} pictures"
    click.echo(f"{click.style('contamination', bold=True)}   {counts} ({against})")
    for reason, count in found.unreadable.items():
        click.echo(f"         {count:>7,}  {reason}, left out")
    if not found.rows.height:
        click.echo("no training face shows any of them")
        return
    for kind, count in found.kinds.items():
        click.echo(f"         {count:>7,}  {kind}")
    for row in first(found, SHOWN):
        score = "" if row["score"] is None else f" {row['score']:.2f}"
        click.echo(f"  {row['id']}  {row['source']}  {row['rel_path']}  {row['kind']}{score}  {row['other']}")
    click.echo(f"\n{found.rows.height:,} training faces show a picture of {against}: {out}")
    if sheet:
        click.echo(f"side by side: {sheet}   (keep it to yourself where the pictures may not be passed on)")
