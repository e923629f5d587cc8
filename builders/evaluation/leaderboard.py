"""Many models' results in one order, beside the published figures, and which neighbours really differ.

Stands behind `results` and before what shows a board. A result that lacks rows of the benchmark is ranked apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from ferbuild.builders.errors import FerError
from ferbuild.builders.evaluation.as_json import PREDICTIONS
from ferbuild.builders.evaluation.compare import Paired, Rows, adjusted, compare, overall
from ferbuild.builders.evaluation.compare import as_json as paired_json
from ferbuild.builders.evaluation.metrics import RESAMPLES
from ferbuild.builders.evaluation.results import Broken, Entry, benchmark_rows, find, predictions
from ferbuild.manifests.load import load_published
from ferbuild.manifests.schema import Published


class Pair(NamedTuple):
    """Two models of one ranking on the rows that both have; `one` is ranked above the other."""

    one: str
    found: Paired


@dataclass(frozen=True, slots=True)
class Board:
    """All results below a folder, each ranking best first."""

    full: Sequence[Entry]
    """Results on all rows of the benchmark, and on no others."""
    partial: Sequence[Entry]
    """The rest: each on rows of its own."""
    published: Sequence[Published]
    broken: Sequence[Broken]
    pairs: Sequence[Pair]
    sets: Sequence[str]
    """The benchmark's, then others that results have."""


def board_of(folder: Path) -> Board:
    """Rank every result below `folder`, at any depth; FerError where there is none."""
    found, broken = find(folder)
    ranked = sorted(found, key=lambda one: (-_accuracy(one), one.name, one.place))
    sets = dict.fromkeys([*benchmark_rows(), *(name for one in ranked for name in one.sets)])
    full, partial = ([one for one in ranked if bool(one.lacks) is apart] for apart in (False, True))
    return Board(full, partial, load_published(), broken, (), list(sets))


def rank(one: Entry, among: Sequence[Entry]) -> int:
    """Return a result's rank from 1; equal accuracies share theirs."""
    return 1 + sum(_accuracy(other) > _accuracy(one) for other in among)


def with_pairs(board: Board, *, seed: int = 0, resamples: int = RESAMPLES) -> Board:
    """Compare every result with the next one of its ranking and with the best, Holm's correction over all of them.

    What cannot be compared joins `broken`.
    """
    broken, found = list(board.broken), list[Pair]()
    for ranking in (board.full, board.partial):
        rows = list(_readable(ranking, broken))
        for at, to in _matches(len(rows)):
            try:
                found.append(Pair(rows[at].name, overall(compare(rows[at], rows[to], seed=seed, resamples=resamples))))
            except FerError as err:
                broken.append(Broken(err.where, err.problem))
    tested = adjusted([pair.found for pair in found])
    pairs = [pair._replace(found=one) for pair, one in zip(found, tested, strict=True)]
    return replace(board, broken=broken, pairs=pairs)


def as_json(board: Board) -> dict[str, Any]:
    """Return the board; shares 0..1."""
    return {
        "sets": list(board.sets),
        "results": [{"rank": rank(one, board.full), **_entry_json(one)} for one in board.full],
        "partial": [_entry_json(one) for one in board.partial],
        "published": [one.model_dump() for one in board.published],
        "broken": [one._asdict() for one in board.broken],
        "pairs": [{"one": pair.one, **paired_json(pair.found)} for pair in board.pairs],
    }


def _entry_json(one: Entry) -> dict[str, Any]:
    names = ("name", "place", "baseline", "n", "uar", "f1", "official", "unanswered", "refused", "truncated", "error")
    rest = {"accuracy": one.strict.value, "low": one.strict.low, "high": one.strict.high, "cost": one.cost}
    return {name: getattr(one, name) for name in names} | rest | _told(one)


def _told(one: Entry) -> dict[str, Any]:
    return {"sets": dict(one.sets), "marks": list(one.marks), "lacks": list(one.lacks)}


def _accuracy(one: Entry) -> float:
    """Return what results are ranked by; a result without rows comes last."""
    return -1.0 if one.strict.value is None else one.strict.value


def _readable(ranking: Sequence[Entry], broken: list[Broken]) -> Iterator[Rows]:
    for one in ranking:
        try:
            yield predictions(one)
        except FerError as err:
            within = "" if err.where == str(one.folder) else f"{PREDICTIONS} "
            broken.append(Broken(one.place, within + err.problem))


def _matches(count: int) -> list[tuple[int, int]]:
    """Return who is compared: each place with the next, and the first with all."""
    return sorted({(at, at + 1) for at in range(count - 1)} | {(0, to) for to in range(1, count)})
