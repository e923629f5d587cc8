"""The commands that each run one stage, and what it needs before it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import click

from ferbuild.builders.cli.common import Options, building, common, finish, spreading


def _plain(name: str, about: str, *, spread: bool = False) -> click.Command:
    """Return the command of a stage that has no options of its own, but for an engine where its jobs are spread."""

    def command(options: Options) -> int:
        stage = import_module(f"ferbuild.builders.{name}")
        with building(options) as build:
            report = stage.run(build)
        return finish(build, report, options)

    return click.command(name, help=about)(common(spreading(command) if spread else command))


@click.command()
@click.option(
    "--align",
    type=click.Choice(["none", "similarity"]),
    help="Whether faces are brought upright, all alike; overrides the recipe, for the later stages too.",
)
@common
@spreading
def faces(options: Options, align: str | None) -> int:
    """Decode, cut out, check and hash the faces of every release, and tell which show the same photograph."""
    from ferbuild.builders import faces as stage

    with building(options) as build:
        report = stage.run(build, align=align or "")
    return finish(build, report, options)


measure = _plain(
    "measure",
    "Detect the training faces and measure their meshes; cot with the geometry teacher needs it.",
    spread=True,
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
