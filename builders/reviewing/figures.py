"""What a log comes to: who decided what, how far two reviewers agree, and what a sample says of all rows.

Stands behind the log and before whatever tells of it: the page, `--summary`, other pages. It reads no dataset.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from ferbuild.builders.intervals import wilson
from ferbuild.builders.reviewing import log, sample
from ferbuild.builders.reviewing.sample import Sample
from ferbuild.builders.reviewing.standing import Decisions, standing

DROPS = "drops"
"""What the drops of all stages together are called where a dataset is asked for."""
PLACES = 4


class Share(NamedTuple):
    """Of the decided rows of a sample those that were accepted, and where the share of all rows lies."""

    accepted: int
    decided: int
    share: float | None
    """0..1; None where nothing is decided."""
    low: float
    """Ends of Wilson's interval: it holds the share of all rows in 95 of 100 samples."""
    high: float


class Agreement(NamedTuple):
    """How far two reviewers agree on the rows that both decided."""

    reviewers: tuple[str, str]
    rows: int
    observed: float
    """Share of the rows on which both say the same, 0..1."""
    kappa: float | None
    """Cohen's (1960); None where both say one and the same of every row, so that chance would too."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a simple random sample says of the dataset that it was drawn from."""

    asked: int
    """Rows of the sample."""
    of: int
    """Rows of the dataset."""
    seed: int
    key: str
    undecided: int
    disagreed: int
    """Rows on which reviewers disagree and nobody settled: they count as neither."""
    overall: Share
    classes: Mapping[str, Share]
    """By class; of drops by reason."""


@dataclass(frozen=True, slots=True)
class Summary:
    """All figures of one dataset's log."""

    dataset: str
    rows: int
    """Rows that somebody decided about."""
    results: Mapping[str, int]
    """What all reviewers together come to: accept, reject, relabel, disagree."""
    reviewers: Mapping[str, Mapping[str, int]]
    """Reviewer to the decisions that stand, by their kind."""
    notes: int
    """Rows with a note."""
    settled: int
    agreement: Sequence[Agreement]
    """One for every pair of reviewers who both decided about some row."""
    estimate: Estimate | None
    """None: no sample was drawn."""
    last: str
    """Time of the last entry, ISO 8601; empty where there is none."""

    def as_json(self) -> dict[str, Any]:
        """Return all figures; shares have four places."""
        found: dict[str, Any] = _rounded(asdict(self))
        found["agreement"] = [_rounded(one._asdict()) for one in self.agreement]
        if self.estimate:
            found["estimate"]["overall"] = _rounded(self.estimate.overall._asdict())
            found["estimate"]["classes"] = {
                name: _rounded(one._asdict()) for name, one in self.estimate.classes.items()
            }
        return found


def summary(work: Path, dataset: str) -> Summary:
    """Return the figures of a dataset's log in a work folder; all nought where there is none."""
    entries = log.read(log.path_of(work, dataset))
    drawn = sample.read(sample.path_of(work, dataset))
    return summed(dataset, standing(entries), drawn, entries[-1].at if entries else "")


def summaries(work: Path) -> list[Summary]:
    """Return the figures of every dataset that somebody reviewed, by name."""
    return [summary(work, dataset) for dataset in log.logged(work)]


def summed(dataset: str, found: Decisions, drawn: Sample | None, last: str) -> Summary:
    """Return the figures of what stands of a log."""
    outcomes = dict(found.outcomes())
    results = Counter(one.result for one in outcomes.values())
    return Summary(
        dataset=dataset,
        rows=len(outcomes),
        results=dict(sorted(results.items())),
        reviewers=_by_reviewer(found),
        notes=sum(bool(found.notes(row)) for row in found.rows),
        settled=sum(one.settled for one in outcomes.values()),
        agreement=_agreements(found),
        estimate=_estimate(found, drawn) if drawn else None,
        last=last,
    )


def _by_reviewer(found: Decisions) -> dict[str, dict[str, int]]:
    counts: dict[str, Counter[str]] = {}
    for row in found.rows:
        for who, said in found.verdicts(row).items():
            counts.setdefault(who, Counter())[said.decision] += 1
    return {who: dict(sorted(counts[who].items())) for who in sorted(counts)}


def _agreements(found: Decisions) -> list[Agreement]:
    """Return how far every two reviewers agree, by name; whoever shares no row with another is in none."""
    answers: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for row in found.rows:
        for (one, said), (other, told) in combinations(sorted(found.verdicts(row).items()), 2):
            answers.setdefault((one, other), []).append((said.answer, told.answer))
    return [_agreement(pair, both) for pair, both in sorted(answers.items())]


def _agreement(pair: tuple[str, str], both: Sequence[tuple[str, str]]) -> Agreement:
    same = sum(one == other for one, other in both) / len(both)
    own, its = [one for one, _ in both], [other for _, other in both]
    return Agreement(pair, len(both), same, _kappa(own, its))


def _kappa(one: Sequence[str], other: Sequence[str]) -> float | None:
    from sklearn.metrics import cohen_kappa_score  # a second, which only two reviewers cost

    return float(cohen_kappa_score(one, other)) if len({*one, *other}) > 1 else None


def _estimate(found: Decisions, drawn: Sample) -> Estimate:
    results = {row: outcome.result for row in drawn.rows if (outcome := found.outcome(row)) is not None}
    decided = {row: result for row, result in results.items() if result != "disagree"}
    classes = {name: [row for row in decided if drawn.rows[row] == name] for name in sorted({*drawn.rows.values()})}
    return Estimate(
        asked=len(drawn.rows),
        of=drawn.of,
        seed=drawn.seed,
        key=drawn.key,
        undecided=len(drawn.rows) - len(results),
        disagreed=len(results) - len(decided),
        overall=_share([result == "accept" for result in decided.values()]),
        classes={name: _share([decided[row] == "accept" for row in rows]) for name, rows in classes.items()},
    )


def _share(accepted: Sequence[bool]) -> Share:
    count, many = sum(accepted), len(accepted)
    share = count / many if many else 0.0
    low, high = wilson(share, many)
    return Share(count, many, share if many else None, low, high)


def _rounded(found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: round(value, PLACES) if isinstance(value, float) else value for name, value in found.items()}
