"""`fer-build demo`: the whole way on small synthetic releases, for a first look without any data."""

from __future__ import annotations

from pathlib import Path

import click

from ferbuild.builders import bench, check, cot, rlvr
from ferbuild.builders.build import Build
from ferbuild.builders.cli.common import Options, common, emit, progressing, show
from ferbuild.builders.config import FILE, read_settings, write_config
from ferbuild.builders.stage import only_one


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("fer-demo"), show_default=True)
@common
def demo(options: Options, out: Path) -> int:
    """Write small releases in their real layouts, and build every dataset from them.

    The faces are warps of two public-domain portraits, the reasoning is a baseline's: for trying, not training.
    """
    from ferbuild.demo import releases

    with only_one(out), progressing() as shown:
        shown.began("releases")
        roots = releases.build(out / "releases")
        sources = {name: str(root.relative_to(out)) for name, root in roots.items()}
        write_config(out / FILE, {"sources": sources})
        settings = read_settings(out / FILE, work=options.work, limit=options.limit, workers=options.workers)
        build = Build(settings, tick=shown.tick, began=shown.began)
        checked = check.as_json(check.check(build))
        code = _run_all(build)
    if options.as_json:
        emit({"stage": "demo", "out": str(out), "check": checked, "stages": [one.as_json() for one in build.ran]})
    else:
        _show(build, out)
    return code


def _run_all(build: Build) -> int:
    """Run every stage once; return the exit code."""
    reports = [cot.run(build, teacher="geometry"), rlvr.run(build), bench.run(build)]
    first = {report.stage: report for report in reversed(build.ran)}
    build.ran[:] = [first[name] for name in dict.fromkeys(report.stage for report in build.ran)]
    return 0 if all(report.complete and not report.findings for report in reports) else 1


def _show(build: Build, out: Path) -> None:
    click.echo("the way of a face: every row that went in was kept, or dropped for a reason\n")
    for report in build.ran:
        show(report)
    click.echo("\nthe datasets, each for datasets.load_dataset(FOLDER) and datasets.load_from_disk(FOLDER):")
    for report in build.ran:
        splits = ", ".join(f"{split} {rows}" for split, rows in report.splits.items())
        click.echo(f"  {report.out}   ({splits})")
    click.echo(f"\nnext: look at {out / FILE}, name your own releases there, and run `fer-build check`")
