"""The configuration: TRL's arguments and ours from a file and flags, and what cannot be, said plainly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ferbuild.builders.errors import FerError
from ferbuild.training import options, run
from ferbuild.training.options import CONFIGS, read_options

CPU = "use_cpu: true\nbf16: false\n"


@pytest.fixture
def config(tmp_path):
    def write(text: str) -> Path:
        path = tmp_path / "mine.yaml"
        path.write_text(CPU + text)
        return path

    return write


def refused(stage, path, *words) -> FerError:
    with pytest.raises(FerError) as caught:
        read_options(stage, path, words, {})
    return caught.value


def test_flags_go_over_the_file_and_the_file_over_the_defaults(config):
    path = config("learning_rate: 1e-6\nseed: 5\nsft: {max_length: null, seed: 6}\ngrpo: {beta: 0.04}\n")
    known = {"output_dir": "o", "data": "d", "model_name_or_path": "m", "seed": 4}
    found = read_options("sft", path, ["--learning_rate=3e-6", "--out", "there"], known)
    assert (found.args.learning_rate, found.args.seed, found.args.max_length) == (3e-6, 6, None)
    assert (found.args.output_dir, found.ours.data, found.model.model_name_or_path) == ("there", "d", "m")
    assert read_options("grpo", path, ["--model", "x"], known).args.beta == 0.04
    assert read_options("grpo", path, ["--model", "x"], known).args.seed == 5


def test_an_unknown_key_says_what_was_meant(config):
    error = refused("sft", config("learnin_rate: 1\n"))
    assert error.hint == "did you mean 'learning_rate'?" and error.where.endswith("learnin_rate")
    assert refused("sft", config("sft: {nmu_train_epochs: 1}\n")).hint == "did you mean 'num_train_epochs'?"
    assert refused("sft", config("beta: 0.1\n")).problem == "unknown key for sft"
    assert refused("grpo", config(""), "--num-generation", "4").hint == "did you mean 'num_generations'?"
    assert refused("grpo", config(""), "--mdoel=x").where == "--mdoel"


def test_generations_that_do_not_divide(config):
    path = config("grpo: {num_generations: 6, per_device_train_batch_size: 4, gradient_accumulation_steps: 2}\n")
    error = refused("grpo", path)
    assert error.problem == "6 does not divide the 8 completions of a step" and "2, 4, 8" in error.hint


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("num_train_epochs: many\n", "num_train_epochs"),
        ("seed: 1.5\n", "seed"),
        ("sft: 3\n", "sft"),
        ("lr_scheduler_type: cosinus\n", "mine.yaml"),
        ("output_dir: o\nlogging_strategy: sometimes\n", "mine.yaml"),
    ],
)
def test_a_value_that_cannot_be_is_named(config, text, where):
    assert where in refused("sft", config(text)).where


def test_a_file_that_is_none_is_named(tmp_path):
    (tmp_path / "list.yaml").write_text("[1, 2]")
    assert refused("sft", tmp_path / "list.yaml").problem == "does not hold a mapping"
    assert "'unifer-7b'" in refused("sft", CONFIGS / "unifer7b.yaml").hint


@pytest.mark.parametrize("stage", ["sft", "grpo"])
@pytest.mark.parametrize("name", ["unifer-7b", "lora-1gpu", "tiny-cpu"])
def test_the_shipped_configurations_are_read(name, stage):
    values = options.file_values(CONFIGS / f"{name}.yaml", stage)
    assert values.keys() <= {action.dest for action in options.parser_of(stage)._actions}
    if name != "unifer-7b":  # DeepSpeed, which it names, is read only where it is installed
        words = ["--use_cpu", "true", "--bf16", "false", "--model", "m"]
        found = read_options(stage, CONFIGS / f"{name}.yaml", words, {"output_dir": "o"})
        assert found.args.max_length is None if stage == "sft" else found.args.loss_type == "grpo"


def test_unifer_7b_holds_the_published_values():
    sft, grpo = (options.file_values(CONFIGS / "unifer-7b.yaml", stage) for stage in ("sft", "grpo"))
    assert (sft["num_train_epochs"], sft["lr_scheduler_type"], sft["processes"], sft["max_grad_norm"]) == (
        2,
        "cosine",
        4,
        5,
    )
    wanted = {"num_train_epochs": 1, "learning_rate": 1e-6, "beta": 0.04, "num_generations": 8, "temperature": 1.0}
    wanted |= {"max_completion_length": 1024, "loss_type": "grpo", "weight_decay": 0.01, "vllm_mode": "server"}
    assert {name: grpo[name] for name in wanted} == wanted
    assert sft["min_pixels"] == sft["max_pixels"] == grpo["max_pixels"] == 224 * 224
    batch = grpo["processes"] * grpo["per_device_train_batch_size"] * grpo["gradient_accumulation_steps"]
    assert batch % grpo["num_generations"] == 0 and batch == 7 * 4 * 8
    for values in (sft, grpo):
        assert json.loads((CONFIGS / values["deepspeed"]).read_text())["zero_optimization"]["stage"] in (2, 3)


def test_every_value_of_unifer_7b_says_where_it_is_from():
    for line in (CONFIGS / "unifer-7b.yaml").read_text().splitlines():
        name, _, rest = line.partition("#")
        if name.strip() and not name.strip().endswith(":"):
            assert "[script]" in rest or "[ours]" in rest, line


def test_folders_are_those_of_fer_build_yaml(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = CONFIGS / "tiny-cpu.yaml"
    assert run.defaults("sft", config) == {"output_dir": "models/tiny-cpu/sft"}
    (tmp_path / "fer-build.yaml").write_text("work: data/here\n")
    home = tmp_path / "data" / "here"
    assert run.defaults("sft", config)["data"] == str(home / "cot")
    assert run.defaults("grpo", config) == {
        "output_dir": str(home / "models" / "tiny-cpu" / "grpo"),
        "data": str(home / "rlvr"),
    }
    (home / "models" / "tiny-cpu" / "sft" / "model").mkdir(parents=True)
    assert run.defaults("grpo", config)["model_name_or_path"] == str(home / "models/tiny-cpu/sft/model")


def test_processes_without_gpus_are_refused(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(FerError, match="4 are asked for, and this machine has 0 GPUs"):
        run.launch(4, [])


def test_no_path_of_a_machine_is_written_into_the_code():
    places = ("/home/", "/data/", "/mnt/", str(Path(options.__file__).parents[1]))
    for path in [*Path(options.__file__).parent.glob("*.py"), *CONFIGS.glob("*")]:
        lines = path.read_text().splitlines()
        assert not [line for line in lines if any(place in line for place in places)], path
