"""Promises that hold between the parts: what a key depends on, what stays at home, what a benchmark picture is for."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pytest
import trees
import twins
import yaml
from conftest import REPO, fer_build

from ferbuild.builders import shards

SOURCE = {
    "name": "mine",
    "title": "My set",
    "licence": {"name": "own", "terms": "My own pictures.", "images": "open", "labels": "open", "ask": "me"},
    "labels": {"Angry": "angry", "Happy": "happy"},
    "candidates": ["angry", "happy"],
    "canonical": {"angry": "anger", "happy": "happiness"},
    "layouts": [
        {
            "name": "class folders",
            "reader": "folders.read",
            "requires": ["train/Happy/"],
            "options": {
                "pattern": "^(?P<split>train|test)/(?P<label>[^/]+)/[^/]+$",
                "splits": {"train": "train", "test": "test"},
            },
        }
    ],
    "benchmark": {"split": "test", "set": "mine_1.0", "file": "mine_qa.json", "path": "/Mine/{label}/{name}"},
}


def png(seed: int) -> bytes:
    return twins.png(twins.photo(seed))


def project(folder: Path, **changes: object) -> Path:
    """A source of one's own in class folders, with its manifest and fer-build.yaml."""
    (folder / "mine.yaml").write_text(yaml.safe_dump(SOURCE | changes))
    for at in range(6):
        trees.put(
            folder / "set", f"{'train' if at % 2 else 'test'}/{'Happy' if at < 4 else 'Angry'}/{at}.png", data=png(at)
        )
    config = {"sources": {"mine": {"root": "set", "manifest": "mine.yaml"}}}
    (folder / "fer-build.yaml").write_text(json.dumps(config))
    return folder


def test_a_source_of_ones_own_goes_the_whole_way(run, tmp_path):
    project(tmp_path)
    assert run("rlvr", "--json").json["splits"] == {"train": 3}
    assert run("bench", "--json").json["splits"] == {"mine_1.0": 3}, "a set's name may hold a dot"
    run("export", "ferbench", "--to", "unifer", "--out", "out")
    rows = json.loads((tmp_path / "out" / "mine_qa.json").read_text())
    assert [row["image_path"] for row in rows] == ["/Mine/angry/4.png", "/Mine/happy/0.png", "/Mine/happy/2.png"]


@pytest.mark.parametrize("change", [{"path": "/Other/{name}"}, {"split": "train"}, {"set": "other"}])
def test_another_benchmark_mark_makes_everything_stale(run, tmp_path, change):
    project(tmp_path)
    for command in ("rlvr", "bench"):
        run(command)
    assert run("status", "--json").json["stages"]["bench"]["state"] == "built"
    project(tmp_path, benchmark=SOURCE["benchmark"] | change)
    states = {name: one["state"] for name, one in run("status", "--json").json["stages"].items()}
    assert (states["faces"], states["rlvr"], states["bench"]) == ("stale", "stale", "stale")


def test_a_split_of_another_name_is_an_error_and_no_silence(run, tmp_path):
    layout = SOURCE["layouts"][0]
    options = layout["options"] | {"splits": {"train": "Train", "test": "test"}}
    project(tmp_path, layouts=[layout | {"options": options}])
    ran = run("check", "--json")
    assert ran.code == 2 and ran.json["error"]["problem"] == "a layout gives the split 'Train'"


def test_a_picture_of_the_benchmark_is_never_trained_on(run, tmp_path):
    both, only = trees.affectnet_row("1/both.png", 1), trees.affectnet_row("1/only.png", 1)
    moved = trees.affectnet_row("1/moved.png", 1, box="1,1,20,20")
    lists = {"training": [both, only, moved], "validation": [both, trees.affectnet_row("1/moved.png", 1)]}
    for split, rows in lists.items():
        header = (
            "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
        )
        trees.lines(tmp_path / "A", f"Manually_Annotated/Manually_Annotated_file_lists/{split}.csv", [header, *rows])
    for at, name in enumerate(("both", "only", "moved")):
        trees.put(tmp_path / "A", f"{PICTURES}/1/{name}.png", data=png(at))
    (tmp_path / "fer-build.yaml").write_text("sources: {affectnet: A}\n")
    ran = run("rlvr", "--json")
    assert (ran.json["kept"], ran.json["upstream"][0]["dropped"]) == (1, {"contaminates:ferbench/affectnet": 2})


PICTURES = "Manually_Annotated/Manually_Annotated_Images"


def test_agreement_is_counted_and_not_assumed(demo, tmp_path):
    roots = {name: str(demo.home / "releases" / name) for name in ("rafdb", "ferplus", "affectnet", "sfew")}
    (tmp_path / "mine.yaml").write_text("name: mine\ntrace_checks: [answered]\n")
    (tmp_path / "fer-build.yaml").write_text(json.dumps({"recipe": "mine.yaml", "sources": roots}))
    ran = fer_build("cot", "--json", cwd=tmp_path)
    rows = [row for piece in shards.slices(tmp_path / "fer-data/cot", 99) for row in piece.read().to_pylist()]
    wrong = demo.stage("cot")["dropped"]["disagrees with the label"]
    assert ran.json["kept"] == demo.stage("cot")["kept"] + wrong
    assert [row["agreement"] for row in rows] == [float(row["answer"] == row["label"]) for row in rows]
    assert sum(row["agreement"] == 0 for row in rows) == wrong > 0


def test_status_and_check_look_on_while_another_process_builds(demo, tmp_path):
    script = "import sys,time; from pathlib import Path; from ferbuild.builders.stage import only_one\n"
    script += "with only_one(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "w")], stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        words = ("--config", demo.config, "--work", tmp_path / "w")
        assert fer_build("status", *words, cwd=tmp_path).code == 0
        assert fer_build("check", *words, cwd=tmp_path).code == 0
        ran = fer_build("rlvr", *words, cwd=tmp_path)
        assert ran.code == 2 and "another fer-build is writing here" in ran.err
        holder.kill()


def test_a_proxy_never_gets_what_goes_to_this_machine(demo, tmp_path):
    """A proxy in the environment, and a served teacher on loopback: nobody may ring the proxy."""
    rang = []
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        threading.Thread(target=lambda: rang.append(proxy.accept()), daemon=True).start()
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        env = {"HTTP_PROXY": address, "http_proxy": address, "OPENAI_API_KEY": "k"}
        words = (
            "cot",
            "--teacher",
            "gpt",
            "--endpoint",
            "http://127.0.0.1:9/v1",
            "--config",
            demo.config,
            "--work",
            "w",
        )
        ran = fer_build(*words, cwd=tmp_path, env=env)
    assert ran.code == 2 and "no server answers" in ran.err
    assert not rang


def test_a_flipped_bit_in_an_archive_is_a_drop(run, tmp_path):
    names = [f"Happy/{at:03d}.png" for at in range(40)]
    whole = tmp_path / "whole.zip"
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for at, name in enumerate(names):
            archive.writestr(name, png(at))
    data = bytearray(whole.read_bytes())
    with zipfile.ZipFile(whole) as archive:
        spans = [(info.header_offset + 30 + len(info.filename), info.compress_size) for info in archive.infolist()]
    rng = random.Random(5)
    for start, size in spans[:20]:
        data[start + rng.randrange(size)] ^= 1 << rng.randrange(8)
    (tmp_path / "S").mkdir()
    (tmp_path / "S" / "Train_Aligned_Faces.zip").write_bytes(data)
    (tmp_path / "fer-build.yaml").write_text("sources: {sfew: S}\n")
    ran = run("faces", "--json")
    assert (ran.json["in"], ran.json["kept"], sum(ran.json["dropped"].values())) == (40, 20, 20)


def test_sigterm_ends_like_ctrl_c(demo, tmp_path):
    command = [str(Path(sys.executable).with_name("fer-build")), "cot", "--config", str(demo.config), "--work", "w"]
    with subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:
        for line in process.stderr:
            if line.startswith("faces"):
                break
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
    assert process.returncode == 130 and "goes on from there" in rest and "Traceback" not in rest, rest


@pytest.mark.parametrize(
    "words", [("export", "ferbench", "--to", "unifer", "--out", "afile"), ("init", "--config", "afile/x.yaml")]
)
def test_a_file_in_the_place_of_a_folder_is_named(demo, tmp_path, words):
    (tmp_path / "afile").write_text("")
    config = () if words[0] == "init" else ("--config", demo.config)
    ran = fer_build(*words, *config, "--json", cwd=tmp_path)
    assert ran.code == 2 and "afile" in ran.json["error"]["where"]


def test_the_demo_leaves_an_edited_config_alone(demo, tmp_path):
    (tmp_path / "fer-demo").mkdir()
    (tmp_path / "fer-demo" / "fer-build.yaml").write_text("work: precious\n")
    ran = fer_build("demo", "--json", cwd=tmp_path)
    assert ran.code == 2 and "was edited" in ran.json["error"]["problem"]
    assert (tmp_path / "fer-demo" / "fer-build.yaml").read_text() == "work: precious\n"


def test_check_tells_the_drops_of_every_split(demo):
    splits = demo.result["check"]["sources"]["affectnet"]["splits"]
    assert splits["train"]["dropped"] == {
        "bad box": 1, "duplicate row": 1, "label no face": 1, "label none": 1, "label uncertain": 1, "malformed row": 1,
    }  # fmt: skip
    assert splits["validation"]["dropped"] == {}


def test_no_file_of_a_dataset_names_this_machine(demo):
    """Neither a path of this machine, nor a memory address, in any shard, card or mark."""
    for path in (path for path in demo.work.rglob("*") if path.is_file() and path.suffix != ".sqlite"):
        data = path.read_bytes()
        assert str(demo.home).encode() not in data and str(REPO).encode() not in data, path
        assert b" object at 0x" not in data, path
        assert os.uname().nodename.encode() not in data or len(os.uname().nodename) < 4, path


def test_a_folder_of_the_users_own_is_never_deleted(run, tmp_path):
    project(tmp_path)
    for name in ("faces", "rlvr"):
        trees.put(tmp_path, f"{name}/precious.txt")
        ran = run("rlvr", "--work", ".", "--json")
        assert ran.code == 2 and ran.json["error"]["problem"] == "is there already and was not made by fer-build"
        assert (tmp_path / name / "precious.txt").exists()
        (tmp_path / name).rename(tmp_path / f"my_{name}")
    assert run("rlvr", "--work", ".", "--json").code == 0


@pytest.mark.parametrize("damage", ["gone", "added", "cut after a batch"])
def test_a_dataset_with_other_rows_than_it_says_is_built_anew(run, tmp_path, damage):
    project(tmp_path)
    run("rlvr")
    shard = tmp_path / "fer-data/faces/train/data-00000-of-00001.arrow"
    whole = shard.read_bytes()
    if damage == "gone":
        shard.unlink()
    elif damage == "added":
        shard.with_name("data-99999-of-00001.arrow").write_bytes(whole)
    else:
        table = shards.read_stream(shard)
        shards.write_stream(shard, [table.slice(0, 1)], table.schema.remove_metadata())
    assert run("status", "--json").json["stages"]["faces"]["state"] == "damaged"
    ran = run("rlvr", "--json")
    assert (ran.code, ran.json["in"], [one["stage"] for one in ran.json["upstream"]]) == (0, 3, ["faces"])
    assert shard.read_bytes() == whole and len(list(shard.parent.glob("*.arrow"))) == 1


def test_what_a_kill_left_beside_a_finished_dataset_is_removed(run, tmp_path):
    project(tmp_path)
    run("faces")
    for rest in (".faces.parts/key/000000.json", ".faces.old/stage.json"):
        trees.put(tmp_path, f"fer-data/{rest}")
    assert run("faces", "--json").json["reused"]
    assert sorted(path.name for path in (tmp_path / "fer-data").iterdir()) == [".lock", "faces"]


@pytest.mark.parametrize("text", ["[]", "null", "5", '{"stage": 3}', "[" * 5000])
def test_a_damaged_mark_is_no_traceback(run, tmp_path, text):
    project(tmp_path)
    run("faces")
    (tmp_path / "fer-data/faces/stage.json").write_text(text)
    assert run("status", "--json").json["stages"]["faces"] == {"state": "missing"}
    assert not run("faces", "--json").json["reused"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("seed: 2020-13-45\n", "cannot be read"),
        ("x: " + "[" * 3000 + "\n", "not valid YAML"),
        ("sources: {rafdb: a}\nsources: {}\n", "not valid YAML"),
        ("sources: {rafdb: {rot: a}}\n", "unknown key 'sources.rafdb.rot'"),
        ("sources: {rafdb: ~nosuchuser/x}\n", "no such user"),
        ("sources: {a: {root: x, manifest: rafdb}, b: {root: y, manifest: rafdb}}\n", "rafdb is named twice"),
        ("recipe: mine.yaml\n", "no source 'rafbd'"),
    ],
)
def test_a_hostile_config_is_a_clear_error(run, tmp_path, text, problem):
    (tmp_path / "mine.yaml").write_text("name: mine\nsources: [rafbd]\n")
    (tmp_path / "fer-build.yaml").write_text(text)
    ran = run("check", "--json")
    assert ran.code == 2 and problem in f"{ran.json['error']['problem']} {ran.json['error']['hint']}"


def test_a_fault_of_our_own_is_told_as_one(tmp_path):
    script = (
        "import ferbuild.builders.cli.init as init\n"
        "init.find_releases = lambda folder: 1 / 0\n"
        "from ferbuild.builders.cli import main\n"
        "main(['init', '--find', '.', '--json'])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert json.loads(done.stdout)["error"]["problem"] == "ZeroDivisionError: division by zero"
