"""`fer-build apply-review`: the dataset that a review leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ferbuild.builders.cli import completing
from ferbuild.builders.cli.common import Options, building, common, finish

if TYPE_CHECKING:
    from ferbuild.builders.reviewing.applying import OnDisagreement


@click.command("apply-review")
@click.argument("dataset", shell_complete=completing.datasets)
@click.option(
    "--on-disagreement",
    type=click.Choice(["keep", "drop"]),
    default="keep",
    show_default=True,
    help="What becomes of rows on which reviewers disagree and nobody settled; kept ones make the exit code 1.",
)
@common
def apply_review(options: Options, dataset: str, on_disagreement: OnDisagreement) -> int:
    """Make the dataset that a review leaves, in fer-data/<dataset>-reviewed, with drops of its own.

    DATASET is faces, cot, an arm of it, or rlvr. Decisions about faces count for the rationales and questions that show
    them. The dataset itself stays as it is, and so do the decisions.

    \b
    fer-build apply-review cot                                what nobody rejected
    fer-build apply-review cot --on-disagreement drop         and nobody disagrees about
    python training/run.py sft --data fer-data/cot-reviewed   train on it
    """
    from ferbuild.builders.reasons import DISAGREE
    from ferbuild.builders.reviewing import applying

    with building(options) as build:
        report = applying.run(build, dataset, on_disagreement)
    code = finish(build, report, options)
    if not options.as_json:
        for row in report.tables["review"]:
            click.echo(f"  {row['decided']}: {row['rows']:,}")
    return code or int(DISAGREE in report.findings)
