"""For verl: Parquet files with the pictures in them, and the rewards, in a file that it calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count

import pyarrow as pa

from ferbuild.builders.exports.job import Job, tagged
from ferbuild.builders.exports.rewards import ASKED, asked_of, write_reward
from ferbuild.builders.exports.written import parquet
from ferbuild.builders.record import IMAGE, MESSAGES

SCHEMA = pa.schema(
    [
        ("data_source", pa.string()),  # fer/<source>: figures are told apart by it
        ("prompt", MESSAGES),  # with <image> for each picture
        ("images", pa.list_(IMAGE)),
        ("ability", pa.string()),
        ("reward_model", pa.struct([("style", pa.string()), ("ground_truth", pa.string())])),
        (
            "extra_info",
            pa.struct(
                [
                    ("index", pa.int64()),
                    ("split", pa.string()),
                    ("id", pa.string()),
                    ("kind", pa.string()),
                    ("choices", pa.list_(pa.string())),
                    ("soft", pa.list_(pa.float32())),
                ]
            ),
        ),
    ]
)


def rlvr(job: Job) -> Mapping[str, int]:
    """Write a file a split, and the rewards."""
    write_reward(job, "verl")
    named = {f"{job.dataset}_{split}.parquet": split for split in job.splits}
    return {name: parquet(job.out / name, _tables(job, split), SCHEMA, lambda: None) for name, split in named.items()}


def _tables(job: Job, split: str) -> Iterator[pa.Table]:
    at = count()
    for table in job.shown(split, ("prompt",)):
        known = asked_of(table, ("id", *ASKED))
        sources = [faces[0]["source"] if faces else "" for faces in table["faces"].to_pylist()]
        extra = [{"index": next(at), "split": split, **row} for row in known]
        columns = {
            "data_source": [f"fer/{source}" for source in sources],
            "prompt": pa.array([[{"role": "user", "content": text}] for text in tagged(table)], MESSAGES),
            "images": table["images"],
            "ability": ["fer"] * table.num_rows,
            "reward_model": [{"style": "rule", "ground_truth": row["answer"]} for row in known],
            "extra_info": pa.array(extra, SCHEMA.field("extra_info").type),
        }
        yield pa.table(columns)
