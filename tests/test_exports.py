"""Exports as folders: what goes in, what is told to stay out, and what a rerun does."""

from __future__ import annotations

import json
from unittest import mock

import pytest
from conftest import REPO
from exported import built, exported, odd, picture, row, rows_of, settings, tree
from hypothesis import given
from hypothesis import settings as configured
from hypothesis import strategies as st

from ferbuild.builders.errors import FerError
from ferbuild.builders.export import STAGES, TARGETS, export
from ferbuild.builders.exports import pictures, written

PAIRS = [
    (name, to) for to, one in TARGETS.items() for name in ("cot", "rlvr", "ferbench") if STAGES[name] in one.writes
]


@pytest.mark.parametrize(("dataset", "target"), PAIRS)
def test_the_demo_goes_out_whole_and_the_same_twice(demo, tmp_path, dataset, target):
    done = exported(demo.work, dataset, target, tmp_path / "out")
    rows = sum(map(len, rows_of(demo.work / dataset).values()))
    assert (sum(done.files.values()), dict(done.left_out)) == (rows, {})
    first = tree(tmp_path / "out")
    assert exported(demo.work, dataset, target, tmp_path / "out") == done
    assert tree(tmp_path / "out") == first
    exported(demo.work, dataset, target, tmp_path / "other")
    assert tree(tmp_path / "other") == first, "nothing depends on where it is written"


@pytest.mark.parametrize(("dataset", "target"), PAIRS)
def test_no_path_of_this_machine_goes_out(demo, tmp_path, dataset, target):
    exported(demo.work, dataset, target, tmp_path / "out")
    for name, data in tree(tmp_path / "out").items():
        assert str(demo.home).encode() not in data and str(tmp_path).encode() not in data, name


def test_the_mark_says_what_it_is(demo, tmp_path):
    exported(demo.work, "cot", "llamafactory", tmp_path / "out")
    told = json.loads((tmp_path / "out" / "export.json").read_text())
    stage = json.loads((demo.work / "cot" / "stage.json").read_text())
    assert told == {
        "form": 1,
        "dataset": "cot",
        "key": stage["key"],
        "to": "llamafactory",
        "files": {"cot_train.jsonl": stage["splits"]["train"]},
        "beside": ["dataset_info.json"],
        "pictures": stage["splits"]["train"],
        "left out": {},
        "complete": True,
    }


# Pictures


def test_a_picture_is_one_file_with_the_same_bytes_however_many_rows_show_it(tmp_path):
    built(tmp_path, "rlvr", train=[row(1), odd(1, 2), odd(2, 1), row(1, id="x-letter")])
    done = exported(tmp_path, "rlvr", "swift", tmp_path / "out")
    assert done.pictures == 2
    held = {path.name: path.read_bytes() for path in (tmp_path / "out" / "images").iterdir()}
    assert held == {f"{at:016x}.jpg": picture(at) for at in (1, 2)}


@pytest.mark.parametrize(("form", "suffix"), [("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp"), ("BMP", "bmp")])
def test_a_file_is_called_as_its_bytes_are(tmp_path, form, suffix):
    image = {"bytes": picture(3, form), "path": "whatever.tiff"}
    built(tmp_path, "cot", train=[row(3, images=[image])])
    exported(tmp_path, "cot", "swift", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out" / "images").iterdir()] == [f"{3:016x}.{suffix}"]


@pytest.mark.parametrize("name", ["../../up", "/abs", "a/b", "", ".", "x" * 300])
def test_no_id_leads_out_of_the_folder(tmp_path, name):
    made = row(1, faces=[{"id": name, "source": "s"}])
    built(tmp_path / "w", "cot", train=[made])
    exported(tmp_path / "w", "cot", "swift", tmp_path / "out")
    (found,) = (tmp_path / "out" / "images").iterdir()
    assert found.suffix == ".jpg" and found.read_bytes() == picture(1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "w"]


def test_two_pictures_of_one_name_are_told(tmp_path):
    other = row(1, images=[{"bytes": picture(1, "PNG") + b"x", "path": "a.png"}])
    same = row(1, images=[{"bytes": picture(1, "PNG"), "path": "a.png"}])
    built(tmp_path, "cot", train=[same, other])
    with pytest.raises(FerError, match="is the name of two pictures"):
        exported(tmp_path, "cot", "swift", tmp_path / "out")


# What stays out


BARE = [None, [], [None], [{"bytes": None, "path": "x.jpg"}], [{"bytes": b"", "path": "x.jpg"}]]


@pytest.mark.parametrize(("dataset", "target"), [pair for pair in PAIRS if pair[1] not in ("parquet",)])
def test_rows_without_a_picture_are_counted(tmp_path, dataset, target):
    built(tmp_path, dataset, train=[row(0), *(row(at + 1, images=images) for at, images in enumerate(BARE)), row(9)])
    done = exported(tmp_path, dataset, target, tmp_path / "out")
    whole = (dataset, target) == ("ferbench", "unifer")
    assert dict(done.left_out) == ({} if whole else {"no picture": len(BARE)}), "the published form names pictures only"
    assert sum(done.files.values()) == (len(BARE) + 2 if whole else 2)


def test_one_missing_picture_of_two_is_a_missing_one(tmp_path):
    half = odd(1, 2)
    half["images"][1]["bytes"] = None
    built(tmp_path, "rlvr", train=[half, odd(3, 4)])
    done = exported(tmp_path, "rlvr", "swift", tmp_path / "out")
    assert (dict(done.left_out), done.pictures) == ({"no picture": 1}, 2)


def test_without_any_picture_nothing_is_exported(tmp_path):
    built(tmp_path, "cot", train=[row(0, images=None)])
    with pytest.raises(FerError, match="has no row for swift: 1 rows left out for no picture"):
        exported(tmp_path, "cot", "swift", tmp_path / "out")
    assert json.loads((tmp_path / "out" / "export.json").read_text())["complete"] is False


def test_a_split_without_rows_is_no_file(tmp_path):
    built(tmp_path, "cot", train=[row(0)], hinted=[row(1, images=None)])
    done = exported(tmp_path, "cot", "llamafactory", tmp_path / "out")
    assert (dict(done.files), dict(done.left_out)) == ({"cot_train.jsonl": 1}, {"no picture": 1})
    assert not (tmp_path / "out" / "cot_hinted.jsonl").exists()
    assert list(json.loads((tmp_path / "out" / "dataset_info.json").read_text())) == ["cot_train"]


@pytest.mark.parametrize("tag", ["<image>", "<video>", "<audio>"])
@pytest.mark.parametrize(
    ("dataset", "target"), [pair for pair in PAIRS if pair[1] in ("llamafactory", "swift", "verl")]
)
def test_a_text_with_a_trainers_tag_stays_out(tmp_path, dataset, target, tag):
    asked = [{"role": "user", "content": f"What is {tag}?"}]
    said = [{"role": "assistant", "content": f"A {tag}."}]
    built(tmp_path, dataset, train=[row(0), row(1, prompt=asked), row(2, completion=said)])
    done = exported(tmp_path, dataset, target, tmp_path / "out")
    lost = 2 if dataset == "cot" else 1
    assert dict(done.left_out) == {"a text with a tag that stands for a picture": lost}


def test_two_pictures_do_not_fit_in_unifers_rows(tmp_path):
    built(tmp_path, "rlvr", train=[row(0), odd(1, 2)])
    done = exported(tmp_path, "rlvr", "unifer", tmp_path / "out")
    assert dict(done.left_out) == {"more than one picture, where its rows take one": 1}
    assert done.pictures == 1


def test_what_was_left_out_makes_exit_code_1(run, tmp_path):
    (tmp_path / "fer-build.yaml").write_text("work: fer-data\n")
    built(tmp_path / "fer-data", "rlvr", train=[row(0), row(1, images=None)])
    ran = run("export", "rlvr", "--to", "swift", "--out", "out")
    assert (ran.code, "left out: 1 rows: no picture" in ran.out) == (1, True), ran.err
    ran = run("export", "rlvr", "--to", "swift", "--out", "out", "--json")
    assert (ran.code, ran.json["left out"], ran.json["files"]) == (1, {"no picture": 1}, {"rlvr_train.jsonl": 1})


# Which goes where


@pytest.mark.parametrize(
    ("dataset", "target", "problem", "hint"),
    [
        (
            "rlvr",
            "llamafactory",
            "cannot take rlvr: it trains by imitation",
            "llamafactory takes cot; rlvr goes --to unifer, swift, verl, easyr1, vlmr1, parquet",
        ),
        (
            "ferbench",
            "verl",
            "cannot take ferbench: it trains on answers that a program checks",
            "verl takes rlvr; ferbench goes --to unifer, vlmevalkit, lmms-eval, parquet",
        ),
        (
            "cot-direct",
            "lmms-eval",
            "cannot take cot-direct: it scores models on a benchmark",
            "lmms-eval takes ferbench; cot-direct goes --to unifer, llamafactory, swift, parquet",
        ),
    ],
)
def test_an_impossible_export_says_what_is_possible(tmp_path, dataset, target, problem, hint):
    with pytest.raises(FerError) as told:
        exported(tmp_path, dataset, target, tmp_path / "out")
    assert (told.value.where, told.value.problem, told.value.hint) == (f"--to {target}", problem, hint)
    assert not (tmp_path / "out").exists()


def test_every_pair_that_is_not_there_is_refused_before_anything_is_read(tmp_path):
    for dataset, stage in STAGES.items():
        for target, one in TARGETS.items():
            if stage not in one.writes:
                with pytest.raises(FerError, match=f"cannot take {dataset}: .+"):
                    exported(tmp_path, dataset, target, tmp_path / "out")


def test_an_arm_is_a_dataset_of_its_own(tmp_path):
    built(tmp_path, "cot", train=[row(0)]).rename(tmp_path / "cot-direct")
    assert dict(exported(tmp_path, "cot-direct", "swift", tmp_path / "out").files) == {"cot-direct_train.jsonl": 1}
    with pytest.raises(FerError) as told:
        exported(tmp_path, "cot-answer-first", "swift", tmp_path / "o")
    assert told.value.hint == "run `fer-build cot --style answer-first` first"


def test_a_damaged_dataset_is_refused(tmp_path):
    folder = built(tmp_path, "cot", train=[row(0)])
    (folder / "train" / "data-00000-of-00001.arrow").write_bytes(b"")
    with pytest.raises(FerError, match="is damaged"):
        exported(tmp_path, "cot", "swift", tmp_path / "out")


# The folder


def test_what_the_dataset_no_longer_has_is_removed(tmp_path):
    built(tmp_path, "rlvr", train=[row(1), row(2)], validation=[row(3)])
    exported(tmp_path, "rlvr", "swift", tmp_path / "out")
    mine = tmp_path / "out" / "train.sh"
    mine.write_text("swift rlhf")
    built(tmp_path, "rlvr", key="1" * 32, train=[row(2), row(4)])
    exported(tmp_path, "rlvr", "swift", tmp_path / "out")
    names = {f"images/{at:016x}.jpg" for at in (2, 4)} | {
        "rlvr_train.jsonl",
        "fer_reward.py",
        "export.json",
        "train.sh",
    }
    assert set(tree(tmp_path / "out")) == names, "what the user laid there stays"


def test_a_set_that_is_gone_takes_its_task_along(tmp_path):
    built(tmp_path, "ferbench", rafdb=[row(1)], sfew=[row(2)])
    exported(tmp_path, "ferbench", "lmms-eval", tmp_path / "out")
    built(tmp_path, "ferbench", rafdb=[row(1)])
    exported(tmp_path, "ferbench", "lmms-eval", tmp_path / "out")
    assert [name for name in tree(tmp_path / "out") if "sfew" in name] == []


def test_another_folder_is_not_touched(tmp_path):
    built(tmp_path, "cot", train=[row(1)])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("x")
    with pytest.raises(FerError, match=r"is not empty, and what it holds is no export: thesis\.tex"):
        exported(tmp_path, "cot", "swift", tmp_path / "out")
    assert list(tree(tmp_path / "out")) == ["thesis.tex"]


def test_a_folder_holds_one_export(tmp_path):
    built(tmp_path, "cot", train=[row(1)])
    exported(tmp_path, "cot", "swift", tmp_path / "out")
    with pytest.raises(FerError, match="holds the export of cot to swift"):
        exported(tmp_path, "cot", "unifer", tmp_path / "out")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": []}', '{"files": {}, "beside": 3}'])
def test_a_mark_that_is_none_does_not_open_a_folder(tmp_path, text):
    built(tmp_path, "cot", train=[row(1)])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "export.json").write_text(text)
    with pytest.raises(FerError, match="is not empty"):
        exported(tmp_path, "cot", "swift", tmp_path / "out")


def test_a_mark_that_lies_removes_nothing_outside(tmp_path):
    built(tmp_path, "cot", train=[row(1)])
    exported(tmp_path, "cot", "swift", tmp_path / "out")
    kept = tmp_path / "kept"
    kept.write_text("x")
    told = json.loads((tmp_path / "out" / "export.json").read_text())
    told["files"] |= {"../kept": 1, str(kept): 1}
    (tmp_path / "out" / "export.json").write_text(json.dumps(told))
    exported(tmp_path, "cot", "swift", tmp_path / "out")
    assert kept.exists()


def test_a_stopped_export_goes_on(tmp_path, monkeypatch):
    built(tmp_path, "rlvr", train=[row(at) for at in range(250)])

    def stop(target, done, total):
        if done > 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(settings(tmp_path), "rlvr", "swift", tmp_path / "out", stop)
    there = tree(tmp_path / "out")
    assert "rlvr_train.jsonl" not in there and sum(name.startswith("images/") for name in there) >= 100
    assert json.loads(there["export.json"])["complete"] is False
    put = []
    monkeypatch.setattr(
        pictures, "_put", lambda path, data, real=pictures._put: put.append(path.exists()) or real(path, data)
    )
    exported(tmp_path, "rlvr", "swift", tmp_path / "out")
    assert sum(put) >= 100, "finished pictures are there"
    exported(tmp_path, "rlvr", "swift", tmp_path / "fresh")
    assert tree(tmp_path / "out") == tree(tmp_path / "fresh")


def test_a_cut_picture_is_written_again(tmp_path):
    built(tmp_path, "cot", train=[row(1)])
    exported(tmp_path, "cot", "swift", tmp_path / "out")
    file = tmp_path / "out" / "images" / f"{1:016x}.jpg"
    file.write_bytes(picture(1)[:5])
    (tmp_path / "out" / "images" / "x.jpg.99.part").write_bytes(b"")
    exported(tmp_path, "cot", "swift", tmp_path / "out")
    assert file.read_bytes() == picture(1)
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_rows_are_told_as_they_go(tmp_path):
    built(tmp_path, "rlvr", train=[row(at) for at in range(150)], validation=[row(200)])
    told = []
    export(settings(tmp_path), "rlvr", "verl", tmp_path / "out", lambda *now: told.append(now))
    assert told == [("verl", 100, 151), ("verl", 150, 151), ("verl", 151, 151)]


@pytest.mark.parametrize("at", ["file", "file/below"])
def test_a_place_that_cannot_be_a_folder_is_named(tmp_path, at):
    built(tmp_path, "cot", train=[row(1)])
    (tmp_path / "file").write_text("x")
    with pytest.raises(FerError, match="cannot be written"):
        exported(tmp_path, "cot", "swift", tmp_path / at)


# Files of rows

VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.lists(st.text(max_size=5), max_size=3)


@configured(max_examples=30, deadline=None)
@given(st.lists(st.dictionaries(st.text(max_size=5), VALUES, max_size=3), min_size=1, max_size=4))
def test_a_list_is_written_as_json_dumps_writes_it(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "a-list.json"
    with mock.patch("ferbuild.builders.files.os.fsync"):
        assert written.json_list(path, rows, lambda: None) == len(rows)
    assert path.read_bytes() == json.dumps(rows, indent=2, ensure_ascii=False).encode()


def test_no_rows_are_no_file_even_where_one_was(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("old")
    assert written.json_list(path, [], lambda: None) == 0
    assert not path.exists()


# What is told of them


def test_help_and_document_know_every_target(run):
    told, text = run("export", "--help").out, (REPO / "docs" / "exports.md").read_text()
    for target in TARGETS:
        assert f"\n  {target} " in told, target
        assert f"| `{target}` |" in text, target
