"""How fast a review is, on made-up rationales: as many rows as four releases give, with pictures in the shards.

    python benchmarks/review.py [--keep]

By the clock, asked over HTTP of `fer-build review` in a process of its own, as the page asks: the start, the first page
with its list, row and picture, a filtered list, a search through all rationales and prompts, a decision with the next
row. Memory is the server's own; pages of mapped shards are the system's and come and go.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import pyarrow as pa
import questions
import timing

from ferbuild.builders import shards
from ferbuild.builders.columns import one_each, provenance
from ferbuild.builders.record import COT

ROWS, SHARD_ROWS, PICTURE_BYTES = 360_000, 10_000, 12_000
FIRST_S, START_S = 1.0, 10.0
PARTS = (
    "The brows are drawn together and lowered.", "The lips are parted.", "The corners of the mouth are pulled up.",
    "The eyes are wide open.", "The nose is wrinkled.", "The cheeks are raised.", "The jaw is dropped.",
    "Nothing else stands out in the lower face.", "The head is turned a little to the side.",
)  # fmt: skip
RARE = "The chin is boss-like and puckered."
"""Said of one row in ten thousand."""
PROMPT = "Look at the face in this picture and decide which expression it shows. " * 6


def rationales(rows: int, seed: int) -> pa.Table:
    """Return COT rows with drawn sentences; what a review does not look at is null."""
    faces = questions.faces(rows, PICTURE_BYTES, seed)
    chance = np.random.default_rng(seed)
    drawn = chance.integers(0, len(PARTS), (rows, 8))
    said = [" ".join(PARTS[one] for one in row) for row in drawn]
    for at in chance.integers(0, rows, max(1, rows // 10_000)):
        said[at] += f" {RARE}"
    labels = faces["label"].to_pylist()
    texts = [f"<think>{text}</think><answer>{label}</answer>" for text, label in zip(said, labels, strict=True)]
    columns: dict[str, Any] = {name: faces[name] for name in ("id", "label", "canonical", "votes", "label_rule")} | {
        "images": one_each(faces["image"]),
        "faces": provenance(faces),
        "prompt": [[{"role": "user", "content": PROMPT}]] * rows,
        "completion": [[{"role": "assistant", "content": text}] for text in texts],
        "teacher": ["made up"] * rows,
        "agreement": chance.integers(4, 9, rows) / 8,
    }
    return pa.table({field.name: _column(columns.get(field.name), field.type, rows) for field in COT})


def _column(values: Any, kind: pa.DataType, rows: int) -> pa.Array | pa.ChunkedArray:
    if values is None:
        return pa.nulls(rows, kind)
    return values if isinstance(values, pa.Array | pa.ChunkedArray) else pa.array(values, kind)


def written(folder: Path, rows: int) -> None:
    """Write a dataset of so many rows."""
    names = [f"data-{at:05d}-of-{-(-rows // SHARD_ROWS):05d}.arrow" for at in range(-(-rows // SHARD_ROWS))]
    for at, name in enumerate(names):
        some = rationales(min(SHARD_ROWS, rows - at * SHARD_ROWS), at)
        shards.write_stream(folder / "train" / name, [some], COT)
    shards.seal(folder, {"train": names}, COT, "made up")
    os.sync()  # the start is not to wait for what was written here


class Watch(threading.Thread):
    """Looks at a process's own memory until it is told that it is over."""

    def __init__(self, process: int) -> None:
        super().__init__(daemon=True)
        self.process, self.peak, self.over = process, 0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.05):
            told = Path(f"/proc/{self.process}/smaps_rollup").read_text()
            found = re.search(r"^Anonymous:\s+(\d+)", told, re.MULTILINE)
            self.peak = max(self.peak, int(found[1]) * 1024 if found else 0)


@contextmanager
def serving(work: Path) -> Iterator[tuple[str, int, float]]:
    """Give the server's address, its process and the seconds it took to start."""
    (work / "fer-build.yaml").write_text(f"work: {work}\nsources: {{}}\n")
    command = [str(Path(sys.executable).with_name("fer-build")), "review", "cot", "--no-open", "--json"]
    began = time.perf_counter()
    process = subprocess.Popen([*command, "--config", work / "fer-build.yaml"], stdout=subprocess.PIPE, text=True)
    try:
        told = process.stdout.readline() if process.stdout else ""
        yield json.loads(told)["url"], process.pid, time.perf_counter() - began
    finally:
        process.terminate()
        process.wait()


def asked(url: str, *paths: str) -> tuple[float, bytes]:
    """Return the seconds that several answers took one after another, and the last of them."""
    began = time.perf_counter()
    body = b""
    for path in paths:
        with urlopen(url + path) as answer:
            body = answer.read()
    return time.perf_counter() - began, body


def decided(url: str, row: int) -> float:
    body = json.dumps({"row": row, "decision": "accept"}).encode()
    sent = {"Origin": url.rstrip("/"), "Content-Type": "application/json"}
    began = time.perf_counter()
    with urlopen(Request(f"{url}api/decide", body, sent)) as answer:
        row = json.load(answer)["next"]
    asked(url, f"api/rows?row={row}", f"api/row/{row}", f"picture/{row}/0")
    return time.perf_counter() - began


def measured(work: Path, rows: int) -> list[timing.Line]:
    with serving(work) as (url, process, start):
        watch = Watch(process)
        watch.start()
        whole = ("", "static/review.js", "static/review.css", "api/about", "api/rows", "api/row/0", "picture/0/0")
        first, _ = asked(url, *whole)
        fear, _ = asked(url, "api/rows?canonical=fear&source=affectnet&low=0.6")
        last, _ = asked(url, f"api/rows?row={rows - 1}")
        search, found = asked(url, "api/rows?text=CHIN%20IS%20boss-like")
        again, _ = asked(url, "api/rows?text=CHIN%20IS%20boss-like&page=0")
        decide = min(decided(url, row) for row in range(0, 50, 10))
        watch.over.set()
        watch.join()
    hits = json.loads(found)["total"]
    return [
        timing.Line(f"start, {rows:,} rationales", f"{start:.1f} s", f"{START_S:.0f} s", start <= START_S),
        timing.Line("first page with list, row and picture", _ms(first), f"{FIRST_S:.0f} s", first <= FIRST_S),
        timing.Line("a list by class, source and agreement", _ms(fear), f"{FIRST_S:.0f} s", fear <= FIRST_S),
        timing.Line("the list around the last row", _ms(last)),
        timing.Line(f"a search through all texts, {hits} rows found", _ms(search)),
        timing.Line("the same search again", _ms(again)),
        timing.Line("a decision, on the disk, and the next row", _ms(decide)),
        timing.Line("the server's own memory, at most", f"{watch.peak / 1e6:,.0f} MB"),
    ]


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:,.0f} ms"


def main(words: Sequence[str] | None = None) -> int:
    said = argparse.ArgumentParser(description="Measure how fast a review is.")
    said.add_argument("--rows", type=int, default=ROWS)
    said.add_argument("--folder", type=Path, help="Where to write; a temporary folder by default.")
    said.add_argument("--keep", action="store_true", help="Write the table to docs/benchmarks.md.")
    options = said.parse_args(words)
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        written(Path(temporary) / "cot", options.rows)
        lines = measured(Path(temporary), options.rows)
    text = timing.table(lines)
    print(text)
    if options.keep:
        timing.keep("review", "python benchmarks/review.py --keep", text)
    return 0 if all(line.reached for line in lines) else 1


if __name__ == "__main__":
    raise SystemExit(main())
