"""How many faces a second one core renders, everything included: shape, light, photo and JPEG file.

Run `python benchmarks/render_speed.py`: it renders faces of different people at 48, 224 and 512 pixels in one thread
and prints the rate in faces a second of processor time. At 224 pixels it has to reach 15.
"""

from __future__ import annotations

import argparse
import sys
import time

import cv2

from ferbuild.builders.render.draw import draw, draw_at
from ferbuild.builders.render.head import load_head
from ferbuild.builders.render.picture import render

SIDES = (48, 224, 512)
TARGET_SIDE, TARGET = 224, 15.0


def rate(side: int, count: int) -> float:
    """Return faces a second of processor time at a side in pixels."""
    head = load_head()
    start = time.process_time()
    for number in range(count):
        render(head, draw(draw_at(0, number)), width=side, height=side)
    return count / (time.process_time() - start)


def main() -> int:
    words = argparse.ArgumentParser(description="Measure how fast faces are rendered.")
    words.add_argument("--count", type=int, default=60)
    options = words.parse_args()
    cv2.setNumThreads(1)
    rate(SIDES[0], 2)
    found = {side: rate(side, options.count) for side in SIDES}
    for side, faces in found.items():
        print(f"{side:4d} px: {faces:5.1f} faces a second on one core")
    return 0 if found[TARGET_SIDE] >= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
