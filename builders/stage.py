"""How every stage runs: what it depends on as a key, its rows in resumable parts, its shards laid out last.

A stage gives a `Plan`, a list of small jobs and a function `job -> Batch`. The engine runs the jobs in one or
more processes, keeps each finished job as a part on disk, and lays out shards that are byte-identical
whatever the number of workers and however often the run was killed.
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import filelock
import pyarrow as pa

from ferbuild.builders import pool, shards
from ferbuild.builders.errors import FerError
from ferbuild.builders.files import write_text
from ferbuild.builders.record import DROPS, Batch

log = logging.getLogger(__name__)

PART_ROWS = 1000
"""The resume unit: what a kill can cost at most, per worker."""

Work = Callable[[Any], Batch]
Tick = Callable[[str, int, int], None]
"""Told the stage's name, the rows done and the rows in all."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a stage will make, and everything that what it makes depends on."""

    stage: str
    version: int
    """Raised when the stage's code makes other rows of the same input."""
    out: Path
    schema: pa.Schema
    options: Mapping[str, Any]
    inputs: Sequence[str]
    """Keys of the stages and digests of the releases it reads."""
    about: str = ""
    """What the dataset is, for its README."""
    flags: Mapping[str, str] = field(default_factory=dict)
    """Options that came from the command line, so that `status` can ask for the same plan again."""
    shard_bytes: int = 500_000_000

    @property
    def key(self) -> str:
        """32 hex digits: the same key, the same bytes. No path, time, host or worker count enters."""
        names = [f"{part.name}:{part.type}" for part in self.schema]
        parts = [self.stage, self.version, names, self.options, list(self.inputs), self.shard_bytes]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


class Job(NamedTuple):
    """Some rows' worth of work, small enough to send to a process."""

    rows: int
    work: Any


@dataclass(frozen=True, slots=True)
class Report:
    """What a stage did with its rows: `rows_in` = `kept` + the sum of `dropped`, always.

    `splits` counts the rows written, which are more than `kept` where a stage makes several of one.
    """

    stage: str
    rows_in: int
    kept: int
    dropped: Mapping[str, int]
    out: Path
    seconds: float = 0.0
    splits: Mapping[str, int] = field(default_factory=dict)
    findings: Mapping[str, int] = field(default_factory=dict)
    complete: bool = True
    reused: bool = False

    def as_json(self) -> dict[str, Any]:
        found = {
            "stage": self.stage,
            "in": self.rows_in,
            "kept": self.kept,
            "dropped": dict(self.dropped),
            "splits": dict(self.splits),
            "seconds": round(self.seconds, 3),
            "out": str(self.out),
            "complete": self.complete,
            "reused": self.reused,
        }
        return found | ({"findings": dict(self.findings)} if self.findings else {})


class Built(NamedTuple):
    """What a stage's folder says of itself."""

    report: Report
    key: str
    flags: dict[str, str]


def read_report(folder: Path) -> Built | None:
    """Return what is in a stage's folder, or None where there is none whole."""
    try:
        data = json.loads((folder / "stage.json").read_text())
        report = Report(
            stage=data["stage"],
            rows_in=data["in"],
            kept=data["kept"],
            dropped=data["dropped"],
            out=folder,
            splits=data["splits"],
            findings=data.get("findings", {}),
            complete=data["complete"],
            reused=True,
        )
        return Built(report, data["key"], data["flags"])
    except (OSError, ValueError, KeyError):
        return None


def current(plan: Plan) -> Report | None:
    """Return the report of what is on disk where it is whole and made by this very plan."""
    _finish_swap(plan.out)
    found = read_report(plan.out)
    return found.report if found and found.key == plan.key and found.report.complete else None


def run(
    plan: Plan,
    jobs: Sequence[Job],
    work: Work,
    *,
    early: pa.Table | None = None,
    workers: int = 1,
    tick: Tick | None = None,
    card: Callable[[Report, Plan], str],
) -> Report:
    """Run the jobs that have no part yet, lay out the shards, and return the report.

    `early` are drops of rows that never became a job. `card` writes the README below its front matter.
    """
    began = time.monotonic()
    parts = _Parts(plan)
    if early is not None and early.num_rows:
        parts.write("early", Batch({}, early))
    names = [f"{at:06d}" for at in range(len(jobs))]
    todo = [(name, job) for name, job in zip(names, jobs, strict=True) if not parts.done(name)]
    total = sum(job.rows for job in jobs)
    ready = total - sum(job.rows for _, job in todo)
    if ready:
        log.info("%s: goes on with %d of %d rows done", plan.stage, ready, total)
    for rows in pool.each(partial(_make_part, parts, work), todo, workers=workers, stage=plan.stage):
        ready += rows
        if tick:
            tick(plan.stage, ready, total)
    rows_in = total + (early.num_rows if early is not None else 0)
    report = _publish(plan, parts, rows_in, card)
    return replace(report, seconds=time.monotonic() - began)


@contextmanager
def only_one(work: Path) -> Iterator[None]:
    """Hold the work folder for this process; FerError where another build holds it."""
    try:
        work.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(work / ".lock", timeout=0)
        lock.acquire()
    except filelock.Timeout:
        hint = "wait for it, or give this one another folder with --work"
        raise FerError(work, "another fer-build is writing here", hint) from None
    except OSError as err:
        raise FerError(work, f"cannot be written: {err.strerror or err}", "name another --work") from None
    with lock:
        yield


@dataclass(frozen=True, slots=True)
class _Parts:
    """The finished jobs of one plan: a stream a split, and the drops, written last, as the mark of done."""

    plan: Plan

    @property
    def folder(self) -> Path:
        return self.plan.out.with_name(f"{self.plan.out.name}.parts") / self.plan.key

    def done(self, name: str) -> bool:
        """Tell whether a job need not run again; one that a teacher left rows of unanswered must."""
        if not (self.folder / f"{name}.drops.arrow").exists():
            return False
        return not json.loads((self.folder / f"{name}.json").read_text())["unanswered"]

    def write(self, name: str, batch: Batch) -> None:
        for split, table in batch.kept.items():
            shards.write_stream(self.folder / f"{name}.kept.{split}.arrow", [table], self.plan.schema)
        notes = {"findings": dict(batch.findings), "unanswered": batch.unanswered, "taken": batch.taken}
        write_text(self.folder / f"{name}.json", json.dumps(notes))
        shards.write_stream(self.folder / f"{name}.drops.arrow", [batch.drops], DROPS)

    def kept(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for path in sorted(self.folder.glob("*.kept.*.arrow")):
            split = path.name.removesuffix(".arrow").partition(".kept.")[2]
            found.setdefault(split, []).append(path)
        return found

    def drops(self) -> list[Path]:
        return sorted(self.folder.glob("*.drops.arrow"))

    def notes(self) -> Iterator[dict[str, Any]]:
        for path in sorted(self.folder.glob("*.json")):
            yield json.loads(path.read_text())

    def remove(self) -> None:
        """Remove this plan's parts and those that an earlier, other plan left."""
        shutil.rmtree(self.folder.parent, ignore_errors=True)


def _make_part(parts: _Parts, work: Work, named: tuple[str, Job]) -> int:
    name, job = named
    parts.write(name, work(job.work))
    return job.rows


def _publish(plan: Plan, parts: _Parts, rows_in: int, card: Callable[[Report, Plan], str]) -> Report:
    """Lay out the shards in a new folder and put it in the place of the old one."""
    fresh = plan.out.with_name(f"{plan.out.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    if not parts.drops():
        parts.write("early", Batch({}, DROPS.empty_table()))
    splits = shards.lay_out(fresh, parts.kept(), parts.drops(), plan.schema, key=plan.key, shard_bytes=plan.shard_bytes)
    report = _count(plan, parts, splits, rows_in, fresh)
    write_text(fresh / "README.md", card(report, plan))
    mark = {name: value for name, value in report.as_json().items() if name not in ("seconds", "reused")}
    mark |= {"out": plan.out.name, "key": plan.key, "flags": dict(plan.flags)}
    write_text(fresh / "stage.json", json.dumps(mark, indent=2))
    _finish_swap(plan.out)
    parts.remove()
    return report


def _count(plan: Plan, parts: _Parts, splits: Mapping[str, int], rows_in: int, fresh: Path) -> Report:
    """Count what was written; FerError where a row is neither kept nor dropped."""
    dropped: Counter[str] = Counter()
    for table in shards.read_drops(fresh):
        dropped.update(table["reason"].to_pylist())
    findings: Counter[str] = Counter()
    unanswered = kept = 0
    for note in parts.notes():
        findings.update(note["findings"])
        unanswered += note["unanswered"]
        kept += note["taken"]
    if kept + dropped.total() != rows_in:
        raise FerError(
            plan.stage,
            f"{rows_in} rows went in, {kept} were kept and {dropped.total()} dropped",
            "this is a fault of fer-build, please report it; nothing was published",
        )
    return Report(
        stage=plan.stage,
        rows_in=rows_in,
        kept=kept,
        dropped=dict(sorted(dropped.items())),
        out=plan.out,
        splits=splits,
        findings=dict(sorted(findings.items())),
        complete=not unanswered,
    )


def _finish_swap(out: Path) -> None:
    """Move a whole `<out>.new` to `out`; safe to repeat after a kill between any two steps."""
    fresh, old = out.with_name(f"{out.name}.new"), out.with_name(f"{out.name}.old")
    if read_report(fresh) is None:
        return
    if out.exists():
        shutil.rmtree(old, ignore_errors=True)
        out.replace(old)
    fresh.replace(out)
    shutil.rmtree(old, ignore_errors=True)
