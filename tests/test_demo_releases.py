"""The demo's raw releases: exact file forms, known counts, the same bytes every time, faces a detector finds."""

from __future__ import annotations

import csv
import hashlib
import re
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image

from ferbuild.builders import assets
from ferbuild.builders.detect import open_detector
from ferbuild.builders.errors import FerError
from ferbuild.builders.images import PictureError, decode
from ferbuild.builders.sources import list_source
from ferbuild.demo.expressions import EXPRESSIONS, PAIRS, UNITS
from ferbuild.demo.layouts import LANDMARKS
from ferbuild.demo.portraits import SIDE, eye_distance, load_all, make_face, warp
from ferbuild.demo.releases import ABOUT, EXPECTED, build
from ferbuild.demo.sheet import write_sheet
from ferbuild.manifests.load import load_source

pytestmark = pytest.mark.network

VOTE_LINE = re.compile(r'fer\d{7}\.png,"\(0, 0, 48, 48\)"(,\d+){10}')


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("demo") / "releases"
    assert build(out) == {name: out / name for name in ("rafdb", "ferplus", "affectnet", "sfew")}
    return out


@pytest.fixture(scope="module")
def portraits():
    return load_all()


def hashes(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def forms(paths) -> set[tuple[str, str, tuple[int, int]]]:
    found = set()
    for path in paths:
        with Image.open(path) as picture:
            found.add((str(picture.format), picture.mode, picture.size))
    return found


def test_the_same_seed_gives_the_same_bytes_whatever_lay_there(built, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    broken_off = tmp_path / "out.part"
    broken_off.mkdir()
    (broken_off / "RELEASE.yaml").write_bytes((built / "RELEASE.yaml").read_bytes())
    (broken_off / "half.jpg").write_bytes(b"half")
    build(out)
    assert hashes(out) == hashes(built)
    build(out, seed=1)
    other, first = hashes(out), hashes(built)
    same = [name for name, digest in other.items() if first.get(name) == digest]
    assert not [name for name in same if name.endswith(("_aligned.jpg", ".png"))]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_is_no_demo_is_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(FerError, match=r"mine: is there already and is no demo \(name another folder"):
        build(tmp_path / "mine")
    (tmp_path / "mine" / "RELEASE.yaml").write_text("about: my own release\n")
    with pytest.raises(FerError, match="is no demo"):
        build(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_every_release_says_what_it_is(built):
    for base in (".", "rafdb/basic", "ferplus", "affectnet/Manually_Annotated", "sfew"):
        said = yaml.safe_load((built / base / "RELEASE.yaml").read_text())
        assert said["synthetic"] is True and said["about"] == ABOUT
        assert said["licence"] == "public domain portraits (NASA; US Navy), warped"


def test_rafdb_has_its_form(built):
    basic = built / "rafdb/basic"
    data = (basic / "EmoLabel/list_patition_label.txt").read_bytes()
    assert data.count(b"\r\n") == data.count(b"\n") == 25 and data.endswith(b"\r\n")
    lines = data.decode().split("\r\n")[:-1]
    assert all(re.fullmatch(r"(train_\d{5}|test_\d{4})\.jpg [1-7]", line) for line in lines)
    assert lines[0] == "train_00001.jpg 1" and lines[-1] == "test_0007.jpg 7"
    assert Counter(line.split("_")[0] for line in lines) == {"train": 18, "test": 7}
    aligned = sorted((basic / "Image/aligned").iterdir())
    assert len(aligned) == 23
    assert forms(aligned) == {("JPEG", "RGB", (100, 100))}
    originals = sorted((basic / "Image/original").iterdir())
    assert len(originals) == 21
    assert all(min(size) >= 200 and (kind, mode) == ("JPEG", "RGB") for kind, mode, size in forms(originals))
    assert not (basic / "Annotation").exists()


def test_ferplus_has_its_form(built):
    root = built / "ferplus"
    rows = {}
    for folder, lines, pictures in (("Train", 13, 10), ("Valid", 3, 3), ("Test", 8, 8)):
        text = (root / f"data/FER2013{folder}/label.csv").read_bytes().decode()
        rows[folder] = text.splitlines()
        assert len(rows[folder]) == lines and "\r" not in text
        found = list((root / f"data/FER2013{folder}").glob("*.png"))
        assert len(found) == pictures and forms(found) == {("PNG", "L", (48, 48))}
    good = [line for lines in rows.values() for line in lines if VOTE_LINE.fullmatch(line)]
    assert len(good) == 22
    votes = [[int(vote) for vote in line.rsplit(",", 10)[1:]] for line in good]
    assert all(sum(row) == 10 for row in votes)
    assert [row[:8].count(max(row[:8])) for row in votes].count(2) == 1


def test_the_older_votes_are_in_the_order_of_the_pixels_and_differ(built):
    data = (built / "ferplus/fer2013new.csv").read_text()
    older = list(csv.DictReader(data.splitlines()))
    assert data.startswith(
        "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n"
    )
    assert Counter(row["Usage"] for row in older) == {"Training": 12, "PublicTest": 4, "PrivateTest": 9}
    assert [row["NF"] for row in older if row["Image name"] == ""] == ["10"] * 3
    label = (built / "ferplus/data/FER2013Test/label.csv").read_text().splitlines()
    newer = {line.split(",")[0]: line.rsplit(",", 10)[1:] for line in label}
    names = [row["Image name"] for row in older if list(row.values())[2:] != newer.get(row["Image name"])]
    assert set(names) & set(newer) == {"fer0000014.png"}


def test_affectnet_has_its_form(built):
    base = built / "affectnet/Manually_Annotated"
    header = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
    for file, lines in (("training", 16), ("validation", 8)):
        text = (base / f"Manually_Annotated_file_lists/{file}.csv").read_text()
        rows = list(csv.DictReader(text.splitlines()))
        assert text.split("\n")[0] == header and len(rows) == lines
        for row in rows[: 14 if file == "training" else 8]:
            assert re.fullmatch(r"\d{1,4}/[0-9a-f]{56}\.jpg", row["subDirectory_filePath"])
            assert 1 <= int(row["subDirectory_filePath"].split("/")[0]) <= 1347
            assert len([float(number) for number in row["facial_landmarks"].split(";")]) == 136
            assert -1 <= float(row["valence"]) <= 1 or row["expression"] in ("9", "10")


def test_affectnet_boxes_hold_the_landmarks_and_lie_in_the_picture(built):
    base = built / "affectnet/Manually_Annotated"
    share = []
    for row in csv.DictReader((base / "Manually_Annotated_file_lists/validation.csv").read_text().splitlines()):
        x, y, width, height = (int(row[f"face_{side}"]) for side in ("x", "y", "width", "height"))
        marks = np.array(row["facial_landmarks"].split(";"), float).reshape(68, 2)
        assert (marks >= (x, y)).all() and (marks <= (x + width, y + height)).all()
        with Image.open(base / "Manually_Annotated_Images" / row["subDirectory_filePath"]) as picture:
            assert x >= 0 and y >= 0 and x + width <= picture.width and y + height <= picture.height
            share.append(width * height / picture.width / picture.height)
    assert len(share) == 8 and max(share) < 0.7


def test_sfew_has_its_form(built):
    root = built / "sfew"
    pictures = sorted(root.rglob("*.png"))
    assert len(pictures) == 16
    for path in pictures:
        split, aligned, folder, name = path.relative_to(root).parts
        assert (split, aligned) in {("Train", "Train_Aligned_Faces"), ("Val", "Val_Aligned_Faces")}
        assert folder in {"Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise"}
        assert re.fullmatch(r"[A-Za-z]+_\d{9}_\d{8}\.png", name)
    assert forms(pictures) == {("PNG", "RGB", (143, 181))}
    assert len(list(root.rglob("Thumbs.db"))) == 2


@pytest.mark.parametrize("name", EXPECTED)
def test_the_reader_lists_what_is_expected(built, name):
    listing = list_source(load_source(name), built / name)
    assert set(listing.rows["synthetic"].to_pylist()) == {True}
    assert set(listing.rows["licence"].to_pylist()) == {"public domain portraits (NASA; US Navy), warped"}
    kept = Counter(listing.rows["split"].to_pylist())
    dropped = Counter(zip(listing.drops["split"].to_pylist(), listing.drops["reason"].to_pylist(), strict=True))
    assert kept == {split: fate.listed for split, fate in EXPECTED[name].items()}
    expected = {split: fate.listing_drops for split, fate in EXPECTED[name].items()}
    assert dropped == {(split, why): count for split, whys in expected.items() for why, count in whys.items()}


@pytest.mark.parametrize("name", EXPECTED)
def test_faces_are_found_and_bad_pictures_fail_as_expected(built, name):
    listing = list_source(load_source(name), built / name)
    detector = open_detector(assets.fetch("centerface"))
    for split, fate in EXPECTED[name].items():
        faults, faceless = Counter[str](), 0
        for row in listing.rows.to_pylist():
            if row["split"] != split:
                continue
            try:
                if row["size"] is None:
                    raise PictureError("missing picture")
                pixels = decode((listing.base / row["rel_path"]).read_bytes(), max_pixels=10**7)
            except PictureError as err:
                faults[err.reason] += 1
            else:
                faceless += not detector.find(pixels)
        assert faults == fate.faces_drops
        assert faceless == fate.faceless


def test_every_label_is_there_in_every_split_it_can_be_in(built):
    for name, labels in (("rafdb", 7), ("ferplus", 8), ("affectnet", 8), ("sfew", 7)):
        source = load_source(name)
        rows = list_source(source, built / name).rows.to_pylist()
        for split in ("train", source.benchmark.split):
            assert len({row["label"] for row in rows if row["split"] == split}) == labels
    assert sum(fate.kept for fates in EXPECTED.values() for fate in fates.values()) == 74


def test_units_move_only_points_that_a_warp_holds():
    known = {*PAIRS, 10, 9, 168, 6, 4, 2, 0, 13, 14, 17, 200, 152}
    assert {point for unit in UNITS.values() for point in unit} <= known
    used = {name.removesuffix(", left") for weights in EXPRESSIONS.values() for name in weights}
    assert used <= UNITS.keys()
    assert len(LANDMARKS) == len(set(LANDMARKS)) == 68


def test_a_warp_is_local_and_leaves_the_rim(portraits):
    for portrait in portraits:
        for label in EXPRESSIONS:
            face = make_face(portrait, label, 1.1, np.random.default_rng(5))
            change = np.abs(face.rgb.astype(int) - portrait.rgb).max(-1)
            rim = np.concatenate([change[0], change[-1], change[:, 0], change[:, -1]])
            assert rim.mean() < 1 and np.percentile(rim, 99) <= 20
            assert change.max() > 30


def test_a_warp_without_weights_is_the_portrait(portraits):
    for portrait in portraits:
        face = warp(portrait, {}, closed=False)
        apart = np.abs(face.rgb.astype(int) - portrait.rgb)
        assert apart.mean() < 1
        assert np.abs(face.points - portrait.points).max() < 1.5


@pytest.mark.parametrize(("label", "mouth", "brow"), [("happiness", -1, 0), ("sadness", 1, 0), ("surprise", 0, -1)])
def test_expressions_go_the_way_they_are_named(portraits, label, mouth, brow):
    for portrait in portraits:
        plain, face = (make_face(portrait, one, 1, np.random.default_rng(2)) for one in ("neutral", label))
        corners, brows = (
            (face.points - plain.points)[list(points), 1].mean() / eye_distance(portrait.points)
            for points in ((61, 291), (55, 285))
        )
        assert mouth * corners > 0.04 or mouth == 0
        assert brow * brows > 0.04 or brow == 0


def test_no_face_is_torn(portraits):
    """Neighbouring mesh points keep their order: no fold turns skin over, seen as a flow that stays single-valued."""
    for portrait in portraits:
        for label in EXPRESSIONS:
            face = make_face(portrait, label, 1.1, np.random.default_rng(9))
            rim = np.array(
                [10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152]
            )
            before, after = (np.diff(points[rim, 1]) for points in (portrait.points, face.points))
            assert (np.sign(before[np.abs(before) > 3]) == np.sign(after[np.abs(before) > 3])).all()
            assert face.points.min() > 0 and face.points.max() < SIDE


def test_a_sheet_holds_every_picture(tmp_path):
    tiles = [(f"tile {at}", np.full((30, 20, 3), at, np.uint8)) for at in range(9)]
    write_sheet(tiles, tmp_path / "sheet.png", columns=4)
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet.shape == (3 * 164, 600, 3)
    assert sheet[75, 75].tolist() == [0, 0, 0] and sheet[2 * 164 + 75, 75].tolist() == [8, 8, 8]
