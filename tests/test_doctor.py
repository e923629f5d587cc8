"""`fer-build doctor`: what it finds on a machine that lacks things, and that no secret is in what it says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from asked import stub

from ferbuild.builders import doctor
from ferbuild.builders.config import read_settings
from ferbuild.builders.doctor import findings
from ferbuild.manifests.load import load_asset


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A folder with a fer-build.yaml that names one release, in an environment without keys."""
    monkeypatch.chdir(tmp_path)
    for name in ("OPENAI_API_KEY", "GEMINI_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "no-token"))
    (tmp_path / "rafdb").mkdir()
    write(tmp_path, sources={"rafdb": "rafdb"})
    return tmp_path


def write(home: Path, **values) -> None:
    (home / "fer-build.yaml").write_text(yaml.safe_dump(values))


def found(home: Path) -> dict[tuple[str, str], doctor.Finding]:
    settings = read_settings(home / "fer-build.yaml", required=False)
    return {(one.area, one.name): one for one in findings(settings, home / "fer-build.yaml")}


def test_a_whole_machine_has_no_fault(home):
    seen = found(home)
    assert [one for one in seen.values() if one.state == "fault"] == []
    assert seen["versions", "fer-build"].said == doctor.version("fer-build")
    assert seen["releases", "rafdb"].state == "ok" and seen["teachers", "geometry"].state == "ok"
    core = {one.name for one in doctor._requirements() if one.marker is None}
    assert core <= {name for area, name in seen if area == "versions"} and "torch" not in core
    assert {name for area, name in seen if area == "extras"} == set(doctor.EXTRAS)


def test_a_package_that_is_missing_or_too_old_is_a_fault_with_its_line(home, monkeypatch):
    def version(name: str) -> str:
        if name == "jinja2":
            raise doctor.PackageNotFoundError(name)
        return {"polars": "0.1"}.get(name, real(name))

    real = doctor.version
    monkeypatch.setattr(doctor, "version", version)
    seen = found(home)
    jinja, polars = seen["versions", "jinja2"], seen["versions", "polars"]
    assert (jinja.state, jinja.said) == ("fault", "not installed, >=3.1.5 is needed")
    assert (polars.state, polars.said) == ("fault", "0.1, >=2.0 is needed")
    assert jinja.hint == "pip install 'jinja2>=3.1.5'"


def test_an_extra_says_what_it_is_for_and_how_to_get_it(home, monkeypatch):
    def version(name: str) -> str:
        if name == "vllm":
            raise doctor.PackageNotFoundError(name)
        return real(name)

    real = doctor.version
    monkeypatch.setattr(doctor, "version", version)
    one = found(home)["extras", "vllm"]
    assert (one.state, one.hint) == ("note", "pip install 'fer-build[vllm]'")
    assert "teachers of kind vllm" in one.said


def test_every_extra_of_users_is_told(home):
    text = (Path(doctor.__file__).parent.parent / "setup.cfg").read_text()
    extras = text.partition("[options.extras_require]\n")[2].partition("\n[")[0]
    names = {line.removesuffix(" =") for line in extras.splitlines() if line.endswith(" =")}
    assert names - {"dev", "bench", "docs"} == set(doctor.EXTRAS)


def test_models_missing_cut_or_named_wrongly(home, monkeypatch, tmp_path):
    monkeypatch.setenv("FER_BUILD_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    doctor.cached_path(load_asset("centerface")).write_bytes(b"cut")
    write(home, sources={}, models={"face_mesh": "nowhere.tflite"})
    seen = found(home)
    assert (seen["models", "centerface"].state, seen["models", "face_mesh"].state) == ("fault", "fault")
    assert "another sha256" in seen["models", "centerface"].said
    assert (seen["models", "anny"].state, seen["models", "anny"].hint) == ("note", "the first command in need does")


def test_little_room_and_a_folder_that_cannot_be_written(home, monkeypatch):
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda place: SimpleNamespace(free=1_000_000_000))
    assert found(home)["disk", "work folder"].state == "note"
    monkeypatch.setattr(doctor.os, "access", lambda place, mode: False)
    assert found(home)["disk", "work folder"].state == "fault"


def test_a_release_that_went_is_a_fault(home):
    (home / "rafdb").rmdir()
    one = found(home)["releases", "rafdb"]
    assert one.state == "fault" and "is not there" in one.said and str(home / "fer-build.yaml") in one.hint


def test_the_chosen_teacher_must_answer_and_others_may_not(home):
    write(home, sources={}, teacher="qwen72b")
    seen = found(home)
    assert (seen["teachers", "qwen72b"].state, seen["teachers", "gpt"].state) == ("fault", "note")
    assert seen["teachers", "gpt"].said.endswith("OPENAI_API_KEY is not set")


def test_a_server_of_ones_own_that_answers(home, tmp_path):
    with stub(tmp_path / "log") as port:
        entry = {
            "name": "mine", "kind": "http", "model": "stub-vl", "endpoints": [f"http://127.0.0.1:{port}/v1"],
            "party": "local",
        }  # fmt: skip
        (home / "mine.yaml").write_text(yaml.safe_dump(entry))
        write(home, sources={}, teacher="mine.yaml")
        seen = found(home)
    assert [seen["teachers", name].state for name in ("mine", "qwen72b", "gpt")] == ["ok", "note", "note"]
    gone = found(home)
    assert [gone["teachers", name].state for name in ("mine", "qwen72b", "gpt")] == ["fault", "note", "note"]


def test_a_teacher_that_cannot_be_read_is_a_fault_and_the_others_are_told(home):
    (home / "mine.yaml").write_text("kind: carrier pigeon\n")
    write(home, sources={}, teacher="mine.yaml")
    faults = [one for one in found(home).values() if one.state == "fault"]
    assert [one.area for one in faults] == ["teachers"] and "mine.yaml" in faults[0].said
    assert ("teachers", "geometry") in found(home)


def test_no_key_is_ever_told(home, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-mine")
    monkeypatch.setenv("HF_TOKEN", "hf_secret_of_mine")
    env = os.environ | {"COLUMNS": "200"}
    for more in ([], ["--json"], ["--all"]):
        done = subprocess.run(
            [Path(sys.executable).with_name("fer-build"), "doctor", *more],
            cwd=home,
            env=env,
            capture_output=True,
            text=True,
        )
        assert "secret" not in done.stdout + done.stderr and "token" in done.stdout


def test_the_command_tells_faults_by_its_exit_code(home):
    def ran(*more: str) -> subprocess.CompletedProcess[str]:
        words = [Path(sys.executable).with_name("fer-build"), "doctor", *more]
        return subprocess.run(words, cwd=home, capture_output=True, text=True)

    whole = ran("--json")
    told = json.loads(whole.stdout)
    assert (whole.returncode, told["faults"]) == (0, 0)
    assert {one["state"] for one in told["findings"]} <= {"ok", "note"}
    (home / "rafdb").rmdir()
    done = ran()
    assert done.returncode == 1 and "1 to mend (!!)" in done.stdout
    assert "aiohttp" not in done.stdout and "aiohttp" in ran("--all").stdout
