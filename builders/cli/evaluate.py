"""`fer-build eval`: score any model on FERBench, or the files of results that somebody else's run left."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ferbuild.builders.cli.asking import Asked, asking
from ferbuild.builders.cli.common import Options, building, common, emit

if TYPE_CHECKING:
    from ferbuild.builders.evaluation.clustered import Figure
    from ferbuild.builders.evaluation.evaluate import Evaluated

FILES = click.Path(path_type=Path)


@click.command("eval")
@asking("--model")
@click.option("--model-id", default="", help="What a server calls the model, where no entry knows it: with --endpoint.")
@click.option("--sets", default="", metavar="SET,…", help="Only these benchmark sets.")
@click.option("--samples", type=click.IntRange(1), default=1, show_default=True, help="Replies to each question.")
@click.option("--prompts", multiple=True, type=FILES, help="Published JSON to take the prompts from; repeatable.")
@click.option("--robust", is_flag=True, help="Ask every question in five other ways too, and tell what flips.")
@click.option(
    "--variant", "variants", multiple=True, help="One of them: again, order, words, mirror, jpeg; repeatable."
)
@click.option("--rationales", is_flag=True, help="Hold what the reasoning claims against the faces, measured once.")
@click.option("--responses", multiple=True, type=FILES, help="Score a file of results instead; repeatable.")
@click.option("--set", "set_name", default="", metavar="SET", help="Of --responses: the set they are of.")
@click.option("--bench", multiple=True, type=FILES, help="Of --responses: what was asked, JSON or folder; repeatable.")
@click.option("--name", default="", help="Of --responses: what the model is called.")
@click.option("--against", multiple=True, type=FILES, help="A result folder to compare with, row by row; repeatable.")
@click.option("--out", type=FILES, help="Result folder; of a model by default fer-data/eval/NAME/report.")
@click.option("--predictions", type=FILES, help="Also write a JSON line a row here.")
@click.option("--pictures", is_flag=True, help="Put pictures on the page, which then must stay on this machine.")
@click.option(
    "--review",
    type=click.IntRange(1),
    metavar="N",
    help="Also write a sheet of N replies for people to judge, beside the result folder.",
)
@click.option("--reviewed", multiple=True, type=FILES, help="Only tell what filled-in review tables come to.")
@click.option("--resamples", type=click.IntRange(1), default=2000, show_default=True, help="Of the bootstrap.")
@common
def evaluate(
    options: Options,
    asked: Asked,
    responses: tuple[Path, ...],
    predictions: Path | None,
    reviewed: tuple[Path, ...],
    **rest: Any,
) -> int:
    """Score a model on FERBench: as the published scripts read its answers, and strictly.

    \b
    fer-build eval --model qwen7b                              an entry of teachers.yaml
    fer-build eval --endpoint URL --model-id ID                any served model
    fer-build eval --model majority                            a baseline: also geometry, probe, a classifier's YAML
    fer-build eval --responses results.json --out scores/mine  what another tool left
    """
    from ferbuild.builders.evaluation import evaluate as stage
    from ferbuild.builders.evaluation import output

    if reviewed:
        return _show_reviews(options, reviewed)
    wanted = stage.Wanted(**rest)
    if responses:
        if asked.teacher or asked.options.endpoints:
            raise click.UsageError("--responses are scored as they are: leave --model and --endpoint out")
        found = stage.of_files(responses, wanted)
    else:
        with building(options) as build:
            confirm = asked.confirm(build, options)
            got = stage.of_model(build, asked.teacher or "", wanted, asked.options, confirm)
        if got is None:
            return asked.left_at_that(build, options, "eval")
        found = got
    if predictions:
        output.write_predictions(predictions, found.score.readings)
    if options.as_json:
        emit({**found.as_json, **asked.as_json()})
    else:
        _show(found, wanted.out)
    return found.exit_code


def _show(found: Evaluated, out: Path | None) -> None:
    from ferbuild.builders.evaluation import tables

    for line in tables.terminal(dict(found.as_json), width=shutil.get_terminal_size().columns):
        click.echo(line)
    if found.out:
        click.echo(f"\n{found.out / 'index.html'}: the page; report.md to paste, result.json, predictions.jsonl")
        if found.sheet:
            click.echo(f"{found.sheet / 'review.html'}: the sheet; ratings go into review.csv beside it, a copy each")
            click.echo("and then: fer-build eval --reviewed ONE.csv --reviewed OTHER.csv")
        beside = found.out.parent if out else found.out.parent.parent
        click.echo(f"next: fer-build leaderboard {beside}, to see it beside others")
    else:
        click.echo("\n--out DIR writes the page, and what `fer-build leaderboard` reads")


def _show_reviews(options: Options, tables: Sequence[Path]) -> int:
    from ferbuild.builders.evaluation import reviews

    found = reviews.read_sheet(tables)
    if options.as_json:
        emit({"stage": "eval", "reviews": reviews.as_json(found)})
        return 0
    click.echo(f"{found.rows:,} rationales, rated by {', '.join(found.reviewers)}")
    click.echo("means of 1 to 5, of hallucinated the share of yes; 95 % intervals\n")
    for name, one in found.figures.items():
        click.echo(f"  {name:<14} {_figure(one)}")
    for pair, kappas in found.kappa.items():
        click.echo(f"\nagreement of {pair}: Cohen's kappa, with quadratic weights; 1 full, 0 as by chance")
        for name, one in kappas.items():
            click.echo(f"  {name:<14} {_figure(one)}")
    return 0


def _figure(one: Figure) -> str:
    if one.value is None:
        return "–"
    ends = "" if one.low is None or one.high is None else f"  {one.low:.2f} to {one.high:.2f}"
    return f"{one.value:.2f}{ends}   n {one.n:,}".replace("-", "−")
