"""The demo's raw releases: exact file forms, known counts, copies and units, the same bytes every time."""

from __future__ import annotations

import csv
import hashlib
import re
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from PIL import Image

from ferbuild.builders import assets, shards
from ferbuild.builders.detect import open_detector
from ferbuild.builders.errors import FerError
from ferbuild.builders.images import PictureError, decode
from ferbuild.builders.record import CANONICAL, VOTE_WORDS
from ferbuild.builders.render.scene import Crop, View
from ferbuild.builders.sheets import write_sheet
from ferbuild.builders.sources import list_source
from ferbuild.demo import releases
from ferbuild.demo.copies import CHANGES, COPIES, MIRRORED, SHARED
from ferbuild.demo.layouts import SEVEN, shots
from ferbuild.demo.portraits import Photo, cut, photograph
from ferbuild.demo.releases import ABOUT, EXPECTED, RELEASE, build
from ferbuild.demo.shots import Shot, Taken, put_picture, random, take
from ferbuild.demo.truth import read_truth
from ferbuild.filters.units import PRESENT_FROM
from ferbuild.manifests.load import load_source

pytestmark = pytest.mark.network

VOTE_LINE = re.compile(r'fer\d{7}\.png,"\(0, 0, 48, 48\)"(,\d+){10}')
PICTURES = (".jpg", ".png")


@pytest.fixture(scope="module")
def built(demo) -> Path:
    return demo.home / "releases"


@pytest.fixture(scope="module")
def truth(built) -> dict[str, dict[str, Any]]:
    return {row["path"]: row for row in read_truth(built).values()}


def blank(shot: Shot, *, out: Path, seed: int) -> Taken:
    """Take no face but a few blots, for what does not depend on the faces."""
    width, height = shot.form.width or 300, shot.form.height or 280
    rng = random(seed, shot.path)
    blots = cv2.resize(rng.integers(0, 256, (6, 6, 3), np.uint8), (width, height))
    for path in filter(None, (shot.path, shot.original)):
        put_picture(out / path, blots, grey=shot.form.grey)
    return Taken(shot, rng.uniform(0.4, 1), [], None, rng.uniform(40, 200, (68, 2)), width, height)


@pytest.fixture
def no_faces(monkeypatch) -> None:
    monkeypatch.setattr(releases, "take", blank)


def hashes(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def forms(paths) -> set[tuple[str, str, tuple[int, int]]]:
    found = set()
    for path in paths:
        with Image.open(path) as picture:
            found.add((str(picture.format), picture.mode, picture.size))
    return found


def test_a_picture_taken_again_has_the_same_bytes(built, tmp_path):
    """In this process what two workers made, here and there in all releases."""
    asked = shots()
    for shot in [*asked[:5], *asked[120::60], *(one for one in asked if "/decoy/" in one.key)]:
        take(shot, out=tmp_path, seed=0)
    again = hashes(tmp_path)
    assert len(again) == 20
    assert again.items() <= hashes(built).items()
    take(asked[0], out=tmp_path, seed=1)
    assert (tmp_path / asked[0].path).read_bytes() != (built / asked[0].path).read_bytes()


def test_the_same_seed_gives_the_same_bytes_whatever_lay_there(no_faces, tmp_path):
    broken_off = tmp_path / "b.part"
    broken_off.mkdir()
    (broken_off / "RELEASE.yaml").write_text(yaml.safe_dump(RELEASE))
    (broken_off / "half.jpg").write_bytes(b"half")
    ticks = []
    build(tmp_path / "b", tick=lambda done, total: ticks.append((done, total)))
    assert all(root.is_dir() for root in releases.roots(tmp_path / "b").values())
    assert ticks == [(done, len(shots())) for done in range(1, len(shots()) + 1)]
    build(tmp_path / "a")
    first = hashes(tmp_path / "a")
    assert hashes(tmp_path / "b") == first
    build(tmp_path / "b", seed=1)
    same = [name for name, digest in hashes(tmp_path / "b").items() if first.get(name) == digest]
    assert not [name for name in same if name.endswith(PICTURES) and name not in halves_and_pages(tmp_path / "b")]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def halves_and_pages(root: Path) -> set[str]:
    """Return the picture files that are no pictures."""
    return {str(path.relative_to(root)) for path in root.rglob("*.jpg") if path.read_bytes()[:2] != b"\xff\xd8"}


def test_what_is_there_is_not_made_again(no_faces, monkeypatch, tmp_path):
    out = tmp_path / "out"
    build(out)
    first, [lost, changed] = hashes(out), sorted(out.rglob("*.png"))[:2]
    monkeypatch.setattr(releases, "take", lambda shot, out, seed: pytest.fail("taken again"))
    build(out)
    monkeypatch.setattr(releases, "take", blank)
    lost.unlink()
    build(out)
    assert hashes(out) == first
    changed.write_bytes(changed.read_bytes()[::-1])
    build(out)
    assert hashes(out) == first
    (out / "made.json").write_text('{"demo": 1}')
    build(out)
    assert hashes(out) == first
    monkeypatch.setattr(releases.render, "VERSION", -1)
    build(out)
    assert [name for name, digest in hashes(out).items() if first.get(name) != digest] == ["made.json"]


def test_a_folder_that_is_no_demo_is_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(FerError, match=r"mine: is there already and is no demo \(name another folder"):
        build(tmp_path / "mine")
    (tmp_path / "mine" / "RELEASE.yaml").write_text("about: my own release\n")
    with pytest.raises(FerError, match="is no demo"):
        build(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_the_demo_of_an_older_version_is_replaced(no_faces, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "RELEASE.yaml").write_text("about: 'fer-build demo: two portraits'\n")
    build(tmp_path / "out")
    assert yaml.safe_load((tmp_path / "out" / "RELEASE.yaml").read_text())["about"] == ABOUT


def test_every_release_says_what_it_is(built):
    for base in (".", "rafdb/basic", "ferplus", "affectnet/Manually_Annotated", "sfew"):
        said = yaml.safe_load((built / base / "RELEASE.yaml").read_text())
        assert said["synthetic"] is True and said["about"] == ABOUT and "rendered" in ABOUT
        assert said["licence"] == "CC0-1.0 (rendered); public domain (portraits: NASA, US Navy)"


def test_rafdb_has_its_form(built):
    basic = built / "rafdb/basic"
    data = (basic / "EmoLabel/list_patition_label.txt").read_bytes()
    assert data.count(b"\r\n") == data.count(b"\n") == 139 and data.endswith(b"\r\n")
    lines = data.decode().split("\r\n")[:-1]
    assert all(re.fullmatch(r"(train_\d{5}|test_\d{4})\.jpg [1-7]", line) for line in lines)
    assert lines[0] == "train_00001.jpg 1" and lines[-1] == "test_0035.jpg 7"
    assert Counter(line.split("_")[0] for line in lines) == {"train": 104, "test": 35}
    aligned = sorted((basic / "Image/aligned").iterdir())
    assert len(aligned) == 137
    assert forms(aligned) == {("JPEG", "RGB", (100, 100))}
    originals = sorted((basic / "Image/original").iterdir())
    assert len(originals) == 133
    assert all(min(size) >= 200 and (kind, mode) == ("JPEG", "RGB") for kind, mode, size in forms(originals))
    assert not (basic / "Annotation").exists()


def test_ferplus_has_its_form(built):
    root = built / "ferplus"
    rows = {}
    for folder, lines, pictures in (("Train", 73, 70), ("Valid", 8, 8), ("Test", 24, 24)):
        text = (root / f"data/FER2013{folder}/label.csv").read_bytes().decode()
        rows[folder] = text.splitlines()
        assert len(rows[folder]) == lines and "\r" not in text
        found = list((root / f"data/FER2013{folder}").glob("*.png"))
        assert len(found) == pictures and forms(found) == {("PNG", "L", (48, 48))}
    good = [line for lines in rows.values() for line in lines if VOTE_LINE.fullmatch(line)]
    assert len(good) == 103
    votes = [[int(vote) for vote in line.rsplit(",", 10)[1:]] for line in good]
    assert all(sum(row) == 10 for row in votes)
    assert [row[:8].count(max(row[:8])) for row in votes].count(2) == 1


def test_the_weaker_a_face_the_less_its_annotators_agree(built, truth):
    agreed = []
    for line in (built / "ferplus/data/FER2013Train/label.csv").read_text().splitlines():
        row = truth.get(f"ferplus/data/FER2013Train/{line.split(',')[0]}")
        if row and row["units"] and row["label"] not in ("neutral", "contempt") and "0000120" not in line:
            votes = [int(vote) for vote in line.rsplit(",", 10)[1:]]
            assert max(votes[:8]) == votes[VOTE_WORDS.index(row["label"])] >= 5
            agreed.append((max(shown["intensity"] for shown in row["units"]), max(votes[:8])))
    weak, strong = ([most for level, most in agreed if low <= level < high] for low, high in ((0, 0.65), (0.85, 2)))
    assert min(len(weak), len(strong)) >= 8
    assert np.mean(weak) < np.mean(strong) - 1


def test_the_older_votes_are_in_the_order_of_the_pixels_and_differ(built):
    data = (built / "ferplus/fer2013new.csv").read_text()
    older = list(csv.DictReader(data.splitlines()))
    assert data.startswith(
        "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF\n"
    )
    assert Counter(row["Usage"] for row in older) == {"Training": 72, "PublicTest": 9, "PrivateTest": 25}
    assert [row["NF"] for row in older if row["Image name"] == ""] == ["10"] * 3
    label = (built / "ferplus/data/FER2013Test/label.csv").read_text().splitlines()
    newer = {line.split(",")[0]: line.rsplit(",", 10)[1:] for line in label}
    names = {row["Image name"] for row in older if list(row.values())[2:] != newer.get(row["Image name"])}
    assert names & set(newer) == {f"fer00000{number}.png" for number in (74, 79, 84, 89, 94)}


def test_affectnet_has_its_form(built):
    base = built / "affectnet/Manually_Annotated"
    header = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
    for file, lines in (("training", 75), ("validation", 24)):
        text = (base / f"Manually_Annotated_file_lists/{file}.csv").read_text()
        rows = list(csv.DictReader(text.splitlines()))
        assert text.split("\n")[0] == header and len(rows) == lines
        for row in rows[:-1] if file == "training" else rows:
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
            assert 240 <= min(picture.size) <= max(picture.size) <= 420
            share.append(width * height / picture.width / picture.height)
    assert len(share) == 24 and 0.05 < min(share) < max(share) < 0.6


def test_sfew_has_its_form(built):
    root = built / "sfew"
    pictures = sorted(root.rglob("*.png"))
    assert len(pictures) == 53
    for path in pictures:
        split, aligned, folder, name = path.relative_to(root).parts
        assert (split, aligned) in {("Train", "Train_Aligned_Faces"), ("Val", "Val_Aligned_Faces")}
        assert folder in {"Angry", "Disgust", "Fear", "Happy", "Neutral", "Sad", "Surprise"}
        assert re.fullmatch(r"[A-Za-z]+_\d{9}_\d{8}\.png", name)
    assert forms(pictures) == {("PNG", "RGB", (143, 181))}
    assert len(list(root.rglob("Thumbs.db"))) == 2


def expect(name: str, home: Path) -> None:
    """Assert that the reader lists what EXPECTED says, and that bad pictures fail as it says."""
    listing = list_source(load_source(name), home / name)
    assert set(listing.rows["synthetic"].to_pylist()) == {True}
    assert set(listing.rows["licence"].to_pylist()) == {RELEASE["licence"]}
    kept = Counter(listing.rows["split"].to_pylist())
    dropped = Counter(zip(listing.drops["split"].to_pylist(), listing.drops["reason"].to_pylist(), strict=True))
    assert kept == {split: fate.listed for split, fate in EXPECTED[name].items()}
    expected = {split: fate.listing_drops for split, fate in EXPECTED[name].items()}
    assert dropped == {(split, why): count for split, whys in expected.items() for why, count in whys.items()}
    faults = {split: Counter[str]() for split in EXPECTED[name]}
    for row in listing.rows.to_pylist():
        try:
            if row["size"] is None:
                raise PictureError("missing picture")
            decode((listing.base / row["rel_path"]).read_bytes(), max_pixels=10**7)
        except PictureError as err:
            faults[row["split"]][err.reason] += 1
    assert faults == {split: fate.faces_drops for split, fate in EXPECTED[name].items()}


@pytest.mark.parametrize("name", EXPECTED)
def test_the_reader_lists_what_is_expected(built, name):
    expect(name, built)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_expected_holds_for_other_seeds(no_faces, tmp_path, seed):
    build(tmp_path / "out", seed=seed)
    for name in EXPECTED:
        expect(name, tmp_path / "out")


def test_the_faces_stage_drops_what_is_expected(demo):
    found = {name: {split: Counter[str]() for split in fates} for name, fates in EXPECTED.items()}
    for table in shards.read_drops(demo.work / "faces"):
        for row in table.to_pylist():
            found[row["source"]][row["split"]][row["reason"]] += 1
    for name, fates in EXPECTED.items():
        assert found[name] == {
            split: fate.listing_drops | fate.faces_drops | fate.twin_drops for split, fate in fates.items()
        }
    assert demo.stage("faces")["kept"] == sum(fate.kept for fates in EXPECTED.values() for fate in fates.values())


def test_it_is_as_large_as_it_says_and_has_every_label_in_every_split():
    asked = [shot for shot in shots() if "/decoy/" not in shot.key]
    assert len(asked) == 366
    splits = {key: [shot.label for shot in asked if shot.key.rsplit("/", 1)[0] == key] for key in
              {shot.key.rsplit("/", 1)[0] for shot in asked}}  # fmt: skip
    assert {key: len(labels) for key, labels in splits.items()} == {
        "rafdb/train": 98, "rafdb/test": 35, "ferplus/FER2013Train": 64, "ferplus/FER2013Valid": 8,
        "ferplus/FER2013Test": 24, "affectnet/train": 64, "affectnet/validation": 24, "sfew/Train": 35, "sfew/Val": 14,
    }  # fmt: skip
    for key, labels in splits.items():
        known = SEVEN if key.startswith(("rafdb", "sfew")) else CANONICAL
        assert Counter(labels) == dict.fromkeys(known, len(labels) // len(known))


def test_faces_are_found_and_cloth_is_none(demo, built, truth):
    """Training faces by the measure stage, benchmark faces here."""
    faces = {row["id"]: row for row in kept(demo, "faces", "train", ["id", "source", "rel_path"])}
    known = read_truth(built)
    found, cloth = list[bool](), Counter[str]()
    for row in kept(demo, "measures", "train", ["id", "faces_found"]):
        face = faces[row["id"]]
        if (face["source"], face["rel_path"]) in known:
            found.append(row["faces_found"] > 0)
        else:
            assert not row["faces_found"]
            cloth[face["source"]] += 1
    assert cloth == {name: fates["train"].faceless for name, fates in EXPECTED.items() if fates["train"].faceless}
    detector = open_detector(assets.fetch("centerface"))
    tests = [shot for shot in shots() if shot.key.split("/")[1] in ("test", "validation", "FER2013Test", "Val")]
    found += [bool(detector.find(decode((built / shot.path).read_bytes(), max_pixels=10**7))) for shot in tests]
    assert len(found) == 358 and np.mean(found) >= 0.98


def kept(demo, stage: str, split: str, columns: list[str]) -> list[dict[str, Any]]:
    pieces = (piece for piece in shards.slices(demo.work / stage, 1000) if piece.split == split)
    return [row for piece in pieces for row in piece.read().select(columns).to_pylist()]


def test_the_truth_is_told_of_every_face(built, truth):
    pictures = {str(path.relative_to(built)) for path in built.rglob("*") if path.suffix in PICTURES}
    pictures -= {shot.original for shot in shots()}
    assert set(truth) <= pictures
    assert len(truth) == len(shots()) + len(COPIES)
    assert len(pictures - set(truth)) == 7  # two halves, a page instead of a picture, four times cloth
    for shot in shots():
        row = truth[shot.path]
        assert row["label"] == shot.label
        assert (row["units"] is None) == (row["pose"] is None) == bool(shot.portrait)
        for shown in row["units"] or []:
            assert shown["side"] in ("left", "right", "both") and 0 < shown["intensity"] <= 1
            assert re.fullmatch(r"AU\d{1,2}", shown["unit"])


def test_a_strong_label_shows_its_units(truth):
    """What no form of the label's prototype is without."""
    core = {"happiness": {"AU12"}, "sadness": {"AU4", "AU15"}, "surprise": {"AU1", "AU2"}, "fear": {"AU1", "AU4"},
            "disgust": {"AU9"}, "anger": {"AU4", "AU7"}, "contempt": {"AU12", "AU14"}, "neutral": set()}  # fmt: skip
    for row in truth.values():
        relabelled = row["copy"] and row["copy"]["how"] == "relabelled"
        if row["units"] is not None and not row["path"].startswith("ferplus") and not relabelled:
            present = {shown["unit"] for shown in row["units"] if shown["intensity"] >= PRESENT_FROM}
            assert core[row["label"]] <= present, row
            assert row["label"] != "neutral" or present <= {"AU25"}, row


def test_copies_are_copies(built, truth):
    places = {shot.path: shot for shot in shots()}
    assert len({copy.path for copy in COPIES} | set(places)) == len(COPIES) + len(places)
    for copy in COPIES:
        one, other = ((built / path).read_bytes() for path in (copy.of, copy.path))
        assert (one == other) == (copy.how == "byte for byte")
        pixels = [decode(data, max_pixels=10**7) for data in (one, other)]
        assert np.array_equal(*pixels) == (copy.how in ("byte for byte", "repacked"))
        a, b = (shrunk(data, mirror) for data, mirror in ((one, CHANGES[copy.how].mirror), (other, False)))
        assert np.corrcoef(a, b)[0, 1] > (0.9 if copy.how == "cropped" else 0.97), copy
        assert (truth[copy.path]["label"] == truth[copy.of]["label"]) == (copy.how != "relabelled")
        assert truth[copy.path]["copy"] == {"how": copy.how, "of": copy.of}
    benchmarks = {"rafdb/test": "rafdb", "ferplus/FER2013Test": "ferplus"}
    assert [copy.set for copy in COPIES] == [
        benchmarks.get(places[copy.of].key.rsplit("/", 1)[0], "") for copy in COPIES
    ]
    assert {places[copy.of].portrait for copy in SHARED} == {places[copy.path].portrait for copy in SHARED} == {
        "astronaut", "grace_hopper"}  # fmt: skip


def shrunk(data: bytes, mirror: bool) -> np.ndarray:
    grey = cv2.cvtColor(decode(data, max_pixels=10**7), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA)
    return small[:, :: -1 if mirror else 1].ravel()


def test_of_every_copy_and_its_original_one_goes_for_the_right_reason(demo):
    """And names the other one; nothing else is taken for a copy."""
    rows = {row["id"]: row for split in ("train", "test") for row in kept(demo, "faces", split, ["id", "rel_path"])}
    drops = [row for table in shards.read_drops(demo.work / "faces") for row in table.to_pylist()]
    twins = {reason for fates in EXPECTED.values() for fate in fates.values() for reason in fate.twin_drops}
    gone = [
        (row["reason"], row["rel_path"], rows[row["detail"]]["rel_path"]) for row in drops if row["reason"] in twins
    ]
    expected = [
        (what.reason, *((what.of, what.path) if what.stays else (what.path, what.of)))
        for what in (*COPIES, *SHARED)
        if what.reason
    ]
    assert len(gone) == len(expected) == 12
    for reason, lost, other in expected:
        assert [one[0] for one in gone if lost.endswith(one[1]) and other.endswith(one[2])] == [reason]
    for row in kept(demo, "faces", "train", ["id", "group_id"]):
        assert row["group_id"] == row["id"], "all but one of a group are dropped"


def test_an_aligned_cut_has_its_eyes_level_and_in_their_place():
    rng = np.random.default_rng(3)
    photo = Photo(rng.integers(0, 256, (200, 240, 3), np.uint8), photograph("astronaut").marks * 0.5)
    turn = cv2.getRotationMatrix2D((110.0, 60.0), 25.0, 1.0)
    turned = Photo(photo.rgb, photo.marks @ turn[:, :2].T + turn[:, 2])
    seen = cut(turned, Crop(0.32, 0.38), 100, 100)
    right, left = seen.marks[36:42].mean(0), seen.marks[42:48].mean(0)
    assert np.allclose(left - right, (32, 0)) and np.allclose((left + right) / 2, (50, 38))
    assert seen.rgb.shape == (100, 100, 3)


def test_a_view_stays_inside_the_portrait():
    whole = photograph("grace_hopper")
    seen = cut(whole, View(0.2, 0.1, 0.9), 300, 300)
    scale = 300 * 0.2 / np.hypot(*(whole.marks[42:48].mean(0) - whole.marks[36:42].mean(0)))
    corner = whole.marks[0] - seen.marks[0] / scale
    assert (corner >= -1e-6).all() and (corner + 300 / scale <= np.array(whole.rgb.shape[1::-1]) + 1e-6).all()


def test_a_mirror_image_has_its_sides_swapped(truth):
    for copy in (copy for copy in COPIES if CHANGES[copy.how].mirror):
        swap = {"left": "right", "right": "left", "both": "both"}
        one, other = truth[copy.of], truth[copy.path]
        sides = [{(shown["unit"], shown["side"]): shown["intensity"] for shown in row["units"]} for row in (one, other)]
        assert sides[1] == {(unit, swap[side]): value for (unit, side), value in sides[0].items()}
        assert [other["pose"][name] for name in ("yaw", "pitch", "roll")] == [
            -one["pose"]["yaw"], one["pose"]["pitch"], -one["pose"]["roll"]]  # fmt: skip
    assert (MIRRORED[MIRRORED] == np.arange(68)).all()
    assert MIRRORED[36] == 45 and MIRRORED[48] == 54 and MIRRORED[8] == 8


def test_a_sheet_holds_every_picture(tmp_path):
    tiles = [(f"tile {at}", np.full((30, 20, 3), at, np.uint8)) for at in range(9)]
    write_sheet(tiles, tmp_path / "sheet.png", columns=4)
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet.shape == (3 * 134, 480, 3)
    assert sheet[60, 60].tolist() == [0, 0, 0] and sheet[2 * 134 + 60, 60].tolist() == [8, 8, 8]
