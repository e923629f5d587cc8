"""What the store of replies tells: outcomes, tokens, faults and times of every teacher, and all of it as Parquet.

Stands beside the way of a face, and reads only: another process may be asking meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from ferbuild.builders import replies
from ferbuild.builders.errors import FerError
from ferbuild.builders.files import durable
from ferbuild.builders.replies import GAVE_UP, Usage, count_tokens

ROWS = 5_000  # a row group of the Parquet file


@dataclass(slots=True)
class Summary:
    """What came of asking one model as one teacher."""

    teacher: str
    model: str
    outcomes: Counter[str] = field(default_factory=Counter)
    """Of requests: ok, empty, truncated, gave up."""
    faults: Counter[str] = field(default_factory=Counter)
    """Kind to attempts that brought nothing that stands."""
    usage: Usage = field(default_factory=Usage)
    """Tokens of all that the server reported on, what brought nothing included."""
    fruitless: Usage = field(default_factory=Usage)
    """The part of it that brought nothing."""
    waited_ms: int = 0
    first: str = ""
    last: str = ""

    @property
    def requests(self) -> int:
        return self.outcomes.total()

    @property
    def latency_ms(self) -> float | None:
        """The mean of the replies that stand; None where there is none."""
        replied = self.requests - self.outcomes[GAVE_UP]
        return self.waited_ms / replied if replied else None


def summary(path: Path) -> list[Summary]:
    """Return one summary for each teacher and model, by name; none where nothing was ever asked."""
    found: dict[tuple[str, str], Summary] = {}
    paid: Counter[tuple[str, str, str]] = Counter()
    lost: Counter[tuple[str, str, str]] = Counter()
    select = "select teacher, model, outcome, usage, latency_ms, at from replies"
    for teacher, model, outcome, usage, latency, at in replies.read(path, "replies", select):
        one = _seen(found, teacher, model, at)
        one.outcomes[outcome] += 1
        one.waited_ms += latency if outcome != GAVE_UP else 0
        paid[teacher, model, usage] += 1
    select = "select teacher, model, fault, usage, at from attempts"
    for teacher, model, fault, usage, at in replies.read(path, "attempts", select):
        _seen(found, teacher, model, at).faults[fault] += 1
        lost[teacher, model, usage] += 1
    for (teacher, model, usage), count in lost.items():
        found[teacher, model].fruitless = _sum(found[teacher, model].fruitless, usage, count)
    for (teacher, model, usage), count in (paid + lost).items():
        found[teacher, model].usage = _sum(found[teacher, model].usage, usage, count)
    return [found[name] for name in sorted(found)]


def export(path: Path, out: Path) -> int:
    """Write every reply and every fruitless attempt to a Parquet file, and return its rows.

    Columns: those of the replies; `stands` is false of an attempt that brought nothing, whose kind of fault is its
    outcome. Tokens read and written are columns of their own. FerError where there is no store.
    """
    import pyarrow as pa
    from pyarrow import parquet

    if not path.exists():
        raise FerError(path, "there are no replies yet", "`fer-build cot` asks a teacher and stores what it says here")
    numbers = ("latency_ms", "read", "written")
    names = ("key", "teacher", "model", "outcome", "text", "finish", "detail", "usage", "endpoint", "at")
    schema = pa.schema(
        [*((name, pa.string()) for name in names), *((name, pa.int64()) for name in numbers), ("stands", pa.bool_())]
    )
    rows: list[dict[str, Any]] = []
    with durable(out) as part, parquet.ParquetWriter(part, schema, compression="zstd") as writer:
        written = 0
        for row in _all(path):
            rows.append(row)
            written += 1
            if len(rows) == ROWS:
                writer.write_table(pa.Table.from_pylist(rows, schema))
                rows.clear()
        writer.write_table(pa.Table.from_pylist(rows, schema))
    return written


def _all(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of the Parquet file: what stands first."""
    same = "key, teacher, model, detail, usage, latency_ms, endpoint, at"
    stand = f"select {same}, outcome, text, finish, 1 from replies order by rowid"
    others = f"select {same}, fault, '', '', 0 from attempts order by rowid"
    names = (*same.split(", "), "outcome", "text", "finish", "stands")
    for table, select in (("replies", stand), ("attempts", others)):
        for values in replies.read(path, table, select):
            row = dict(zip(names, values, strict=True))
            tokens = count_tokens(orjson.loads(row["usage"]))
            yield row | tokens._asdict() | {"stands": bool(row["stands"])}


def _seen(found: dict[tuple[str, str], Summary], teacher: str, model: str, at: str) -> Summary:
    """Return the summary of a teacher's model, which was heard of at this time."""
    if (one := found.get((teacher, model))) is None:
        one = found[teacher, model] = Summary(teacher, model)
    one.first, one.last = min(one.first or at, at), max(one.last, at)
    return one


def _sum(known: Usage, usage: str, count: int) -> Usage:
    """Add what a server reported `count` times: many requests cost the same, and are read once."""
    more = count_tokens(orjson.loads(usage))
    return Usage(known.read + count * more.read, known.written + count * more.written)
