"""`fer-build demo`: the whole way on small synthetic releases, for a first look without any data."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from ferbuild.builders import bench, check, cot, images, lift, rlvr, shards
from ferbuild.builders.build import Build
from ferbuild.builders.cli.common import Options, common, emit, exit_code, progressing, show
from ferbuild.builders.cli.grounding import show_grounding
from ferbuild.builders.config import FILE, config_text, read_settings
from ferbuild.builders.errors import FerError
from ferbuild.builders.evaluation import evaluate, output
from ferbuild.builders.evaluation.baselines import NAMES as BASELINES
from ferbuild.builders.evaluation.evaluate import Evaluated, Wanted
from ferbuild.builders.files import write_text
from ferbuild.builders.mark import Report
from ferbuild.builders.reporting import write
from ferbuild.builders.sheets import write_sheet
from ferbuild.builders.stage import PART_ROWS, only_one
from ferbuild.builders.teacher import AskOptions
from ferbuild.demo import releases, truth
from ferbuild.manifests.recipe import Picture

RELEASES = "releases"
DATASETS = ("faces", "measure", "cot", "rlvr", "bench")
"""Stages that are told of, in their order."""


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("fer-demo"), show_default=True)
@click.option("--sheet", type=click.Path(path_type=Path), help="Also write a PNG of all faces with their labels.")
@common
def demo(options: Options, out: Path, sheet: Path | None) -> int:
    """Write small releases in their real layouts, and build every dataset from them.

    The faces are rendered, two portraits apart; the reasoning is a baseline's: for trying, not training.

    \b
    fer-build demo                        into fer-demo
    fer-build demo --sheet faces.png      and a picture of all faces with their labels
    """
    config = options.config or out / FILE
    with only_one(out), progressing() as shown:
        text = _config_text(config, releases.roots(out / RELEASES))
        shown.began("releases")
        releases.build(
            out / RELEASES, workers=options.workers, tick=lambda done, total: shown.tick("releases", done, total)
        )
        write_text(config, text)
        settings = read_settings(config, work=options.work, limit=options.limit, workers=options.workers)
        build = Build(settings, tick=shown.tick, began=shown.began)
        checked = check.as_json(check.check(build))
        with only_one(settings.work):
            code = _run_all(build)
            scored = {name: _scored(build, name) for name in BASELINES}
            page = write.write(build).page
    if sheet is not None:
        _write_sheet(_report(build, "faces").out, sheet)
    reasoned = _report(build, "cot")
    found = lift.report([reasoned.out]) if reasoned.kept else []
    known = truth.against_truth(reasoned.out, out / RELEASES)
    if options.as_json:
        stages = [one.as_json() for one in build.ran if one.stage in DATASETS]
        claims = [lift.as_json(one) for one in found]
        told = {
            "grounding": claims,
            "truth": known._asdict(),
            "eval": {name: one.as_json for name, one in scored.items()},
            "report": str(page),
        }
        emit({"stage": "demo", "out": str(out), "check": checked, "stages": stages} | told)
    else:
        _show(build, found, known, scored, page)
    return code


def _config_text(config: Path, roots: Mapping[str, Path]) -> str:
    """Return the demo's fer-build.yaml; FerError where there is one that the user has made his own."""
    home = config.resolve().parent
    text = config_text({"sources": {name: os.path.relpath(root.resolve(), home) for name, root in roots.items()}})
    if config.exists() and config.read_text(encoding="utf-8") != text:
        hint = f"run `fer-build cot --config {config}` and the like, or give the demo another folder with --out"
        raise FerError(config, "was edited, so the demo leaves it alone", hint)
    return text


def _run_all(build: Build) -> int:
    """Run every stage once; return the exit code."""
    reports = [report for report in (cot.run(build), rlvr.run(build), bench.run(build)) if report]
    return exit_code(*reports)


def _scored(build: Build, name: str) -> Evaluated:
    """Score a baseline on the benchmark, its reasoning held against the faces where it has any."""
    found = evaluate.of_model(build, name, Wanted(rationales=name == "geometry", pictures=True), AskOptions(), None)
    assert found is not None  # nobody is asked what it may cost
    return found


def _report(build: Build, stage: str) -> Report:
    return next(one for one in build.ran if one.stage == stage)


def _write_sheet(folder: Path, sheet: Path) -> None:
    rows = (row for piece in shards.slices(folder, PART_ROWS) for row in piece.read().to_pylist())
    pictures = [
        (f"{row['source']}: {row['label']}", images.decode(row["image"]["bytes"], max_pixels=Picture().max_pixels))
        for row in rows
    ]
    write_sheet(pictures, sheet)


def _show(
    build: Build,
    found: Sequence[lift.Grounding],
    known: truth.Truth,
    scored: Mapping[str, Evaluated],
    page: Path,
) -> None:
    click.echo("the way of a face: every row that went in was kept, or dropped for a reason\n")
    datasets = [one for one in build.ran if one.stage in DATASETS]
    for report in datasets:
        show(report)
    click.echo("\nwhat the rationales claim, against what was measured:\n")
    for one in found:
        show_grounding(one)
    click.echo(
        f"against what the renders are known to show, {known.right:,} of the {known.judged:,} claims judged are judged"
        " rightly\n"
    )
    click.echo("baselines on the benchmark's pictures, accuracy with its 95 % interval:\n")
    for name, score in scored.items():
        click.echo(_score_line(name, score))
    click.echo(f"\nall of it on one page, with what was dropped and why: {page}")
    click.echo("\nthe datasets, each for datasets.load_dataset(FOLDER) and datasets.load_from_disk(FOLDER):")
    for report in datasets:
        splits = ", ".join(f"{split} {rows}" for split, rows in report.splits.items())
        click.echo(f"  {report.out}   ({splits})")
    click.echo(
        "\nnext: `fer-build init --find DIR` looks for releases of your own, `fer-build check` says what they hold"
    )


def _score_line(name: str, one: Evaluated) -> str:
    strict = one.as_json["pooled"]["strict"]
    low, high = strict["intervals"]["accuracy"]
    page = "" if one.out is None else one.out / output.PAGE
    return f"  {name:<10} {strict['accuracy']:>6.1%}  {low:.1%} to {high:.1%}   {page}"
