"""For LLaMA-Factory: conversations in the sharegpt form, a JSON object a line, and the file that names them.

It trains by imitation, not on answers that a program checks: chain of thought goes to it, questions do not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from ferbuild.builders.exports.job import Job, tagged, text_of
from ferbuild.builders.exports.written import json_lines

INFO = "dataset_info.json"


def cot(job: Job) -> Mapping[str, int]:
    """Write a dataset a split, which its configuration names `<dataset>_<split>`."""
    names = {split: f"{job.dataset}_{split}" for split in job.splits}
    counts = {
        f"{name}.jsonl": json_lines(job.out / f"{name}.jsonl", _rows(job, split), job.pictures.settle)
        for split, name in names.items()
    }
    known = {name: _entry(f"{name}.jsonl") for name in names.values() if counts[f"{name}.jsonl"]}
    job.text(INFO, json.dumps(known, indent=2) + "\n")
    return counts


def _entry(file: str) -> dict[str, Any]:
    return {
        "file_name": file,
        "formatting": "sharegpt",
        "columns": {"messages": "conversations", "images": "images"},
        "tags": {"role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt"},
    }


def _rows(job: Job, split: str) -> Iterator[dict[str, Any]]:
    for table in job.shown(split, ("prompt", "completion")):
        said = text_of(table["completion"]).to_pylist()
        for paths, asked, reply in zip(job.pictures.write(table), tagged(table), said, strict=True):
            turns = [{"from": "human", "value": asked}, {"from": "gpt", "value": reply}]
            yield {"conversations": turns, "images": paths}
