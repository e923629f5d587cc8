"""`fer-build demo`: the whole way on small synthetic releases, for a first look without any data."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import click

from ferbuild.builders import bench, check, cot, faces, images, rlvr, shards
from ferbuild.builders.build import Build
from ferbuild.builders.cli.common import Options, common, emit, exit_code, progressing, show
from ferbuild.builders.config import FILE, config_text, read_settings
from ferbuild.builders.errors import FerError
from ferbuild.builders.files import write_text
from ferbuild.builders.stage import PART_ROWS, only_one
from ferbuild.manifests.schema import Picture


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("fer-demo"), show_default=True)
@click.option("--sheet", type=click.Path(path_type=Path), help="Also write a PNG of all faces with their labels.")
@common
def demo(options: Options, out: Path, sheet: Path | None) -> int:
    """Write small releases in their real layouts, and build every dataset from them.

    The faces are warps of two public-domain portraits, the reasoning is a baseline's: for trying, not training.
    """
    from ferbuild.demo import releases

    config = options.config or out / FILE
    with only_one(out), progressing() as shown:
        shown.began("releases")
        roots = releases.build(out / "releases")
        _write_config(config, roots)
        settings = read_settings(config, work=options.work, limit=options.limit, workers=options.workers)
        build = Build(settings, tick=shown.tick, began=shown.began)
        checked = check.as_json(check.check(build))
        with only_one(settings.work):
            code = _run_all(build)
    if sheet is not None:
        _write_sheet(settings.work / faces.FOLDER, sheet)
    if options.as_json:
        emit({"stage": "demo", "out": str(out), "check": checked, "stages": [one.as_json() for one in build.ran]})
    else:
        _show(build, out)
    return code


def _write_config(config: Path, roots: Mapping[str, Path]) -> None:
    """Write the demo's fer-build.yaml; FerError where there is one that the user has made his own."""
    home = config.resolve().parent
    text = config_text({"sources": {name: os.path.relpath(root.resolve(), home) for name, root in roots.items()}})
    if config.exists() and config.read_text(encoding="utf-8") != text:
        hint = f"run `fer-build cot --config {config}` and the like, or give the demo another folder with --out"
        raise FerError(config, "was edited, so the demo leaves it alone", hint)
    write_text(config, text)


def _run_all(build: Build) -> int:
    """Run every stage once; return the exit code."""
    reports = [cot.run(build), rlvr.run(build), bench.run(build)]
    return exit_code(*reports)


def _write_sheet(folder: Path, sheet: Path) -> None:
    from ferbuild.demo.sheet import write_sheet

    rows = (row for piece in shards.slices(folder, PART_ROWS) for row in piece.read().to_pylist())
    pictures = [
        (f"{row['source']}: {row['label']}", images.decode(row["image"]["bytes"], max_pixels=Picture().max_pixels))
        for row in rows
    ]
    write_sheet(pictures, sheet)


def _show(build: Build, out: Path) -> None:
    click.echo("the way of a face: every row that went in was kept, or dropped for a reason\n")
    for report in build.ran:
        show(report)
    click.echo("\nthe datasets, each for datasets.load_dataset(FOLDER) and datasets.load_from_disk(FOLDER):")
    for report in build.ran:
        splits = ", ".join(f"{split} {rows}" for split, rows in report.splits.items())
        click.echo(f"  {report.out}   ({splits})")
    click.echo(
        "\nnext: `fer-build init --find DIR` looks for releases of your own, `fer-build check` says what they hold"
    )
