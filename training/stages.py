"""The two stages: everything is checked, then TRL's own trainer trains, then the model is written whole.

SFT takes the cot dataset, GRPO the rlvr dataset; neither is copied or turned into lists.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import logging
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForImageTextToText
from trl import GRPOTrainer, SFTTrainer, get_peft_config, get_quantization_config

from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.training import model_checks, outputs, rewards
from ferbuild.training.data_checks import Data, check_data, is_baseline, open_data
from ferbuild.training.options import Chosen, launched, resolved
from ferbuild.training.rollouts import check_rollouts

log = logging.getLogger(__name__)

REWARDS = ("accuracy", "format", "soft_accuracy", "grounding", "length")
LOWER = {
    "sft": "per_device_train_batch_size (and raise gradient_accumulation_steps), max_pixels, or take lora-1gpu.yaml, "
    "`deepspeed: zero3.json`, or `activation_offloading: true`",
    "grpo": "per_device_train_batch_size, num_generations, max_completion_length or max_pixels, or take lora-1gpu.yaml "
    "or `deepspeed: zero3.json`",
}
"""What to lower where memory runs out."""
FULL = ("allocate memory", "out of memory", "ALLOC_FAILED")
"""How a RuntimeError of torch on the CPU, of CUDA, and of cuBLAS says that memory is lacking."""


def train(chosen: Chosen) -> Path:
    """Run a stage and return the folder of its model; FerError, before any model is loaded, for what cannot work."""
    out = Path(chosen.args.output_dir)
    check_surroundings(chosen)
    funcs = rewards_of(chosen) if chosen.stage == "grpo" else []
    data = open_data(chosen.ours.data, chosen.stage, chosen.ours.split, chosen.ours.eval_split)
    check_data(data, chosen.stage, chosen.ours.checked_rows)
    if is_baseline(data.train):
        log.warning("%s holds reasoning of the embedded baseline, which is for trying the tool", data.name)
    processor = check_model(chosen, data)
    told = outputs.described(resolved(chosen), data.fingerprints, data.name)
    with chosen.args.main_process_first(desc="the run's folder"):
        if chosen.args.process_index == 0:
            outputs.begin(out, told)
        checkpoint = outputs.last_checkpoint(out)
    if outputs.finished(out):
        log.info("%s is finished", out / outputs.MODEL)
        return out / outputs.MODEL
    log.info("%s from %s", "going on" if checkpoint else "starting", checkpoint or chosen.model.model_name_or_path)
    with out_of_memory(chosen.stage):
        trainer = trainer_of(chosen, data, processor, funcs)
        if checkpoint:
            take_up(trainer, checkpoint)
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        return finish(trainer, chosen, out)


def check_surroundings(chosen: Chosen) -> None:
    """FerError for packages that are missing and for a process that sees several GPUs."""
    args = chosen.args
    wanted = [args.report_to] if isinstance(args.report_to, str) else list(args.report_to or [])
    packages = {name: name for name in wanted if name in ("tensorboard", "wandb", "trackio")}
    packages |= {"deepspeed": "deepspeed"} if args.deepspeed else {}
    packages |= {"bitsandbytes": "load_in_4bit"} if chosen.model.load_in_4bit or chosen.model.load_in_8bit else {}
    for package, key in packages.items():
        if importlib.util.find_spec(package) is None:
            raise FerError(key, f"needs the package {package}", f"pip install {package}")
    if args.n_gpu > 1 and not launched():
        problem = f"one process sees {args.n_gpu} GPUs, which TRL does not train on"
        raise FerError("GPUs", problem, f"--processes {args.n_gpu} starts one a GPU; or set CUDA_VISIBLE_DEVICES=0")


def check_model(chosen: Chosen, data: Data) -> Any:
    """Return the processor of a model that fits the data and the disk; FerError where it does not."""
    args, path = chosen.args, chosen.model.model_name_or_path
    if not path:
        first = "run the sft stage first, or name one: " if chosen.stage == "grpo" else ""
        raise FerError("model", "none is named", f"{first}--model Qwen/Qwen2.5-VL-7B-Instruct, or the folder of one")
    config = model_checks.check_model(path, revision=chosen.model.model_revision, trusted=args.trust_remote_code)
    processor = model_checks.load_processor(chosen)
    tokens = model_checks.measure_tokens(data.train, processor, chosen.stage)
    model_checks.check_tokens(tokens, config, chosen)
    log.info("rows take up to %d tokens (median %g), a picture %d to %d", tokens.most, tokens.median, *tokens.picture)
    if tokens.picture[0] < model_checks.FEW_TOKENS:
        log.warning("a picture makes %d tokens: min_pixels 50176 enlarges it to 224 x 224", tokens.picture[0])
    needed = model_checks.disk_needed(chosen, model_checks.parameters(config), steps_of(chosen, len(data.train)))
    model_checks.check_disk(Path(args.output_dir), needed)
    check_rollouts(chosen, data.train, processor)
    return processor


def steps_of(chosen: Chosen, rows: int) -> int:
    """Return how many optimizer steps a run will take."""
    args = chosen.args
    if args.max_steps > 0:
        return int(args.max_steps)
    rollouts = args.num_generations if chosen.stage == "grpo" else 1
    batch = args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size
    return max(1, int(rows * rollouts * args.num_train_epochs / batch))


def rewards_of(chosen: Chosen) -> list[Callable[..., Any]]:
    """Return the reward functions that are named; FerError where there is none, or their weights do not fit."""
    names: Sequence[str] = chosen.ours.reward_funcs
    found = [_reward(name, chosen.ours.length_words) for name in names]
    weights = chosen.args.reward_weights
    if weights is not None and len(weights) != len(names):
        problem = f"{len(weights)} weights for {len(names)} rewards ({', '.join(names)})"
        raise FerError("reward_weights", problem, "name one a reward, in their order")
    return found


def _reward(name: str, words: Sequence[int]) -> Callable[..., Any]:
    if name == "length":
        return partial(rewards.length, least=words[0], most=words[1])
    if name in REWARDS:
        return getattr(rewards, name)  # type: ignore[no-any-return]
    module, dot, function = name.rpartition(".")
    if not dot:
        raise FerError("reward_funcs", f"no reward is called {name!r}", did_you_mean(name, REWARDS))
    sys.path.insert(0, str(Path.cwd()))
    try:
        return getattr(importlib.import_module(module), function)  # type: ignore[no-any-return]
    except (ImportError, AttributeError) as err:
        raise FerError(
            "reward_funcs", f"{name} cannot be imported: {err}", "write it as package.module.function"
        ) from None


def trainer_of(chosen: Chosen, data: Data, processor: Any, funcs: list[Callable[..., Any]]) -> Any:
    """Return TRL's trainer, the model loaded into it as TRL's own scripts do."""
    args, model = chosen.args, chosen.model
    loading = {"revision": model.model_revision, "attn_implementation": model.attn_implementation, "dtype": model.dtype}
    args.model_init_kwargs = loading | (args.model_init_kwargs or {})
    adapters = get_peft_config(model)
    if adapters is not None:
        adapters.exclude_modules = chosen.ours.lora_exclude_modules
    given = {
        "model": model.model_name_or_path,
        "args": args,
        "train_dataset": data.train,
        "eval_dataset": data.evaluation if args.eval_strategy != "no" else None,
        "processing_class": processor,
        "quantization_config": get_quantization_config(model),
        "peft_config": adapters,
    }
    return SFTTrainer(**given) if chosen.stage == "sft" else GRPOTrainer(reward_funcs=funcs, **given)


def take_up(trainer: Any, checkpoint: Path) -> None:
    """Load the weights of a checkpoint into a trainer's model.

    Trainer itself looks for them under the model's own names, while they are saved under those of the first release,
    and so goes on with the base model's (huggingface/transformers#43701). DeepSpeed and adapters keep their names.
    """
    if trainer.args.deepspeed or not (checkpoint / "config.json").exists():
        return
    whole = type(trainer.model).from_pretrained(checkpoint, dtype=trainer.model.dtype)
    trainer.model.load_state_dict(whole.state_dict())


def finish(trainer: Any, chosen: Chosen, out: Path) -> Path:
    """Write the model that transformers and vLLM load, adapters merged into it, and return its folder."""
    part = out / f"{outputs.MODEL}.part"
    if chosen.args.process_index == 0:  # what a run that was killed here had written
        for rest in (part, out / "adapter"):
            shutil.rmtree(rest, ignore_errors=True)
    trainer.accelerator.wait_for_everyone()
    trainer.save_model(str(part))
    trainer.save_state()
    trainer.end()
    if chosen.args.process_index == 0:
        if chosen.model.use_peft:
            part.replace(out / "adapter")
            merge(chosen, out / "adapter", part, trainer.processing_class)
        part.replace(out / outputs.MODEL)
    trainer.accelerator.wait_for_everyone()
    log.info("the model is in %s", out / outputs.MODEL)
    return out / outputs.MODEL


def merge(chosen: Chosen, adapter: Path, out: Path, processor: Any) -> None:
    """Write the base model with an adapter merged into it; it is read anew: the trained one may be quantized."""
    dtype = getattr(torch, model_checks.dtype_of(chosen), "auto")
    base = AutoModelForImageTextToText.from_pretrained(
        chosen.model.model_name_or_path, revision=chosen.model.model_revision, dtype=dtype
    )
    PeftModel.from_pretrained(base, str(adapter)).merge_and_unload().save_pretrained(out)
    processor.save_pretrained(out)


@contextmanager
def out_of_memory(stage: str) -> Iterator[None]:
    """Turn a lack of memory into a FerError that says what to lower."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as err:
        text = str(err)
        if not isinstance(err, torch.OutOfMemoryError | MemoryError) and not any(one in text for one in FULL):
            raise
        gc.collect()
        hint = f"lower {LOWER[stage]}; the last checkpoint is kept, and the same command goes on from it"
        raise FerError(stage, f"out of memory ({text.splitlines()[0] if text else 'host memory'})", hint) from None
