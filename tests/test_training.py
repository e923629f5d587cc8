"""Starts the tests of the training in their own environment, once: they need torch, which the core does without."""

from __future__ import annotations

import os
import subprocess

import pytest
from conftest import REPO

PYTHON = REPO / ".venv-train" / "bin" / "python"


@pytest.mark.timeout(1800)
def test_the_training():
    if not (REPO / ".venv-train" / ".ready").exists():
        pytest.skip("the training environment is not there: `make train-env` installs it (torch and its kin, 6 GB)")
    # One thread: the tests beside this one have the other core, and a tiny model gains nothing by two.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    line = [
        PYTHON,
        "-m",
        "pytest",
        "tests/training",
        "-q",
        "-p",
        "no:cacheprovider",
        "--durations",
        "5",
        "--timeout",
        "900",
    ]
    done = subprocess.run(
        [str(word) for word in line], cwd=REPO, env=env | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
