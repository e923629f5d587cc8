"""`fer-build replies`: what was asked, what came of it and what it cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from ferbuild.builders import replied
from ferbuild.builders import replies as store
from ferbuild.builders.cli.common import Options, common, emit
from ferbuild.builders.config import read_settings
from ferbuild.builders.meter import money
from ferbuild.builders.prices import dollars, entry_of
from ferbuild.builders.replied import Summary
from ferbuild.builders.replies import Sent, Usage
from ferbuild.manifests import load
from ferbuild.manifests.schema import TeacherEntry


@click.command()
@click.option(
    "--teacher", help="An entry of your own, for its prices; default: fer-build.yaml's, and the shipped ones."
)
@click.option("--export", "out", type=click.Path(path_type=Path), help="Write all of it to this Parquet file.")
@common
def replies(options: Options, teacher: str | None, out: Path | None) -> int:
    """Show what came of everything that teachers were asked: outcomes, tokens, cost, times and faults.

    Also while another process asks. Costs go by the prices in teachers.yaml today.

    \b
    fer-build replies                             outcomes, tokens, cost, times
    fer-build replies --export replies.parquet    every reply as a row
    """
    settings = read_settings(options.config, work=options.work, limit=options.limit, required=False)
    found, sent = replied.summary(settings.store), store.sent(settings.store)
    rows = replied.export(settings.store, out) if out else None
    chosen = load.load_teacher(teacher or settings.teacher)
    known = {one.teacher: entry_of(one.teacher, chosen) for one in found}
    if options.as_json:
        teachers = [_as_json(one, known[one.teacher]) for one in found]
        exported = {"exported": {"out": str(out), "rows": rows}} if out else {}
        told = {"teachers": teachers, "sent": [one._asdict() for one in sent], **exported}
        emit({"stage": "replies", "store": str(settings.store), **told})
        return 0
    for one in found:
        _show(one, known[one.teacher])
    for item in sent:
        _show_sent(item)
    if not found:
        click.echo(f"{settings.store}: nobody was asked yet")
    if out:
        click.echo(f"{out}: {rows:,} rows, what stands and what brought nothing")
    return 0


def _cost(entry: TeacherEntry | None, usage: Usage) -> float | None:
    return dollars(entry, usage) if entry else None


def _show(one: Summary, entry: TeacherEntry | None) -> None:
    """Print what came of one model."""
    model = f" ({one.model})" if one.model else ""
    when = f"{_moment(one.first)} to {_moment(one.last)}"
    click.echo(f"{click.style(one.teacher, bold=True)}{model}: {one.requests:,} requests, {when}")
    for what, text in _facts(one, entry):
        click.echo(f"  {what:<12}{text}")


def _facts(one: Summary, entry: TeacherEntry | None) -> Iterator[tuple[str, str]]:
    yield "outcomes", _counts(one.outcomes)
    yield "tokens", f"{one.usage.read:,} read, {one.usage.written:,} written"
    cost = _cost(entry, one.usage)
    if cost is not None:
        yield "cost", money(cost)
    elif entry is None:
        yield "cost", "not known: --teacher names its entry"
    if one.latency_ms is not None:
        yield "a reply", f"{one.latency_ms / 1000:.1f} s on average"
    if one.faults:
        yield "faults", _counts(one.faults)
    if any(one.fruitless):
        lost = _cost(entry, one.fruitless)
        paid = f", {money(lost)}" if lost is not None else ""
        yield "for naught", f"{sum(one.fruitless):,} of the tokens{paid}: paid for attempts that brought nothing"


def _counts(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {count:,}" for name, count in ordered)


def _show_sent(one: Sent) -> None:
    said = f"on your own word pictures of {one.source} go to {one.host}, since {_moment(one.at)}"
    click.echo(f"{said}; the terms: {one.terms}")


def _moment(at: str) -> str:
    """Return a time of the store, which is UTC, to the second."""
    return f"{at[:19].replace('T', ' ')} UTC"


def _as_json(one: Summary, entry: TeacherEntry | None) -> dict[str, Any]:
    return {
        "teacher": one.teacher,
        "model": one.model,
        "requests": one.requests,
        "outcomes": dict(one.outcomes),
        "faults": dict(one.faults),
        "tokens": one.usage._asdict(),
        "fruitless": one.fruitless._asdict(),
        "cost": _cost(entry, one.usage),
        "latency_ms": one.latency_ms,
        "first": one.first,
        "last": one.last,
    }
