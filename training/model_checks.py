"""Whether a model fits a dataset and this machine, found out from its configuration and processor, not its weights."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import pyarrow.compute as pc
import torch
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES as VISION_MODELS
from trl.data_utils import prepare_multimodal_messages

from ferbuild.builders.errors import FerError
from ferbuild.training.data_checks import picked
from ferbuild.training.options import Chosen

FEW_TOKENS = 16
"""Visual tokens below which a picture tells little: 48 pixels make 4 of them, 112 make 16."""
MEASURED_ROWS = 48
"""Rows that are put through the processor: those with the longest texts, the largest pictures, and some between."""


class Tokens(NamedTuple):
    """What the processor makes of some rows; tokens."""

    most: int
    median: float
    picture: tuple[int, int]
    """Fewest and most of one picture."""


def check_model(path: str, *, revision: str | None = None, trusted: bool = False) -> Any:
    """Return a model's configuration; FerError where there is none, or where it takes no pictures."""
    if (Path(path) / "adapter_config.json").exists() and not (Path(path) / "config.json").exists():
        raise FerError(path, "is an adapter, not a model", "name the folder `model` of its run: it is merged there")
    try:
        config = AutoConfig.from_pretrained(path, revision=revision, trust_remote_code=trusted)
    except (OSError, ValueError, KeyError) as err:
        hint = "name a model folder, or the id of a model on the Hub (which must be reachable, or in the cache)"
        raise FerError(path, f"no model there: {str(err).splitlines()[0]}", hint) from None
    if config.model_type not in VISION_MODELS and not trusted:
        problem = f"is no vision-language model ({config.model_type}): it cannot see a face"
        raise FerError(path, problem, "name one that takes pictures, as Qwen/Qwen2.5-VL-7B-Instruct")
    return config


def load_processor(chosen: Chosen) -> Any:
    """Return the model's processor, its pictures bounded as the run asks; FerError where it has none."""
    path, ours = chosen.model.model_name_or_path, chosen.ours
    try:
        processor = AutoProcessor.from_pretrained(
            path,
            revision=chosen.model.model_revision,
            trust_remote_code=chosen.args.trust_remote_code,
            padding_side="left" if chosen.stage == "grpo" else "right",
        )
    except (OSError, ValueError, ImportError) as err:
        hint = "the folder must hold the processor beside the weights; copy it from the model it was made of"
        raise FerError(path, f"its processor cannot be loaded: {str(err).splitlines()[0]}", hint) from None
    if not hasattr(processor, "image_processor"):
        raise FerError(path, "has a tokenizer, but nothing that reads pictures", "copy the base model's processor")
    bounds = {"shortest_edge": ours.min_pixels, "longest_edge": ours.max_pixels}
    bounds = {name: value for name, value in bounds.items() if value is not None}
    if bounds:
        _bound(processor.image_processor, bounds, path)
    return processor


def _bound(image_processor: Any, bounds: Mapping[str, int], path: str) -> None:
    """Set the processor's bounds on a picture, in pixels in all: they are saved with the model, so that it is served
    the same pictures."""
    size = dict(image_processor.size)
    if not {"shortest_edge", "longest_edge"} <= set(size):
        hint = "leave them out, and set the recipe's enlarge_to in fer-build instead"
        raise FerError(path, "its processor has no min_pixels and max_pixels", hint)
    size |= bounds
    if size["shortest_edge"] > size["longest_edge"]:
        raise FerError("min_pixels", f"{size['shortest_edge']:,} is above max_pixels {size['longest_edge']:,}", "")
    image_processor.size = {name: size[name] for name in ("shortest_edge", "longest_edge")}


def measure_tokens(dataset: Any, processor: Any, stage: str) -> Tokens:
    """Return how many tokens the longest rows take, pictures and all, as the processor counts them."""
    counts, pictures = [], []
    for at in _telling(dataset, stage):
        row = dataset[at]
        ids = tokens_of(row, processor, stage)
        counts.append(len(ids))
        pictures.append(ids.count(processor.image_token_id) // len(row["images"]))
    return Tokens(max(counts), median(counts), (min(pictures), max(pictures)))


def tokens_of(row: Mapping[str, Any], processor: Any, stage: str) -> list[int]:
    """Return the token ids of a row as the trainer sees it."""
    messages = prepare_multimodal_messages(row["prompt"], images=row["images"])
    if stage == "sft":
        messages = messages + prepare_multimodal_messages(row["completion"])
    made = processor.apply_chat_template(
        [messages], tokenize=True, return_dict=True, add_generation_prompt=stage == "grpo"
    )
    return list(made["input_ids"][0])


def _telling(dataset: Any, stage: str) -> list[int]:
    """Return the rows to measure: a third with the longest texts, a third with the largest files, a third between."""
    third = MEASURED_ROWS // 3
    table = dataset.data.table if dataset._indices is None else dataset.with_format("arrow")[:]
    text = table["completion" if stage == "sft" else "prompt"]
    found: set[int] = set(picked(table.num_rows, third))
    for column, name in ((text, "content"), (table["images"], "bytes")):
        found |= set(_longest(column, name, third))
    return sorted(found)


def _longest(column: Any, name: str, rows: int) -> list[int]:
    """Return the rows whose first element of a list of structs is longest in `name`; only offsets are read."""
    sizes = [pc.fill_null(pc.binary_length(pc.list_element(chunk, 0).field(name)), 0) for chunk in column.chunks]
    lengths = np.concatenate([size.to_numpy(zero_copy_only=False) for size in sizes])
    return [int(at) for at in np.argsort(-lengths, kind="stable")[:rows]]


def check_tokens(found: Tokens, config: Any, chosen: Chosen) -> None:
    """FerError where the longest row would not fit the context, or would be cut."""
    args, room = chosen.args, context_of(config)
    rollout = (args.max_completion_length or 0) if chosen.stage == "grpo" else 0
    if found.most + rollout > room:
        reply = f" and {rollout:,} for the reply" if rollout else ""
        problem = f"the longest row takes {found.most:,} tokens{reply}"
        hint = "lower max_pixels or max_completion_length, or drop the longest rows (filter `too_long`)"
        raise FerError(chosen.model.model_name_or_path, f"{problem}; the context is {room:,}", hint)
    cut = getattr(args, "max_length", None) if chosen.stage == "sft" else None
    if cut is not None and found.most > cut:
        problem = f"{cut} cuts answers: the longest row takes {found.most:,} tokens"
        raise FerError("max_length", problem, "write `max_length: null`")


def context_of(config: Any) -> int:
    """Return the model's context in tokens."""
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    return int(getattr(text, "max_position_embeddings", 0) or 2**31)


def parameters(config: Any) -> int:
    """Return how many parameters a model of this configuration has; no memory is taken for them."""
    with torch.device("meta"):
        model = AutoModelForImageTextToText.from_config(config)
    return sum(one.numel() for one in model.parameters())


def disk_needed(chosen: Chosen, count: int, steps: int) -> int:
    """Return the bytes that checkpoints and the finished model of a run will take, estimated from the parameters.

    A checkpoint holds the weights and Adam's two moments, under DeepSpeed in 32 bits with a copy of the weights; one
    with adapters holds their like, taken as a hundredth. Old checkpoints leave only after the new one is written.
    """
    args = chosen.args
    width = 4 if dtype_of(chosen) == "float32" else 2
    state = 0 if args.save_only_model else 12 if args.deepspeed else 2 * width
    one = count * (width + state) * (0.01 if chosen.model.use_peft else 1)
    every = args.save_steps if str(args.save_strategy) in ("steps", "SaveStrategy.STEPS") else steps
    written = 0 if "no" in str(args.save_strategy).lower() else math.ceil(steps / max(1, int(every) or 1))
    kept = min(written, (args.save_total_limit or written) + 1)
    return int(kept * one + count * width)


def check_disk(out: Path, needed: int) -> None:
    """FerError where the disk of the output folder has less room than a run will need."""
    place = next(folder for folder in (out, *out.resolve().parents) if folder.exists())
    free = shutil.disk_usage(place).free
    if free < needed:
        problem = f"has {free / 1e9:.1f} GB free, and the run will write about {needed / 1e9:.1f} GB"
        raise FerError(place, problem, "free some, name another --out, or lower save_total_limit")


def dtype_of(chosen: Chosen) -> str:
    """Return the type the weights are loaded in: TRL's own default is float32."""
    given = (chosen.args.model_init_kwargs or {}).get("dtype", chosen.model.dtype)
    return str(given or "float32")
