"""Quality of the search for near duplicates: what is planted is found, and one person with two expressions is told apart.

Stands behind `near_duplicates.py quality`.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cv2
import face_pictures as made
import numpy as np
import numpy.typing as npt

from ferbuild.builders.hashing import Columns, hash_many
from ferbuild.builders.near import Pairs, near_pairs
from ferbuild.builders.same import thumbnail

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
    thumb: Pixels


def others(seed: int, count: int, size: int) -> Iterator[tuple[Pixels, Pixels, str]]:
    """Yield faces and a copy of each, the kinds in turn."""
    rng = np.random.default_rng([1, seed, size])
    kinds = [*made.CHANGES, NEW]
    for start in range(0, count, 500):
        for number, face in enumerate(made.sampled(rng, 500), start):
            seen = made.window(rng)
            fine = cv2.GaussianBlur(rng.normal(0, 6, (108, 108)).astype(np.float32), (0, 0), 0.8)
            large = cv2.resize(face.astype(np.float32), (108, 108), interpolation=cv2.INTER_CUBIC) + fine
            photo = np.clip(large, 0, 255).astype(np.uint8)
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
            first = made.jpeg(made.crop(photo, size, seen), int(rng.integers(75, 96)))
            yield _picture(number, "first", person, first)
            for kind in rng.choice(list(made.CHANGES), 3, replace=False):
                yield _picture(number, str(kind), person, made.CHANGES[str(kind)](first))
            yield _picture(number, NEW, person, made.jpeg(made.crop(photo, size, made.new_window(rng, seen, size)), 85))
            number += 1


def _picture(photo: int, kind: str, person: int, pixels: Pixels) -> Picture:
    pixels = np.ascontiguousarray(pixels)
    return Picture(photo, kind, person, hash_many([pixels]), thumbnail(pixels))


def joined(parts: list[Columns]) -> Columns:
    return Columns(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def quality(size: int, options: argparse.Namespace) -> bool:
    cache = Path(options.cache)
    cache.mkdir(parents=True, exist_ok=True)
    rows = list(pictures(options.seed, options.others, options.persons, size, cache))
    thumbs = np.array([row.thumb for row in rows])
    found = near_pairs(joined([row.hashes for row in rows]), lambda at: thumbs[at], workers=options.workers)
    return report(size, rows, found)


def report(size: int, rows: list[Picture], found: Pairs) -> bool:
    """Print recall of every kind and what was taken for a near duplicate and is none; tell whether the aims are met."""
    first = {row.photo: at for at, row in enumerate(rows) if row.kind == "first"}
    pairs = set(zip(found.i.tolist(), found.j.tolist(), strict=True))
    asked, hits = Counter[str](), Counter[str]()
    for at, row in enumerate(rows):
        if row.kind != "first":
            asked[row.kind] += 1
            hits[row.kind] += (first[row.photo], at) in pairs
    wrong = {(i, j) for i, j in pairs if rows[i].photo != rows[j].photo}
    same_person = sum(rows[i].person == rows[j].person != -1 for i, j in wrong)
    sizes = Counter(row.person for row in rows if row.kind == "first" and row.person >= 0)
    hard = sum(count * (count - 1) // 2 for count in sizes.values())
    firsts = sum(rows[i].kind == rows[j].kind == "first" for i, j in wrong)
    copies = [kind for kind in made.CHANGES if asked[kind] and kind not in HARSH]
    recall = sum(hits[kind] for kind in copies) / sum(asked[kind] for kind in copies)
    planted = sum(hits.values())
    strict = planted / (planted + firsts)
    print(f"{size} px: {len(rows):,} pictures, {found.candidates:,} pairs verified, {found.cut:,} cut")
    print(f"  recall of copies {recall:.4f}, of new crops {hits[NEW] / asked[NEW]:.4f}")
    print("  below .99: " + ", ".join(f"{k} {hits[k] / asked[k]:.3f}" for k in asked if hits[k] < 0.99 * asked[k]))
    print(f"  wrong: {len(wrong)} of {len(pairs):,} pairs found, {same_person} of them of one person;")
    print(f"  of {hard:,} pairs of originals of one person with other expressions: {firsts}")
    print(f"  precision over all pairs {1 - len(wrong) / len(pairs):.4f}; planted pairs against originals {strict:.4f}")
    return recall >= 0.99 and hits[NEW] >= 0.9 * asked[NEW] and len(wrong) <= 0.001 * len(pairs)
