"""`fer-build review`: look at rows in the browser and decide about them."""

from __future__ import annotations

import asyncio
import getpass
from typing import TYPE_CHECKING

import click

from ferbuild.builders.cli import completing
from ferbuild.builders.cli.common import Options, common, emit, looking
from ferbuild.builders.errors import FerError

if TYPE_CHECKING:
    from ferbuild.builders.reviewing.desk import Desk
    from ferbuild.builders.reviewing.figures import Summary


@click.command()
@click.argument("dataset", shell_complete=completing.datasets)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to serve on; this machine's own.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port to serve on; default: a free one.")
@click.option("--reviewer", help="Whose decisions these are; default: the login name.")
@click.option(
    "--sample", type=click.IntRange(1), metavar="N", help="Review N rows drawn by the seed, for an estimate of all."
)
@click.option("--token", default="", help="Ask for this token; off this machine one is always asked for.")
@click.option("--open/--no-open", "opens", default=True, help="Open the page in the browser.")
@click.option("--summary", "summed", is_flag=True, help="Print what was decided so far, and serve nothing.")
@common
def review(
    options: Options,
    dataset: str,
    host: str,
    port: int,
    reviewer: str | None,
    sample: int | None,
    token: str,
    opens: bool,
    summed: bool,
) -> int:
    """Look at the rows of a dataset in the browser: accept, reject, relabel, note.

    DATASET is faces, cot, an arm of it such as cot-direct, rlvr, ferbench, the folder of such a dataset, or `drops`:
    what all stages dropped. Every decision is written to fer-data/reviews/<dataset>.jsonl before it is answered for.

    \b
    fer-build review cot                            every rationale, with what measurements say of its claims
    fer-build review cot --sample 200               200 drawn at random: what share of all is acceptable?
    fer-build review drops                          was it right to drop these?
    fer-build review cot --summary                  who decided what, and how far reviewers agree
    """
    from ferbuild.builders.reviewing import setting

    with looking(options) as build:
        if summed:
            _tell(setting.summary_of(build.settings, dataset), options)
            return 0
        desk = setting.desk_of(build.settings, dataset, reviewer or _login_name(), sample)
    _serve(desk, options, host, port, token, opens=opens)
    return 0


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # as in a container, whose user nobody named
        raise FerError("--reviewer", "this user has no name", "give one: --reviewer anna") from None


def _serve(desk: Desk, options: Options, host: str, port: int, token: str, *, opens: bool) -> None:
    from ferbuild.builders.reviewing import guard, server

    listening = server.bound(host, port)
    guarded = guard.Guard(host, listening.getsockname()[1], guard.chosen_token(host, token))
    if not guard.is_loopback(host):
        click.echo(
            f"other machines can reach {host}: pictures and token cross the network unencrypted.\n"
            "  An SSH tunnel is safer: leave --host out, and ssh -L PORT:127.0.0.1:PORT this-machine",
            err=True,
        )
    asyncio.run(server.serve(desk, guarded, listening, lambda: _ready(desk, guarded.url, options, opens=opens)))
    if not options.as_json:
        _end(desk)


def _ready(desk: Desk, url: str, options: Options, *, opens: bool) -> None:
    about = desk.about()
    if options.as_json:
        emit(
            {"stage": "review", "url": url, "log": str(desk.setup.log)}
            | {n: about[n] for n in ("dataset", "rows", "reviewer")}
        )
    else:
        click.echo(
            f"{about['dataset']}, {about['rows']:,} rows, reviewed by {about['reviewer']}: {url}\nCtrl-C ends it"
        )
    if opens:
        click.launch(url)


def _end(desk: Desk) -> None:
    found = desk.summary()
    name = desk.catalogue.dataset
    applies = desk.catalogue.kind in ("faces", "cot", "rlvr")
    then = f"fer-build apply-review {name}" if applies else f"fer-build review {name} --summary"
    click.echo(f"\n{found.rows:,} rows decided, in {desk.setup.log}\nthen: {then}")


def _tell(found: Summary, options: Options) -> None:
    from ferbuild.builders.reviewing import told

    if options.as_json:
        emit({"stage": "review"} | found.as_json())
    else:
        click.echo("\n".join(told.lines(found)))
