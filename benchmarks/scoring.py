"""How fast a score is: 11,072 made-up responses with every figure and 2,000 resamples, and twenty models in a row.

    python benchmarks/scoring.py --keep

The four sets have the published numbers of rows. Beside it the usual way: scikit-learn's figures on rows that are
drawn anew with numpy, timed over a few resamples and reckoned up to all.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from sklearn.metrics import accuracy_score, precision_recall_fscore_support
from timing import Line, keep, machine, table

from ferbuild.builders.evaluation import readers
from ferbuild.builders.evaluation.as_json import as_json, predictions
from ferbuild.builders.evaluation.reading import Readings
from ferbuild.builders.evaluation.score import RESAMPLES, score
from ferbuild.manifests import load

MODELS = 20
TRIED = 20
"""Resamples that the usual way is timed over."""
WORDS = "the brows are drawn together and lowered the lids are narrow the lips are pressed and the chin is tense "


def rows(seed: int) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield each set's file name and its rows in the published form, answered by a model that is often right."""
    rng = np.random.default_rng(seed)
    for name in load.names("sources"):
        source = load.load_source(name)
        if source.benchmark is None:
            continue
        found = []
        expected = next(iter(source.expected.values()))[source.benchmark.split]
        for label, count in expected.items():
            for number in range(count):
                words = {
                    "name": f"{label}_{number // 3:09d}_{number:08d}.png",
                    "stem": f"{label}_{number}",
                    "label": label,
                }
                path = source.benchmark.path.format_map(words | {"class": label.title()})
                said = label if rng.random() < 0.65 else str(rng.choice(source.candidates))
                text = f"<think>{WORDS * 6}so it is {said}.</think>\n<answer>{said}</answer>"
                if rng.random() < 0.05:
                    text = WORDS * 6 + said
                found.append(
                    {
                        "image_path": path,
                        "true_label": label,
                        "candidate_labels": source.candidates,
                        "model_response": text,
                    }
                )
        yield source.benchmark.file, found


def write(folder: Path, seed: int) -> list[Path]:
    files = []
    for name, found in rows(seed):
        files.append(folder / name)
        files[-1].write_bytes(orjson.dumps(found))
    return files


def whole(files: list[Path]) -> float:
    """Return the seconds from files to every figure."""
    start = time.perf_counter()
    found = score(readers.load(files))
    orjson.dumps(as_json(found))
    b"".join(map(orjson.dumps, predictions(found.readings)))
    return time.perf_counter() - start


def usual(readings: Readings) -> float:
    """Return the seconds that scikit-learn would need for the resamples of the pooled figures alone."""
    true, said = np.array(readings.true), np.array([one.label for one in readings.said])
    rng = np.random.default_rng(0)
    start = time.perf_counter()
    for _ in range(TRIED):
        at = rng.integers(0, len(true), len(true))
        accuracy_score(true[at], said[at])
        precision_recall_fscore_support(true[at], said[at], average="macro", zero_division=0)
    return (time.perf_counter() - start) / TRIED * RESAMPLES


def main() -> None:
    words = argparse.ArgumentParser(description="Time a score.")
    words.add_argument("--keep", action="store_true", help="write the table into docs/benchmarks.md")
    options = words.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = write(Path(folder), 0)
        whole(files)
        one = min(whole(files) for _ in range(5))
        start = time.perf_counter()
        for _ in range(MODELS):
            whole(files)
        many = time.perf_counter() - start
        loaded = readers.load(files)
        beside = usual(score(loaded, resamples=1).readings)
    rows_in = loaded.table.num_rows
    found = [
        Line(f"{rows_in:,} responses, files to figures, {RESAMPLES:,} resamples", f"{one:.2f} s", "1.5 s", one <= 1.5),
        Line(f"{MODELS} models", f"{many:.1f} s", "20 s", many <= 20),
        Line(
            f"scikit-learn, {RESAMPLES:,} resamples of the pooled figures", f"{beside:.0f} s, {beside / one:.0f} x ours"
        ),
    ]
    text = table(found)
    print(f"{machine()}\n\n{text}")
    if options.keep:
        keep("scoring", "python benchmarks/scoring.py", text)


if __name__ == "__main__":
    main()
