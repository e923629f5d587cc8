"""`fer-build leaderboard`: one table over many results."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ferbuild.builders.cli.common import Options, common, emit

if TYPE_CHECKING:
    from ferbuild.builders.evaluation.leaderboard import Board


@click.command()
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--pairs", is_flag=True, help="Compare each model with the next one and with the best, row by row.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the intervals of --pairs.")
@click.option("--markdown", type=click.Path(path_type=Path), help="Write the table as Markdown.")
@click.option("--html", type=click.Path(path_type=Path), help="Write it as one page that needs nothing else.")
@common
def leaderboard(
    options: Options, folder: Path | None, pairs: bool, seed: int, markdown: Path | None, html: Path | None
) -> int:
    """Rank all results of `fer-build eval` below DIR, beside the published figures.

    DIR is searched to any depth for result folders; without it, the work folder's `eval` is. A result that lacks rows
    of the benchmark is ranked apart.

    \b
    fer-build leaderboard                              all results of the work folder
    fer-build leaderboard results --pairs --html l.html

    Exit code: 0 where every result could be used, 1 where some could not, 2 where there is none.
    """
    from ferbuild.builders.config import read_settings
    from ferbuild.builders.evaluation import board, leaderboard
    from ferbuild.builders.files import write_text

    if folder is None:
        folder = read_settings(options.config, work=options.work, limit=options.limit, required=False).work / "eval"
    found = leaderboard.board_of(folder)
    if pairs:
        found = leaderboard.with_pairs(found, seed=seed)
    if markdown:
        write_text(markdown, board.markdown(found))
    if html:
        write_text(html, board.page(found))
    if options.as_json:
        emit({"stage": "leaderboard", "in": str(folder), **leaderboard.as_json(found)})
    else:
        _show(found, [path for path in (markdown, html) if path])
    return 1 if found.broken else 0


def _show(found: Board, written: list[Path]) -> None:
    from ferbuild.builders.evaluation import board

    for line in board.terminal(found, width=shutil.get_terminal_size().columns):
        click.echo(line)
    for path in written:
        click.echo(f"\nwritten: {path}")
