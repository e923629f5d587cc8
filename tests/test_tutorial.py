"""The commands of the tutorial and the README, as after a fresh clone: run, compared, and none that nobody runs.

The copy has this checkout's environments, so that nothing is installed again. What `docs/newcomer.py` leaves out, for
want of a server, an account or somebody's data, stands in LEFT_OUT with what is done about it instead.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path

import pytest
from asked import stub
from conftest import REPO, fer_build
from hub_stub import serving

sys.path.insert(0, str(REPO / "docs"))
import newcomer

from ferbuild.builders.cli import COMMANDS, cli

pytestmark = pytest.mark.network

ENVIRONMENTS = (".venv", ".venv-train")
SERVED = "a stub stands in for the served model: run"
PARSED = "its options are those of the command: parsed"

LEFT_OUT: dict[str, str] = {
    "make test": "it runs this",
    "make train-demo": "minutes of training; tests/training/test_proof.py shows the same",
    "fer-build counterfactual --model qwen7b": SERVED,
    "fer-build render --count 1000 --out rendered": "a minute of drawing; run with --count 4",
    "fer-build cot --teacher qwen72b --estimate": SERVED,
    "fer-build cot --teacher qwen72b --samples 4": SERVED,
    "fer-build cot --teacher qwen72b --quota 0.8": SERVED,
    "fer-build suspects --sheet suspects.png": SERVED,
    "python training/run.py": "trains a 7B model; tests/training/ runs its stages",
    "fer-build rlvr --pass-rate qwen7b --estimate": SERVED,
    "fer-build eval --model qwen7b": SERVED,
    "fer-build eval --endpoint URL --model-id ID": SERVED,
    "fer-build eval --responses results.json --out mine": "the tutorial scores a file of results: parsed",
    "fer-build fairness --model qwen7b": SERVED,
    "fer-build review cot --sample 200": "tests/test_review_browser.py has a browser decide: parsed",
    "fer-build apply-review cot": "tests/test_apply_review.py decides first: parsed",
    "fer-build publish cot --repo me/my-cot": "a hub on this machine: run",
    "fer-build rehydrate me/my-cot": "a hub on this machine: run",
    "fer-build verify fer-data/edition/cot": "the edition that was published there: run",
    ". .venv/bin/activate": "the tutorial does it",
    "fer-build init --find /path/to/your/datasets": "on the demo's releases: run",
    "fer-build check": "on the demo's releases: run",
    "fer-build cot --teacher geometry": "`make demo` does it",
    "fer-build cot --teacher qwen72b": SERVED,
    "fer-build rlvr": "the block before runs it",
    "fer-build bench": "`make demo` does it",
    "fer-build export ferbench --to unifer --out published": "on the demo: run",
}
"""Command of the README that a newcomer cannot run, and what is done about it here."""


def left_out() -> list[str]:
    page = (REPO / "README.md").read_text()
    return [one.text for one in newcomer.commands("README.md", page) if one.left_out]


def test_nothing_is_left_out_that_is_not_in_the_table():
    assert set(left_out()) == set(LEFT_OUT)


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """A copy of the checkout's files with its environments, which count as freshly installed."""
    for name, mark in zip(ENVIRONMENTS, (".core", ".ready"), strict=True):
        if not (REPO / name / mark).exists():
            pytest.skip(f"{name} is not there: make {'train-env' if 'train' in name else 'demo'}")
    home = tmp_path_factory.mktemp("clone") / "fer-build"
    home.mkdir()
    newcomer.copy_to(home)
    for name in ("setup.cfg", "pyproject.toml"):
        os.utime(home / name, (0, 0))
    for name in ENVIRONMENTS:
        (home / name).symlink_to(REPO / name)
    return home


def env(home: Path) -> dict[str, str]:
    path = f"{home / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(home.parent / "hf")}
    return {"PATH": path, "PYTHONPATH": str(home / "typings"), "OMP_NUM_THREADS": "1"} | offline


@pytest.fixture(scope="module")
def walked(clone) -> Path:
    """The clone after a newcomer's walk through tutorial and README."""
    shell = newcomer.Shell(clone, env(clone))
    try:
        assert newcomer.walk(shell, newcomer.PAGES) > 30
    finally:
        shell.close()
    return clone


@pytest.mark.timeout(900)
def test_a_newcomer_sees_what_the_pages_say(walked):
    assert (walked / "fer-demo" / "scores" / "tiny" / "index.html").exists()
    assert (walked / "fer-demo" / "models" / "grpo" / "model" / "config.json").exists()


def test_commands_that_are_left_out_can_be_understood():
    """Every word of them is a command or an option of it, and every option has its value."""
    for line in left_out():
        words = shlex.split(line)
        if words[0] == "fer-build":
            command = cli.get_command(None, words[1])
            known = {opt: param for param in command.params for opt in param.opts}
            assert words[1] in COMMANDS
            for at, word in enumerate(words):
                if word.startswith("--"):
                    assert word in known, line
                    assert known[word].is_flag or not words[at + 1].startswith("--"), line


@pytest.mark.timeout(600)
def test_commands_that_need_a_server_run_on_a_stub(demo, tmp_path):
    """Of the README as they stand, but for the endpoint, and fewer rows."""
    config = tmp_path / "fer-build.yaml"
    config.write_text(re.sub(r"(: )(?=releases/)", rf"\1{demo.home}/", demo.config.read_text()))
    said = "<think>The lip corners are pulled up, the cheeks raised, with wrinkles.</think><answer>happiness</answer>"
    with (
        stub(model="Qwen/Qwen2.5-VL-72B-Instruct", say=said) as large,
        stub(model="Qwen/Qwen2.5-VL-7B-Instruct", say=said) as small,
    ):
        for line in left_out():
            if LEFT_OUT[line] == SERVED:
                words = shlex.split(line)[1:]
                port = large if "qwen72b" in words else small
                if words[0] != "suspects":
                    words += [
                        "--endpoint",
                        f"http://127.0.0.1:{port}/v1",
                        *(["--yes"] if "--estimate" in words else []),
                    ]
                words = [word.replace("URL", f"http://127.0.0.1:{port}/v1") for word in words]
                words = ["Qwen/Qwen2.5-VL-7B-Instruct" if word == "ID" else word for word in words]
                words += ["--limit", "4"] if words[0] in ("cot", "rlvr", "eval", "suspects") else ["--count", "1"]
                ran = fer_build(*words, cwd=tmp_path, env={"COLUMNS": "120"})
                assert ran.code in (0, 1), (line, ran.err)


def test_commands_on_releases_of_ones_own_run_on_the_demos(demo, tmp_path):
    found = fer_build("init", "--find", demo.home / "releases", cwd=tmp_path)
    assert found.code == 0 and "rafdb: " in (tmp_path / "fer-build.yaml").read_text()
    assert fer_build("check", cwd=tmp_path).code in (0, 1)
    out = ("--to", "unifer", "--out", tmp_path / "published")
    assert fer_build("export", "ferbench", *out, "--config", demo.config, cwd=tmp_path).code == 0
    assert fer_build("render", "--count", 4, "--out", tmp_path / "rendered", cwd=tmp_path).code == 0


def test_commands_of_the_hub_run_on_one_of_this_machine(demo, tmp_path):
    """The baseline's rationales can be published as such only, by --baseline; a model's need no such word."""
    with serving(tmp_path / "hub") as url:
        hub = {"HF_ENDPOINT": url, "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": "hf_writer"}
        hub |= {"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
        config = tmp_path / "fer-build.yaml"
        config.write_text(re.sub(r"(: )(?=releases/)", rf"\1{demo.home}/", demo.config.read_text()))
        assert fer_build("cot", cwd=tmp_path).code == 0
        repo = ("--repo", "me/my-cot", "--baseline", "--i-have-checked", "rafdb")
        ran = fer_build("publish", "cot", *repo, cwd=tmp_path, env=hub)
        assert ran.code == 0, ran.err
        assert fer_build("verify", "fer-data/edition/cot", cwd=tmp_path).code == 0
        ran = fer_build("rehydrate", "me/my-cot", cwd=tmp_path, env=hub)
        assert ran.code == 0, ran.err
