"""TRL's own trainers on fer-build's shards: what reaches the model, what is learned from, and what a run leaves."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import REPO
from datasets import load_from_disk
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText, AutoProcessor
from trl.data_utils import prepare_multimodal_messages

from ferbuild.builders.errors import FerError
from ferbuild.filters import answer
from ferbuild.training import model_checks, outputs, rewards, stages
from ferbuild.training.data_checks import open_data

END = "<|im_end|>\n"


@pytest.fixture
def build(choose):
    """The trainer of a stage, as a run makes it, and its options."""

    def trainer(stage, *words, **files):
        chosen = choose(stage, *words, **files)
        data = open_data(chosen.ours.data, stage, "train", None)
        processor = model_checks.load_processor(chosen)
        funcs = stages.rewards_of(chosen) if stage == "grpo" else []
        return stages.trainer_of(chosen, data, processor, funcs)

    return trainer


def own_pixels(processor, row) -> torch.Tensor:
    return processor.image_processor(images=row["images"], return_tensors="pt")["pixel_values"]


def test_every_examples_picture_reaches_the_model_and_only_the_completion_is_learned(build, work):
    trainer = build("sft", "--per_device_train_batch_size", 6)
    rows = [trainer.train_dataset[at] for at in range(6)]
    batch = trainer.data_collator([dict(row) for row in rows])
    processor = trainer.processing_class
    pictures = batch["pixel_values"].reshape(6, -1, batch["pixel_values"].shape[-1])
    for at, row in enumerate(rows):
        assert torch.equal(pictures[at], own_pixels(processor, row)), at
    assert len({picture.sum().item() for picture in pictures}) == 6
    assert (batch["input_ids"] == processor.image_token_id).sum(1).tolist() == [16] * 6
    for at, row in enumerate(rows):
        learned = batch["labels"][at][batch["labels"][at] != -100]
        assert processor.tokenizer.decode(learned) == row["completion"][0]["content"] + END
        assert not torch.isin(learned, torch.tensor([processor.image_token_id, processor.tokenizer.pad_token_id])).any()


def test_the_loss_depends_on_every_examples_picture(build):
    trainer = build("sft", "--per_device_train_batch_size", 4)
    batch = trainer.data_collator([dict(trainer.train_dataset[at]) for at in range(4)])
    batch["pixel_values"].requires_grad_(True)
    trainer.model(**batch).loss.backward()
    moved = batch["pixel_values"].grad.reshape(4, -1).abs().sum(1)
    assert (moved > 0).all()


def test_grpo_shows_each_prompt_with_its_own_picture(build, monkeypatch):
    trainer = build("grpo", "--per_device_train_batch_size", 8, "--num_generations", 2, "--max_steps", 1)
    seen = {}
    generate = trainer.model.generate

    def spy(**inputs):
        seen.update({name: value.clone() for name, value in inputs.items() if isinstance(value, torch.Tensor)})
        return generate(**inputs)

    monkeypatch.setattr(trainer.model, "generate", spy)
    rows = [trainer.train_dataset[at // 2] for at in range(8)]
    trainer.model.train()
    trainer._generate_and_score_completions(rows)
    pictures = seen["pixel_values"].reshape(8, -1, seen["pixel_values"].shape[-1])
    for at, row in enumerate(rows):
        assert torch.allclose(pictures[at], own_pixels(trainer.processing_class, row)), at
    text = trainer.processing_class.tokenizer.batch_decode(seen["input_ids"])
    assert all(one.count("<|image_pad|>") == 16 for one in text)
    assert all(one.rstrip().endswith("<|im_start|>assistant") for one in text), "nothing is cut off on either side"


def test_sft_and_grpo_ask_in_the_same_words(build, work):
    """The published scripts had a system message in one stage and none in the other."""
    sft, grpo = build("sft"), build("grpo")
    row = dict(sft.train_dataset[0])
    batch = sft.data_collator([dict(row)])
    prompt = batch["input_ids"][0][batch["labels"][0] == -100]
    messages = prepare_multimodal_messages(row["prompt"], images=row["images"])
    asked = grpo.processing_class.apply_chat_template(
        [messages], tokenize=True, return_dict=True, add_generation_prompt=True
    )["input_ids"][0]
    assert prompt.tolist() == list(asked)


def test_there_is_one_parser():
    assert rewards.read is answer.read


@pytest.fixture(scope="module")
def ran(work, tiny, tmp_path_factory):
    """A short SFT run through the command line, with checkpoints."""
    out = tmp_path_factory.mktemp("ran") / "sft"
    return out, command("sft", work, tiny, out, *STEPS)


STEPS = ("--max_steps", 6, "--save_strategy", "steps", "--save_steps", 2, "--logging_steps", 1)


def command(stage, work, model, out, *words) -> subprocess.CompletedProcess[str]:
    flags = ["--config", REPO / "training/configs/tiny-cpu.yaml", "--data", work, "--model", model, "--out", out]
    line = [sys.executable, REPO / "training" / "run.py", stage, *flags, *words]
    env = os.environ | {"HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [str(word) for word in line], capture_output=True, text=True, env=env, cwd=out.parent, timeout=280
    )


def test_a_run_leaves_a_model_that_transformers_loads_and_says_what_it_was(ran, work, tiny):
    out, done = ran
    assert done.returncode == 0, done.stderr
    model = AutoModelForImageTextToText.from_pretrained(out / "model")
    processor = AutoProcessor.from_pretrained(out / "model")
    row = load_from_disk(str(work / "rlvr"))["train"][0]
    asked = [prepare_multimodal_messages(row["prompt"], images=row["images"])]
    made = processor.apply_chat_template(
        asked, tokenize=True, return_dict=True, return_tensors="pt", add_generation_prompt=True
    )
    assert model.generate(**made, max_new_tokens=2).shape[1] == made["input_ids"].shape[1] + 2
    before, after = load_file(tiny / "model.safetensors"), load_file(out / "model" / "model.safetensors")
    assert before.keys() == after.keys() and any(not torch.equal(before[name], after[name]) for name in before)
    told = outputs.read_run(out)
    data = load_from_disk(str(work / "cot"))["train"]
    assert told["run"]["data"] == {"train": data._fingerprint} and told["seed"] == 0
    assert told["config"]["args"]["learning_rate"] == 1.5e-3 and told["config"]["args"]["max_length"] is None
    assert {"torch", "trl", "transformers", "fer-build"} <= told["versions"].keys()


def test_a_finished_run_is_not_run_again(ran, work, tiny):
    out, _ = ran
    before = (out / "model" / "model.safetensors").stat().st_mtime_ns
    again = command("sft", work, tiny, out, *STEPS)
    assert again.returncode == 0 and "is finished" in again.stderr
    assert (out / "model" / "model.safetensors").stat().st_mtime_ns == before


ADAPTERS = ("--use_peft", "true", "--lora_target_modules", "all-linear", "--lora_r", 4)


@pytest.mark.parametrize("more", [(), ADAPTERS], ids=["full", "adapters"])
def test_an_interrupted_run_goes_on_from_its_last_whole_checkpoint_to_the_same_model(choose, tmp_path, more):
    stages.train(choose("sft", *STEPS, *more, out=tmp_path / "through"))
    shutil.copytree(tmp_path / "through", tmp_path / "out")
    (tmp_path / "out" / "model").rename(tmp_path / "out" / "model.part")  # killed at the last move: adapters lie there
    (tmp_path / "out" / "model.part" / "model-00002-of-00002.safetensors").write_bytes(b"half of it")
    (tmp_path / "out" / "checkpoint-6" / "trainer_state.json").unlink()
    weights = next((tmp_path / "out" / "checkpoint-4").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-100])
    stages.train(choose("sft", *STEPS, *more))
    aside = {path.name for path in (tmp_path / "out").glob("*.incomplete")}
    assert aside == {"checkpoint-4.incomplete", "checkpoint-6.incomplete"}
    losses = []
    for folder in ("through", "out"):
        history = json.loads((tmp_path / folder / "trainer_state.json").read_text())["log_history"]
        losses.append({one["step"]: one["loss"] for one in history if "loss" in one})
    assert losses[0].keys() == losses[1].keys() == {1, 2, 3, 4, 5, 6}
    assert losses[1] == pytest.approx(losses[0], rel=1e-3), "what was trained is what is gone on with"
    models = [tmp_path / folder / "model" for folder in ("through", "out")]
    assert sorted(path.name for path in models[0].iterdir()) == sorted(path.name for path in models[1].iterdir())
    one, other = (load_file(model / "model.safetensors") for model in models)
    assert all(torch.allclose(one[name], other[name], atol=1e-4) for name in one)


def test_another_dataset_does_not_go_into_a_run_begun(ran, choose, work, tmp_path):
    out, _ = ran
    rows = load_from_disk(str(work / "cot"))
    rows["train"] = rows["train"].select(range(10))
    rows.save_to_disk(str(tmp_path / "fewer"))
    with pytest.raises(FerError, match="begun with another dataset"):
        stages.train(choose("sft", data=tmp_path / "fewer", out=out))


def test_errors_are_two_lines_and_exit_with_two(work, tiny, tmp_path):
    done = command("grpo", work / "cot", tiny, tmp_path / "out")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    lines = done.stderr.strip().splitlines()[-2:]
    assert lines[0].endswith("is a cot dataset, and grpo takes rlvr") and lines[1].startswith("  name the rlvr folder")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("can't allocate memory"),
        torch.AcceleratorError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
    ids=["torch", "host", "driver", "cublas"],
)
@pytest.mark.parametrize("stage", ["sft", "grpo"])
def test_out_of_memory_says_what_to_lower(choose, monkeypatch, error, stage):
    class Full:
        def train(self, resume_from_checkpoint):
            raise error

    monkeypatch.setattr(stages, "trainer_of", lambda *words: Full())
    with pytest.raises(FerError, match="out of memory") as caught:
        stages.train(choose(stage))
    assert "per_device_train_batch_size" in caught.value.hint
    assert ("num_generations" in caught.value.hint) == (stage == "grpo")


def test_any_other_error_is_not_called_a_lack_of_memory():
    with pytest.raises(RuntimeError, match="shapes"), stages.out_of_memory("sft"):
        raise RuntimeError("shapes do not fit")


REWARD = "def short(completions, **columns):\n    return [-float(len(one[0]['content'])) for one in completions]\n"


def test_grpo_logs_parts_classes_and_a_table_and_takes_a_reward_of_ones_own(choose, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine_for_test.py").write_text(REWARD)
    funcs = ("accuracy", "format", "length", "mine_for_test.short")
    words = ("--reward_funcs", *funcs, "--reward_weights", 1, 0.2, 0.1, 0, "--max_steps", 2, "--logging_steps", 1)
    stages.train(choose("grpo", *words, "--per_device_train_batch_size", 8, "--report_to", "tensorboard"))
    state = json.loads((tmp_path / "out" / "trainer_state.json").read_text())
    logged = {name for one in state["log_history"] for name in one}
    assert {f"rewards/{name.rpartition('.')[2]}/mean" for name in funcs} <= logged
    assert {"completions/mean_length", "frac_reward_zero_std", "reward_std"} <= logged
    labels = {"happiness", "sadness", "surprise", "anger"}
    for prefix in ("accuracy", "zero_variance"):
        assert {name.partition("/")[2] for name in logged if name.startswith(f"{prefix}/")} <= labels
        assert any(name.startswith(f"{prefix}/") for name in logged)
    tables = sorted((tmp_path / "out" / "completions").glob("*.parquet"))
    assert len(tables) == 2
    table = pd.read_parquet(tables[0])
    assert {"prompt", "completion", "accuracy", "format", "short", "class", "read", "status", "advantage"} <= {*table}
    assert len(table) == 8 and np.isfinite(table["short"]).all()
    assert list((tmp_path / "out").rglob("events.out.tfevents.*"))


def test_adapters_are_merged_into_a_model_that_loads(choose, tiny, tmp_path):
    words = ("--use_peft", "true", "--lora_target_modules", "all-linear", "--lora_exclude_modules", ".*visual.*")
    stages.train(choose("sft", *words, "--lora_r", 4, "--max_steps", 3))
    adapter = load_file(tmp_path / "out" / "adapter" / "adapter_model.safetensors")
    assert adapter and not [name for name in adapter if "visual" in name]
    before, after = (load_file(folder / "model.safetensors") for folder in (tiny, tmp_path / "out" / "model"))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert before.keys() == after.keys() and changed and not [name for name in changed if "visual" in name]
    AutoModelForImageTextToText.from_pretrained(tmp_path / "out" / "model")
    AutoProcessor.from_pretrained(tmp_path / "out" / "model")


def test_both_stages_run_one_after_the_other(work, tiny, tmp_path):
    config = tmp_path / "short.yaml"
    text = (REPO / "training/configs/tiny-cpu.yaml").read_text()
    config.write_text(re.sub(r"max_steps: \d+", "max_steps: 1", text))
    (tmp_path / "fer-build.yaml").write_text(f"work: {work}\n")
    line = [sys.executable, str(REPO / "training" / "run.py"), "--config", str(config), "--model", str(tiny)]
    line += ["--out", str(tmp_path / "models")]
    done = subprocess.run(line, capture_output=True, text=True, cwd=tmp_path, timeout=280)
    assert done.returncode == 0, done.stderr
    for stage in ("sft", "grpo"):
        assert outputs.finished(tmp_path / "models" / stage)
    told = outputs.read_run(tmp_path / "models" / "grpo")
    assert told["run"]["model"] == str(tmp_path / "models" / "sft" / "model")
    assert told["data"] == str(work / "rlvr")


@pytest.mark.parametrize("stage", ["sft", "grpo"])
def test_trl_itself_runs_on_the_folders(stage, work, tiny, tmp_path):
    flags = {
        "model_name_or_path": tiny,
        "dataset_name": work / {"sft": "cot", "grpo": "rlvr"}[stage],
        "output_dir": tmp_path / "out",
        "max_steps": 1,
        "use_cpu": "true",
        "bf16": "false",
        "report_to": "none",
        "per_device_train_batch_size": 8,
    }
    flags |= {"max_length": "none"} if stage == "sft" else {"max_completion_length": 4}
    words = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    if stage == "grpo":
        words += ["--reward_funcs", "ferbuild.training.rewards.accuracy", "ferbuild.training.rewards.format"]
    env = os.environ | {"HF_DATASETS_CACHE": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1"}
    line = [str(Path(sys.executable).with_name("trl")), stage, *words]
    done = subprocess.run(line, capture_output=True, text=True, env=env, cwd=tmp_path, timeout=280)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "out" / "model.safetensors").exists()
