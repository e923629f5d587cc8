"""For lmms-eval: a folder of tasks, one a set and one for all, with their rows in Parquet files beside them.

Since 0.4 its logs leave the row out; the task's own figures carry what says which row it was, and `fer-build eval
--responses` reads it there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from ferbuild.builders.exports.job import Job, text_of
from ferbuild.builders.exports.rewards import template
from ferbuild.builders.exports.written import parquet
from ferbuild.builders.record import IMAGE

UTILS = "utils.py"
COMMON = "_fer_template_yaml"
"""What all tasks share; the name's end keeps the tool from taking it for a task."""
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("set", pa.string()),
        ("image", IMAGE),
        ("question", pa.string()),
        ("choices", pa.list_(pa.string())),
        ("answer", pa.string()),
        ("image_path", pa.string()),
    ]
)


def bench(job: Job) -> Mapping[str, int]:
    """Write the rows of every set, a task for it, and the group of them."""
    named = {split: f"data/{split}.parquet" for split in job.splits}
    counts = {name: parquet(job.out / name, _tables(job, split), SCHEMA, lambda: None) for split, name in named.items()}
    tasks = {split: f"{job.dataset}_{split}" for split, name in named.items() if counts[name]}
    for split, task in tasks.items():
        files = {"dataset_kwargs": {"data_files": {split: named[split]}}, "test_split": split}
        job.text(f"{task}.yaml", _yaml({"include": COMMON, "task": task, **files}))
    job.text(f"{job.dataset}.yaml", _yaml({"group": job.dataset, "task": list(tasks.values())}))
    job.text(COMMON, template(COMMON))
    job.text(UTILS, template(UTILS))
    return counts


def _yaml(found: Mapping[str, object]) -> str:
    text: str = yaml.safe_dump(found, sort_keys=False)
    return text


def _tables(job: Job, split: str) -> Iterator[pa.Table]:
    for table in job.shown(split):
        columns = {name: table[name] for name in ("id", "choices", "answer", "image_path")} | {
            "set": [split] * table.num_rows,
            "image": pc.list_element(table["images"].combine_chunks(), 0),
            "question": text_of(table["prompt"]),
        }
        yield pa.table([columns[name] for name in SCHEMA.names], names=SCHEMA.names)
