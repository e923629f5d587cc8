"""Exports read back by the tools themselves; left out unless asked for.

    FER_BUILD_REAL_SWIFT=/path/to/bin/python pytest -m real tests/test_exports_real.py

Likewise FER_BUILD_REAL_LLAMAFACTORY, FER_BUILD_REAL_VERL and FER_BUILD_REAL_LMMS_EVAL. Each is the Python of an
environment with that tool, and with `pip install --no-deps fer-build` for the rewards. Run so far: LLaMA-Factory 0.9.5,
ms-swift 4.6.0, verl 0.9.1, lmms-eval 0.7.3, all without a GPU and without a model.
"""

from __future__ import annotations

import os
import subprocess

import pytest
from exported import built, exported, odd, row

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

LLAMAFACTORY = """
import sys, os
from llamafactory.data.loader import _load_single_dataset
from llamafactory.data.mm_plugin import get_mm_plugin
from llamafactory.data.parser import get_dataset_list
from llamafactory.hparams import DataArguments, ModelArguments
from transformers import Seq2SeqTrainingArguments
folder = sys.argv[1]
args = DataArguments(dataset="cot_train", dataset_dir=folder, media_dir=folder, template="qwen2_vl")
(named,) = get_dataset_list(["cot_train"], folder)
train = Seq2SeqTrainingArguments(output_dir=folder + "-run", use_cpu=True)
found = _load_single_dataset(named, ModelArguments(model_name_or_path="none"), args, train)
plugin = get_mm_plugin("qwen2_vl", image_token="<|image_pad|>")
for one in found:
    assert one["_prompt"] and one["_response"] and all(map(os.path.isfile, one["_images"]))
    plugin._validate_messages(one["_prompt"] + one["_response"], one["_images"], [], [])
    plugin._regularize_images(one["_images"], image_max_pixels=768 * 768, image_min_pixels=1024)
print("ROWS", len(found))
"""

SWIFT = """
import os, sys
folder, name = sys.argv[1:3]
os.environ["ROOT_IMAGE_DIR"] = folder
from swift.dataset import load_dataset
from swift.template.vision_utils import load_image
file = os.path.join(folder, name)
found, _ = load_dataset([file], remove_unused_columns=False, strict=True, load_from_cache_file=False)
for one in found:
    assert one["messages"][0]["content"].count("<image>") == len(one["images"])
    for image in one["images"]:
        load_image(image["path"])
if "rlvr" in name:
    sys.path.insert(0, folder)
    import fer_reward
    from swift.rewards import orms
    rows = found.to_list()
    columns = {name: [one[name] for one in rows] for name in rows[0]}
    said = ["<think>The lips part.</think>" + one["solution"] for one in rows]
    assert orms["fer_accuracy"]()(said, **columns) == [1.0] * len(rows)
    assert orms["fer_accuracy"]()([""] * len(rows), **columns) == [0.0] * len(rows)
    assert orms["fer_format"]()(said, **columns) == [1.0] * len(rows)
print("ROWS", len(found))
"""

VERL = """
import os, sys
from omegaconf import OmegaConf
from verl.trainer.ppo.reward import get_custom_reward_fn
from verl.utils.dataset.rl_dataset import RLHFDataset
folder = sys.argv[1]
found = RLHFDataset(os.path.join(folder, "rlvr_train.parquet"), tokenizer=None, processor=object(),
                    config=OmegaConf.create({"filter_overlong_prompts": False, "cache_dir": folder + "-cache"}))
named = {"path": os.path.join(folder, "fer_reward.py"), "name": "compute_score"}
reward = get_custom_reward_fn(OmegaConf.create({"reward": {"custom_reward_function": named}}))
for at in range(len(found)):
    one = found[at]
    assert one["index"] == at and one["raw_prompt"][0]["content"][0]["type"] == "image"
    true = one["reward_model"]["ground_truth"]
    known = {"data_source": one["data_source"], "ground_truth": true, "extra_info": one["extra_info"]}
    assert reward(solution_str=f"<think>It is so.</think><answer>{true}</answer>", **known)["score"] == 1.0
print("ROWS", len(found))
"""

LMMS_EVAL = """
import sys
from lmms_eval.tasks import TaskManager, get_task_dict
manager = TaskManager("ERROR", include_path=sys.argv[1], include_defaults=False)
rows = 0
def tasks(found):
    for name, one in found.items():
        yield from tasks(one) if isinstance(one, dict) else [one]
for task in tasks(get_task_dict(["ferbench"], manager)):
    for doc in task.test_docs():
        assert task.doc_to_visual(doc)[0].mode == "RGB" and task.doc_to_text(doc)
        figures = task.process_results(doc, ["<answer>" + task.doc_to_target(doc) + "</answer>"])
        assert figures["fer_accuracy"] == 1.0 and set(figures) == set(task.aggregation())
        rows += 1
print("ROWS", rows)
"""


def read_back(tool: str, script: str, *words: object) -> int:
    """Return the rows that the tool's own Python read."""
    python = os.environ.get(f"FER_BUILD_REAL_{tool}", "")
    if not python:
        pytest.skip(f"FER_BUILD_REAL_{tool} names no Python of an environment with it")
    surroundings = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": ""}
    done = subprocess.run(
        [python, "-c", script, *map(str, words)], capture_output=True, text=True, timeout=500, env=surroundings
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return int(done.stdout.rpartition("ROWS")[2])


def test_llamafactory(tmp_path):
    built(tmp_path, "cot", train=[row(at) for at in range(9)])
    exported(tmp_path, "cot", "llamafactory", tmp_path / "out")
    assert read_back("LLAMAFACTORY", LLAMAFACTORY, tmp_path / "out") == 9


@pytest.mark.parametrize("dataset", ["cot", "rlvr"])
def test_swift(tmp_path, dataset):
    more = [odd(1, 2)] if dataset == "rlvr" else [row(1)]
    built(tmp_path, dataset, train=[row(0), *more])
    exported(tmp_path, dataset, "swift", tmp_path / "out")
    assert read_back("SWIFT", SWIFT, tmp_path / "out", f"{dataset}_train.jsonl") == 2


def test_verl(tmp_path):
    built(tmp_path, "rlvr", train=[row(0), odd(1, 2)])
    exported(tmp_path, "rlvr", "verl", tmp_path / "out")
    assert read_back("VERL", VERL, tmp_path / "out") == 2


def test_lmms_eval(demo, tmp_path):
    done = exported(demo.work, "ferbench", "lmms-eval", tmp_path / "out")
    assert read_back("LMMS_EVAL", LMMS_EVAL, tmp_path / "out") == sum(done.files.values())
