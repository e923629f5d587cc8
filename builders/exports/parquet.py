"""As Parquet: the whole dataset, every row and column, with the pictures in the files; for viewers and other readers.

A file a shard, so that no more than some rows are in memory; rows without a picture stay, with a null one.
"""

from __future__ import annotations

from collections.abc import Mapping

import yaml

from ferbuild.builders import features, shards
from ferbuild.builders.card import LOCAL
from ferbuild.builders.exports.job import Job
from ferbuild.builders.exports.written import parquet


def dataset(job: Job) -> Mapping[str, int]:
    """Write the files of every split, and the README by which `load_dataset` reads the folder."""
    counts = {}
    for split, paths in job.splits.items():
        for path in paths:
            name = f"{split}/{path.stem}.parquet"
            schema = shards.read_stream(path).schema
            counts[name] = parquet(job.out / name, job.rows_of(path), schema, lambda: None)
    schema = shards.read_stream(next(path for paths in job.splits.values() for path in paths)).schema
    head = features.front_matter(schema, list(job.splits), job.key)
    for one in head["configs"][0]["data_files"]:
        one["path"] = f"{one['split']}/data-*.parquet"
    text = f"# {job.dataset}\n\n{LOCAL}\n\nLoad it with `datasets.load_dataset` on this folder.\n"
    job.text("README.md", f"---\n{yaml.safe_dump(head, sort_keys=False)}---\n\n{text}")
    return counts
