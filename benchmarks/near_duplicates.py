"""How well and how fast near duplicates are found, on face-like pictures that are made up for it.

Run `python benchmarks/near_duplicates.py quality`, `speed` or `hashing` (needs scikit-image; peers: faiss-cpu,
imagehash, simplejpeg). Quality: one search over 20,000 other faces, copies, new crops and the same persons with
another expression, at 48, 100 and 224 px. Speed: hashes of sampled faces of 48 px, 5 % of them copies, and the search
over the first 100K, 360K and 1M of them, pictures decoded from JPEG on demand. Both with the search's own options.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import face_pictures as made
import numpy as np
import numpy.typing as npt
from near_duplicates_quality import Pixels, quality
from near_duplicates_speed import peers, speed

from ferbuild.builders.hashing import hash_many

SIZES = (48, 100, 224)
PARTS = (100_000, 360_000, 1_000_000)


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
    words.add_argument("--seed", type=int, default=83, help="of the pictures of quality; 77 to 81 chose its bounds")
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
