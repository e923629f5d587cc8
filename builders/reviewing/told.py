"""The figures of a review in words, for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ferbuild.builders.reviewing.figures import DROPS, Agreement, Estimate, Share, Summary


def lines(found: Summary) -> list[str]:
    """Return what `fer-build review --summary` prints."""
    if not found.last:
        return [f"{found.dataset}: nobody decided anything yet"]
    told = [f"{found.dataset}: {found.rows:,} rows decided, the last entry at {found.last}"]
    told += [f"  {who}: {_counts(counts)}" for who, counts in found.reviewers.items()]
    told.append(f"  together: {_counts(found.results) or 'nothing that stands'}")
    told += [f"  notes on {found.notes:,} rows"] if found.notes else []
    told += [f"  {found.settled:,} rows settled after a disagreement"] if found.settled else []
    told += [_agreed(one) for one in found.agreement]
    return told + (list(_estimated(found.dataset, found.estimate)) if found.estimate else [])


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _agreed(one: Agreement) -> str:
    kappa = "no kappa, since both always say the same" if one.kappa is None else f"Cohen's kappa {one.kappa:.2f}"
    return f"  {' and '.join(one.reviewers)}: agree on {one.observed:.0%} of {one.rows:,} rows, {kappa}"


def _estimated(dataset: str, one: Estimate) -> Iterator[str]:
    what = "rightly dropped" if dataset == DROPS else "acceptable"
    yield f"  sample of {one.asked:,} of {one.of:,} rows, seed {one.seed}: {what} {_share(one.overall)}"
    left = [(one.undecided, "undecided"), (one.disagreed, "in dispute")]
    yield from (
        [f"    {', '.join(f'{count:,} {name}' for count, name in left if count)}"] if any(c for c, _ in left) else []
    )
    for name, share in one.classes.items():
        yield f"    {name or 'no class'}: {_share(share)}"


def _share(one: Share) -> str:
    if one.share is None:
        return "not known, nothing is decided"
    return f"{one.share:.1%} ({one.low:.1%} to {one.high:.1%}), {one.accepted:,} of {one.decided:,}"
