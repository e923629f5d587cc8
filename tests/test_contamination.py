"""Training faces against somebody else's pictures: folders, archives, saved datasets, and the build's own benchmark."""

from __future__ import annotations

import csv
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import datasets
import polars as pl
import pyarrow as pa
import pytest
import twins
from PIL import Image

from ferbuild.builders import contamination, faces, outside, shards
from ferbuild.builders.build import Build
from ferbuild.builders.config import read_settings
from ferbuild.builders.contamination import Contamination
from ferbuild.builders.errors import FerError
from ferbuild.builders.record import IMAGE

PHOTOS = [twins.photo(number) for number in range(7)]


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """Six training faces and a benchmark's, in a work folder."""
    home = tmp_path_factory.mktemp("home")
    pictures = {f"train_{number:05d}": twins.png(PHOTOS[number]) for number in range(6)}
    twins.raf(home / "rafdb", {"test_0006": twins.png(PHOTOS[6]), **pictures})
    (home / "fer-build.yaml").write_text("sources: {rafdb: rafdb}\n")
    report = faces.run(build_of(home))
    assert report.splits == {"train": 6, "test": 1}
    return home


def build_of(home: Path, **options: Any) -> Build:
    return Build(read_settings(home / "fer-build.yaml", **options))


def check(home: Path, against: Path | str, **options: Any) -> Contamination:
    return contamination.check(build_of(home, **options), str(against))


def told(found: Contamination) -> dict[str, tuple[str, str]]:
    """Return training picture to (kind, name of the other)."""
    return {
        Path(row["rel_path"]).stem[6:11]: (row["kind"], row["other"])
        for row in found.rows.select(contamination.TABLE).to_dicts()
    }


def put(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def test_a_folder_of_pictures_by_every_kind(home, tmp_path):
    folder = put(
        tmp_path / "theirs",
        {
            "a/same.png": twins.png(PHOTOS[0]),
            "a/repacked.png": twins.png(PHOTOS[1], 1),
            "small.JPG": twins.jpeg(twins.smaller(PHOTOS[2], 70)),
            "mirrored.png": twins.png(PHOTOS[3][:, ::-1]),
            "another.png": twins.png(twins.photo(20)),
            "of the benchmark.png": twins.png(PHOTOS[6]),
            "cut.jpg": twins.jpeg(PHOTOS[4])[:900],
            "empty.png": b"",
            "text.jpg": b"no picture",
            "notes.txt": b"no picture either",
        },
    )
    with zipfile.ZipFile(folder / "more.zip", "w") as archive:
        archive.writestr("inside/deep.png", twins.png(twins.smaller(PHOTOS[4], 64)))
    found = check(home, folder)
    assert told(found) == {
        "00000": ("file", "a/same.png"),
        "00001": ("pixels", "a/repacked.png"),
        "00002": ("near", "small.JPG"),
        "00003": ("mirrored", "mirrored.png"),
        "00004": ("near", "more.zip!inside/deep.png"),
    }
    assert (found.training, found.pictures) == (6, 7)
    assert found.unreadable == {"empty file": 1, "truncated": 1, "unreadable": 1}
    assert found.kinds == {"file": 1, "pixels": 1, "near": 2, "mirrored": 1}
    scores = dict(found.rows.select("kind", "score").iter_rows())
    assert scores["file"] is scores["pixels"] is None and 0.5 <= min(scores["near"], scores["mirrored"]) <= 1


def test_the_surest_picture_is_named_and_copies_of_a_face_are_found(home, tmp_path):
    near, same = twins.jpeg(PHOTOS[0]), twins.png(PHOTOS[0])
    folder = put(tmp_path / "theirs", {"a.jpg": near, "b.jpg": near, "z.png": same})
    assert told(check(home, folder)) == {"00000": ("file", "z.png")}
    (folder / "z.png").unlink()
    assert told(check(home, folder)) == {"00000": ("near", "a.jpg")}


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_decide_nothing(home, tmp_path, workers, monkeypatch):
    monkeypatch.setattr(outside, "PART_ROWS", 3)
    files = {f"{number:02d}.png": twins.png(twins.smaller(twins.photo(number), 80)) for number in range(3, 12)}
    found = check(home, put(tmp_path / "theirs", files), workers=workers)
    assert told(found) == {f"{number:05d}": ("near", f"{number:02d}.png") for number in (3, 4, 5)}
    assert found.pictures == 9


@pytest.mark.parametrize(("held", "pixels"), [(1, 1 << 20), (64_000_000, 1), (20_000, 10_000)])
def test_neither_large_files_nor_large_pictures_decide_anything(home, tmp_path, held, pixels, monkeypatch):
    photos = {f"{number:02d}.png": twins.png(twins.smaller(twins.photo(number), 80)) for number in range(3, 9)}
    folder = put(tmp_path / "theirs", photos | {"06x.png": b"none"})
    names = datasets.Dataset.from_dict({"face": [{"bytes": one, "path": None} for one in photos.values()]})
    names.cast_column("face", datasets.Image()).save_to_disk(tmp_path / "saved")
    before = [told(check(home, place)) for place in (folder, tmp_path / "saved")]
    monkeypatch.setattr(outside, "JOB_BYTES", held)
    monkeypatch.setattr(outside, "LOT_PIXELS", pixels)
    assert [told(check(home, place)) for place in (folder, tmp_path / "saved")] == before
    assert len(before[0]) == len(before[1]) == 3


def test_the_bytes_of_pictures_in_a_dataset_are_known(tmp_path):
    lists = [[{"bytes": b"abc", "path": None}, {"bytes": None, "path": "x"}], None, [{"bytes": b"", "path": None}]]
    table = pa.table({"faces": pa.array(lists, pa.list_(IMAGE)), "face": pa.array([None, *lists[0]], IMAGE)})
    shards.write_stream(tmp_path / "data.arrow", [table], table.schema)
    found = {shelf.column: list(shelf.sizes) for shelf in outside._columns("", tmp_path / "data.arrow")}
    assert found == {"faces": [3, None, 0], "face": [None, 3, None]}


STATE = '{"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}'


def pictures(*photos: Any) -> list[Image.Image]:
    return [Image.fromarray(one) for one in photos]


def test_saved_datasets(home, tmp_path):
    """An Image column, or several, or a list of them; one dataset or a split of one; with ids or without."""
    image = datasets.Features({"face": datasets.Image()})
    one = datasets.Dataset.from_dict({"face": pictures(twins.photo(30), PHOTOS[2])}, features=image)
    one.save_to_disk(tmp_path / "one")
    assert told(check(home, tmp_path / "one")) == {"00002": ("file", "data-00000-of-00001:1")}
    several = datasets.Features({"id": datasets.Value("string"), "images": [datasets.Image()]})
    rows = {"id": ["x", "y", "z"], "images": [pictures(PHOTOS[0], twins.photo(31)), [], pictures(PHOTOS[5])]}
    many = datasets.DatasetDict({"test": datasets.Dataset.from_dict(rows, features=several)})
    many.save_to_disk(tmp_path / "many")
    found = check(home, tmp_path / "many")
    assert told(found) == {"00000": ("file", "x"), "00005": ("file", "z")}
    assert found.pictures == 3
    contamination.write_sheet(found, tmp_path / "pairs.png", 9)
    with Image.open(tmp_path / "pairs.png") as sheet:
        assert sheet.size == (4 * 120, 134)


def test_a_dataset_that_names_its_pictures(home, tmp_path):
    folder = put(tmp_path / "named", {"here.png": twins.png(PHOTOS[1], 1), "state.json": STATE.encode()})
    paths = ["here.png", str(folder / "gone.png"), None]
    table = pa.table({"face": pa.array([{"bytes": None, "path": path} for path in paths], IMAGE)})
    shards.write_stream(folder / "data-00000-of-00001.arrow", [table], table.schema)
    found = check(home, folder)
    assert told(found) == {"00001": ("pixels", "data-00000-of-00001:0")}
    assert found.unreadable == {"missing picture": 2} and found.pictures == 1


def test_what_the_tool_wrote_itself(home):
    found = check(home, home / "fer-data/faces")
    assert {name: kind for name, (kind, _) in told(found).items()} == {f"0000{number}": "file" for number in range(6)}
    ids = {row["id"] for piece in shards.slices(home / "fer-data/faces", 99) for row in piece.read().to_pylist()}
    assert {other for _, other in told(found).values()} < ids and found.pictures == 7


def test_the_builds_own_benchmark(home, tmp_path):
    assert check(home, "ferbench").rows.is_empty()
    twins.raf(tmp_path / "rafdb", {"test_0001": twins.png(PHOTOS[0]), "train_00001": twins.jpeg(PHOTOS[0])})
    recipe = "name: mine\nsources: [rafdb]\nduplicates: {contaminated: keep}\n"
    (tmp_path / "mine.yaml").write_text(recipe)
    (tmp_path / "fer-build.yaml").write_text("recipe: mine.yaml\nsources: {rafdb: rafdb}\n")
    assert faces.run(build_of(tmp_path)).kept == 2
    found = check(tmp_path, "ferbench")
    [test] = [row["id"] for piece in shards.slices(tmp_path / "fer-data/faces", 9) for row in piece.read().to_pylist()
              if row["split"] == "test"]  # fmt: skip
    assert told(found) == {"00001": ("near", test)} and (found.training, found.pictures) == (1, 1)


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        ("nowhere", "is no folder"),
        ("empty", "holds no pictures"),
        ("damaged", "state.json: is damaged"),
        ("wordy", "holds no pictures"),
    ],
)
def test_what_holds_no_pictures_is_an_error(home, tmp_path, place, problem):
    put(tmp_path, {"empty/notes.txt": b"", "damaged/state.json": b"{}"})
    datasets.Dataset.from_dict({"text": ["a"]}).save_to_disk(tmp_path / "wordy")
    with pytest.raises(FerError, match=problem):
        check(home, tmp_path / place)


def test_the_table_is_csv_or_parquet(home, tmp_path):
    found = check(home, put(tmp_path / "theirs", {"a.jpg": twins.jpeg(PHOTOS[0])}))
    for ids_only, columns in ((False, contamination.TABLE), (True, contamination.SHARED)):
        contamination.write_table(found, tmp_path / "t.csv", ids_only=ids_only)
        contamination.write_table(found, tmp_path / "t.parquet", ids_only=ids_only)
        frame = pl.read_parquet(tmp_path / "t.parquet")
        assert tuple(frame.columns) == columns and frame.height == 1
        assert pl.read_csv(tmp_path / "t.csv", schema=frame.schema).equals(frame)
    assert "jpg" not in (tmp_path / "t.csv").read_text(), "no path in what may be passed on"
    with pytest.raises(FerError, match="CSV or Parquet"):
        contamination.write_table(found, tmp_path / "t.xlsx")


def test_the_command_ends_with_1_where_it_found_something(home, run, tmp_path):
    put(tmp_path / "theirs", {"a.jpg": twins.jpeg(PHOTOS[0]), "b.jpg": b"?", "c.png": twins.png(twins.photo(40))})
    words = ("contamination", "--config", home / "fer-build.yaml", "--against")
    ran = run(*words, "theirs", "--out", "t.csv", "--sheet", "pairs.jpg", "--json")
    assert ran.code == 1, ran.err
    assert ran.json == {
        "stage": "contamination", "against": "theirs", "training": 6, "pictures": 2, "unreadable": {"unreadable": 1},
        "contaminated": 1, "kinds": {"file": 0, "pixels": 0, "near": 1, "mirrored": 0}, "out": "t.csv",
        "sheet": "pairs.jpg",
    }  # fmt: skip
    [row] = csv.DictReader((tmp_path / "t.csv").open())
    assert (row["rel_path"], row["label"], row["other"]) == (
        "Image/aligned/train_00000_aligned.jpg",
        "happiness",
        "a.jpg",
    )
    with Image.open(tmp_path / "pairs.jpg") as sheet:
        assert (sheet.format, sheet.size) == ("JPEG", (2 * 120, 134))
    ran = run(*words, "theirs", "--ids-only", "--work", home / "fer-data")
    assert ran.code == 1 and "1  near" in ran.out and "theirs" in ran.out
    [row] = csv.DictReader((home / "fer-data/contamination-ids.csv").open())
    assert list(row) == list(contamination.SHARED)
    assert not (home / "fer-data/contamination.jpg").exists()


def test_the_command_ends_with_0_where_nothing_is_shown_and_with_2_where_nothing_is_compared(home, run, tmp_path):
    words = ("contamination", "--config", home / "fer-build.yaml", "--against")
    ran = run(*words, "ferbench")
    assert ran.code == 0 and "no training face shows any of them" in ran.out
    assert Counter((home / "fer-data/contamination.csv").read_text().splitlines()) == {",".join(contamination.TABLE): 1}
    ran = run(*words, "ferbench", "--work", tmp_path / "other", "--json")
    assert ran.code == 2 and ran.json["error"]["hint"] == "run `fer-build faces` first"
    ran = run(*words, "ferbench", "--ids-only", "--sheet", "x.png")
    assert ran.code == 2 and "leave one out" in ran.err
