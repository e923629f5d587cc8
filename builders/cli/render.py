"""`fer-build render`: a release of rendered faces whose action units are known."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from ferbuild.builders.cli.common import emit, progressing

if TYPE_CHECKING:
    from ferbuild.builders.render.draw import Kind
    from ferbuild.builders.render.release import Written

KINDS = ("labels", "units", "pairs")
SHEET = 64
"""Pictures on a contact sheet, at most."""


@click.command()
@click.option("--count", type=click.IntRange(1, 1_000_000), required=True, help="How many pictures.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Destination folder.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--size", default="48-512", show_default=True, help="Pixels of a side, or a range to draw it from.")
@click.option(
    "--expressions",
    type=click.Choice(KINDS),
    multiple=True,
    default=("labels",),
    show_default=True,
    help="Labels; single action units; two or three units at random. May be given again, to mix.",
)
@click.option("--workers", type=click.IntRange(1), help="Processes; default: one a core.")
@click.option("--sheet", type=click.Path(path_type=Path), help="Also write a contact sheet, .jpg or .png.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def render(
    count: int,
    out: Path,
    seed: int,
    size: str,
    expressions: tuple[str, ...],
    workers: int | None,
    sheet: Path | None,
    as_json: bool,
) -> int:
    """Render faces with known action units, as a release of their own.

    Clearly synthetic, CC0. The same options and seed give the same files.

    \b
    fer-build render --count 400 --out rendered --sheet faces.jpg
    fer-build render --count 2000 --out units --expressions units --expressions pairs --size 224
    """
    from ferbuild.builders.render import release

    kinds = cast("tuple[Kind, ...]", tuple(dict.fromkeys(expressions)))
    order = release.Order(count, seed, release.read_sizes(size), kinds)
    with progressing() as shown:
        shown.began("render")
        workers = workers or os.cpu_count() or 1
        done = release.build(out, order, workers=workers, tick=lambda at, total: shown.tick("render", at, total))
    if sheet is not None:
        _write_sheet(done, sheet)
    if as_json:
        emit({"stage": "render", "out": str(out), "count": count, "splits": done.splits, "labels": done.labels})
    else:
        _show(done)
    return 0


def _write_sheet(done: Written, sheet: Path) -> None:
    """Write the first pictures of a release, captioned, as one picture."""
    from ferbuild.builders.images import decode
    from ferbuild.builders.sheets import write_sheet
    from ferbuild.manifests.recipe import Picture

    limit = Picture().max_pixels
    pictures = [
        (Path(file).stem.partition("_")[2], decode((done.out / file).read_bytes(), max_pixels=limit))
        for file in done.files[:SHEET]
    ]
    write_sheet(pictures, sheet, columns=8)


def _show(done: Written) -> None:
    splits = ", ".join(f"{split} {count:,}" for split, count in done.splits.items())
    click.echo(f"{done.out}: {sum(done.splits.values()):,} synthetic pictures ({splits})")
    click.echo("labels: " + ", ".join(f"{label} {count:,}" for label, count in done.labels.items()))
    click.echo(f"\nnext: name it in fer-build.yaml as `sources: {{rendered: {done.out}}}`, then `fer-build check`")
