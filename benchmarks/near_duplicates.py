"""How well and how fast near duplicates are found, on face-like pictures that are made up for it.

Run `python benchmarks/near_duplicates.py quality`, `speed` or `hashing` (needs scikit-image; peers: faiss-cpu,
imagehash, simplejpeg). Quality: one search over 20,000 other faces, copies, new crops and the same persons with
another expression, at 48, 100 and 224 px. Speed: hashes of sampled faces of 48 px, 5 % of them copies, and the search
over the first 100K, 360K and 1M of them, thumbnails decoded from JPEG on demand. Both with the search's own options.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
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
SIZES = (48, 100, 224)
NEW = "cropped anew"
HARSH = ("half size, JPEG 60", "mirrored, half size")
"""Two changes at a time: reported, but not counted among the copies."""
PARTS = (100_000, 360_000, 1_000_000)
LIMITS = {100_000: 15, 360_000: 90, 1_000_000: 360}
"""Seconds on two cores."""


class Picture(NamedTuple):
    photo: int
    """Number of the photograph: two pictures of one number are near duplicates."""
    kind: str
    """`first`, one of made.CHANGES, NEW, or what else it is."""
    person: int
    """Number of the person: of those with several expressions; else -1."""
    hashes: Columns
    thumb: Pixels


def others(count: int, size: int) -> Iterator[tuple[Pixels, Pixels, str]]:
    """Yield faces and a copy of each, the kinds in turn."""
    rng = np.random.default_rng([1, size])
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


def families(persons: int, size: int, cache: Path) -> Iterator[tuple[list[Pixels], float]]:
    """Yield one person's photographs with several expressions, and the share of each that a crop shows."""
    for number in range(persons):
        path = cache / f"{number}.npy"
        if not path.exists():
            np.save(path, np.array(list(made.rendered(number))))
        yield list(np.load(path)), made.RENDER_SIDE
    for family in made.portraits():
        yield family, made.RENDER_SIDE
    rng = np.random.default_rng([2, 0])
    for face in made.sampled(rng, persons):
        photo = made.photographed(face, rng)
        names = rng.choice(list(made.MOVED), 3, replace=False)
        yield [photo, *(made.with_expression(photo, str(n), rng.uniform(0.8, 1.2)) for n in names)], 26 / made.SIDE


def pictures(count: int, persons: int, size: int, cache: Path) -> Iterator[Picture]:
    """Yield everything that one search looks at."""
    number = 0
    for first, copy, kind in others(count, size):
        yield _picture(number, "first", -1, first)
        yield _picture(number, kind, -1, copy)
        number += 1
    rng = np.random.default_rng([3, size])
    for person, (family, side) in enumerate(families(persons, size, cache)):
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
    rows = list(pictures(options.others, options.persons, size, cache))
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


class Store(NamedTuple):
    """JPEG files of sampled faces, one after another, with their hashes and the copies among them."""

    path: Path
    ends: npt.NDArray[np.int64]
    hashes: Columns
    planted: npt.NDArray[np.int64]
    """Copies x 2: original and copy."""
    kinds: npt.NDArray[np.str_]

    def thumbs(self, at: npt.NDArray[np.int64]) -> Pixels:
        """Decode rows; the file is read and not mapped, as mapped pages would count as memory."""
        out = np.empty((len(at), 64, 64), np.uint8)
        with self.path.open("rb") as file:
            for row, into in zip(at, out, strict=True):
                start = int(self.ends[row - 1]) if row else 0
                file.seek(start)
                data = np.frombuffer(file.read(int(self.ends[row]) - start), np.uint8)
                into[:] = thumbnail(np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8))
        return out


LOT = 2000
COPIES = 100
"""Of each lot."""


def _lot(number: int) -> tuple[list[npt.NDArray[np.uint8]], list[tuple[int, int, str]]]:
    """Return the JPEG files of one lot, and its copies: original, copy, kind."""
    rng = np.random.default_rng([9, number])
    fresh = LOT - COPIES
    faces, grain = made.sampled(rng, fresh).astype(np.uint8), rng.normal(0, 4, (fresh, 48, 48))
    seen = [made.window(rng) for _ in range(fresh)]

    def shot(at: int, of: made.Window) -> Pixels:
        return np.asarray(np.clip(made.crop(faces[at], 48, of) + grain[at], 0, 255), np.uint8)

    out, planted = [shot(at, seen[at]) for at in range(fresh)], []
    for at in rng.choice(fresh, COPIES, replace=False):
        kind = NEW if rng.random() < 0.2 else str(rng.choice(list(made.CHANGES)))
        again = shot(at, made.new_window(rng, seen[at], 48)) if kind == NEW else made.CHANGES[kind](out[at])
        planted.append((number * LOT + int(at), number * LOT + len(out), kind))
        out.append(again)
    return [made.encoded(picture, 90) for picture in out], planted


def store(count: int, folder: Path) -> Store:
    """Return `count` pictures, made and hashed once and kept in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    data, facts = folder / f"faces-{count}.bin", folder / f"faces-{count}.npz"
    if not facts.exists():
        ends, hashes, planted = [0], [], []
        with data.open("wb") as out:
            for number in range(count // LOT):
                files, copies = _lot(number)
                planted += copies
                hashes.append(hash_many([np.asarray(cv2.imdecode(f, cv2.IMREAD_COLOR_RGB), np.uint8) for f in files]))
                for file in files:
                    out.write(file.tobytes())
                    ends.append(ends[-1] + len(file))
        kept = joined(hashes)
        pairs, kinds = [pair[:2] for pair in planted], [pair[2] for pair in planted]
        np.savez(facts, *kept, ends=np.array(ends[1:]), planted=np.array(pairs), kinds=np.array(kinds))
    read = np.load(facts)
    columns = Columns(read["arr_0"], read["arr_1"], read["arr_2"])
    return Store(data, read["ends"], columns, read["planted"], read["kinds"])


def speed(options: argparse.Namespace) -> bool:
    """Search the first so many pictures; print the time, decoding of thumbnails included, recall and memory."""
    whole = store(max(options.counts), Path(options.cache))
    print("sampled faces of 48 px (PCA of LFW crops), 5 % of them copies; hashes made before")
    met = True
    for count in options.counts:
        start, busy = time.perf_counter(), time.process_time()
        columns = Columns(whole.hashes[0][:count], whole.hashes[1][:count], whole.hashes[2][:count])
        found = near_pairs(columns, whole.thumbs, workers=options.workers)
        took, busy = time.perf_counter() - start, time.process_time() - busy
        inside = whole.planted[:, 1] < count
        planted = {(int(i), int(j)) for i, j in whole.planted[inside]}
        pairs = set(zip(found.i.tolist(), found.j.tolist(), strict=True))
        new = [
            tuple(pair) in pairs
            for pair, kind in zip(whole.planted[inside].tolist(), whole.kinds[inside], strict=True)
            if kind == NEW
        ]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
        print(
            f"{count:>9,}: {took:6.1f} s ({busy:.1f} s of processor), {found.candidates:,} verified, {found.cut} cut, "
            f"recall {len(planted & pairs) / len(planted):.4f} (new crops {np.mean(new):.4f}), "
            f"wrong {len(pairs - planted)}, peak {peak} MB",
            flush=True,
        )
        met &= took <= LIMITS.get(count, np.inf)
    return met


def peers(options: argparse.Namespace) -> bool:
    """Print what a 256-bit search by faiss takes and finds at the first of the counts."""
    import faiss  # type: ignore[import-not-found]

    whole, count = store(max(options.counts), Path(options.cache)), min(options.counts)
    faiss.omp_set_num_threads(options.workers)
    planted = {(int(i), int(j)) for i, j in whole.planted if j < count}
    for name, bits, column, most in (("64 bits <= 8", 64, 0, 8), ("256 bits <= 60", 256, 1, 60)):
        rows = whole.hashes[column][:count]
        rows = np.ascontiguousarray(rows.view(np.uint8).reshape(count, -1))
        start, found = time.perf_counter(), set[tuple[int, int]]()
        index = faiss.IndexBinaryFlat(bits)
        index.add(rows)
        for first in range(0, count, 10_000):
            ends, _, near = index.range_search(rows[first : first + 10_000], most + 1)
            asked = np.repeat(np.arange(len(ends) - 1), np.diff(ends)) + first
            found |= {(int(i), int(j)) for i, j in zip(asked, near, strict=True) if i < j}
        took = time.perf_counter() - start
        print(f"faiss flat, {name}: {count:,} in {took:.1f} s, recall {len(planted & found) / len(planted):.3f}, "
              f"wrong {len(found - planted):,}")  # fmt: skip
    return True


def _rate(call: Callable[[], object], count: int) -> float:
    """Return microseconds of processor time a picture, the best of five."""
    best = np.inf
    for _ in range(5):
        start = time.process_time()
        call()
        best = min(best, time.process_time() - start)
    return float(best) / count * 1e6


def hashing(options: argparse.Namespace) -> bool:
    """Print what hashes add to a bare decode, and what Pillow and imagehash take."""
    import io

    import imagehash  # type: ignore[import-not-found]
    from PIL import Image

    rng, met = np.random.default_rng(4), True
    photos = [made.photographed(face, rng) for face in made.sampled(rng, 16)]
    for size in (48, 100, 224, 400):
        files = [made.encoded(made.crop(p, size, made.window(rng)), 90) for p in photos] * max(1, 2000 // size)

        def bare(files: list[npt.NDArray[np.uint8]] = files) -> list[Pixels]:
            return [np.asarray(cv2.imdecode(file, cv2.IMREAD_COLOR_RGB)) for file in files]

        def pillow(files: list[npt.NDArray[np.uint8]] = files) -> None:
            for file in files:
                with Image.open(io.BytesIO(file.tobytes())) as picture:
                    imagehash.phash(picture.convert("RGB"))

        def hashed(files: list[npt.NDArray[np.uint8]] = files) -> None:
            for start in range(0, len(files), 64):
                hash_many([np.asarray(cv2.imdecode(f, cv2.IMREAD_COLOR_RGB)) for f in files[start : start + 64]])

        alone, ours, theirs = (_rate(call, len(files)) for call in (bare, hashed, pillow))
        print(f"{size:4d} px: decode {alone:6.1f} us, with hashes {ours:6.1f} us: {alone / ours:.0%} of the bare loop; "
              f"Pillow and imagehash {theirs:6.1f} us: x {theirs / ours:.1f}")  # fmt: skip
        met &= alone / ours >= 0.55 and (size > 224 or theirs / ours >= 2.5)
    return met


def main() -> int:
    words = argparse.ArgumentParser(description="Measure the search for near duplicates.")
    words.add_argument("what", choices=("quality", "speed", "peers", "hashing"))
    words.add_argument("--workers", type=int, default=2)
    words.add_argument("--others", type=int, default=20_000)
    words.add_argument("--persons", type=int, default=250, help="rendered ones, and as many sampled ones")
    words.add_argument("--counts", type=int, nargs="+", default=PARTS)
    words.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    words.add_argument("--cache", default=str(Path(tempfile.gettempdir()) / "fer-near"), help="folder of made pictures")
    options = words.parse_args()
    cv2.setNumThreads(1)
    if options.what == "quality":
        return 0 if min([quality(size, options) for size in options.sizes]) else 1
    done = {"speed": speed, "peers": peers, "hashing": hashing}[options.what](options)
    return 0 if done else 1


if __name__ == "__main__":
    sys.exit(main())
