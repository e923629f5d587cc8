from pathlib import Path
from typing import Any

import pytest
import trees

from ferbuild.builders.errors import FerError
from ferbuild.builders.sources import list_source, recognise
from ferbuild.manifests.load import check, load_source, names
from ferbuild.manifests.schema import Source

FOLDERS = {
    "name": "folders",
    "reader": "folders.read",
    "requires": ["train/"],
    "options": {
        "pattern": r"(?P<split>train|test)/(?P<label>\w+)/[^/]+$",
        "splits": {"train": "train", "test": "test"},
    },
}
TABLE = {
    "name": "table",
    "reader": "table.read",
    "requires": ["labels.csv"],
    "options": {"tables": {"train": "labels.csv"}, "pictures": ["**/{name}"]},
}


def made(*layouts: dict[str, Any], **changes: Any) -> Source:
    """Return a source with the given layouts and two labels."""
    data = {
        "name": "toy",
        "title": "Toy",
        "licence": {"name": "toy licence", "terms": "None.", "ask": "nobody"},
        "labels": {"h": "happy", "s": "sad"},
        "candidates": ["happy", "sad"],
        "layouts": list(layouts),
        **changes,
    }
    return check(data, Source, "toy")


@pytest.mark.parametrize("name", names("sources"))
def test_shipped_manifests_hold_together(name: str) -> None:
    source = load_source(name)
    assert source.name == name
    assert set(source.labels.values()) <= set(source.candidates)
    assert set(source.canonical) <= set(source.candidates)
    assert len({layout.name for layout in source.layouts}) == len(source.layouts)
    assert set(source.expected) | set(source.totals) <= set(source.rules)
    for splits in source.expected.values():
        assert all(set(words) <= set(source.candidates) for words in splits.values())
    assert source.licence.terms.endswith(".") and source.licence.ask


@pytest.mark.parametrize("name", names("sources"))
def test_error_lists_every_layout_and_what_is_there(tmp_path: Path, name: str) -> None:
    trees.put(tmp_path, "holiday/beach.jpg", "music.mp3")
    source = load_source(name)
    with pytest.raises(FerError, match=r"no layout of .* recognised") as caught:
        list_source(source, tmp_path)
    for layout in source.layouts:
        assert f"{layout.name}: missing " in caught.value.hint
    assert "the folder holds: holiday, music.mp3" in caught.value.hint
    assert recognise(source, tmp_path) == []


def test_error_says_what_of_a_layout_is_there(tmp_path: Path) -> None:
    trees.put(tmp_path, "basic/EmoLabel/list_patition_label.txt")
    with pytest.raises(FerError) as caught:
        list_source(load_source("rafdb"), tmp_path)
    assert "Image/aligned.zip or aligned/ (found 1 of 2 in basic)" in caught.value.hint


def test_wrong_roots(tmp_path: Path) -> None:
    trees.put(tmp_path, "file")
    with pytest.raises(FerError, match="no such folder"):
        list_source(load_source("rafdb"), tmp_path / "absent")
    with pytest.raises(FerError, match="is no folder"):
        recognise(load_source("rafdb"), tmp_path / "file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FerError) as caught:
        list_source(load_source("rafdb"), tmp_path / "empty")
    assert "the folder holds: nothing" in caught.value.hint


def test_recognise_gives_layouts_in_the_manifests_order(tmp_path: Path) -> None:
    trees.put(tmp_path, "a/train/h/1.jpg", "a/b/labels.csv", "c/d/e/labels.csv")
    found = recognise(made(TABLE, FOLDERS), tmp_path)
    assert [(layout.name, base) for layout, base in found] == [
        ("table", tmp_path / "a/b"),
        ("folders", tmp_path / "a"),
    ]


def both(root: Path, *rows: str) -> None:
    trees.put(root, "train/h/1.jpg", "train/s/2.jpg")
    trees.lines(root, "labels.csv", ["name,label", *rows])


def test_layouts_that_agree_are_a_note(tmp_path: Path) -> None:
    both(tmp_path, "2.jpg,s")
    listing = list_source(made(TABLE, FOLDERS), tmp_path)
    assert trees.labels(listing) == {("train", "2.jpg"): "sad"}
    assert listing.notes == ("layout 'folders' is there too and agrees; 'table' is used",)
    assert list_source(made(FOLDERS, TABLE), tmp_path).rows.num_rows == 2


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (["1.jpg,h", "2.jpg,h"], "1 pictures have two labels, first train 2.jpg is happy and sad"),
        (["8.jpg,h", "9.jpg,s"], "no picture name of split 'train' is in both"),
    ],
)
def test_layouts_that_disagree_are_an_error(tmp_path: Path, rows: list[str], problem: str) -> None:
    both(tmp_path, *rows)
    with pytest.raises(FerError, match=problem) as caught:
        list_source(made(TABLE, FOLDERS), tmp_path)
    assert "'table' and 'folders'" in caught.value.problem
    assert "`layout: table` or `layout: folders`" in caught.value.hint
    for layout in ("table", "folders"):
        assert list_source(made(TABLE, FOLDERS), tmp_path, layout=layout).layout == layout


def test_second_layout_that_cannot_be_read_is_a_note(tmp_path: Path) -> None:
    both(tmp_path)
    listing = list_source(made(FOLDERS, TABLE), tmp_path)
    assert "layout 'table' is there too, but cannot be used" in listing.notes[0]
    with pytest.raises(FerError, match="no usable row"):
        list_source(made(TABLE, FOLDERS), tmp_path)


def test_fallback_layout(tmp_path: Path) -> None:
    both(tmp_path, "1.jpg,s")
    source = made({**FOLDERS, "fallback": True}, TABLE)
    assert list_source(source, tmp_path).layout == "table"
    assert list_source(source, tmp_path, layout="folders").layout == "folders"
    (tmp_path / "labels.csv").unlink()
    assert list_source(source, tmp_path).layout == "folders"
    with pytest.raises(FerError, match="layout 'table' of Toy is not there"):
        list_source(source, tmp_path, layout="table")


def test_unknown_names(tmp_path: Path) -> None:
    both(tmp_path, "1.jpg,h")
    source = made(TABLE)
    with pytest.raises(FerError, match=r"no layout 'tabel'.*did you mean 'table'"):
        list_source(source, tmp_path, layout="tabel")
    with pytest.raises(FerError, match="no rule 'mode'"):
        list_source(source, tmp_path, rule="mode")
    for reader in ("table.raed", "tabel.read", "read", ""):
        with pytest.raises(FerError, match="no reader"):
            list_source(made({**TABLE, "reader": reader}), tmp_path)
    wrong = {**TABLE, "options": {**TABLE["options"], "picture": ["x"]}}
    with pytest.raises(FerError, match=r"no option 'picture'.*did you mean 'pictures'"):
        list_source(made(wrong), tmp_path)
    with pytest.raises(FerError, match=r"missing a required .*'pictures'"):
        list_source(made({**TABLE, "options": {"tables": {"train": "labels.csv"}}}), tmp_path)


def test_wrong_options_are_named(tmp_path: Path) -> None:
    both(tmp_path, "1.jpg,h")
    wrong = {**TABLE, "options": {**TABLE["options"], "pictures": ["train/{nam}"]}}
    with pytest.raises(FerError, match=r"unknown part {nam}.*did you mean 'name'"):
        list_source(made(wrong), tmp_path)
    wrong = {**FOLDERS, "options": {**FOLDERS["options"], "pattern": "(?P<label>[a-z"}}
    with pytest.raises(FerError, match="source toy, layout folders: its options do not work"):
        list_source(made(wrong), tmp_path)


def test_release_note_sets_licence_and_synthetic(tmp_path: Path) -> None:
    both(tmp_path, "1.jpg,h")
    plain = list_source(made(TABLE), tmp_path)
    assert set(plain.rows["licence"].to_pylist()) == {"toy licence"}
    assert plain.rows["synthetic"].to_pylist() == [False]
    trees.lines(tmp_path, "RELEASE.yaml", ["synthetic: true", "licence: CC0", "about: drawn"])
    listing = list_source(made(TABLE), tmp_path)
    assert listing.rows["synthetic"].to_pylist() == [True]
    assert listing.rows["licence"].to_pylist() == ["CC0"]
    assert listing.digest != plain.digest
    trees.lines(tmp_path, "RELEASE.yaml", ["sintetic: true"])
    with pytest.raises(FerError, match="unknown key 'sintetic'"):
        list_source(made(TABLE), tmp_path)


def test_split_from_a_column(tmp_path: Path) -> None:
    options = {
        "tables": {"*": "labels.csv"},
        "fields": {"split": "usage"},
        "splits": {"Training": "train", "PrivateTest": "test"},
        "pictures": ["{split}/{name}"],
    }
    rows = ["name,label,usage", "1.jpg,h,Training", "2.jpg,S,PrivateTest", "3.jpg,s,PublicTest"]
    trees.lines(tmp_path, "labels.csv", rows)
    trees.put(tmp_path, "train/1.jpg")
    listing = list_source(made({**TABLE, "options": options}), tmp_path)
    assert trees.labels(listing) == {("train", "1.jpg"): "happy", ("test", "2.jpg"): "sad"}
    assert trees.reasons(listing) == {"split outside the table": 1}
    assert listing.rows["size"].to_pylist() == [7, None]


def test_boxes_of_every_form(tmp_path: Path) -> None:
    trees.lines(tmp_path, "labels.csv", ["1.jpg 1  2 3 4.5 h", "1.jpg\t5 6 9 9 h", "1.jpg 1 2 3 4.5 h"])
    for form, boxes in {
        "xyxy": [[1, 2, 3, 4.5], [5, 6, 9, 9]],
        "tlrb": [[2, 1, 3, 4.5], [6, 5, 9, 9]],
        "xywh": [[1, 2, 4, 6.5], [5, 6, 14, 15]],
    }.items():
        options = {
            **TABLE["options"],
            "columns": ["name", "a", "b", "c", "d", "label"],
            "separator": " ",
            "box": ["a", "b", "c", "d"],
            "box_form": form,
        }
        listing = list_source(made({**TABLE, "options": options}), tmp_path)
        assert listing.rows["box"].to_pylist() == boxes
        assert len(set(listing.rows["id"].to_pylist())) == 2
        assert trees.reasons(listing) == {"duplicate row": 1}


def test_digest_depends_on_content_only(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "elsewhere" / "two"
    for root, order in ((one, ("1.jpg", "2.jpg")), (two, ("2.jpg", "1.jpg"))):
        trees.put(root, *(f"train/h/{name}" for name in order))
        trees.lines(root, "labels.csv", ["name,label", "1.jpg,h", "2.jpg,s", "bad"])
    source = made(TABLE)
    first = list_source(source, one)
    assert list_source(source, two).digest == first.digest
    assert list_source(source, two).rows.equals(first.rows)
    seen = {first.digest}
    trees.put(two, "train/h/1.jpg", data=b"longer than before")
    seen.add(list_source(source, two).digest)
    trees.lines(two, "labels.csv", ["name,label", "1.jpg,h", "2.jpg,h", "bad"])
    seen.add(list_source(source, two).digest)
    seen.add(list_source(source, two, labels={"h": "sad", "s": "happy"}).digest)
    (two / "train/h/2.jpg").unlink()
    seen.add(list_source(source, two).digest)
    assert len(seen) == 5
