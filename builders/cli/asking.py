"""What the commands that ask a model share: their flags, and the estimate that is shown before money is spent."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from ferbuild.builders.build import Build
from ferbuild.builders.cli import completing
from ferbuild.builders.cli.common import F, Options, emit
from ferbuild.builders.teacher import AskOptions

if TYPE_CHECKING:
    from ferbuild.builders.estimate import Confirm, Estimate, Range


@dataclass(slots=True)
class Asked:
    """Whom the user wants asked, how, and whether to see first what it would cost."""

    teacher: str | None
    options: AskOptions
    estimate: bool
    yes: bool
    found: Estimate | None = field(default=None, init=False)
    """What was shown."""

    def confirm(self, build: Build, options: Options) -> Confirm | None:
        """Return what shows an estimate and asks whether to go on; None where the user does not want one."""
        if not self.estimate:
            return None

        def shown(found: Estimate) -> bool:
            self.found = found
            with build.pause():
                for line in _lines(found):
                    click.echo(line, err=options.as_json)
                return self.yes or not found.left or _agreed()

        return shown

    def left_at_that(self, build: Build, options: Options, stage: str) -> int:
        """Tell that no more is asked than the handful; return the exit code."""
        if options.as_json:
            emit({"stage": stage, "asked": build.asked, **self.as_json()})
        click.echo("nothing more is asked; --yes goes on without a question", err=True)
        return 0

    def as_json(self) -> Mapping[str, Any]:
        """Return what enters the command's JSON object."""
        return {"estimate": self.found.as_json()} if self.found else {}


TEACHER = "An entry of teachers.yaml, or a YAML file of one; default: the one in fer-build.yaml."


def asking(*names: str, faces: bool = True, about: str = TEACHER) -> Callable[[F], Callable[..., Any]]:
    """Add to a command what every command that asks a model takes; it gets them as `asked`.

    `names` are the flag's that names the teacher, `about` its help. `faces`: it sends pictures of releases, which a
    licence may forbid.
    """

    def add(command: F) -> Callable[..., Any]:
        @click.option(
            *(names or ("--teacher",)),
            "teacher",
            help=about,
            shell_complete=completing.teachers,
        )
        @click.option("--endpoint", "endpoints", multiple=True, help="Server URL instead of the entry's; repeatable.")
        @click.option(
            "--concurrency", type=click.IntRange(1), default=64, show_default=True, help="Requests in flight."
        )
        @click.option("--rpm", type=click.IntRange(1), help="At most so many requests a minute.")
        @click.option("--tpm", type=click.IntRange(1), help="At most so many tokens a minute.")
        @click.option(
            "--budget",
            type=click.FloatRange(0, min_open=True),
            metavar="USD",
            help="Stop before this run has cost more, by the entry's prices.",
        )
        @click.option("--estimate", is_flag=True, help="Ask a handful first, tell what all would cost, and ask you.")
        @click.option("--yes", is_flag=True, help="With --estimate: go on without asking.")
        @(_i_may_send if faces else _as_it_is)
        @functools.wraps(command)
        def wrapped(
            teacher: str | None,
            endpoints: tuple[str, ...],
            concurrency: int,
            rpm: int | None,
            tpm: int | None,
            budget: float | None,
            estimate: bool,
            yes: bool,
            may_send: tuple[str, ...] = (),
            **rest: Any,
        ) -> Any:
            options = AskOptions(endpoints, concurrency, rpm, tpm, budget, may_send)
            return command(asked=Asked(teacher, options, estimate, yes), **rest)

        return wrapped

    return add


def _i_may_send(command: F) -> F:
    told = "Send its pictures to others' servers though its terms forbid it; repeatable, and recorded."
    return click.option("--i-may-send", "may_send", multiple=True, metavar="SOURCE", help=told)(command)


def _as_it_is(command: F) -> F:
    return command


def _agreed() -> bool:
    """Ask whether to go on; no where nobody is there to answer."""
    return sys.stdin.isatty() and click.confirm("ask for all of it?", err=True)


def _lines(found: Estimate) -> Iterator[str]:
    """Yield the estimate as a person reads it."""
    from ferbuild.builders.meter import money

    model = f" ({found.model})" if found.model else ""
    yield f"{click.style(found.teacher, bold=True)}{model}: {found.left:,} of {found.requests:,} requests are left"
    yield f"going by {found.trials:,} replies; in brackets the ends of 90 % intervals\n"
    yield _line("tokens read", found.read, _count)
    yield _line("tokens written", found.written, _count)
    yield _line("cost", found.cost, money) if found.cost else "  cost             no prices are known of it"
    if found.seconds:
        yield _line("time", found.seconds, _time) + f" at {found.concurrency:,} in flight"
    if found.kept:
        yield _line("kept", found.kept, lambda share: f"{share:.0%}")
    if found.spent:
        yield f"\nthe handful cost {money(found.spent)}; its replies are stored and not paid for again"
    for note in found.notes:
        yield f"note: {note}"


def _line(name: str, one: Range, written: Callable[[float], str]) -> str:
    ends = "" if one.low is None or one.high is None else f"({written(one.low)} to {written(one.high)})"
    return f"  {name:<16} {written(one.value):>10}  {ends}".rstrip()


def _count(number: float) -> str:
    """Return a large count in three digits or so: 12.3 M."""
    for unit, name in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= unit:
            return f"{number / unit:,.1f}{name}"
    return f"{number:,.0f}"


def _time(seconds: float) -> str:
    """Return a time in the unit that fits: s, min, h or days."""
    for unit, name in ((86_400 * 2, "days"), (5400, "h"), (90, "min")):
        if seconds >= unit:
            size = {"days": 86_400, "h": 3600, "min": 60}[name]
            return f"{seconds / size:,.1f} {name}"
    return f"{seconds:,.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
