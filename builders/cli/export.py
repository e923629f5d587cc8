"""`fer-build export`: a built dataset in another tool's form."""

from __future__ import annotations

from pathlib import Path

import click

from ferbuild.builders import export as exporting
from ferbuild.builders.cli.common import Options, common, emit
from ferbuild.builders.config import read_settings


@click.command()
@click.argument("dataset")
@click.option("--to", "target", required=True, help="The tool or form to write for: unifer.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Destination folder.")
@common
def export(options: Options, dataset: str, target: str, out: Path) -> int:
    """Rewrite a built dataset for another tool.

    \b
    fer-build export ferbench --to unifer --out DIR     rafdb_qa.json and its like, as published
    """
    settings = read_settings(options.config, work=options.work, limit=options.limit)
    done = exporting.export(settings, dataset, target, out)
    if options.as_json:
        emit({"stage": "export", "dataset": dataset, "to": target, "out": str(done.out), "files": dict(done.files)})
        return 0
    for name, rows in done.files.items():
        click.echo(f"{done.out / name}: {rows:,} rows")
    return 0
