"""What the tests of exports share: a built demo to read, small datasets made up row by row, and files read back."""

from __future__ import annotations

import csv
import importlib.util
import io
import json
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pyarrow as pa
from PIL import Image

from ferbuild.builders import shards
from ferbuild.builders.export import Exported, export
from ferbuild.builders.files import write_text
from ferbuild.builders.mark import Report, write_mark
from ferbuild.builders.record import COT, FERBENCH, RLVR

SCHEMAS = {"cot": COT, "rlvr": RLVR, "ferbench": FERBENCH}
STAGES = {"cot": "cot", "rlvr": "rlvr", "ferbench": "bench"}
LABELS = ["surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral"]


def settings(work: Path) -> Any:
    """As much of the settings as an export looks at."""
    return SimpleNamespace(work=work, releases=())


def exported(work: Path, dataset: str, target: str, out: Path) -> Exported:
    return export(settings(work), dataset, target, out)


def picture(seed: int, form: str = "JPEG") -> bytes:
    held = io.BytesIO()
    Image.new("RGB", (8, 8), (seed * 37 % 256, seed * 91 % 256, 128)).save(held, form)
    return held.getvalue()


def face(at: int) -> dict[str, Any]:
    return {"id": f"{at:016x}", "source": "rafdb", "split": "train", "rel_path": f"aligned/{at}.jpg"}


def row(at: int, **changes: Any) -> dict[str, Any]:
    """A row with what all datasets have; `faces` and `images` go by the same numbers."""
    label = LABELS[at % 7]
    return {
        "id": f"{at:016x}",
        "images": [{"bytes": picture(at), "path": f"{at:016x}.jpeg"}],
        "faces": [face(at)],
        "prompt": [{"role": "user", "content": f"Which one, {at}?\nSay <answer>…</answer>."}],
        "completion": [{"role": "assistant", "content": f"<think>“{at}”</think><answer>{label}</answer>"}],
        "kind": "choose",
        "choices": LABELS,
        "answer": label,
        "label": label,
        "canonical": label,
        "solution": f"<answer>{label}</answer>",
        "image_path": f"/RAF-DB/aligned/test_{at:04}_aligned.jpg",
    } | changes


def odd(one: int, other: int, **changes: Any) -> dict[str, Any]:
    """A question that shows two faces."""
    images = [{"bytes": picture(at), "path": f"{at}.jpeg"} for at in (one, other)]
    known = {"kind": "odd", "choices": ["same", "different"], "answer": "same", "solution": "<answer>same</answer>"}
    name = f"{one:016x}-{other:016x}-odd"
    return row(one, id=name, images=images, faces=[face(one), face(other)], **known) | changes


def built(work: Path, dataset: str, *, key: str = "0" * 32, **splits: list[dict[str, Any]]) -> Path:
    """Write a dataset folder of these rows, as a stage leaves one."""
    folder, schema = work / dataset, SCHEMAS[dataset]
    for split, rows in splits.items():
        table = pa.Table.from_pylist([{name: one.get(name) for name in schema.names} for one in rows], schema)
        shards.write_stream(folder / split / "data-00000-of-00001.arrow", [table], schema)
    counts = {split: len(rows) for split, rows in splits.items()}
    write_text(folder / "dataset_dict.json", json.dumps({"splits": list(splits)}))
    total = sum(counts.values())
    write_mark(folder, Report(STAGES[dataset], total, total, {}, folder, splits=counts), key, {})
    return folder


def rows_of(folder: Path) -> dict[str, list[dict[str, Any]]]:
    return {
        split: [one for path in paths for one in shards.read_stream(path).to_pylist()]
        for split, paths in shards.split_files(folder).items()
    }


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def table(path: Path) -> list[dict[str, str]]:
    """Read a file with tabs, without pandas."""
    csv.field_size_limit(1 << 30)
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def tree(folder: Path) -> dict[str, bytes]:
    """Every file of an export but the lock, by its path."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found
