"""What detection and mesh cost beside the run time of their nets alone: python benchmarks/detection_speed.py

One run, one core, seconds of its processor: the clock of the nets' own runs is read inside the work that calls them,
so both are of the same pictures, the same moment and the same machine. To reach: the nets' own time is at least 85 %
of the whole of detection and mesh: reading the shard, decoding, searching, the mesh's region, the measures and the
table. For the faces stage the work it does without looking is taken off first, by running it both ways.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
from timing import Line, keep, table

from ferbuild.builders import assets, measure, nets, shards
from ferbuild.builders.facing import FACED, Facing, face_table
from ferbuild.builders.images import decode
from ferbuild.builders.looking import Look
from ferbuild.builders.record import LISTED
from ferbuild.builders.shards import Slice
from ferbuild.manifests.recipe import Picture

COMMAND = "python benchmarks/detection_speed.py"
SIDES = (48, 100, 224, 400)
TO_REACH = 0.85


class Clocked:
    """A net that adds up the seconds of its runs, with the taking in of its input."""

    def __init__(self, net: Any) -> None:
        self.net, self.seconds = net, 0.0

    def setInput(self, blob: Any) -> None:  # noqa: N802  OpenCV's own name
        began = time.process_time()
        self.net.setInput(blob)
        self.seconds += time.process_time() - began

    def forward(self, outputs: Any) -> Any:
        began = time.process_time()
        found = self.net.forward(outputs)
        self.seconds += time.process_time() - began
        return found


def pictures(folder: Path, side: int, count: int) -> pa.Table:
    """Write crops of two portraits, each moved a little, as JPEG, and return their listed rows."""
    rng = np.random.default_rng(side)
    rows = []
    whole = [decode(assets.fetch(name).read_bytes(), max_pixels=10**7) for name in ("astronaut", "grace_hopper")]
    for at in range(count):
        x, y, size = ((150, 40, 160), (145, 110, 240))[at % 2]
        dx, dy = rng.integers(-6, 7, 2)
        cut = whole[at % 2][y + dy : y + dy + size, x + dx : x + dx + size]
        rgb = cv2.resize(cut, (side, side), interpolation=cv2.INTER_AREA if side < size else cv2.INTER_CUBIC)
        path = folder / f"{side}-{at}.jpg"
        path.write_bytes(cv2.imencode(".jpg", rgb[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes())
        rows.append({"id": path.stem, "source": "mine", "split": "train", "rel_path": path.name, "label": "x"})
        rows[-1] |= {"size": path.stat().st_size, "canonical": "neutral", "synthetic": False}
    return pa.Table.from_pylist(rows, schema=LISTED)


def seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=150, help="pictures of each size")
    parser.add_argument("--times", type=int, default=3, help="runs, of which the best counts")
    parser.add_argument("--keep", action="store_true", help="put the table into docs/benchmarks.md")
    options = parser.parse_args()
    by = nets.SHIPPED
    clocks = [Clocked(nets.finder(by)._net), Clocked(nets.mesher(by)._net)]  # type: ignore[attr-defined]
    nets.finder(by)._net, nets.mesher(by)._net = clocks  # type: ignore[attr-defined]
    lines = []
    with tempfile.TemporaryDirectory() as name:
        for side in SIDES:
            alone, *shares = row_of(Path(name), side, options.count, options.times, clocks)
            said = f"nets alone {alone:.1f} ms a face; of the measure stage {shares[0]:.0%}, of looking {shares[1]:.0%}"
            lines.append(Line(f"{side} px", said, f"{TO_REACH:.0%}", min(shares) >= TO_REACH))
            print(f"{side} px: {said}", flush=True)
    print(table(lines))
    if options.keep:
        keep("detection", f"{COMMAND} --count {options.count} --times {options.times}", table(lines))
    return 0 if all(line.reached for line in lines) else 1


def row_of(folder: Path, side: int, count: int, times: int, clocks: list[Clocked]) -> tuple[float, float, float]:
    """Return the nets' milliseconds a face, and their share of the measure stage and of looking in the faces stage."""
    listed = pictures(folder, side, count)
    plain = Facing(folder, "as_is", Picture())
    table = face_table(listed, plain)
    shards.write_stream(folder / f"{side}.arrow", [table], FACED)
    piece = Slice(folder / f"{side}.arrow", "train", 0, count)

    def clocked(work: Callable[[], object]) -> tuple[float, float]:
        before = sum(clock.seconds for clock in clocks)
        whole = seconds(work)
        return sum(clock.seconds for clock in clocks) - before, whole

    alone, measuring, looked = np.inf, 0.0, 0.0
    for _ in range(times):
        own, whole = clocked(lambda: measure.measure_batch(piece, by=nets.SHIPPED, benchmarks=frozenset()))
        alone, measuring = min(alone, own), max(measuring, own / whole)
        without = seconds(lambda: face_table(listed, plain))
        own, whole = clocked(lambda: face_table(listed, plain._replace(look=Look(nets.SHIPPED, pose=True))))
        looked = max(looked, own / max(whole - without, own))
    return 1000 * alone / count, measuring, looked


if __name__ == "__main__":
    raise SystemExit(main())
