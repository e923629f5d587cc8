"""Whose rows are lost: keep rates by label, source and size, the weight that makes up for it, and near copies."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferbuild.builders import keep_rates, shards
from ferbuild.builders.record import COT, FACES
from ferbuild.builders.shards import Slice
from ferbuild.builders.stage import Job
from ferbuild.manifests.recipe import Copies

FACE_ROWS = [
    # id, label, source, side, kept
    ("a1", "fear", "x", 48, True),
    ("a2", "fear", "x", 48, False),
    ("a3", "fear", "x", 300, False),
    ("a4", "fear", "x", 300, False),
    ("b1", "joy", "x", 100, True),
    ("b2", "joy", "x", 100, True),
    ("c1", "joy", "y", 200, True),
    ("c2", "joy", "y", 200, False),
]


def typed(rows, schema) -> pa.Table:
    return pa.Table.from_pylist([{name: row.get(name) for name in schema.names} for row in rows], schema=schema)


@pytest.fixture
def folder(tmp_path):
    faces = [
        {
            "id": name,
            "canonical": label,
            "label": label,
            "source": source,
            "split": "train",
            "width": side,
            "height": side + 9,
        }
        for name, label, source, side, _ in FACE_ROWS
    ]
    shards.write_stream(tmp_path / "faces.arrow", [typed(faces, FACES)], FACES)
    return tmp_path


def settle(folder, texts=lambda name: f"text of {name}", copies=None, hinted=()):
    rows = [
        {
            "id": name,
            "canonical": label,
            "label": label,
            "hinted": name in hinted,
            "completion": [{"role": "assistant", "content": texts(name)}],
            "faces": [{"id": name, "source": source, "split": "train", "rel_path": f"{name}.jpg"}],
        }
        for name, label, source, _, kept in FACE_ROWS
        if kept or name in hinted
    ]
    files = {}
    for split in ("train", "hinted"):
        some = [row for row in rows if row["hinted"] == (split == "hinted")]
        if some:
            files[split] = [folder / f"{split}.arrow"]
            shards.write_stream(files[split][0], [typed(some, COT)], COT)
    jobs = [Job(8, Slice(folder / "faces.arrow", "train", 0, 8))]
    found = keep_rates.settle(files, jobs=jobs, benchmarks=frozenset(), copies=copies)
    picked = {split: found.pick(shards.read_stream(paths[0])).to_pylist() for split, paths in files.items()}
    return found, picked


def test_the_weight_is_the_inverse_keep_rate_of_label_and_source(folder) -> None:
    _, picked = settle(folder)
    assert {row["id"]: row["keep_weight"] for row in picked["train"]} == {"a1": 4, "b1": 1, "b2": 1, "c1": 2}


def test_weights_sum_to_the_faces_that_were_asked_about(folder) -> None:
    _, picked = settle(folder)
    assert sum(row["keep_weight"] for row in picked["train"]) == len(FACE_ROWS)


def test_the_table_counts_every_cell_by_size_too(folder) -> None:
    found, _ = settle(folder)
    cells = {
        (row["canonical"], row["source"], row["size"]): (row["in"], row["kept"], row["rate"])
        for row in found.tables["keep rate"]
    }
    assert cells == {
        ("fear", "x", "0-63 px"): (2, 1, 0.5),
        ("fear", "x", "256 px and more"): (2, 0, 0.0),
        ("joy", "x", "64-127 px"): (2, 2, 1.0),
        ("joy", "y", "128-255 px"): (2, 1, 0.5),
    }


def test_hinted_rows_have_no_weight_and_do_not_count_as_kept(folder) -> None:
    found, picked = settle(folder, hinted=("a2",))
    assert [row["keep_weight"] for row in picked["hinted"]] == [None]
    assert sum(row["kept"] for row in found.tables["keep rate"]) == 4


def test_near_copies_go_and_are_no_longer_counted_as_kept(folder) -> None:
    same = "the brows are drawn together, the eyes are wide and the mouth is open"
    found, picked = settle(folder, texts=lambda _: same, copies=Copies(most=1))
    assert [row["id"] for row in picked["train"]] == ["a1"]
    drops = found.drops.to_pylist()
    assert [(row["id"], row["reason"], row["detail"]) for row in drops] == [
        (name, "near copy of many others", "a1") for name in ("b1", "b2", "c1")
    ]
    assert drops[0]["rel_path"] == "b1.jpg" and drops[2]["source"] == "y"
    assert sum(row["kept"] for row in found.tables["keep rate"]) == 1


@given(st.integers(1, 5000))
def test_every_size_has_one_band(side: int) -> None:
    name = keep_rates.band(side)
    low = int(name.split("-")[0].split()[0])
    high = int(name.split("-")[1].split()[0]) if "-" in name else 10**9
    assert low <= side <= high
