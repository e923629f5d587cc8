"""Writes a tiny Qwen2.5-VL with random weights and a tokenizer trained on the spot; for tests against real servers.

Run by the Python of an environment that has transformers and torch: `python tiny_vlm.py FOLDER`. It takes a second or
two, and nothing is fetched. What the model says is noise.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

MARKS = ("endoftext", "im_start", "im_end", "vision_start", "vision_end", "vision_pad", "image_pad", "video_pad")
SPECIAL = [f"<|{mark}|>" for mark in MARKS]
TEXT = (
    "You are a helpful assistant. Which expression does the face show? Choose one of: happiness, sadness, fear, anger,"
    " disgust, surprise, neutral. <think>The brows are raised and the mouth is open.</think><answer>fear</answer>"
)
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['content'] is string %}{{ m['content'] }}{% else %}{% for p in m['content'] %}"
    "{% if p['type'] in ('image', 'image_url') %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ p['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tokenizer():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import Qwen2TokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=512, special_tokens=list(SPECIAL), initial_alphabet=alphabet)
    inner.train_from_iterator([TEXT], trainer)
    made = Qwen2TokenizerFast(tokenizer_object=inner, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    made.chat_template = TEMPLATE
    return made


def config(words):
    from transformers import Qwen2_5_VLConfig

    number = words.convert_tokens_to_ids
    rope = {"rope_type": "default", "mrope_section": [4, 6, 6], "rope_theta": 10000.0}
    text = {"vocab_size": 1024, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    text |= {"num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 4096}
    text |= {"rope_scaling": rope, "rope_parameters": rope, "bos_token_id": 0, "eos_token_id": number("<|im_end|>")}
    vision = {"depth": 2, "hidden_size": 64, "intermediate_size": 128, "num_heads": 2, "out_hidden_size": 64}
    vision |= {"patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2, "fullatt_block_indexes": [1]}
    return Qwen2_5_VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=number("<|image_pad|>"),
        video_token_id=number("<|video_pad|>"),
        vision_start_token_id=number("<|vision_start|>"),
        vision_end_token_id=number("<|vision_end|>"),
        tie_word_embeddings=False,
    )


def write(folder):
    import torch
    from transformers import Qwen2_5_VLForConditionalGeneration

    torch.manual_seed(0)
    words = tokenizer()
    Qwen2_5_VLForConditionalGeneration(config(words)).to(torch.float32).save_pretrained(folder)
    words.save_pretrained(folder)
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    picture = {"image_processor_type": "Qwen2VLImageProcessor", "processor_class": "Qwen2_5_VLProcessor"}
    picture |= {"patch_size": 14, "merge_size": 2, "temporal_patch_size": 2, "do_rescale": True, "do_normalize": True}
    picture |= {
        "size": {"shortest_edge": 3136, "longest_edge": 1003520},
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(picture))
    video = {
        "video_processor_type": "Qwen2VLVideoProcessor",
        "patch_size": 14,
        "merge_size": 2,
        "temporal_patch_size": 2,
    }
    (folder / "video_preprocessor_config.json").write_text(json.dumps(video))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
