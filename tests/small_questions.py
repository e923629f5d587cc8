"""Questions small enough to ask a student: a stage of made-up rows, importable by the worker processes.

Run as a script it asks and chooses as `difficulty.run` does, in the folder named.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml
from test_promises import SOURCE
from trees import put

from ferbuild.builders import difficulty
from ferbuild.builders.build import Build
from ferbuild.builders.config import read_settings
from ferbuild.builders.difficulty import Questions
from ferbuild.builders.mark import Report
from ferbuild.builders.record import DROPS, RLVR, Batch, face_id
from ferbuild.builders.stage import Job, Plan

LABELS = ("happiness", "neutral", "fear", "contempt")
PNG = b"\x89PNG\r\n\x1a\n"


def question(name: str, label: str, *, source: str = "mine", kind: str = "choose", **changes: Any) -> dict[str, Any]:
    """Return one row of RLVR; its picture is a few bytes that no other has."""
    own = face_id(source, name, None)
    face = {"id": own, "source": source, "split": "train", "rel_path": name, "sha256": "s", "pixel_hash": "p"}
    row = {
        "id": own if kind == "choose" else f"{own}-{kind}",
        "images": [{"bytes": PNG + name.encode(), "path": name}],
        "prompt": [{"role": "user", "content": f"Which of {', '.join(LABELS)}?"}],
        "solution": f"<answer>{label}</answer>",
        "kind": kind,
        "choices": list(LABELS),
        "answer": label,
        "label": label,
        "canonical": label,
        "faces": [face],
        "prompt_version": "v1",
        "label_rule": "the file's",
        "licence": "own",
        "synthetic": False,
    }
    return row | changes


def many(counts: dict[str, int], **changes: Any) -> list[dict[str, Any]]:
    """Return so many rows of each label, the labels in turns as a release has them."""
    rows = [(at / count, label, at) for label, count in counts.items() for at in range(count)]
    return [question(f"{label}/{at}.png", label, **changes) for _, label, at in sorted(rows)]


def made_batch(rows: Sequence[dict[str, Any]]) -> Batch:
    return Batch({"train": pa.Table.from_pylist(list(rows), schema=RLVR)}, DROPS.empty_table())


def home(folder: Path, **config: Any) -> Path:
    """Write a fer-build.yaml with one open release of one picture, and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mine.yaml").write_text(yaml.safe_dump(SOURCE))
    put(folder / "set", "train/Happy/1.png", data=PNG)
    config = {"sources": {"mine": {"root": str(folder / "set"), "manifest": str(folder / "mine.yaml")}}} | config
    (folder / "fer-build.yaml").write_text(json.dumps(config))
    return folder


def student(folder: Path, port: int = 9, **changes: Any) -> str:
    """Write an entry of a served student whose samples differ by their number alone, and return its file."""
    sampling = {"temperature": 0.7, "max_tokens": 64}
    entry = {"name": "student", "kind": "http", "model": "stub-vl", "sampling": sampling}
    path = folder / "student.yaml"
    path.write_text(yaml.safe_dump(entry | {"endpoints": [f"http://127.0.0.1:{port}/v1"]} | changes))
    return str(path)


def build_of(folder: Path, *, work: Path | None = None, workers: int = 1) -> Build:
    return Build(read_settings(folder / "fer-build.yaml", work=work or folder / "fer-data", workers=workers))


def questions_of(build: Build, rows: Sequence[dict[str, Any]]) -> Questions:
    """Return the stage that makes these rows, planned as the rlvr stage is."""
    told = [{name: value for name, value in row.items() if name != "images"} for row in rows]
    plan = Plan(
        stage="rlvr", version=1, out=build.settings.work / "rlvr", schema=RLVR, options={"rows": told}, inputs=[],
        about="Questions.",
    )  # fmt: skip
    jobs = [Job(len(some), some) for at in range(0, len(rows), 40) if (some := list(rows[at : at + 40]))]
    return Questions(plan, lambda made: build.bring_up_to_date(made, lambda: jobs, made_batch))


def run(folder: Path, rows: Sequence[dict[str, Any]], *, build: Build | None = None, **flags: Any) -> Report | None:
    """Ask and choose."""
    build = build or build_of(folder)
    given: Any = {"pass_rate": str(folder / "student.yaml")} | flags
    return difficulty.run(build, questions=questions_of(build, rows), flags=given)


if __name__ == "__main__":
    where = Path(sys.argv[1])
    partial(run, where, many({"happiness": 60, "fear": 40}), samples=4)()
