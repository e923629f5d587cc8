"""A built dataset rewritten for other tools; one function a target, looked up by its name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ferbuild.builders import shards
from ferbuild.builders.config import Settings
from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.builders.files import write_text
from ferbuild.builders.mark import read_mark
from ferbuild.manifests import load
from ferbuild.manifests.schema import Benchmark

Marks = Mapping[str, Benchmark]
"""Benchmark set to what its source's manifest says of it."""

Target = Callable[[Path, Path, Marks], dict[str, int]]
"""Dataset folder, destination and marks in; files written, and the rows of each, out."""


class Exported(NamedTuple):
    out: Path
    files: Mapping[str, int]


def export(settings: Settings, dataset: str, target: str, out: Path) -> Exported:
    """Write a built dataset for `target` into `out`. FerError for an unknown or unbuilt one."""
    known = {name.split("/")[1] for name in TARGETS if name.startswith(f"{dataset}/")}
    if not known:
        datasets = {name.split("/")[0] for name in TARGETS}
        raise FerError(dataset, "cannot be exported", did_you_mean(dataset, datasets))
    if target not in known:
        raise FerError(f"--to {target}", f"{dataset} has no such export", did_you_mean(target, known))
    folder = settings.work / dataset
    mark = read_mark(folder)
    if mark is None or not shards.is_intact(folder, mark.splits):
        build = "bench" if dataset == "ferbench" else dataset
        raise FerError(folder, "is damaged" if mark else "is not built", f"run `fer-build {build}` first")
    sources = [load.load_source(name) for name in load.names("sources")]
    sources += [release.source for release in settings.releases]
    marks = {at.set: at for source in sources if (at := source.benchmark)}
    return Exported(out, TARGETS[f"{dataset}/{target}"](folder, out, marks))


def bench_unifer(folder: Path, out: Path, marks: Marks) -> dict[str, int]:
    """Write FERBench as its authors publish it: a JSON list of rows a set, in their keys and order."""
    counts = {}
    for split, paths in shards.split_files(folder).items():
        rows = [_unifer(row) for path in paths for row in _text_rows(path)]
        name = marks[split].file if split in marks else f"{split}_qa.json"
        write_text(out / name, json.dumps(rows, indent=2, ensure_ascii=False))
        counts[name] = len(rows)
    return counts


TARGETS: Mapping[str, Target] = {"ferbench/unifer": bench_unifer}


def _unifer(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "image_path": row["image_path"],
        "true_label": row["answer"],
        "prompt": row["prompt"][0]["content"],
        "candidate_labels": row["choices"],
    }


def _text_rows(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = (
        shards.read_stream(path).select(["image_path", "answer", "prompt", "choices"]).to_pylist()
    )
    return rows
