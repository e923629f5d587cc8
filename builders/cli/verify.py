"""`fer-build verify`: what a dataset folder promises, held against what is in it."""

from __future__ import annotations

import click

from ferbuild.builders.cli import completing
from ferbuild.builders.cli.common import Options, common, emit, looking
from ferbuild.builders.publishing import verifying


@click.command()
@click.argument("dataset", shell_complete=completing.datasets)
@common
def verify(options: Options, dataset: str) -> int:
    """Check all promises that a dataset's folder can show; exit 1 with a list where one is broken.

    DATASET is a dataset of the work folder, the folder of an edition, or a downloaded one.

    \b
    fer-build verify cot                         the local dataset
    fer-build verify fer-data/edition/cot        what would be uploaded
    fer-build verify DOWNLOADED                  what `hf download` brought
    """
    with looking(options, required=False) as build:
        path = verifying.find(dataset, build.settings.work)
        around = verifying.surroundings(build.settings, workers=build.settings.workers, tick=build.tick)
        build.began("verify")
        done = verifying.verify(path, around)
    if options.as_json:
        emit(done.as_json())
    else:
        _show(done)
    return 1 if done.faults else 0


def _show(done: verifying.Verified) -> None:
    """Print a line a check, then the faults."""
    for name, outcome in done.outcomes.items():
        state = verifying.state(outcome)
        colour = {"failed": "red", "passed": "green"}.get(state)
        note = f"   {outcome.note}" if outcome.note else ""
        click.echo(f"{name:<16} {click.style(f'{state:<8}', fg=colour)}{note}".rstrip())
    click.echo(f"\n{done.path}: {done.rows:,} rows in {done.seconds:.1f} s")
    for fault in done.faults:
        first = f", the first {fault.first}" if fault.many > 1 or fault.first != fault.where else ""
        click.echo(
            f"{click.style(fault.check, fg='red')}: {fault.where or done.path.name}: {fault.problem}"
            f" ({fault.many:,}{first})"
        )
    click.echo("" if done.faults else "every promise that this folder can show is kept", nl=not done.faults)
