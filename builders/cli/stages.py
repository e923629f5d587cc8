"""The commands that each run one stage, and what it needs before it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ferbuild.builders.cli.asking import Asked, asking
from ferbuild.builders.cli.common import Options, building, common, finish, spreading
from ferbuild.builders.styles import SUFFIX


@click.command()
@click.option(
    "--align",
    type=click.Choice(["none", "similarity"]),
    help="Whether faces are brought upright, all alike; overrides the recipe, for the later stages too.",
)
@common
@spreading
def faces(options: Options, align: str | None) -> int:
    """Decode, cut out, check and hash the faces of every release, and tell which show the same photograph.

    \b
    fer-build faces                        each source as its manifest says
    fer-build faces --align similarity     eyes level, 224 pixels square
    fer-build faces --engine daft --ray-address auto
    """
    from ferbuild.builders import faces as stage

    with building(options) as build:
        report = stage.run(build, align=align or "")
    return finish(build, report, options)


@click.command()
@common
@spreading
def measure(options: Options) -> int:
    """Detect the training faces and measure their meshes; cot with the geometry teacher needs it.

    \b
    fer-build measure                 every training face, into fer-data/measures
    fer-build measure --workers 8     processes; the bytes are the same
    """
    from ferbuild.builders import measure as stage

    with building(options) as build:
        report = stage.run(build)
    return finish(build, report, options)


@click.command()
@asking("--pass-rate", about="Ask this student, an entry of teachers.yaml or a YAML file; default: nobody is asked.")
@click.option("--model-id", default="", help="Of --pass-rate: what a server calls the model, where no entry knows it.")
@click.option("--samples", type=click.IntRange(2), default=8, show_default=True, help="Of --pass-rate: replies each.")
@click.option(
    "--keep",
    default="0.2-0.8",
    show_default=True,
    metavar="LO-HI",
    help="Of --pass-rate: keep what the student gets right as often.",
)
@click.option("--balance", default="", metavar="label|source", help="Of --pass-rate: level classes, or sources.")
@click.option(
    "--measures", is_flag=True, help="Measure the faces too, for a reward that holds claims against them (`grounding`)."
)
@click.option("--kinds", default="", metavar="KIND,KIND", help="Ask these kinds of questions; overrides the recipe.")
@click.option(
    "--min-consensus",
    type=click.FloatRange(0, 1),
    default=0.0,
    metavar="SHARE",
    help="Drop faces whose leading expression has a smaller share of their votes; faces without votes stay.",
)
@click.option(
    "--confusions",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A result.json of `fer-build eval`: draw wrong labels by that model's errors, not by people's.",
)
@common
def rlvr(
    options: Options,
    asked: Asked,
    model_id: str,
    samples: int,
    keep: str,
    balance: str,
    confusions: Path | None,
    **flags: Any,
) -> int:
    """Make one question a training face, or several kinds, with the answer in the trainers' columns.

    With --pass-rate a student model is asked all of them several times, and those stay that it gets right now and then.

    \b
    fer-build rlvr                                  which of the source's labels, as the benchmark asks
    fer-build rlvr --kinds choose,pair,odd          three kinds of questions
    fer-build rlvr --pass-rate qwen7b --samples 8   of these the ones that a 7B model can learn from
    """
    from ferbuild.builders import difficulty
    from ferbuild.builders import rlvr as stage
    from ferbuild.builders.kinds.confusions import read_confusions

    told = read_confusions(confusions) if confusions else ""
    student = difficulty.flags_of(
        asked.teacher or "", asked.options, model_id=model_id, samples=samples, keep=keep, balance=balance
    )
    with building(options) as build:
        confirm = asked.confirm(build, options)
        report = stage.run(build, options=asked.options, confirm=confirm, confusions=told, **flags, **student)
    if report is None:
        return asked.left_at_that(build, options, "rlvr")
    if student and not options.as_json:
        for line in difficulty.told(report):
            click.echo(line)
    return finish(build, report, options, asked.as_json())


@click.command()
@asking()
@click.option(
    "--samples", type=click.IntRange(1), help="Replies for each face; default: 1, and with --quota as many as it takes."
)
@click.option(
    "--style",
    type=click.Choice(list(SUFFIX)),
    default="think",
    show_default=True,
    help="Reason and then answer, answer first, or answer alone.",
)
@click.option(
    "--quota",
    default="",
    metavar="SHARE|ROWS",
    help="Ask again about the labels that lose most, until so much of each is kept: 0.8, or 5000.",
)
@click.option("--evidence", is_flag=True, help="Tell the teacher what was measured on the face.")
@click.option(
    "--hint-failures",
    is_flag=True,
    help="Ask again, with the label, about faces that it got wrong; they go to a split of their own.",
)
@click.option(
    "--structured", is_flag=True, help="Hold replies to the form asked for, where the server can (vLLM); it is probed."
)
@common
def cot(
    options: Options,
    asked: Asked,
    samples: int | None,
    style: str,
    quota: str,
    evidence: bool,
    hint_failures: bool,
    structured: bool,
) -> int:
    """Ask a teacher, who never sees the label, and keep the reasoning that arrives at it.

    \b
    fer-build cot --teacher geometry                the embedded baseline, runs anywhere
    fer-build cot --teacher qwen72b                 a server of your own, see its line in the error if none runs
    fer-build cot --teacher gpt --estimate          what all would cost, before it is spent
    """
    from ferbuild.builders import cot as stage

    with building(options) as build:
        report = stage.run(
            build,
            teacher=asked.teacher,
            options=asked.options,
            samples=samples or 0,
            style=style,
            quota=quota,
            evidence=evidence,
            hint_failures=hint_failures,
            structured=structured,
            confirm=asked.confirm(build, options),
        )
    if report is None:
        return asked.left_at_that(build, options, "cot")
    return finish(build, report, options, asked.as_json())


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
    """Build FERBench from the benchmark splits; exit code 1 where a picture cannot be read.

    \b
    fer-build bench                            the tool's own wording
    fer-build bench --prompts rafdb_qa.json    the published one, read from its file
    """
    from ferbuild.builders import bench as stage

    with building(options) as build:
        report = stage.run(build, prompts=stage.read_prompts(prompt_files))
    return finish(build, report, options)
