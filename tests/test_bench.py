"""FERBench as published: row for row, in order, and never thinned, whatever the pictures are like."""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from pathlib import Path

import datasets
import pytest
from PIL import Image

from ferbuild.builders import shards

RAF_IDS = {"surprise": 1, "fear": 2, "disgust": 3, "happiness": 4, "sadness": 5, "anger": 6, "neutral": 7}


def jpeg(seed: int, side: int = 16) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), (seed % 251, seed // 251 % 251, 99)).save(file, "JPEG")
    return file.getvalue()


def config(folder: Path, **sources: object) -> Path:
    path = folder / "fer-build.yaml"
    path.write_text(json.dumps({"sources": {name: str(root) for name, root in sources.items()}}))
    return path


@pytest.fixture(scope="module")
def published(real_data) -> Path:
    return real_data / "ferbench" / "rafdb_qa.json"


@pytest.fixture(scope="module")
def raf_test(published, tmp_path_factory) -> Path:
    """RAF-DB's test split as the original release lays it out, with the published labels."""
    root = tmp_path_factory.mktemp("RAF-DB")
    basic = root / "basic"
    (basic / "EmoLabel").mkdir(parents=True)
    (basic / "Image" / "aligned").mkdir(parents=True)
    rows = sorted(json.loads(published.read_text()), key=lambda row: row["image_path"])
    lines = []
    for at, row in enumerate(rows):
        name = Path(row["image_path"]).name
        lines.append(f"{name.replace('_aligned', '')} {RAF_IDS[row['true_label']]}")
        (basic / "Image" / "aligned" / name).write_bytes(jpeg(at))
    (basic / "EmoLabel" / "list_patition_label.txt").write_text("\r\n".join(lines))
    return root


def mirror_of(raf_test: Path, out: Path) -> Path:
    """The same pictures as the class-folder mirror has them."""
    basic = raf_test / "basic"
    for line in (basic / "EmoLabel" / "list_patition_label.txt").read_text().split("\n"):
        name, label = line.replace(".jpg", "_aligned.jpg").split()
        folder = out / "DATASET" / "test" / label
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).hardlink_to(basic / "Image" / "aligned" / name)
    return out


def flat_of(raf_test: Path, out: Path) -> Path:
    """The label list beside one folder of aligned pictures."""
    basic = raf_test / "basic"
    out.mkdir()
    (out / "list_patition_label.txt").write_bytes((basic / "EmoLabel" / "list_patition_label.txt").read_bytes())
    (out / "aligned").symlink_to(basic / "Image" / "aligned")
    return out


LAYOUTS = {"original": lambda root, out: root, "mirror": mirror_of, "flat": flat_of}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_rafdb_comes_out_as_published_byte_for_byte(raf_test, published, run, tmp_path, layout):
    file = config(tmp_path, rafdb=LAYOUTS[layout](raf_test, tmp_path / "mirrored"))
    ran = run("bench", "--prompts", published, "--json")
    assert (ran.code, ran.json["splits"]) == (0, {"rafdb": 3068}), ran.err
    assert run("export", "ferbench", "--to", "unifer", "--out", "out", "--config", file).code == 0
    assert (tmp_path / "out" / "rafdb_qa.json").read_bytes() == published.read_bytes()


def test_without_prompts_only_the_wording_differs(raf_test, published, run, tmp_path):
    config(tmp_path, rafdb=raf_test)
    assert run("bench").code == 0
    run("export", "ferbench", "--to", "unifer", "--out", "out")
    ours, theirs = (json.loads(path.read_text()) for path in (tmp_path / "out" / "rafdb_qa.json", published))
    keys = ("image_path", "true_label", "candidate_labels")
    assert [[row[key] for key in keys] for row in ours] == [[row[key] for key in keys] for row in theirs]
    assert {row["prompt"] for row in ours}.isdisjoint(row["prompt"] for row in theirs)


def test_the_picture_is_the_files_own_bytes(raf_test, run, tmp_path):
    config(tmp_path, rafdb=raf_test)
    run("bench", "--limit", "5")
    found = datasets.load_from_disk(str(tmp_path / "fer-data" / "limited" / "ferbench"))["rafdb"]
    rows = found.cast_column("images", [datasets.Image(decode=False)]).to_list()
    assert len(rows) == 5
    for row in rows:
        data = (raf_test / "basic" / "Image" / "aligned" / Path(row["image_path"]).name).read_bytes()
        assert row["images"][0]["bytes"] == data
        assert row["faces"][0]["sha256"] == hashlib.sha256(data).hexdigest()


def test_ferplus_comes_out_as_published_from_the_votes_alone(real_data, run, tmp_path):
    config(tmp_path, ferplus=real_data / "ferplus")
    ran = run("bench", "--json")
    assert ran.code == 1, "3,573 pictures are missing, so the benchmark is only partly there"
    assert (ran.json["kept"], ran.json["dropped"]) == (3573, {})
    assert ran.json["findings"] == {"missing picture": 3573}
    run("export", "ferbench", "--to", "unifer", "--out", "out")
    rows = json.loads((tmp_path / "out" / "ferplus_qa.json").read_text())
    assert Counter(row["true_label"] for row in rows) == {
        "angry": 322, "contempt": 30, "disgust": 21, "fear": 98,
        "happy": 929, "neutral": 1274, "sad": 449, "surprise": 450,
    }  # fmt: skip
    assert all(row["image_path"].startswith(f"/FERPlus/test/{row['true_label']}/fer00") for row in rows)
    assert [row["image_path"] for row in rows] == sorted(row["image_path"] for row in rows)
    assert rows[0]["candidate_labels"] == sorted(row for row in rows[0]["candidate_labels"])


def test_an_unreadable_picture_keeps_its_row_and_is_told(raf_test, run, tmp_path):
    copy = tmp_path / "RAF"
    aligned = copy / "basic" / "Image" / "aligned"
    aligned.mkdir(parents=True)
    (copy / "basic" / "EmoLabel").mkdir()
    names = [f"test_{at:04d}" for at in range(1, 6)]
    (copy / "basic" / "EmoLabel" / "list_patition_label.txt").write_text("".join(f"{name}.jpg 4\n" for name in names))
    for at, name in enumerate(names):
        (aligned / f"{name}_aligned.jpg").write_bytes(jpeg(at))
    (aligned / "test_0002_aligned.jpg").write_bytes(jpeg(2)[:-30])
    (aligned / "test_0003_aligned.jpg").write_bytes(b"")
    (aligned / "test_0004_aligned.jpg").unlink()
    config(tmp_path, rafdb=copy)
    ran = run("bench", "--json")
    assert ran.code == 1
    assert (ran.json["in"], ran.json["kept"], ran.json["dropped"]) == (5, 5, {})
    assert ran.json["findings"] == {"empty file": 1, "missing picture": 1, "truncated": 1}
    for found in (
        datasets.load_from_disk(ran.json["out"]),
        datasets.load_dataset(ran.json["out"], cache_dir=str(tmp_path / "c")),
    ):
        rows = found["rafdb"]
        assert [Path(row["image_path"]).name[:9] for row in rows] == names[::-1]
        assert [row["images"] is None for row in rows] == [False, True, True, True, False]
    assert "a benchmark is never thinned" in run("bench").out


def test_prompts_that_know_only_a_part_are_refused(raf_test, published, run, tmp_path):
    config(tmp_path, rafdb=raf_test)
    (tmp_path / "some.json").write_text(json.dumps(json.loads(published.read_text())[:10]))
    ran = run("bench", "--prompts", "some.json", "--json")
    assert ran.code == 2
    assert ran.json["error"]["problem"] == "the prompt files know 10 of the 3068 rows of rafdb"


@pytest.mark.parametrize("text", ["{", '{"a": 1}', "[1]", '[{"image_path": "x"}]'])
def test_prompts_of_another_form_are_named(raf_test, run, tmp_path, text):
    config(tmp_path, rafdb=raf_test)
    (tmp_path / "odd.json").write_text(text)
    ran = run("bench", "--prompts", "odd.json", "--json")
    assert ran.code == 2 and "odd.json" in ran.json["error"]["where"]


def test_export_names_what_it_knows(raf_test, run, tmp_path):
    config(tmp_path, rafdb=raf_test)
    assert (
        run("export", "ferbench", "--to", "unifer", "--out", "o", "--json").json["error"]["hint"]
        == "run `fer-build bench` first"
    )
    assert (
        run("export", "ferbnch", "--to", "unifer", "--out", "o", "--json").json["error"]["hint"]
        == "did you mean 'ferbench'?"
    )
    assert (
        run("export", "ferbench", "--to", "unifr", "--out", "o", "--json").json["error"]["hint"]
        == "did you mean 'unifer'?"
    )


def test_another_rule_neither_thins_nor_relabels_the_benchmark(real_data, run, tmp_path):
    entry = {"root": str(real_data / "ferplus"), "rule": "majority"}
    (tmp_path / "fer-build.yaml").write_text(json.dumps({"sources": {"ferplus": entry}}))
    ran = run("bench", "--json")
    assert (ran.json["kept"], ran.json["dropped"]) == (3573, {})
    checked = run("check", "--json").json["sources"]["ferplus"]
    rows = {split: count["rows"] for split, count in checked["splits"].items()}
    assert rows == {"train": 25045, "validation": 3191, "test": 3137}, "check shows the rule that was asked for"
    rows = [
        row for piece in shards.slices(Path(ran.json["out"]), 9999) for row in piece.read()["label_rule"].to_pylist()
    ]
    assert set(rows) == {"argmax8"}


def test_prompts_that_know_no_row_here_are_refused(raf_test, run, tmp_path):
    config(tmp_path, rafdb=raf_test)
    (tmp_path / "other.json").write_text(json.dumps([{"image_path": "/SFEW-2.0/x.png", "prompt": "Which?"}]))
    ran = run("bench", "--prompts", "other.json", "--json")
    assert ran.code == 2 and ran.json["error"]["problem"] == "the prompt files know no row of any set here"
