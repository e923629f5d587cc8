"""For ms-swift: messages with the paths of their pictures, a JSON object a line; questions also with what is right.

SFT takes the former, GRPO the latter, with the rewards of the plugin that is written beside them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ferbuild.builders.exports.job import Job, tagged, text_of
from ferbuild.builders.exports.rewards import ASKED, asked_of, write_reward
from ferbuild.builders.exports.written import json_lines


def cot(job: Job) -> Mapping[str, int]:
    """Write a user's message and the reply, a file a split."""
    return {name: json_lines(job.out / name, _cot(job, split), job.pictures.settle) for split, name in _files(job)}


def rlvr(job: Job) -> Mapping[str, int]:
    """Write a user's message and the columns that the rewards read, a file a split, and the rewards themselves."""
    write_reward(job, "swift")
    return {name: json_lines(job.out / name, _rlvr(job, split), job.pictures.settle) for split, name in _files(job)}


def _files(job: Job) -> Iterator[tuple[str, str]]:
    for split in job.splits:
        yield split, f"{job.dataset}_{split}.jsonl"


def _cot(job: Job, split: str) -> Iterator[dict[str, Any]]:
    for table in job.shown(split, ("prompt", "completion")):
        said = text_of(table["completion"]).to_pylist()
        for paths, asked, reply in zip(job.pictures.write(table), tagged(table), said, strict=True):
            turns = [{"role": "user", "content": asked}, {"role": "assistant", "content": reply}]
            yield {"messages": turns, "images": paths}


def _rlvr(job: Job, split: str) -> Iterator[dict[str, Any]]:
    for table in job.shown(split, ("prompt",)):
        known = asked_of(table, ("id", "solution", "canonical", *ASKED))
        for paths, asked, row in zip(job.pictures.write(table), tagged(table), known, strict=True):
            yield {"messages": [{"role": "user", "content": asked}], "images": paths, **row}
