"""A tiny random Qwen2.5-VL with the real chat template: trains on a CPU in seconds, offline, and knows nothing.

It stands in for the 7B model in the tests and in `make train-demo`.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)

SPECIAL = {
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
    "vision_bos_token": "<|vision_start|>",
    "vision_eos_token": "<|vision_end|>",
}
"""Tokens that Qwen2.5-VL's processor asks its tokenizer for."""
PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
VOCABULARY = 1024
CONTEXT = 4096  # tokens
SPREAD = 0.15
"""Of the random weights. Qwen's 0.02 is for thousands of units: with 64 all attention would begin as a plain mean, and
the picture's few tokens drown among the words."""


def write_tiny_model(folder: Path, texts: Iterable[str], *, hidden: int = 64, layers: int = 2, seed: int = 0) -> int:
    """Write a random model and its processor; return its number of parameters.

    texts: what the tokenizer is trained on, so that a label or a tag becomes one or a few tokens.
    """
    tokenizer = _tokenizer(texts)
    torch.manual_seed(seed)
    model = Qwen2_5_VLForConditionalGeneration(_config(tokenizer, hidden, layers))
    model.generation_config.eos_token_id = [tokenizer.eos_token_id]
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    processor = Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(size={"shortest_edge": 56 * 56, "longest_edge": 224 * 224}),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(),
        chat_template=chat_template(),
    )
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return sum(one.numel() for one in model.parameters())


def chat_template() -> str:
    """Return Qwen2.5-VL's own, which TRL ships."""
    return (resources.files("trl") / "chat_templates" / "qwen2_5_vl.jinja").read_text()


def _tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = [PAD, START, END, *SPECIAL.values()]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        eos_token=END,
        pad_token=PAD,
        extra_special_tokens=SPECIAL,
        model_max_length=CONTEXT,
        chat_template=chat_template(),
    )


def _config(tokenizer: PreTrainedTokenizerFast, hidden: int, layers: int) -> Qwen2_5_VLConfig:
    ids = {name: tokenizer.convert_tokens_to_ids(token) for name, token in SPECIAL.items()}
    heads = 4
    sections = [hidden // heads // 8, *[hidden // heads // 16 * 3] * 2]  # time, height, width: halves of a head
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": hidden,
        "intermediate_size": 2 * hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT,
        "rope_parameters": {"rope_type": "default", "mrope_section": sections, "rope_theta": 10000.0},
        "bos_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "tie_word_embeddings": True,
        "initializer_range": SPREAD,
    }
    vision = {
        "depth": 2,
        "hidden_size": hidden // 2,
        "intermediate_size": hidden,
        "num_heads": 2,
        "out_hidden_size": hidden,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "window_size": 112,
        "fullatt_block_indexes": [1],
        "initializer_range": SPREAD,
    }
    return Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=ids["image_token"],
        video_token_id=ids["video_token"],
        vision_start_token_id=ids["vision_bos_token"],
        vision_end_token_id=ids["vision_eos_token"],
        tie_word_embeddings=True,
    )
