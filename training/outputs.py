"""The folder of a run: what it says of itself, where it goes on, and the finished model, whole or not there.

run.json        every argument, the dataset's fingerprints, versions, seed
checkpoint-*/   what TRL writes on the way
completions/    GRPO's sample completions, a table a logging step
model/          the finished model with its processor
"""

from __future__ import annotations

import json
import logging
import platform
import re
import struct
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from ferbuild.builders.errors import FerError
from ferbuild.builders.files import write_text

log = logging.getLogger(__name__)

RUN = "run.json"
MODEL = "model"
PACKAGES = (
    "fer-build", "torch", "torchvision", "transformers", "trl", "peft", "accelerate", "datasets", "deepspeed", "vllm",
)  # fmt: skip
SHAPES = {"stage": "stage", "data": "dataset", "model": "model", "adapters": "use_peft", "rewards": "rewards"}
"""What a run cannot be continued with another of, and how it is called."""

_CHECKPOINT = re.compile(r"checkpoint-(\d+)")


def described(config: Mapping[str, Any], fingerprints: Mapping[str, str], data: str) -> dict[str, Any]:
    """Return what `run.json` holds, from every argument of the run (see `options.resolved`)."""
    ours = config["ours"]
    model = config["model"]["model_name_or_path"]
    rewards = [*ours.get("reward_funcs", []), *(config["args"].get("reward_weights") or [])]
    shapes = {"stage": config["stage"], "data": dict(fingerprints), "model": model}
    shapes |= {"adapters": config["model"]["use_peft"], "rewards": rewards}
    found = {name: _version(name) for name in PACKAGES}
    versions = {name: version for name, version in found.items() if version}
    return {
        "run": shapes,
        "data": data,
        "seed": config["args"]["seed"],
        "versions": versions | {"python": platform.python_version()},
        "config": config,
    }


def begin(out: Path, told: Mapping[str, Any]) -> None:
    """Write `run.json`; FerError, with nothing changed, where the folder holds anything but this very run."""
    known = read_run(out)
    if known is None and out.exists() and any(path.name != "runs" for path in out.iterdir()):
        raise FerError(out, f"is not empty and holds no {RUN}", "name another --out: nothing there is overwritten")
    if known is not None:
        _same(out, known, told)
    write_text(out / RUN, json.dumps(told, indent=2, default=str) + "\n")


def _same(out: Path, known: Mapping[str, Any], told: Mapping[str, Any]) -> None:
    before, now = known.get("run", {}), json.loads(json.dumps(told["run"], default=str))
    for key, name in SHAPES.items():
        if before.get(key) != now[key]:
            problem = f"was begun with another {name}: {before.get(key)}, not {now[key]}"
            raise FerError(out, problem, "name another --out, or delete the folder to begin anew")


def read_run(out: Path) -> dict[str, Any] | None:
    """Return what a folder says of its run; None where there is none."""
    try:
        found = json.loads((out / RUN).read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as err:
        raise FerError(out / RUN, f"cannot be read ({err})", "name another --out, or delete the folder") from None
    return found if isinstance(found, dict) else {}


def finished(out: Path) -> bool:
    return (out / MODEL / "config.json").exists()


def last_checkpoint(out: Path) -> Path | None:
    """Return the last checkpoint that is whole; those after it, cut off while they were written, are put aside.

    They are renamed, so that nothing is lost and the steps can be written again.
    """
    steps = {int(name[1]): path for path in out.glob("checkpoint-*") if (name := _CHECKPOINT.fullmatch(path.name))}
    for _, path in sorted(steps.items(), reverse=True):
        fault = fault_of(path)
        if fault is None:
            return path
        aside = _free(path.with_name(f"{path.name}.incomplete"))
        path.rename(aside)
        log.warning("%s was not finished (%s) and is now %s", path, fault, aside.name)
    return None


def fault_of(checkpoint: Path) -> str | None:
    """Return what is wrong with a checkpoint; None where it is whole. Its state is written last."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_text())
    except (OSError, ValueError):
        return "no trainer_state.json"
    weights = sorted(checkpoint.glob("*.safetensors"))
    for index in checkpoint.glob("*.safetensors.index.json"):
        listed = set(json.loads(index.read_text())["weight_map"].values())
        missing = listed - {path.name for path in weights}
        if missing:
            return f"no {sorted(missing)[0]}"
    cut = [path.name for path in weights if not _whole(path)]
    if cut:
        return f"{cut[0]} is cut"
    others = [*checkpoint.glob("global_step*"), *checkpoint.glob("pytorch_model*")]
    return None if weights or others else "no weights"


def _whole(path: Path) -> bool:
    """Tell whether a safetensors file is as long as its header says."""
    try:
        with path.open("rb") as file:
            size = struct.unpack("<Q", file.read(8))[0]
            header = json.loads(file.read(size))
    except (OSError, ValueError, struct.error, MemoryError, OverflowError):
        return False
    ends: list[int] = [one["data_offsets"][1] for name, one in header.items() if name != "__metadata__"]
    return bool(path.stat().st_size == 8 + size + max(ends, default=0))


def _free(path: Path) -> Path:
    """Return a path that does not exist, numbered where `path` does."""
    names = [path, *(path.with_name(f"{path.name}-{at}") for at in range(2, 1000))]
    return next(name for name in names if not name.exists())


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
