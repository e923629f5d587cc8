"""`fer-build export`: a built dataset in another tool's form."""

from __future__ import annotations

from pathlib import Path

import click

from ferbuild.builders import export as exporting
from ferbuild.builders.cli import completing
from ferbuild.builders.cli.common import Options, common, emit, progressing
from ferbuild.builders.config import read_settings

_DATASETS = {"cot": "cot", "rlvr": "rlvr", "bench": "ferbench"}
_TARGETS = "\n".join(
    f"{name:<13} {' '.join(_DATASETS[stage] for stage in target.writes):<19} {target.about}"
    for name, target in exporting.TARGETS.items()
)


@click.command(
    help=f"""Rewrite a built dataset for another tool.

    DATASET is cot, rlvr or ferbench; each target takes some of them:

    \b
    {_TARGETS.replace(chr(10), chr(10) + "    ")}

    \b
    fer-build export cot --to llamafactory --out lf         JSON lines, pictures, dataset_info.json
    fer-build export ferbench --to unifer --out published   rafdb_qa.json and its like, as published

    A folder holds one export. It may hold pictures that must not be passed on. docs/exports.md says what each target
    writes and the line that uses it.
    """
)
@click.argument("dataset", shell_complete=completing.datasets)
@click.option("--to", "target", required=True, help=f"The tool or form to write for: {', '.join(exporting.TARGETS)}.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Destination folder.")
@common
def export(options: Options, dataset: str, target: str, out: Path) -> int:
    settings = read_settings(options.config, work=options.work, limit=options.limit)
    with progressing() as shown:
        done = exporting.export(settings, dataset, target, out, shown.tick)
    if options.as_json:
        emit({"stage": "export", "dataset": dataset, "to": target, "out": str(done.out), **_told(done)})
    else:
        _show(done)
    return 1 if done.left_out or not done.complete else 0


def _told(done: exporting.Exported) -> dict[str, object]:
    return {
        "files": dict(done.files),
        "pictures": done.pictures,
        "left out": dict(done.left_out),
        "complete": done.complete,
    }


def _show(done: exporting.Exported) -> None:
    for name, rows in done.files.items():
        click.echo(f"{done.out / name}: {rows:,} rows")
    if done.pictures:
        click.echo(f"{done.out / 'images'}: {done.pictures:,} pictures")
    for reason, rows in done.left_out.items():
        click.echo(f"left out: {rows:,} rows: {reason}")
    if not done.complete:
        click.echo("the dataset is not complete: some of its rows are still to be asked for")
