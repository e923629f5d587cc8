"""For UniFER's own scripts: JSON lists in the keys and order in which its authors publish them.

The benchmark names its pictures as they do; training rows name the files that are written beside them, since nobody
publishes paths for those.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ferbuild.builders.exports.job import Job, text_of
from ferbuild.builders.exports.written import json_list

SEVERAL = "more than one picture, where its rows take one"


def cot(job: Job) -> Mapping[str, int]:
    """Write `{image_path, question, response}`."""
    return {name: json_list(job.out / name, _cot(job, split), job.pictures.settle) for split, name in _files(job)}


def rlvr(job: Job) -> Mapping[str, int]:
    """Write `{image_path, problem, solution}`; the solution is the answer in its tags."""
    return {name: json_list(job.out / name, _rlvr(job, split), job.pictures.settle) for split, name in _files(job)}


def bench(job: Job) -> Mapping[str, int]:
    """Write `{image_path, true_label, prompt, candidate_labels}`, a file a set, without pictures; none is left out."""
    named = {split: job.marks[split].file if split in job.marks else f"{split}_qa.json" for split in job.splits}
    return {name: json_list(job.out / name, _bench(job, split), job.pictures.settle) for split, name in named.items()}


def _files(job: Job) -> Iterator[tuple[str, str]]:
    for split in job.splits:
        yield split, f"{job.dataset}_{split}.json"


def _cot(job: Job, split: str) -> Iterator[dict[str, Any]]:
    for table in _single(job, split):
        texts = (text_of(table[name]).to_pylist() for name in ("prompt", "completion"))
        for (path,), asked, said in zip(job.pictures.write(table), *texts, strict=True):
            yield {"image_path": path, "question": asked, "response": said}


def _rlvr(job: Job, split: str) -> Iterator[dict[str, Any]]:
    for table in _single(job, split):
        texts = text_of(table["prompt"]).to_pylist(), table["solution"].to_pylist()
        for (path,), asked, right in zip(job.pictures.write(table), *texts, strict=True):
            yield {"image_path": path, "problem": asked, "solution": right}


def _single(job: Job, split: str) -> Iterator[pa.Table]:
    for table in job.shown(split):
        yield job.only(table, pc.equal(pc.list_value_length(table["images"]), 1), SEVERAL)


def _bench(job: Job, split: str) -> Iterator[dict[str, Any]]:
    for table in job.rows(split):
        for row in table.select(["image_path", "answer", "prompt", "choices"]).to_pylist():
            yield {
                "image_path": row["image_path"],
                "true_label": row["answer"],
                "prompt": row["prompt"][0]["content"],
                "candidate_labels": row["choices"],
            }
