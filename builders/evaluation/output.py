"""What a score leaves on disk: the figures, a line a row, a report to paste and a page to look at.

Stands behind the score. The page holds pictures only where the user asks for them: it then stays on this machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from ferbuild.builders import shards
from ferbuild.builders.evaluation import tables
from ferbuild.builders.evaluation.as_json import PREDICTIONS, RESULT, predictions
from ferbuild.builders.evaluation.page import Example, page
from ferbuild.builders.evaluation.reading import Readings
from ferbuild.builders.files import write_bytes, write_text

SHOWN = 40
"""Examples on the page, at most."""
MARKDOWN, PAGE = "report.md", "index.html"


def write_all(folder: Path, found: Mapping[str, Any], readings: Readings, examples: Sequence[Example]) -> None:
    """Write the result folder; result.json last, so that a folder that has one is whole."""
    pictures = any(example.picture for example in examples)
    write_predictions(folder / PREDICTIONS, readings)
    write_text(folder / MARKDOWN, tables.markdown(dict(found)))
    write_text(folder / PAGE, page(dict(found), examples, pictures=pictures))
    write_bytes(folder / RESULT, orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def write_predictions(path: Path, readings: Readings) -> None:
    """Write a JSON line a row."""
    write_bytes(path, b"".join(orjson.dumps(row) + b"\n" for row in predictions(readings)))


def examples_of(table: pa.Table, readings: Readings, *, seed: int, ferbench: Path | None = None) -> list[Example]:
    """Return a sample of the rows that are wrong, as many of each set, drawn by seed.

    `ferbench`: the dataset that has their pictures; None: without pictures.
    """
    chosen = _drawn(readings, seed)
    texts = table["texts"].take(pa.array(chosen, pa.int64())).to_pylist()
    pictures = _pictures(ferbench, {(readings.sets[at], readings.paths[at]) for at in chosen}) if ferbench else {}
    return [
        Example(
            set=readings.sets[at],
            image_path=readings.paths[at],
            true_label=readings.true[at],
            predicted=readings.said[at].label,
            outcome=readings.said[at].outcome,
            text=said[0] if said else "",
            picture=pictures.get((readings.sets[at], readings.paths[at])),
        )
        for at, said in zip(chosen, texts, strict=True)
    ]


def _drawn(readings: Readings, seed: int) -> list[int]:
    wrong: dict[str, list[int]] = {}
    for at, said in enumerate(readings.said):
        if said.label != readings.true[at]:
            wrong.setdefault(readings.sets[at], []).append(at)
    each = SHOWN // max(len(wrong), 1)
    draw = np.random.default_rng([seed, SHOWN])
    return [at for some in wrong.values() for at in sorted(draw.permutation(some)[:each].tolist())]


def _pictures(folder: Path, wanted: set[tuple[str, str]]) -> dict[tuple[str, str], bytes]:
    """Return the encoded pictures of some rows of the benchmark dataset."""
    found = {}
    for name, files in shards.split_files(folder).items():
        for path in files:
            rows = shards.read_stream(path)
            for at, image_path in enumerate(rows["image_path"].to_pylist()):
                if (name, image_path) in wanted and (images := rows["images"][at].as_py()):
                    found[name, image_path] = images[0]["bytes"]
    return found
