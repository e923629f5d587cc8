"""The faces stage on raw trees: every unusable picture is one counted drop, every good one is kept whole."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ferbuild.builders import shards

AFFECT_HEADER = [
    "subDirectory_filePath",
    "face_x",
    "face_y",
    "face_width",
    "face_height",
    "facial_landmarks",
    "expression",
    "valence",
    "arousal",
]


def noise(side: tuple[int, int], seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (*side[::-1], 3), dtype=np.uint8))


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def raf(root: Path, pictures: dict[str, bytes | None]) -> None:
    aligned = root / "basic" / "Image" / "aligned"
    aligned.mkdir(parents=True)
    (root / "basic" / "EmoLabel").mkdir()
    (root / "basic" / "EmoLabel" / "list_patition_label.txt").write_text(
        "".join(f"{name}.jpg 4\n" for name in pictures)
    )
    for name, data in pictures.items():
        if data is not None:
            (aligned / f"{name}_aligned.jpg").write_bytes(data)


def rows(folder: Path) -> list[dict]:
    return [row for piece in shards.slices(folder, 1000) for row in piece.read().to_pylist()]


def drops(folder: Path) -> dict[str, tuple[str, str]]:
    found = [row for table in shards.read_drops(folder) for row in table.to_pylist()]
    return {Path(row["rel_path"]).name: (row["reason"], row["detail"]) for row in found}


def test_each_bad_picture_is_one_drop_and_no_good_row_is_lost(run, tmp_path):
    good = saved(noise((100, 100)), "JPEG")
    pictures = {
        "train_00001": good,
        "train_00002": b"",
        "train_00003": b"this is text",
        "train_00004": good[: len(good) // 2],
        "train_00005": None,
        "train_00006": saved(Image.new("1", (9000, 9000)), "PNG"),
        "train_00007": saved(noise((64, 64)), "PNG"),  # a wrong suffix harms nobody
        "train_00008": saved(noise((64, 64), 8).convert("CMYK"), "JPEG"),
        "train_00010": saved(noise((1, 1)), "PNG"),
        "train_00011": saved(Image.new("RGB", (100, 100), "black"), "JPEG"),
    }
    raf(tmp_path / "RAF", pictures)
    (tmp_path / "RAF/basic/Image/aligned/train_00009_aligned.jpg").mkdir()
    with (tmp_path / "RAF/basic/EmoLabel/list_patition_label.txt").open("a") as file:
        file.write("train_00009.jpg 4\n")
    (tmp_path / "fer-build.yaml").write_text("sources: {rafdb: RAF}\n")
    ran = run("faces", "--json")
    assert ran.code == 0, ran.err
    assert (ran.json["in"], ran.json["kept"]) == (11, 3)
    assert ran.json["dropped"] == {
        "blank": 1, "empty file": 1, "missing picture": 2, "too many pixels": 1, "too small": 1, "truncated": 1,
        "unreadable": 1,
    }  # fmt: skip
    assert drops(tmp_path / "fer-data/faces")["train_00006_aligned.jpg"] == ("too many pixels", "81000000 pixels")
    found = {Path(row["rel_path"]).name[:11]: row for row in rows(tmp_path / "fer-data/faces")}
    assert sorted(found) == ["train_00001", "train_00007", "train_00008"]
    for name, row in found.items():
        assert row["image"]["bytes"] == pictures[name], "nothing is cropped, so the file passes through"
        assert row["sha256"] == hashlib.sha256(pictures[name]).hexdigest()
    assert Path(found["train_00007"]["image"]["path"]).suffix == ".png"


def test_the_sources_box_is_cut_out(run, tmp_path):
    scene = noise((200, 150), seed=3)
    folder = tmp_path / "AffectNet" / "Manually_Annotated"
    (folder / "Manually_Annotated_Images" / "7").mkdir(parents=True)
    (folder / "Manually_Annotated_file_lists").mkdir()
    name = f"7/{'a' * 56}.png"
    (folder / "Manually_Annotated_Images" / name).write_bytes(saved(scene, "PNG"))
    for split in ("training", "validation"):
        with (folder / "Manually_Annotated_file_lists" / f"{split}.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(AFFECT_HEADER)
            if split == "training":
                table.writerow([name, 50, 20, 100, 90, ";".join(["1.0"] * 136), 1, 0.5, -0.25])
    (tmp_path / "mine.yaml").write_text("name: mine\npicture: {crop_format: png}\n")
    config = {"recipe": "mine.yaml", "sources": {"affectnet": "AffectNet"}}
    (tmp_path / "fer-build.yaml").write_text(json.dumps(config))
    ran = run("faces", "--json")
    assert ran.json["kept"] == 1, ran.err
    [row] = rows(tmp_path / "fer-data/faces")
    assert (row["width"], row["height"], row["crop"], row["box"]) == (100, 90, [50, 20, 150, 110], [50, 20, 150, 110])
    assert (row["label"], row["valence"], row["arousal"]) == ("happiness", 0.5, -0.25)
    cut = np.asarray(Image.open(io.BytesIO(row["image"]["bytes"])))
    assert np.array_equal(cut, np.asarray(scene)[20:110, 50:150])


def test_a_recipes_checks_drop_with_their_reason_but_never_in_a_benchmark(run, tmp_path):
    raf(
        tmp_path / "RAF",
        {name: saved(noise((20, 90), at), "PNG") for at, name in enumerate(("train_00001", "test_0001"))},
    )
    (tmp_path / "mine.yaml").write_text("name: mine\nface_checks: [{too_small: {side: 50}}, extreme_aspect]\n")
    (tmp_path / "fer-build.yaml").write_text("recipe: mine.yaml\nsources: {rafdb: RAF}\n")
    ran = run("faces", "--json")
    assert (ran.json["dropped"], ran.json["splits"]) == ({"too small": 1}, {"test": 1})


@pytest.mark.parametrize(
    ("checks", "hint"),
    [("[too_smal]", "did you mean 'too_small'?"), ("[{too_small: {sid: 3}}]", "did you mean 'side'?")],
)
def test_a_slip_in_a_recipes_checks_is_named_before_any_work(run, tmp_path, checks, hint):
    raf(tmp_path / "RAF", {"train_00001": None})
    (tmp_path / "mine.yaml").write_text(f"name: mine\nface_checks: {checks}\n")
    (tmp_path / "fer-build.yaml").write_text("recipe: mine.yaml\nsources: {rafdb: RAF}\n")
    ran = run("faces", "--json")
    assert (ran.code, ran.json["error"]["hint"]) == (2, hint)


def test_an_unreadable_benchmark_picture_stays_as_a_row(run, tmp_path):
    raf(tmp_path / "RAF", {"train_00001": b"", "test_0001": b""})
    (tmp_path / "fer-build.yaml").write_text("sources: {rafdb: RAF}\n")
    ran = run("faces", "--json")
    assert ran.code == 1
    assert (ran.json["dropped"], ran.json["findings"], ran.json["splits"]) == (
        {"empty file": 1},
        {"empty file": 1},
        {"test": 1},
    )


def test_a_byte_copy_of_a_benchmark_picture_is_never_trained_on(run, tmp_path):
    """Across releases too: shared copies of RAF-DB hold test pictures under training names."""
    test, own = saved(noise((100, 100), 1), "JPEG"), saved(noise((100, 100), 2), "JPEG")
    raf(tmp_path / "RAF", {"test_0001": test, "train_00001": test, "train_00002": own})
    folder = tmp_path / "SFEW" / "Train" / "Train_Aligned_Faces" / "Happy"
    folder.mkdir(parents=True)
    (folder / "copied.png").write_bytes(test)
    (folder / "own.png").write_bytes(own)
    (tmp_path / "fer-build.yaml").write_text("sources: {rafdb: RAF, sfew: SFEW}\n")
    ran = run("faces", "--json")
    assert (ran.json["dropped"], ran.json["splits"]) == (
        {"contaminates:ferbench/rafdb": 2, "duplicate": 1},
        {"train": 1, "test": 1},
    )
    [shown] = [row["id"] for row in rows(tmp_path / "fer-data/faces") if row["split"] == "test"]
    told = drops(tmp_path / "fer-data/faces").values()
    assert {detail for reason, detail in told if reason != "duplicate"} == {shown}
