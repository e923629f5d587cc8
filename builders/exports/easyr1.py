"""For EasyR1: Parquet files with the pictures in them, a reward file, and a format prompt that adds nothing.

Its reward gets one value of a row, `data.answer_key`. `answer` is the bare answer, as its own rewards want it; `asked`
is all that ours reads, as one text: it makes an array of a batch's values, and lists would not stay lists in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import orjson
import pyarrow as pa

from ferbuild.builders.exports.job import Job, tagged
from ferbuild.builders.exports.rewards import asked_of, template, write_reward
from ferbuild.builders.exports.written import parquet
from ferbuild.builders.record import IMAGE

PROMPT = "fer_prompt.jinja"
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("prompt", pa.string()),  # with <image> for each picture
        ("images", pa.list_(IMAGE)),
        ("answer", pa.string()),
        ("asked", pa.string()),  # JSON: kind, choices, answer, soft
    ]
)


def rlvr(job: Job) -> Mapping[str, int]:
    """Write a file a split, the rewards and the format prompt."""
    write_reward(job, "easyr1")
    job.text(PROMPT, template(PROMPT))
    named = {f"{job.dataset}_{split}.parquet": split for split in job.splits}
    return {name: parquet(job.out / name, _tables(job, split), SCHEMA, lambda: None) for name, split in named.items()}


def _tables(job: Job, split: str) -> Iterator[pa.Table]:
    for table in job.shown(split, ("prompt",)):
        columns = {
            "id": table["id"],
            "prompt": tagged(table),
            "images": table["images"],
            "answer": table["answer"],
            "asked": [orjson.dumps(row).decode() for row in asked_of(table)],
        }
        yield pa.table(columns)
