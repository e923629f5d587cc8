"""Quality of the search for near duplicates: what is planted is found, and one person's two expressions told apart.

Stands behind `near_duplicates.py quality` and the fit of what is judged by. Wrong are all returned pairs of different
photographs. Both expressions are made at will, and some change nothing that can be seen at the size asked for: such a
pair is reported, and left out of a second figure of precision. The border is what the strongest coding of the copies
does: an expression is to be seen where the worst place of the two plain crops differs by no less than the worst place
of either from itself as JPEG 30.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import cv2
import face_pictures as made
import numpy as np
import numpy.typing as npt

from ferbuild.builders import compared
from ferbuild.builders.hashing import Columns, hash_many
from ferbuild.builders.near import Pairs, near_pairs

Pixels = npt.NDArray[np.uint8]
NEW = "cropped anew"
HARSH = ("half size, JPEG 60", "mirrored, half size")
"""Two changes at a time: reported, but not counted among the copies."""


class Picture(NamedTuple):
    photo: int
    """Number of the photograph: two pictures of one number are near duplicates."""
    kind: str
    """`first`, one of made.CHANGES, NEW, or what else it is."""
    person: int
    """Number of the person: of those with several expressions; else -1."""
    hashes: Columns
    shown: compared.Pictures
    """One picture."""
    plain: Pixels | None = None
    """Of a person's first pictures: the crop before it was coded, grey."""


def others(seed: int, count: int, size: int) -> Iterator[tuple[Pixels, Pixels, str]]:
    """Yield faces and a copy of each, the kinds in turn."""
    rng = np.random.default_rng([1, seed, size])
    kinds = [*made.CHANGES, NEW]
    for start in range(0, count, 500):
        for number, face in enumerate(made.sampled(rng, 500), start):
            seen = made.window(rng)
            photo = made.grained(face, rng)
            photo = photo if size == 48 else cv2.merge([photo, photo, photo])
            first, kind = made.crop(photo, size, seen), kinds[number % len(kinds)]
            if kind == NEW:
                yield first, made.jpeg(made.crop(photo, size, made.new_window(rng, seen, size)), 80), kind
            else:
                yield first, made.CHANGES[kind](first), kind


def families(seed: int, persons: int, cache: Path) -> Iterator[tuple[list[Pixels], float]]:
    """Yield one person's photographs with several expressions, and the share of each that a crop shows."""
    for number in range(persons):
        path = cache / f"{seed}-{number}.npy"
        if not path.exists():
            np.save(path, np.array(list(made.rendered(seed, number))))
        yield list(np.load(path)), made.RENDER_SIDE
    for family in made.portraits():
        yield family, made.RENDER_SIDE
    rng = np.random.default_rng([2, seed])
    for face in made.sampled(rng, persons):
        photo = made.photographed(face, rng)
        names = rng.choice(list(made.MOVED), 3, replace=False)
        yield [photo, *(made.with_expression(photo, str(n), rng.uniform(0.8, 1.2)) for n in names)], 26 / made.SIDE


def pictures(seed: int, count: int, persons: int, size: int, cache: Path) -> Iterator[Picture]:
    """Yield everything that one search looks at."""
    number = 0
    for first, copy, kind in others(seed, count, size):
        yield _picture(number, "first", -1, first)
        yield _picture(number, kind, -1, copy)
        number += 1
    rng = np.random.default_rng([3, seed, size])
    for person, (family, side) in enumerate(families(seed, persons, cache)):
        seen = made.window(rng, side)
        for photo in family:
            plain = made.crop(photo, size, seen)
            first = made.jpeg(plain, int(rng.integers(75, 96)))
            yield _picture(number, "first", person, first)._replace(plain=_grey(plain))
            for kind in rng.choice(list(made.CHANGES), 3, replace=False):
                yield _picture(number, str(kind), person, made.CHANGES[str(kind)](first))
            yield _picture(number, NEW, person, made.jpeg(made.crop(photo, size, made.new_window(rng, seen, size)), 85))
            number += 1


def _picture(photo: int, kind: str, person: int, pixels: Pixels) -> Picture:
    pixels = np.ascontiguousarray(pixels)
    return Picture(photo, kind, person, hash_many([pixels]), compared.pictures([pixels]))


def _grey(pixels: Pixels) -> Pixels:
    return pixels if pixels.ndim == 2 else np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)


def visible(one: Pixels, other: Pixels) -> bool:
    """Tell whether two plain crops of one window differ by what can be seen: see the module's head."""
    coding = max(_worst(x, made.jpeg(x, 30)) for x in (one, other))
    return _worst(one, other) >= coding


def _worst(one: Pixels, other: Pixels) -> float:
    """Return the difference at the worst place, a Gaussian of a twenty-fourth of the side, in grey levels."""
    square = (one.astype(np.float32) - other.astype(np.float32)) ** 2
    return float(np.sqrt(cv2.GaussianBlur(square, (0, 0), one.shape[0] / 24).max()))


def seen_apart(rows: list[Picture]) -> Callable[[int, int], bool]:
    """Return what tells of two rows whether their photographs differ by what can be seen."""
    plain = {row.photo: row.plain for row in rows if row.kind == "first"}
    person = {row.photo: row.person for row in rows}

    @cache
    def apart(low: int, high: int) -> bool:
        one, other = plain[low], plain[high]
        return person[low] != person[high] or one is None or other is None or visible(one, other)

    def asked(i: int, j: int) -> bool:
        low, high = sorted((rows[i].photo, rows[j].photo))
        return apart(low, high)

    return asked


def joined(parts: list[Columns]) -> Columns:
    return Columns(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def shown(rows: list[Picture]) -> compared.Fetch:
    thumbs = np.concatenate([row.shown.thumbs for row in rows])
    small = np.concatenate([row.shown.small for row in rows])
    return lambda at: compared.Pictures(thumbs[at], [rows[row].shown.whole[0] for row in at], small[at])


def quality(size: int, options: argparse.Namespace) -> bool:
    cache = Path(options.cache)
    cache.mkdir(parents=True, exist_ok=True)
    rows = list(pictures(options.seed, options.others, options.persons, size, cache))
    found = near_pairs(joined([row.hashes for row in rows]), shown(rows), workers=options.workers)
    return report(size, rows, found)


class Hits(NamedTuple):
    asked: Counter[str]
    found: Counter[str]

    def recall(self, kinds: Iterable[str]) -> float:
        kinds = list(kinds)
        return sum(self.found[kind] for kind in kinds) / max(1, sum(self.asked[kind] for kind in kinds))


def planted(rows: list[Picture], pairs: set[tuple[int, int]]) -> Hits:
    """Count the copies of every kind, and those that were found beside the picture they are a copy of."""
    first = {row.photo: at for at, row in enumerate(rows) if row.kind == "first"}
    hits = Hits(Counter(), Counter())
    for at, row in enumerate(rows):
        if row.kind != "first":
            hits.asked[row.kind] += 1
            hits.found[row.kind] += (first[row.photo], at) in pairs
    return hits


def report(size: int, rows: list[Picture], found: Pairs) -> bool:
    """Print recall of every kind and what was taken for a near duplicate and is none; tell whether the aims are met."""
    pairs = set(zip(found.i[found.settled].tolist(), found.j[found.settled].tolist(), strict=True))
    hits = planted(rows, pairs)
    wrong = {(i, j) for i, j in pairs if rows[i].photo != rows[j].photo}
    apart = seen_apart(rows)
    seen = sum(apart(i, j) for i, j in wrong)
    same_person = sum(rows[i].person == rows[j].person != -1 for i, j in wrong)
    firsts = sum(rows[i].kind == rows[j].kind == "first" for i, j in wrong)
    copies = [kind for kind in made.CHANGES if kind not in HARSH]
    recall, new = hits.recall(copies), hits.recall([NEW])
    low = [kind for kind in hits.asked if hits.recall([kind]) < 0.99]
    right = len(pairs) - len(wrong)
    strict, fair = right / len(pairs), right / (right + seen)
    print(f"{size} px: {len(rows):,} pictures, {found.candidates:,} pairs verified, {found.cut:,} cut")
    asked = sum(hits.asked[kind] for kind in copies)
    print(f"  recall of {asked:,} copies {recall:.4f}, of {hits.asked[NEW]:,} new crops {new:.4f}")
    print("  below .99: " + (", ".join(f"{kind} {hits.recall([kind]):.3f}" for kind in low) or "none"))
    print(f"  wrong: {len(wrong)} of {len(pairs):,} pairs found, {same_person} of them of one person;")
    photos = {_photos(rows, *pair) for pair in wrong if apart(*pair)}
    print(f"  {seen} of them, of {len(photos)} pairs of photographs, are to be seen;")
    print(f"  of {_hard(rows):,} pairs of originals of one person with other expressions: {firsts}")
    print(
        f"  precision over all pairs {strict:.4f}, without expressions that are not to be seen {fair:.4f}", flush=True
    )
    return recall >= 0.99 and new >= 0.9 and strict >= 0.999


def _photos(rows: list[Picture], i: int, j: int) -> tuple[int, ...]:
    return tuple(sorted((rows[i].photo, rows[j].photo)))


def _hard(rows: list[Picture]) -> int:
    """Return how many pairs of originals show one person."""
    sizes = Counter(row.person for row in rows if row.kind == "first" and row.person >= 0)
    return sum(count * (count - 1) // 2 for count in sizes.values())
