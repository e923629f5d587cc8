"""Whether a model fits is told from its configuration and processor; a run that cannot work ends before its weights."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple

import pytest
import torch
from datasets import load_from_disk
from transformers import AutoModelForImageTextToText, AutoProcessor, Qwen2Config

from ferbuild.builders.errors import FerError
from ferbuild.training import model_checks, stages
from ferbuild.training.data_checks import open_data

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def never_loaded(monkeypatch):
    """No weights may be read: they would take minutes."""

    def loaded(*words, **options):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr(torch.nn.Module, "load_state_dict", loaded)
    monkeypatch.setattr(AutoModelForImageTextToText, "from_pretrained", loaded)
    monkeypatch.setattr(stages, "trainer_of", loaded)


def refused(chosen) -> FerError:
    with pytest.raises(FerError) as caught:
        stages.train(chosen)
    return caught.value


def test_a_language_model_is_refused(choose, tmp_path, never_loaded):
    Qwen2Config().save_pretrained(tmp_path / "text")
    error = refused(choose("sft", model=tmp_path / "text"))
    assert error.problem == "is no vision-language model (qwen2): it cannot see a face"
    assert not (tmp_path / "out").exists()


def test_a_folder_without_a_model_is_named(choose, tmp_path, never_loaded):
    assert "no model there" in refused(choose("sft", model=tmp_path / "nothing")).problem


def test_an_adapter_is_no_model(choose, tmp_path, never_loaded):
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text("{}")
    assert refused(choose("grpo", model=tmp_path / "adapter")).problem == "is an adapter, not a model"


def test_a_model_without_its_processor_is_named(choose, tiny, tmp_path, never_loaded):
    (tmp_path / "bare").mkdir()
    shutil.copy(tiny / "config.json", tmp_path / "bare")
    error = refused(choose("sft", model=tmp_path / "bare"))
    assert "processor" in error.problem and error.where == str(tmp_path / "bare")


def test_the_other_stages_dataset_is_refused_before_the_model(choose, work, never_loaded):
    assert refused(choose("sft", data=work / "rlvr")).problem == "is an rlvr dataset, and sft takes cot"


def test_a_row_longer_than_the_context_is_refused(choose, tiny, tmp_path, never_loaded):
    shutil.copytree(tiny, tmp_path / "short")
    config = json.loads((tmp_path / "short" / "config.json").read_text())
    config["text_config"]["max_position_embeddings"] = 170
    (tmp_path / "short" / "config.json").write_text(json.dumps(config))
    assert "the context is 170" in refused(choose("sft", model=tmp_path / "short")).problem
    error = refused(choose("grpo", model=tmp_path / "short"))
    assert "24 for the reply; the context is 170" in error.problem


def test_a_length_that_would_cut_answers_is_refused(choose, never_loaded):
    error = refused(choose("sft", "--max_length", 100))
    assert (error.where, error.hint) == ("max_length", "write `max_length: null`")
    assert error.problem.startswith("100 cuts answers")


def test_a_full_disk_is_told_before_training(choose, monkeypatch, never_loaded):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 10**9, 10**6))
    words = ("--save_strategy", "steps", "--save_steps", 10, "--save_total_limit", 2)
    error = refused(choose("sft", *words))
    assert "has 0.0 GB free" in error.problem and "save_total_limit" in error.hint


def test_disk_needed_counts_checkpoints_and_the_model(choose):
    chosen = choose("sft", "--save_strategy", "steps", "--save_steps", 10, "--save_total_limit", 2)
    assert model_checks.disk_needed(chosen, 1000, 100) == 3 * 1000 * 12 + 4000
    assert model_checks.disk_needed(chosen, 1000, 15) == 2 * 1000 * 12 + 4000
    assert model_checks.disk_needed(choose("sft"), 1000, 100) == 4000
    half = choose(
        "sft", "--dtype", "bfloat16", "--save_strategy", "steps", "--save_steps", 10, "--save_only_model", "true"
    )
    assert model_checks.disk_needed(half, 1000, 100) == 10 * 2000 + 2000


def test_parameters_are_counted_without_memory_for_them(tiny):
    config = model_checks.check_model(str(tiny))
    model = AutoModelForImageTextToText.from_pretrained(tiny)
    assert model_checks.parameters(config) == sum(one.numel() for one in model.parameters())


def test_tokens_are_those_of_the_processor(choose, work, tiny):
    data = open_data(str(work), "sft", "train", None)
    chosen = choose("sft")
    found = model_checks.measure_tokens(data.train, model_checks.load_processor(chosen), "sft")
    assert found.picture == (16, 16)
    lengths = [len(model_checks.tokens_of(row, AutoProcessor.from_pretrained(tiny), "sft")) for row in data.train]
    assert found.most == max(lengths) + 12, "16 visual tokens where the model's own bounds give 4"


def test_the_bounds_of_a_picture_are_saved_with_the_model(choose, tmp_path):
    processor = model_checks.load_processor(choose("sft", "--min_pixels", 12544, "--max_pixels", 25088))
    processor.save_pretrained(tmp_path / "saved")
    size = dict(AutoProcessor.from_pretrained(tmp_path / "saved").image_processor.size)
    assert (size["shortest_edge"], size["longest_edge"]) == (12544, 25088)
    with pytest.raises(FerError, match="is above max_pixels"):
        model_checks.load_processor(choose("sft", "--min_pixels", 12544, "--max_pixels", 3136))


def test_missing_packages_are_named_with_the_line_that_installs_them(choose, never_loaded, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert refused(choose("sft", "--report_to", "trackio")).hint == "pip install trackio"
    assert refused(choose("sft", "--load_in_4bit", "true", "--use_peft", "true")).hint == "pip install bitsandbytes"


def test_rewards_are_looked_up_before_anything_is_read(choose, never_loaded):
    assert refused(choose("grpo", "--reward_funcs", "acuracy")).hint == "did you mean 'accuracy'?"
    error = refused(choose("grpo", "--reward_funcs", "accuracy", "--reward_weights", 1.0, 0.5))
    assert error.problem == "2 weights for 1 rewards (accuracy)"
    assert (
        "cannot be imported"
        in refused(choose("grpo", "--reward_funcs", "no.such.thing", "--reward_weights", 1.0)).problem
    )


def test_several_gpus_in_one_process_are_refused(choose, never_loaded):
    chosen = choose("sft")
    chosen.args._n_gpu = 2
    assert "--processes 2" in refused(chosen).hint


def test_the_longest_texts_and_pictures_are_among_those_measured(work):
    rows = load_from_disk(str(work / "cot"))["train"]
    lengths = [len(row["completion"][0]["content"].encode()) for row in rows]
    found = model_checks._telling(rows, "sft")
    assert lengths.index(max(lengths)) in found and len(found) <= model_checks.MEASURED_ROWS
