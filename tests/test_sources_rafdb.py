import json
from pathlib import Path

import pytest
import trees

from ferbuild.builders.errors import FerError
from ferbuild.builders.record import DROPS, LISTED, face_id
from ferbuild.builders.sources import list_source
from ferbuild.manifests.load import load_source

RAFDB = load_source("rafdb")
SMALL = {
    "train_00001.jpg": 5,
    "train_00002.jpg": 7,
    "train_12271.jpg": 1,
    "test_0001.jpg": 4,
    "test_3068.jpg": 2,
}
EXPECTED = {
    ("train", "train_00001_aligned.jpg"): "sadness",
    ("train", "train_00002_aligned.jpg"): "neutral",
    ("train", "train_12271_aligned.jpg"): "surprise",
    ("test", "test_0001_aligned.jpg"): "happiness",
    ("test", "test_3068_aligned.jpg"): "fear",
}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", [False, True])
def test_original_release(tmp_path: Path, end: str, bom: bool) -> None:
    trees.rafdb(tmp_path, SMALL, end=end, bom=bom)
    listing = list_source(RAFDB, tmp_path)
    assert trees.labels(listing) == EXPECTED
    assert (listing.layout, listing.rule, listing.base) == ("original", "as labelled", tmp_path / "basic")
    assert listing.drops.num_rows == 0 and listing.notes == () and listing.crop == "as_is"
    assert listing.rows.schema.equals(LISTED) and listing.drops.schema.equals(DROPS)
    row = listing.rows.to_pylist()[0]
    assert row == {
        "id": face_id("rafdb", "Image/aligned/train_00001_aligned.jpg", None),
        "source": "rafdb",
        "split": "train",
        "rel_path": "Image/aligned/train_00001_aligned.jpg",
        "name": "train_00001_aligned.jpg",
        "size": 7,
        "label": "sadness",
        "canonical": "sadness",
        "label_rule": "as labelled",
        "votes": None,
        "valence": None,
        "arousal": None,
        "box": None,
        "licence": "RAF-DB terms of use",
        "units": None,
        "synthetic": False,
    }


def test_rows_stand_in_the_order_of_the_list(tmp_path: Path) -> None:
    backwards = dict(reversed(SMALL.items()))
    trees.rafdb(tmp_path, backwards)
    names = list_source(RAFDB, tmp_path).rows["name"].to_pylist()
    assert names == [name.replace(".", "_aligned.") for name in backwards]


@pytest.mark.parametrize("spot", ["", "basic", "download/basic"])
def test_base_is_found_below_the_root(tmp_path: Path, spot: str) -> None:
    home = tmp_path / "x" / spot
    trees.lines(home, "EmoLabel/list_patition_label.txt", ["test_0001.jpg 4"])
    trees.put(home, "Image/aligned/test_0001_aligned.jpg")
    listing = list_source(RAFDB, tmp_path / "x")
    assert listing.base == home
    assert trees.addresses(listing) == ["Image/aligned/test_0001_aligned.jpg"]


@pytest.mark.parametrize(
    ("list_at", "pictures_at"),
    [
        ("list_patition_label.txt", "aligned/"),
        ("list_patition_label.txt", ""),
        ("list_patition_label.txt", "faces/aligned/"),
        ("list_partition_label.txt", "RAF_aligned/"),
    ],
)
def test_flat_folder(tmp_path: Path, list_at: str, pictures_at: str) -> None:
    trees.lines(tmp_path, list_at, ["train_00001.jpg 5", "test_0001.jpg 4"])
    paths = [f"{pictures_at}train_00001_aligned.jpg", f"{pictures_at}test_0001_aligned.jpg"]
    trees.put(tmp_path, *paths)
    listing = list_source(RAFDB, tmp_path)
    assert listing.layout == "flat"
    assert trees.addresses(listing) == paths
    assert listing.rows["size"].to_pylist() == [7, 7]
    assert listing.rows["label"].to_pylist() == ["sadness", "happiness"]


@pytest.mark.parametrize("with_lists", [False, True])
def test_class_folders(tmp_path: Path, with_lists: bool) -> None:
    trees.put(
        tmp_path,
        "DATASET/train/5/train_00001_aligned.jpg",
        "DATASET/train/1/train_12271_aligned.jpg",
        "DATASET/train/1/test_0003_aligned.jpg",
        "DATASET/train/1/train_00001_aligned_flip.jpg",
        "DATASET/test/4/test_0001_aligned.jpg",
        "DATASET/test/9/test_0002_aligned.jpg",
        "DATASET/test/stray_aligned.jpg",
        "DATASET/test/4/Thumbs.db",
    )
    if with_lists:
        trees.lines(tmp_path, "train_labels.csv", ["image,label", "train_00001_aligned.jpg,5"])
        trees.lines(tmp_path, "test_labels.csv", ["image,label", "test_0001_aligned.jpg,4"])
    listing = list_source(RAFDB, tmp_path)
    assert listing.layout == "class folders"
    assert trees.labels(listing) == {
        ("train", "train_00001_aligned.jpg"): "sadness",
        ("train", "train_12271_aligned.jpg"): "surprise",
        ("test", "test_0001_aligned.jpg"): "happiness",
    }
    assert trees.reasons(listing) == {
        "foreign file name": 2,
        "label outside the table": 1,
        "outside the class folders": 1,
    }


def test_names_of_the_other_split_and_augmented_copies_are_foreign(tmp_path: Path) -> None:
    trees.rafdb(tmp_path, {**SMALL, "train_00001_flip.jpg": 5, "test_00001.jpg": 4, "holiday.jpg": 1})
    listing = list_source(RAFDB, tmp_path)
    assert trees.labels(listing) == EXPECTED
    assert trees.reasons(listing) == {"foreign file name": 3}


def test_bad_lines_are_counted_and_cost_no_good_row(tmp_path: Path) -> None:
    good = [f"{name} {label}" for name, label in SMALL.items()]
    trees.rafdb(tmp_path, SMALL)
    bad = [
        "",
        "train_00003.jpg",
        "train_00004.jpg 5 6",
        '"train_00005.jpg 3',
        "train_00006.jpg 12",
        "train_00007.jpg happy",
        "train_00001.jpg 5",
        "../../train_00008.jpg 5",
        "/etc/train_00009.jpg 5",
    ]
    trees.lines(tmp_path, "basic/EmoLabel/list_patition_label.txt", [*bad[:4], *good, *bad[4:]])
    listing = list_source(RAFDB, tmp_path)
    assert trees.labels(listing) == EXPECTED
    assert trees.reasons(listing) == {
        "malformed row": 2,
        "foreign file name": 3,
        "label outside the table": 2,
        "duplicate row": 1,
    }
    details = [row["detail"] for row in listing.drops.to_pylist() if row["reason"] == "malformed row"]
    assert details[0] == "line 2 of EmoLabel/list_patition_label.txt: train_00003.jpg"


def test_picture_that_is_not_there_keeps_its_row(tmp_path: Path) -> None:
    trees.rafdb(tmp_path, SMALL)
    (tmp_path / "basic/Image/aligned/test_0001_aligned.jpg").unlink()
    listing = list_source(RAFDB, tmp_path)
    assert trees.labels(listing) == EXPECTED
    sizes = dict(zip(listing.rows["name"].to_pylist(), listing.rows["size"].to_pylist(), strict=True))
    assert sizes.pop("test_0001_aligned.jpg") is None
    assert set(sizes.values()) == {7}
    assert "Image/aligned/test_0001_aligned.jpg" in trees.addresses(listing)


@pytest.mark.parametrize(
    "rows",
    [
        ["train_0001.jpg 3", "train_0002.jpg 7", "test_001.jpg 2"],
        ["train_00001.jpg 11", "train_00002.jpg 8", "test_0001.jpg 2"],
    ],
    ids=["stem width", "labels above seven"],
)
@pytest.mark.parametrize("folder", ["basic", "compound"])
def test_compound_list_is_refused(tmp_path: Path, rows: list[str], folder: str) -> None:
    trees.lines(tmp_path, f"{folder}/EmoLabel/list_patition_label.txt", rows)
    trees.put(tmp_path, f"{folder}/Image/aligned/train_0001_aligned.jpg")
    with pytest.raises(FerError, match="compound list") as caught:
        list_source(RAFDB, tmp_path)
    assert "basic/" in caught.value.hint


def test_compound_class_folders_are_refused(tmp_path: Path) -> None:
    trees.put(tmp_path, "train/1/train_0001_aligned.jpg", "train/9/train_0002_aligned.jpg")
    with pytest.raises(FerError, match="compound list"):
        list_source(RAFDB, tmp_path)


def test_basic_is_taken_beside_compound(tmp_path: Path) -> None:
    trees.rafdb(tmp_path, SMALL)
    trees.lines(tmp_path, "compound/EmoLabel/list_patition_label.txt", ["train_0001.jpg 11"])
    trees.put(tmp_path, "compound/Image/aligned/train_0001_aligned.jpg")
    listing = list_source(RAFDB, tmp_path)
    assert listing.base.name == "basic"
    assert trees.labels(listing) == EXPECTED


def test_aligned_pictures_are_read_from_the_archive(tmp_path: Path) -> None:
    trees.lines(tmp_path, "EmoLabel/list_patition_label.txt", ["test_0001.jpg 4", "test_0002.jpg 4"])
    trees.pack(tmp_path, "Image/aligned.zip", ["aligned/test_0001_aligned.jpg"])
    listing = list_source(RAFDB, tmp_path)
    rows = {row["name"]: row for row in listing.rows.to_pylist()}
    assert rows["test_0001_aligned.jpg"]["rel_path"] == "Image/aligned.zip!aligned/test_0001_aligned.jpg"
    assert rows["test_0001_aligned.jpg"]["size"] == 7
    assert rows["test_0002_aligned.jpg"]["size"] is None


@pytest.fixture(scope="module")
def benchmark() -> list[dict[str, str]]:
    rows: list[dict[str, str]] = json.loads(trees.published("ferbench/rafdb_qa.json").read_bytes())
    return rows


@pytest.mark.parametrize("layout", ["original", "flat", "class folders"])
def test_published_test_split_comes_back(tmp_path: Path, benchmark: list[dict[str, str]], layout: str) -> None:
    ids = {word: key for key, word in RAFDB.labels.items()}
    answers = {row["image_path"].rpartition("/")[2]: row["true_label"] for row in benchmark}
    rows = [f"{name.replace('_aligned', '')} {ids[word]}" for name, word in sorted(answers.items())]
    if layout == "original":
        trees.lines(tmp_path, "basic/EmoLabel/list_patition_label.txt", rows, end="\r\n")
        trees.put(tmp_path, *(f"basic/Image/aligned/{name}" for name in answers))
    elif layout == "flat":
        trees.lines(tmp_path, "list_patition_label.txt", rows)
        trees.put(tmp_path, *(f"aligned/{name}" for name in answers))
    else:
        trees.put(tmp_path, *(f"DATASET/test/{ids[word]}/{name}" for name, word in answers.items()))
    listing = list_source(RAFDB, tmp_path)
    assert listing.layout == layout
    assert trees.labels(listing) == {("test", name): word for name, word in answers.items()}
    assert trees.counts(listing)["test"] == RAFDB.expected["as labelled"]["test"]
    assert listing.drops.num_rows == 0
    assert all(row["candidate_labels"] == RAFDB.candidates for row in benchmark)
