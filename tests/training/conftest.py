"""What the tests of the training share: datasets that fer-build made of drawn faces, and a tiny model.

They need torch and run in an environment of their own (`make train-env`); `tests/test_training.py` starts them.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "2")

REPO = Path(__file__).parents[2]
sys.path.insert(0, str(REPO / "benchmarks"))

collect_ignore_glob = [] if importlib.util.find_spec("trl") else ["test_*.py"]


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The work folder of a small release of drawn faces: cot, rlvr and ferbench."""
    from training_release import build_datasets

    return build_datasets(tmp_path_factory.mktemp("drawn"), train=48, test=8, truth=0.67)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory, work: Path) -> Path:
    """A tiny random Qwen2.5-VL with the real chat template."""
    from training_demo import tiny_model

    return tiny_model(tmp_path_factory.mktemp("tiny"), work)


@pytest.fixture
def choose(work: Path, tiny: Path, tmp_path: Path) -> Callable[..., Any]:
    """Options of a stage by tiny-cpu.yaml, on the drawn faces, with flags over it."""
    from ferbuild.training import options

    def chosen(stage: str, *words: object, **files: object) -> Any:
        folders = {"data": work, "model": tiny, "out": tmp_path / "out"} | files
        flags = [word for name, path in folders.items() for word in (f"--{name}", str(path))]
        return options.read_options(stage, options.CONFIGS / "tiny-cpu.yaml", [*flags, *map(str, words)], {})

    return chosen
