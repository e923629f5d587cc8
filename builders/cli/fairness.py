"""`fer-build fairness`: whom does a model fail on?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ferbuild.builders.cli.asking import Asked, asking
from ferbuild.builders.cli.common import Options, as_json, building, common, emit, exit_code, looking, show

if TYPE_CHECKING:
    from ferbuild.builders.build import Build
    from ferbuild.builders.evaluation.flips import Changed, Flips
    from ferbuild.builders.evaluation.gaps import Compared, Gap, Group
    from ferbuild.builders.evaluation.groups import Looked
    from ferbuild.builders.mark import Report

PEOPLE = """
gap       the largest share less the smallest, and where the true one lies in 95 of 100 cases: from 0 means that the
          groups are not shown to differ
alike     every label weighs the same in a group's share, since groups differ in how often they show which expression;
          labels that a group has too few rows of are left out for all
Groups are as RAF-DB's makers saw them. Nothing of this enters a dataset; --export writes the gaps alone."""
LOOKS = """
flips     faces whose three pictures do not all get one answer: the expression is the same on them, and should be called
          the same. What flips where only lamp and background change flips by chance; `more` is what comes on top
right     answers that are the rendered label; the faces are the same at every level
Rendered faces: what happens here may happen with people, and what does not is no proof that it will not."""

FIGURES = {"accuracy": "accuracy", "kept": "rationales kept"}


@click.command()
@asking("--model", "--teacher", faces=False)
@click.option("--result", type=click.Path(path_type=Path), help="A result folder of fer-build eval: accuracy by group.")
@click.option("--count", type=click.IntRange(1, 9999), default=80, show_default=True, help="Rendered faces.")
@click.option("--size", type=int, default=224, show_default=True, help="Pixels a side.")
@click.option("--export", type=click.Path(path_type=Path), help="Write the gaps between groups, and nothing else.")
@common
def fairness(options: Options, asked: Asked, result: Path | None, count: int, size: int, export: Path | None) -> int:
    """Tell whom a model fails on: gaps between groups of people on RAF-DB, and rendered faces with changed looks.

    Groups are told by the release's own attribute files; with them go the rows of which rationales were kept. Rendered
    faces need no release, and may go to any server.

    \b
    fer-build fairness                                         only whose rationales were kept
    fer-build fairness --result fer-data/eval/qwen7b/report    accuracy by gender, race and age too
    fer-build fairness --model qwen7b                          the same expression with another skin, age and shape
    """
    from ferbuild.builders.evaluation import groups

    people = result is not None or asked.teacher is None
    if export and not people:
        raise click.UsageError("--export writes gaps between groups of people: name a result with --result")
    if asked.options.endpoints and not asked.teacher:
        raise click.UsageError("--endpoint is a model's: name it with --model")
    opened = building if asked.teacher else looking
    with opened(options, required=people) as build:
        told = groups.look(build, result) if people else None
        report = _ask(build, options, asked, count, size) if asked.teacher else None
    if told and export:
        groups.export(told, export)
    if asked.teacher and report is None:
        return asked.left_at_that(build, options, "fairness")
    return _end(build, options, asked, told, report, export)


def _ask(build: Build, options: Options, asked: Asked, count: int, size: int) -> Report | None:
    from ferbuild.builders.evaluation import fairness as stage

    confirm = asked.confirm(build, options)
    return stage.run(build, teacher=asked.teacher, count=count, size=size, options=asked.options, confirm=confirm)


def _end(
    build: Build, options: Options, asked: Asked, told: Looked | None, report: Report | None, export: Path | None
) -> int:
    """Show what was found and return the exit code."""
    from ferbuild.builders.evaluation import flips, groups

    found = flips.report(report.out, seed=build.settings.seed) if report else None
    if options.as_json:
        about = as_json(build, report) if report else {"stage": "fairness"}
        parts = {"people": groups.as_json(told) if told else None, "looks": flips.as_json(found) if found else None}
        emit({**about, **parts, **asked.as_json()})
    else:
        for line in (*_people(told), *_looks(build, found, report)):
            click.echo(line.rstrip(" "))
        if export:
            click.echo(f"\n{export}: the gaps, and nothing of a row or a group")
    return exit_code(report) if report else 0


def _people(told: Looked | None) -> Iterator[str]:
    """Yield the groups of people and their gaps."""
    if told is None:
        return
    for one in told.told:
        yield f"{click.style(FIGURES[one.figure], bold=True)}, {one.about}: {one.rows:,} rows of RAF-DB"
        lacking = {"without attributes": one.unknown, "of unsure gender": one.unsure}
        if left := ", ".join(f"{count:,} {what}" for what, count in lacking.items() if count):
            yield f"in no group: {left}"
        for attribute, plain in one.plain.items() if one.unknown < one.rows else ():
            yield from _attribute(attribute, plain, one.alike[attribute])
        yield ""
    if told.broken:
        yield f"{told.broken:,} attribute files cannot be read, the first: {told.first_broken}"
    yield PEOPLE.removeprefix("\n")


def _attribute(attribute: str, plain: Compared, alike: Compared) -> Iterator[str]:
    from ferbuild.builders.evaluation.figures import counted
    from ferbuild.builders.evaluation.gaps import LEAST

    yield f"\n{attribute:<20}{'rows':>7}{'share %':>8}  {'95 %':<13}{'alike %':>8}  95 %"
    weighed = {group.name: group for group in alike.groups}
    for group in plain.groups:
        yield f"  {group.name:<18}{group.rows:>7,}{_figure(group.share, group)}{_figures(weighed.get(group.name))}"
    if plain.gap:
        yield f"  {'gap':<18}{'':>7}{_figure(plain.gap.value, plain.gap)}{_gap(alike.gap)}"
    if plain.too_few:
        yield f"  {counted(plain.too_few, 'group')} of fewer than {LEAST} rows: not shown"
    if alike.groups:
        yield f"  alike: over {', '.join(alike.labels)}"


def _figures(group: Group | None) -> str:
    return _figure(group.share, group) if group else ""


def _gap(gap: Gap | None) -> str:
    return _figure(gap.value, gap) if gap else ""


def _figure(value: float, ends: Group | Gap) -> str:
    """Return a figure and its interval, in per cent."""
    from ferbuild.builders.evaluation.figures import percent, span

    return f"{percent(value):>8}  {span((ends.low, ends.high)):<13}"


def _looks(build: Build, found: Flips | None, report: Report | None) -> Iterator[str]:
    """Yield what changed looks do to the answers."""
    if report is None:
        return
    for ran in build.ran:
        show(ran)
    if found is None:
        yield "\nno picture has a reply: run again to ask for them"
        return
    yield f"\n{click.style(found.teacher, bold=True)}{f' ({found.model})' if found.model else ''}"
    if found.baseline:
        yield "the embedded baseline: a program that measures a mesh, for trying; no model answers here"
    yield f"\n{'changed':<9}{'faces':>6}{'flips %':>8}  {'95 %':<13}{'more':>8}  {'95 %':<16}right %, by level"
    for name, one in found.changes.items():
        yield _change(name, one)
    yield from _unsaid(found)
    yield LOOKS
    yield f"\nnext: look at single pictures, datasets.load_dataset({str(report.out)!r}, split='test')"


def _change(name: str, one: Changed) -> str:
    from ferbuild.builders.evaluation.figures import percent, signed, span

    more = one.beyond
    beyond = f"{signed(more.value if more else None):>8}  {span(more and more[1:], differ=True):<16}"
    levels = ", ".join(f"{level.name} {percent(level.share)}" for level in one.levels.groups)
    gap = one.levels.gap
    apart = f"; gap {percent(gap.value)} ({span((gap.low, gap.high))})" if gap else ""
    flips = f"{percent(one.flipped.value):>8}  {span(one.flipped.interval):<13}"
    return f"{name:<9}{one.flipped.whole:>6,}{flips}{beyond}{levels}{apart}"


def _unsaid(found: Flips) -> Iterator[str]:
    """Yield how many pictures have no answer, where any has none, and how many faces are left out."""
    from ferbuild.builders.evaluation.figures import percent

    for name, one in found.changes.items():
        if any(share.part for share in one.silent.values()):
            yield f"no answer, {name}: " + ", ".join(f"{at} {percent(share.value)}" for at, share in one.silent.items())
        if one.left_out:
            yield f"{name}: {one.left_out:,} faces left out, since a picture has no reply"
