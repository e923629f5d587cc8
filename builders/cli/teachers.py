"""`fer-build teachers`: who can write the rationales, on what terms, and who answers now."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from textwrap import shorten, wrap
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from ferbuild.builders.cli import completing
from ferbuild.builders.cli.common import Options, common, emit, looking
from ferbuild.builders.standing import Standing, standings
from ferbuild.manifests import load
from ferbuild.manifests.schema import TeacherEntry

if TYPE_CHECKING:
    from ferbuild.builders.build import Build
    from ferbuild.builders.visual_tokens import Preflight

HEAD = ("", "name", "kind", "model", "where", "$ in / out", "party", "now")


@click.command()
@click.argument("name", required=False, shell_complete=completing.teachers)
@common
def teachers(options: Options, name: str | None) -> int:
    """List the entries of teachers.yaml and which of them answer now; with NAME, all there is to say of one.

    A server has 2 s to answer; it is sent nothing but the key of its own entry. Faces that are built are told with
    the pixels and the visual tokens that they are to the model NAME.

    \b
    fer-build teachers              all of them
    fer-build teachers qwen72b      its terms, its prices, and the line that serves it
    """
    with looking(options, required=False) as build:
        known = load.entries("teachers.yaml")
        chosen = build.settings.teacher
        names = [name] if name else [*known, *([chosen] if chosen not in known else [])]
        found = [load.load_teacher(one) for one in names]
        now = standings(found, build.settings.own)
        seen = _preflight(build, found[0]) if name else []
    if options.as_json:
        entries = [_as_json(entry, at) for entry, at in zip(found, now, strict=True)]
        more = {"preflight": [_seen_as_json(one) for one in seen]} if name else {}
        emit({"stage": "teachers", "default": chosen, "teachers": entries, **more})
    elif name:
        _show(found[0], now[0], seen)
    else:
        _table(found, now, names.index(chosen))
    return 0


def _preflight(build: Build, entry: TeacherEntry) -> list[Preflight]:
    """Return what the built faces are to the entry's model; nothing where none are built or nothing is sent."""
    from ferbuild.builders import faces, sight
    from ferbuild.builders.mark import read_mark
    from ferbuild.builders.visual_tokens import preflight

    folder = build.settings.work / faces.FOLDER
    if entry.baseline or read_mark(folder) is None:
        return []
    return preflight(sight.face_sizes(folder, build.benchmarks, build.settings.recipe.picture), entry)


def _table(found: Sequence[TeacherEntry], now: Sequence[Sequence[Standing]], chosen: int) -> None:
    """Print a line an entry, and its terms below."""
    rows = [("*" if at == chosen else "", *_cells(entry, now[at])) for at, entry in enumerate(found)]
    widths = [max(len(row[at]) for row in (HEAD, *rows)) for at in range(len(HEAD))]
    click.echo(_line(HEAD, widths))
    width = shutil.get_terminal_size().columns
    for entry, row in zip(found, rows, strict=True):
        click.echo(_line(row, widths))
        if entry.terms:
            indent = " " * (widths[0] + 2)
            click.echo(
                click.style(indent + shorten(entry.terms, max(width - len(indent), 20), placeholder=" …"), dim=True)
            )
    click.echo("\n* the one in fer-build.yaml; prices are US dollars for a million tokens")
    click.echo("fer-build teachers NAME tells all of one; docs/teachers.md how to serve one")


def _cells(entry: TeacherEntry, now: Sequence[Standing]) -> tuple[str, ...]:
    where = ", ".join(urlsplit(one.url).netloc for one in now if one.url) or "this process"
    return (entry.name, entry.kind, entry.model or "–", where, _prices(entry), entry.party, _told(now))


def _told(now: Sequence[Standing]) -> str:
    """Return how an entry stands, in a few words."""
    if len(now) < 2:
        return "".join(one.said for one in now)
    others = [one.said for one in now if not one.answers]
    return f"{len(now) - len(others)} of {len(now)} answer" + (f"; the first other: {others[0]}" if others else "")


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()


def _prices(entry: TeacherEntry) -> str:
    if not entry.prices:
        return "–"
    return " / ".join(f"{entry.prices[name]:g}" for name in ("input", "output") if name in entry.prices)


def _show(entry: TeacherEntry, now: Sequence[Standing], seen: Sequence[Preflight]) -> None:
    """Print all there is to say of an entry."""
    from ferbuild.builders.sight import describe

    click.echo(f"{click.style(entry.name, bold=True)}   {entry.about}\n")
    facts = {
        "kind": entry.kind,
        "model": entry.model,
        "now": "\n".join(f"{one.url} {one.said}".strip() for one in now),
        "key": f"the environment variable {entry.key}" if entry.key else "",
        "party": "a server of your own" if entry.party == "local" else "a third party: what is sent is published",
        "sampling": _mapping(entry.sampling),
        "image": _mapping(entry.image.model_dump(exclude_none=True)) if entry.image else "",
        "prices": _mapping(entry.prices) + " (US dollars for a million tokens)" if entry.prices else "",
        "terms": entry.terms,
        "serve": entry.serve,
    }
    for what, text in facts.items():
        if text and not (entry.baseline and what == "party"):
            _paragraph(what, text, whole=what in ("serve", "now"))
    if seen:
        click.echo("\nthe training faces that are built, as this model gets them:")
    for one in seen:
        click.echo(f"  {describe(one)}")
        if one.warning:
            click.echo(f"    {one.warning}")


def _paragraph(what: str, text: str, *, whole: bool) -> None:
    """Print a text beside its name; `whole`: its lines are not broken, so that they can be copied."""
    lines = text.split("\n") if whole else wrap(text, max(shutil.get_terminal_size().columns - 12, 20))
    for at, line in enumerate(lines):
        click.echo(f"  {what if at == 0 else '':<10}{line}")


def _mapping(values: Any) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())


def _as_json(entry: TeacherEntry, now: Sequence[Standing]) -> dict[str, Any]:
    return entry.model_dump() | {"answers": any(one.answers for one in now), "now": [one._asdict() for one in now]}


def _seen_as_json(one: Preflight) -> dict[str, Any]:
    tokens = one.tokens._asdict() if one.tokens else None
    return one._asdict() | {"pixels": one.pixels._asdict(), "tokens": tokens}
