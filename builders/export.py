"""A built dataset rewritten for other tools; one module of `exports` a target, looked up by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from ferbuild.builders import shards
from ferbuild.builders.config import Settings
from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.builders.exports import (
    easyr1,
    llamafactory,
    lmms_eval,
    parquet,
    place,
    swift,
    unifer,
    verl,
    vlmevalkit,
    vlmr1,
)
from ferbuild.builders.exports.job import Job, Target
from ferbuild.builders.mark import Mark, read_mark
from ferbuild.builders.reviewing import applying
from ferbuild.builders.stage import only_one
from ferbuild.builders.styles import SUFFIX
from ferbuild.manifests import load
from ferbuild.manifests.schema import Benchmark

FORM = 1
"""Of the marks of exports."""
STAGES = {"cot": "cot"} | {f"cot-{style}": "cot" for style in SUFFIX if style != "think"}
STAGES |= {"rlvr": "rlvr"}
STAGES |= {f"{name}{applying.SUFFIX}": stage for name, stage in STAGES.items()} | {"ferbench": "bench"}
"""Every dataset that can be exported, and the stage that builds it."""

_RL = "it trains on answers that a program checks"
_BENCHMARK = "it scores models on a benchmark"
TARGETS: Mapping[str, Target] = {
    "unifer": Target({"cot": unifer.cot, "rlvr": unifer.rlvr, "bench": unifer.bench}, "UniFER's JSON"),
    "llamafactory": Target({"cot": llamafactory.cot}, "LLaMA-Factory, SFT", "it trains by imitation"),
    "swift": Target({"cot": swift.cot, "rlvr": swift.rlvr}, "ms-swift, SFT and GRPO", "it trains"),
    "verl": Target({"rlvr": verl.rlvr}, "verl, RL", _RL),
    "easyr1": Target({"rlvr": easyr1.rlvr}, "EasyR1, RL", _RL),
    "vlmr1": Target({"rlvr": vlmr1.rlvr}, "VLM-R1, GRPO", _RL),
    "vlmevalkit": Target({"bench": vlmevalkit.bench}, "VLMEvalKit's TSV", _BENCHMARK),
    "lmms-eval": Target({"bench": lmms_eval.bench}, "tasks of lmms-eval", _BENCHMARK),
    "parquet": Target(dict.fromkeys(("cot", "rlvr", "bench"), parquet.dataset), "Parquet, all columns and pictures"),
}
"""By the name that `--to` takes."""


class Exported(NamedTuple):
    out: Path
    files: Mapping[str, int]
    """Files of rows, by their path in `out`, and the rows of each."""
    pictures: int = 0
    """Files of pictures."""
    left_out: Mapping[str, int] = MappingProxyType({})
    """Rows of the dataset that are not in the export, by reason."""
    complete: bool = True
    """False: the dataset itself is not, some of its rows are still to be asked for."""


def export(
    settings: Settings, dataset: str, target: str, out: Path, tick: Callable[[str, int, int], None] | None = None
) -> Exported:
    """Write a built dataset for `target` into `out`; `tick` is told the target, the rows read, and those in all.

    FerError for an unknown or unbuilt dataset, a target that cannot take it, a folder that holds something else, and
    where no row could be exported.
    """
    write = _chosen(dataset, target).writes[STAGES[dataset]]
    folder = settings.work / dataset
    mark = _built(folder, dataset)
    total = sum(mark.splits.values())
    job = Job(dataset, STAGES[dataset], mark.key, folder, out, _marks(settings))
    if tick is not None:
        job.tick = lambda done: tick(target, done, total)
    told = {"form": FORM, "dataset": dataset, "key": mark.key, "to": target}
    with only_one(out, "--out"):
        was = place.begin(out, told)
        files = {name: rows for name, rows in write(job).items() if rows}
        if not files:
            raise FerError(folder, f"has no row for {target}: {_reasons(job.left)}", "see above how its rows are made")
        counts = {"files": files, "beside": job.beside, "pictures": len(job.pictures), "left out": dict(job.left)}
        place.finish(out, told | counts, was, job.pictures.stale())
    return Exported(out, files, len(job.pictures), dict(job.left), mark.complete)


def _chosen(dataset: str, target: str) -> Target:
    if dataset not in STAGES:
        raise FerError(dataset, "cannot be exported", did_you_mean(dataset, STAGES))
    if target not in TARGETS:
        raise FerError(f"--to {target}", "is no target of an export", did_you_mean(target, TARGETS))
    found, stage = TARGETS[target], STAGES[dataset]
    if stage not in found.writes:
        takes = " and ".join(name for name in ("cot", "rlvr", "ferbench") if STAGES[name] in found.writes)
        others = ", ".join(name for name, one in TARGETS.items() if stage in one.writes)
        hint = f"{target} takes {takes}; {dataset} goes --to {others}"
        raise FerError(f"--to {target}", f"cannot take {dataset}: {found.because}", hint)
    return found


def _built(folder: Path, dataset: str) -> Mark:
    mark = read_mark(folder)
    if mark is None or not shards.is_intact(folder, mark.splits):
        command = STAGES[dataset] + (f" --style {dataset[4:]}" if dataset.startswith("cot-") else "")
        if dataset.endswith(applying.SUFFIX):
            command = f"apply-review {dataset.removesuffix(applying.SUFFIX)}"
        raise FerError(folder, "is damaged" if mark else "is not built", f"run `fer-build {command}` first")
    if not mark.splits:
        raise FerError(folder, "has no rows", "its README.md says why they were dropped")
    return mark


def _marks(settings: Settings) -> dict[str, Benchmark]:
    sources = [load.load_source(name) for name in load.names("sources")]
    sources += [release.source for release in settings.releases]
    return {at.set: at for source in sources if (at := source.benchmark)}


def _reasons(left: Mapping[str, int]) -> str:
    return ", ".join(f"{rows:,} rows left out for {reason}" for reason, rows in left.items()) or "it has none"
