"""`fer-build suspects`: labels that a teacher does not believe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ferbuild.builders.cli.common import Options, common, emit, looking

if TYPE_CHECKING:
    from ferbuild.builders.suspects import Found

LISTED = 20
"""Suspects printed; the rest are in the table."""


@click.command()
@click.option("--teacher", help="Whose replies are read; default: the teacher of fer-build.yaml.")
@click.option("--samples", type=click.IntRange(2), default=8, show_default=True, help="The most that are read a face.")
@click.option("--out", type=click.Path(path_type=Path), help="Write all of them as a CSV table.")
@click.option("--sheet", type=click.Path(path_type=Path), help="Write the surest as a picture sheet, PNG or JPEG.")
@common
def suspects(options: Options, teacher: str | None, samples: int, out: Path | None, sheet: Path | None) -> int:
    """List likely label errors: faces of which several samples of a teacher agree on another label.

    Reads the replies that are stored, asks nobody. The annotators' votes stand beside, where the release has them.

    \b
    fer-build suspects --sheet suspects.png    a table, and the faces with both labels
    fer-build suspects --teacher qwen72b       by what another teacher said
    """
    from ferbuild.builders import cot, faces, training_rows
    from ferbuild.builders import suspects as look
    from ferbuild.builders.arms import Arm
    from ferbuild.builders.sheets import sheet_format

    if sheet:
        sheet_format(sheet)
    with looking(options) as build:
        asking = cot.asking_of(build, cot.entry_of(build, teacher), Arm(samples=samples))
        jobs = training_rows.jobs(build.settings.work / faces.FOLDER, build.benchmarks)
        found = look.find(jobs, asking)
        if out:
            look.write_table(found.suspects, out)
        if sheet:
            look.write_sheet(found.suspects, sheet, build.settings.recipe.picture.max_pixels)
    if options.as_json:
        rows = [look.as_json(one) for one in found.suspects]
        emit({"stage": "suspects", "looked at": found.looked_at, "too few samples": found.too_few, "suspects": rows})
        return 0
    _show(found, out)
    return 0


def _show(found: Found, out: Path | None) -> None:
    from ferbuild.builders.suspects import told

    count, seen = len(found.suspects), found.looked_at
    click.echo(f"{count:,} of {seen:,} faces with samples enough; {found.too_few:,} have too few")
    for one in found.suspects[:LISTED]:
        voted = f"   annotators: {told(one.votes)}" if one.votes else ""
        sure = f"{one.share:.0%} of {one.samples}"
        click.echo(f"  {one.source}/{one.rel_path}: {one.label}, seen as {one.teacher} ({sure}){voted}")
    if (more := count - LISTED) > 0:
        click.echo(f"  … {more:,} more{f' in {out}' if out else ': --out FILE.csv writes all of them'}")
