"""Chain of thought: the teacher is blind, agreement decides, and every other reply is a drop with its text."""

from __future__ import annotations

import json
import random
import re
from collections import Counter

import pyarrow as pa
import pytest

from ferbuild.builders import measure, shards, training_rows
from ferbuild.builders.asking import Asking, requests
from ferbuild.builders.build import Build
from ferbuild.builders.config import read_settings
from ferbuild.builders.questions import questions
from ferbuild.filters import answer
from ferbuild.manifests import load
from ferbuild.prompts.render import render

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def asking(demo):
    build = Build(read_settings(demo.config))
    return Asking(
        entry=load.load_teacher("geometry"),
        store=build.settings.store,
        template="choose",
        questions=questions(build.settings),
        checks=("answered", "reasons", "agrees"),
        benchmarks=build.benchmarks,
        measures=(demo.work / "measures", measure.plan(build).key),
        calibration=None,
        claims=build.settings.recipe.claims,
        grounds=None,
    )


@pytest.fixture(scope="module")
def pieces(demo, asking):
    return [job.work for job in training_rows.jobs(demo.work / "faces", asking.benchmarks)]


def bodies(table, split, asking) -> list[bytes]:
    return [request.body() for request in requests(table, split, asking)]


def test_every_request_is_the_same_whatever_the_labels_say(asking, pieces):
    for piece in pieces:
        table = training_rows.read(piece, asking.benchmarks)
        order = list(range(table.num_rows))
        random.Random(3).shuffle(order)
        permuted = table
        for name in ("label", "canonical", "votes", "valence", "arousal", "rel_path", "label_rule"):
            column = table[name].take(pa.array(order))
            permuted = permuted.set_column(table.schema.get_field_index(name), table.schema.field(name), column)
        assert permuted["label"].to_pylist() != table["label"].to_pylist()
        assert bodies(permuted, piece.split, asking) == bodies(table, piece.split, asking)


def test_no_request_names_a_row(asking, pieces):
    for piece in pieces:
        table = training_rows.read(piece, asking.benchmarks)
        for body, row in zip(bodies(table, piece.split, asking), table.drop_columns("image").to_pylist(), strict=True):
            assert row["id"].encode() not in body and row["rel_path"].encode() not in body


def test_what_is_kept_agrees_with_the_label(demo):
    rows = [
        row
        for piece in shards.slices(demo.work / "cot", 100)
        for row in piece.read().drop_columns("images").to_pylist()
    ]
    assert len(rows) == demo.stage("cot")["kept"] > 10
    for row in rows:
        text = row["completion"][0]["content"]
        choices = load.load_source(row["faces"][0]["source"]).candidates
        assert answer.read(text, choices) == (row["label"], "ok")
        assert row["answer"] == row["label"] == row["majority"]
        assert row["baseline"] and row["teacher"] == "geometry" and row["synthetic"]
        assert re.search(r"\d", text), "the baseline names what it measured, with numbers"
        assert all(choice in row["prompt"][0]["content"] for choice in choices)


def test_what_is_dropped_keeps_the_teachers_text(demo):
    rows = [row for table in shards.read_drops(demo.work / "cot") for row in table.to_pylist()]
    assert Counter(row["reason"] for row in rows) == demo.stage("cot")["dropped"]
    disagreeing = [row for row in rows if row["reason"] == "disagrees with the label"]
    assert disagreeing
    for row in disagreeing:
        reading = answer.read(row["detail"], load.load_source(row["source"]).candidates)
        assert reading.status == "ok" and reading.label != row["label"]


def test_no_benchmark_row_is_trained_on(demo):
    closed = {(source, mark.split) for source in load.names("sources") if (mark := load.load_source(source).benchmark)}
    for dataset in ("cot", "rlvr"):
        for piece in shards.slices(demo.work / dataset, 100):
            faces = [face for row in piece.read()["faces"].to_pylist() for face in row]
            assert faces and not {(face["source"], face["split"]) for face in faces} & closed


def test_without_a_server_it_says_how_to_start_one(demo, run):
    ran = run(
        "cot", "--teacher", "qwen72b", "--endpoint", "http://127.0.0.1:9/v1", "--config", demo.config, "--work", "w"
    )
    assert ran.code == 2
    assert "http://127.0.0.1:9/v1" in ran.err and "vllm serve Qwen/Qwen2.5-VL-72B-Instruct" in ran.err


def test_an_unknown_teacher_is_named_before_any_work(demo, run, tmp_path):
    ran = run("cot", "--teacher", "qwen72", "--config", demo.config, "--work", "w", "--json")
    assert ran.code == 2
    assert ran.json["error"]["hint"] == "did you mean 'qwen72b'?"
    assert not (tmp_path / "w" / "faces").exists()


@pytest.mark.parametrize(
    ("config", "recipe", "problem"),
    [
        ({"calibration": "absent.yaml"}, "", "cannot be read"),
        ({"calibration": "mine.yaml"}, "", "unknown key 'name'"),
        ({"unit_model": "absent.yaml"}, "", "cannot be read"),
        ({"models": {"centerface": "mine.yaml"}}, "", "was made with another centerface than the one in use"),
        ({"models": {"centerface": "absent.onnx"}}, "", "no such file for centerface"),
        ({}, "claims: {check: false, most_contradicted: 0}", "most_contradicted drops nothing"),
    ],
)
def test_a_wrong_configuration_is_told_before_any_work(demo, run, tmp_path, config, recipe, problem):
    config |= {"recipe": "mine.yaml", "sources": {"rafdb": str(demo.home / "releases" / "rafdb")}}
    (tmp_path / "fer-build.yaml").write_text(json.dumps(config))
    (tmp_path / "mine.yaml").write_text(f"name: mine\n{recipe}\n")
    ran = run("cot", "--json")
    assert ran.code == 2
    assert problem in ran.json["error"]["problem"]
    assert not (tmp_path / "fer-data" / "faces").exists()


def test_a_unit_model_that_is_not_there_is_told_before_faces_are_decoded(demo, run, tmp_path):
    roots = {"rafdb": str(demo.home / "releases" / "rafdb")}
    (tmp_path / "fer-build.yaml").write_text(json.dumps({"unit_model": "absent.yaml", "sources": roots}))
    ran = run("measure", "--json")
    assert (ran.code, ran.json["error"]["problem"]) == (2, "cannot be read")
    assert not (tmp_path / "fer-data" / "faces").exists()


@pytest.mark.parametrize("teacher", ["gpt", "gemini"])
def test_pictures_of_a_closed_source_are_never_sent_to_a_third_party(run, tmp_path, teacher):
    (tmp_path / "RAF" / "aligned").mkdir(parents=True)
    (tmp_path / "RAF" / "list_patition_label.txt").write_text("train_00001.jpg 4\n")
    (tmp_path / "fer-build.yaml").write_text("sources: {rafdb: RAF}\n")
    ran = run("cot", "--teacher", teacher, "--json", env={"OPENAI_API_KEY": "k", "GEMINI_API_KEY": "k"})
    assert ran.code == 2
    assert ran.json["error"]["problem"].startswith("pictures of RAF-DB")
    assert load.load_source("rafdb").licence.terms in ran.json["error"]["problem"]
    assert not (tmp_path / "fer-data" / "faces").exists()


def test_a_host_of_ones_own_is_no_third_party(run, tmp_path):
    (tmp_path / "RAF" / "aligned").mkdir(parents=True)
    (tmp_path / "RAF" / "list_patition_label.txt").write_text("train_00001.jpg 4\n")
    (tmp_path / "fer-build.yaml").write_text("own: [gpu.invalid]\nsources: {rafdb: RAF}\n")
    words = ("cot", "--teacher", "qwen7b", "--json", "--endpoint")
    assert "may not be sent" in run(*words, "http://other.invalid/v1").json["error"]["problem"]
    assert "may not be sent" not in run(*words, "http://gpu.invalid/v1").out


def test_the_wording_is_ours(real_data):
    published = json.loads((real_data / "ferbench" / "rafdb_qa.json").read_text())[0]
    labels = ", ".join(published["candidate_labels"])
    ours = " ".join(render("choose", choices=published["candidate_labels"]).replace(labels, "").split())
    words = published["prompt"].replace(labels, "").split()
    runs = [" ".join(words[at : at + 5]) for at in range(len(words) - 4)]
    assert len(runs) > 30 and not [run for run in runs if run in ours]
