"""Files of results in the published form and in our own: whatever is wrong with one is named and counted."""

from __future__ import annotations

import json
from collections import Counter

import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from result_files import (
    ASKED,
    WORDS,
    answered,
    bench_folder,
    faces_folder,
    kinds,
    question,
    questions,
    rows_of,
    write,
)

from ferbuild.builders import shards
from ferbuild.builders.errors import FerError
from ferbuild.builders.evaluation.answers import ANSWERS, Problem
from ferbuild.builders.evaluation.readers import INSTALL, load
from ferbuild.builders.record import DROPS

# The published form


def test_a_published_row_becomes_an_answer(tmp_path):
    row = answered(question("sfew", 3), "<answer>sad</answer>")
    found = load([write(tmp_path / "sfew_2.0_unifer_7b_results.json", [row])])
    assert found.name == "unifer_7b"
    assert found.table.schema == ANSWERS
    assert rows_of(found) == [
        {
            "set": "sfew",
            "image_path": "/SFEW-2.0/Val/Val_Aligned_Faces/Happy/Film_000000001_00000003.png",
            "true_label": "happy",
            "canonical": "happiness",
            "choices": WORDS["sfew"],
            "cluster": "Film_000000001",
            "texts": ["<answer>sad</answer>"],
            "finishes": [""],
            "error": False,
            "detail": "",
            "bare": False,
            "tokens_read": None,
            "tokens_written": None,
            "id": None,
            "prompt_version": None,
            "synthetic": None,
        }
    ]
    told = "1 of 431 rows are there; missing: angry 77, disgust 23, fear 46, happy 71, neutral 84, sad 73, surprise 56"
    assert found.problems == [Problem("missing", "sfew", 430, told)]


def test_rows_stand_by_set_and_then_in_the_order_of_the_files(tmp_path):
    mixed = [answered(question(name, at)) for at in range(3) for name in ("sfew", "affectnet", "ferplus", "rafdb")]
    found = load([write(tmp_path / "all.json", mixed[::-1])])
    assert found.table["set"].to_pylist() == ["rafdb"] * 3 + ["ferplus"] * 3 + ["affectnet"] * 3 + ["sfew"] * 3
    assert found.table["true_label"].to_pylist()[:3] == ["disgust", "fear", "surprise"]


@pytest.mark.parametrize("name", WORDS)
@pytest.mark.parametrize("root", ["", "data", "/home/me/sets", "C:\\sets"])
def test_the_set_is_told_by_a_path_wherever_the_pictures_are_kept(tmp_path, name, root):
    row = answered(question(name, 5))
    path = row["image_path"]
    moved = root + (path.replace("/", "\\") if "\\" in root else path)
    found = load([write(tmp_path / "x.json", [row | {"image_path": moved.removeprefix("/") if not root else moved}])])
    assert rows_of(found)[0]["set"] == name
    assert rows_of(found)[0]["image_path"] == path


@pytest.mark.parametrize(
    "file", ["rafdb_qa.json", "RAF-DB-results.json", "rafdb/out.json", "eval_rafdb/results/out.json"]
)
def test_else_by_the_name_of_the_file_or_its_folder(tmp_path, file):
    row = answered(question("rafdb", 1), image_path="/elsewhere/1.jpg")
    found = load([write(tmp_path / file, [row])])
    assert rows_of(found)[0]["set"] == "rafdb"
    assert rows_of(found)[0]["image_path"] == "/elsewhere/1.jpg"


@pytest.mark.parametrize("said", ["sfew", "SFEW 2.0", "sfew_2.0", "SFEW-2.0"])
def test_a_row_may_name_its_set_itself(tmp_path, said):
    row = answered(question("sfew", 1), image_path="1.png", set=said)
    assert rows_of(load([write(tmp_path / "rafdb.json", [row])]))[0]["set"] == "sfew"


def test_set_names_the_set_of_rows_that_do_not(tmp_path):
    file = write(tmp_path / "x.json", [answered(question("rafdb", 1), image_path="1.jpg")])
    assert rows_of(load([file], set_name="RAF-DB"))[0]["set"] == "rafdb"
    with pytest.raises(FerError, match=r"--set: no set 'rafbd' \(did you mean 'rafdb'\?\)"):
        load([file], set_name="rafbd")


def test_labels_are_read_whatever_their_letter_case(tmp_path):
    row = answered(question("rafdb", 1)) | {
        "true_label": "Fear",
        "candidate_labels": [w.title() for w in WORDS["rafdb"]],
    }
    (only,) = rows_of(load([write(tmp_path / "x.json", [row])]))
    assert (only["true_label"], only["choices"]) == ("fear", WORDS["rafdb"])


def test_choices_keep_their_own_order(tmp_path):
    row = answered(question("rafdb", 1)) | {"candidate_labels": WORDS["rafdb"][::-1]}
    assert rows_of(load([write(tmp_path / "x.json", [row])]))[0]["choices"] == WORDS["rafdb"][::-1]


@pytest.mark.parametrize(
    ("prompt", "bare"), [(ASKED, False), ("Which expression? One word.", True), (None, False), ("", False), ([], False)]
)
def test_the_whole_text_is_the_answer_where_the_prompt_asks_for_no_tags(tmp_path, prompt, bare):
    row = answered(question("rafdb", 1), "fear") | {"prompt": prompt}
    assert rows_of(load([write(tmp_path / "x.json", [row])]))[0]["bare"] is bare


# Errors and empty replies


@pytest.mark.parametrize(
    ("more", "detail"),
    [
        ({"model_response": "ERROR: out of memory", "error": True}, "ERROR: out of memory"),
        ({"model_response": "", "error": "timed out"}, "timed out"),
        ({"model_response": None, "error": "timed out"}, "timed out"),
        ({"model_response": None, "error": False}, ""),
        ({"model_response": "<answer>fear</answer>", "error": 1}, "<answer>fear</answer>"),
    ],
)
def test_an_error_is_a_row_without_a_reply(tmp_path, more, detail):
    rows = [answered(question("rafdb", 1)), question("rafdb", 2) | more]
    found = load([write(tmp_path / "x.json", rows)])
    good, bad = rows_of(found)
    assert not good["error"]
    assert (bad["error"], bad["texts"], bad["finishes"], bad["detail"]) == (True, [], [], detail)
    assert kinds(found) == {"error": 1}
    told = next(one for one in found.problems if one.kind == "error")
    assert told.detail == "/RAF-DB/aligned/test_0002_aligned.jpg" + (f": {detail}" if detail else "")


@pytest.mark.parametrize(
    "more", [{"model_response": None}, {"model_response": " \n"}, {"model_response": "", "error": False}, {}]
)
def test_a_reply_without_text_is_no_error(tmp_path, more):
    rows = [answered(question("rafdb", 1)), question("rafdb", 2) | more]
    found = load([write(tmp_path / "x.json", rows)])
    assert rows_of(found)[1]["error"] is False
    assert rows_of(found)[1]["texts"] == [more.get("model_response") or ""]
    assert kinds(found) == {"empty": 1}


@pytest.mark.parametrize("reply", [3, True, {"text": "x"}, [1], ["x", 2]])
def test_a_reply_that_is_no_text_stands_as_an_error(tmp_path, reply):
    rows = [answered(question("rafdb", 1)), question("rafdb", 2) | {"model_response": reply}]
    found = load([write(tmp_path / "x.json", rows)])
    assert [row["error"] for row in rows_of(found)] == [False, True]
    assert rows_of(found)[1]["detail"] == f"its reply is no text, but {reply!r}"
    assert kinds(found) == {"not readable": 1}


def test_nine_right_and_ninety_one_errors_stay_a_hundred_rows(tmp_path):
    rows = questions("rafdb", 100)
    rows = [answered(row) for row in rows[:9]] + [answered(row, "ERROR: x", error=True) for row in rows[9:]]
    found = load([write(tmp_path / "x.json", rows)])
    assert found.table.num_rows == 100
    assert sum(found.table["error"].to_pylist()) == 91
    assert kinds(found) == {"error": 91}


def test_a_file_of_nothing_but_errors_is_a_result(tmp_path):
    found = load([write(tmp_path / "x.json", [row | {"error": "out of memory"} for row in questions("rafdb", 3)])])
    assert kinds(found) == {"error": 3} and found.table["error"].to_pylist() == [True] * 3


# Bad input


def test_doubled_rows_are_told_and_the_first_stands(tmp_path):
    one, other = questions("rafdb", 2)
    first = write(tmp_path / "a.json", [answered(one, "first"), answered(one, "second"), answered(other, "x")])
    second = write(tmp_path / "b.json", [answered(other, "x"), answered(one, "first"), answered(one, "", error=True)])
    found = load([first, second])
    assert [row["texts"] for row in rows_of(found)] == [["first"], ["x"]]
    more = "1 of the others say something else"
    assert [one for one in found.problems if one.kind == "doubled"] == [
        Problem("doubled", str(first), 1, f"{one['image_path']}; the first of each counts, and {more}"),
        Problem("doubled", str(second), 3, f"{other['image_path']}; the first of each counts, and {more}"),
    ]


def test_rows_of_another_benchmark_are_told(tmp_path):
    rows = [
        answered(question("rafdb", 1)),
        answered(question("rafdb", 2)) | {"true_label": "happy"},
        answered(question("rafdb", 3)) | {"candidate_labels": WORDS["ferplus"]},
        answered(question("rafdb", 4)) | {"candidate_labels": WORDS["rafdb"][:3]},
        answered(question("rafdb", 5)) | {"set": "ferplus"},
    ]
    found = load([write(tmp_path / "x.json", rows)])
    assert found.table.num_rows == 1
    told = [one for one in found.problems if one.kind == "another benchmark"]
    assert told == [
        Problem(
            "another benchmark",
            str(tmp_path / "x.json"),
            4,
            "/RAF-DB/aligned/test_0002_aligned.jpg: 'happy' is no label of rafdb",
        )
    ]


def test_a_forced_set_does_not_turn_rows_of_another_into_its_own(tmp_path):
    rows = [answered(question("rafdb", 1)), answered(question("affectnet", 1))]
    found = load([write(tmp_path / "x.json", rows)], set_name="rafdb")
    assert kinds(found) == {"another benchmark": 1}
    assert "is of affectnet, not of rafdb" in found.problems[-1].detail


def test_rows_of_no_set_are_told(tmp_path):
    rows = [
        answered(question("rafdb", 1)),
        answered(question("rafdb", 2), image_path="/other/2.jpg"),
        answered(question("rafdb", 3), set="raf_database"),
    ]
    found = load([write(tmp_path / "x.json", rows)])
    assert found.table.num_rows == 1
    assert [one for one in found.problems if one.kind == "unknown set"] == [
        Problem("unknown set", str(tmp_path / "x.json"), 2, "/other/2.jpg")
    ]


def test_nothing_to_score_is_an_error_that_says_what_was_found(tmp_path):
    file = write(tmp_path / "x.json", [answered(question("rafdb", 1), image_path="/o/1.jpg", set="rafbd")])
    with pytest.raises(FerError) as caught:
        load([file])
    assert caught.value.where == str(file)
    assert caught.value.problem == "no row can be scored: 1 unknown set (/o/1.jpg: no set 'rafbd')"
    assert caught.value.hint == "name the set, --set rafdb or ferplus or affectnet or sfew; did you mean 'rafdb'?"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "the file is empty"),
        (b" \n", "the file is empty"),
        (b"hello", "neither JSON nor a table with the columns index and prediction"),
        (b"\x80\x04\x95pickled", "a pickle, which is not opened"),
        (b"[", "the list is cut or broken at character 1 of 1"),
        (b"[1, 2]", "a row is no object, but 1"),
        (b'{"rows":\n [1]}', "one JSON object, where a list of rows or a row a line is wanted"),
        (b'[{"a": 1, "b": 2}]', "no reply in its keys a, b"),
        (b"\xff\xfe[\x00]\x00", "neither JSON"),
        (b"[" * 100_000, "the list is cut or broken"),
    ],
)
def test_a_file_that_holds_no_results_is_an_error(tmp_path, content, told):
    file = tmp_path / "x.json"
    file.write_bytes(content)
    with pytest.raises(FerError) as caught:
        load([file])
    assert told in caught.value.problem
    assert caught.value.hint.startswith("wanted: a JSON list or JSON lines of benchmark rows with `model_response`")


def test_an_empty_list_holds_no_rows(tmp_path):
    with pytest.raises(FerError, match=r"no row can be scored: 1 not readable \(the file holds no rows\)"):
        load([write(tmp_path / "x.json", [])])


def test_the_benchmark_itself_and_predictions_are_no_results(tmp_path):
    with pytest.raises(FerError, match=r"3 not readable \(the benchmark itself: no row has a `model_response`\)"):
        load([write(tmp_path / "x.json", questions("rafdb", 3))])
    with pytest.raises(FerError, match=r"3 not readable \(the benchmark itself"):
        load([write(tmp_path / "x.json", [row | {"error": None} for row in questions("rafdb", 3)])])
    predicted = [{"set": "rafdb", "image_path": "x", "true_label": "fear", "official": "fear", "strict": "fear"}]
    with pytest.raises(FerError, match="what was read of replies, not the replies"):
        load([write(tmp_path / "p.jsonl", predicted, lines=True)])


def test_a_file_that_is_not_there_is_an_error_at_once(tmp_path):
    good = write(tmp_path / "x.json", [answered(question("rafdb", 1))])
    with pytest.raises(FerError, match="cannot be read"):
        load([good, tmp_path / "y.json"])
    with pytest.raises(FerError, match="is a folder without answers"):
        load([tmp_path])
    with pytest.raises(FerError, match="names no file"):
        load([])


def test_a_bad_file_costs_none_of_the_others(tmp_path):
    good = write(tmp_path / "x.json", [answered(question("rafdb", 1))])
    bad = tmp_path / "y.json"
    bad.write_text("<html>")
    found = load([bad, good])
    assert found.table.num_rows == 1
    assert kinds(found) == {"not readable": 1}


def test_a_cut_list_keeps_the_rows_before_the_cut(tmp_path):
    file = write(tmp_path / "x.json", [answered(row) for row in questions("rafdb", 3)])
    whole = file.read_text()
    file.write_text(whole[:-40])
    found = load([file])
    assert found.table.num_rows == 2
    assert next(one for one in found.problems if one.kind == "not readable").detail.startswith("the list is cut or br")
    file.write_text(whole + whole)
    found = load([file])
    assert found.table.num_rows == 3
    assert "there is more behind the end of the list" in found.problems[-1].detail


def test_a_cut_last_line_keeps_the_other_lines(tmp_path):
    file = write(tmp_path / "x.jsonl", [answered(row) for row in questions("rafdb", 3)], lines=True)
    file.write_text(file.read_text()[:-9])
    found = load([file])
    assert found.table.num_rows == 2
    assert [one for one in found.problems if one.kind != "missing"] == [
        Problem("not readable", str(file), 1, "line 3 is no JSON")
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_broken_first_line_costs_only_itself(tmp_path, end):
    lines = [json.dumps(answered(row)) for row in questions("rafdb", 3)]
    file = tmp_path / "x.jsonl"
    file.write_text(end.join([lines[0][20:], *lines[1:], ""]), newline="")
    assert load([file]).table.num_rows == 2
    assert kinds(load([file])) == {"not readable": 1}
    file.write_text("\ufeff" + end.join([lines[0], "", lines[1], ""]), newline="")
    assert load([file]).table.num_rows == 2
    assert kinds(load([file])) == {}


def test_text_that_is_no_unicode_is_mended(tmp_path):
    file = tmp_path / "x.json"
    file.write_text(json.dumps([answered(question("rafdb", 1), "a\ud83d b\ude00 \ud83d\ude00 \u2028")]))
    assert rows_of(load([file]))[0]["texts"] == ["a� b� 😀 \u2028"]


def test_rows_without_a_picture_or_a_label_cannot_be_read(tmp_path):
    rows = [
        answered(question("rafdb", 1)),
        answered(question("rafdb", 2), image_path=""),
        answered(question("rafdb", 3), true_label=None),
        answered(question("rafdb", 4), candidate_labels="fear, anger"),
        answered(question("rafdb", 5), candidate_labels=[["fear"]]),
    ]
    found = load([write(tmp_path / "x.json", rows)])
    assert found.table.num_rows == 1
    assert kinds(found) == {"not readable": 4}


# With the benchmark at hand


def test_missing_rows_are_named_and_not_made_up(tmp_path):
    asked = questions("rafdb", 10)
    bench = write(tmp_path / "rafdb_qa.json", asked)
    found = load([write(tmp_path / "x.json", [answered(row) for row in asked[:3] + asked[5:]])], bench=[bench])
    assert found.table.num_rows == 8
    assert found.problems == [Problem("missing", "rafdb", 2, "the first: /RAF-DB/aligned/test_0003_aligned.jpg")]


def test_more_rows_of_a_label_than_were_published_are_told(tmp_path):
    """Without the benchmark at hand nobody can tell which of them are not its own."""
    labels = {"surprise": 329, "fear": 74 + 3, "disgust": 160 - 1, "happiness": 1185, "sadness": 478, "anger": 162}
    true = [label for label, count in (labels | {"neutral": 680}).items() for _ in range(count)]
    rows = [
        answered(question("rafdb", at))
        | {"true_label": one, "image_path": f"/RAF-DB/aligned/test_{at:04d}_aligned.jpg"}
        for at, one in enumerate(true)
    ]
    found = load([write(tmp_path / "x.json", rows)])
    assert found.table.num_rows == len(true)
    told = "more rows than published, which are scored all the same: fear 77 of 74; --bench tells which they are"
    assert found.problems == [Problem("another benchmark", "rafdb", 3, told)]


def test_rows_that_the_benchmark_does_not_know_are_told(tmp_path):
    asked = questions("rafdb", 3)
    bench = write(tmp_path / "rafdb_qa.json", asked)
    rows = [
        answered(asked[0]),
        answered(question("rafdb", 99)),
        answered(asked[1]) | {"true_label": "anger"},
        answered(asked[2]),
        answered(question("ferplus", 1)),
    ]
    found = load([write(tmp_path / "x.json", rows)], bench=[bench])
    assert [row["image_path"] for row in rows_of(found)] == [
        asked[0]["image_path"],
        asked[2]["image_path"],
        question("ferplus", 1)["image_path"],  # of a set that this benchmark does not hold
    ]
    assert kinds(found) == {"another benchmark": 2}
    assert found.problems[-1].detail == "/RAF-DB/aligned/test_0099_aligned.jpg: no such row in rafdb"


def test_a_built_benchmark_gives_ids_and_the_clusters_of_near_duplicates(tmp_path):
    raf, sfew = questions("rafdb", 4), questions("sfew", 4)
    bench = bench_folder(tmp_path / "ferbench", {"rafdb": raf, "sfew": sfew})
    file = write(tmp_path / "x.json", [answered(row) for row in raf + sfew])
    plain = rows_of(load([file], bench=[bench]))
    assert [row["id"] for row in plain] == [f"{name}-{at}" for name in ("rafdb", "sfew") for at in range(4)]
    assert [row["cluster"] for row in plain[:4]] == [row["image_path"] for row in raf]
    faces_folder(tmp_path / "faces", {"rafdb-0": "rafdb-0", "rafdb-1": "rafdb-0", "rafdb-2": "t7", "other": "x"})
    found = load([file], bench=[bench])
    assert [row["cluster"] for row in rows_of(found)[:4]] == ["rafdb-0", "rafdb-0", "t7", raf[3]["image_path"]]
    clips = [row["cluster"] for row in rows_of(found)[4:]]
    assert clips[0] == "Film_000000000"  # a clip in any case
    assert found.problems == []


def test_a_built_benchmark_knows_sets_that_no_manifest_does(tmp_path):
    own = [row | {"image_path": f"/own/{at}.jpg"} for at, row in enumerate(questions("ferplus", 9))]
    bench = bench_folder(tmp_path / "ferbench", {"mine": own})
    found = load([write(tmp_path / "x.json", [answered(row) for row in own[:8]])], bench=[bench])
    assert [row["set"] for row in rows_of(found)] == ["mine"] * 8
    assert [row["canonical"] for row in rows_of(found)][:2] == ["anger", "contempt"]
    assert found.problems == [Problem("missing", "mine", 1, "the first: /own/8.jpg")]


def test_pictures_kept_elsewhere_are_found_by_their_file_name(tmp_path):
    asked = questions("rafdb", 2)
    bench = write(tmp_path / "rafdb_qa.json", asked)
    rows = [answered(asked[0], image_path="/mine/test_0000_aligned.jpg", true_label=None)]
    found = load([write(tmp_path / "x.json", rows)], bench=[bench], set_name="rafdb")
    assert rows_of(found)[0]["image_path"] == asked[0]["image_path"]
    assert rows_of(found)[0]["true_label"] == "surprise"  # the benchmark says it


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{}", "holds no list of rows"),
        ("[", "is no JSON"),
        ("[{}]", "row 1 is no row of the benchmark"),
        ('[{"image_path": "/RAF-DB/aligned/1.jpg", "true_label": "joy", "candidate_labels": []}]', "'joy' is no label"),
        ('[{"image_path": "/1.jpg", "true_label": "joy", "candidate_labels": []}]', "no set can be told of /1.jpg"),
    ],
)
def test_a_file_that_is_no_benchmark_is_an_error(tmp_path, content, told):
    file = write(tmp_path / "x.json", [answered(question("rafdb", 1))])
    (tmp_path / "b.json").write_text(content)
    with pytest.raises(FerError, match=told):
        load([file], bench=[tmp_path / "b.json"])


def test_a_folder_that_is_no_benchmark_is_an_error(tmp_path):
    file = write(tmp_path / "x.json", [answered(question("rafdb", 1))])
    faces_folder(tmp_path / "faces", {"a": "a"})
    with pytest.raises(FerError, match="holds no benchmark"):
        load([file], bench=[tmp_path / "faces"])


# Our own forms


def test_our_own_lines_hold_samples(tmp_path):
    row = question("ferplus", 0) | {
        "set": "ferplus", "responses": ["a", None, "c"], "finishes": ["stop", "length"], "bare": True, "id": "f1",
        "tokens_read": 900, "tokens_written": 70, "prompt_version": "v", "cluster": "g1",
    }  # fmt: skip
    (only,) = rows_of(load([write(tmp_path / "qwen7b.jsonl", [row], lines=True)]))
    assert only["texts"] == ["a", "", "c"]
    assert only["finishes"] == ["stop", "length", ""]
    names = ("bare", "id", "tokens_read", "tokens_written", "prompt_version", "cluster")
    assert [only[name] for name in names] == [True, "f1", 900, 70, "v", "g1"]


def test_a_folder_of_answers_reads_back_as_it_is(tmp_path):
    rows = [answered(question(name, at)) for name in ("rafdb", "sfew") for at in range(5)]
    rows[3] |= {"error": True, "model_response": "boom"}
    rows[4] |= {"model_response": ""}
    table = load([write(tmp_path / "x.json", rows)]).table
    folder = tmp_path / "eval" / "qwen7b"
    kept = {}
    for name in ("rafdb", "sfew"):
        part = tmp_path / f"{name}.part"
        shards.write_stream(part, [table.filter(pc.equal(table["set"], name))], ANSWERS)
        kept[name] = [part]
    drops = tmp_path / "drops.part"
    shards.write_stream(drops, [DROPS.empty_table()], DROPS)
    shards.lay_out(folder, kept, [drops], ANSWERS, key="k", shard_bytes=1 << 20)
    found = load([folder])
    assert found.table.equals(table)
    assert found.name == "qwen7b"
    assert kinds(found) == {"error": 1, "empty": 1}


def test_a_dataset_without_answers_is_no_result(tmp_path):
    bench = bench_folder(tmp_path / "ferbench", {"rafdb": questions("rafdb", 2)})
    with pytest.raises(FerError, match="is a dataset, but holds no answers"):
        load([bench])


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("rafdb_unifer_7b_results.json", "unifer_7b"),
        ("sfew_2.0_unifer_7b_results.json", "unifer_7b"),
        ("Qwen2.5-VL-7B-Instruct_FERBench_rafdb.tsv", "Qwen2.5-VL-7B-Instruct"),
        ("rafdb_results.json", "rafdb_results"),
        ("gpt-4o.jsonl", "gpt-4o"),
        ("org__model-7b/20260101_samples_ferbench_rafdb.jsonl", "org__model-7b"),
    ],
)
def test_a_model_is_named_after_its_file(tmp_path, file, name):
    row = answered(question("rafdb", 1))
    assert load([write(tmp_path / file, [row])]).name == name
    assert load([tmp_path / file], name="mine").name == "mine"


# Whatever comes


SPOILED = {
    "good": lambda row: row,
    "doubled": lambda row: row | {"image_path": question("rafdb", 0)["image_path"], "true_label": "surprise"},
    "other": lambda row: row | {"candidate_labels": ["cat", "dog"]},
    "no set": lambda row: row | {"set": "imagenet"},
    "no path": lambda row: {name: cell for name, cell in row.items() if name != "image_path"},
    "no object": lambda row: 7,
    "error": lambda row: row | {"error": "x"},
    "empty": lambda row: row | {"model_response": ""},
    "number": lambda row: row | {"model_response": 7},
}


@settings(deadline=None)
@given(st.lists(st.sampled_from(sorted(SPOILED)), max_size=20), st.booleans())
def test_every_row_is_scored_or_told(tmp_path_factory, spoiled, lines):
    rows = [answered(question("rafdb", 0))]
    rows += [SPOILED[how](answered(question("rafdb", at + 1))) for at, how in enumerate(spoiled)]
    found = load([write(tmp_path_factory.mktemp("x") / "x.json", rows, lines=lines)])
    counts, told = Counter(spoiled), kinds(found)
    assert found.table.num_rows + counts["doubled"] + counts["other"] + counts["no set"] + counts["no path"] + counts[
        "no object"
    ] == len(rows)
    wanted = {
        "doubled": counts["doubled"],
        "another benchmark": counts["other"],
        "unknown set": counts["no set"],
        "not readable": counts["no path"] + counts["no object"] + counts["number"],
        "error": counts["error"],
        "empty": counts["empty"],
    }
    assert told == {kind: count for kind, count in wanted.items() if count}


@settings(deadline=None)
@given(st.binary(max_size=200) | st.binary(max_size=60).map(b'[{"model_response": "x"},'.__add__))
def test_no_file_is_more_than_an_error(tmp_path_factory, content):
    file = tmp_path_factory.mktemp("x") / "x"
    good = write(file.with_name("good.json"), [answered(question("rafdb", 1))])
    file.write_bytes(content)
    try:
        found = load([good, file])
    except FerError as err:
        assert (err.where, err.hint) == (str(file), INSTALL)  # it begins as a sheet does
        return
    assert found.table.num_rows == 1
    assert sum(kinds(found).values()) >= 1


# The real benchmark


def test_the_whole_of_rafdb(real_data, tmp_path):
    asked = json.loads((real_data / "ferbench" / "rafdb_qa.json").read_text())
    file = write(tmp_path / "x.json", [answered(row) for row in asked])
    for bench in ([], [real_data / "ferbench" / "rafdb_qa.json"]):
        found = load([file], bench=bench)
        assert found.table["image_path"].to_pylist() == [row["image_path"] for row in asked]
        assert found.problems == []
    found = load([write(tmp_path / "y.json", [answered(row) for row in asked if row["true_label"] != "fear"])])
    assert found.problems == [Problem("missing", "rafdb", 74, "2,994 of 3,068 rows are there; missing: fear 74")]
