"""Speed of the search for near duplicates, beside its peers: sampled faces of 48 px, 5 % of them copies.

Stands behind `near_duplicates.py speed` and `peers`. The pictures are made in lots that depend on their number alone,
so the first 100,000 of a million are the same pictures as a set of 100,000.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import face_pictures as made
import numpy as np
import numpy.typing as npt
from near_duplicates_quality import HARSH, NEW, Pixels, joined

from ferbuild.builders import compared
from ferbuild.builders.hashing import Columns, hash_many
from ferbuild.builders.near import near_pairs

LIMITS = {100_000: 15, 360_000: 90, 1_000_000: 360}
"""Seconds on two cores."""
GROWTH = 20
"""Times that a million may take of what 100,000 take."""


class Store(NamedTuple):
    """JPEG files of sampled faces, one after another, with their hashes and the copies among them."""

    path: Path
    ends: npt.NDArray[np.int64]
    hashes: Columns
    planted: npt.NDArray[np.int64]
    """Copies x 2: original and copy."""
    kinds: npt.NDArray[np.str_]

    def pictures(self, at: npt.NDArray[np.int64]) -> compared.Pictures:
        """Decode rows."""
        return compared.pictures(self._decoded(at))

    def _decoded(self, at: npt.NDArray[np.int64]) -> Iterator[Pixels]:
        """Yield rows; the file is read and not mapped, as mapped pages would count as memory."""
        with self.path.open("rb") as file:
            for row in at:
                start = int(self.ends[row - 1]) if row else 0
                file.seek(start)
                data = np.frombuffer(file.read(int(self.ends[row]) - start), np.uint8)
                yield np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)


LOT = 2000
COPIES = 100
"""Of each lot."""


def _lot(number: int) -> tuple[list[npt.NDArray[np.uint8]], list[tuple[int, int, str]]]:
    """Return the JPEG files of one lot, and its copies: original, copy, kind."""
    rng = np.random.default_rng([9, number])
    fresh = LOT - COPIES
    photos = [made.grained(face, rng) for face in made.sampled(rng, fresh)]
    seen = [made.window(rng) for _ in photos]
    out, planted = [made.crop(photo, 48, of) for photo, of in zip(photos, seen, strict=True)], []
    for at in rng.choice(fresh, COPIES, replace=False):
        kind = NEW if rng.random() < 0.2 else str(rng.choice(list(made.CHANGES)))
        new = made.crop(photos[at], 48, made.new_window(rng, seen[at], 48))
        again = new if kind == NEW else made.CHANGES[kind](out[at])
        planted.append((number * LOT + int(at), number * LOT + len(out), kind))
        out.append(again)
    return [made.encoded(picture, 90) for picture in out], planted


def store(count: int, folder: Path) -> Store:
    """Return `count` pictures or more, made and hashed once and kept in the folder: every count is part of one set."""
    folder.mkdir(parents=True, exist_ok=True)
    data, facts = folder / "grained.bin", folder / "grained.npz"
    if not facts.exists() or len(np.load(facts)["ends"]) < count:
        _make(count, data, facts)
    read = np.load(facts)
    columns = Columns(read["arr_0"], read["arr_1"], read["arr_2"])
    return Store(data, read["ends"], columns, read["planted"], read["kinds"])


def _make(count: int, data: Path, facts: Path) -> None:
    ends, hashes, planted = [0], [], []
    with data.open("wb") as out:
        for number in range(-(-count // LOT)):
            files, copies = _lot(number)
            planted += copies
            hashes.append(hash_many([np.asarray(cv2.imdecode(f, cv2.IMREAD_COLOR_RGB), np.uint8) for f in files]))
            for file in files:
                out.write(file.tobytes())
                ends.append(ends[-1] + len(file))
    pairs, kinds = [pair[:2] for pair in planted], [pair[2] for pair in planted]
    np.savez(facts, *joined(hashes), ends=np.array(ends[1:]), planted=np.array(pairs), kinds=np.array(kinds))


def speed(options: argparse.Namespace) -> bool:
    """Search the first so many pictures; print the time, decoding of pictures included, recall and memory."""
    whole = store(max(options.counts), Path(options.cache))
    print("sampled faces of 48 px (PCA of LFW crops), 5 % of them copies; hashes made before")
    met, times = True, dict[int, float]()
    for count in options.counts:
        start, busy = time.perf_counter(), time.process_time()
        columns = Columns(whole.hashes[0][:count], whole.hashes[1][:count], whole.hashes[2][:count])
        found = near_pairs(columns, whole.pictures, workers=options.workers)
        took, busy = time.perf_counter() - start, time.process_time() - busy
        inside = whole.planted[:, 1] < count
        planted = {(int(i), int(j)) for i, j in whole.planted[inside]}
        pairs = set(zip(found.i[found.settled].tolist(), found.j[found.settled].tolist(), strict=True))
        hit = np.array([tuple(pair) in pairs for pair in whole.planted[inside].tolist()])
        new, harsh = (np.isin(whole.kinds[inside], kinds) for kinds in ([NEW], HARSH))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        print(
            f"{count:>9,}: {took:6.1f} s ({busy:.1f} s of processor), {found.candidates:,} verified, {found.cut} cut, "
            f"copies found {hit[~new & ~harsh].mean():.4f}, new crops {hit[new].mean():.4f}, two changes at a time "
            f"{hit[harsh].mean():.4f}, wrong {len(pairs - planted)}, peak {peak} MB",
            flush=True,
        )
        met &= took <= LIMITS.get(count, np.inf)
        times[count] = took
    if {100_000, 1_000_000} <= set(times):
        growth = times[1_000_000] / times[100_000]
        print(f"from 100,000 to 1,000,000: x {growth:.1f}")
        met &= growth <= GROWTH
    return met


def peers(options: argparse.Namespace) -> bool:
    """Print what others take and find among the first of the counts, beside the same planted copies."""
    whole, count = store(max(options.counts), Path(options.cache)), min(options.counts)
    planted = {(int(i), int(j)) for i, j in whole.planted if j < count}
    for name, search in PEERS.items():
        try:
            took, found = search(whole, count, options.workers)
        except ModuleNotFoundError as err:
            print(f"{name}: not run, {err.name} is not installed", flush=True)
            continue
        hit, wrong = len(planted & found) / len(planted), len(found - planted)
        print(f"{name}: {count:,} in {took:.1f} s, recall {hit:.3f}, wrong {wrong:,}", flush=True)
    return True


Found = tuple[float, set[tuple[int, int]]]
"""Seconds, and the pairs."""


def _faiss(column: int, most: int, whole: Store, count: int, workers: int) -> Found:
    """Search one of our hashes by brute force, up to a number of bits."""
    import faiss  # type: ignore[import-not-found]

    faiss.omp_set_num_threads(workers)
    rows = whole.hashes[column][:count]
    rows = np.ascontiguousarray(rows.view(np.uint8).reshape(count, -1))
    start, found = time.perf_counter(), set[tuple[int, int]]()
    index = faiss.IndexBinaryFlat(8 * rows.shape[1])
    index.add(rows)
    for first in range(0, count, 10_000):
        ends, _, near = index.range_search(rows[first : first + 10_000], most + 1)
        asked = np.repeat(np.arange(len(ends) - 1), np.diff(ends.astype(np.int64))) + first
        found |= {(int(i), int(j)) for i, j in zip(asked, near, strict=True) if i < j}
    return time.perf_counter() - start, found


def _imagededup(whole: Store, count: int, workers: int) -> Found:
    """Search its own hashes as its documentation shows, with its default threshold; making them is not counted."""
    from imagededup.methods import PHash  # type: ignore[import-not-found]

    hasher = PHash(verbose=False)
    names = [str(row) for row in range(count)]
    codes = {name: hasher.encode_image(image_array=whole.pictures(np.array([int(name)])).thumbs[0]) for name in names}
    start = time.perf_counter()
    near = hasher.find_duplicates(encoding_map=codes, num_dist_workers=workers)
    took = time.perf_counter() - start
    return took, {(int(one), int(other)) for one in near for other in near[one] if int(one) < int(other)}


PEERS: dict[str, Callable[[Store, int, int], Found]] = {
    "faiss flat, 64 bits <= 8": partial(_faiss, 0, 8),
    "faiss flat, 256 bits <= 60": partial(_faiss, 1, 60),
    "imagededup PHash, 64 bits <= 10": _imagededup,
}
