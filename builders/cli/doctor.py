"""`fer-build doctor`: what this machine lacks, for which command, and what to do about it."""

from __future__ import annotations

from collections import Counter
from itertools import groupby

import click

from ferbuild.builders import doctor as looked
from ferbuild.builders.cli.common import Options, common, emit
from ferbuild.builders.config import read_settings
from ferbuild.builders.doctor import Finding, State

MARKS = {"ok": ("ok", "green"), "note": ("--", "yellow"), "fault": ("!!", "red")}
"""State to what stands before its line, and the colour of that."""
QUIET = "versions"
"""An area of which only the first lines and the faults are printed without --all: nobody reads twenty versions."""
SHOWN = ("fer-build", "Python")


@click.command()
@click.option("--all", "every", is_flag=True, help="Also the packages that are installed as they should be.")
@common
def doctor(options: Options, every: bool) -> int:
    """Look at versions, models, disk, keys, servers and releases; say what to install for which command.

    \b
    fer-build doctor             what is there, what is not, and the line that mends it
    fer-build doctor --json      all of it, for a bug report: no key and no token is in it

    Nothing is fetched, built or asked; a server has 2 s to name its models. Exit code: 1 where a command will stop at
    what was found, else 0.
    """
    settings = read_settings(
        options.config, work=options.work, limit=options.limit, workers=options.workers, required=False
    )
    found = list(looked.findings(settings, options.config))
    counts: Counter[State] = Counter(one.state for one in found)
    if options.as_json:
        emit({"stage": "doctor", "faults": counts["fault"], "findings": [one._asdict() for one in found]})
    else:
        for area, ones in groupby(found, key=lambda one: one.area):
            _show(area, [one for one in ones if every or _matters(one)])
        click.echo(f"\n{_verdict(counts)}")
    return 1 if counts["fault"] else 0


def _matters(one: Finding) -> bool:
    return one.area != QUIET or one.name in SHOWN or one.state != "ok"


def _show(area: str, found: list[Finding]) -> None:
    click.secho(area, bold=True)
    width = max(len(one.name) for one in found)
    for one in found:
        mark, colour = MARKS[one.state]
        click.echo(f"  {click.style(mark, fg=colour)}  {one.name:<{width}}  {one.said}")
        if one.hint:
            click.echo(f"      {'':<{width}}  {click.style(one.hint, dim=True)}")


def _verdict(counts: Counter[State]) -> str:
    if counts["fault"]:
        return f"{counts['fault']} to mend (!!): commands will stop there. What is marked -- is optional."
    return "nothing stands in the way. What is marked -- is optional."
