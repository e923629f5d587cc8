"""Two models on the same pictures: which is better, how surely, and what difference the pictures could show at all.

Stands behind the score and takes its predictions. Both models saw the same rows, so that only the rows that one of
them has right and the other wrong tell them apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import sqrt
from pathlib import Path
from statistics import NormalDist
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
import numpy.typing as npt
import orjson

from ferbuild.builders.errors import FerError
from ferbuild.builders.evaluation import metrics
from ferbuild.builders.evaluation.as_json import PREDICTIONS
from ferbuild.builders.evaluation.metrics import RESAMPLES, Counts, Shares
from ferbuild.builders.evaluation.reading import Readings

POOLED, MEAN = "pooled", "mean"
LEVEL, POWER = 0.05, 0.80
"""Of the smallest difference: chance of calling one where there is none, and of finding one where it is."""
_SAME, _ONE, _OTHER = range(3)
"""Of a row: both right or both wrong; only the one right; only the other."""


class Rows(NamedTuple):
    """One model's predictions: columns of the same length, a row a picture."""

    name: str
    sets: Sequence[str]
    paths: Sequence[str]
    """One row each in a set."""
    true: Sequence[str]
    right: Sequence[bool]
    """The strict reading gives the true label; a row without an answer is wrong."""
    clusters: Sequence[str]


class Paired(NamedTuple):
    """How one model compares with another on the rows of one set, of all sets pooled, or in the mean of the sets."""

    other: str
    set: str
    """A set, POOLED or MEAN."""
    n: int
    """Rows that both have."""
    difference: float
    """Accuracy less the other's, -1..1."""
    low: float
    """Of the 95 % interval: paired bootstrap, clusters drawn anew within each set."""
    high: float
    b: int | None
    """Rows that only this model has right; None of a mean, as all that follows from it."""
    c: int | None
    """Rows that only the other has right."""
    p: float | None
    """McNemar's exact test: the chance of a split of b + c rows at least as uneven where both are equally good. It
    takes rows for independent; where clusters are large, as in SFEW, the interval is to be trusted."""
    p_holm: float | None
    """The same after Holm's correction for all comparisons of the call, or of `adjusted`."""
    smallest: float | None
    """See `smallest`, of as many independent rows as the clusters are worth: n by the design effect (Kish 1965), which
    is how much larger the variance of the difference is with whole clusters drawn than with single rows."""
    left_out: int
    """Rows that only one of the two has, or that they have with different true labels."""


class _Part(NamedTuple):
    """The rows of one set that both models have."""

    set: str
    cells: npt.NDArray[np.int64]
    """(n,): _SAME, _ONE or _OTHER."""
    clusters: Sequence[str]
    left_out: int

    def resampled(self, resamples: int, seed: int) -> Counts:
        """Return (resamples, 3) rows of each cell; the draws of a set do not depend on which other sets there are."""
        return metrics.resampled(self.cells.tolist(), self.clusters, 3, resamples, (seed, crc32(self.set.encode())))

    def spread(self) -> tuple[float, float]:
        """Return the variance of the summed differences with whole clusters drawn, and with single rows."""
        signs = np.array([0.0, 1.0, -1.0])[self.cells]
        own = signs - signs.mean()
        by_cluster = np.bincount(np.unique(np.asarray(self.clusters), return_inverse=True)[1], own)
        return float((by_cluster**2).sum()), float((own**2).sum())


def compare(one: Rows, other: Rows, *, seed: int = 0, resamples: int = RESAMPLES) -> list[Paired]:
    """Compare two models on the rows that both have: set by set, then pooled and in the mean of the sets.

    Of a single set neither is given, since both would repeat it. FerError where the two have no row in common.
    """
    parts = _parts(one, other)
    if not parts:
        hint = "both have to answer questions of one benchmark: the same sets, picture paths and true labels"
        raise FerError(f"{one.name} and {other.name}", "have no row in common", hint)
    again = [part.resampled(resamples, seed) for part in parts]
    found = [
        _paired(other.name, part.set, [part], drawn, part.left_out) for part, drawn in zip(parts, again, strict=True)
    ]
    if len(parts) > 1:
        left_out = len(_pictures(one) | _pictures(other)) - sum(len(part.cells) for part in parts)
        pooled = _paired(other.name, POOLED, parts, np.sum(again, axis=0), left_out)
        found += [pooled, _mean(other.name, found, again, left_out)]
    return adjusted(found)


def overall(found: Sequence[Paired]) -> Paired:
    """Return the comparison over all rows: pooled, or of the only set."""
    return next((one for one in found if one.set == POOLED), found[0])


def adjusted(found: Sequence[Paired]) -> list[Paired]:
    """Return comparisons, such as those with several models, with Holm's correction over all of them."""
    return [one._replace(p_holm=p) for one, p in zip(found, holm([one.p for one in found]), strict=True)]


def holm(values: Sequence[float | None]) -> list[float | None]:
    """Return p-values by Holm's step-down method (1979, Scandinavian Journal of Statistics 6, 65-70), in their order.

    The chance of any false finding among all of them stays below the level. None is no test and stays None.
    """
    known = [(value, at) for at, value in enumerate(values) if value is not None]
    found: list[float | None] = [None] * len(values)
    highest = 0.0
    for rank, (value, at) in enumerate(sorted(known)):
        highest = max(highest, min(1.0, (len(known) - rank) * value))
        found[at] = highest
    return found


def mcnemar(b: int, c: int) -> float:
    """Return the two-sided p-value of McNemar's exact test: 1 where no row tells the two apart."""
    from scipy.stats import binomtest  # a second, for those who compare

    return float(binomtest(b, b + c, 0.5).pvalue) if b + c else 1.0


def smallest(rows: float, discordant: float) -> float | None:
    """Return the smallest true difference in accuracy, 0..1, that McNemar's test at 5 % finds in 80 of 100 trials.

    rows: independent ones. discordant: the share of them, 0..1, that only one of the two models has right. Connor
    (1987, Biometrics 43, 207-211) gives the rows that a difference d takes,
    ((z(1 - 0.05 / 2) √discordant + z(0.80) √(discordant - d²)) / d)²; here it is solved for d. None where even the
    largest difference that the discordant share leaves room for, itself, would not be found.
    """
    error, power = NormalDist().inv_cdf(1 - LEVEL / 2), NormalDist().inv_cdf(POWER)
    inner = rows + power**2 - error**2
    if inner < 0 or not discordant:
        return None
    found = sqrt(discordant) * (error * sqrt(rows) + power * sqrt(inner)) / (rows + power**2)
    return found if found <= discordant else None


def rows_of(name: str, readings: Readings) -> Rows:
    """Return what a model's readings come to."""
    right = [said.label == true for said, true in zip(readings.said, readings.true, strict=True)]
    return Rows(name, readings.sets, readings.paths, readings.true, right, readings.clusters)


def read_rows(name: str, folder: Path) -> Rows:
    """Read the predictions in a result folder; FerError where they are missing, cut, of another form or doubled."""
    path = folder / PREDICTIONS
    names = ("set", "image_path", "true_label", "strict", "cluster")
    try:
        lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
        sets, paths, true, strict, clusters = ([line[name] for line in lines] for name in names)
    except OSError as err:
        hint = "name a result folder of fer-build eval, as fer-data/eval/NAME/report is one"
        raise FerError(path, f"cannot be read: {err.strerror or err}", hint) from None
    except (orjson.JSONDecodeError, KeyError, TypeError) as err:
        raise FerError(path, f"holds no predictions ({type(err).__name__}: {err})", "score the model again") from None
    if not all(isinstance(cell, str) for column in (sets, paths, true, strict, clusters) for cell in column):
        raise FerError(path, "holds something else than text where a label or path stands", "score the model again")
    if len(set(zip(sets, paths, strict=True))) < len(lines):
        raise FerError(path, "has a picture twice", "score the model again")
    return Rows(name, sets, paths, true, [a == b for a, b in zip(true, strict, strict=True)], clusters)


def as_json(found: Paired) -> dict[str, Any]:
    """Return a comparison; shares and p-values to six places."""
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in found._asdict().items()}


def _parts(one: Rows, other: Rows) -> list[_Part]:
    """Return the shared rows of every set that both have, in the order of the one."""
    known = {key: at for at, key in enumerate(zip(other.sets, other.paths, other.true, strict=True))}
    shared: dict[str, list[tuple[int, int]]] = {}
    for at, key in enumerate(zip(one.sets, one.paths, one.true, strict=True)):
        if (to := known.get(key)) is not None:
            shared.setdefault(one.sets[at], []).append((at, to))
    held = Counter(name for name, _ in _pictures(one) | _pictures(other))
    return [_part(name, rows, one, other, held[name] - len(rows)) for name, rows in shared.items()]


def _part(name: str, rows: Sequence[tuple[int, int]], one: Rows, other: Rows, left_out: int) -> _Part:
    right = np.array([(one.right[at], other.right[to]) for at, to in rows], np.int64)
    cells = np.array([[_SAME, _OTHER], [_ONE, _SAME]])[right[:, 0], right[:, 1]]
    return _Part(name, cells, [one.clusters[at] for at, _ in rows], left_out)


def _pictures(rows: Rows) -> set[tuple[str, str]]:
    return set(zip(rows.sets, rows.paths, strict=True))


def _paired(other: str, name: str, parts: Sequence[_Part], again: Counts, left_out: int) -> Paired:
    """Return the comparison over one or several sets; `again` are their (resamples, 3) rows of each cell."""
    counts = np.sum([np.bincount(part.cells, minlength=3) for part in parts], axis=0)
    n, b, c = int(counts.sum()), int(counts[_ONE]), int(counts[_OTHER])
    by_cluster, by_row = np.sum([part.spread() for part in parts], axis=0)
    independent = n / max(1.0, float(by_cluster / by_row)) if by_row else n
    low, high = _ends(_differences(again))
    least = smallest(independent, (b + c) / n)
    return Paired(other, name, n, (b - c) / n, low, high, b, c, mcnemar(b, c), None, least, left_out)


def _mean(other: str, found: Sequence[Paired], again: Sequence[Counts], left_out: int) -> Paired:
    """Return the mean difference of the sets, each resampled on its own."""
    difference = sum(one.difference for one in found) / len(found)
    low, high = _ends(np.mean([_differences(one) for one in again], axis=0))
    return Paired(
        other, MEAN, sum(one.n for one in found), difference, low, high, None, None, None, None, None, left_out
    )


def _differences(again: Counts) -> Shares:
    return np.asarray((again[:, _ONE] - again[:, _OTHER]) / again.sum(-1), np.float64)


def _ends(values: Shares) -> tuple[float, float]:
    """Return the ends of the 95 % interval; the whole range where there are no resamples."""
    return metrics.ends(values) or (-1.0, 1.0)
