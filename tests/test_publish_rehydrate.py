"""An edition gets its pictures back: the same bytes for every kind of row, and each thing that can lack is named."""

from __future__ import annotations

import csv
import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from conftest import fer_build
from edition_world import detection, made, put, world
from hypothesis import given, settings
from hypothesis import strategies as st
from test_publish import make, project
from twins import jpeg, photo, png

from ferbuild.builders import record, shards
from ferbuild.builders.errors import FerError
from ferbuild.builders.exact import IMAGES, exact
from ferbuild.builders.files import file_sha256
from ferbuild.builders.mark import read_mark
from ferbuild.builders.publishing import rehydrate, remake
from ferbuild.manifests.recipe import Picture
from ferbuild.training.data_checks import check_images

POLICY = Picture()
FIXED = ("dataset_dict.json", "*/data-*.arrow", "*/state.json", "*/dataset_info.json")


def dataset_files(folder: Path) -> dict[str, bytes]:
    """Return what makes a folder a dataset, its drops and texts apart, by name."""
    found = sorted(path for pattern in FIXED for path in folder.glob(pattern) if path.parent.name != "drops")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


FORMS = [
    Picture(crop_format=form, side=side, margin=margin, enlarge_to=enlarge, align=align)
    for form, side, margin, enlarge, align in itertools.product(
        ("jpeg", "png"), (64, 224), (0.0, 0.3), (0, 150), ("none", "similarity")
    )
]


@pytest.mark.parametrize("times", [1, 4])
@pytest.mark.parametrize("cut", ["as it is", "box", "points"])
def test_a_face_is_made_again_without_a_detector(cut, times):
    how = {"as it is": {}, "box": {"box": (-3.0, 4.4, 77.5, 500.0)}, "points": {"face": detection(times)}}[cut]
    for policy in FORMS:
        for data in (jpeg(photo(1, 100 * times)), png(photo(2, 100 * times))):
            face, image = made("a.jpg", data, policy, **how)
            assert remake.image_of(face, data, policy) == image


def test_a_cut_file_that_was_kept_is_made_again():
    policy = Picture(truncated="keep")
    data = jpeg(photo(1))[:-900]
    face, image = made("a.jpg", data, policy)
    assert face["crop"] == [0, 0, 100, 100] and image["bytes"] != data
    assert remake.image_of(face, data, policy) == image


def test_other_pixels_are_told():
    data = jpeg(photo(1))
    face, _ = made("a.jpg", data, POLICY, box=(1, 2, 50, 60))
    with pytest.raises(remake.PictureError, match="comes out otherwise"):
        remake.image_of(face | {"crop": [1, 2, 50, 61]}, data, POLICY)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("policy", [Picture(align="similarity", side=64), Picture(enlarge_to=150, crop_format="png")])
def test_every_kind_of_row_comes_back_byte_for_byte(tmp_path, policy, workers):
    found = world(tmp_path, 60, policy)
    local, bare = shards.split_files(found.local), shards.split_files(found.edition)
    assert min(map(len, local.values())) > 2 and list(map(len, local.values())) != list(map(len, bare.values()))
    done = rehydrate.rehydrate(found.settings(workers), found.edition)
    assert (done.faults, done.differing) == ([], [])
    assert dataset_files(done.out) == dataset_files(found.local)
    assert done.out == found.home / "work" / "rehydrated" / "rlvr"
    assert not list(done.out.parent.glob(".*"))


def test_pictures_elsewhere_are_found_by_their_hash(tmp_path):
    found = world(tmp_path, 30, POLICY)
    moved = {f"other/{at}.bin.png": data for at, data in enumerate(found.pictures.values())}
    shutil.rmtree(found.release)
    put(found.release, moved)
    done = rehydrate.rehydrate(found.settings(), found.edition)
    assert not done.faults and dataset_files(done.out) == dataset_files(found.local)


def test_what_is_missing_or_another_is_counted_and_listed_and_the_next_run_goes_on(tmp_path):
    found = world(tmp_path, 30, POLICY)
    gone, other = "Happy/1.png", "Happy/5.png"
    (found.release / gone).unlink()
    (found.release / other).write_bytes(jpeg(photo(99)))
    done = rehydrate.rehydrate(found.settings(), found.edition)
    lacking = {(fault.rel_path, fault.reason) for fault in done.faults}
    assert lacking == {(gone, "missing"), (other, "another file")}
    with (done.out / "missing.csv").open() as file:
        assert [row["rel_path"] for row in csv.DictReader(file)] == [fault.rel_path for fault in done.faults]
    mark = read_mark(done.out)
    assert mark is not None and not mark.complete
    table = shards.read_stream(shards.split_files(done.out)["train"][0])
    with pytest.raises(FerError, match="have no picture"):
        check_images("train", table)
    before = {path: path.stat().st_ino for path in done.out.rglob("*.arrow")}
    put(found.release, found.pictures)
    done = rehydrate.rehydrate(found.settings(), found.edition)
    assert not done.faults and dataset_files(done.out) == dataset_files(found.local)
    assert not (done.out / "missing.csv").exists()
    kept = [path for path, inode in before.items() if path.stat().st_ino == inode]
    assert 0 < len(kept) < len(before)
    mark = read_mark(done.out)
    assert mark is not None and mark.complete


def test_a_source_that_is_not_named_is_told(tmp_path):
    found = world(tmp_path, 8, POLICY)
    plain = found.settings()
    none = type(plain)(plain.work, plain.recipe, ())
    done = rehydrate.rehydrate(none, found.edition)
    assert set(done.reasons) == {"no such release"}
    assert "sfew is not among the sources of fer-build.yaml" in done.faults[0].detail


@pytest.mark.parametrize("damage", ["missing", "cut", "another", "no split"])
def test_a_damaged_edition_is_refused_before_anything_is_written(tmp_path, damage):
    found = world(tmp_path, 8, POLICY)
    path = shards.split_files(found.edition)["train"][0]
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-200])
    elif damage == "another":
        path.write_bytes(path.read_bytes().replace(b"Which?", b"Whose?"))
    else:
        (found.edition / "dataset_dict.json").write_text('{"splits": ["train"]}')
    with pytest.raises(FerError, match=r"dataset_dict\.json" if damage == "no split" else path.name):
        rehydrate.rehydrate(found.settings(), found.edition)
    assert not (found.home / "work").exists()


def test_rows_that_would_read_outside_the_release_find_nothing(tmp_path):
    found = world(tmp_path, 8, POLICY)
    secret = found.home / "secret.png"
    secret.write_bytes(png(photo(1)))
    face, _ = made("../secret.png", secret.read_bytes(), POLICY)
    with pytest.raises(remake.PictureError, match="missing"):
        rehydrate.locate.file_of(face, rehydrate.Places({"sfew": [found.release]}))


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    found = world(tmp_path, 30, POLICY)
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from edition_world import World\n"
        "from ferbuild.builders.publishing import rehydrate\n"
        "found = World(Path(sys.argv[1]), {}, [])\n"
        "tick = lambda stage, done, every: os._exit(9) if done == 2 else None\n"
        "rehydrate.rehydrate(found.settings(), found.edition, None, tick)\n"
    )
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    assert subprocess.run([sys.executable, "-c", script, str(found.home)], env=env).returncode == 9
    out = found.home / "work" / "rehydrated" / "rlvr"
    assert not out.exists()
    left = {path: path.stat().st_mtime_ns for path in out.with_name(".rlvr.new").rglob("*.arrow")}
    assert len(left) == 2
    done = rehydrate.rehydrate(found.settings(), found.edition)
    assert dataset_files(done.out) == dataset_files(found.local)
    times = {path.stat().st_mtime_ns for path in done.out.rglob("*.arrow")}
    assert set(left.values()) <= times


def test_a_full_disk_is_told_and_leaves_no_dataset(tmp_path):
    found = world(tmp_path, 30, POLICY)
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from edition_world import World\n"
        "from ferbuild.builders.errors import FerError\n"
        "from ferbuild.builders.publishing import rehydrate\n"
        "found = World(Path(sys.argv[1]), {}, [])\n"
        "try:\n"
        "    rehydrate.rehydrate(found.settings(), found.edition)\n"
        "except FerError as err:\n"
        "    print(err)\n"
    )
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    command = ["bash", "-c", 'ulimit -f 8; exec "$@"', "_", sys.executable, "-c", script, str(found.home)]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert "cannot be written" in done.stdout and "File too large" in done.stdout
    assert not (found.home / "work" / "rehydrated" / "rlvr").exists()


@pytest.mark.parametrize(("dataset", "flags"), [("rlvr", {}), ("cot", {"baseline": True}), ("ferbench", {})])
def test_the_demos_datasets_come_back_byte_for_byte(demo, tmp_path, dataset, flags):
    home = project(demo, tmp_path)
    out, _ = make(home, dataset, **flags)
    ran = fer_build("rehydrate", out, "--json", cwd=home)
    assert ran.code == 0, ran.err
    assert ran.json["equal"] and ran.json["filled"] == sum(ran.json["rows"].values())
    filled = dataset_files(home / "fer-data/rehydrated" / dataset)
    assert filled == dataset_files(home / "fer-data" / dataset)
    kept = read_mark(home / "fer-data/rehydrated" / dataset)
    local = read_mark(home / "fer-data" / dataset)
    assert kept is not None and local is not None and kept.key == local.key
    (home / "releases/rafdb").rename(home / "elsewhere")
    (home / "releases/rafdb").mkdir()
    rest = {file_sha256(path) for path in (home / "releases").rglob("*") if path.is_file()}  # the demo copies pictures
    ran = fer_build("rehydrate", out, "--out", home / "two", "--json", cwd=home)
    assert ran.code == 1 and not ran.json["equal"]
    gone = [face for face in _faces(out) if face["source"] == "rafdb" and face["sha256"] not in rest]
    assert gone and ran.json["lacking"] == {"missing": len(gone)}


def _faces(folder: Path) -> list[dict]:
    files = [path for paths in shards.split_files(folder).values() for path in paths]
    return [face for path in files for faces in shards.read_stream(path)["faces"].to_pylist() for face in faces]


def test_what_is_no_edition_is_told(run, tmp_path):
    (tmp_path / "fer-build.yaml").write_text("sources: {}\n")
    ran = run("rehydrate", "nothing here", "--json")
    assert ran.code == 2 and ran.json["error"]["problem"] == "is no folder, and no name of a repository"
    (tmp_path / "empty").mkdir()
    ran = run("rehydrate", "empty", "--json")
    assert ran.code == 2 and "is no edition: edition.json" in ran.json["error"]["problem"]
    assert json.loads(ran.out)["error"]["hint"].startswith("`fer-build publish DATASET` builds one")


PICTURES = st.none() | st.lists(
    st.fixed_dictionaries({"bytes": st.binary(max_size=200), "path": st.text("abc", max_size=5)}), max_size=2
)


@settings(max_examples=60, deadline=None)
@given(st.lists(PICTURES, max_size=40), st.integers(0, 10), st.integers(0, 10), st.integers(1, 20))
def test_equal_pictures_are_equal_files_wherever_they_were_cut_from(tmp_path_factory, column, start, end, rows):
    """Arrow writes what follows a slice in memory, up to 64 bytes of it: no such byte may get into a shard."""
    schema = pa.schema([("id", pa.string()), ("images", IMAGES)])
    rest = column[start : len(column) - end]
    whole = pa.table({"id": pa.array([str(at) for at in range(len(column))], pa.string()),
                      "images": pa.array(column, IMAGES)}, schema=schema)  # fmt: skip
    cut = whole.slice(start, len(rest))
    fresh = pa.Table.from_pylist(cut.to_pylist(), schema=schema)
    assert exact(cut, rows).equals(cut)
    home = tmp_path_factory.mktemp("exact")
    for name, table in (("cut", cut), ("fresh", fresh)):
        shards.write_stream(home / name, [table.select(["images"])], pa.schema([schema.field("images")]))
    assert (home / "cut").read_bytes() == (home / "fresh").read_bytes()


def test_no_byte_of_a_picture_is_copied():
    data = np.arange(100_000, dtype=np.uint32).tobytes()
    table = pa.table({"images": pa.array([[{"bytes": data, "path": "a"}]] * 20, IMAGES)})
    before = pa.total_allocated_bytes()
    slim = exact(table.slice(3, 9), 4)
    assert pa.total_allocated_bytes() - before < len(data)
    assert slim.equals(table.slice(3, 9)) and IMAGES.value_type == record.IMAGE
