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
from types import MappingProxyType
from typing import Any, NamedTuple

import filelock
import pyarrow as pa

from ferbuild.builders import pool, shards
from ferbuild.builders.engines import Engine
from ferbuild.builders.errors import FerError
from ferbuild.builders.files import must_see, write_text
from ferbuild.builders.mark import FILE, Report, Rows, read_mark, write_mark
from ferbuild.builders.parts import Note, Parts
from ferbuild.builders.placing import beside, put, refuse_foreign
from ferbuild.builders.record import DROPS, Batch
from ferbuild.builders.shards import Pick

log = logging.getLogger(__name__)

PART_ROWS = 1000
"""The resume unit: what a kill can cost at most, per worker."""
JOB_BYTES = 64_000_000
"""Of the picture files of a job, which holds all of them in memory: photographs as they come from a camera are large. A
file that is larger by itself is a job of its own."""

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
    terms: str = ""
    """What its README says of passing the pictures on; default: that it may be forbidden."""
    flags: Mapping[str, str] = field(default_factory=dict)
    """Options that came from the command line, so that `status` can ask for the same plan again."""
    shard_bytes: int = 500_000_000

    @property
    def key(self) -> str:
        """32 hex digits: the same key, the same bytes. No path, time, host or worker count enters."""
        names = [f"{part.name}:{part.type}" for part in self.schema]
        parts = [self.stage, self.version, names, self.options, list(self.inputs), self.shard_bytes]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


class Settled(NamedTuple):
    """What is decided of kept rows only when all of them are known."""

    pick: Pick
    """Some kept rows to those that stay, with what was decided written into them."""
    drops: pa.Table
    """The others, in DROPS."""
    tables: Mapping[str, Rows] = MappingProxyType({})
    """Further figures for the report, by their title."""
    weigh: shards.Weigh = lambda rows: rows.nbytes
    """What kept rows count of a shard's bytes, where `pick` fills in what the parts do not hold."""
    apart: Mapping[str, Pick] = MappingProxyType({})
    """Further splits, of kept rows that `pick` leaves out, by name: what takes them."""


Settle = Callable[[Mapping[str, Sequence[Path]]], Settled]
"""Split to the streams of its kept rows, in order, to what becomes of them."""


class Job(NamedTuple):
    """Some rows' worth of work, small enough to send to a process."""

    rows: int
    work: Any


def portions(sizes: Sequence[int | None], rows: int, held: int) -> Iterator[tuple[int, int]]:
    """Yield start and stop of each job of pictures: as many `rows`, and fewer where their files have more than `held`
    bytes. A size that is null counts nothing.
    """
    start = filled = 0
    for at, size in enumerate(sizes):
        if at > start and (at - start == rows or filled + (size or 0) > held):
            yield start, at
            start, filled = at, 0
        filled += size or 0
    if start < len(sizes):
        yield start, len(sizes)


def current(plan: Plan) -> Report | None:
    """Return the report of what is on disk where it is whole and made by this very plan.

    What a kill left half done is finished or removed. FerError where the folder was not made by the tool.
    """
    _finish_swap(plan.out)
    _refuse_foreign(plan.out)
    mark = read_mark(plan.out)
    if mark is None or mark.key != plan.key or not mark.complete:
        return None
    if not shards.is_intact(plan.out, mark.splits):
        log.warning("%s: a shard is missing or damaged; building it anew", plan.out)
        return None
    for rest in (beside(plan.out, "parts"), beside(plan.out, "old")):
        shutil.rmtree(rest, ignore_errors=True)
    return mark.report(plan.out)


def run(
    plan: Plan,
    jobs: Sequence[Job],
    work: Work,
    *,
    early: pa.Table | None = None,
    settle: Settle | None = None,
    held: pa.Schema | None = None,
    engine: Engine = pool.each,
    workers: int = 1,
    tick: Tick | None = None,
    card: Callable[[Report, Plan], str],
) -> Report:
    """Run the jobs that have no part yet, lay out the shards, and return the report.

    `early` are drops of rows that never became a job; `settle` sees all kept rows before they are laid out. `held` are
    the columns of the parts, where not the plan's: `settle` is given these. `card` writes the README below its front
    matter.
    """
    began = time.monotonic()
    _refuse_foreign(plan.out)
    parts = Parts(beside(plan.out, "parts") / plan.key, plan.schema if held is None else held)
    parts.write("early", Batch({}, DROPS.empty_table() if early is None else early))
    names = [f"{at:06d}" for at in range(len(jobs))]
    todo = [(name, job) for name, job in zip(names, jobs, strict=True) if not parts.done(name)]
    total = sum(job.rows for job in jobs)
    ready = total - sum(job.rows for _, job in todo)
    if ready:
        log.info("%s: goes on with %d of %d rows done", plan.stage, ready, total)
    for rows in engine(partial(_make_part, parts, work), todo, workers=workers, stage=plan.stage):
        ready += rows
        if tick:
            tick(plan.stage, ready, total)
    rows_in = total + (early.num_rows if early is not None else 0)
    report = _publish(plan, parts, [*names, "early"], rows_in, settle, card)
    return replace(report, seconds=time.monotonic() - began)


@contextmanager
def only_one(work: Path, flag: str = "--work") -> Iterator[None]:
    """Hold a folder for this process; FerError where another run holds it. `flag` names another folder."""
    try:
        work.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(work / ".lock", timeout=0)
        lock.acquire()
    except filelock.Timeout:
        hint = f"wait for it, or give this one another folder with {flag}"
        raise FerError(work, "another fer-build is writing here", hint) from None
    except (OSError, ValueError) as err:
        reason = getattr(err, "strerror", None) or err
        raise FerError(work, f"cannot be written: {reason}", f"name another {flag}") from None
    with lock:
        yield


def _make_part(parts: Parts, work: Work, named: tuple[str, Job]) -> int:
    name, job = named
    must_see(parts.folder)
    if not parts.done(name):  # a node that was lost may have written it before it told of it
        parts.write(name, work(job.work))
    return job.rows


def _publish(
    plan: Plan,
    parts: Parts,
    names: Sequence[str],
    rows_in: int,
    settle: Settle | None,
    card: Callable[[Report, Plan], str],
) -> Report:
    """Lay out the shards in a new folder and put it in the place of the old one."""
    fresh = beside(plan.out, "new")
    shutil.rmtree(fresh, ignore_errors=True)
    notes = dict(parts.notes(names))
    kept: dict[str, list[Path]] = {}
    for name, note in notes.items():
        for split in note.rows:
            kept.setdefault(split, []).append(parts.kept_file(name, split))
    settled = settle(kept) if settle else Settled(lambda rows: rows, DROPS.empty_table())
    everything = [file for files in kept.values() for file in files]
    kept |= dict.fromkeys(settled.apart, everything)
    parts.write("settled", Batch({}, settled.drops))
    drops = [parts.drops_file(name) for name in (*notes, "settled")]
    splits = shards.lay_out(
        fresh, kept, drops, plan.schema,
        key=plan.key, shard_bytes=plan.shard_bytes, pick=settled.pick, weigh=settled.weigh, apart=settled.apart,
    )  # fmt: skip
    report = _count(plan, list(notes.values()), settled, splits, rows_in, fresh)
    write_text(fresh / "README.md", card(report, plan))
    write_mark(fresh, report, plan.key, plan.flags)
    _finish_swap(plan.out)
    parts.remove()
    return report


def _count(
    plan: Plan, notes: Sequence[Note], settled: Settled, splits: Mapping[str, int], rows_in: int, fresh: Path
) -> Report:
    """Count what was written; FerError where a row is neither kept nor dropped, or was kept and not written."""
    dropped: Counter[str] = Counter()
    for table in shards.read_drops(fresh):
        dropped.update(table["reason"].to_pylist())
    findings, written = Counter[str](), Counter[str]()
    for note in notes:
        findings.update(note.findings)
        written.update(note.rows)
    written.subtract(settled.drops["split"].to_pylist())
    as_kept = +written == Counter(splits) if not settled.apart else written.total() == sum(splits.values())
    kept = sum(note.taken for note in notes) - settled.drops.num_rows
    if kept + dropped.total() != rows_in or not as_kept:
        raise FerError(
            plan.stage,
            f"{rows_in} rows went in, {kept} were kept, {dropped.total()} dropped and {sum(splits.values())} written",
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
        tables=settled.tables,
        complete=not any(note.unanswered for note in notes),
    )


def _refuse_foreign(out: Path) -> None:
    refuse_foreign(out, FILE, "move it, or name another --work")


def _finish_swap(out: Path) -> None:
    """Move a whole new folder to `out`, whatever run made it."""
    if read_mark(beside(out, "new")) is not None:
        _refuse_foreign(out)
        put(out, FILE)
