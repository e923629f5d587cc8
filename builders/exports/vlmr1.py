"""For VLM-R1: conversations whose reply is the bare answer, a JSON object a line, and a YAML file that lists them.

Its rewards are its own and cannot be given from outside: letters and yes or no are checked exactly, other words by
their likeness to the answer, which gives a wrong label a part of the reward.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow.compute as pc
import yaml

from ferbuild.builders.exports.job import Job, tagged
from ferbuild.builders.exports.written import json_lines

LIST = "fer.yaml"
METHODS = {"letter": "mcq", "verify": "yes_no"}
"""Kinds of questions for which it has a reward that is exact."""
UNCHECKED = "a distribution, which none of its rewards can check"


def rlvr(job: Job) -> Mapping[str, int]:
    """Write a file a split, and the list of them."""
    named = {f"{job.dataset}_{split}.jsonl": split for split in job.splits}
    counts = {name: json_lines(job.out / name, _rows(job, split), job.pictures.settle) for name, split in named.items()}
    listed = {"datasets": [{"json_path": name} for name, rows in counts.items() if rows]}
    job.text(LIST, yaml.safe_dump(listed, sort_keys=False))
    return counts


def _rows(job: Job, split: str) -> Iterator[dict[str, Any]]:
    for table in job.shown(split, ("prompt",)):
        table = job.only(table, pc.not_equal(table["kind"], "distribution"), UNCHECKED)
        known = table.select(["id", "kind", "answer"]).to_pylist()
        for paths, asked, row in zip(job.pictures.write(table), tagged(table), known, strict=True):
            turns = [{"from": "human", "value": asked}, {"from": "gpt", "value": row["answer"]}]
            found = {"id": row["id"], "image": paths[0] if len(paths) == 1 else paths, "conversations": turns}
            yield found | {"accu_reward_method": METHODS.get(row["kind"], "default")}
