"""The commands that each run one stage, and what it needs before it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import click

from ferbuild.builders.cli.common import Options, building, common, finish


def _plain(name: str, about: str) -> click.Command:
    """Return the command of a stage that has no options of its own."""

    @click.command(name, help=about)
    @common
    def command(options: Options) -> int:
        stage = import_module(f"ferbuild.builders.{name}")
        with building(options) as build:
            report = stage.run(build)
        return finish(build, report, options)

    return command


faces = _plain("faces", "Decode, cut out and hash the faces of every release.")
measure = _plain(
    "measure", "Detect the training faces and measure their meshes; cot with the geometry teacher needs it."
)
rlvr = _plain("rlvr", "Make one question a training face, with the answer in the trainers' columns.")


@click.command()
@click.option("--teacher", help="An entry of teachers.yaml; default: the one in fer-build.yaml.")
@click.option("--endpoint", "endpoints", multiple=True, help="Server URL in the place of the entry's; repeatable.")
@click.option("--concurrency", type=click.IntRange(1), default=64, show_default=True, help="Requests in flight.")
@common
def cot(options: Options, teacher: str | None, endpoints: tuple[str, ...], concurrency: int) -> int:
    """Ask a teacher, who never sees the label, and keep the reasoning that arrives at it.

    \b
    fer-build cot --teacher geometry       the embedded baseline, runs anywhere
    fer-build cot --teacher qwen72b        a server of your own, see its line in the error if none runs
    """
    from ferbuild.builders import cot as stage

    with building(options) as build:
        report = stage.run(build, teacher=teacher, endpoints=endpoints, concurrency=concurrency)
    return finish(build, report, options)


@click.command()
@click.option(
    "--prompts",
    "prompt_files",
    multiple=True,
    type=click.Path(path_type=Path),
    help="A published benchmark JSON to take the prompts from, so that scores compare; repeatable.",
)
@common
def bench(options: Options, prompt_files: tuple[Path, ...]) -> int:
    """Build FERBench from the benchmark splits; exit code 1 where a picture cannot be read."""
    from ferbuild.builders import bench as stage

    with building(options) as build:
        report = stage.run(build, prompts=stage.read_prompts(prompt_files))
    return finish(build, report, options)
