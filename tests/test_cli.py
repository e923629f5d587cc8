"""The command line: every command helps, slips are named with the near word, and JSON stays JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ferbuild.builders.cli import COMMANDS

SHARED = ("--config", "--work", "--limit", "--workers", "--json")
SOME = {"render": ("--workers", "--json"), "completion": ("--json",)}
"""What commands take of SHARED that read no fer-build.yaml."""


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_the_shared_options(run, command):
    ran = run(command, "--help")
    assert ran.code == 0
    for option in SOME.get(command, SHARED):
        assert option in ran.out


def test_a_mistyped_command_names_the_near_one(run):
    ran = run("rlrv")
    assert ran.code == 2 and "did you mean 'rlvr'?" in ran.err


@pytest.mark.parametrize(
    ("words", "where"),
    [
        (("cot",), "fer-build.yaml"),
        (("check", "--config", "x.yaml"), "x.yaml"),
        (("bench", "--limit", "0"), "fer-build bench"),
    ],
)
def test_an_error_is_one_json_object(run, words, where):
    ran = run(*words, "--json")
    assert ran.code == 2
    assert set(ran.json["error"]) == {"where", "problem", "hint"}
    assert ran.json["error"]["where"] == where


@pytest.mark.parametrize("command", ["check", "faces", "measure", "cot", "rlvr", "bench", "calibrate"])
def test_a_wrong_root_is_named(run, tmp_path, command):
    (tmp_path / "fer-build.yaml").write_text(json.dumps({"sources": {"rafdb": "nowhere"}}))
    ran = run(command, *(("--against", "rafdb") if command == "calibrate" else ()))
    assert ran.code == 2
    assert "nowhere" in ran.err


@pytest.mark.parametrize("words", [("export", "ferbench", "--to", "unifer", "--out", "o"), ("grounding",)])
def test_what_is_not_built_is_named(run, tmp_path, words):
    (tmp_path / "fer-build.yaml").write_text(json.dumps({"sources": {"rafdb": "nowhere"}}))
    ran = run(*words)
    assert ran.code == 2
    assert "fer-data" in ran.err


def test_no_sources_is_told(run, tmp_path):
    (tmp_path / "fer-build.yaml").write_text("work: w\n")
    ran = run("faces")
    assert ran.code == 2 and "no sources" in ran.err and "fer-build init --find DIR" in ran.err


def test_init_finds_releases_and_never_overwrites(run, tmp_path, demo):
    ran = run("init", "--find", demo.home / "releases", "--json")
    assert ran.code == 0
    assert {one["source"] for one in ran.json["found"]} == {"rafdb", "ferplus", "affectnet", "sfew"}
    assert run("init").code == 2
    assert run("init", "--force").code == 0
    assert "sources: {}" in (tmp_path / "fer-build.yaml").read_text()


def test_what_init_wrote_can_be_checked(run, demo):
    run("init", "--find", demo.home / "releases")
    ran = run("check", "--json")
    assert ran.code == 0
    assert ran.json["in"] == demo.result["check"]["in"]
    assert {name: one["layout"] for name, one in ran.json["sources"].items()} == {
        name: one["layout"] for name, one in demo.result["check"]["sources"].items()
    }


def test_check_shows_counts_terms_and_where_to_ask(run, demo):
    ran = run("check", "--config", demo.config)
    assert ran.code == 0
    for word in ("RAF-DB", "AffectNet", "FERPlus", "SFEW", "expected", "licence:", "ask:", "dropped:"):
        assert word in ran.out, word
    assert "\x1b[" not in ran.out, "colours are off when piped"


def test_a_deep_check_opens_the_pictures(run, demo):
    ran = run("check", "--deep", "--config", demo.config, "--json")
    assert ran.code == 1
    unreadable = {reason for one in ran.json["sources"].values() for reason in one["unreadable"]}
    assert "truncated" in unreadable


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_work_folder_that_cannot_be_written_is_named(run, demo, tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    ran = run("faces", "--config", demo.config, "--work", tmp_path / "closed")
    assert ran.code == 2 and "cannot be written" in ran.err


def test_a_full_disk_stops_with_a_clear_error(run, demo, tmp_path):
    """A file size limit plays the full disk: the kernel refuses the write just the same."""
    (tmp_path / "limited.sh").write_text('ulimit -f 64; trap "" XFSZ; exec "$@"')
    command = ["bash", "limited.sh", str(Path(sys.executable).with_name("fer-build")), "rlvr"]
    command += ["--config", str(demo.config), "--work", "w", "--workers", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert "cannot be written" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("fault", "hint"),
    [
        ("ImportError('libGL.so.1: cannot open shared object file')", "apt-get install libgl1"),
        ("ModuleNotFoundError('No module named cv2', name='cv2')", "pip install cv2"),
    ],
)
def test_a_missing_package_or_library_ends_in_the_line_that_installs_it(tmp_path, fault, hint):
    (tmp_path / "cv2.py").write_text(f"raise {fault}")
    script = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from ferbuild.builders.cli import main; main(['faces'])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2 and hint in done.stderr and "Traceback" not in done.stderr
