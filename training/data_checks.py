"""Whether a dataset can be trained on, found out in seconds before any model is loaded.

A dataset folder is memory-mapped, never copied or turned into lists: what is looked at in every row are offsets and
short columns, texts of some rows only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ferbuild.builders import shards
from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.builders.record import CANONICAL
from ferbuild.filters.answer import read
from ferbuild.filters.verify import KINDS, verify

COLUMNS = {"sft": ("images", "prompt", "completion"), "grpo": ("images", "prompt", "solution")}
MADE_BY = {"sft": "cot", "grpo": "rlvr"}
_PARTS = "\x1f"  # stands between the choices of a row where they are compared as one text


class Data(NamedTuple):
    """A dataset that passed the checks that need no model."""

    name: str
    """Where it came from, as given."""
    train: Any
    evaluation: Any | None
    fingerprints: Mapping[str, str]
    """Split to the hash that names its rows: for a folder of fer-build, of everything that made it."""


def open_data(where: str, stage: str, split: str, eval_split: str | None) -> Data:
    """Return the splits of a dataset folder or of one on the Hub; FerError where they are not there or cut."""
    folder = Path(where)
    if folder.is_dir() and not (folder / "dataset_dict.json").exists() and (folder / MADE_BY[stage]).is_dir():
        folder = folder / MADE_BY[stage]
    local = (folder / "dataset_dict.json").exists()
    found = _from_folder(folder) if local else _from_hub(where)
    wanted = [split, *([eval_split] if eval_split else [])]
    for name in wanted:
        if name not in found:
            raise FerError(where, f"has no split {name!r}", did_you_mean(name, found))
    prints = {name: str(found[name]._fingerprint) for name in wanted}
    return Data(str(folder) if local else where, found[split], found[eval_split] if eval_split else None, prints)


def _from_folder(folder: Path) -> Any:
    """Return all splits, memory-mapped; FerError where a shard is missing or cut, or the build is not complete."""
    for split, paths in shards.split_files(folder).items():
        state = _json(folder / split / "state.json")
        listed = [one["filename"] for one in state.get("_data_files", [])]
        missing = sorted(set(listed) - {path.name for path in paths})
        if missing or not listed:
            problem = f"is missing {len(missing)} of {len(listed)} shards"
            raise FerError(folder / split / (missing or ["state.json"])[0], problem, "build or download it again")
        rows = sum(shards.read_stream(folder / split / name).num_rows for name in listed)
        expected = _json(folder / "stage.json").get("splits", {}).get(split, rows)
        if rows != expected:
            problem = f"holds {rows:,} rows where {expected:,} were written: a shard is cut"
            raise FerError(folder / split, problem, "build or download it again")
    return datasets.load_from_disk(str(folder))


def _from_hub(where: str) -> Any:
    try:
        return datasets.load_dataset(where)
    except Exception as err:  # datasets, huggingface_hub and the network have no common base
        hint = "name a dataset folder of fer-build, or the id of a dataset on the Hub"
        raise FerError(where, f"no dataset can be loaded from there ({_first_line(err)})", hint) from None


def check_data(data: Data, stage: str, rows: int) -> None:
    """FerError where a row could not be trained on. `rows` says how many rows' texts are read, spread evenly."""
    for dataset in (data.train, data.evaluation):
        if dataset is None:
            continue
        check_columns(data.name, dataset, stage)
        table = dataset.data.table if dataset._indices is None else dataset.with_format("arrow")[:]
        check_images(data.name, table)
        if stage == "grpo":
            check_answers(data.name, table)
        check_texts(data.name, table, stage, rows)


def is_baseline(dataset: Any) -> bool:
    """Tell whether rationales of the embedded baseline are among the rows: no model's reasoning."""
    return "baseline" in dataset.column_names and bool(pc.any(dataset.data.column("baseline")).as_py())


def check_columns(name: str, dataset: Any, stage: str) -> None:
    """FerError where the dataset is the other stage's, lacks a column, or has pictures that decayed to bytes."""
    columns = set(dataset.column_names)
    other = "grpo" if stage == "sft" else "sft"
    missing = [column for column in COLUMNS[stage] if column not in columns]
    if missing and set(COLUMNS[other]) <= columns:
        problem = f"is {_a(MADE_BY[other])} dataset, and {stage} takes {MADE_BY[stage]}"
        raise FerError(name, problem, f"name the {MADE_BY[stage]} folder with --data, or run `run.py {other}`")
    if missing:
        problem = f"has no column {missing[0]!r}"
        raise FerError(name, problem, f"`fer-build {MADE_BY[stage]}` writes {', '.join(COLUMNS[stage])}")
    if not len(dataset):
        raise FerError(name, "has no rows", f"see why in its drops, or build it again: `fer-build {MADE_BY[stage]}`")
    kind = dataset.features["images"]
    inner = kind[0] if isinstance(kind, list) else getattr(kind, "feature", None)
    if not isinstance(inner, datasets.Image):
        raise FerError(f"{name}: images", f"is {kind}, not a list of pictures", "write the `huggingface` metadata")


def check_images(name: str, table: pa.Table) -> None:
    """FerError where a row has no picture: it would train blind, silently."""
    bare = np.flatnonzero(np.concatenate([_without_picture(chunk) for chunk in table["images"].chunks]))
    if bare.size:
        first = _id(table, int(bare[0]))
        hint = "a published edition is filled from your own copy of the releases; else drop the rows"
        raise FerError(f"{name}: images", f"{bare.size:,} rows have no picture, the first is {first}", hint)


def _without_picture(chunk: pa.Array) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Tell of every row whether a picture is missing in it; only offsets and null bits are read."""
    counts = np.asarray(pc.fill_null(pc.list_value_length(chunk), 0).to_numpy(zero_copy_only=False))
    held = chunk.flatten().field("bytes")
    sizes = np.asarray(pc.fill_null(pc.binary_length(held), 0).to_numpy(zero_copy_only=False))
    owner = np.repeat(np.arange(len(counts)), counts)
    full = np.bincount(owner[sizes > 0], minlength=len(counts))
    return np.asarray((counts == 0) | (full < counts))


def check_answers(name: str, table: pa.Table) -> None:
    """FerError where a question has no answer that its kind's verifier would pay; each combination is tried once."""
    found = _combinations(table)
    unknown = sorted({kind for kind, *_ in found} - set(KINDS))
    if unknown:
        raise FerError(f"{name}: kind", f"no verifier for {unknown[0]!r}", did_you_mean(unknown[0], KINDS))
    for kind, joined, answer, solution, count in found:
        choices = joined.split(_PARTS)
        if verify(kind, solution, choices, answer) != 1:
            said = read(solution, choices).status
            problem = f"{count:,} rows are not verifiable: {solution!r} among {', '.join(choices)} is {said}"
            raise FerError(f"{name}: solution", problem, f"their answer is {answer!r}; it must be one of the choices")


def _combinations(table: pa.Table) -> list[tuple[str, str, str, str, int]]:
    """Return every kind, choices as one text, answer and solution that occur together, and in how many rows."""
    columns = set(table.column_names)
    texts = {"solution": table["solution"]}
    texts["answer"] = table["answer"] if "answer" in columns else table["solution"]
    texts["kind"] = table["kind"] if "kind" in columns else pa.nulls(table.num_rows, pa.string())
    if "choices" in columns:
        texts["choices"] = pc.binary_join(table["choices"], _PARTS)
    else:
        texts["choices"] = pa.nulls(table.num_rows, pa.string())
    names = ["kind", "choices", "answer", "solution"]
    counted = pa.table(texts).group_by(names).aggregate([([], "count_all")]).to_pylist()
    return [_combination(row) for row in counted]


def _combination(row: Mapping[str, Any]) -> tuple[str, str, str, str, int]:
    joined = row["choices"] or _PARTS.join(CANONICAL)
    solution = row["solution"] or ""
    answer = row["answer"] or ""
    if answer == solution:  # a dataset without the column `answer`
        answer = read(solution, joined.split(_PARTS)).label or ""
    return row["kind"] or "choose", joined, answer, solution, row["count_all"]


def check_texts(name: str, table: pa.Table, stage: str, rows: int) -> None:
    """FerError where one of some rows, spread evenly, has a prompt or a completion that would train wrongly."""
    wanted = [column for column in ("id", "prompt", "completion", "answer") if column in table.column_names]
    for at, row in zip(picked(table.num_rows, rows), _rows(table.select(wanted), rows), strict=True):
        fault = _fault(row, stage)
        if fault:
            raise FerError(f"{name}: row {row.get('id') or at}", fault, f"build it with `fer-build {MADE_BY[stage]}`")


def _fault(row: Mapping[str, Any], stage: str) -> str | None:
    asked = row["prompt"] or []
    if not asked or any(not message["content"] for message in asked):
        return "has an empty prompt"
    if any("<image>" in message["content"] for message in asked):
        return "writes <image> in its prompt, which trains as text"
    if stage == "grpo":
        return None
    said = row["completion"] or []
    if len(said) != 1 or said[0]["role"] != "assistant" or not said[0]["content"]:
        return "has no single reply as its completion"
    answer = row.get("answer")
    if answer is None:
        return None
    reading = read(said[0]["content"], [answer])
    return None if reading.status == "ok" else f"its completion does not answer {answer!r}: {reading.status}"


def picked(total: int, rows: int) -> list[int]:
    """Return up to `rows` row numbers, spread evenly over `total`."""
    return sorted({int(at) for at in np.linspace(0, total - 1, min(rows, total))}) if total else []


def _rows(table: pa.Table, rows: int) -> Iterator[Mapping[str, Any]]:
    for at in picked(table.num_rows, rows):
        yield table.slice(at, 1).to_pylist()[0]


def _id(table: pa.Table, at: int) -> str:
    return str(table["id"][at].as_py()) if "id" in table.column_names else f"number {at}"


def _a(name: str) -> str:
    return f"an {name}" if name == "rlvr" else f"a {name}"  # read out letter by letter


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _first_line(err: Exception) -> str:
    lines: Sequence[str] = str(err).strip().splitlines() or [type(err).__name__]
    return lines[0][:200]
