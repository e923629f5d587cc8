"""What the search for near duplicates would cost on a cluster: two shuffle keys, their cost model, and a simulation.

Run `python benchmarks/duplicates_at_scale.py` (needs scikit-image; two minutes), `--faces 10000000` for ten million
hashes (ten minutes). The faces are made up: cosine coefficients are drawn from the normal distribution that those of
sampled faces have; copies and new crops are made of pictures. A band of the 256-bit hash is one key, a
cell of the search (`builders/cells.py`) the other. Figures are predicted from a first, small part and then counted on
the whole; docs/cluster.md shows what follows for 10^8 faces.
"""

from __future__ import annotations

import argparse
import time
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from face_pictures import CHANGES, crop, new_window, sampled, window

from ferbuild.builders import cells, hashing, probing
from ferbuild.builders.near import LEAST

Floats = npt.NDArray[np.float64]
CHUNK = 50_000
FIRST = 100_000
"""Faces that predictions are made from."""
SEARCHED = 1_000_000
"""Faces that are put into cells, at most."""
PLANTED = 4000
"""Sampled faces that the distribution is learned from; each has a copy and a new crop."""
COPIES = ("JPEG 60", "half size", "1 px shift", "2 % cut")
BANDS = {"16 bands of 16 bits": np.uint16, "8 bands of 32 bits": np.uint32, "4 bands of 64 bits": np.uint64}
PROBED = 2 * len(probing.PROBES)
"""Keys that a face is looked for by: moved, and mirrored."""
RECORD = probing.DIMS + 8
"""Bytes of a key and a row's number."""
CLUSTER = 100_000_000
CORES = 64


class Known(NamedTuple):
    """The distribution of the coefficients of sampled faces, and some of these faces with what was made of them."""

    mean: Floats
    root: Floats
    """Of the covariance."""
    first: hashing.Columns
    copied: hashing.Columns
    cropped: hashing.Columns


class Load(NamedTuple):
    """How a number of faces falls into groups of one key."""

    pairs: float
    """Pairs that share a group, all bands together."""
    largest: int
    """Faces in the largest group of all bands."""


def learn() -> Known:
    """Return the distribution of the coefficients of sampled faces of 48 px, and their copies and new crops."""
    rng = np.random.default_rng(0)
    first, copied, cropped = [], [], []
    for number, face in enumerate(sampled(rng, PLANTED)):
        large = cv2.resize(face.astype(np.float32), (108, 108), interpolation=cv2.INTER_CUBIC)
        grain = cv2.GaussianBlur(rng.normal(0, 6, large.shape).astype(np.float32), (0, 0), 0.8)
        photo, seen = np.clip(large + grain, 0, 255).astype(np.uint8), window(rng)
        first.append(crop(photo, 48, seen))
        copied.append(CHANGES[COPIES[number % len(COPIES)]](first[-1]))
        cropped.append(crop(photo, 48, new_window(rng, seen, 48)))
    whole = hashing._coefficients(first).reshape(PLANTED, -1)
    values, vectors = np.linalg.eigh(np.cov(whole.T))
    root = vectors * np.sqrt(np.maximum(values, 0))
    return Known(whole.mean(0), root, *(hashing.hash_many(some) for some in (first, copied, cropped)))


def faces(known: Known, count: int) -> hashing.Columns:
    """Return the hashes of `count` faces, of which the first are the same whatever their number."""
    mean, root = known.mean.astype(np.float32), known.root.T.astype(np.float32)
    parts = []
    for start in range(0, count, CHUNK):
        rng = np.random.default_rng([1, start])
        values = mean + rng.standard_normal((min(CHUNK, count - start), len(mean)), np.float32) @ root
        found = hashing._columns(values.reshape(-1, hashing.DOWN, hashing.ACROSS))
        parts.append(found if start < SEARCHED else found._replace(descriptor=found.descriptor[:0]))
    return hashing.Columns(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def load(hash256: npt.NDArray[np.uint8], kind: type) -> Load:
    """Count the groups of every band."""
    pairs, largest = 0.0, 0
    for band in np.ascontiguousarray(hash256).view(kind).T:
        sizes = np.unique(band, return_counts=True)[1].astype(np.float64)
        pairs += float((sizes * (sizes - 1)).sum() / 2)
        largest = max(largest, int(sizes.max()))
    return Load(pairs, largest)


def meeting(one: hashing.Columns, other: hashing.Columns, kind: type) -> float:
    """Return the share of pairs that have a band in common."""
    bands = [np.ascontiguousarray(side.hash256).view(kind) for side in (one, other)]
    return float((bands[0] == bands[1]).any(1).mean())


def tell_bands(known: Known, found: hashing.Columns, count: int) -> None:
    print(f"\nbands of the 256-bit hash, {count:,} faces; predicted from the first {FIRST:,}")
    for name, kind in BANDS.items():
        first, whole = load(found.hash256[:FIRST], kind), load(found.hash256, kind)
        more = count / FIRST
        at_scale = whole.pairs * (CLUSTER / count) ** 2
        print(
            f"  {name}: pairs predicted {first.pairs * more**2:.3g}, seen {whole.pairs:.3g}; largest group predicted"
            f" {first.largest * more:,.0f}, seen {whole.largest:,}; copies that meet"
            f" {meeting(known.first, known.copied, kind):.3f}, new crops"
            f" {meeting(known.first, known.cropped, kind):.3f}; pairs at 10^8: {at_scale:.2g}"
        )


class Filed(NamedTuple):
    """Rows in cells."""

    directions: probing.Directions
    file: cells.Cells
    skew: float
    """Products a look, as a multiple of those if all cells were alike."""
    largest: float
    """Share of all entries in the largest cell."""


def filed(descriptors: npt.NDArray[np.int8]) -> Filed:
    directions = probing.learn(descriptors)
    keys = [
        probing.keys(descriptors[start : start + CHUNK], directions, probing.Move())
        for start in range(0, len(descriptors), CHUNK)
    ]
    file = cells.build(np.concatenate(keys))
    entries = np.diff(file.starts) / len(file.rows)
    some = descriptors[:: max(1, len(descriptors) // 5000)]
    asked = np.zeros(len(entries))
    for signs in (1, hashing.mirror_signs()):
        for move in probing.PROBES:
            nearest = cells._nearest(probing.keys(some * signs, directions, move), file.centres)
            asked += np.bincount(nearest, minlength=len(entries))
    return Filed(directions, file, float(len(entries) * (entries * asked / asked.sum()).sum()), float(entries.max()))


def met(found: Filed, rows: npt.NDArray[np.int64], others: npt.NDArray[np.int64], of: npt.NDArray[np.int8]) -> float:
    """Return the share of pairs of rows of which one finds the other."""
    wanted = set(zip(rows.tolist(), others.tolist(), strict=True))
    seen = set[tuple[int, int]]()
    both = np.concatenate([rows, others])
    for move in probing.PROBES:
        hits = cells.look(found.file, probing.keys(of[both], found.directions, move), both, LEAST * probing.LENGTH**2)
        seen |= set(zip(hits.asked.tolist(), hits.near.tolist(), strict=True))
    return len(wanted & (seen | {(near, asked) for asked, near in seen})) / len(wanted)


def products(count: float, number: float, skew: float) -> tuple[float, float]:
    """Return the products of keys with centres, and with the members of cells, for `count` faces in `number` cells."""
    return count * (1 + PROBED) * number, PROBED * count * (count * cells.ENTRIES / number) * skew


def tell_cells(known: Known, found: hashing.Columns) -> None:
    planted = [known.first.descriptor, known.copied.descriptor, known.cropped.descriptor]
    count = min(SEARCHED, len(found.hash256))
    for number in (FIRST, count):
        descriptors = np.concatenate([*planted, found.descriptor[: number - 3 * PLANTED]])
        at = np.arange(PLANTED)
        now = filed(descriptors)
        shares = [met(now, at, at + PLANTED * kind, descriptors) for kind in (1, 2)]
        _, seen = products(number, len(now.file.centres), now.skew)
        if number == FIRST:
            skew = now.skew
            print(f"\ncells of the search, predicted from {FIRST:,} faces")
        _, predicted = products(number, len(now.file.centres), skew)
        print(
            f"  {number:,} faces, {len(now.file.centres):,} cells: products predicted {predicted:.3g}, seen {seen:.3g};"
            f" skew {now.skew:.2f}, largest cell {now.largest * len(now.file.centres):.1f} times the mean; copies that"
            f" meet {shares[0]:.3f}, new crops {shares[1]:.3f}"
        )
    tell_cost(now, descriptors)


def tell_cost(now: Filed, descriptors: npt.NDArray[np.int8]) -> None:
    """Measure how many products a core does in a second, and tell what 10^8 faces take."""
    rows = np.arange(0, len(descriptors), max(1, len(descriptors) // 50_000))
    asked = probing.keys(descriptors[rows], now.directions, probing.Move())
    began = time.perf_counter()
    cells.look(now.file, asked, rows, LEAST * probing.LENGTH**2)
    took = time.perf_counter() - began
    mean = len(now.file.rows) / len(now.file.centres)
    rate = len(rows) * (len(now.file.centres) + mean * now.skew) / took
    number = float(np.sqrt(CLUSTER * cells.ENTRIES * now.skew * PROBED / (PROBED + 1)))
    centres, members = products(CLUSTER, number, now.skew)
    volume = CLUSTER * RECORD * (cells.ENTRIES + PROBED)
    hours = (centres + members) / rate / 3600
    print(
        f"\n10^8 faces: {number:,.0f} cells; {centres:.2g} products with centres and {members:.2g} with members, at"
        f" {rate / 1e9:.2f} billion a second and core: {hours:.1f} core hours, {hours * 60 / CORES:.0f} minutes on"
        f" {CORES} cores; {volume / 1e9:.0f} GB shuffled"
    )


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--faces", type=int, default=SEARCHED, help="hashes in bands, 10^6 to 10^7")
    count = asked.parse_args().faces
    began = time.perf_counter()
    with hashing.one_thread():
        known = learn()
        found = faces(known, count)
        print(f"{count:,} faces made up in {time.perf_counter() - began:.0f} s")
        tell_bands(known, found, count)
        tell_cells(known, found)
    print(f"\n{time.perf_counter() - began:.0f} s in all")


if __name__ == "__main__":
    main()
