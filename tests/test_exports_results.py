"""What VLMEvalKit and lmms-eval write of our exports comes back whole: the files of their writers, made from our rows.

VLMEvalKit (e8e78f0) `vlmeval/inference.py`: the table without `image`, and `prediction`. lmms-eval 0.7.3
`evaluator.py` and `loggers/evaluation_tracker.py`: no `doc`; what `process_results` returned stands in the line.
"""

from __future__ import annotations

import csv
import json

import datasets
import pytest
from exported import built, exported, module, row, rows_of, table

from ferbuild.builders.evaluation.readers import load

SAID = "<think>The lips are pressed.</think><answer>{}</answer>"


def answered(demo, found):
    """Hold what was read against the benchmark: every row there, each with its own reply."""
    known = {(name, one["image_path"]): one for name, rows in rows_of(demo.work / "ferbench").items() for one in rows}
    assert {one.kind for one in found.problems} == set()
    rows = found.table.to_pylist()
    assert {(one["set"], one["image_path"]) for one in rows} == set(known) and len(rows) == len(known)
    for one in rows:
        wanted = known[one["set"], one["image_path"]]
        assert (one["true_label"], one["choices"], one["id"]) == (wanted["answer"], wanted["choices"], wanted["id"])
        yield one, wanted


@pytest.mark.parametrize("form", ["tsv", "csv", "json"])
@pytest.mark.parametrize("says", ["word", "letter", "letter in tags"])
def test_vlmevalkit(demo, tmp_path, form, says):
    exported(demo.work, "ferbench", "vlmevalkit", tmp_path / "out")
    rows = table(tmp_path / "out" / "FERBench.tsv")
    for one in rows:
        del one["image"]
        said = {
            "word": SAID.format(one[one["answer"]]),
            "letter": f"{one['answer']}.",
            "letter in tags": SAID.format(one["answer"]),
        }
        one["prediction"] = said[says]
    file = tmp_path / f"qwen_FERBench.{form}"
    if form == "json":
        file.write_text(json.dumps([{name: value or None for name, value in one.items()} for one in rows]))
    else:
        with file.open("w", newline="") as held:
            lines = csv.DictWriter(held, list(rows[0]), delimiter="\t" if form == "tsv" else ",")
            lines.writeheader()
            lines.writerows(rows)
    found = load([file], bench=[demo.work / "ferbench"])
    assert found.name == "qwen"
    for one, wanted in answered(demo, found):
        assert wanted["answer"] in one["texts"][0]


@pytest.mark.parametrize("filtered", [False, True])
def test_lmms_eval(demo, tmp_path, filtered):
    exported(demo.work, "ferbench", "lmms-eval", tmp_path / "out")
    utils = module(tmp_path / "out" / "utils.py")
    logs = tmp_path / "logs" / "qwen__7b"
    logs.mkdir(parents=True)
    files = []
    for path in sorted((tmp_path / "out" / "data").iterdir()):
        docs = datasets.load_dataset("parquet", data_files=str(path), cache_dir=str(tmp_path / "c"))["train"]
        files.append(logs / f"20261126_210000_samples_ferbench_{path.stem}.jsonl")
        with files[-1].open("w") as held:
            for at, doc in enumerate(docs):
                held.write(json.dumps(line(utils, at, doc, filtered=filtered), ensure_ascii=False) + "\n")
    found = load(files, bench=[demo.work / "ferbench"])
    assert found.name == "qwen__7b"
    for one, wanted in answered(demo, found):
        assert one["texts"] == [SAID.format(wanted["answer"])]


def line(utils, at: int, doc: dict, *, filtered: bool) -> dict:
    said = SAID.format(doc["answer"])
    read = doc["answer"] if filtered else said
    return {
        "doc_id": at,
        "target": str(doc["answer"]),
        **({"resps": [said]} if filtered else {}),
        "filtered_resps": [read],
        "token_counts": [None],
        "doc_hash": "0",
        **utils.process_results(doc, [read]),
        "input": utils.doc_to_text(doc),
    }


def test_rows_that_stayed_out_are_told_as_missing(tmp_path):
    made = [row(0), row(1, images=None), row(2)]
    built(tmp_path, "ferbench", rafdb=made)
    exported(tmp_path, "ferbench", "vlmevalkit", tmp_path / "out")
    rows = table(tmp_path / "out" / "FERBench.tsv")
    file = tmp_path / "m_FERBench.json"
    file.write_text(json.dumps([one | {"image": "", "prediction": "A"} for one in rows]))
    found = load([file], bench=[tmp_path / "ferbench"])
    assert [(one.kind, one.count) for one in found.problems] == [("missing", 1)]
