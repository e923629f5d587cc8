"""What the releases hold against what they should, before any picture is opened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from ferbuild.builders import facing, images
from ferbuild.builders.build import Build
from ferbuild.builders.record import SPLITS
from ferbuild.builders.sources.listing import Listing


@dataclass(frozen=True, slots=True)
class SplitCount:
    """Rows of one split: by own label word, found and expected (None where no figure is known)."""

    split: str
    found: Mapping[str, int]
    expected: Mapping[str, int] | None
    total: int
    expected_total: int | None
    missing: int
    """Rows whose picture is not on disk."""
    dropped: Mapping[str, int]

    @property
    def agrees(self) -> bool | None:
        """Whether the counts are the expected ones; None where none are known."""
        if self.expected is not None:
            return dict(self.found) == {word: count for word, count in self.expected.items() if count}
        return None if self.expected_total is None else self.total == self.expected_total


@dataclass(frozen=True, slots=True)
class Checked:
    """One release, as `fer-build check` shows it."""

    listing: Listing
    splits: tuple[SplitCount, ...]
    dropped: Mapping[str, int]
    """Of all splits, and of rows whose split nothing tells."""
    unreadable: Mapping[str, list[str]]
    """Reason to the addresses of pictures; only after a deep check."""


def check(build: Build, *, deep: bool = False) -> list[Checked]:
    """Count the rows of every release; `deep` also opens every picture."""
    return [_check(listing, build, deep) for listing in build.listings]


def as_json(found: list[Checked]) -> dict[str, Any]:
    """Return the counts as one object: in = kept + dropped over all releases."""
    dropped: Counter[str] = Counter()
    for one in found:
        dropped.update(one.dropped)
    kept = sum(one.listing.rows.num_rows for one in found)
    return {
        "in": kept + dropped.total(),
        "kept": kept,
        "dropped": dict(sorted(dropped.items())),
        "sources": {one.listing.source.name: _source_json(one) for one in found},
    }


def _source_json(one: Checked) -> dict[str, Any]:
    listing, licence = one.listing, one.listing.source.licence
    return {
        "title": listing.source.title,
        "layout": listing.layout,
        "base": str(listing.base),
        "rule": listing.rule,
        "notes": list(listing.notes),
        "dropped": dict(one.dropped),
        "unreadable": dict(one.unreadable),
        "licence": {"name": licence.name, "terms": licence.terms, "ask": licence.ask},
        "splits": {
            count.split: {
                "rows": count.total,
                "expected_rows": count.expected_total,
                "found": dict(count.found),
                "expected": dict(count.expected) if count.expected is not None else None,
                "missing_pictures": count.missing,
                "dropped": dict(count.dropped),
                "agrees": count.agrees,
            }
            for count in one.splits
        },
    }


def _check(listing: Listing, build: Build, deep: bool) -> Checked:
    frame = pl.DataFrame(listing.rows.select(["split", "label", "size"]))
    drops = pl.DataFrame(listing.drops.select(["split", "reason"]))
    splits = [split for split in SPLITS if split in set(frame["split"]) | set(drops["split"])]
    counts = tuple(_count(listing, frame, drops, split) for split in splits)
    dropped = Counter(drops["reason"].to_list())
    unreadable = _open_all(listing, build) if deep else {}
    return Checked(listing, counts, dict(sorted(dropped.items())), dict(sorted(unreadable.items())))


def _count(listing: Listing, frame: pl.DataFrame, drops: pl.DataFrame, split: str) -> SplitCount:
    source, rule = listing.source, listing.rule
    frame = frame.filter(pl.col("split") == split)
    reasons = Counter(drops.filter(pl.col("split") == split)["reason"].to_list())
    words = dict(frame.group_by("label").len().iter_rows())
    expected = source.expected.get(rule, {}).get(split)
    total = sum(expected.values()) if expected else source.totals.get(rule, {}).get(split)
    found = {word: words[word] for word in sorted(words, key=_rank(source.candidates))}
    dropped = dict(sorted(reasons.items()))
    return SplitCount(split, found, expected, frame.height, total, frame["size"].null_count(), dropped)


def _rank(words: list[str]) -> Any:
    rank = {word: at for at, word in enumerate(words)}
    return lambda word: (rank.get(word, len(rank)), word)


def _open_all(listing: Listing, build: Build) -> dict[str, list[str]]:
    """Open and decode every picture that is there, of a limited build the first; return what is wrong with some."""
    found: dict[str, list[str]] = {}
    picture = build.settings.recipe.picture
    rows = build.chosen(listing.rows)
    for at, row in enumerate(rows.to_pylist()):
        if build.tick and at % 100 == 0:
            build.tick(f"open {listing.source.name}", at, rows.num_rows)
        if row["size"] is None:
            continue
        try:
            images.decode(facing.open_picture(row, listing.base), max_pixels=picture.max_pixels)
        except images.PictureError as err:
            found.setdefault(err.reason, []).append(f"{row['split']} {row['rel_path']}")
    return found
