"""Raw releases that are broken on purpose: each fault is a counted drop, a note or an error in words, never silence."""

from __future__ import annotations

import io
import os
import struct
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import trees
from PIL import Image

from ferbuild.builders import ends, facing, images
from ferbuild.builders.errors import FerError
from ferbuild.builders.sources import Listing, Tree, archives, list_source, plain, read_picture
from ferbuild.builders.sources.pixel_rows import MAX_ROW
from ferbuild.manifests.load import check, load_source
from ferbuild.manifests.recipe import Picture
from ferbuild.manifests.schema import Source

LISTS = "Manually_Annotated_file_lists"
PICTURES = "Manually_Annotated_Images"
RAF_LIST = "basic/EmoLabel/list_patition_label.txt"

pytestmark = pytest.mark.timeout(30)
needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")


def affectnet(root: Path, *rows: str, table: str = "training.csv", end: str = "\n") -> Listing:
    trees.lines(root, f"{LISTS}/{table}", [trees.AFFECTNET_HEADER, *rows], end=end)
    return list_source(load_source("affectnet"), root)


def drops(listing: Listing) -> list[tuple[str, str, str]]:
    found = listing.drops.select(["rel_path", "reason", "detail"]).to_pylist()
    return [(row["rel_path"], row["reason"], row["detail"]) for row in found]


def sizes(listing: Listing) -> dict[str, int | None]:
    return {row["rel_path"]: row["size"] for row in listing.rows.select(["rel_path", "size"]).to_pylist()}


def fault(call: Callable[[], Any]) -> tuple[str, str]:
    """Return reason and detail of the PictureError that a call ends in."""
    with pytest.raises(images.PictureError) as caught:
        call()
    return caught.value.reason, caught.value.detail


def opened(base: Path, rel_path: str) -> tuple[str, str]:
    return fault(lambda: facing.open_picture({"size": 1, "rel_path": rel_path}, base))


def shot(kind: str = "PNG", side: tuple[int, int] = (40, 30), **how: Any) -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (*side[::-1], 3), dtype=np.uint8)
    Image.fromarray(noise).save(file, kind, **how)
    return file.getvalue()


# boxes


@pytest.mark.parametrize(
    ("box", "said"),
    [
        ("1e30,1,5,5", "box 1e+30 1.0 1e+30 6.0"),
        ("1e308,1,1e308,5", "box 1e+308 1.0 inf 6.0"),
        ("1,2,3,1000000", "box 1.0 2.0 4.0 1000002.0"),
        ("-1000001,2,2000000,5", "box -1000001.0 2.0 999999.0 7.0"),
        ("inf,1,5,5", "box ? 1.0 ? 6.0"),
        ("nan,1,5,5", "box ? 1.0 ? 6.0"),
    ],
)
def test_a_box_out_of_all_pictures_is_one_drop(tmp_path: Path, box: str, said: str) -> None:
    rows = [trees.affectnet_row("1/a.jpg", 1), trees.affectnet_row("1/b.jpg", 1, box=box)]
    listing = affectnet(tmp_path, *rows, trees.affectnet_row("1/c.jpg", 8, box=box))
    assert sizes(listing) == {f"{PICTURES}/1/a.jpg": None}
    assert {reason: detail for _, reason, detail in drops(listing)} == {"bad box": said, "label none": ""}


def test_a_box_at_the_bound_is_kept_and_a_wild_one_costs_the_benchmark_no_row(tmp_path: Path) -> None:
    kept = affectnet(tmp_path / "a", trees.affectnet_row("1/a.jpg", 1, box="1,2,999999,5"))
    assert kept.rows["box"].to_pylist() == [[1.0, 2.0, 1_000_000.0, 7.0]]
    rows = [trees.affectnet_row("1/a.jpg", 1, box="1e308,1,5,5")]
    shown = affectnet(tmp_path / "b", *rows, table="validation.csv")
    assert (shown.rows["box"].to_pylist(), shown.drops.num_rows) == ([None], 0)


@pytest.mark.parametrize("wild", [float("inf"), float("-inf"), float("nan")])
def test_a_box_that_is_no_number_is_outside_the_picture(wild: float) -> None:
    pixels = np.zeros((30, 40, 3), np.uint8)
    for at in range(4):
        box = [0.0, 0.0, 9.0, 9.0]
        box[at] = wild
        assert fault(lambda box=box: images.cut(b"", pixels, box, Picture()))[0] == "box outside the picture"
    assert fault(lambda: images.cut(b"", pixels, [1e30, 1, 2e30, 5], Picture()))[0] == "box outside the picture"


# archives


def spoil(archive: Path, mark: bytes, offset: int, value: bytes) -> None:
    """Overwrite bytes of an archive behind the last `mark`."""
    data = bytearray(archive.read_bytes())
    at = data.rindex(mark) + offset
    data[at : at + len(value)] = value
    archive.write_bytes(data)


def test_an_archive_of_another_age_is_unreadable(tmp_path: Path) -> None:
    trees.put(tmp_path, "Val_Aligned_Faces/Happy/v.png")
    trees.pack(tmp_path, "Train_Aligned_Faces.zip", ["Happy/a.png"])
    spoil(tmp_path / "Train_Aligned_Faces.zip", b"PK\x01\x02", 6, b"\x63\x00")
    listing = list_source(load_source("sfew"), tmp_path)
    assert list(sizes(listing)) == ["Val_Aligned_Faces/Happy/v.png"]
    assert drops(listing) == [("Train_Aligned_Faces.zip", "unreadable archive", "zip file version 9.9")]
    assert opened(tmp_path, "Train_Aligned_Faces.zip!Happy/a.png")[0] == "unreadable"
    assert Tree(tmp_path).sizes(pl.Series(["Train_Aligned_Faces.zip!Happy/a.png"])).to_list() == [None]


@pytest.mark.parametrize("packing", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_member_that_does_not_unpack_is_unreadable(tmp_path: Path, packing: int) -> None:
    with zipfile.ZipFile(tmp_path / "z.zip", "w", packing) as file:
        file.writestr("x.png", bytes(range(256)) * 40)
    data = bytearray((tmp_path / "z.zip").read_bytes())
    data[35:60] = b"\xff" * 25
    (tmp_path / "z.zip").write_bytes(data)
    with pytest.raises(OSError, match=r"^z\.zip!x\.png: |^Invalid data stream$"):
        archives.read_member(tmp_path / "z.zip", "x.png")
    assert opened(tmp_path, "z.zip!x.png")[0] == "unreadable"


def test_a_dangling_archive_is_told(tmp_path: Path) -> None:
    trees.put(tmp_path, "Val_Aligned_Faces/Happy/v.png")
    (tmp_path / "Train_Aligned_Faces.zip").symlink_to(tmp_path / "gone.zip")
    (tmp_path / "Val_Aligned_Faces/Sad.zip").symlink_to("gone.zip")
    trees.put(tmp_path, "Val_Aligned_Faces/._Sad.zip")
    listing = list_source(load_source("sfew"), tmp_path)
    assert listing.rows.num_rows == 1
    assert drops(listing) == [
        ("Train_Aligned_Faces.zip", "unreadable archive", "dangling link"),
        ("Val_Aligned_Faces/Sad.zip", "unreadable archive", "dangling link"),
    ]


@needs_pipes
def test_an_archive_that_is_a_pipe_or_a_loop_is_told(tmp_path: Path) -> None:
    trees.put(tmp_path, "Val_Aligned_Faces/Happy/v.png")
    os.mkfifo(tmp_path / "Train_Aligned_Faces.zip")
    (tmp_path / "Val_Aligned_Faces/Sad.zip").symlink_to("Sad.zip")
    listing = list_source(load_source("sfew"), tmp_path)
    assert drops(listing) == [
        ("Train_Aligned_Faces.zip", "unreadable archive", "no regular file"),
        ("Val_Aligned_Faces/Sad.zip", "unreadable archive", "Too many levels of symbolic links"),
    ]


# files that are none, or too much


def test_a_sparse_giant_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "x.jpg").open("wb") as file:
        file.truncate(200_000_000_000)
    assert opened(tmp_path, "x.jpg") == ("file too large", "200000000000 bytes, more than 268435456")
    with (tmp_path / "x.jpg").open("wb") as file:
        file.truncate(plain.MAX_FILE + 1)
    assert opened(tmp_path, "x.jpg")[0] == "file too large"
    trees.put(tmp_path, "x.jpg", data=b"12345")
    assert plain.read_plain(tmp_path / "x.jpg", 5) == b"12345"
    with pytest.raises(plain.TooLargeError, match="5 bytes, more than 4"):
        plain.read_plain(tmp_path / "x.jpg", 4)


def test_a_giant_row_of_pixels_is_not_read(tmp_path: Path) -> None:
    trees.lines(tmp_path, "fer2013.csv", ["emotion,pixels,Usage", f"0,{'1 ' * MAX_ROW},Training"])
    assert opened(tmp_path, "fer2013.csv#0") == (
        "unreadable",
        f"ValueError: a row of {2 * MAX_ROW + 12} bytes, not 2304 pixels",
    )


@needs_pipes
def test_what_is_no_regular_file_is_no_picture(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.jpg")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    (tmp_path / "lost.jpg").symlink_to("gone.jpg")
    assert opened(tmp_path, "x.jpg") == ("unreadable", "OSError: no regular file")
    assert opened(tmp_path, "zero.jpg") == ("unreadable", "OSError: no regular file")
    assert opened(tmp_path, "lost.jpg")[0] == "missing picture"
    with pytest.raises(OSError, match="no regular file"):
        read_picture(tmp_path, "x.jpg")


@needs_pipes
def test_class_folders_count_what_is_no_regular_file(tmp_path: Path) -> None:
    for part in ("Train_Aligned_Faces", "Val_Aligned_Faces"):
        happy = tmp_path / part / "Happy"
        trees.put(happy, "a.png", "deep.png/inner.png")
        (happy / "b.png").symlink_to("gone.png")
        (happy / "d.png").symlink_to("d.png")
        (happy / "z.png").symlink_to("/dev/zero")
        os.mkfifo(happy / "c.png")
    listing = list_source(load_source("sfew"), tmp_path)
    parts = ("Train_Aligned_Faces", "Val_Aligned_Faces")
    outside = [(f"{part}/Happy/deep.png/inner.png", "label outside the table", "") for part in parts]
    assert drops(listing) == outside, "a folder is a folder, however it is called"
    train = {"a.png": 7, "b.png": None, "c.png": None, "d.png": None, "z.png": None}
    assert sizes(listing) == {f"{part}/Happy/{name}": size for part in parts for name, size in train.items()}
    rows = {row["rel_path"]: row for row in listing.rows.to_pylist()}
    assert fault(lambda: facing.open_picture(rows["Train_Aligned_Faces/Happy/c.png"], tmp_path)) == (
        "missing picture",
        "",
    )


def test_a_dangling_link_does_not_hide_the_copy_in_an_archive(tmp_path: Path) -> None:
    (tmp_path / "Train_Aligned_Faces/Happy").mkdir(parents=True)
    (tmp_path / "Train_Aligned_Faces/Happy/a.png").symlink_to("gone.png")
    trees.pack(tmp_path, "Train_Aligned_Faces.zip", ["Happy/a.png"])
    listing = list_source(load_source("sfew"), tmp_path)
    assert sizes(listing) == {"Train_Aligned_Faces.zip!Happy/a.png": 7}
    assert drops(listing)[0][:2] == ("Train_Aligned_Faces/Happy/a.png", "duplicate row")


@needs_pipes
@pytest.mark.parametrize("kind", ["pipe", "zero", "dangling", "folder"])
def test_a_label_file_must_be_a_file(tmp_path: Path, kind: str) -> None:
    trees.rafdb(tmp_path, {"train_00001.jpg": 1})
    path = tmp_path / RAF_LIST
    path.unlink()
    made = {
        "pipe": lambda: os.mkfifo(path),
        "zero": lambda: path.symlink_to("/dev/zero"),
        "dangling": lambda: path.symlink_to("gone"),
        "folder": path.mkdir,
    }
    made[kind]()
    with pytest.raises(FerError, match="cannot be read") as caught:
        list_source(load_source("rafdb"), tmp_path)
    assert caught.value.where == str(path)


# side files


def npy(header: str | bytes, data: bytes = b"") -> bytes:
    text = header.encode() if isinstance(header, str) else header
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text) + 1) + text + b"\n" + data


def scalar(kind: str, data: bytes) -> bytes:
    return npy(f"{{'descr': '{kind}', 'fortran_order': False, 'shape': (), }}", data)


@needs_pipes
def test_foreign_npy_bytes_cost_one_row_each(tmp_path: Path) -> None:
    spot = tmp_path / "train_set/annotations"
    bad = {
        "((((": npy("(((("),
        "letter": scalar("<U1", b"\xff\xff\xff\xff"),
        "surrogate": scalar("<U1", struct.pack("<I", 0xD800)),
        "nested": npy("[" * 9000),
        "nul": npy(b"\0" * 20),
        "pickle": scalar("|O", b"cos\nsystem\n"),
        "long": b"\0" * (1 << 21),
        "short": scalar("<i8", b"\1"),
        "none": b"",
    }
    for name, data in {"good": scalar("<i8", struct.pack("<q", 1)), **bad}.items():
        trees.put(spot, f"{name}_exp.npy", data=data)
        trees.put(tmp_path, f"train_set/images/{name}.jpg")
    for name in ("folder", "loop", "pipe"):
        trees.put(tmp_path, f"train_set/images/{name}.jpg")
    (spot / "folder_exp.npy").mkdir()
    (spot / "loop_exp.npy").symlink_to("loop_exp.npy")
    os.mkfifo(spot / "pipe_exp.npy")
    os.mkfifo(spot / "good_val.npy")
    trees.put(spot, "good_aro.npy", data=bad["(((("])
    listing = list_source(load_source("affectnet"), tmp_path)
    assert trees.labels(listing) == {("train", "good.jpg"): "happiness"}
    assert listing.rows.select(["valence", "arousal"]).to_pylist() == [{"valence": None, "arousal": None}]
    found = {Path(path).stem: (reason, detail) for path, reason, detail in drops(listing)}
    assert {name: reason for name, (reason, _) in found.items()} == {
        **dict.fromkeys(bad, "malformed row"), "surrogate": "label outside the table", "folder": "missing annotation",
        "loop": "malformed row", "pipe": "malformed row",
    }  # fmt: skip
    assert found["pipe"][1] == "no regular file"
    assert found["loop"][1] == "Too many levels of symbolic links"
    assert found["long"][1] == "2097152 bytes, more than 1048576"
    assert all(str(tmp_path) not in detail and " at 0x" not in detail for _, detail in found.values())
    assert all(detail for name, (reason, detail) in found.items() if reason == "malformed row")
    assert listing.drops.num_rows == len(found) == len(bad) + 3


def test_json_that_is_no_file_costs_one_row(tmp_path: Path) -> None:
    spot = tmp_path / "train_set/annotations"
    for name in "abc":
        trees.put(tmp_path, f"train_set/images/{name}.jpg")
    trees.put(spot, "a.json", data=b'{"human-label": 1}')
    trees.put(spot, "b.json", data=b'{"human-label": "\\ud800"}')
    (spot / "c.json").symlink_to("/dev/zero")
    listing = list_source(load_source("affectnet"), tmp_path)
    assert trees.labels(listing) == {("train", "a.jpg"): "happiness"}
    assert trees.reasons(listing) == {"malformed row": 2}


@needs_pipes
def test_a_pipe_for_an_emotion_leaves_its_sequence_unlabelled(tmp_path: Path) -> None:
    for person in ("S001", "S002"):
        trees.put(tmp_path, *(f"cohn-kanade-images/{person}/001/{person}_001_0000000{at}.png" for at in (1, 2)))
        trees.lines(tmp_path, f"Emotion/{person}/001/{person}_001_00000002_emotion.txt", ["   3.0000000e+00"], end="\r")
    file = tmp_path / "Emotion/S002/001/S002_001_00000002_emotion.txt"
    file.unlink()
    os.mkfifo(file)
    listing = list_source(load_source("ckplus"), tmp_path)
    assert trees.counts(listing) == {"train": {"disgust": 1, "neutral": 1}}
    assert trees.reasons(listing) == {"no emotion label": 1}


# pixel tables


@pytest.mark.parametrize("line", ["\0" * 3000, "12 " * 2304, '""', "x" * 193, ","])
def test_a_line_without_fields_is_counted(tmp_path: Path, line: str) -> None:
    good = f"3,{'1 ' * 2304},Training"
    trees.lines(tmp_path, "fer2013.csv", ["emotion,pixels,Usage", good, line, " " * 300, "", "\r", good])
    listing = list_source(load_source("fer2013"), tmp_path)
    assert trees.addresses(listing) == ["fer2013.csv#0", "fer2013.csv#5"]
    assert [(path, reason) for path, reason, _ in drops(listing)] == [("fer2013.csv#1", "malformed row")]


# names and places


@pytest.mark.parametrize("odd", ["", "\x1f"])
def test_a_root_that_is_no_utf8_is_read(tmp_path: Path, odd: str) -> None:
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    try:
        root.mkdir()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    trees.rafdb(root / "RAF", {"train_00001.jpg": 1, "test_0001.jpg": 4})
    trees.lines(root / "RAF", RAF_LIST, ["train_00001.jpg 1", "test_0001.jpg 4", *([f"{odd} 1"] if odd else [])])
    listing = list_source(load_source("rafdb"), root / "RAF")
    assert set(sizes(listing).values()) == {7} and listing.rows.num_rows == 2
    trees.put(root / "RAF", RAF_LIST, data=b"")
    with pytest.raises(FerError, match="no usable row"):
        list_source(load_source("rafdb"), root / "RAF")


@pytest.mark.parametrize(
    "name", ["1//a.jpg", "1/./a.jpg", "./1/a.jpg", ".//./1///././a.jpg", "1\\a.jpg", "1\\\\a.jpg", "1/.\\a.jpg"]
)
def test_another_way_to_write_a_name_is_no_second_face(tmp_path: Path, name: str) -> None:
    trees.put(tmp_path, f"{PICTURES}/1/a.jpg")
    listing = affectnet(tmp_path, trees.affectnet_row("1/a.jpg", 1), trees.affectnet_row(name, 2))
    assert sizes(listing) == {f"{PICTURES}/1/a.jpg": 7}
    assert trees.reasons(listing) == {"duplicate row": 1}
    alone = affectnet(tmp_path, trees.affectnet_row(name, 1))
    assert alone.rows["id"].to_pylist() == listing.rows["id"].to_pylist()


@pytest.mark.parametrize("name", ["//etc/passwd", "/./a.jpg", ".//../a.jpg", "1/.//../a.jpg", "1/../a.jpg"])
def test_no_tidying_hides_a_name_that_leaves_the_release(tmp_path: Path, name: str) -> None:
    listing = affectnet(tmp_path, trees.affectnet_row("1/a.jpg", 1), trees.affectnet_row(name, 1))
    assert trees.reasons(listing) == {"path leaves the release": 1}


def test_names_that_only_look_like_it_stay(tmp_path: Path) -> None:
    names = ["1/.a.jpg", "1./a.jpg", "1/..a/b.jpg", ".1/a.jpg"]
    listing = affectnet(tmp_path, *(trees.affectnet_row(name, 1) for name in names))
    assert listing.rows["name"].to_pylist() == names


def test_votes_know_one_name_however_it_is_written(tmp_path: Path) -> None:
    votes = ',"(0, 0, 48, 48)",10,0,0,0,0,0,0,0,0,0'
    trees.lines(
        tmp_path, "FER2013Test/label.csv", [f"{name}{votes}" for name in ("fer0000001.png", ".//fer0000001.png")]
    )
    trees.put(tmp_path, "FER2013Test/fer0000001.png")
    listing = list_source(load_source("ferplus"), tmp_path)
    assert sizes(listing) == {"FER2013Test/fer0000001.png": 7}
    assert trees.reasons(listing) == {"duplicate row": 1}


# links


def test_folders_that_all_link_to_each_other_are_walked_once(tmp_path: Path) -> None:
    for one in range(9):
        trees.put(tmp_path, f"{one}/a.jpg")
        for other in range(9):
            (tmp_path / f"{one}/to{other}").symlink_to(tmp_path / str(other))
    start = time.perf_counter()
    tree = Tree(tmp_path)
    assert tree.files()["rel_path"].to_list() == [f"{at}/a.jpg" for at in range(9)]
    assert time.perf_counter() - start < 1
    assert tree.notes()[0].startswith("81 linked folders ") and tree.notes()[0].endswith("the first is 0/to0")


def test_a_folder_is_met_under_its_own_name_and_else_under_the_first(tmp_path: Path) -> None:
    root = tmp_path / "root"
    trees.put(root, "z/1.jpg")
    trees.put(tmp_path, "out/2.jpg", "out/in/3.jpg")
    for name, target in {"a": "z", "c": "../out", "b": "../out/in", "d": "../out"}.items():
        (root / name).symlink_to(target)
    tree = Tree(root)
    assert tree.files()["rel_path"].to_list() == ["b/3.jpg", "c/2.jpg", "z/1.jpg"]
    assert tree.notes()[0].startswith("3 linked folders "), "a, d, and c/in"
    assert tree.files("a")["rel_path"].to_list() == ["a/1.jpg"], "asked for by that name alone"
    assert tree.files("a", "z")["rel_path"].to_list() == ["z/1.jpg"]


def test_a_listing_tells_of_links_that_were_not_followed(tmp_path: Path) -> None:
    trees.put(tmp_path, "Train_Aligned_Faces/Happy/a.png", "Val_Aligned_Faces/Happy/v.png")
    (tmp_path / "Train_Aligned_Faces/Sad").symlink_to("Happy")
    listing = list_source(load_source("sfew"), tmp_path)
    assert trees.counts(listing) == {"train": {"happy": 1}, "validation": {"happy": 1}}
    assert [note for note in listing.notes if note.startswith("1 linked folders ")]


# manifests


def toy(*, requires: list[Any] | None = None, reader: str = "table.read", **options: Any) -> Source:
    layout = {"name": "odd", "reader": reader, "requires": requires or ["labels.csv"], "options": options}
    data = {"name": "toy", "title": "Toy", "licence": {"name": "none", "terms": "None.", "ask": "nobody"},
            "labels": {"h": "happy", "s": "sad"}, "candidates": ["happy", "sad"], "layouts": [layout]}  # fmt: skip
    return check(data, Source, "toy")


GOOD = {"tables": {"train": "labels.csv"}, "pictures": ["{name}"]}


@pytest.mark.parametrize("need", ["", "/", "//"])
def test_a_requirement_that_names_nothing_is_an_error(tmp_path: Path, need: str) -> None:
    trees.lines(tmp_path, "labels.csv", ["name,label", "a.jpg,h"])
    with pytest.raises(FerError, match="names nothing"):
        list_source(toy(requires=[need], **GOOD), tmp_path)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"columns": 5}, "options: columns: "),
        ({"columns": "name"}, "options: columns: "),
        ({"pictures": []}, "options: pictures: "),
        ({"separator": ""}, "options: separator: "),
        ({"separator": ", "}, "options: separator: "),
        ({"box": ["x", "y", "w"]}, "options: box"),
        ({"box_form": "xyz"}, "options: box_form: "),
        ({"tables": ["labels.csv"]}, "options: tables: "),
        ({"mixup": {}}, "options: mixup: "),
        ({"mixup": {"problem": "p", "nams": "x"}}, "options: mixup: "),
        ({"splits": 3}, "options: splits: "),
        ({"colums": []}, "has no option 'colums'"),
        ({"names": {"train": "("}}, "its options do not work"),
    ],
)
def test_options_of_a_wrong_kind_are_an_error(tmp_path: Path, options: dict[str, Any], problem: str) -> None:
    trees.lines(tmp_path, "labels.csv", ["name,label", "a.jpg,h"])
    with pytest.raises(FerError) as caught:
        list_source(toy(**{**GOOD, **options}), tmp_path)
    assert (caught.value.where, caught.value.problem[: len(problem)]) in {
        ("source toy, layout odd", problem),
        ("source toy, layout odd", f"table.read {problem}"[: len(problem)]),
    }


def test_numbers_in_options_are_taken_for_text(tmp_path: Path) -> None:
    trees.lines(tmp_path, "labels.csv", ["name,label,part", "a.jpg,h,1", "b.jpg,s,2"])
    trees.put(tmp_path, "a.jpg", "b.jpg")
    options = {"tables": {"*": "labels.csv"}, "fields": {"split": "part"}, "splits": {1: "train", 2: "test"}}
    listing = list_source(toy(**{**GOOD, **options}), tmp_path)
    assert trees.labels(listing) == {("train", "a.jpg"): "happy", ("test", "b.jpg"): "sad"}


# label files of another kind


def test_old_mac_line_ends_are_named(tmp_path: Path) -> None:
    with pytest.raises(FerError, match="no column 'subDirectory_filePath'") as caught:
        affectnet(tmp_path, trees.affectnet_row("1/a.jpg", 1), end="\r")
    assert "old Mac" in caught.value.hint and len(caught.value.hint) < 200
    trees.rafdb(tmp_path / "RAF", {"train_00001.jpg": 1, "train_00002.jpg": 2}, end="\r")
    with pytest.raises(FerError, match="holds a single line") as caught:
        list_source(load_source("rafdb"), tmp_path / "RAF")
    assert "old Mac" in caught.value.hint


def test_old_mac_votes_are_read(tmp_path: Path) -> None:
    rows = [f'fer000000{at}.png,"(0, 0, 48, 48)",0,10,0,0,0,0,0,0,0,0' for at in range(3)]
    trees.lines(tmp_path, "FER2013Test/label.csv", rows, end="\r")
    listing = list_source(load_source("ferplus"), tmp_path)
    assert trees.counts(listing) == {"test": {"happy": 3}}


def test_a_header_that_is_a_line_of_data_is_not_quoted_in_full(tmp_path: Path) -> None:
    trees.lines(tmp_path, f"{LISTS}/training.csv", [",".join(f"{'x' * 100}{at}" for at in range(10_000))])
    with pytest.raises(FerError, match="no column") as caught:
        list_source(load_source("affectnet"), tmp_path)
    assert caught.value.hint == "known: " + ", ".join(["x" * 40] * 20)
    trees.lines(tmp_path, "fer/fer2013.csv", [",".join(["1"] * 10_000), f"1,{'1 ' * 2304},Training"])
    with pytest.raises(FerError, match="no column 'emotion'") as caught:
        list_source(load_source("fer2013"), tmp_path / "fer")
    assert caught.value.hint == "known: " + ", ".join(["1"] * 20)


def test_labels_beside_class_folders_are_compared(tmp_path: Path) -> None:
    for at, label in enumerate("hhss"):
        trees.put(tmp_path, f"train/{label}/{at}.jpg")
    options = {"pattern": r"(?P<split>train)/(?P<label>\w+)/[^/]+$", "splits": {"train": "train"}}
    source = toy(reader="folders.read", requires=["train/"], lists={"train": "train*.csv"}, **options)
    assert list_source(source, tmp_path).notes == ()
    trees.lines(tmp_path, "train_labels.csv", ["image,label", "0.jpg,h", "1.jpg,h", "2.jpg,s", "x.jpg,s", "3.jpg"])
    assert list_source(source, tmp_path).notes == ()
    trees.lines(tmp_path, "train_labels.csv", ["image,label", "0.jpg,s", "1.jpg,s", "2.jpg,s", "x.jpg,h"])
    listing = list_source(source, tmp_path)
    assert listing.notes == ("2 labels in train_labels.csv contradict the folders; the folders are used",)
    assert trees.counts(listing) == {"train": {"happy": 2, "sad": 2}}
    trees.lines(tmp_path, "train_labels.csv", ["picture,label", "0.jpg,s"])
    assert list_source(source, tmp_path).notes == (
        "train_labels.csv cannot be compared with the folders: no column 'image'",
    )


# pictures


@pytest.mark.parametrize("kind", ["EPS", "PPM", "ICO", "TGA", "PDF"])
def test_formats_no_release_holds_are_not_opened(kind: str) -> None:
    assert fault(lambda: images.decode(shot(kind), max_pixels=10**6)) == ("unreadable", "no known picture format")


@pytest.mark.parametrize("kind", ["JPEG", "MPO", "PNG", "BMP", "TIFF", "WEBP", "GIF"])
def test_formats_releases_hold_are_opened(kind: str) -> None:
    assert images.decode(shot(kind), max_pixels=10**6).shape == (30, 40, 3)


@pytest.mark.parametrize(("kind", "least"), [("JPEG", 3), ("PNG", 8), ("WEBP", 12)])
def test_a_picture_cut_anywhere_behind_its_magic_is_truncated(kind: str, least: int) -> None:
    data = shot(kind, (12, 9))
    assert not ends.ends_early(data)
    for length in range(least, len(data) - 12):
        assert ends.ends_early(data[:length])
        try:
            images.decode(data[:length], max_pixels=10**6)
        except images.PictureError as err:
            assert err.reason == "truncated", length


@pytest.mark.parametrize(
    "data",
    [b"\xff\xd8\xff" + b"\0" * 50, b"\x89PNG\r\n\x1a\n" + b"\0" * 50, b"\xff\xd8\xff\xd9 text", b"BM"],
)
def test_what_only_begins_like_a_picture_is_unreadable(data: bytes) -> None:
    assert fault(lambda: images.decode(data, max_pixels=10**6))[0] == "unreadable"


def test_the_first_bytes_of_a_gif_are_a_cut_one() -> None:
    assert fault(lambda: images.decode(b"GIF89a", max_pixels=10**6))[0] == "truncated"
