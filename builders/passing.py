"""Which questions are worth training on: those that a student answers rightly now and then, and some of every class.

Ends the rlvr stage where a student was asked, as the last look at its rated questions. Pass rates are compared as whole
numbers, and every draw is by a hash of seed and id, so that the same replies keep the same rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import ceil, floor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from ferbuild.builders import shards
from ferbuild.builders.columns import conform
from ferbuild.builders.errors import FerError
from ferbuild.builders.mark import Rows
from ferbuild.builders.record import DROPS
from ferbuild.builders.samples import Votes, is_suspect
from ferbuild.builders.stage import Settled
from ferbuild.manifests.recipe import Consistency

SUSPECTS = "suspects"
"""The split of likely label errors."""
TOO_EASY, TOO_HARD, AWAY = "too easy", "too hard", "balanced away"
POINTS = 1000
"""Of one sample: a sum of scores is compared in whole thousandths, which takes a count as it is."""
STEPS = 10
"""Of the curriculum."""
PLACE = pa.schema([("shard", pa.string()), ("at", pa.int64()), ("bytes", pa.int64())])
"""Where a question's pictures lie: the file below the questions, the row there, and the size of all of the row."""
OF_SHARE = 2
"""Every class keeps at least a share of its questions: that which the band keeps of its kind, divided by this."""
CELL = ("kind", "class")
_GROUPS = {"label": CELL, "source": ("kind", "source")}
_RANGE = re.compile(r"(\d*\.?\d+)\s*-\s*(\d*\.?\d+)")
_BALANCE = re.compile(r"(label|source)(?::(\d*\.?\d+))?")


class Band(NamedTuple):
    """The pass rates that are kept, ends included; 0..1."""

    low: Fraction
    high: Fraction

    def __str__(self) -> str:
        """Return what `band_of` reads."""
        return f"{float(self.low):g}-{float(self.high):g}"

    def points(self, samples: int) -> tuple[int, int]:
        """Return the least and the most points of so many samples that lie in the band."""
        return ceil(self.low * samples * POINTS), floor(self.high * samples * POINTS)


def band_of(text: str) -> Band:
    """Read `--keep`: "0.2-0.8"; FerError for what is no range of shares."""
    found = _RANGE.fullmatch(text.strip())
    band = Band(Fraction(found[1]), Fraction(found[2])) if found else None
    if band is None or not 0 <= band.low <= band.high <= 1:
        raise FerError(f"--keep {text}", "is no range of pass rates", "write the least and the most, as in 0.2-0.8")
    return band


class Balance(NamedTuple):
    """No group of questions is kept that is larger than `times` the smallest of its kind."""

    by: str
    """label or source."""
    times: Fraction

    def __str__(self) -> str:
        """Return what `balance_of` reads."""
        return f"{self.by}:{float(self.times):g}"


def balance_of(text: str) -> Balance | None:
    """Read `--balance`: "label", "source", or either with how often the smallest, "label:3"; None where it is empty."""
    if not text:
        return None
    found = _BALANCE.fullmatch(text.strip())
    times = Fraction(found[2] or 2) if found else Fraction(0)
    if found is None or times < 1:
        hint = "write label or source, and how often the smallest group is taken at most, as in label:2"
        raise FerError(f"--balance {text}", "is nothing to balance by", hint)
    return Balance(found[1], times)


@dataclass(frozen=True, slots=True)
class Policy:
    """What is kept of rated questions."""

    samples: int
    """Replies to each question."""
    band: Band
    balance: Balance | None
    consistency: Consistency
    seed: int


def held(schema: pa.Schema) -> pa.Schema:
    """Return `schema` with PLACE instead of the pictures: they are copied once, as the shards are laid out."""
    return pa.schema([*(field for field in schema if field.name != "images"), *PLACE])


def settle(kept: Mapping[str, Sequence[Path]], *, policy: Policy, folder: Path, schema: pa.Schema) -> Settled:
    """Return which rated questions stay, which go to SUSPECTS, and why the others go; `kept` is split to streams.

    The streams are `held` ones of `schema`, whose pictures lie in the questions of `folder`.

    A question that is always answered wrong, and alike, is suspected of a wrong label; not so where that is over half
    of its kind and class, which the student then does not know. Of the others those in the band are kept. A class of
    which the band keeps less than half the share that it keeps of the kind is widened: questions outside are added,
    the nearest to the band first, of equals by a draw, until that half is reached.
    """
    rows = _balanced(_kept(_suspected(_read(kept, policy), policy), policy), policy)
    steps = _curriculum(rows)
    doubted = rows.filter(fate=SUSPECTS).select("id", curriculum=pl.lit(None, pl.Int32))
    opened = lru_cache(maxsize=2)(lambda name: shards.read_stream(folder / name))
    named = (dict(zip(some["id"].to_list(), some["curriculum"].to_list(), strict=True)) for some in (steps, doubted))
    pick, other = (Picked(one, schema, opened) for one in named)
    apart = {SUSPECTS: other} if doubted.height else {}
    return Settled(pick, _drops(rows, policy), tables(rows, steps, policy), weigh=pick.weight, apart=apart)


@dataclass(frozen=True, slots=True)
class Picked:
    """Takes the questions that are named, and fills in their pictures and their step of the curriculum."""

    steps: Mapping[str, int | None]
    """Id to step of the curriculum."""
    schema: pa.Schema
    opened: Callable[[str], pa.Table]
    """Gives the rows of a shard of questions."""

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Return the rows that are named, in their order; those given are all of one shard of questions."""
        rows = rows.take(self._named(rows["id"]))
        if not rows.num_rows:
            return self.schema.empty_table()
        at = np.asarray(rows["at"].to_numpy(), np.int64)
        near = self.opened(rows["shard"][0].as_py())["images"].slice(int(at[0]), int(at[-1] - at[0]) + 1)
        columns = {name: rows[name] for name in self.schema.names if name != "images"}
        steps = pa.array([self.steps[name] for name in rows["id"].to_pylist()], pa.int32())
        return conform({**columns, "images": near.take(pa.array(at - at[0])), "curriculum": steps}, self.schema)

    def weight(self, rows: pa.RecordBatch) -> int:
        """Return the bytes that the named ones of some rows take of a shard."""
        return int(pc.sum(rows["bytes"].take(self._named(rows["id"]))).as_py() or 0)

    def _named(self, ids: pa.Array | pa.ChunkedArray) -> pa.Array:
        return pa.array([at for at, name in enumerate(ids.to_pylist()) if name in self.steps], pa.int64())


def _read(kept: Mapping[str, Sequence[Path]], policy: Policy) -> pl.DataFrame:
    """Return the rated questions without their pictures, with their points and the place in a draw."""
    names = ["id", "kind", "canonical", "label", "answer", "faces", "pass_rate", "majority", "majority_share"]
    tables = [shards.read_stream(file).select(names) for files in kept.values() for file in files]
    if not tables:
        return _EMPTY
    whole = pa.concat_tables(tables)
    frame = pl.DataFrame(whole.drop_columns("faces"))
    first = pc.list_element(whole["faces"], 0)
    place = [pl.Series(name, pc.struct_field(first, name)) for name in ("source", "split", "rel_path")]
    draws = [xxhash.xxh3_64_intdigest(f"{policy.seed}/{name}".encode()) for name in frame["id"].to_list()]
    total = policy.samples * POINTS
    return frame.with_columns(
        *place,
        pl.Series("draw", draws, pl.UInt64),
        pl.col("canonical").fill_null("").alias("class"),
        (pl.col("pass_rate").cast(pl.Float64) * total).round().cast(pl.Int64).alias("points"),
        (pl.col("majority_share").cast(pl.Float64) * policy.samples).round().cast(pl.Int64).alias("votes"),
    )


_EMPTY = pl.DataFrame(
    schema=dict.fromkeys(
        ["id", "kind", "class", "label", "answer", "majority", "source", "split", "rel_path"], pl.String
    )
    | {"points": pl.Int64, "votes": pl.Int64, "draw": pl.UInt64}
)


def _suspected(rows: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """Add `doubted`, whether all samples are wrong and agree, and `suspect`, whether that is held against the label."""

    def doubted(majority: str | None, votes: int | None, answer: str) -> bool:
        found = Votes(policy.samples, {majority: votes or 0} if majority else {})
        return is_suspect(found, answer, policy.consistency)

    wrong = rows.select("majority", "votes", "answer", "points").rows()
    alike = [points == 0 and doubted(*one) for *one, points in wrong]
    rows = rows.with_columns(pl.Series("doubted", alike, pl.Boolean))
    return rows.with_columns(
        suspect=pl.col("doubted") & (2 * pl.col("doubted").sum().over(CELL) <= pl.len().over(CELL))
    )


def _kept(rows: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """Add `inside`, whether a question lies in the band, and its `fate`: kept, SUSPECTS or why it goes."""
    low, high = policy.band.points(policy.samples)
    points, left = pl.col("points"), pl.col("suspect").not_()
    away = pl.max_horizontal(low - points, points - high, pl.lit(0))
    rows = rows.with_row_index("at").with_columns(left=left, away=away, inside=left & (away == 0))
    rows = rows.with_columns(least=_least()).with_columns(lack=pl.col("least") - pl.col("inside").sum().over(CELL))
    outside = rows.filter(pl.col("left") & pl.col("inside").not_()).sort(*CELL, "away", "draw", "id")
    added = outside.filter(pl.int_range(pl.len()).over(CELL) < pl.col("lack"))["at"]
    fate = (
        pl.when("suspect").then(pl.lit(SUSPECTS))
        .when(pl.col("inside") | pl.col("at").is_in(added.implode())).then(pl.lit("kept"))
        .when(points > high).then(pl.lit(TOO_EASY)).otherwise(pl.lit(TOO_HARD))
    )  # fmt: skip
    return rows.with_columns(fate=fate)


def _least() -> pl.Expr:
    """Return how many questions of its kind and class a row's cell keeps at least, suspects not counted."""
    count, inside = (pl.col(name).cast(pl.Int64).sum() for name in ("left", "inside"))
    part = count.over(CELL) * inside.over("kind")
    whole = (OF_SHARE * count.over("kind")).clip(1)
    return (part + whole - 1) // whole


def _balanced(rows: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """Let go of what is kept in excess of the balance, by the draw."""
    if policy.balance is None:
        return rows
    group, times = _GROUPS[policy.balance.by], policy.balance.times
    stay = rows.filter(fate="kept").with_columns(size=pl.len().over(group).cast(pl.Int64))
    most = pl.col("size").min().over("kind") * times.numerator // times.denominator
    turns = stay.with_columns(most=most).sort(*group, "draw", "id")
    gone = turns.filter(pl.int_range(pl.len()).over(group) >= pl.col("most"))["at"]
    over = pl.col("at").is_in(gone.implode())
    return rows.with_columns(fate=pl.when(over).then(pl.lit(AWAY)).otherwise("fate"))


def _curriculum(rows: pl.DataFrame) -> pl.DataFrame:
    """Return id and step of the questions that are kept: tenths of them, the easiest first, of equals by id."""
    stay = rows.filter(fate="kept").sort("points", "id", descending=[True, False])
    return stay.select("id", "points", curriculum=(pl.int_range(pl.len()) * STEPS // pl.len()).cast(pl.Int32))


def _drops(rows: pl.DataFrame, policy: Policy) -> pa.Table:
    gone = rows.filter(pl.col("fate").is_in([TOO_EASY, TOO_HARD, AWAY]))
    detail = [f"{points / POINTS:g} of {policy.samples} right" for points in gone["points"].to_list()]
    columns = [*DROPS.names[:5], pl.col("fate").alias("reason"), pl.Series("detail", detail, pl.String)]
    return gone.select(columns).to_arrow().cast(DROPS)


def tables(rows: pl.DataFrame, steps: pl.DataFrame, policy: Policy) -> dict[str, Rows]:
    """Return the figures for the report: by kind and class, by source, by pass rate, and of the curriculum."""
    is_kept = (pl.col("fate") == "kept").sum().alias("kept")
    rate = pl.col("points") / (policy.samples * POINTS)
    right = (pl.col("points") // POINTS).alias("right")
    of_rate = [pl.lit(policy.samples).alias("of"), pl.len().alias("questions"), is_kept]
    of_step = [pl.len().alias("questions"), rate.min().round(4).alias("from"), rate.max().round(4).alias("to")]
    sources = rows.group_by("kind", "source").agg(pl.len().alias("asked"), is_kept)
    return {
        "difficulty": _by_class(rows, policy).to_dicts(),
        "source": sources.sort("kind", "source").to_dicts(),
        "pass rate": rows.group_by(right).agg(of_rate).sort("right").to_dicts(),
        "curriculum": steps.group_by("curriculum").agg(of_step).sort("curriculum").to_dicts(),
    }


def _by_class(rows: pl.DataFrame, policy: Policy) -> pl.DataFrame:
    """Return a row a kind and class: what it had, what of it the band holds and was added to that, and what is kept."""
    total = policy.samples * POINTS
    held = pl.col("points").filter(pl.col("fate").is_in(["kept", AWAY]) & pl.col("inside").not_()) / total
    low, high = map(float, policy.band)
    ends = [held.min().fill_null(low).clip(upper_bound=low), held.max().fill_null(high).clip(lower_bound=high)]
    found = rows.group_by(CELL).agg(
        pl.len().alias("asked"),
        (pl.col("points").mean() / total).round(4).alias("pass rate"),
        pl.col("doubted").sum().alias("always wrong alike"),
        pl.col("suspect").sum().alias("suspects"),
        pl.col("inside").sum().alias("in band"),
        pl.col("least").first().alias("at least"),
        pl.concat_str([end.round(4) for end in ends], separator="-").alias("widened to"),
        (pl.col("fate") == AWAY).sum().alias(AWAY),
        (pl.col("fate") == "kept").sum().alias("kept"),
    )
    return found.sort(CELL)
