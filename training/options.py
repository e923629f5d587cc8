"""What a run is told: a YAML file and flags over it, read by TrlParser into TRL's own arguments and a few of ours.

A file may hold both stages: the keys of its `sft:` and `grpo:` sections go over those beside them.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple

from trl import GRPOConfig, ModelConfig, SFTConfig, TrlParser

from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.manifests.load import read_yaml
from ferbuild.training.rewards import LEAST_WORDS, MOST_WORDS

Stage = Literal["sft", "grpo"]
STAGES: tuple[Stage, ...] = ("sft", "grpo")
DATASETS: Mapping[Stage, str] = {"sft": "cot", "grpo": "rlvr"}
"""The dataset each stage is trained on, as its folder is called."""
CONFIGS = Path(__file__).parent / "configs"
ALIASES = {"model": "model_name_or_path", "out": "output_dir"}
"""Short names of TRL's arguments, in files and as flags."""


@dataclass
class Ours:
    """Arguments beside TRL's own."""

    data: str | None = field(default=None, metadata={"help": "Dataset folder, the folder it lies in, or a Hub id."})
    split: str = field(default="train", metadata={"help": "Split to train on."})
    eval_split: str | None = field(default=None, metadata={"help": "Split for eval_strategy."})
    min_pixels: int | None = field(default=None, metadata={"help": "The processor enlarges smaller pictures to this."})
    max_pixels: int | None = field(default=None, metadata={"help": "The processor shrinks larger pictures to this."})
    lora_exclude_modules: str | None = field(default=None, metadata={"help": "Pattern of modules without adapters."})
    processes: int | None = field(default=None, metadata={"help": "Start so many processes, one a GPU."})
    checked_rows: int = field(default=2000, metadata={"help": "Rows whose texts are read by the checks."})


@dataclass
class OursForRewards(Ours):
    """The same for GRPO."""

    reward_funcs: list[str] = field(
        default_factory=lambda: ["accuracy", "format"],
        metadata={"help": "Functions of ferbuild.training.rewards, or any by its dotted name."},
    )
    length_words: list[int] = field(
        default_factory=lambda: [LEAST_WORDS, MOST_WORDS],
        metadata={"help": "Fewest and most words of reasoning that `length` pays in full."},
    )


class Chosen(NamedTuple):
    """What a stage is to do."""

    stage: Stage
    args: Any
    """SFTConfig or GRPOConfig."""
    model: ModelConfig
    ours: Any
    """Ours, or OursForRewards."""


def parser_of(stage: Stage) -> TrlParser:
    types = (SFTConfig, ModelConfig, Ours) if stage == "sft" else (GRPOConfig, ModelConfig, OursForRewards)
    return TrlParser(types, prog=f"run.py {stage}", allow_abbrev=False, exit_on_error=False)


def file_values(path: Path, stage: Stage) -> dict[str, Any]:
    """Return the keys of a configuration that are for a stage; FerError where it is none, or none is there."""
    if not path.exists():
        known = sorted(file.stem for file in CONFIGS.glob("*-*.yaml"))
        raise FerError(path, "not found", did_you_mean(path.stem, known) + f", in {CONFIGS}")
    found = read_yaml(path)
    sections = {name: found.get(name) or {} for name in STAGES}
    for name, section in sections.items():
        if not isinstance(section, Mapping):
            raise FerError(
                f"{path}: {name}", "is no mapping of names to values", "indent the stage's own keys below it"
            )
    values = {name: value for name, value in found.items() if name not in STAGES} | dict(sections[stage])
    return {ALIASES.get(str(name), str(name)): value for name, value in values.items()}


def read_options(stage: Stage, config: Path | None, words: Sequence[str], defaults: Mapping[str, Any]) -> Chosen:
    """Return a stage's arguments: `defaults`, then the file's keys, then the flags; FerError for what cannot be."""
    parser = parser_of(stage)
    known = {action.dest for action in parser._actions} - {"help"}
    values = file_values(config, stage) if config else {}
    for name in values:
        if name not in known:
            raise FerError(f"{config}: {name}", f"unknown key for {stage}", did_you_mean(name, {*known, *ALIASES}))
    if config and isinstance(values.get("deepspeed"), str):
        values["deepspeed"] = _beside(config, values["deepspeed"])
    parser.set_defaults_with_config(**{name: _spelt(value) for name, value in (dict(defaults) | values).items()})
    try:
        flags = _unaliased(words)
        for flag in parser.parse_known_args(flags)[1]:
            raise FerError(flag.partition("=")[0], f"unknown option of {stage}", _meant(flag, {*known, *ALIASES}))
        return Chosen(stage, *parser.parse_args_into_dataclasses(flags, look_for_args_file=False))
    except argparse.ArgumentError as err:
        name = (err.argument_name or "").split("/")[0]
        raise FerError(name or config or "options", err.message, "see the file, or --help") from None
    except (ValueError, ImportError) as err:
        raise explained(err, config) from None


def explained(err: Exception, config: Path | None) -> FerError:
    """Return what TRL's arguments refuse, with what to do about it."""
    text = " ".join(str(err).split())
    numbers = re.search(r"batch_size \((\d+)\) must be divisible by num_generations \((\d+)\)", text)
    if numbers:
        batch, rollouts = map(int, numbers.groups())
        fitting = sorted({size for size in range(2, batch + 1) if batch % size == 0})
        hint = (
            "processes x per_device_train_batch_size x gradient_accumulation_steps must be a multiple of it; "
            f"with {batch} it may be {', '.join(map(str, fitting)) or 'nothing'}"
        )
        return FerError("num_generations", f"{rollouts} does not divide the {batch} completions of a step", hint)
    if isinstance(err, ImportError) and "deepspeed" in text:
        return FerError("deepspeed", "needs the package deepspeed", "pip install deepspeed; or leave the key out")
    return FerError(config or "options", text, "change it in the file, or by a flag")


def _spelt(value: Any) -> Any:
    """Return a number as text, which the parser then converts and checks as it does a flag's."""
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _unaliased(words: Sequence[str]) -> list[str]:
    found = []
    for word in words:
        flag, equals, value = word.partition("=")
        name = ALIASES.get(flag.removeprefix("--")) if flag.startswith("--") else None
        found.append(f"--{name}{equals}{value}" if name else word)
    return found


def _meant(flag: str, known: Iterable[str]) -> str:
    names = sorted(known)
    guess = did_you_mean(flag.lstrip("-").partition("=")[0].replace("-", "_"), names)
    return guess if guess.startswith("did you mean") else "see --help"


def _beside(config: Path, name: str) -> str:
    """Return a path of a file in the configuration's own folder, where it is there."""
    path = config.resolve().parent / name
    return str(path) if path.exists() else name


def resolved(chosen: Chosen) -> dict[str, Any]:
    """Return every argument of a run as plain values, TRL's under their own names."""
    ours = {one.name: getattr(chosen.ours, one.name) for one in fields(chosen.ours)}
    model = {one.name: getattr(chosen.model, one.name) for one in fields(chosen.model)}
    return {"stage": chosen.stage, "ours": ours, "model": model, "args": chosen.args.to_dict()}


def launched() -> bool:
    """Tell whether a launcher (accelerate, torchrun) started this process."""
    return "RANK" in os.environ or "LOCAL_RANK" in os.environ
