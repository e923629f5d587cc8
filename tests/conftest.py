"""What the tests share: the command line in a process of its own, and one demo for all that look at it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

REPO = Path(__file__).parent.parent
SHARED = REPO.parent / "shared" / "data"


def pytest_runtest_setup() -> None:
    """Ctrl-C as in a terminal: what a test starts inherits it, whatever a worker's code or a shell's `&` left of it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True)
class Ran:
    """A finished `fer-build` process."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.out)


def fer_build(*words: object, cwd: Path, env: dict[str, str] | None = None) -> Ran:
    """Run `fer-build` as a user does; no traceback is ever acceptable."""
    command = [str(Path(sys.executable).with_name("fer-build")), *map(str, words)]
    surroundings = os.environ | {"HF_HUB_OFFLINE": "1", "COLUMNS": "120"} | (env or {})
    done = subprocess.run(command, cwd=cwd, env=surroundings, capture_output=True, text=True, timeout=280)
    assert "Traceback" not in done.stderr, done.stderr
    return Ran(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Ran]:
    """`fer-build` in an empty folder."""
    return lambda *words, **options: fer_build(*words, cwd=options.pop("cwd", tmp_path), **options)


@dataclass(frozen=True)
class Demo:
    """The demo, built once for the whole test run, by all its processes; tests read it and change nothing in it."""

    home: Path
    result: dict[str, Any]

    @property
    def work(self) -> Path:
        return self.home / "fer-data"

    @property
    def config(self) -> Path:
        return self.home / "fer-build.yaml"

    def stage(self, name: str) -> dict[str, Any]:
        return next(one for one in self.result["stages"] if one["stage"] == name)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    base = tmp_path_factory.getbasetemp()
    home = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "one-demo"
    told = home / "told.json"
    home.mkdir(exist_ok=True)
    with FileLock(home / "lock"):
        if not told.exists():
            ran = fer_build("demo", "--out", home / "fer-demo", "--workers", 2, "--json", cwd=home)
            assert ran.code == 0, ran.err
            told.write_text(ran.out)
    return Demo(home / "fer-demo", json.loads(told.read_text()))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Real annotation files; only where they lie beside the checkout."""
    if not SHARED.exists():
        pytest.skip("the real annotation data (../shared/data) is not beside this checkout")
    return SHARED
