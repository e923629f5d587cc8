"""How fast pictures become hashed faces, and in how much memory, without detection: all rivals in one run.

Run `python benchmarks/faces_speed.py` after `pip install -e '.[bench]'`. First one core decodes and hashes JPEG files
of one size each, in turns with a bare decode loop and with Pillow and imagehash. Then the whole stage, files to shards,
runs as `fer-build faces` with one and with two processes, in turns with two `datasets.map` jobs; starting Python takes
seconds, and with few pictures would be all that is measured. At last its memory is watched, near-duplicate search
included. Ratios within one run are what counts; other work on the machine blurs all but the first table. `decode`,
`stage` and `memory` ask for some of the tables; `--keep` puts each into docs/benchmarks.md as soon as it is measured.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # one core against one core

import cv2
import face_files
import faces_jobs
import numpy as np
import simplejpeg
from timing import Cost, Line, cost, keep, machine, race, table

from ferbuild.builders import facing, hashing, images

SIDES = (48, 100, 224, 400)
BARE, PEER = 0.55, 2.5
"""Share of a bare decode loop's rate and times the rate of Pillow with imagehash that decode and hashes must reach."""
PEER_SIDE = 224
"""Pixels up to which PEER has to be reached."""
CORES, MAPPED, OWN = 1.5, 2.0, 1.0
"""Times that two processes must be faster than one, than the peer's map, and than a map of our own function."""
MEMORY = 1000
"""Megabytes."""
COMMAND = "python benchmarks/faces_speed.py"
PARTS = ("decode", "stage", "memory")
"""The tables, in the order in which they are measured."""
STAGE = [sys.executable, "-c", "from ferbuild.builders.cli import main; main()", "faces"]
JOBS = {
    "one": [*STAGE, "--workers", "1"],
    "two": [*STAGE, "--workers", "2"],
    "peer": [sys.executable, faces_jobs.__file__, "peer", "RAF"],
    "own": [sys.executable, faces_jobs.__file__, "own", "RAF"],
}

Files = Sequence[bytes]


def bare(files: Files) -> None:
    for data in files:
        simplejpeg.decode_jpeg(data, "RGB")


def with_opencv(files: Files) -> None:
    for data in files:
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)


def ours(files: Files) -> None:
    pixels = [images.decode(data, max_pixels=60_000_000) for data in files]
    for data in files:  # in the order of the stage: `facing.summed`
        hashlib.sha256(data).hexdigest()
    for picture in pixels:
        images.pixel_hash(picture)
    hashing.hash_many(pixels)


def peer(files: Files) -> None:
    for data in files:
        faces_jobs.by_pillow(data)


RIVALS: dict[str, Callable[[Files], object]] = {"bare": bare, "opencv": with_opencv, "ours": ours, "peer": peer}


def decode_lines(count: int, times: int) -> list[Line]:
    """Return what one core does with JPEG files of each size, in pictures a second."""
    lines = []
    for side in SIDES:
        files = list(face_files.jpegs(count, (side,)))
        lot = max(1, facing.LOT_PIXELS // side**2)  # as many as the stage takes at a time
        seconds = race(RIVALS, [files[at : at + lot] for at in range(0, count, lot)], times)
        rate = {name: count / found for name, found in seconds.items()}
        share, gain = rate["ours"] / rate["bare"], rate["ours"] / rate["peer"]
        name = f"{side} px{', grey' if side == face_files.GREY else ''}, {sum(map(len, files)) / count / 1000:.1f} kB"
        loops = f"simplejpeg {rate['bare']:,.0f}, opencv {rate['opencv']:,.0f}"
        whole = f"{rate['ours']:,.0f}, {share:.0%} of simplejpeg's"
        target = f"{PEER} x" if side <= PEER_SIDE else ""
        lines += [
            Line(f"{name}: bare decode loop", loops),
            Line(f"{name}: decode and all hashes", whole, f"{BARE:.0%}", share >= BARE),
            Line(f"{name}: Pillow and imagehash", f"{rate['peer']:,.0f}, ours {gain:.1f} x", target, gain >= PEER),
        ]  # fmt: skip
    return lines


def stage_lines(folder: Path, count: int, times: int) -> list[Line]:
    """Return what the whole stage does and what mapped jobs do, the best of `times` turns."""
    face_files.release(folder, count, "recipe: exact.yaml\n")
    (folder / "exact.yaml").write_text("name: exact\nduplicates: {search: exact}\n")
    found: dict[str, list[Cost]] = {name: [] for name in JOBS}
    for _ in range(times):
        for name, command in JOBS.items():
            found[name].append(cost(command, folder))
            shutil.rmtree(folder / "fer-data", ignore_errors=True)
    rate = {name: count / min(one.seconds for one in costs) for name, costs in found.items()}
    pairs = (
        ("fer-build faces, one process", "one", 0.0, ""),
        ("fer-build faces, two processes", "two", CORES, "one process"),
        ("datasets.map, two processes, Pillow and imagehash", "peer", MAPPED, "faces"),
        ("datasets.map, two processes, our own function", "own", OWN, "faces"),
    )
    lines = []
    for what, name, target, against in pairs:
        gain = rate["two"] / rate["one" if name == "two" else name]
        text = f"{rate[name]:,.0f} a second" + (f", {'' if name == 'two' else 'faces '}{gain:.2f} x" if against else "")
        lines.append(Line(what, text, f"{target} x" if against else "", gain >= target))
    return lines


def memory_lines(folder: Path, counts: Sequence[int]) -> list[Line]:
    """Return the memory of the stage with two processes and the search for near duplicates."""
    lines = []
    for count in counts:
        root = folder / str(count)
        face_files.release(root, count)
        spent = cost(JOBS["two"], root)
        shutil.rmtree(root)
        text = f"{spent.peak:,.0f} MB, {spent.seconds:,.0f} s"
        lines.append(Line(f"{count:,} pictures", text, f"< {MEMORY:,} MB", 0 < spent.peak < MEMORY))
    return lines


def main() -> int:
    words = argparse.ArgumentParser(description="Measure decode, hashes and the faces stage against their peers.")
    words.add_argument("parts", nargs="*", metavar="TABLE", help=f"{', '.join(PARTS)} (all)")
    words.add_argument("--count", type=int, default=60_000, help="pictures of the whole stage (60000)")
    words.add_argument("--times", type=int, default=2, help="turns of the whole stage (2)")
    words.add_argument("--memory", type=int, nargs="*", default=[20_000, 99_999], help="pictures of the last table")
    words.add_argument("--keep", action="store_true", help="put the tables into docs/benchmarks.md")
    options = words.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        words.error(f"no such table: {', '.join(sorted(unknown))}")
    cv2.setNumThreads(1)
    print(machine(), flush=True)
    reached = True
    with tempfile.TemporaryDirectory() as temporary:
        measure = {
            "decode": lambda: decode_lines(400, 15),
            "stage": lambda: stage_lines(Path(temporary) / "stage", options.count, options.times),
            "memory": lambda: memory_lines(Path(temporary), options.memory),
        }
        for part in options.parts or PARTS:
            lines = measure[part]()
            reached = reached and all(line.reached for line in lines if line.target)
            print(table(lines), flush=True)
            if options.keep:
                keep(f"faces {part}", f"{COMMAND} {part}", table(lines))
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
