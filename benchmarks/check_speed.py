"""How many rows a second the sources are listed at, on a made-up AffectNet training list of the real size.

Run `python benchmarks/check_speed.py`: it writes 414,800 label lines of the real length and as many empty pictures in
1,347 folders to a temporary folder, lists them a few times and prints the best. The target is 200,000 rows a second.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from ferbuild.builders.sources import Tree, list_source
from ferbuild.manifests.load import load_source

ROWS = 414_800
FOLDERS = 1347
TARGET = 200_000
HEADER = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"


def write_release(root: Path, rows: int) -> None:
    """Write the label list and the empty pictures of AffectNet's original layout."""
    chance = random.Random(0)
    marks = ";".join(f"{chance.uniform(0, 400):.2f}" for _ in range(136))
    pictures = root / "Manually_Annotated_Images"
    for folder in range(1, FOLDERS + 1):
        (pictures / str(folder)).mkdir(parents=True)
    (root / "Manually_Annotated_file_lists").mkdir()
    with (root / "Manually_Annotated_file_lists/training.csv").open("w") as table:
        table.write(HEADER + "\n")
        for row in range(rows):
            name = f"{1 + row % FOLDERS}/{chance.getrandbits(224):056x}.jpg"
            (pictures / name).touch()
            x, y, side = chance.randrange(300), chance.randrange(300), chance.randrange(100, 900)
            mood = f"{chance.uniform(-1, 1):.6f},{chance.uniform(-1, 1):.6f}"
            table.write(f"{name},{x},{y},{side},{side},{marks},{chance.randrange(11)},{mood}\n")


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    words.add_argument("--rows", type=int, default=ROWS)
    words.add_argument("--times", type=int, default=3)
    words.add_argument("--keep", type=Path, help="write the release here and leave it, or use the one there")
    options = words.parse_args()
    source = load_source("affectnet")
    with tempfile.TemporaryDirectory() as temporary:
        root = options.keep or Path(temporary) / "affectnet"
        if not root.exists():
            write_release(root, options.rows)
        start = time.perf_counter()
        files = Tree(root).files("Manually_Annotated_Images", in_order=False).height
        print(f"{files:,} files walked and measured, nothing else: {time.perf_counter() - start:.2f} s")
        best = 0.0
        for _ in range(options.times):
            start = time.perf_counter()
            listing = list_source(source, root)
            seconds = time.perf_counter() - start
            rows = listing.rows.num_rows + listing.drops.num_rows
            print(f"{rows:,} rows in {seconds:.2f} s: {rows / seconds:,.0f} rows/s")
            best = max(best, rows / seconds)
    print(f"best {best:,.0f} rows/s, target {TARGET:,}: {'reached' if best >= TARGET else 'MISSED'}")
    return 0 if best >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
