"""Every row of every target, as that tool's source reads it; test_exports_real.py asks the tools themselves.

Read for these tests, beside formats.md: LLaMA-Factory 0.9.5 `data/parser.py`, `data/converter.py`, `data/mm_plugin.py`;
ms-swift 4.6.0 `dataset/preprocessor/core.py`; verl 0.9.1 `utils/dataset/rl_dataset.py`, `trainer/ppo/reward.py`,
`experimental/reward_loop/reward_manager/naive.py`; EasyR1 (b44b311) `verl/utils/dataset.py`,
`verl/workers/reward/function.py`; VLM-R1 (90052f4) `open_r1/grpo_jsonl.py`; VLMEvalKit (e8e78f0)
`vlmeval/dataset/image_base.py`, `image_mcq.py`, `__init__.py`; lmms-eval 0.7.3 `utils.py`, `api/task.py`.
"""

from __future__ import annotations

import base64
import io
import json
import re
from pathlib import PurePosixPath

import datasets
import pyarrow.parquet as pq
import pytest
import yaml
from exported import LABELS, built, exported, lines, module, odd, picture, row, rows_of, table
from PIL import Image

from ferbuild.builders.export import Exported

Q = "Which one, {at}?\nSay <answer>…</answer>."
GOOD = "<think>The brows are raised and drawn together, the lips are parted.</think><answer>{answer}</answer>"


def path(at: int) -> str:
    return f"images/{at:016x}.jpg"


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def questions(tmp_path, out):
    def write(target: str, *more: dict) -> Exported:
        built(tmp_path, "rlvr", train=[row(0), odd(1, 2), *more])
        return exported(tmp_path, "rlvr", target, out)

    return write


@pytest.fixture
def traces(tmp_path, out):
    def write(target: str) -> Exported:
        built(tmp_path, "cot", train=[row(0), row(1)], hinted=[row(2)])
        return exported(tmp_path, "cot", target, out)

    return write


# UniFER


def test_unifer_cot(traces, out):
    assert dict(traces("unifer").files) == {"cot_train.json": 2, "cot_hinted.json": 1}
    (found,) = json.loads((out / "cot_hinted.json").read_text())
    assert found == {
        "image_path": path(2),
        "question": Q.format(at=2),
        "response": "<think>“2”</think><answer>disgust</answer>",
    }
    assert list(found) == ["image_path", "question", "response"]


def test_unifer_rlvr(questions, out):
    questions("unifer")
    assert json.loads((out / "rlvr_train.json").read_text()) == [
        {"image_path": path(0), "problem": Q.format(at=0), "solution": "<answer>surprise</answer>"}
    ]


def test_unifer_bench_is_the_published_form(demo, tmp_path):
    exported(demo.work, "ferbench", "unifer", tmp_path / "out")
    wanted = [
        {
            "image_path": one["image_path"],
            "true_label": one["answer"],
            "prompt": one["prompt"][0]["content"],
            "candidate_labels": one["choices"],
        }
        for one in rows_of(demo.work / "ferbench")["sfew"]
    ]
    text = (tmp_path / "out" / "sfew_2.0_qa.json").read_text()
    assert text == json.dumps(wanted, indent=2, ensure_ascii=False)


# LLaMA-Factory


def test_llamafactory(traces, out):
    traces("llamafactory")
    info = json.loads((out / "dataset_info.json").read_text())
    assert list(info) == ["cot_train", "cot_hinted"]
    for one in info.values():
        assert one["formatting"] == "sharegpt" and not one.get("ranking")
        roles = [one["tags"][name] for name in ("user_tag", "assistant_tag")]
        for found in lines(out / one["file_name"]):
            turns = found[one["columns"]["messages"]]
            assert [turn[one["tags"]["role_tag"]] for turn in turns] == roles
            tags = sum(turn[one["tags"]["content_tag"]].count("<image>") for turn in turns)
            assert tags == len(found[one["columns"]["images"]]) == 1
            assert all((out / name).is_file() for name in found["images"])
    assert lines(out / "cot_train.jsonl")[0] == {
        "conversations": [
            {"from": "human", "value": f"<image>{Q.format(at=0)}"},
            {"from": "gpt", "value": "<think>“0”</think><answer>surprise</answer>"},
        ],
        "images": [path(0)],
    }


# ms-swift


def test_swift_sft(traces, out):
    traces("swift")
    assert lines(out / "cot_train.jsonl")[1] == {
        "messages": [
            {"role": "user", "content": f"<image>{Q.format(at=1)}"},
            {"role": "assistant", "content": "<think>“1”</think><answer>fear</answer>"},
        ],
        "images": [path(1)],
    }
    assert not (out / "fer_reward.py").exists()


def test_swift_grpo_with_two_pictures(questions, out):
    questions("swift")
    one, two = lines(out / "rlvr_train.jsonl")
    assert one["solution"] == "<answer>surprise</answer>" and one["choices"] == LABELS
    assert two["messages"] == [{"role": "user", "content": f"<image><image>{Q.format(at=1)}"}]
    assert two["images"] == [path(1), path(2)]
    assert (two["kind"], two["choices"], two["answer"]) == ("odd", ["same", "different"], "same")
    compile((out / "fer_reward.py").read_text(), "fer_reward.py", "exec")


# verl


def test_verl(questions, out, tmp_path):
    questions("verl")
    found = datasets.load_dataset("parquet", data_files=str(out / "rlvr_train.parquet"), cache_dir=str(tmp_path / "c"))
    one, two = found["train"]
    assert two["prompt"] == [{"role": "user", "content": f"<image><image>{Q.format(at=1)}"}]
    assert [image.size for image in two["images"]] == [(8, 8), (8, 8)]
    assert (one["data_source"], one["ability"]) == ("fer/rafdb", "fer")
    assert one["reward_model"] == {"style": "rule", "ground_truth": "surprise"}
    assert two["extra_info"] == {
        "index": 1,
        "split": "train",
        "id": f"{1:016x}-{2:016x}-odd",
        "kind": "odd",
        "choices": ["same", "different"],
        "soft": None,
    }
    for each in (one, two):
        parts = re.split("(<image>|<video>|<audio>)", each["prompt"][0]["content"])
        assert parts.count("<image>") == len(each["images"])


def test_verls_reward(questions, out):
    questions("verl")
    score = module(out / "fer_reward.py").compute_score
    info = {"kind": "choose", "choices": LABELS, "soft": None, "index": 0}
    known = {"data_source": "fer/rafdb", "ground_truth": "fear", "extra_info": info}
    assert score(solution_str=GOOD.format(answer=" Fear."), **known) == {"score": 1.0, "acc": 1.0, "format": 1.0}
    assert score(solution_str=GOOD.format(answer="anger"), **known)["score"] == 0.5
    assert score(solution_str="<answer>fear</answer>", format_weight=0.2, **known)["score"] == 0.8
    assert score(solution_str="", **known) == {"score": 0.0, "acc": 0.0, "format": 0.0}
    assert score("x", "<answer>fear</answer>", "fear", None)["acc"] == 1.0, "without more, all labels are candidates"


# EasyR1


def test_easyr1(questions, out, tmp_path):
    questions("easyr1")
    found = datasets.load_dataset("parquet", data_files=str(out / "rlvr_train.parquet"), cache_dir=str(tmp_path / "c"))
    one, two = found["train"]
    assert one["prompt"] == f"<image>{Q.format(at=0)}" and one["answer"] == "surprise"
    assert two["prompt"].split("<image>") == ["", "", Q.format(at=1)] and len(two["images"]) == 2
    assert json.loads(two["asked"]) == {"kind": "odd", "choices": ["same", "different"], "answer": "same", "soft": None}
    assert all(isinstance(one[name], str) for name in ("id", "prompt", "answer", "asked")), (
        "no lists in a batch's array"
    )
    assert (out / "fer_prompt.jinja").read_text().strip() == "{{ content | trim }}"


def test_easyr1s_reward(questions, out):
    questions("easyr1")
    found = module(out / "fer_reward.py")
    asked = json.dumps({"kind": "odd", "choices": ["same", "different"], "answer": "same", "soft": None})
    given = [("same", asked), ("different", asked), ("happiness", "happiness")]
    rows = [{"response": GOOD.format(answer=said), "response_length": 9, "ground_truth": true} for said, true in given]
    scores = found.compute_score(rows)
    assert (found.REWARD_TYPE, [one["overall"] for one in scores]) == ("batch", [1.0, 0.5, 1.0])
    assert scores[0] == {"overall": 1.0, "accuracy": 1.0, "format": 1.0}


# VLM-R1


def test_vlmr1(questions, out):
    letter = row(3, id="l", kind="letter", choices=list("AB"), answer="B", solution="<answer>B</answer>")
    share = row(4, id="d", kind="distribution", answer="fear 100")
    done = questions("vlmr1", letter, share)
    assert dict(done.left_out) == {"a distribution, which none of its rewards can check": 1}
    assert yaml.safe_load((out / "fer.yaml").read_text()) == {"datasets": [{"json_path": "rlvr_train.jsonl"}]}
    one, two, three = lines(out / "rlvr_train.jsonl")
    assert one == {
        "id": f"{0:016x}",
        "image": path(0),
        "conversations": [
            {"from": "human", "value": f"<image>{Q.format(at=0)}"},
            {"from": "gpt", "value": "surprise"},
        ],
        "accu_reward_method": "default",
    }
    assert two["image"] == [path(1), path(2)] and two["conversations"][0]["value"].startswith("<image><image>Which")
    assert (three["accu_reward_method"], three["conversations"][1]["value"]) == ("mcq", "B")


# VLMEvalKit


def test_vlmevalkit(demo, tmp_path):
    exported(demo.work, "ferbench", "vlmevalkit", tmp_path / "out")
    found = table(tmp_path / "out" / "FERBench.tsv")
    wanted = [(name, one) for name, rows in rows_of(demo.work / "ferbench").items() for one in rows]
    assert [one["index"] for one in found] == [str(at) for at in range(len(wanted))]
    for one, (name, known) in zip(found, wanted, strict=True):
        assert base64.b64decode(one["image"], validate=True) == known["images"][0]["bytes"]
        assert len(one["image"]) > 64, "a shorter one is taken for another row's index"
        assert one["question"] == known["prompt"][0]["content"]
        assert [one[letter] for letter in "ABCDEFGH" if one[letter]] == known["choices"]
        assert one[one["answer"]] == known["answer"]
        assert one["set"] == one["category"] == name
        assert not PurePosixPath(one["image_path"]).is_absolute() and f"/{one['image_path']}" == known["image_path"]


def test_vlmevalkit_has_letters_enough(tmp_path, out):
    words = [f"word{at}" for at in range(27)]
    built(tmp_path, "ferbench", rafdb=[row(0, choices=words[:10], answer="word9")])
    exported(tmp_path, "ferbench", "vlmevalkit", out)
    assert table(out / "FERBench.tsv")[0]["answer"] == "J"
    built(tmp_path, "ferbench", rafdb=[row(0, choices=words, answer="word9")])
    with pytest.raises(Exception, match="27 labels"):
        exported(tmp_path, "ferbench", "vlmevalkit", out)


# lmms-eval


def test_lmms_eval(demo, tmp_path):
    folder = tmp_path / "out"
    exported(demo.work, "ferbench", "lmms-eval", folder)
    sets = rows_of(demo.work / "ferbench")
    group = yaml.safe_load((folder / "ferbench.yaml").read_text())
    assert group == {"group": "ferbench", "task": [f"ferbench_{name}" for name in sets]}
    utils = module(folder / "utils.py")
    common = (folder / "_fer_template_yaml").read_text()
    named = re.findall(r"!function utils\.(\w+)", common)
    assert named and all(callable(getattr(utils, name)) for name in named)
    settings = yaml.safe_load(common.replace("!function ", ""))
    assert settings["generation_kwargs"] == {"max_new_tokens": 1024, "temperature": 0, "do_sample": False}
    for name, rows in sets.items():
        task = yaml.safe_load((folder / f"ferbench_{name}.yaml").read_text())
        assert (task["task"], task["test_split"], task["include"]) == (f"ferbench_{name}", name, "_fer_template_yaml")
        file = str(folder / task["dataset_kwargs"]["data_files"][name])
        docs = datasets.load_dataset("parquet", data_files={name: file}, cache_dir=str(tmp_path / "c"))[name]
        assert len(docs) == len(rows)
        for doc, known in zip(docs, rows, strict=True):
            (image,) = utils.doc_to_visual(doc)
            assert image.size == Image.open(io.BytesIO(known["images"][0]["bytes"])).size
            assert utils.doc_to_text(doc) == known["prompt"][0]["content"]
            figures = utils.process_results(doc, [GOOD.format(answer=known["answer"])])
            assert set(figures) == {one["metric"] for one in settings["metric_list"]}
            assert figures["fer_accuracy"] == 1.0
            assert figures["fer_row"]["image_path"] == known["image_path"]


# Parquet


def test_parquet_is_the_whole_dataset(demo, tmp_path):
    exported(demo.work, "rlvr", "parquet", tmp_path / "out")
    found = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "c"))
    wanted = datasets.load_from_disk(str(demo.work / "rlvr"))
    assert found["train"].features == wanted["train"].features
    assert found["train"][0]["images"][0].size == wanted["train"][0]["images"][0].size
    bare = [
        one.cast_column("images", [datasets.Image(decode=False)]).to_list() for one in (found["train"], wanted["train"])
    ]
    assert bare[0] == bare[1]


def test_parquet_keeps_rows_without_a_picture_and_says_where_pages_are(tmp_path, out):
    built(tmp_path, "ferbench", rafdb=[row(at, images=None if at % 2 else row(at)["images"]) for at in range(230)])
    done = exported(tmp_path, "ferbench", "parquet", out)
    assert (dict(done.files), dict(done.left_out)) == ({"rafdb/data-00000-of-00001.parquet": 230}, {})
    file = pq.ParquetFile(out / "rafdb" / "data-00000-of-00001.parquet")
    assert [file.metadata.row_group(at).num_rows for at in range(file.num_row_groups)] == [100, 100, 30]
    column = file.metadata.row_group(0).column(0)
    assert column.has_offset_index and column.has_column_index
    assert file.read(["images"])["images"].null_count == 115
    assert "content_defined" not in str(file.schema_arrow.metadata)
    assert "do not upload this folder" in (out / "README.md").read_text()


def test_pictures_of_bytes_are_not_changed(questions, out):
    questions("verl")
    held = pq.read_table(out / "rlvr_train.parquet")["images"].to_pylist()
    assert [[one["bytes"] for one in images] for images in held] == [[picture(0)], [picture(1), picture(2)]]
