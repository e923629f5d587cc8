"""`fer-build rehydrate`: an edition without pictures becomes the local dataset again."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ferbuild.builders.cli.common import Options, building, common, emit
from ferbuild.builders.errors import FerError

if TYPE_CHECKING:
    from ferbuild.builders.publishing.rehydrate import Rehydrated

SHOWN = 10


@click.command()
@click.argument("edition")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Destination; default: rehydrated/DATASET in the work folder."
)
@common
def rehydrate(options: Options, edition: str, out: Path | None) -> int:
    """Fill the pictures of an edition in, from your own releases.

    \b
    fer-build rehydrate downloads/fer-cot        a folder
    fer-build rehydrate my-lab/fer-cot           a dataset of the Hub, which is fetched first

    A picture is looked for where the row says, then by the sha256 of its file in all of the release, and cut out again
    as the row says: no detector is needed. The shards come out byte for byte as they were before they were published.
    The releases are those that fer-build.yaml names.

    Exit code: 0 where that holds, 1 where pictures are missing or come out otherwise: missing.csv lists them.
    """
    from ferbuild.builders.publishing import rehydrate as filling

    with building(options) as build:
        done = filling.rehydrate(build.settings, _folder(edition), out, build.tick)
    if options.as_json:
        emit(_as_json(done))
    else:
        _show(done)
    return 1 if done.faults or done.differing else 0


def _folder(edition: str) -> Path:
    """Return the folder that is named, or into which the repository that is named was fetched."""
    if Path(edition).is_dir():
        return Path(edition)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", edition):
        hint = "name the folder of an edition, or a dataset of the Hub as ORG/NAME"
        raise FerError(edition, "is no folder, and no name of a repository", hint)
    from ferbuild.builders.publishing import hub

    return hub.download(edition)


def _as_json(done: Rehydrated) -> dict[str, object]:
    return {
        "stage": "rehydrate",
        "dataset": done.edition.dataset,
        "rows": done.edition.rows,
        "filled": done.filled,
        "lacking": done.reasons,
        "first": [fault._asdict() for fault in done.faults[:SHOWN]],
        "differing": list(done.differing),
        "equal": not done.faults and not done.differing,
        "out": str(done.out),
    }


def _show(done: Rehydrated) -> None:
    rows = sum(done.edition.rows.values())
    name = f"{click.style('rehydrate', bold=True)} {done.edition.dataset}"
    click.echo(f"{name}: {rows:,} rows, {done.filled:,} pictures filled in")
    for reason, count in done.reasons.items():
        click.echo(f"         {count:>7,}  {reason}")
    for fault in done.faults[:SHOWN]:
        click.echo(f"  {fault.source}  {fault.rel_path}  {fault.reason}{f': {fault.detail}' if fault.detail else ''}")
    for name in done.differing:
        click.echo(f"  {name}: all its pictures are there, but not the bytes it had; is OpenCV another version?")
    if done.faults:
        click.echo(f"\n{done.out}: rows without pictures are in it; missing.csv lists {len(done.faults):,} pictures")
    elif not done.differing:
        click.echo(f"\n{done.out}: byte for byte the dataset that was published")
