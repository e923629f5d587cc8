"""`fer-build publish`: the edition of a dataset that may leave the machine, and its upload."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ferbuild.builders.cli import completing
from ferbuild.builders.cli.common import Options, building, common, emit
from ferbuild.builders.errors import FerError

if TYPE_CHECKING:
    from ferbuild.builders.build import Build
    from ferbuild.builders.publishing.edition import Edition
    from ferbuild.builders.publishing.hub import Sent

PLACE = "ORG/NAME"


@click.command()
@click.argument("dataset", shell_complete=completing.datasets)
@click.option("--repo", metavar=PLACE, help="Upload it to this dataset repository of the Hub, in one commit.")
@click.option(
    "--images",
    type=click.Choice(["none", "bytes"]),
    default="none",
    show_default=True,
    help="Whether pictures are in it; only where the licence of every source allows it.",
)
@click.option(
    "--i-have-checked",
    "checked",
    multiple=True,
    metavar="SOURCE",
    help="You answer for it that labels and text of this source may be published, which its terms leave open.",
)
@click.option("--baseline", is_flag=True, help="Publish rationales of the embedded geometry baseline, marked as such.")
@click.option(
    "--private/--public",
    default=True,
    show_default=True,
    help="Of a repository that is made; one that is there stays as it is.",
)
@click.option("--create-pr", is_flag=True, help="Propose it in a pull request.")
@common
def publish(
    options: Options,
    dataset: str,
    repo: str | None,
    images: str,
    checked: tuple[str, ...],
    baseline: bool,
    private: bool,
    create_pr: bool,
) -> int:
    """Build the edition of a dataset that may leave the machine; with --repo, upload it.

    \b
    fer-build publish cot                                  fer-data/edition/cot, without pictures
    fer-build publish rlvr --i-have-checked rafdb          its labels are published on your own word
    fer-build publish cot --repo my-lab/fer-cot --public   and to the Hub (`hf auth login` first)

    DATASET: cot, an arm of it such as cot-direct, rlvr or ferbench. It must be built and current. Pictures stay home
    by default: whoever has the releases fills them in with `fer-build rehydrate`.
    """
    from ferbuild.builders.publishing import hub, making
    from ferbuild.builders.publishing.gate import Asked

    if repo is not None:
        hub.check_repo(repo)
        hub.check_token()
    asked = Asked("bytes" if images == "bytes" else "none", checked, baseline)
    with building(options) as build:
        out, edition = making.make(build, dataset, asked)
        if repo:
            _prove(build, out)
        sent = hub.upload(out, repo, private=private, create_pr=create_pr) if repo else None
    by_hand = hub.lines(_seen_from_here(out), repo or PLACE)
    if options.as_json:
        emit(_as_json(out, edition, sent, by_hand))
    else:
        _show(out, edition, sent, by_hand)
    return 0


def _prove(build: Build, out: Path) -> None:
    """FerError, before anything is uploaded, where the edition breaks a promise."""
    from ferbuild.builders.publishing import verifying

    build.began("verify")
    around = verifying.surroundings(build.settings, workers=build.settings.workers, tick=build.tick)
    if faults := verifying.verify(out, around).faults:
        first = faults[0]
        hint = f"nothing was uploaded; `fer-build verify {_seen_from_here(out)}` tells all {len(faults)}"
        raise FerError(out, f"{first.check}: {first.where or out.name}: {first.problem}", hint)


def _as_json(out: Path, edition: Edition, sent: Sent | None, by_hand: list[str]) -> dict[str, object]:
    return {
        "stage": "publish",
        "dataset": edition.dataset,
        "key": edition.key,
        "rows": edition.rows,
        "images": edition.images,
        "shards": len(edition.shards),
        "checked": edition.checked,
        "baseline": edition.baseline,
        "out": str(out),
        "uploaded": sent._asdict() if sent else None,
        "by_hand": by_hand,
    }


def _show(out: Path, edition: Edition, sent: Sent | None, by_hand: list[str]) -> None:
    splits = ", ".join(f"{split} {rows:,}" for split, rows in edition.rows.items())
    pictures = "with its pictures" if edition.images == "bytes" else "without pictures"
    click.echo(f"{click.style('edition', bold=True)}  {edition.dataset}, {pictures}: {splits}")
    for name, terms in edition.sources.items():
        answer = ", on your word" if name in edition.checked else ""
        click.echo(f"         {terms.rows:>7,}  {name}: pictures {terms.images}, labels {terms.labels}{answer}")
    if edition.baseline:
        click.echo("         its rationales are the geometry baseline's, and every row says so")
    click.echo(f"\n{out}")
    if sent:
        removed = f", {sent.removed} files of an earlier edition removed" if sent.removed else ""
        click.echo(f"uploaded {sent.files} files{removed}: {sent.url}\nthe same by hand:")
    else:
        click.echo("to upload it, say --repo, or by hand:")
    click.echo("\n".join(f"  {line}" for line in by_hand))


def _seen_from_here(out: Path) -> str:
    """Return the folder as a command line in the working folder names it."""
    near = os.path.relpath(out)
    return str(out) if near.startswith("..") else near
