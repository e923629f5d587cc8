"""A stage small enough to kill: importable by the worker processes that the tests start.

Run as a script it builds the stage in the folder named, telling each finished part on stdout.
"""

from __future__ import annotations

import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from ferbuild.builders import engines, stage
from ferbuild.builders.errors import FerError
from ferbuild.builders.mark import Report
from ferbuild.builders.record import Batch, drop, drops_table
from ferbuild.builders.stage import Job, Plan

SCHEMA = pa.schema([("id", pa.string()), ("square", pa.int64())])


def plan(out: Path, **changes: Any) -> Plan:
    given: dict[str, Any] = {"stage": "faces", "version": 1, "out": out, "schema": SCHEMA, "options": {}, "inputs": []}
    return Plan(**(given | changes))


def jobs(count: int, rows: int = 50) -> list[Job]:
    return [Job(rows, list(range(at * rows, (at + 1) * rows))) for at in range(count)]


def work(numbers: list[int], *, seconds: float = 0.0) -> Batch:
    """Keep numbers in train or validation, and drop every seventh."""
    time.sleep(seconds)
    rows: dict[str, list[dict[str, object]]] = {"train": [], "validation": []}
    drops = []
    for number in numbers:
        if number % 7 == 0:
            drops.append(drop({"id": str(number), "label": "x"}, "seventh", f"{number}"))
        else:
            split = "validation" if number % 10 == 0 else "train"
            rows[split].append({"id": str(number), "square": number * number})
    return Batch(
        {split: pa.Table.from_pylist(found, schema=SCHEMA) for split, found in rows.items()}, drops_table(drops)
    )


def die_on(number: int, numbers: list[int]) -> Batch:
    """Work, but kill the process that meets `number`."""
    if number in numbers:
        os._exit(9)
    return work(numbers)


def break_on(number: int, numbers: list[int]) -> Batch:
    """Work, but raise where `number` is met."""
    if number in numbers:
        raise FerError("part 3", "broken", "mend it")
    return work(numbers)


def card(report: Report, plan: Plan) -> str:
    return f"{report.kept}\n"


def say(stage_name: str, done: int, total: int) -> None:
    print(done, flush=True)


if __name__ == "__main__":
    from small_stage import work as importable  # by the name that a process finds which is not a child of this one

    folder, workers, engine = Path(sys.argv[1]), int(sys.argv[2]), engines.chosen((*sys.argv, "local")[3])
    slow = partial(importable, seconds=0.02)
    stage.run(plan(folder / "faces"), jobs(40), slow, engine=engine, workers=workers, tick=say, card=card)
