"""FER2013: pictures in a table of pixel values, and its mirrors in class folders."""

import io
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from trees import addresses, counts, labels, lines, put, reasons

from ferbuild.builders.errors import FerError
from ferbuild.builders.sources import list_source, pixel_rows, read_picture, recognise
from ferbuild.manifests.load import load_source

FER2013 = load_source("fer2013")
FERPLUS = load_source("ferplus")
ROWS = ["Training"] * 4 + ["PublicTest"] * 2 + ["PrivateTest"]


def noise(seed: int) -> list[int]:
    return random.Random(seed).choices(range(256), k=2304)


def row(emotion: object, seed: int, usage: str) -> str:
    return f"{emotion},{' '.join(map(str, noise(seed)))},{usage}"


def write_table(root: Path, **options: object) -> None:
    """Write a table of seven rows, ids 0..6, picture N drawn from seed N."""
    rows = [row(at, at, usage) for at, usage in enumerate(ROWS)]
    lines(root, "fer2013.csv", ["emotion,pixels,Usage", *rows], **options)


def picture(base: Path, rel_path: str) -> np.ndarray:
    found = Image.open(io.BytesIO(read_picture(base, rel_path)))
    assert (found.format, found.mode, found.size) == ("PNG", "L", (48, 48))
    return np.asarray(found)


def test_ids_usages_and_pixels(tmp_path):
    write_table(tmp_path)
    listing = list_source(FER2013, tmp_path)
    assert listing.layout == "table of pixels"
    assert counts(listing) == {
        "train": {"angry": 1, "disgust": 1, "fear": 1, "happy": 1},
        "validation": {"sad": 1, "surprise": 1},
        "test": {"neutral": 1},
    }
    assert listing.rows["canonical"].to_pylist() == [
        "anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral",
    ]  # fmt: skip
    assert addresses(listing) == [f"fer2013.csv#{at}" for at in range(7)]
    assert listing.rows["name"].to_pylist() == addresses(listing)
    assert listing.drops.num_rows == 0
    for at, path in enumerate(addresses(listing)):
        assert picture(tmp_path, path).ravel().tolist() == noise(at)
    assert listing.rows["size"].to_pylist()[0] == len(row(0, 0, "Training")) + 1


def test_header_with_blanks_and_other_column_order(tmp_path):
    rows = [f"{at},{usage},{' '.join(map(str, noise(at)))}" for at, usage in enumerate(ROWS)]
    lines(tmp_path / "other", "icml_face_data.csv", ["emotion, Usage, pixels", *rows])
    write_table(tmp_path / "plain")
    plain, other = (list_source(FER2013, tmp_path / name) for name in ("plain", "other"))
    assert [path.replace("icml_face_data", "fer2013") for path in addresses(other)] == addresses(plain)
    assert other.rows["label"].equals(plain.rows["label"])
    assert other.rows["split"].equals(plain.rows["split"])
    for at, path in enumerate(addresses(other)):
        assert picture(tmp_path / "other", path).ravel().tolist() == noise(at)


@pytest.mark.parametrize("options", [{"end": "\r\n"}, {"bom": True}, {"end": "\r\n", "bom": True}])
def test_line_ends_and_byte_order_mark_change_nothing(tmp_path, options):
    write_table(tmp_path / "a")
    write_table(tmp_path / "b", **options)
    one, two = (list_source(FER2013, tmp_path / name) for name in "ab")
    assert one.rows.drop_columns(["size"]).equals(two.rows.drop_columns(["size"]))
    for path in addresses(one):
        assert read_picture(tmp_path / "a", path) == read_picture(tmp_path / "b", path)


def test_bad_rows_are_drops_and_lose_no_other(tmp_path):
    rows = [
        "emotion,pixels,Usage",
        row(3, 0, "Training"),
        "",
        row(7, 1, "Training"),
        row("", 2, "Training"),
        row(4, 3, "Elsewhere"),
        row("x", 4, "PublicTest"),
        "garbage",
        row(5, 5, "PrivateTest") + ",more",
        f'"2","{" ".join(map(str, noise(6)))}","PrivateTest"',
    ]
    text = "\n".join(rows)  # the last line is not closed
    put(tmp_path, "fer2013.csv", data=text.encode())
    listing = list_source(FER2013, tmp_path)
    assert labels(listing) == {("train", "fer2013.csv#0"): "happy", ("test", "fer2013.csv#8"): "fear"}
    assert picture(tmp_path, "fer2013.csv#8").ravel().tolist() == noise(6)
    found = {(drop["rel_path"].partition("#")[2], drop["reason"]) for drop in listing.drops.to_pylist()}
    assert found == {
        ("2", "label outside the table"),
        ("3", "label outside the table"),
        ("4", "split outside the table"),
        ("5", "label outside the table"),
        ("6", "malformed row"),
        ("7", "malformed row"),
    }
    assert reasons(listing) == {"label outside the table": 3, "split outside the table": 1, "malformed row": 2}


@pytest.mark.parametrize(
    "pixels",
    [
        noise(0)[:-1],
        [*noise(0), 0],
        [0] * 2209,  # 47 x 47: a square, but not FER2013's
        [*noise(0)[:-1], "x"],
        [*noise(0)[:-1], 256],
        [*noise(0)[:-1], "9" * 30],
        [*noise(0)[:-1], -1],
        [*noise(0)[:-1], "1.0"],
        [],
    ],
)
def test_row_without_2304_pixels_is_an_error_of_that_row_only(tmp_path, pixels):
    rows = [row(0, 1, "Training"), f"1,{' '.join(map(str, pixels))},Training", row(2, 3, "Training")]
    lines(tmp_path, "fer2013.csv", ["emotion,pixels,Usage", *rows])
    with pytest.raises(ValueError, match="pixel"):
        read_picture(tmp_path, "fer2013.csv#1")
    assert picture(tmp_path, "fer2013.csv#0").ravel().tolist() == noise(1)
    assert picture(tmp_path, "fer2013.csv#2").ravel().tolist() == noise(3)
    assert list_source(FER2013, tmp_path).rows.num_rows == 3


@given(st.integers(), st.sampled_from(["", '"']))
def test_pixels_round_trip(seed, quote):
    values = noise(seed)
    field = f"{quote}{' '.join(map(str, values))}{quote}\r\n"
    assert pixel_rows.parse_pixels(field.encode()).ravel().tolist() == values


def test_row_that_is_not_there(tmp_path):
    write_table(tmp_path)
    assert pixel_rows.row_size(tmp_path / "fer2013.csv", 6) is not None
    assert pixel_rows.row_size(tmp_path / "fer2013.csv", 7) is None
    with pytest.raises(KeyError):
        read_picture(tmp_path, "fer2013.csv#7")


def test_changed_table_is_indexed_anew(tmp_path):
    write_table(tmp_path)
    assert picture(tmp_path, "fer2013.csv#1").ravel().tolist() == noise(1)
    lines(tmp_path, "fer2013.csv", ["emotion,pixels,Usage", row(0, 50, "Training"), row(1, 51, "Training"), ""])
    assert picture(tmp_path, "fer2013.csv#1").ravel().tolist() == noise(51)


def test_lines_longer_than_a_chunk_of_the_index(tmp_path, monkeypatch):
    monkeypatch.setattr(pixel_rows, "_CHUNK", 1000)
    write_table(tmp_path)
    assert addresses(list_source(FER2013, tmp_path)) == [f"fer2013.csv#{at}" for at in range(7)]
    assert picture(tmp_path, "fer2013.csv#6").ravel().tolist() == noise(6)


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        ("emotion,pixels", "no column 'Usage'"),
        ("pixels,Usage", "no column 'emotion'"),
        ("emotion,Usage", "no column 'pixels'"),
        ("", "no column"),
    ],
)
def test_missing_column_is_an_error(tmp_path, header, problem):
    lines(tmp_path, "fer2013.csv", [header, row(0, 0, "Training")])
    with pytest.raises(FerError, match=problem):
        list_source(FER2013, tmp_path)


def test_empty_table_is_an_error(tmp_path):
    put(tmp_path, "fer2013.csv", data=b"")
    with pytest.raises(FerError, match="is empty"):
        list_source(FER2013, tmp_path)
    lines(tmp_path, "fer2013.csv", ["emotion,pixels,Usage"])
    with pytest.raises(FerError, match="no usable row"):
        list_source(FER2013, tmp_path)


def test_table_goes_before_a_mirror(tmp_path):
    write_table(tmp_path)
    put(tmp_path, "train/angry/Training_1.jpg", "test/angry/PublicTest_2.jpg")
    assert list_source(FER2013, tmp_path).layout == "table of pixels"
    assert list_source(FER2013, tmp_path, layout="class folders").rows.num_rows == 2


def test_class_folder_mirror(tmp_path):
    put(tmp_path, "train/angry/Training_3908.jpg", "train/angry/Thumbs.db", "train/happy/Training_1.jpg")
    put(tmp_path, "train/contempt/Training_2.jpg", "train/Training_4.jpg")
    put(tmp_path, "test/angry/PrivateTest_10131363.jpg", "test/neutral/PublicTest_1.jpg")
    listing = list_source(FER2013, tmp_path)
    assert listing.layout == "class folders"
    assert labels(listing) == {
        ("train", "Training_3908.jpg"): "angry",
        ("train", "Training_1.jpg"): "happy",
        ("test", "PrivateTest_10131363.jpg"): "angry",
        ("test", "PublicTest_1.jpg"): "neutral",
    }
    assert reasons(listing) == {"label outside the table": 1, "outside the class folders": 1}


def test_ferplus_class_folders_are_not_fer2013(tmp_path):
    put(tmp_path, "train/angry/fer0000001.png", "test/angry/fer0032225.png", "test/contempt/fer0032220.png")
    assert recognise(FER2013, tmp_path) == []
    assert [layout.name for layout, _ in recognise(FERPLUS, tmp_path)] == ["class folders"]
    put(tmp_path, "train/angry/aug.png", "test/angry/aug.png", "test/happy/fer0032221.png")
    with pytest.raises(FerError, match="named as FERPlus names them"):
        list_source(FER2013, tmp_path)


def test_two_manifests_share_a_root(tmp_path):
    write_table(tmp_path)
    votes = "0,0,0,0,8,1,1,0,0,0"
    rows = [f"{usage},fer{at:07d}.png,{votes}" for at, usage in enumerate(ROWS)]
    head = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
    lines(tmp_path, "fer2013new.csv", [head, *rows])
    plain, plus = list_source(FER2013, tmp_path), list_source(FERPLUS, tmp_path)
    assert addresses(plain) == addresses(plus)
    assert set(plus.rows["label"].to_pylist()) == {"angry"}
    assert len({*plain.rows["id"].to_pylist(), *plus.rows["id"].to_pylist()}) == 14


def test_expected_counts_are_the_published_sums():
    expected = FER2013.expected["as labelled"]
    assert {split: sum(words.values()) for split, words in expected.items()} == {
        "train": 28709, "validation": 3589, "test": 3589,
    }  # fmt: skip
    assert all(list(words) == FER2013.candidates for words in expected.values())
