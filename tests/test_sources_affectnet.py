from pathlib import Path

import numpy as np
import orjson
import pytest
import trees
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ferbuild.builders.errors import FerError
from ferbuild.builders.record import face_id
from ferbuild.builders.sources import list_source
from ferbuild.manifests.load import load_source

AFFECTNET = load_source("affectnet")
GOOD = ["689/aa.jpg", "1/bb.JPG", "1347/cc.png", "12/dd.tif"]


def write(
    root: Path, rows: list[str], *, table: str = "validation", lists: str = "Manually_Annotated_file_lists/"
) -> None:
    trees.lines(root, f"{lists}{table}.csv", [trees.AFFECTNET_HEADER, *rows])


def test_original_release(tmp_path: Path) -> None:
    home = tmp_path / "Manually_Annotated"
    write(home, [trees.affectnet_row(name, code) for code, name in enumerate(GOOD)])
    write(home, [trees.affectnet_row("2/ee.jpg", 7, valence=-2, arousal=-2)], table="training")
    trees.put(home, *(f"Manually_Annotated_Images/{name}" for name in [*GOOD, "2/ee.jpg"]))
    listing = list_source(AFFECTNET, tmp_path)
    assert (listing.layout, listing.crop, listing.base) == ("original", "box", home)
    assert trees.labels(listing) == {
        ("train", "2/ee.jpg"): "contempt",
        ("validation", "689/aa.jpg"): "neutral",
        ("validation", "1/bb.JPG"): "happiness",
        ("validation", "1347/cc.png"): "sadness",
        ("validation", "12/dd.tif"): "surprise",
    }
    assert listing.drops.num_rows == 0
    rows = listing.rows.to_pylist()
    assert rows[0]["valence"] is None and rows[0]["arousal"] is None
    path = "Manually_Annotated_Images/689/aa.jpg"
    assert rows[1]["rel_path"] == path and rows[1]["size"] == 7
    assert rows[1]["box"] == [10.0, 20.0, 110.0, 140.0]
    assert (rows[1]["valence"], rows[1]["arousal"]) == (0.25, -0.5)
    assert rows[1]["id"] == face_id("affectnet", path, [10.0, 20.0, 110.0, 140.0])


@pytest.mark.parametrize(
    ("lists", "pictures"),
    [
        ("", ""),
        ("", "Manually_Annotated_Images/"),
        ("", "validation/"),
        ("Manually_Annotated_file_lists/", "validation/"),
        ("Manually_Annotated_file_lists/", "Manually_Annotated/validation/"),
        ("Manually_Annotated_file_lists/", "Manually_Annotated/Manually_Annotated_Images/"),
    ],
)
def test_places_of_lists_and_pictures(tmp_path: Path, lists: str, pictures: str) -> None:
    write(tmp_path, [trees.affectnet_row(name, code) for code, name in enumerate(GOOD)], lists=lists)
    trees.put(tmp_path, *(pictures + name for name in GOOD))
    listing = list_source(AFFECTNET, tmp_path)
    assert listing.layout == "original"
    assert listing.rows["name"].to_pylist() == GOOD
    assert trees.addresses(listing) == [pictures + name for name in GOOD]
    assert listing.rows["size"].to_pylist() == [7] * 4


def test_both_splits_lie_in_their_own_folders(tmp_path: Path) -> None:
    write(tmp_path, [trees.affectnet_row("1/a.jpg", 1)], table="training")
    write(tmp_path, [trees.affectnet_row("1/b.jpg", 2)])
    trees.put(tmp_path, "training/1/a.jpg", "validation/1/b.jpg")
    assert trees.addresses(list_source(AFFECTNET, tmp_path)) == ["training/1/a.jpg", "validation/1/b.jpg"]


def test_every_bad_row_is_dropped_with_its_reason(tmp_path: Path) -> None:
    good = trees.affectnet_row("1/good.jpg", 3)
    bad = {
        "label none": [trees.affectnet_row("1/a.jpg", 8)],
        "label uncertain": [trees.affectnet_row("1/b.jpg", 9, valence=-2, arousal=-2)],
        "label no face": [trees.affectnet_row("1/c.jpg", 10, box="0,0,0,0", valence=-2, arousal=-2)],
        "label outside the table": [trees.affectnet_row("1/d.jpg", 11), trees.affectnet_row("1/e.jpg", "")],
        "bad box": [
            trees.affectnet_row("1/f.jpg", 1, box="10,10,-20,30"),
            trees.affectnet_row("1/g.jpg", 1, box="10,10,20,0"),
            trees.affectnet_row("1/k.jpg", 1, box="10,ten,20,30"),
            trees.affectnet_row("1/p.jpg", 1, box=",,,"),
        ],
        "malformed row": [
            "1/h.jpg,1,2,3",
            trees.affectnet_row("1/i.jpg", 1) + ",more",
            trees.affectnet_row("", 1),
        ],
        "path leaves the release": [
            trees.affectnet_row("../../m.jpg", 1),
            trees.affectnet_row("/etc/n.jpg", 1),
            trees.affectnet_row("..\\o.jpg", 1),
        ],
        "duplicate row": [good],
    }
    rows = [row for group in bad.values() for row in group]
    write(tmp_path, [good, *rows, trees.affectnet_row("1/last.jpg", 6)], table="training")
    listing = list_source(AFFECTNET, tmp_path)
    assert trees.labels(listing) == {("train", "1/good.jpg"): "surprise", ("train", "1/last.jpg"): "anger"}
    assert trees.reasons(listing) == {reason: len(group) for reason, group in bad.items()}
    flat = [row["detail"] for row in listing.drops.to_pylist() if row["reason"] == "bad box"]
    assert flat == ["box 10.0 10.0 -10.0 40.0", "box 10.0 10.0 30.0 10.0", "box 10.0 ? 30.0 ?", "box ? ? ? ?"]


def test_an_unreadable_mood_costs_the_mood_and_not_the_row(tmp_path: Path) -> None:
    moods = [trees.affectnet_row("1/j.jpg", 1, valence="text"), trees.affectnet_row("1/l.jpg", 1, arousal="nan")]
    write(tmp_path, moods, table="training")
    rows = list_source(AFFECTNET, tmp_path).rows.to_pylist()
    assert [row["valence"] is None for row in rows] == [True, False]
    assert [row["arousal"] is None for row in rows] == [False, True]


def test_bad_box_does_not_thin_the_benchmark(tmp_path: Path) -> None:
    write(tmp_path, [trees.affectnet_row("1/a.jpg", 1, box="10,10,-20,30")])
    listing = list_source(AFFECTNET, tmp_path)
    assert listing.rows.to_pylist()[0]["box"] is None
    assert listing.drops.num_rows == 0


def test_quoted_and_blank_lines(tmp_path: Path) -> None:
    row = trees.affectnet_row('"1/a,b.jpg"', 4)
    write(tmp_path, ["", row, "   ", '"1/stray.jpg,5', trees.affectnet_row("1/c.jpg", 5)])
    listing = list_source(AFFECTNET, tmp_path)
    assert trees.labels(listing) == {("validation", "1/a,b.jpg"): "fear", ("validation", "1/c.jpg"): "disgust"}
    assert trees.reasons(listing) == {"malformed row": 1}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_mark_line_ends_and_spaced_header(tmp_path: Path, end: str) -> None:
    header = trees.AFFECTNET_HEADER.replace(",", ", ").title().replace("Filepath", "filepath")
    trees.lines(tmp_path, "training.csv", [header, trees.affectnet_row("1/a.jpg", 1)], end=end, bom=True)
    assert trees.labels(list_source(AFFECTNET, tmp_path)) == {("train", "1/a.jpg"): "happiness"}


def test_missing_column_names_column_and_file(tmp_path: Path) -> None:
    trees.lines(tmp_path, "training.csv", [trees.AFFECTNET_HEADER.replace("expression", "expresion"), "x"])
    with pytest.raises(FerError, match="no column 'expression'") as caught:
        list_source(AFFECTNET, tmp_path)
    assert caught.value.where == str(tmp_path / "training.csv")
    assert caught.value.hint == "did you mean 'expresion'?"


def test_table_without_header_or_content(tmp_path: Path) -> None:
    trees.lines(tmp_path, "training.csv", [trees.affectnet_row("1/a.jpg", 1)])
    with pytest.raises(FerError, match="no column 'subDirectory_filePath'"):
        list_source(AFFECTNET, tmp_path)
    trees.put(tmp_path, "training.csv", data=b"")
    with pytest.raises(FerError, match="is empty"):
        list_source(AFFECTNET, tmp_path)
    trees.lines(tmp_path, "training.csv", [trees.AFFECTNET_HEADER])
    with pytest.raises(FerError, match="no usable row"):
        list_source(AFFECTNET, tmp_path)


def test_encodings(tmp_path: Path) -> None:
    rows = [trees.AFFECTNET_HEADER, trees.affectnet_row("1/caf\xe9.jpg", 1), trees.affectnet_row("1/b.jpg", 1)]
    text = "\n".join(rows)
    trees.put(tmp_path, "training.csv", data=text.encode("latin-1"))
    listing = list_source(AFFECTNET, tmp_path)
    assert ("train", "1/b.jpg") in trees.labels(listing)
    assert listing.rows.num_rows + listing.drops.num_rows == 2
    trees.put(tmp_path, "training.csv", data=text.encode("utf-16"))
    with pytest.raises(FerError, match="UTF-16"):
        list_source(AFFECTNET, tmp_path)


def test_label_file_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "training.csv").mkdir()
    with pytest.raises(FerError, match="cannot be read"):
        list_source(AFFECTNET, tmp_path)


def blank(character: str) -> bool:
    """Say whether a character is Unicode white space; Python's own check takes four separators more."""
    return character.isspace() and character not in "\x1c\x1d\x1e\x1f"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.text(max_size=60), st.text(alphabet='1/a.jpg,"\\; -\t\r\0', max_size=60)), max_size=12))
def test_in_is_kept_and_dropped_whatever_the_lines(tmp_path: Path, garbage: list[str]) -> None:
    rows = [part for line in garbage for part in line.split("\n")]
    good = [trees.affectnet_row(f"1/good{at}.jpg", at % 8) for at in range(len(rows) + 1)]
    mixed = [line for pair in zip(good, [*rows, ""], strict=True) for line in pair]
    data = "\n".join([trees.AFFECTNET_HEADER, *mixed]).encode("utf-8", "surrogatepass")
    trees.put(tmp_path, "training.csv", data=data)
    listing = list_source(AFFECTNET, tmp_path)
    names = listing.rows["name"].to_pylist()
    assert [name for name in names if name.startswith("1/good")] == [f"1/good{at}.jpg" for at in range(len(good))]
    text = data.decode("utf-8", "replace")
    lines = [line for line in text.split("\n")[1:] if not all(map(blank, line))]
    assert listing.rows.num_rows + listing.drops.num_rows == len(lines)


@pytest.mark.parametrize("text", [True, False])
def test_2021_release(tmp_path: Path, text: bool) -> None:
    marks: dict[int, dict[str, object]] = {
        0: {"exp": 0, "val": 0.5, "aro": -0.25, "lnd": 1},
        10: {"exp": 7, "val": "-2" if text else -2, "aro": -2, "lnd": 1},
        2: {"exp": 1, "val": 0.1, "aro": 0.1},
        3: {"exp": 8, "val": 0.1, "aro": 0.1},
        5: {"exp": 1, "val": 0.1},
    }
    for number, values in marks.items():
        trees.annotation(tmp_path, "train_set/annotations", number, text=text, **values)
    trees.put(tmp_path, *(f"train_set/images/{number}.jpg" for number in (0, 10, 3, 4, 5)))
    trees.annotation(tmp_path, "val_set/annotations", 0, text=text, exp=6, val=-0.5, aro=0.75)
    trees.put(tmp_path, "val_set/images/0.jpg")
    listing = list_source(AFFECTNET, tmp_path)
    assert (listing.layout, listing.crop) == ("2021 release", "as_is")
    assert trees.labels(listing) == {
        ("train", "0.jpg"): "neutral",
        ("train", "10.jpg"): "contempt",
        ("train", "2.jpg"): "happiness",
        ("train", "5.jpg"): "happiness",
        ("validation", "0.jpg"): "anger",
    }
    assert trees.reasons(listing) == {"label none": 1, "missing annotation": 1}
    rows = {row["rel_path"]: row for row in listing.rows.to_pylist()}
    assert rows["train_set/images/2.jpg"]["size"] is None
    assert rows["train_set/images/10.jpg"]["valence"] is None
    assert rows["train_set/images/5.jpg"]["arousal"] is None, "a row is good without its mood"
    assert (rows["val_set/images/0.jpg"]["valence"], rows["val_set/images/0.jpg"]["arousal"]) == (-0.5, 0.75)
    assert "cannot be mapped" in listing.notes[0]


def test_2021_annotations_that_are_none(tmp_path: Path) -> None:
    folder = tmp_path / "val_set/annotations"
    for number in range(8):
        trees.annotation(tmp_path, "val_set/annotations", number, exp=1, val=0.1, aro=0.1)
    trees.put(tmp_path, *(f"val_set/images/{number}.jpg" for number in range(8)))
    np.save(folder / "1_exp.npy", np.array({"a": 1}), allow_pickle=True)
    np.save(folder / "2_exp.npy", np.array([1, 2]))
    (folder / "3_exp.npy").write_bytes(b"")
    (folder / "4_exp.npy").write_bytes((folder / "0_exp.npy").read_bytes()[:-1])
    (folder / "5_exp.npy").write_bytes(b"\x93NUMPY\x01\x00\xff\xff{'descr': ")
    (folder / "6_exp.npy").write_bytes(bytes(range(256)))
    np.save(folder / "7_val.npy", np.array("nothing"))
    listing = list_source(AFFECTNET, tmp_path)
    assert trees.labels(listing) == {("validation", "0.jpg"): "happiness", ("validation", "7.jpg"): "happiness"}
    assert trees.reasons(listing) == {"malformed row": 6}
    assert listing.rows["valence"].to_pylist()[1] is None


def test_affectnet_plus(tmp_path: Path) -> None:
    home = tmp_path / "human_annotated"
    marks: dict[str, object] = {
        "train_set/annotations/1.json": {"human-label": 2, "valence": -0.5, "arousal": 0.5},
        "train_set/annotations/2.json": {"human-label": 9},
        "train_set/annotations/3.json": {"soft-label": [1]},
        "train_set/annotations/4.json": ["human-label"],
        "train_set/annotations/5.json": {"human-label": None},
        "validation_set/annotations/7.json": {"human-label": "4"},
    }
    for path, mark in marks.items():
        trees.put(home, path, path.replace("annotations", "images").replace("json", "jpg"))
        (home / path).write_bytes(orjson.dumps(mark))
    trees.put(home, "train_set/images/6.jpg", "train_set/annotations/6.json", data=b"{")
    listing = list_source(AFFECTNET, tmp_path)
    assert (listing.layout, listing.base) == ("AffectNet+", home)
    assert trees.labels(listing) == {("train", "1.jpg"): "sadness", ("validation", "7.jpg"): "fear"}
    assert trees.reasons(listing) == {"label uncertain": 1, "missing annotation": 1, "malformed row": 3}
    assert listing.rows["valence"].to_pylist() == [-0.5, None]


def test_class_folders_need_the_users_own_map(tmp_path: Path) -> None:
    trees.put(tmp_path, "train/0/a.jpg", "train/1/b.jpg", "val/0/c.jpg", "val/5/d.jpg", "test/1/e.jpg")
    with pytest.raises(FerError, match="mirrors renumber") as caught:
        list_source(AFFECTNET, tmp_path)
    assert "labels" in caught.value.hint
    listing = list_source(AFFECTNET, tmp_path, labels={"0": "anger", "1": "contempt"})
    assert listing.layout == "class folders"
    assert trees.labels(listing) == {
        ("train", "a.jpg"): "anger",
        ("train", "b.jpg"): "contempt",
        ("validation", "c.jpg"): "anger",
        ("test", "e.jpg"): "contempt",
    }
    assert trees.reasons(listing) == {"label outside the table": 1}


def test_own_map_with_a_word_that_is_no_candidate(tmp_path: Path) -> None:
    trees.put(tmp_path, "train/0_neutral/a.jpg")
    with pytest.raises(FerError, match="gives 'happy'"):
        list_source(AFFECTNET, tmp_path, labels={"0_neutral": "happy"})


def test_numbered_folders_of_the_original_are_no_classes(tmp_path: Path) -> None:
    trees.put(tmp_path, *(f"Manually_Annotated/validation/{number}/a.jpg" for number in (1, 2, 7, 1347)))
    with pytest.raises(FerError, match="no layout of AffectNet recognised"):
        list_source(AFFECTNET, tmp_path, labels={"1": "happiness"})
