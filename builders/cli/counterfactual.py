"""`fer-build counterfactual`: does a model's reasoning follow the picture?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from ferbuild.builders.cli.asking import Asked, asking
from ferbuild.builders.cli.common import Options, as_json, building, common, emit, exit_code, show

if TYPE_CHECKING:
    from ferbuild.builders.faithfulness import Faithfulness, Share, Tally
    from ferbuild.builders.mark import Report

READING = """
named       the unit is claimed of the picture that shows it: high is good
invented    the unit is claimed of the picture that lacks it: low is good
spill       something said of other units differs, though only this one does: low is good
answer      changes where the unit decides which label fits best, and where one label clearly fits both pictures (the
            rest is open): the second should be low
faithful    named, not invented, no spill, and no other answer where one label clearly fits both pictures
A text that fits every face is faithful of none: what it names it invents as often."""
HEAD = ("unit", "pairs", "left out", "named", "invented", "spill", "answer: decides", "does not", "faithful")
WIDTHS = (30, 7, 10, 8, 10, 7, 17, 12, 10)


@click.command()
@asking("--model", "--teacher", faces=False)
@click.option("--count", type=click.IntRange(1, 9999), default=20, show_default=True, help="Pairs a unit.")
@click.option("--unit", "units", multiple=True, help="Only this action unit, as in AU12; repeatable.")
@click.option("--samples", type=click.IntRange(1), default=1, show_default=True, help="Replies to each picture.")
@click.option("--size", type=int, default=224, show_default=True, help="Pixels a side.")
@common
def counterfactual(
    options: Options,
    asked: Asked,
    count: int,
    units: tuple[str, ...],
    size: int,
    samples: int,
) -> int:
    """Test whether a model's reasoning follows the picture, on rendered faces in pairs that differ in one unit.

    Needs no release and no fer-build.yaml. The pictures show nobody, and may go to any server.

    \b
    fer-build counterfactual                                   the embedded baseline
    fer-build counterfactual --model qwen7b --unit AU12        a served model, one unit
    """
    from ferbuild.builders import counterfactual as stage
    from ferbuild.builders import faithfulness

    with building(options, required=False) as build:
        report = stage.run(
            build,
            teacher=asked.teacher,
            units=",".join(units),
            count=count,
            size=size,
            samples=samples,
            options=asked.options,
            confirm=asked.confirm(build, options),
        )
    if report is None:
        return asked.left_at_that(build, options, "counterfactual")
    found = faithfulness.report(report.out)
    if options.as_json:
        figures = faithfulness.as_json(found) if found else None
        emit(as_json(build, report) | {"faithfulness": figures, **asked.as_json()})
    else:
        for one in build.ran:
            show(one)
        _show(found, report)
    return exit_code(report)


def _show(found: Faithfulness | None, report: Report) -> None:
    if found is None:
        click.echo("\nno pair could be compared: the drops of the dataset hold the replies")
        return
    served = f" ({found.model})" if found.model else ""
    click.echo(f"\n{click.style(found.teacher, bold=True)}{served}")
    if found.baseline:
        click.echo("the embedded baseline: a program that measures a mesh, for trying; no model reasons here")
    click.echo("\n" + _line(HEAD))
    for cells in _rows(found):
        click.echo(_line(cells))
    click.echo(READING)
    true = found.total.true_claims
    click.echo(f"\nof {true.whole:,} claims in all, the known units bear out {true.part:,} ({_percent(true)})")
    if _is_sampled(found.sampling):
        click.echo("the model is sampled at a temperature above 0: some of what differs is chance, not the picture")
    click.echo(f"\nnext: look at single pairs, datasets.load_dataset({str(report.out)!r}, split='test')")


def _rows(found: Faithfulness) -> Iterator[tuple[str, ...]]:
    from ferbuild.manifests.load import load_units

    known = load_units().units
    for unit, one in found.units.items():
        yield (f"{unit} {known[unit].name}", *_cells(one))
    yield ("all", *_cells(found.total))
    yield ("95 % interval, from", "", "", *(_limit(share, 0) for share in _shares(found.total)))
    yield ("to", "", "", *(_limit(share, 1) for share in _shares(found.total)))


def _shares(one: Tally) -> tuple[Share, ...]:
    return (one.named, one.invented, one.spill, one.changed_deciding, one.changed_settled, one.faithful)


def _cells(one: Tally) -> tuple[str, ...]:
    named, invented, spill, deciding, settled, faithful = _shares(one)
    counted = (f"{share.part}/{share.whole} {_percent(share):>4}" for share in (deciding, settled))
    return (
        f"{one.pairs:,}",
        f"{one.dropped:,}",
        *(_percent(share) for share in (named, invented, spill)),
        *counted,
        _percent(faithful),
    )


def _line(cells: tuple[str, ...]) -> str:
    first, *rest = cells
    return f"{first:<{WIDTHS[0]}}" + "".join(f"{cell:>{width}}" for cell, width in zip(rest, WIDTHS[1:], strict=True))


def _percent(share: Share) -> str:
    return "–" if share.value is None else f"{share.value:.0%}"


def _limit(share: Share, which: int) -> str:
    return "–" if share.interval is None else f"{share.interval[which]:.0%}"


def _is_sampled(sampling: str) -> bool:
    """Tell whether the same question may get another reply: unless the entry sets the temperature to 0."""
    import json

    known = json.loads(sampling)
    return bool(known) and known.get("temperature", 1) != 0
