"""What the commands share: their options, progress on stderr, and how a report is printed."""

from __future__ import annotations

import functools
import json
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console, RenderableType
from rich.logging import RichHandler
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ferbuild.builders.build import Build
from ferbuild.builders.config import read_settings
from ferbuild.builders.engines import Name
from ferbuild.builders.lean import spare_pandas
from ferbuild.builders.mark import Report, Rows
from ferbuild.builders.reasons import DISAGREE, FAULTS
from ferbuild.builders.stage import only_one

F = TypeVar("F", bound=Callable[..., Any])
PLAIN_EVERY = 10.0
"""Seconds between progress lines where stderr is no terminal."""


@dataclass(frozen=True, slots=True)
class Options:
    """The options every command takes."""

    config: Path | None
    work: Path | None
    limit: int | None
    workers: int
    as_json: bool
    engine: Name | None = None
    """Of the commands that read pictures; None: the one in fer-build.yaml."""
    ray_address: str | None = None


def common(command: F) -> Callable[..., Any]:
    """Add the shared options to a command; it gets them as `options`."""

    @click.option("--config", type=click.Path(path_type=Path), help="The fer-build.yaml to use.")
    @click.option("--work", type=click.Path(path_type=Path), help="Work folder; overrides fer-build.yaml.")
    @click.option(
        "--limit", type=click.IntRange(1, 2**31), help="Only the first N rows of every source and split, apart."
    )
    @click.option("--workers", type=click.IntRange(1), help="Processes; default: one a core.")
    @click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
    @functools.wraps(command)
    def wrapped(
        config: Path | None, work: Path | None, limit: int | None, workers: int | None, as_json: bool, **rest: Any
    ) -> Any:
        options = Options(config, work, limit, workers or os.cpu_count() or 1, as_json)
        return command(options=options, **rest)

    return wrapped


def spreading(command: F) -> Callable[..., Any]:
    """Add to a command that has `common` the options that choose what runs its jobs."""

    @click.option(
        "--engine",
        type=click.Choice(["local", "daft"]),
        help="local: processes of this machine. daft: the same work by Daft, see docs/cluster.md.",
    )
    @click.option("--ray-address", help="The Ray cluster that Daft works on, such as auto or HOST:6379.")
    @functools.wraps(command)
    def wrapped(options: Options, engine: Name | None, ray_address: str | None, **rest: Any) -> Any:
        return command(options=replace(options, engine=engine, ray_address=ray_address), **rest)

    return wrapped


class Rate(ProgressColumn):
    """Rows a second, of late."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s", style="progress.data.speed")


@dataclass(frozen=True, slots=True)
class Pace:
    """Since when a stage tells of its rows, and how many were done then: a resumed one begins with some."""

    stage: str
    began: float
    """Seconds, of time.monotonic."""
    ready: int

    def told(self, now: float, done: int, total: int) -> str:
        """Return the rate and the time left; nothing where no row was done since."""
        if done <= self.ready or now <= self.began:
            return ""
        rate = (done - self.ready) / (now - self.began)
        return f", {rate:,.0f}/s, {timedelta(seconds=round((total - done) / rate))} left"


class Bars(Progress):
    """A bar a stage, and below them a line of figures where a stage tells of any."""

    figures: str = ""

    def get_renderables(self) -> Iterator[RenderableType]:
        """Yield what is shown, from the top."""
        yield from super().get_renderables()
        if self.figures:
            yield Text(self.figures, style="dim", no_wrap=True, overflow="ellipsis")


@dataclass
class Progressing:
    """Tells of progress: bars with rate and time left on a terminal, plain lines with both elsewhere."""

    bar: Bars | None
    tasks: dict[str, TaskID] = field(default_factory=dict)
    pace: Pace | None = None
    spoke: float = 0.0
    figures: str = ""
    """What a stage noted of itself; it stands in the place of rate and time left."""

    def began(self, stage: str) -> None:
        self.note("")
        if self.bar is None:
            click.echo(f"{stage} …", err=True)
        else:
            for task in self.bar.tasks:
                if task.total is None:  # it told of no rows, and is over when the next one begins
                    self.bar.update(task.id, total=1, completed=1)
            self.tasks[stage] = self.bar.add_task(stage, total=None)

    def note(self, figures: str) -> None:
        """Show a line of figures from the next tick on."""
        self.figures = figures
        if self.bar is not None:
            self.bar.figures = figures

    @contextmanager
    def pause(self) -> Iterator[None]:
        """Take the bars away for the length of the block, in which the user is asked something."""
        if self.bar is None:
            yield
            return
        self.bar.stop()
        try:
            yield
        finally:
            self.bar.start()

    def tick(self, stage: str, done: int, total: int) -> None:
        if self.bar is not None:
            if stage not in self.tasks:
                self.began(stage)
            self.bar.update(self.tasks[stage], completed=done, total=total)
            return
        now = time.monotonic()
        if self.pace is None or self.pace.stage != stage:
            self.pace = Pace(stage, now, done)
        if now - self.spoke > PLAIN_EVERY:
            self.spoke = now
            told = f", {self.figures}" if self.figures else self.pace.told(now, done, total)
            click.echo(f"{stage}: {done} of {total}{told}", err=True)


@contextmanager
def progressing() -> Iterator[Progressing]:
    """Show progress on stderr, and what the modules log at INFO, for the length of the block."""
    console = Console(stderr=True)
    _log_to(console)
    if not console.is_terminal:
        yield Progressing(None)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    with Bars(*columns, console=console, transient=True) as bar:
        yield Progressing(bar)


@contextmanager
def looking(options: Options, *, required: bool = True) -> Iterator[Build]:
    """Read the settings and give a Build to plan with; another process may be building meanwhile.

    Without `required` there need be no fer-build.yaml.
    """
    settings = read_settings(
        options.config, work=options.work, limit=options.limit, workers=options.workers, required=required
    )
    with progressing() as shown:
        yield Build(settings, tick=shown.tick, began=shown.began)


@contextmanager
def building(options: Options, *, required: bool = True) -> Iterator[Build]:
    """Read the settings, hold the work folder and give a Build that tells of its progress.

    Without `required` there need be no fer-build.yaml: for what reads no release.
    """
    settings = read_settings(
        options.config,
        work=options.work,
        limit=options.limit,
        workers=options.workers,
        engine=options.engine,
        ray_address=options.ray_address,
        required=required,
    )
    spare_pandas()
    with only_one(settings.work), progressing() as shown:
        yield Build(settings, tick=shown.tick, began=shown.began, note=shown.note, pause=shown.pause)


def finish(build: Build, report: Report, options: Options, more: Mapping[str, Any] | None = None) -> int:
    """Print the report of the asked stage, and of those run on the way; return the exit code.

    `more` enters the JSON object.
    """
    if options.as_json:
        emit(as_json(build, report) | dict(more or {}))
    else:
        for one in build.ran:
            show(one)
        _next_step(report)
    return exit_code(report)


def as_json(build: Build, report: Report) -> dict[str, Any]:
    """Return the report of the asked stage, of those run on the way, and of the models that were asked."""
    upstream = [one.as_json() for one in build.ran if one is not report and not one.reused]
    return report.as_json() | {"upstream": upstream} | ({"asked": build.asked} if build.asked else {})


def exit_code(*reports: Report) -> int:
    """Return 0 where all is done; 1 where rows are left to ask for or lack their picture, or where none was kept."""
    return 0 if all(report.complete and report.kept and not FAULTS & set(report.findings) for report in reports) else 1


def emit(found: Mapping[str, Any]) -> None:
    click.echo(json.dumps(found))


def show(report: Report) -> None:
    """Print one stage's funnel: in = kept + dropped, and why."""
    how = "up to date" if report.reused else f"{report.seconds:.1f} s"
    counts = f"in {report.rows_in:,} = kept {report.kept:,} + dropped {sum(report.dropped.values()):,}"
    click.echo(f"{click.style(f'{report.stage:<8}', bold=True)} {counts}   ({how})")
    for reason, rows in sorted(report.dropped.items(), key=lambda item: (-item[1], item[0])):
        click.echo(f"         {rows:>7,}  {reason}")
    for finding, rows in report.findings.items():
        click.echo(f"         {rows:>7,}  {finding}, kept: {_why_kept(report.stage, finding)}")
    if rates := report.tables.get("keep rate"):
        click.echo(f"         kept of each label: {_kept(rates)}")
    if not report.complete:
        click.echo("         some rows were not answered: run again to ask for them")


def _why_kept(stage: str, finding: str) -> str:
    if stage == "measure":
        return "it has no measures"
    return "nobody settled it" if finding == DISAGREE else "a benchmark is never thinned"


def _kept(rates: Rows) -> str:
    """Return the keep rate of every label, the least first; its sources and picture sizes are in the README."""
    faces, kept = Counter[str](), Counter[str]()
    for row in rates:
        faces[row["canonical"]] += row["in"]
        kept[row["canonical"]] += row["kept"]
    least = sorted(faces, key=lambda label: (kept[label] / faces[label], label))
    return ", ".join(f"{label} {kept[label] / faces[label]:.0%}" for label in least)


def _next_step(report: Report) -> None:
    click.echo(
        f"\n{report.out}: {', '.join(f'{split} {rows:,}' for split, rows in report.splits.items()) or 'no rows'}"
    )
    if report.splits:
        click.echo(f"load it: datasets.load_dataset({str(report.out)!r})")


def _log_to(console: Console) -> None:
    log = logging.getLogger("ferbuild")
    log.handlers = [RichHandler(console=console, show_path=False, show_time=False, show_level=False)]
    log.setLevel(logging.INFO)
    log.propagate = False
