"""A run's folder: it says what was run, goes on from the last whole checkpoint, and overwrites nothing."""

from __future__ import annotations

import json
import logging
import struct
from pathlib import Path
from typing import Any

import pytest

from ferbuild.builders.errors import FerError
from ferbuild.training import outputs


def config(**changes: Any) -> dict[str, Any]:
    found = {
        "stage": "grpo",
        "ours": {"data": "fer-data/rlvr", "reward_funcs": ["accuracy", "format"]},
        "model": {"model_name_or_path": "base", "use_peft": False},
        "args": {"seed": 42, "learning_rate": 1e-6, "reward_weights": [1.0, 0.5]},
    }
    for path, value in changes.items():
        part, _, name = path.partition("__")
        found[part] = {**found[part], name: value} if name else value
    return found


def told(prints: str = "aa", **changes: Any) -> dict[str, Any]:
    return outputs.described(config(**changes), {"train": prints}, "fer-data/rlvr")


def safetensors(size: int = 64, *, cut: int = 0) -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}).encode()
    return (struct.pack("<Q", len(header)) + header + bytes(size))[: None if not cut else -cut]


def checkpoint(out: Path, step: int, **files: bytes | None) -> Path:
    folder = out / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    names = {"model.safetensors": safetensors(), "trainer_state.json": b'{"global_step": 1}'}
    for name, data in (names | {key.replace("__", "."): value for key, value in files.items()}).items():
        if data is not None:
            (folder / name).write_bytes(data)
    return folder


def test_a_run_says_what_it_is(tmp_path):
    outputs.begin(tmp_path / "new", told())
    found = outputs.read_run(tmp_path / "new")
    assert found["seed"] == 42 and found["config"]["args"]["learning_rate"] == 1e-6
    assert found["run"]["data"] == {"train": "aa"} and found["run"]["rewards"] == ["accuracy", "format", 1.0, 0.5]
    assert {"fer-build", "datasets", "python"} <= found["versions"].keys()


def test_the_same_run_goes_on_and_may_change_what_does_not_shape_it(tmp_path):
    outputs.begin(tmp_path, told())
    outputs.begin(tmp_path, told(args__learning_rate=2e-6))
    assert outputs.read_run(tmp_path)["config"]["args"]["learning_rate"] == 2e-6


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"prints": "bb"}, "dataset"),
        ({"model__model_name_or_path": "other"}, "model"),
        ({"model__use_peft": True}, "use_peft"),
        ({"stage": "sft"}, "stage"),
        ({"ours__reward_funcs": ["accuracy"]}, "rewards"),
    ],
)
def test_another_run_is_refused_and_nothing_is_overwritten(tmp_path, change, named):
    outputs.begin(tmp_path, told())
    before = (tmp_path / outputs.RUN).read_bytes()
    with pytest.raises(FerError, match=f"begun with another {named}"):
        outputs.begin(tmp_path, told(**change))
    assert (tmp_path / outputs.RUN).read_bytes() == before


def test_a_folder_with_anything_else_in_it_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(FerError, match=r"is not empty and holds no run\.json"):
        outputs.begin(tmp_path, told())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_broken_run_file_is_named(tmp_path):
    (tmp_path / outputs.RUN).write_text("{")
    with pytest.raises(FerError, match=r"run\.json: cannot be read"):
        outputs.begin(tmp_path, told())


def test_the_last_checkpoint_is_the_highest_number(tmp_path):
    assert outputs.last_checkpoint(tmp_path) is None
    for step in (9, 100, 20):
        checkpoint(tmp_path, step)
    (tmp_path / "checkpoint-x").mkdir()
    assert outputs.last_checkpoint(tmp_path).name == "checkpoint-100"


INDEX = json.dumps({"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}).encode()


@pytest.mark.parametrize(
    ("files", "told_of"),
    [
        ({"trainer_state__json": None}, "no trainer_state.json"),
        ({"trainer_state__json": b'{"glob'}, "no trainer_state.json"),
        ({"model__safetensors": safetensors(cut=8)}, "model.safetensors is cut"),
        ({"model__safetensors": b""}, "model.safetensors is cut"),
        ({"model__safetensors": struct.pack("<Q", 2**60)}, "model.safetensors is cut"),
        ({"model__safetensors": None}, "no weights"),
        ({"model__safetensors": None, "model.safetensors.index.json": INDEX}, "no model-1.safetensors"),
    ],
)
def test_an_interrupted_checkpoint_is_put_aside_and_the_one_before_is_used(tmp_path, caplog, files, told_of):
    checkpoint(tmp_path, 10)
    broken = checkpoint(tmp_path, 20, **files)
    kept = {path.name: path.read_bytes() for path in broken.iterdir()}
    with caplog.at_level(logging.WARNING):
        assert outputs.last_checkpoint(tmp_path).name == "checkpoint-10"
    assert told_of in caplog.text and "checkpoint-20.incomplete" in caplog.text
    aside = tmp_path / "checkpoint-20.incomplete"
    assert {path.name: path.read_bytes() for path in aside.iterdir()} == kept
    checkpoint(tmp_path, 20, trainer_state__json=None)
    outputs.last_checkpoint(tmp_path)
    assert (tmp_path / "checkpoint-20.incomplete-2").exists() and aside.exists()


def test_only_a_whole_model_counts_as_finished(tmp_path):
    (tmp_path / "model.part").mkdir()
    (tmp_path / "model.part" / "config.json").write_text("{}")
    assert not outputs.finished(tmp_path)
    (tmp_path / "model.part").rename(tmp_path / "model")
    assert outputs.finished(tmp_path)
