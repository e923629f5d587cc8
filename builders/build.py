"""What every stage is given: the settings, the releases listed once, and how to tell of progress."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import polars as pl
import pyarrow as pa

from ferbuild.builders import card, engines, pool, stage
from ferbuild.builders.config import Settings
from ferbuild.builders.engines import Engine
from ferbuild.builders.errors import FerError
from ferbuild.builders.mark import Report
from ferbuild.builders.record import DROPS, LISTED
from ferbuild.builders.sources import list_source
from ferbuild.builders.sources.listing import Listing
from ferbuild.builders.stage import Job, Plan, Settle, Tick, Work


@dataclass
class Build:
    """One run of the tool over one work folder."""

    settings: Settings
    tick: Tick | None = None
    began: Callable[[str], None] = lambda stage: None
    """Told the name of a stage before it runs."""
    note: Callable[[str], None] = lambda text: None
    """Told a line of figures to show beside the progress that `tick` tells of next."""
    pause: Callable[[], AbstractContextManager[object]] = nullcontext
    """Holds the showing of progress back for the length of a block, in which the user is asked something."""
    asked: list[dict[str, Any]] = field(default_factory=list)
    """Figures of every model that was asked in this run."""
    ran: list[Report] = field(default_factory=list)
    """Reports of the stages that ran, or were found up to date, in order."""

    @cached_property
    def listings(self) -> tuple[Listing, ...]:
        """The rows of every release, in the recipe's order of sources."""
        if not self.settings.releases:
            hint = "name at least one release under `sources:`; `fer-build init --find DIR` looks for them"
            raise FerError("fer-build.yaml", "no sources", hint)
        self.began("sources")
        return tuple(
            list_source(r.source, r.root, layout=r.layout, rule=r.rule, labels=r.labels) for r in self.settings.releases
        )

    @cached_property
    def benchmark_listings(self) -> tuple[Listing, ...]:
        """The releases that take part in FERBench, under its own label rules, whatever the user's rules are."""
        pairs = zip(self.settings.releases, self.listings, strict=True)
        return tuple(
            listing if r.rule in (None, r.source.rules[0]) else list_source(r.source, r.root, layout=r.layout)
            for r, listing in pairs
            if r.source.benchmark
        )

    @property
    def digests(self) -> list[str]:
        """What the releases are: enters the key of every stage that reads them."""
        return [listing.digest for listing in self.listings]

    @property
    def benchmarks(self) -> frozenset[tuple[str, str]]:
        """(source, split) of every split that belongs to FERBench: never trained on, never thinned."""
        marks = ((r.source.name, r.source.benchmark) for r in self.settings.releases)
        return frozenset((name, mark.split) for name, mark in marks if mark)

    @property
    def engine(self) -> Engine:
        """What runs the stages that read pictures. FerError where it is not installed."""
        return engines.chosen(self.settings.engine, self.settings.ray_address)

    def chosen(self, rows: pa.Table) -> pa.Table:
        """Return the first `limit` rows by id of every split, in their own order; all rows without a limit."""
        if not self.settings.limit:
            return rows
        frame = pl.DataFrame(rows).with_row_index("at")
        first = frame.sort("id").group_by("split", maintain_order=True).head(self.settings.limit)
        return rows.take(pa.array(first.sort("at")["at"].to_list(), pa.int64())).cast(LISTED)

    def listed_drops(self, listings: Sequence[Listing]) -> pa.Table:
        """Return what the sources themselves dropped; nothing in a limited build, whose rows are a sample."""
        tables = [] if self.settings.limit else [listing.drops for listing in listings]
        return pa.concat_tables([DROPS.empty_table(), *tables])

    def is_stale(self, plan: Plan) -> bool:
        """Tell whether a stage has to run: its folder is missing, incomplete, or was made by another plan."""
        return stage.current(plan) is None

    def bring_up_to_date(
        self,
        plan: Plan,
        jobs: Callable[[], Sequence[Job]],
        work: Work,
        *,
        early: Callable[[], pa.Table] = DROPS.empty_table,
        settle: Settle | None = None,
        held: pa.Schema | None = None,
        engine: Engine = pool.each,
    ) -> Report:
        """Run a stage unless what is on disk was made by this very plan; note and return its report.

        `early`, `settle` and `held` are as `stage.run` takes them.
        """
        report = stage.current(plan)
        if report is None:
            self.began(plan.stage)
            report = stage.run(
                plan,
                jobs(),
                work,
                early=early(),
                settle=settle,
                held=held,
                engine=engine,
                workers=self.settings.workers,
                tick=self.tick,
                card=card.local,
            )
        if (report.stage, report.out) not in {(one.stage, one.out) for one in self.ran}:
            self.ran.append(report)
        return report
