import io
import os
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import trees
from PIL import Image

from ferbuild.builders.errors import FerError
from ferbuild.builders.sources import archives
from ferbuild.builders.sources.tree import Tree, read_picture, virtual


def paths(tree: Tree, *folders: str, **options: tuple[str, ...]) -> list[str]:
    return tree.files(*folders, **options)["rel_path"].to_list()


def test_files_have_sizes_and_are_sorted(tmp_path: Path) -> None:
    trees.put(tmp_path, "b/2.PNG", "b/1.jpg", "a.tif", data=b"1234")
    trees.put(tmp_path, "b/c/3.jpeg", data=b"")
    trees.put(tmp_path, "b/notes.txt", "b/Thumbs.db", "b/._1.jpg", ".DS_Store", "__MACOSX/b/1.jpg", ".cache/4.jpg")
    found = Tree(tmp_path).files()
    assert found.schema == {"rel_path": pl.String, "size": pl.Int64}
    assert found.rows() == [("a.tif", 4), ("b/1.jpg", 4), ("b/2.PNG", 4), ("b/c/3.jpeg", 0)]


def test_files_of_subfolders_and_other_suffixes(tmp_path: Path) -> None:
    trees.put(tmp_path, "train/1/a.jpg", "test/1/b.jpg", "other/c.jpg", "train/1/a.txt")
    tree = Tree(tmp_path)
    assert paths(tree, "train", "test") == ["test/1/b.jpg", "train/1/a.jpg"]
    assert paths(tree, "t*", "train/1", "absent") == ["test/1/b.jpg", "train/1/a.jpg"]
    assert paths(tree, suffixes=(".txt",)) == ["train/1/a.txt"]


def test_patterns(tmp_path: Path) -> None:
    trees.put(tmp_path, "a/1/x.jpg", "a/22/x.jpg", "a/list.csv", "[odd]/x.jpg")
    tree = Tree(tmp_path)
    assert tree.glob("a/*/x.jpg") == ["a/1/x.jpg", "a/22/x.jpg"]
    assert tree.glob("a/[0-9]/") == ["a/1"]
    assert tree.has("a/*.csv") and tree.has("a/") and tree.has("*/list.csv")
    assert not tree.has("a/list.csv/") and not tree.has("b/*") and not tree.has("A/list.csv")
    assert tree.folders("a") == ["a/1", "a/22"] and tree.folders() == ["[odd]", "a"]


def test_links_are_followed_and_loops_cut(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    trees.put(outside, "x.jpg")
    trees.put(root, "a/y.jpg", "b/z.jpg")
    (root / "a/up").symlink_to(root)
    (root / "a/self").symlink_to(root / "a")
    (root / "a/other").symlink_to(root / "b")
    (root / "b/back").symlink_to(root / "a")
    (root / "linked").symlink_to(outside)
    (root / "top").symlink_to("/")
    (root / "loop.jpg").symlink_to(root / "loop.jpg")
    (root / "lost.jpg").symlink_to(root / "nowhere.jpg")
    tree = Tree(root)
    assert tree.files().rows() == [
        ("a/y.jpg", 7), ("b/z.jpg", 7), ("linked/x.jpg", 7), ("loop.jpg", None), ("lost.jpg", None),
    ]  # fmt: skip
    what = "linked folders are met under another name, or lead back to a folder above them, and were not walked"
    assert tree.notes() == (f"5 {what}; the first is a/other",)
    assert tree.faults == {}


def test_archives(tmp_path: Path) -> None:
    trees.pack(
        tmp_path,
        "in/faces.zip",
        ["Sad/x.png", "top.png", "notes.txt", "Sad/Thumbs.db", "/etc/y.png", "a/../../z.png", "C:\\w.png", "..\\v.png"],
    )
    (tmp_path / "in/cut.zip").write_bytes((tmp_path / "in/faces.zip").read_bytes()[:50])
    tree = Tree(tmp_path)
    found = tree.files()
    assert found.rows() == [("in/faces.zip!Sad/x.png", 7), ("in/faces.zip!top.png", 7)]
    assert tree.files("in/faces.zip").equals(found)
    reasons = {address: reason for address, (reason, _) in tree.faults.items()}
    assert reasons == {
        "in/cut.zip": "unreadable archive",
        "in/faces.zip!/etc/y.png": "unsafe path",
        "in/faces.zip!a/../../z.png": "unsafe path",
        "in/faces.zip!C:\\w.png": "unsafe path",
        "in/faces.zip!..\\v.png": "unsafe path",
    }
    assert found.select(virtual())["rel_path"].to_list() == ["in/faces/Sad/x.png", "in/faces/top.png"]


def test_names_that_are_no_text_are_faults(tmp_path: Path) -> None:
    trees.put(tmp_path, "a/x.jpg", "a/é.jpg")
    try:
        (tmp_path / "a" / os.fsdecode(b"caf\xe9.jpg")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    tree = Tree(tmp_path)
    assert paths(tree) == ["a/x.jpg", "a/é.jpg"]
    assert [reason for reason, _ in tree.faults.values()] == ["unreadable name"]
    assert tree.sizes(pl.Series(["a/x.jpg", "a/é.jpg"])).to_list() == [7, 7]
    assert tree.glob("a/*") == ["a/x.jpg", "a/é.jpg"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_folder_without_permission_is_a_fault(tmp_path: Path) -> None:
    trees.put(tmp_path, "a/x.jpg", "b/y.jpg")
    (tmp_path / "a").chmod(0)
    tree = Tree(tmp_path)
    assert paths(tree) == ["b/y.jpg"]
    assert tree.faults["a"][0] == "unreadable folder"
    (tmp_path / "a").chmod(0o755)


def test_sizes(tmp_path: Path) -> None:
    trees.put(tmp_path / "in", "a/x.jpg", "y.jpg")
    trees.put(tmp_path, "secret.jpg")
    trees.pack(tmp_path / "in", "z.zip", ["w.png"])
    trees.lines(tmp_path / "in", "p.csv", ["emotion,pixels", "0,1 2 3 4"])
    asked = ["a/x.jpg", "y.jpg", "a", "a/no.jpg", "no/x.jpg", "../secret.jpg", "z.zip!w.png", "z.zip!v.png"]
    asked += ["p.csv#0", "p.csv#1", "a/x.jpg"]
    assert Tree(tmp_path / "in").sizes(pl.Series(asked)).to_list() == [
        7, 7, None, None, None, None, 7, None, 10, None, 7,
    ]  # fmt: skip


def test_read_picture_of_file_and_member(tmp_path: Path) -> None:
    trees.put(tmp_path, "a/x.jpg", data=b"file")
    trees.pack(tmp_path, "z.zip", {"b/y.png": b"member"})
    assert read_picture(tmp_path, "a/x.jpg") == b"file"
    assert read_picture(tmp_path, "z.zip!b/y.png") == b"member"
    trees.pack(tmp_path, "z.zip", {"b/y.png": b"another member"})
    assert read_picture(tmp_path, "z.zip!b/y.png") == b"another member"


@pytest.mark.parametrize(
    "address", ["../x.jpg", "/etc/passwd", "a/../../x.jpg", "z.zip!../x.jpg", "no.jpg", "a", "z.zip!no.png", "no.zip!x"]
)
def test_read_picture_that_cannot_be_read(tmp_path: Path, address: str) -> None:
    trees.put(tmp_path, "x.jpg")
    trees.put(tmp_path / "in", "a/x.jpg")
    trees.pack(tmp_path / "in", "z.zip", ["y.png"])
    with pytest.raises((OSError, KeyError, ValueError)):
        read_picture(tmp_path / "in", address)


def test_damaged_member(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.png", bytes(range(256)) * 4)
    data = bytearray((tmp_path / "z.zip").read_bytes())
    data[60:70] = b"\xff" * 10
    (tmp_path / "z.zip").write_bytes(data)
    with pytest.raises(OSError, match=r"z\.zip"):
        read_picture(tmp_path, "z.zip!x.png")


def test_member_that_unpacks_to_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_MEMBER", 1000)
    with zipfile.ZipFile(tmp_path / "z.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.png", bytes(1001))
    with pytest.raises(ValueError, match="more than 1000"):
        read_picture(tmp_path, "z.zip!x.png")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_pixel_rows_become_grey_pictures(tmp_path: Path, end: str, last: bool) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 48 * 48))
    rows = [f"{at},{' '.join(map(str, row))},Training" for at, row in enumerate(pixels)]
    text = end.join(["emotion,pixels,Usage", *rows]) + (end if last else "")
    trees.put(tmp_path, "fer2013.csv", data=text.encode())
    for at in range(3):
        with Image.open(io.BytesIO(read_picture(tmp_path, f"fer2013.csv#{at}"))) as image:
            assert (image.mode, image.size, image.format) == ("L", (48, 48), "PNG")
            assert np.array_equal(np.asarray(image), pixels[at].reshape(48, 48))
    with pytest.raises(KeyError):
        read_picture(tmp_path, "fer2013.csv#3")


@pytest.mark.parametrize("pixels", ["", "1 2 3", "256 " * 2304, "-1 " * 2304, "1 " * 2303 + "x", "1 " * 2305])
def test_pixel_rows_that_are_no_picture(tmp_path: Path, pixels: str) -> None:
    trees.lines(tmp_path, "fer2013.csv", ["emotion,pixels", f"0,{pixels}", f"0,{'9 ' * 2304}"])
    with pytest.raises(ValueError):
        read_picture(tmp_path, "fer2013.csv#0")
    assert read_picture(tmp_path, "fer2013.csv#1").startswith(b"\x89PNG")


def test_text_of_a_label_file(tmp_path: Path) -> None:
    trees.put(tmp_path, "bom.txt", data=b"\xef\xbb\xbfa\r\n")
    trees.put(tmp_path, "latin.txt", data=b"caf\xe9")
    trees.put(tmp_path, "wide.txt", data="a".encode("utf-16"))
    tree = Tree(tmp_path)
    assert tree.text("bom.txt") == b"a\r\n"
    assert tree.text("latin.txt").decode() == "caf�"
    with pytest.raises(FerError, match="UTF-16"):
        tree.text("wide.txt")
    with pytest.raises(FerError, match="cannot be read"):
        tree.text("no.txt")
