"""The package as a user installs it: complete, light, and importable from anywhere."""

from __future__ import annotations

import ast
import configparser
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from conftest import REPO

HEAVY = ("torch", "vllm", "insightface", "trl", "transformers")
ROOMS = ("builders", "prompts", "filters", "manifests", "training", "demo")


def declared(section: str, key: str) -> list[str]:
    parser = configparser.ConfigParser()
    parser.read(REPO / "setup.cfg")
    return [line.strip() for line in parser[section][key].splitlines() if line.strip()]


def modules() -> dict[str, Path]:
    return {
        "ferbuild." + ".".join(path.relative_to(REPO).with_suffix("").parts): path
        for room in ROOMS
        for path in sorted((REPO / room).rglob("*.py"))
    }


def test_the_packages_list_is_what_lies_on_disk():
    folders = {name.rpartition(".")[0] for name in modules()}
    assert sorted(declared("options", "packages")) == sorted(folders)


def test_the_card_folders_are_at_the_top():
    wanted = {"builders", "prompts", "filters", "manifests", "training", "tests"}
    assert wanted <= {path.name for path in REPO.iterdir() if path.is_dir()}


def test_help_imports_nothing_heavy():
    script = "import sys\nfrom ferbuild.builders.cli import cli\n"
    script += "cli.main(['--help'], standalone_mode=False)\nprint('MODULES', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.partition("MODULES")[2].split())
    assert not loaded & {*HEAVY, "datasets", "pyarrow", "polars", "cv2", "aiohttp"}


@pytest.mark.parametrize("command", ["check", "cot", "rlvr", "bench", "export", "status", "demo", "init"])
def test_no_command_imports_torch(command):
    script = (
        f"import sys\nfrom ferbuild.builders.cli import cli\ncli.main(['{command}', '--help'], standalone_mode=False)\n"
    )
    script += "print('MODULES', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not set(done.stdout.partition("MODULES")[2].split()) & {*HEAVY, "datasets"}


def test_no_module_imports_torch_outside_training():
    for name, path in modules().items():
        if not name.startswith("ferbuild.training"):
            assert not imports(path) & set(HEAVY), name


def test_imports_run_one_way():
    """No module reaches itself through what it imports at its top."""
    known = modules()
    graph = {name: {target for target in imports(path, full=True) if target in known} for name, path in known.items()}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name not in done:
            for target in graph[name]:
                visit(target, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize(
    ("room", "forbidden"),
    [
        ("ferbuild.filters", ("ferbuild.builders.cli", "ferbuild.builders.stage", "ferbuild.builders.shards")),
        ("ferbuild.prompts", ("ferbuild.builders.sources", "ferbuild.builders.teacher")),
        ("ferbuild.builders.sources", ("ferbuild.builders.stage", "ferbuild.builders.cli")),
        ("ferbuild.manifests", ("ferbuild.filters", "ferbuild.prompts", "ferbuild.builders.record")),
    ],
)
def test_rooms_know_nothing_of_what_lies_ahead(room, forbidden):
    for name, path in modules().items():
        if name.startswith(room):
            assert not [target for target in imports(path, full=True) if target.startswith(forbidden)], name


def imports(path: Path, *, full: bool = False) -> set[str]:
    """Return the modules that a file imports at its top level: whole dotted names, or their first parts."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found if full else {name.partition(".")[0] for name in found}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(out), str(REPO)]
    subprocess.run(command, check=True, capture_output=True)
    return next(out.glob("fer_build-*.whl"))


def test_the_wheel_holds_code_yaml_and_templates_and_nothing_else(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    data = {
        f"ferbuild/{path.relative_to(REPO).as_posix()}"
        for room in ("builders", "manifests", "prompts", "training")
        for path in (REPO / room).rglob("*")
        if path.suffix in (".yaml", ".j2", ".json", ".txt", ".html", ".js", ".css", ".svg")
    }
    code = {name.replace(".", "/") + ".py" for name in modules()}
    assert names == code | data


def test_an_installed_copy_works_from_any_folder(wheel, tmp_path):
    """The wheel in an environment of its own, with this one's dependencies, beside a folder called `filters`."""
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    (tmp_path / "filters").mkdir()
    (tmp_path / "filters" / "__init__.py").write_text("raise SystemExit('the wrong filters')")
    script = (
        "import ferbuild.builders.record as r, sys\n"
        "assert 'env' in r.__file__, r.__file__\n"
        "from ferbuild.manifests import load\n"
        "from ferbuild.prompts.render import render\n"
        "asked = render('choose', choices=['a', 'b'])\n"
        "print(len(load.names('sources')), load.load_recipe('default').name, 'a, b' in asked)"
    )
    borrowed = [path for path in sys.path if path.endswith("site-packages")]
    env = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(next((tmp_path / "env").glob("lib/*/site-packages"))), *borrowed])
    }
    done = subprocess.run([python, "-c", script], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(len(list((REPO / "manifests" / "sources").glob("*.yaml")))), "default", "True"]
