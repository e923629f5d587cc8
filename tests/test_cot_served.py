"""`fer-build cot` with a served teacher: asked once, never again for what is stored, and complete only when it is."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import REPO, fer_build

from ferbuild.builders import shards

pytestmark = pytest.mark.network

MODEL = "Qwen/Qwen2.5-VL-7B-Instruct"


@contextmanager
def stub(log: Path, *words: str):
    """A chat server in a process of its own, that answers "happiness" to everything."""
    command = [sys.executable, str(REPO / "tests" / "stub_server.py"), "--model", MODEL, "--log", str(log), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
        finally:
            process.kill()


def answered(log: Path) -> int:
    return sum(line.endswith(" 200") for line in log.read_text().splitlines()) if log.exists() else 0


@pytest.fixture
def project(demo, tmp_path) -> Path:
    """fer-build.yaml on the demo's releases, with a work folder of its own."""
    roots = {name: str(demo.home / "releases" / name) for name in ("rafdb", "ferplus", "affectnet", "sfew")}
    (tmp_path / "fer-build.yaml").write_text(json.dumps({"teacher": "qwen7b", "sources": roots}))
    return tmp_path


def happy(work: Path) -> int:
    rows = [row for piece in shards.slices(work / "rlvr", 500) for row in piece.read()["canonical"].to_pylist()]
    return Counter(rows)["happiness"]


def checks(project: Path, names: str) -> None:
    """Have the project's recipe run these checks on replies."""
    (project / "mine.yaml").write_text(f"name: mine\nsources: [rafdb, ferplus]\ntrace_checks: {names}\n")
    config = json.loads((project / "fer-build.yaml").read_text()) | {"recipe": "mine.yaml"}
    (project / "fer-build.yaml").write_text(json.dumps(config))


def test_what_agrees_is_kept_and_nothing_is_asked_twice(demo, project):
    log = project / "log"
    checks(project, "[answered, agrees]")
    with stub(log) as url:
        ran = fer_build("cot", "--endpoint", url, "--json", cwd=project)
        total = demo.stage("rlvr")["kept"]
        assert (ran.code, ran.json["in"], answered(log)) == (0, total, total), ran.err
        fer_build("rlvr", cwd=project)
        assert ran.json["kept"] == happy(project / "fer-data")
        assert ran.json["dropped"] == {"disagrees with the label": total - ran.json["kept"]}
        assert [one["stage"] for one in ran.json["upstream"]] == ["faces", "measure"]
        checks(project, "[answered]")
        again = fer_build("cot", "--endpoint", url, "--json", cwd=project)
        assert (again.json["kept"], answered(log)) == (total, total)
    rows = [row for piece in shards.slices(project / "fer-data" / "cot", 500) for row in piece.read().to_pylist()]
    assert {row["teacher"] for row in rows} == {"qwen7b"} and not any(row["baseline"] for row in rows)
    assert fer_build("cot", "--endpoint", url, "--json", cwd=project).json["reused"], "no server is needed to reuse"


def test_a_dead_server_is_told_before_anything_is_measured(project):
    work = project / "fer-data"
    assert fer_build("faces", cwd=project).code == 0
    dead = fer_build("cot", "--endpoint", "http://127.0.0.1:9/v1", "--json", cwd=project)
    assert (dead.code, dead.json["error"]["problem"]) == (2, "no server answers there")
    assert (work / "faces").exists() and not [path for path in work.iterdir() if "measures" in path.name]


def test_no_server_is_needed_to_measure_again(project):
    checks(project, "[answered]")
    with stub(project / "log") as url:
        first = fer_build("cot", "--endpoint", url, "--json", cwd=project).json
    shutil.rmtree(project / "fer-data" / "measures")
    shutil.rmtree(project / "fer-data" / "cot")
    again = fer_build("cot", "--endpoint", "http://127.0.0.1:9/v1", "--json", cwd=project)
    assert (again.code, again.json["kept"]) == (0, first["kept"]), again.err


def test_rows_the_teacher_gave_up_on_are_asked_again(demo, project):
    log, total = project / "log", demo.stage("rlvr")["kept"]
    checks(project, "[answered]")
    with stub(log, "--faults", "0.4", "--kinds", "400", "--patience", "99") as url:
        ran = fer_build("cot", "--endpoint", url, "--json", cwd=project)
    gave_up = ran.json["dropped"]["teacher gave up"]
    assert (ran.code, ran.json["complete"]) == (1, False)
    assert 0 < gave_up == total - answered(log)
    assert fer_build("status", "--json", cwd=project).json["stages"]["cot"]["state"] == "incomplete"
    with stub(log) as url:
        ran = fer_build("cot", "--endpoint", url, "--json", cwd=project)
    assert (ran.code, ran.json["complete"], answered(log)) == (0, True, total)
    assert "teacher gave up" not in ran.json["dropped"]


def training_ids(folder: Path) -> set[str]:
    train = [piece for piece in shards.slices(folder, 1000) if piece.split == "train"]
    return {name for piece in train for name in piece.read()["id"].to_pylist()}


def test_a_limited_build_pays_for_its_rows_once(project):
    log = project / "log"
    with stub(log) as url:
        limited = fer_build("cot", "--endpoint", url, "--limit", 2, "--json", cwd=project)
        assert answered(log) == limited.json["in"] > 0
        few = training_ids(project / "fer-data" / "limited" / "faces")
        full = fer_build("cot", "--endpoint", url, "--json", cwd=project)
        # What a few benchmark rows do not show may be dropped when all of them are there: it was asked all the same.
        all_faces = training_ids(project / "fer-data" / "faces")
        assert (len(few), len(all_faces)) == (limited.json["in"], full.json["in"])
        assert answered(log) == len(few | all_faces)
    assert (project / "fer-data" / "replies.sqlite").exists()
    assert not (project / "fer-data" / "limited" / "replies.sqlite").exists()


def test_another_seed_asks_anew(project):
    log = project / "log"
    with stub(log) as url:
        first = fer_build("cot", "--endpoint", url, "--limit", 1, "--json", cwd=project).json["in"]
        config = json.loads((project / "fer-build.yaml").read_text()) | {"seed": 1}
        (project / "fer-build.yaml").write_text(json.dumps(config))
        fer_build("cot", "--endpoint", url, "--limit", 1, "--json", cwd=project)
        assert answered(log) == 2 * first
