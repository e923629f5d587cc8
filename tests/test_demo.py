"""The whole way on the demo's releases: loadable, accounted for, byte-identical, and only redone where it must."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from conftest import REPO, fer_build

from ferbuild.builders import shards
from ferbuild.builders.reasons import STAGES
from ferbuild.demo import truth
from ferbuild.demo.truth import read_truth
from ferbuild.filters.units import judge, judge_truth
from ferbuild.manifests.load import SHIPPED, load_calibration

pytestmark = pytest.mark.network

FOLDERS = ("faces", "measures", "cot", "rlvr", "ferbench")


def digest(work: Path) -> dict[str, str]:
    files = sorted(path for name in FOLDERS for path in (work / name).rglob("*") if path.is_file())
    return {str(path.relative_to(work)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_every_stage_accounts_for_its_rows(demo):
    assert [one["stage"] for one in demo.result["stages"]] == ["faces", "measure", "cot", "rlvr", "bench"]
    for one in demo.result["stages"]:
        assert one["in"] == one["kept"] + sum(one["dropped"].values()) > 0
        drops = [reason for table in shards.read_drops(Path(one["out"])) for reason in table["reason"].to_pylist()]
        assert {reason: drops.count(reason) for reason in drops} == one["dropped"]
        names = {re.sub(r"(?<=ferbench/)\w+", "<set>", reason) for reason in drops}
        assert names <= {reason for known in STAGES.values() for reason in known}
        mark = json.loads((Path(one["out"]) / "stage.json").read_text())
        assert (mark["in"], mark["kept"], mark["dropped"]) == (one["in"], one["kept"], one["dropped"])
        assert sum(one["splits"].values()) == one["kept"]
    check = demo.result["check"]
    assert check["in"] == check["kept"] + sum(check["dropped"].values()) == demo.stage("faces")["in"]


def test_the_funnel_shows_every_copy_that_the_demo_has_planted(demo):
    faces = demo.stage("faces")
    assert (faces["in"], faces["kept"]) == (396, 369)
    assert faces["splits"] == {"train": 264, "validation": 46, "test": 59}
    assert faces["dropped"] == {
        "near duplicate": 6, "duplicate": 2, "labels disagree": 1,
        "contaminates:ferbench/rafdb": 2, "contaminates:ferbench/ferplus": 1,
        "missing picture": 3, "truncated": 2, "unreadable": 1,
        "duplicate row": 2, "malformed row": 2, "no face name": 1, "bad box": 1,
        "label none": 1, "label uncertain": 1, "label no face": 1,
    }  # fmt: skip


def test_what_was_dropped_is_told_and_nothing_of_the_benchmark_is_left(demo, tmp_path):
    words = ("--config", demo.config, "--json")
    told = fer_build("duplicates", *words, cwd=tmp_path).json
    assert (told["groups"], told["rows"], len(told["disagreeing"])) == (9, 18, 1)
    assert told["contaminations"] == {"ferplus": {"ferplus": 1}, "rafdb": {"affectnet": 1, "ferplus": 1}}
    out = ("--out", tmp_path / "pairs.csv", "--sheet", tmp_path / "pairs.png")
    ran = fer_build("contamination", "--against", "ferbench", *out, *words, cwd=tmp_path)
    assert (ran.code, ran.json["contaminated"]) == (0, 0)
    assert (ran.json["training"], ran.json["pictures"]) == (272, 97)


@pytest.mark.parametrize("name", FOLDERS)
def test_both_loaders_read_every_dataset(demo, name, tmp_path):
    folder = str(demo.work / name)
    splits = next(one["splits"] for one in demo.result["stages"] if Path(one["out"]).name == name)
    for found in (datasets.load_dataset(folder, cache_dir=str(tmp_path)), datasets.load_from_disk(folder)):
        assert {split: rows.num_rows for split, rows in found.items()} == splits
        for rows in found.values():
            for row in rows:
                pictures = row.get("images") or [row["image"]] if name != "measures" else []
                assert all(min(picture.size) >= 40 for picture in pictures)


@pytest.mark.parametrize("name", FOLDERS)
def test_datasets_3_reads_every_dataset_too(demo, name, tmp_path):
    legacy = REPO / ".venv-datasets3" / "bin" / "python"
    if not legacy.exists():
        pytest.skip("the datasets 3.6 environment did not install (see the Makefile)")
    script = (
        "import sys, json, datasets\n"
        "for found in (datasets.load_dataset(sys.argv[1]), datasets.load_from_disk(sys.argv[1])):\n"
        "    rows = [row for split in found.values() for row in split]\n"
        "    print(json.dumps({split: len(rows) for split, rows in found.items()}))\n"
    )
    env = os.environ | {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([legacy, "-c", script, demo.work / name], capture_output=True, text=True, env=env)
    splits = next(one["splits"] for one in demo.result["stages"] if Path(one["out"]).name == name)
    assert [json.loads(line) for line in done.stdout.splitlines()] == [splits, splits], done.stderr


def test_the_benchmark_has_its_four_sets(demo):
    assert list(demo.stage("bench")["splits"]) == ["rafdb", "ferplus", "affectnet", "sfew"]
    assert not demo.stage("bench").get("findings")


def test_trainers_find_their_columns(demo):
    rows = datasets.load_from_disk(str(demo.work / "rlvr"))["train"]
    assert {"images", "prompt", "solution", "choices", "answer", "label"} <= set(rows.column_names)
    for row in rows:
        assert row["solution"] == f"<answer>{row['label']}</answer>" and row["label"] in row["choices"]
        assert row["prompt"][0]["role"] == "user" and "<image>" not in row["prompt"][0]["content"]
        assert len(row["images"]) == len(row["faces"]) == 1


def test_every_row_names_its_file(demo):
    for row in datasets.load_from_disk(str(demo.work / "faces"))["train"].remove_columns("image"):
        base = demo.home / "releases" / row["source"]
        [path] = [path for path in base.rglob(Path(row["rel_path"]).name) if str(path).endswith(row["rel_path"])]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == row["sha256"]


def test_one_worker_gives_the_same_bytes_as_two(demo, tmp_path):
    for command in ("cot", "rlvr", "bench"):
        ran = fer_build(command, "--config", demo.config, "--work", tmp_path / "one", "--workers", 1, cwd=tmp_path)
        assert ran.code == 0, ran.err
    assert digest(tmp_path / "one") == digest(demo.work)


def test_killed_at_random_moments_it_ends_with_the_same_bytes(demo, tmp_path):
    words = ["--config", str(demo.config), "--work", str(tmp_path / "killed")]
    rng = random.Random(11)
    for _ in range(5):
        command = [str(Path(sys.executable).with_name("fer-build")), "cot", *words]
        with subprocess.Popen(
            command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        ) as process:
            time.sleep(rng.uniform(0.8, 3.0))
            os.killpg(process.pid, signal.SIGKILL)
    for command in ("cot", "rlvr", "bench"):
        assert fer_build(command, *words, cwd=tmp_path).code == 0
    assert digest(tmp_path / "killed") == digest(demo.work)


def test_a_second_run_does_nothing(demo):
    ran = fer_build("cot", "--config", demo.config, "--json", cwd=demo.home)
    assert ran.json["reused"] and ran.json["upstream"] == []


def test_a_second_demo_renders_nothing_and_builds_nothing(demo):
    before = {path: path.stat().st_mtime_ns for path in (demo.home / "releases").rglob("*")}
    ran = fer_build("demo", "--out", demo.home, "--json", cwd=demo.home)
    assert ran.code == 0
    assert [one["reused"] for one in ran.json["stages"]] == [True] * 5
    assert {path: path.stat().st_mtime_ns for path in (demo.home / "releases").rglob("*")} == before
    told = ("check", "grounding", "truth")
    scores = [{name: one["pooled"] for name, one in some["eval"].items()} for some in (ran.json, demo.result)]
    assert scores[0] == scores[1] and list(scores[0]) == ["majority", "geometry", "probe"]
    assert {name: ran.json[name] for name in told} == {name: demo.result[name] for name in told}


def test_the_demo_tells_how_its_claims_fare(demo):
    [told] = demo.result["grounding"]
    assert told["teacher"] == "geometry" and told["circular"]
    total = told["total"]
    assert total["rationales"] == demo.stage("cot")["kept"]
    assert total["claims"] == total["supported"] + total["contradicted"] + total["not_judged"] > 0
    assert sum(found["claims"] for found in told["labels"].values()) == total["claims"]


def test_what_is_judged_of_a_face_is_what_its_render_shows(demo):
    """Faces that no calibration has seen: unit by unit, against the truth beside the releases."""
    known, calibration = read_truth(demo.home / "releases"), load_calibration()
    places = {row["id"]: (row["source"], row["rel_path"]) for row in rows(demo, "faces", ["id", "source", "rel_path"])}
    right = []
    for row in rows(demo, "measures", None):
        shown = known.get(places[row["id"]])
        if shown and shown["units"] is not None:
            true = judge_truth(shown["units"])
            judged = {name: one.state for name, one in judge(row, calibration).items() if "." not in name}
            right += [state == true[name].state for name, state in judged.items() if state != "unknown"]
    assert len(right) >= 200
    assert np.mean(right) >= 0.95


def rows(demo, stage: str, columns: list[str] | None) -> list[dict[str, Any]]:
    tables = [piece.read() for piece in shards.slices(demo.work / stage, 1000) if piece.split == "train"]
    return [row for table in tables for row in table.select(columns or table.schema.names).to_pylist()]


def test_claims_are_counted_against_the_truth(demo, monkeypatch):
    """A true and a false claim of a smile, both called supported, one not judged, and a photograph."""
    releases = demo.home / "releases"
    known = read_truth(releases)
    smile, photo = (
        next(place for place, row in known.items() if row["label"] == "happiness" and (row["units"] is None) == coded)
        for coded in (False, True)
    )
    text = "The lip corners are pulled up. The lip corners are pulled down. The chin is raised."
    verdicts = ["supported", "supported", "not judged"]
    said = [
        {
            "faces": [{"source": source, "rel_path": path}],
            "completion": [{"content": text}],
            "claims": [{"verdict": verdict} for verdict in verdicts],
        }
        for source, path in (smile, photo)
    ]
    monkeypatch.setattr(truth, "_rationales", lambda cot: said)
    assert truth.against_truth(demo.work / "cot", releases) == (2, 1)


def test_the_demo_counts_its_own_claims_against_the_truth(demo):
    told, claims = demo.result["truth"], demo.result["grounding"][0]["total"]
    assert 0 <= told["right"] <= told["judged"] <= claims["supported"] + claims["contradicted"]


def test_a_changed_option_redoes_only_what_depends_on_it(demo, tmp_path):
    recipe = tmp_path / "mine.yaml"
    shipped = (SHIPPED / "recipes/default.yaml").read_text()
    assert "  - reasons\n" in shipped
    recipe.write_text(shipped.replace("  - reasons\n", ""))
    roots = {name: str(demo.home / "releases" / name) for name in ("rafdb", "ferplus", "affectnet", "sfew")}
    config = tmp_path / "fer-build.yaml"

    def states(recipe: str) -> dict[str, str]:
        config.write_text(json.dumps({"work": str(demo.work), "recipe": recipe, "sources": roots}))
        found = fer_build("status", "--config", config, "--json", cwd=tmp_path).json["stages"]
        return {stage: one["state"] for stage, one in found.items() if "/" not in stage}

    built = dict.fromkeys(("faces", "measure", "cot", "rlvr", "bench"), "built")
    assert states("default") == built
    assert states("mine.yaml") == built | {"cot": "stale"}
    recipe.write_text(recipe.read_text().replace("crop_quality: 95", "crop_quality: 80"))
    assert states("mine.yaml") == dict.fromkeys(built, "stale") | {"bench": "built"}


def test_a_limited_build_lies_apart(demo, tmp_path):
    ran = fer_build("rlvr", "--config", demo.config, "--work", tmp_path / "w", "--limit", 2, "--json", cwd=tmp_path)
    assert ran.code == 0
    assert ran.json["out"] == str(tmp_path / "w" / "limited" / "rlvr")
    assert [one["stage"] for one in ran.json["upstream"]] == ["faces"]
    assert not (tmp_path / "w" / "rlvr").exists()
    names = [face["source"] for row in datasets.load_from_disk(ran.json["out"])["train"] for face in row["faces"]]
    assert max(names.count(name) for name in set(names)) <= 2


def test_status_before_anything_is_built(demo, tmp_path):
    ran = fer_build("status", "--config", demo.config, "--work", tmp_path / "empty", "--json", cwd=tmp_path)
    assert {one["state"] for one in ran.json["stages"].values()} == {"missing"}
