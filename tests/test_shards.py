"""Shard files: one folder for load_dataset and load_from_disk, whole or not there, and never stale."""

from __future__ import annotations

import errno
import io
import os
import socket
import subprocess
import sys
from pathlib import Path

import datasets
import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ferbuild.builders import afloat, features, record, shards
from ferbuild.builders.errors import FerError
from ferbuild.builders.exact import exact
from ferbuild.builders.features import with_features

LEGACY = Path(__file__).parent.parent / ".venv-datasets3" / "bin" / "python"


def png(side: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), (side, 10, 20)).save(file, "PNG")
    return file.getvalue()


def cot_rows(count: int, word: str = "happy") -> pa.Table:
    face = {"id": "f", "source": "rafdb", "rel_path": "a.jpg", "box": [1.0, 2.0, 3.0, 4.0]}
    rows = [
        {
            "id": f"{at:04d}",
            "images": [{"bytes": png(8 + at % 5), "path": "a.png"}] if at % 4 else None,
            "prompt": [{"role": "user", "content": "Which?"}],
            "completion": [{"role": "assistant", "content": "<answer>happy</answer>"}],
            "answer": word,
            "faces": [face],
            "votes": list(range(10)),
        }
        for at in range(count)
    ]
    return pa.Table.from_pylist(rows, schema=record.COT)


def build(folder: Path, *, count: int = 250, key: str = "k1", shard_bytes: int = 20_000, word: str = "happy") -> Path:
    shards.write_stream(folder / "kept.arrow", [cot_rows(count, word)], record.COT)
    shards.write_stream(folder / "drops.arrow", [record.drops_table([])], record.DROPS)
    kept = {"train": [folder / "kept.arrow"], "validation": []}
    out = folder / "cot"
    splits = shards.lay_out(out, kept, [folder / "drops.arrow"], record.COT, key=key, shard_bytes=shard_bytes)
    head = yaml.safe_dump(features.front_matter(record.COT, list(splits), key), sort_keys=False)
    (out / "README.md").write_text(f"---\n{head}---\n")
    return out


def test_both_loaders_read_the_folder_and_pictures_decode(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    out = build(tmp_path)
    for load in (
        lambda: datasets.load_dataset(str(out), cache_dir=str(tmp_path / "c")),
        lambda: datasets.load_from_disk(str(out)),
    ):
        found = load()
        assert {split: len(rows) for split, rows in found.items()} == {"train": 250}
        assert found["train"][7]["images"][0].size == (10, 10)
        assert found["train"][8]["images"] is None
        assert found["train"][7]["prompt"] == [{"role": "user", "content": "Which?"}]
        assert found["train"].features["images"].feature == datasets.Image()
        assert found["train"][249]["faces"][0]["box"] == [1.0, 2.0, 3.0, 4.0]


def test_a_rebuild_is_not_served_from_the_cache(tmp_path):
    for key, word in (("k1", "happy"), ("k2", "sad")):
        out = build(tmp_path, key=key, word=word)
        rows = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"), split="train")
        assert rows[0]["answer"] == word


def test_datasets_3_reads_the_folder_too(tmp_path):
    if not LEGACY.exists():
        pytest.skip("the datasets 3.6 environment did not install (see the Makefile)")
    script = (
        "import sys, datasets\n"
        "assert datasets.__version__.startswith('3.6'), datasets.__version__\n"
        "for found in (datasets.load_dataset(sys.argv[1]), datasets.load_from_disk(sys.argv[1])):\n"
        "    print(len(found['train']), found['train'][7]['images'][0].size, found['train'][7]['votes'][9])\n"
    )
    env = os.environ | {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([LEGACY, "-c", script, str(build(tmp_path))], capture_output=True, text=True, env=env)
    assert done.stdout == "250 (10, 10) 9\n" * 2, done.stderr


def test_shards_are_named_by_their_number_and_hold_batches_of_a_hundred(tmp_path):
    files = shards.split_files(build(tmp_path))["train"]
    assert [path.name for path in files] == [f"data-{at:05d}-of-00003.arrow" for at in range(3)]
    sizes = [batch.num_rows for path in files for batch in shards.read_stream(path).to_batches()]
    assert sizes == [100, 100, 50]


def test_slices_cover_every_row_once_and_in_order(tmp_path):
    pieces = shards.slices(build(tmp_path), 30)
    rows = [name for piece in pieces for name in piece.read()["id"].to_pylist()]
    assert rows == [f"{at:04d}" for at in range(250)]
    assert max(piece.rows for piece in pieces) == 30


def test_a_split_without_rows_is_not_written(tmp_path):
    out = build(tmp_path)
    assert not (out / "validation").exists()
    assert list(shards.split_files(out)) == ["train"]


@pytest.mark.parametrize("damage", ["missing", "cut", "foreign", "empty"])
def test_a_damaged_shard_is_named(tmp_path, damage):
    path = shards.split_files(build(tmp_path))["train"][1]
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"cut": path.read_bytes()[:3000], "foreign": b"not an arrow stream", "empty": b""}[damage])
    with pytest.raises(FerError, match=path.name):
        shards.read_stream(path).validate(full=True)


def test_a_folder_that_is_no_dataset_is_named(tmp_path):
    with pytest.raises(FerError, match="is no dataset folder"):
        shards.split_files(tmp_path)


def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path, monkeypatch):
    def full(self, table, max_chunksize=None):
        raise OSError(errno.ENOSPC, "No space left on device")

    target = tmp_path / "data.arrow"
    monkeypatch.setattr(pa.ipc.RecordBatchStreamWriter, "write_table", full)
    with pytest.raises(FerError, match="No space left on device"):
        shards.write_stream(target, [record.drops_table([])], record.DROPS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_a_really_full_device_is_an_error(tmp_path):
    (tmp_path / f"data.arrow.{socket.gethostname()}.{os.getpid()}.part").symlink_to("/dev/full")
    with pytest.raises(FerError, match="cannot be written"):
        shards.write_stream(tmp_path / "data.arrow", [cot_rows(100)], record.COT)


TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.fixed_dictionaries(dict.fromkeys(record.DROPS.names, TEXT)), max_size=30))
def test_rows_come_back_as_they_went_in(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("trip") / "data.arrow"
    assert shards.write_stream(path, [record.drops_table(rows)], record.DROPS) == len(rows)
    assert shards.read_stream(path).to_pylist() == rows


def test_rows_with_pictures_lie_in_small_batches_and_others_in_large_ones(tmp_path):
    shards.write_stream(tmp_path / "cot.arrow", [cot_rows(150), cot_rows(70)], record.COT)
    lengths = [batch.num_rows for batch in shards.read_stream(tmp_path / "cot.arrow").to_batches()]
    assert lengths == [100, 50, 70]
    dropped = pa.concat_tables([record.drops_table([dict.fromkeys(record.DROPS.names, "x")])] * 3500)
    assert dropped.column(0).num_chunks == 3500
    shards.write_stream(tmp_path / "drops.arrow", [dropped], record.DROPS)
    assert [batch.num_rows for batch in shards.read_stream(tmp_path / "drops.arrow").to_batches()] == [2000, 1500]


PICTURE = st.none() | st.fixed_dictionaries({"bytes": st.none() | st.binary(max_size=5), "path": st.just("a")})


@given(st.lists(st.none() | st.lists(PICTURE, max_size=3), max_size=6), st.integers(0, 6), st.integers(0, 6))
def test_the_pages_of_just_the_pictures_written_are_touched(lists, start, rows):
    said = pa.array(lists, pa.list_(record.IMAGE)).slice(start, rows)
    flat = pa.array([one for some in lists for one in some or []], record.IMAGE).slice(start, rows)
    kept = [one for some in said.to_pylist() for one in some or []]
    for column, pictures in ((said, kept), (flat, flat.to_pylist())):
        seen = b"".join((one or {}).get("bytes") or b"" for one in pictures)
        assert afloat._pictures(column).tobytes() == seen
        afloat.at_hand(pa.chunked_array([column]))


@pytest.mark.parametrize("system", ["Linux", "another"])
def test_a_file_sent_on_its_way_has_the_same_bytes(tmp_path, monkeypatch, system):
    if system == "another":
        monkeypatch.setattr(afloat, "_sync_file_range", lambda: None)
    monkeypatch.setattr(afloat, "SENT", 1000)
    rows = [cot_rows(150, str(at)) for at in range(5)]
    shards.write_stream(tmp_path / "cot.arrow", rows, record.COT)
    with pa.OSFile(str(tmp_path / "plain"), "wb") as sink, pa.ipc.new_stream(sink, with_features(record.COT)) as writer:
        for table in rows:
            writer.write_table(exact(table.cast(with_features(record.COT)), 100), max_chunksize=100)
    assert (tmp_path / "cot.arrow").read_bytes() == (tmp_path / "plain").read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="the call is Linux's")
def test_what_is_sent_is_what_was_written_since(tmp_path, monkeypatch):
    ranges = []
    monkeypatch.setattr(afloat, "SENT", 1000)
    start = afloat._sync_file_range()
    monkeypatch.setattr(afloat, "_sync_file_range", lambda: lambda *args: ranges.append(args[1:3]) or start(*args))
    with afloat.sink(tmp_path / "data") as sink:
        for size in (999, 1, 1500, 300):
            sink.stream.write(b"x" * size)
            sink.send()
    assert ranges == [(0, 1000), (1000, 1500)]
    assert (tmp_path / "data").stat().st_size == 2800


def test_some_columns_of_a_shard_are_read_alone_and_whole(tmp_path):
    shards.write_stream(tmp_path / "cot.arrow", [cot_rows(250)], record.COT)
    whole = shards.read_stream(tmp_path / "cot.arrow")
    assert shards.read_stream(tmp_path / "cot.arrow", ["images", "id"]).equals(whole.select(["id", "images"]))
