"""`fer-build grounding`: are the rationales true of the pictures?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from ferbuild.builders import lift
from ferbuild.builders.cli.common import Options, common, emit
from ferbuild.builders.config import read_settings


@click.command()
@click.argument("datasets", nargs=-1, type=click.Path(path_type=Path))
@common
def grounding(options: Options, datasets: tuple[Path, ...]) -> int:
    """Tell which claims of the rationales the measurements bear out, and the lift over another face.

    \b
    fer-build grounding                    the cot dataset of fer-build.yaml
    fer-build grounding A/cot B/cot        several, to compare teachers
    """
    from ferbuild.builders import cot

    folders = datasets
    if not folders:
        settings = read_settings(options.config, work=options.work, limit=options.limit)
        folders = (settings.work / cot.FOLDER,)
    found = lift.report(folders)
    if options.as_json:
        emit({"stage": "grounding", "teachers": [lift.as_json(one) for one in found]})
        return 0
    for one in found:
        show_grounding(one)
    _compare([one for one in found if not one.circular])
    return 0


HEAD = ("claims", "supported", "contradicted", "not judged", "lift")


def show_grounding(one: lift.Grounding) -> None:
    """Print what one teacher's rationales claim and how it was judged."""
    total = one.total
    click.echo(f"{click.style(one.teacher, bold=True)}   {one.dataset}")
    if one.circular:
        click.echo("  circular: it says what was measured, so its support proves nothing; left out of comparisons")
    click.echo(
        f"  {total.claims:,} claims in {total.rationales:,} rationales: {total.supported:,} supported, "
        f"{total.contradicted:,} contradicted, {total.not_judged:,} not judged"
    )
    own, other = _share(total.borne_out), _share(total.elsewhere)
    click.echo(f"  support: {_share(total.support)} of what was judged")
    click.echo(f"  lift: {own} of all claims borne out, {other} on another face with the label: {_lift(total)}")
    click.echo(
        f"  lift over {total.tried:,} of {total.rationales:,} rationales: those whose other face is kept as well"
    )
    if one.why:
        click.echo(f"  not judged because: {', '.join(f'{why} {count:,}' for why, count in one.why.items())}")
    if one.other_language:
        click.echo(f"  {one.other_language:,} rationales are not in English: no claim was read in them")
    _table("label", {label: _label_cells(found) for label, found in one.labels.items()})
    _table("unit", {unit: _unit_cells(found) for unit, found in one.units.items()})
    click.echo()


def _table(title: str, rows: Mapping[str, Sequence[str]]) -> None:
    click.echo(f"\n  {title:<12}" + "".join(f"{name:>15}" for name in HEAD))
    for name, cells in rows.items():
        click.echo(f"  {name:<12}" + "".join(f"{cell:>15}" for cell in cells))


def _label_cells(found: lift.Tally) -> list[str]:
    counts = (found.claims, found.supported, found.contradicted, found.not_judged)
    return [*(f"{count:,}" for count in counts), _lift(found)]


def _unit_cells(found: Mapping[str, int]) -> list[str]:
    counts = (sum(found.values()), *(found.get(verdict, 0) for verdict in HEAD[1:4]))
    return [*(f"{count:,}" for count in counts), ""]


def _compare(found: list[lift.Grounding]) -> None:
    if len(found) < 2:
        return
    click.echo("by lift:")
    for one in sorted(found, key=lambda one: -(one.total.lift if one.total.lift is not None else -2)):
        click.echo(f"  {one.teacher:<14} lift {_lift(one.total)}   {one.dataset}")


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def _lift(found: lift.Tally) -> str:
    return "–" if found.lift is None else f"{found.lift:+.1%} ± {_share(found.error)}"
