"""Files of results, made up: rows of the four sets in their published places, and a built benchmark of them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pyarrow as pa

from ferbuild.builders import shards
from ferbuild.builders.record import FERBENCH

WORDS = {
    "rafdb": ["surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral"],
    "ferplus": ["angry", "contempt", "disgust", "fear", "happy", "neutral", "sad", "surprise"],
    "affectnet": ["neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt"],
    "sfew": ["angry", "disgust", "fear", "happy", "neutral", "sad", "surprise"],
}
PLACES = {
    "rafdb": "/RAF-DB/aligned/test_{at:04}_aligned.jpg",
    "ferplus": "/FERPlus/test/{label}/fer{at:07}.png",
    "affectnet": "/AffectNet/Manually_Annotated/validation/{at}/a{at}.jpg",
    "sfew": "/SFEW-2.0/Val/Val_Aligned_Faces/{title}/Film_{clip:09}_{at:08}.png",
}
ASKED = "Which expression? Answer between the <answer></answer> tags."


def question(name: str, at: int) -> dict:
    """A published row of a set; its label follows from its place."""
    label = WORDS[name][at % len(WORDS[name])]
    path = PLACES[name].format(at=at, label=label, title=label.title(), clip=at // 2)
    return {"image_path": path, "true_label": label, "prompt": ASKED, "candidate_labels": WORDS[name]}


def questions(name: str, count: int) -> list[dict]:
    return [question(name, at) for at in range(count)]


def answered(row: dict, text: str | None = None, **more) -> dict:
    said = f"<think>…</think><answer>{row['true_label']}</answer>" if text is None else text
    return row | {"model_response": said} | more


def write(path: Path, rows: list, *, lines: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(map(json.dumps, rows)) if lines else json.dumps(rows, indent=2))
    return path


def rows_of(found) -> list[dict]:
    return found.table.to_pylist()


def kinds(found) -> dict[str, int]:
    counts = Counter()
    for one in found.problems:
        counts[one.kind] += one.count
    counts.pop("missing", None)
    return dict(counts)


def bench_folder(folder: Path, sets: dict[str, list[dict]]) -> Path:
    """A built benchmark as far as it is read here."""
    for name, rows in sets.items():
        made = [
            {
                "id": f"{name}-{at}",
                "choices": row["candidate_labels"],
                "answer": row["true_label"],
                "canonical": {"angry": "anger", "happy": "happiness", "sad": "sadness"}.get(
                    row["true_label"], row["true_label"]
                ),
                "image_path": row["image_path"],
            }
            for at, row in enumerate(rows)
        ]
        shards.write_stream(
            folder / name / "data-00000-of-00001.arrow", [pa.Table.from_pylist(made, FERBENCH)], FERBENCH
        )
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(sets)}))
    return folder


def faces_folder(folder: Path, groups: dict[str, str]) -> None:
    schema = pa.schema([("id", pa.string()), ("group_id", pa.string())])
    rows = [{"id": one, "group_id": group} for one, group in groups.items()]
    shards.write_stream(folder / "test" / "data-00000-of-00001.arrow", [pa.Table.from_pylist(rows, schema)], schema)
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": ["test"]}))
