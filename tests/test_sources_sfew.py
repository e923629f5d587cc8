from pathlib import Path

import pytest
import trees

from ferbuild.builders.sources import list_source, read_picture
from ferbuild.manifests.load import load_source

SFEW = load_source("sfew")
CLASSES = list(SFEW.labels)
VAL = {"Angry": 77, "Disgust": 23, "Fear": 46, "Happy": 72, "Neutral": 84, "Sad": 73, "Surprise": 56}


def shot(number: int) -> str:
    return f"AlexEmma_{number:09d}_{number:08d}.png"


def test_aligned_folders_with_the_published_counts(tmp_path: Path) -> None:
    for folder, count in VAL.items():
        trees.put(tmp_path, *(f"Val/Val_Aligned_Faces/{folder}/{shot(at)}" for at in range(count)))
        trees.put(tmp_path, f"Val/Val_Aligned_Faces/{folder}/Thumbs.db")
    trees.put(tmp_path, *(f"Train/Train_Aligned_Faces/{CLASSES[at % 7]}/{shot(at)}" for at in range(891)))
    listing = list_source(SFEW, tmp_path)
    counts = trees.counts(listing)
    assert listing.layout == "aligned" and listing.drops.num_rows == 0
    assert counts["validation"] == SFEW.expected["as labelled"]["validation"]
    assert sum(counts["validation"].values()) == 431
    assert sum(counts["train"].values()) == SFEW.totals["as labelled"]["train"] == 891
    rows = listing.rows.to_pylist()
    assert [(row["split"], row["rel_path"]) for row in rows] == sorted((row["split"], row["rel_path"]) for row in rows)
    angry = next(row for row in rows if row["label"] == "angry")
    assert angry["canonical"] == "anger"
    assert {row["canonical"] for row in rows} == {
        "anger", "disgust", "fear", "happiness", "neutral", "sadness", "surprise",
    }  # fmt: skip


@pytest.mark.parametrize(
    "path",
    [
        "Val_Aligned_Faces/Sad/x.png",
        "Val_Aligned_Faces_new/Sad/x.png",
        "Val/Val_Aligned_Faces_new/Sad/x.png",
    ],
)
def test_names_of_the_folder(tmp_path: Path, path: str) -> None:
    trees.put(tmp_path / "SFEW_2", path)
    listing = list_source(SFEW, tmp_path)
    assert listing.base == tmp_path / "SFEW_2"
    assert trees.labels(listing) == {("validation", "x.png"): "sad"}
    assert trees.addresses(listing) == [path]


@pytest.mark.parametrize(
    ("archive", "member"),
    [
        ("Val_Aligned_Faces_new.zip", "Val_Aligned_Faces/Sad/x.png"),
        ("Val_Aligned_Faces_new.zip", "Sad/x.png"),
        ("Val/Val_Aligned_Faces_new.zip", "Val_Aligned_Faces_new/Sad/x.png"),
        ("Val/Val_Aligned_Faces/Sad.zip", "x.png"),
        ("Val/Val_Aligned_Faces/Sad.zip", "Sad/x.png"),
        ("Val_Aligned_Faces/Sad.ZIP", "Sad\\x.png"),
    ],
)
def test_archives_are_read_in_place(tmp_path: Path, archive: str, member: str) -> None:
    trees.pack(tmp_path, archive, {member: b"bytes of a face", "Thumbs.db": b"", "__MACOSX/Sad/._x.png": b""})
    listing = list_source(SFEW, tmp_path)
    address = f"{archive}!{member}"
    assert trees.addresses(listing) == [address]
    assert trees.labels(listing) == {("validation", "x.png"): "sad"}
    assert listing.rows["size"].to_pylist() == [15]
    assert read_picture(listing.base, address) == b"bytes of a face"
    assert listing.drops.num_rows == 0


def test_archive_beside_its_unpacked_folder_counts_once(tmp_path: Path) -> None:
    trees.put(tmp_path, "Val/Val_Aligned_Faces/Sad/x.png", "Val/Val_Aligned_Faces/Happy/x.png")
    trees.pack(tmp_path, "Val/Val_Aligned_Faces_new.zip", ["Sad/x.png", "Sad/y.png"])
    listing = list_source(SFEW, tmp_path)
    assert trees.addresses(listing) == [
        "Val/Val_Aligned_Faces/Happy/x.png",
        "Val/Val_Aligned_Faces/Sad/x.png",
        "Val/Val_Aligned_Faces_new.zip!Sad/y.png",
    ]
    assert trees.reasons(listing) == {"duplicate row": 1}
    assert listing.drops["detail"].to_pylist() == ["copy of Val/Val_Aligned_Faces/Sad/x.png"]


def test_stray_folders_and_files_are_counted(tmp_path: Path) -> None:
    trees.put(
        tmp_path,
        "Val_Aligned_Faces/Sad/x.png",
        "Val_Aligned_Faces/Contempt/x.png",
        "Val_Aligned_Faces/y.png",
        "Val_Aligned_Faces/readme.txt",
    )
    listing = list_source(SFEW, tmp_path)
    assert trees.labels(listing) == {("validation", "x.png"): "sad"}
    assert trees.reasons(listing) == {"label outside the table": 1, "outside the class folders": 1}


def test_unsafe_member_and_broken_archive_cost_no_good_row(tmp_path: Path) -> None:
    trees.pack(tmp_path, "Val_Aligned_Faces/Sad.zip", ["x.png", "/etc/Sad/a.png", "../../Sad/b.png"])
    trees.pack(tmp_path, "Val_Aligned_Faces/Fear.zip", ["y.png"])
    whole = (tmp_path / "Val_Aligned_Faces/Fear.zip").read_bytes()
    (tmp_path / "Val_Aligned_Faces/Fear.zip").write_bytes(whole[:-30])
    listing = list_source(SFEW, tmp_path)
    assert trees.labels(listing) == {("validation", "x.png"): "sad"}
    assert trees.reasons(listing) == {"unsafe path": 2, "unreadable archive": 1}


def frames(root: Path) -> None:
    trees.put(root, f"Train/Angry/{shot(1)}", f"Val/Sad/{shot(2)}", f"Val/Angry/{shot(2)}", "Train/Angry/Thumbs.db")


def test_frames_serve_where_no_aligned_faces_are(tmp_path: Path) -> None:
    frames(tmp_path)
    listing = list_source(SFEW, tmp_path)
    assert listing.layout == "frames" and "whole film frames" in listing.notes[0]
    assert trees.addresses(listing) == [f"Train/Angry/{shot(1)}", f"Val/Angry/{shot(2)}", f"Val/Sad/{shot(2)}"]
    assert trees.counts(listing) == {"train": {"angry": 1}, "validation": {"angry": 1, "sad": 1}}


def test_one_archive_a_class_of_frames(tmp_path: Path) -> None:
    trees.pack(tmp_path, "Train/Angry.zip", ["Angry/a.png", "Angry/b.png"])
    trees.pack(tmp_path, "Train/Sad.zip", ["c.png"])
    assert trees.counts(list_source(SFEW, tmp_path)) == {"train": {"angry": 2, "sad": 1}}


def test_aligned_faces_win_over_frames_unless_asked_for(tmp_path: Path) -> None:
    frames(tmp_path)
    trees.put(tmp_path, f"Val/Val_Aligned_Faces/Fear/{shot(2)}")
    listing = list_source(SFEW, tmp_path)
    assert listing.layout == "aligned" and listing.notes == ()
    assert trees.addresses(listing) == [f"Val/Val_Aligned_Faces/Fear/{shot(2)}"]
    asked = list_source(SFEW, tmp_path, layout="frames")
    assert trees.counts(asked) == {"train": {"angry": 1}, "validation": {"angry": 1, "sad": 1}}
