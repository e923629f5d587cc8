"""Turns the datasets into a model: `python training/run.py` runs SFT, then GRPO; `run.py sft|grpo` one of them.

Flags go over the configuration, and `--help` of a stage lists all of them, TRL's own included.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn

import click

from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.manifests.load import read_yaml

SHIPPED = Path(__file__).resolve().parent / "configs" / "unifer-7b.yaml"
STAGES = ("sft", "grpo")
BOTH = ("--config", "--data", "--out", "--model", "--processes")
USAGE = f"""usage: python training/run.py [{" VALUE] [".join(BOTH)} VALUE]
       python training/run.py sft|grpo --config FILE [--data DIR|HUB_ID] [--model DIR|HUB_ID] [--out DIR] [--key value]

Without a stage: SFT on the cot dataset, then GRPO on the rlvr dataset, by {SHIPPED.name} unless --config names
another; datasets and models lie in the work folder of fer-build.yaml. `sft --help` and `grpo --help` list every key.
"""


def main(words: Sequence[str]) -> int:
    """Run what the command line says; 0 where it is done, 2 where it cannot be, 130 where it was interrupted."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        if words and words[0] in STAGES:
            run_stage("sft" if words[0] == "sft" else "grpo", list(words[1:]))
        elif words and words[0] in ("-h", "--help"):
            click.echo(USAGE)
        else:
            return run_both(list(words))
    except FerError as err:
        click.echo(f"{err.where}: {err.problem}" + (f"\n  {err.hint}" if err.hint else ""), err=True)
        return 2
    except KeyboardInterrupt:
        click.echo("interrupted; the same command goes on from the last checkpoint", err=True)
        return 130
    return 0


def run_both(words: list[str]) -> int:
    """Run the stages one after the other, each in a process of its own, which leaves no memory behind."""
    flags = _flags(words)
    config = flags.pop("--config", str(SHIPPED))
    out = Path(flags.pop("--out", "") or models_folder(Path(config)))
    model = flags.pop("--model", None)
    for stage in STAGES:
        source = {"sft": ["--model", model] if model else [], "grpo": ["--model", str(out / "sft" / "model")]}[stage]
        more = [word for pair in flags.items() for word in pair]
        command = [sys.executable, __file__, stage, "--config", config, "--out", str(out / stage), *source, *more]
        code = subprocess.run(command, check=False).returncode
        if code:
            return code
    return 0


def run_stage(stage: Literal["sft", "grpo"], words: list[str]) -> None:
    """Run one stage, by a launcher where the configuration asks for several processes."""
    from ferbuild.training import options, stages

    config = Path(_taken(words, "--config") or SHIPPED)
    if words[:1] in (["--help"], ["-h"]):
        options.parser_of(stage).print_help()
        return
    chosen = options.read_options(stage, config, words, defaults(stage, config))
    if chosen.ours.processes and chosen.ours.processes > 1 and not options.launched():
        launch(chosen.ours.processes, [__file__, stage, "--config", str(config), *words])
    if chosen.ours.data is None:
        hint = "name a dataset folder or a Hub id with --data, or run this beside fer-build.yaml"
        raise FerError("data", "none is named, and there is no fer-build.yaml here", hint)
    stages.train(chosen)


def launch(processes: int, words: Sequence[str]) -> NoReturn:
    """Become `accelerate launch`, with one process a GPU; FerError where there are fewer GPUs."""
    import torch

    found = torch.cuda.device_count()
    if found < processes:
        problem = f"{processes} are asked for, and this machine has {found} GPUs"
        raise FerError("processes", problem, f"--processes {max(found, 1)}, or a configuration for fewer GPUs")
    # "no" leaves it to the configuration's bf16 or fp16, which anything else here would overrule
    flags = ["--multi_gpu", "--num_processes", str(processes), "--num_machines", "1", "--mixed_precision", "no"]
    command = [sys.executable, "-m", "accelerate.commands.launch", *flags, "--dynamo_backend", "no", *words]
    os.execv(sys.executable, command)


def defaults(stage: str, config: Path) -> dict[str, Any]:
    """Return what is understood where neither the configuration nor a flag names it: folders of fer-build.yaml."""
    work = work_folder()
    found: dict[str, Any] = {"output_dir": str(models_folder(config) / stage)}
    dataset = work / {"sft": "cot", "grpo": "rlvr"}[stage] if work else None
    if dataset is not None:
        found["data"] = str(dataset)
    before = models_folder(config) / "sft" / "model"
    if stage == "grpo" and before.exists():
        found["model_name_or_path"] = str(before)
    return found


def work_folder() -> Path | None:
    """Return the work folder that fer-build.yaml of this folder names; None without such a file."""
    file = Path("fer-build.yaml")
    if not file.exists():
        return None
    name = read_yaml(file).get("work", "fer-data")
    return file.resolve().parent / Path(str(name)).expanduser()


def models_folder(config: Path) -> Path:
    """Return where the models of a configuration go unless told otherwise."""
    return (work_folder() or Path()) / "models" / config.stem


def _flags(words: list[str]) -> dict[str, str]:
    """Return the flags of a run of both stages."""
    found: dict[str, str] = {}
    at = 0
    while at < len(words):
        flag, equals, value = words[at].partition("=")
        if flag not in BOTH:
            known = [*STAGES, *BOTH]
            raise FerError(flag, "is for one stage: name it first", did_you_mean(flag, known) + "; see --help")
        if not equals and at + 1 >= len(words):
            raise FerError(flag, "has no value", "see --help")
        found[flag] = value if equals else words[at + 1]
        at += 1 if equals else 2
    return found


def _taken(words: list[str], flag: str) -> str | None:
    """Remove a flag and its value from `words` and return the value; None where it is not there."""
    for at, word in enumerate(words):
        if word.startswith(f"{flag}="):
            return words.pop(at).partition("=")[2]
        if word == flag and at + 1 < len(words):
            words.pop(at)
            return words.pop(at)
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
