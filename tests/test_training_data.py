"""The checks of a dataset before training: what cannot be trained on is told in a second, without a model."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pytest
import yaml
from PIL import Image

from ferbuild.builders import features, record, shards
from ferbuild.builders.errors import FerError
from ferbuild.training import data_checks
from ferbuild.training.data_checks import check_data, open_data

CHOICES = ["happy", "sad", "fear"]


def picture(side: int = 8) -> dict[str, Any]:
    file = io.BytesIO()
    Image.new("RGB", (side, side), (side, 10, 20)).save(file, "PNG")
    return {"bytes": file.getvalue(), "path": "a.png"}


def row(at: int, **changes: Any) -> dict[str, Any]:
    answer = CHOICES[at % 3]
    found = {
        "id": f"{at:04d}",
        "images": [picture(8 + at % 3)],
        "prompt": [{"role": "user", "content": "Which expression?"}],
        "completion": [{"role": "assistant", "content": f"<think>so</think>\n<answer>{answer}</answer>"}],
        "solution": f"<answer>{answer}</answer>",
        "kind": "choose",
        "choices": CHOICES,
        "answer": answer,
    }
    return found | changes


def write(
    folder: Path, rows: Sequence[Mapping[str, Any]], schema: pa.Schema = record.RLVR, *, shard_bytes: int = 20_000
) -> Path:
    table = pa.Table.from_pylist([{name: one.get(name) for name in schema.names} for one in rows], schema=schema)
    shards.write_stream(folder / "kept.arrow", [table], schema)
    shards.write_stream(folder / "drops.arrow", [record.drops_table([])], record.DROPS)
    out = folder / ("rlvr" if schema is record.RLVR else "cot")
    kept = {"train": [folder / "kept.arrow"]}
    splits = shards.lay_out(out, kept, [folder / "drops.arrow"], schema, key="k", shard_bytes=shard_bytes)
    head = yaml.safe_dump(features.front_matter(schema, list(splits), "k"), sort_keys=False)
    (out / "README.md").write_text(f"---\n{head}---\n")
    (out / "stage.json").write_text(json.dumps({"splits": splits}))
    return out


def checked(folder: Path, stage: str, rows: int = 100) -> data_checks.Data:
    data = open_data(str(folder), stage, "train", None)
    check_data(data, stage, rows)
    return data


def refused(folder: Path, stage: str) -> FerError:
    with pytest.raises(FerError) as caught:
        checked(folder, stage)
    return caught.value


def test_what_fer_build_writes_passes_and_has_a_stable_fingerprint(tmp_path):
    rows = [row(at) for at in range(250)]
    for stage, schema in (("sft", record.COT), ("grpo", record.RLVR)):
        out = write(tmp_path, rows, schema)
        data = checked(out, stage)
        assert (len(data.train), data.evaluation) == (250, None)
        assert data.fingerprints == checked(out, stage).fingerprints
        assert data.fingerprints == checked(tmp_path, stage).fingerprints, "the folder above is as good"


@pytest.mark.parametrize(("stage", "schema", "wanted"), [("sft", record.RLVR, "cot"), ("grpo", record.COT, "rlvr")])
def test_the_other_stages_dataset_is_named(tmp_path, stage, schema, wanted):
    error = refused(write(tmp_path, [row(0)], schema), stage)
    assert f"{stage} takes {wanted}" in error.problem and wanted in error.hint


def test_a_missing_column_is_named(tmp_path):
    schema = pa.schema([field for field in record.RLVR if field.name != "prompt"])
    folder = write(tmp_path, [row(0)], schema)
    assert refused(folder, "grpo").problem == "has no column 'prompt'"


@pytest.mark.parametrize("images", [None, [], [None], [{"bytes": None, "path": "a.png"}], [{"bytes": b"", "path": ""}]])
def test_rows_without_a_picture_are_counted(tmp_path, images):
    rows = [row(at, images=images) if at in (120, 240) else row(at) for at in range(250)]
    error = refused(write(tmp_path, rows), "grpo")
    assert error.problem == "2 rows have no picture, the first is 0120"


def test_one_missing_picture_of_two_is_found(tmp_path):
    rows = [row(0, images=[picture(), picture()]), row(1, images=[picture(), {"bytes": None, "path": "x"}])]
    assert refused(write(tmp_path, rows), "grpo").problem == "1 rows have no picture, the first is 0001"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"answer": "joy", "solution": "<answer>joy</answer>"}, "not a candidate"),
        ({"answer": "happy", "solution": "<answer>sad</answer>"}, "'<answer>sad</answer>'"),
        ({"answer": "happy", "solution": "happy"}, "malformed"),
        ({"answer": "happy", "solution": "<answer>happy, sad</answer>"}, "several"),
        ({"answer": None, "solution": None}, "empty"),
    ],
)
def test_an_answer_that_no_verifier_would_pay_is_counted(tmp_path, changes, told):
    rows = [row(at, **changes) if at % 50 == 0 else row(at) for at in range(250)]
    error = refused(write(tmp_path, rows), "grpo")
    assert error.problem.startswith("5 rows are not verifiable") and told in error.problem


def test_a_kind_without_a_verifier_is_named(tmp_path):
    assert refused(write(tmp_path, [row(0), row(1, kind="chose")]), "grpo").hint == "did you mean 'choose'?"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"prompt": []}, "has an empty prompt"),
        ({"prompt": [{"role": "user", "content": ""}]}, "has an empty prompt"),
        ({"prompt": [{"role": "user", "content": "<image>Which?"}]}, "writes <image> in its prompt"),
        ({"completion": []}, "has no single reply"),
        ({"completion": [{"role": "user", "content": "x"}]}, "has no single reply"),
        ({"completion": [{"role": "assistant", "content": "<answer>sad</answer>"}]}, "does not answer 'happy'"),
        ({"completion": [{"role": "assistant", "content": "<answer>hap"}]}, "truncated"),
    ],
)
def test_a_text_that_would_train_wrongly_is_named_with_its_row(tmp_path, changes, told):
    rows = [row(at) for at in range(30)]
    rows[15] |= {"answer": "happy"} | changes
    error = refused(write(tmp_path, rows, record.COT), "sft")
    assert told in error.problem and error.where.endswith("row 0015")


def test_a_direct_answer_without_reasoning_may_be_trained_on(tmp_path):
    said = [{"role": "assistant", "content": "<answer>happy</answer>"}]
    found = checked(write(tmp_path, [row(0, completion=said)], record.COT), "sft")
    assert found.train[0]["completion"] == said


@pytest.mark.parametrize("damage", ["missing", "cut", "foreign", "short"])
def test_a_damaged_shard_is_named_and_nothing_is_changed(tmp_path, damage):
    folder = write(tmp_path, [row(at) for at in range(250)])
    paths = shards.split_files(folder)["train"]
    assert len(paths) == 3
    if damage == "missing":
        paths[1].unlink()
    elif damage == "short":
        table = shards.read_stream(paths[1]).slice(0, 10)
        shards.write_stream(paths[1], [pa.concat_tables([table]).combine_chunks()], record.RLVR)
    else:
        paths[1].write_bytes(paths[1].read_bytes()[:5000] if damage == "cut" else b"not an arrow stream")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    error = refused(folder, "grpo")
    told = "160 rows where 250 were written" if damage == "short" else paths[1].name
    assert told in f"{error.where} {error.problem}"
    assert before == {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


def test_a_shard_cut_between_batches_is_told_by_its_rows(tmp_path):
    folder = write(tmp_path, [row(at) for at in range(250)], shard_bytes=10**9)
    path = shards.split_files(folder)["train"][0]
    whole = shards.read_stream(path)
    sink = pa.BufferOutputStream()
    pa.ipc.new_stream(sink, whole.schema).write_table(whole.slice(0, 200))
    path.write_bytes(sink.getvalue().to_pybytes())
    assert shards.read_stream(path).num_rows == 200, "the format itself does not tell"
    assert "200 rows where 250 were written: a shard is cut" in refused(folder, "grpo").problem


def test_an_unknown_split_and_an_empty_one(tmp_path):
    folder = write(tmp_path, [row(0)])
    with pytest.raises(FerError, match="has no split 'trian'"):
        open_data(str(folder), "grpo", "trian", None)
    with pytest.raises(FerError, match="has no split 'validation'"):
        open_data(str(folder), "grpo", "train", "validation")


def test_pictures_that_decayed_to_bytes_are_named(tmp_path):
    folder = tmp_path / "plain"
    plain = [{"images": [{"bytes": b"x", "path": "a"}], "prompt": row(0)["prompt"], "solution": "x"}]
    datasets.DatasetDict({"train": datasets.Dataset.from_list(plain)}).save_to_disk(str(folder))
    assert "not a list of pictures" in refused(folder, "grpo").problem


def test_a_folder_or_id_that_is_none_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(FerError, match="no dataset can be loaded"):
        open_data(str(tmp_path / "nothing"), "grpo", "train", None)


def test_a_dataset_of_others_without_our_columns_may_be_trained_on(tmp_path):
    rows = [{name: row(at)[name] for name in ("images", "prompt", "solution")} for at in range(3)]
    rows = [one | {"solution": "<answer>happiness</answer>"} for one in rows]
    features = datasets.Features(
        {
            "images": datasets.List(datasets.Image()),
            "prompt": datasets.List({"role": datasets.Value("string"), "content": datasets.Value("string")}),
            "solution": datasets.Value("string"),
        }
    )
    folder = tmp_path / "theirs"
    datasets.DatasetDict({"train": datasets.Dataset.from_list(rows, features=features)}).save_to_disk(str(folder))
    assert len(checked(folder, "grpo").train) == 3


def test_reasoning_of_the_baseline_is_found(tmp_path):
    for name, baseline in (("model", False), ("mixed", True)):
        rows = [row(0, baseline=False), row(1, baseline=baseline)]
        (tmp_path / name).mkdir()
        assert data_checks.is_baseline(checked(write(tmp_path / name, rows, record.COT), "sft").train) == baseline
    assert not data_checks.is_baseline(checked(write(tmp_path, [row(0)]), "grpo").train)


def test_rows_are_picked_evenly():
    assert data_checks.picked(10, 100) == list(range(10))
    assert data_checks.picked(0, 10) == []
    found = data_checks.picked(1_000_000, 2000)
    assert (found[0], found[-1], len(found)) == (0, 999_999, 2000)
    assert np.ptp(np.diff(found)) <= 1
