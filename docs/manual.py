"""The manual of the commands, from what `--help` prints: docs/generate.py puts it into docs/commands.md."""

from __future__ import annotations

import inspect

import click

from ferbuild.builders.cli import COMMANDS, cli

SHARED = {"config", "work", "limit", "workers", "as_json", "help"}
"""Options of nearly every command: said once."""


def manual() -> str:
    """Return a chapter a command: what it does, examples, its own options; before them what all share."""
    with click.Context(cli, info_name="fer-build") as ctx:
        found = {name: cli.get_command(ctx, name) for name in COMMANDS}
        shared = [param for param in _command(found["check"]).params if param.name in SHARED]
        chapters = [_chapter(name, _command(command), ctx) for name, command in found.items()]
        return "\n\n".join([f"## Options of every command\n\n{_options(shared, ctx)}", *chapters])


def _command(found: click.Command | None) -> click.Command:
    assert found is not None
    return found


def _chapter(name: str, command: click.Command, ctx: click.Context) -> str:
    with click.Context(command, info_name=name, parent=ctx) as own:
        usage = f"```text\nfer-build {name} {' '.join(command.collect_usage_pieces(own))}\n```"
        options = _options([one for one in command.params if one.name not in SHARED], own)
    parts = [f"## fer-build {name}", usage, *map(_paragraph, _paragraphs(command.help or "")), options]
    return "\n\n".join(part for part in parts if part)


def _paragraphs(text: str) -> list[str]:
    return inspect.cleandoc(text).split("\n\n")


def _paragraph(text: str) -> str:
    """Return a paragraph; one that `--help` leaves as it is stays so here."""
    if not text.startswith("\b"):
        return " ".join(text.split())
    return "\n".join(["```text", text.removeprefix("\b").strip("\n"), "```"])


def _options(params: list[click.Parameter], ctx: click.Context) -> str:
    """Return the table of options, as `--help` words them; empty where there are none."""
    records = [param.get_help_record(ctx) for param in params if isinstance(param, click.Option)]
    rows = [f"| `{record[0]}` | {record[1]} |".replace("\\", "") for record in records if record]
    return "\n".join(["| option | what it is |", "|---|---|", *rows]) if rows else ""
