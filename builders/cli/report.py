"""`fer-build report`: what became of every row, on one page."""

from __future__ import annotations

from pathlib import Path

import click

from ferbuild.builders.cli.common import Options, common, emit, looking


@click.command()
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the page; default: report/ in the work folder.")
@click.option("--pictures", is_flag=True, help="Show faces too: the page then has to stay on this machine.")
@common
def report(options: Options, out: Path | None, pictures: bool) -> int:
    """Show what became of every row, on one page that needs neither network nor script.

    Tells of what lies in the work folder and builds nothing; a stage that is missing is named with the command that
    builds it.

    \b
    fer-build report                      fer-data/report/index.html
    fer-build report --pictures           with the faces of its examples: it has to stay on this machine
    fer-build report --json               the same figures as one object

    Exit code: 0 where all could be told, 1 where something that lies there is damaged or does not add up, 2 where
    nothing is built at all.
    """
    from ferbuild.builders.reporting import write

    with looking(options, required=False) as build:
        written = write.write(build, out, pictures=pictures)
    if options.as_json:
        emit(written.as_json())
    else:
        for line in written.lines():
            click.echo(line)
    return 1 if written.found["problems"] else 0
