"""How many rows a second the sources are listed at, on a made-up AffectNet training list of the real size.

Run `python benchmarks/check_speed.py`: it writes 414,800 label lines of the real length and as many empty pictures in
1,347 folders to a temporary folder. It lists the label file without any picture on disk, which has to reach 200,000
rows a second, then with all of them; the walk over the pictures alone, printed beside it, is the file system's share.
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
from ferbuild.manifests.schema import Source

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


def best_rate(source: Source, root: Path, times: int) -> float:
    """Return rows listed a second, the best of `times` runs."""
    best = 0.0
    for _ in range(times):
        start = time.perf_counter()
        listing = list_source(source, root)
        rows = listing.rows.num_rows + listing.drops.num_rows
        best = max(best, rows / (time.perf_counter() - start))
    return best


def main() -> int:
    words = argparse.ArgumentParser(description="Measure how fast sources are listed.")
    words.add_argument("--rows", type=int, default=ROWS)
    words.add_argument("--times", type=int, default=3)
    options = words.parse_args()
    source = load_source("affectnet")
    with tempfile.TemporaryDirectory() as temporary:
        root, bare = Path(temporary) / "affectnet", Path(temporary) / "labels"
        write_release(root, options.rows)
        bare.mkdir()
        (bare / "Manually_Annotated_file_lists").symlink_to(root / "Manually_Annotated_file_lists")
        labels = best_rate(source, bare, options.times)
        start = time.perf_counter()
        files = Tree(root).files("Manually_Annotated_Images", in_order=False).height
        walk = files / (time.perf_counter() - start)
        whole = best_rate(source, root, options.times)
    print(
        f"label file alone        {labels:>9,.0f} rows/s  target {TARGET:,}: {'ok' if labels >= TARGET else 'MISSED'}"
    )
    print(f"label file and pictures {whole:>9,.0f} rows/s")
    print(f"walk over the pictures  {walk:>9,.0f} files/s")
    return 0 if labels >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
