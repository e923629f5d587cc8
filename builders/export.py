"""A built dataset rewritten for other tools; one function a target, looked up by its name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ferbuild.builders import shards
from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.builders.files import write_text
from ferbuild.manifests import load

Target = Callable[[Path, Path], dict[str, int]]
"""Dataset folder and destination in; files written, and the rows of each, out."""


class Exported(NamedTuple):
    out: Path
    files: Mapping[str, int]


def export(work: Path, dataset: str, target: str, out: Path) -> Exported:
    """Write `dataset` of a work folder for `target` into `out`. FerError for an unknown or unbuilt one."""
    known = {name.split("/")[1] for name in TARGETS if name.startswith(f"{dataset}/")}
    if not known:
        datasets = {name.split("/")[0] for name in TARGETS}
        raise FerError(dataset, "cannot be exported", did_you_mean(dataset, datasets))
    if target not in known:
        raise FerError(f"--to {target}", f"{dataset} has no such export", did_you_mean(target, known))
    folder = work / dataset
    if not (folder / "stage.json").exists():
        build = "bench" if dataset == "ferbench" else dataset
        raise FerError(folder, "is not built", f"run `fer-build {build}` first")
    return Exported(out, TARGETS[f"{dataset}/{target}"](folder, out))


def bench_unifer(folder: Path, out: Path) -> dict[str, int]:
    """Write FERBench as its authors publish it: a JSON list of rows a set, in their keys and order."""
    files = {mark.set: mark.file for mark in _marks()}
    counts = {}
    for split, paths in shards.split_files(folder).items():
        rows = [_unifer(row) for path in paths for row in _text_rows(path)]
        write_text(out / files[split], json.dumps(rows, indent=2, ensure_ascii=False))
        counts[files[split]] = len(rows)
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


def _marks() -> list[Any]:
    sources = (load.load_source(name) for name in load.names("sources"))
    return [source.benchmark for source in sources if source.benchmark]
