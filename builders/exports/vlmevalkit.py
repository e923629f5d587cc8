"""For VLMEvalKit: one table with the pictures in it, which it takes for a benchmark of multiple choice.

The question is the benchmark's own; the tool puts the labels below it, each with a letter. What it writes holds every
column but the picture, and `fer-build eval --responses` reads that.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from itertools import count
from string import ascii_uppercase
from typing import Any

import pyarrow.compute as pc

from ferbuild.builders import shards
from ferbuild.builders.errors import FerError
from ferbuild.builders.exports.job import Job, text_of
from ferbuild.builders.exports.written import tsv

FILE = "FERBench.tsv"
LETTERS = "ABCDEFGH"


def bench(job: Job) -> Mapping[str, int]:
    """Write all sets into one table: `index` counts from 0, `category` makes the tool tell its figures set by set."""
    letters = _letters(job)
    columns = ("index", "image", "question", *letters, "answer", "category", "set", "image_path", "id")
    return {FILE: tsv(job.out / FILE, columns, _rows(job), lambda: None)}


def _letters(job: Job) -> str:
    """Return the letters of the longest list of labels, A to H at least."""
    paths = [path for files in job.splits.values() for path in files]
    most = max(pc.max(pc.list_value_length(shards.read_stream(path)["choices"])).as_py() or 0 for path in paths)
    if most > len(ascii_uppercase):
        raise FerError(job.folder, f"has a question with {most} labels", "its options are letters: 26 at most")
    return ascii_uppercase[: max(most, len(LETTERS))]


def _rows(job: Job) -> Iterator[dict[str, Any]]:
    at = count()
    for split in job.splits:
        for table in job.shown(split):
            asked = text_of(table["prompt"]).to_pylist()
            known = table.select(["id", "choices", "answer", "image_path"]).to_pylist()
            for image, text, row in zip(table["images"], asked, known, strict=True):
                options = dict(zip(ascii_uppercase, row["choices"], strict=False))
                yield {
                    "index": next(at),
                    "image": base64.b64encode(image[0]["bytes"].as_buffer()).decode(),
                    "question": text,
                    **options,
                    "answer": next(letter for letter, label in options.items() if label == row["answer"]),
                    "category": split,
                    "set": split,
                    "image_path": row["image_path"].lstrip("/"),  # it is joined to a folder of the tool's
                    "id": row["id"],
                }
