"""The source `rendered`: what `fer-build render` writes is read back, units and all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ferbuild.builders.errors import FerError
from ferbuild.builders.render import release
from ferbuild.builders.sources import Listing, list_source, read_picture
from ferbuild.manifests.load import load_source

EIGHT = {"neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt"}
UNIT = {"unit": "AU12", "side": "left", "intensity": 0.5}


def listing(root: Path) -> Listing:
    return list_source(load_source("rendered"), root)


def hand_made(root: Path, rows: list[tuple[str, str, str]], lines: list[str]) -> Path:
    """Write a release of empty pictures: address, split and label, and the annotation lines."""
    for file, _, _ in rows:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(b"x")
    table = ["file,split,label,kind", *(f"{file},{split},{label},labels" for file, split, label in rows)]
    (root / "labels.csv").write_text("\n".join(table) + "\n")
    (root / "annotations.jsonl").write_text("\n".join(lines) + "\n")
    return root


def line(file: str, *units: Any) -> str:
    return json.dumps({"file": file, "units": units})


def test_round_trip(tmp_path: Path) -> None:
    order = release.Order(48, seed=9, sizes=(32, 40), kinds=("labels", "units"))
    out = release.build(tmp_path / "faces", order).out
    found = listing(out)
    annotations = {row["file"]: row for row in map(json.loads, (out / "annotations.jsonl").read_text().splitlines())}
    rows = found.rows.to_pylist()
    assert len(rows) == 24
    assert found.drops.num_rows == 24
    assert set(found.drops["reason"].to_pylist()) == {"label none"}
    assert {row["split"] for row in rows} == {"train", "validation", "test"}
    for row in rows:
        told = annotations[row["rel_path"]]
        assert row["label"] == row["canonical"] == told["label"]
        assert [{**one, "intensity": round(one["intensity"], 3)} for one in row["units"]] == told["units"]
        assert (row["licence"], row["synthetic"], row["label_rule"]) == ("CC0-1.0", True, "prototype")
        assert row["name"] == row["rel_path"].rpartition("/")[2]
        assert row["size"] == len(read_picture(found.base, row["rel_path"]))
    assert {row["label"] for row in rows} <= EIGHT


def test_licence_leaves_pictures_open() -> None:
    licence = load_source("rendered").licence
    assert (licence.images, licence.labels) == ("open", "open")


def test_damaged_annotations_cost_the_units_only(tmp_path: Path) -> None:
    names = [f"images/train/{at}.jpg" for at in range(6)]
    lines = [
        line(names[0], UNIT),
        line(names[1]),
        "{broken",
        line(names[3], UNIT | {"unit": "AU99"}),
        line(names[4], UNIT | {"intensity": 7}),
    ]
    found = listing(hand_made(tmp_path, [(name, "train", "fear") for name in names], lines))
    units = {row["rel_path"]: row["units"] for row in found.rows.to_pylist()}
    assert units[names[0]] == [UNIT]
    assert units[names[1]] == []  # coded, and none was seen
    assert [units[name] for name in names[2:]] == [None] * 4
    assert any("3 lines cannot be read" in note for note in found.notes)


def test_strange_label_and_missing_picture(tmp_path: Path) -> None:
    rows = [("images/train/0.jpg", "train", "joy"), ("images/train/1.jpg", "train", "fear")]
    root = hand_made(tmp_path, rows, [])
    (root / "images/train/1.jpg").unlink()
    found = listing(root)
    assert found.drops["reason"].to_pylist() == ["label outside the table"]
    assert found.rows["size"].to_pylist() == [None]


def test_release_of_units_alone_has_no_expression_to_learn(tmp_path: Path) -> None:
    root = hand_made(tmp_path, [("images/train/0_none.jpg", "train", "none")], [])
    with pytest.raises(FerError, match="label none"):
        listing(root)
