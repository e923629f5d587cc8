"""`fer-build status`: what is built and what a command would do."""

from __future__ import annotations

import click

from ferbuild.builders import status as states
from ferbuild.builders.cli.common import Options, common, emit, looking


@click.command()
@common
def status(options: Options) -> int:
    """Tell of every dataset whether it is built, stale, incomplete or missing.

    \b
    fer-build status                  what a command would have to do
    fer-build status --json           counts and drops too
    """
    with looking(options) as build:
        found = states.status(build)
    if options.as_json:
        stages = {one.stage: _as_json(one) for one in found}
        emit({"stage": "status", "work": str(build.settings.work), "stages": stages})
        return 0
    for one in found:
        rows = f"{one.report.kept:,} rows" if one.report else ""
        how = "".join(f" ({name} {value})" for name, value in one.flags.items() if value)
        click.echo(f"{one.stage:<8} {one.state:<11} {rows}{how}".rstrip())
    left = [f"fer-build {one.stage}" for one in found if one.state != "built" and one.stage in ("cot", "rlvr", "bench")]
    if left:
        click.echo(f"\nto build: {', '.join(left)} (each also runs what it needs before it)")
    return 0


def _as_json(one: states.State) -> dict[str, object]:
    report = one.report.as_json() if one.report else {}
    counts = {name: report[name] for name in ("in", "kept", "dropped", "out") if name in report}
    return {"state": one.state} | ({"flags": dict(one.flags)} if one.flags else {}) | counts
