"""What a review leaves of a dataset: every rule with exact counts, and the same bytes however it is made."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from conftest import Ran, fer_build
from reviewed import copy_of, decided, drops_of, rows_of

from ferbuild.builders.mark import read_mark
from ferbuild.builders.reviewing import log
from ferbuild.builders.reviewing.fates import Fate, Review, of_row
from ferbuild.builders.reviewing.standing import Outcome
from ferbuild.training.data_checks import check_data, open_data

REVIEWED = "-reviewed"


@pytest.fixture
def work(demo, tmp_path) -> Path:
    return copy_of(demo, tmp_path / "fer-data")


@pytest.fixture
def apply(demo, work, tmp_path):
    """`fer-build apply-review --json` on the copy."""

    def call(*words: object) -> Ran:
        return fer_build("apply-review", *words, "--json", "--config", demo.config, "--work", work, cwd=tmp_path)

    return call


def ids(folder: Path) -> list[str]:
    return [row["id"] for row in rows_of(folder, "image" if "faces" in folder.name else "images")]


def why(folder: Path) -> dict[str, tuple[str, str]]:
    return {row["id"]: (row["reason"], row["detail"]) for row in drops_of(folder)}


def sums(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def figure(found: dict, name: str) -> int:
    return next(row["rows"] for row in found["tables"]["review"] if row["decided"] == name)


def test_of_rationales_what_was_rejected_relabelled_or_shows_such_a_face_goes(work, apply):
    a, b, c, d, e, f, *rest = ids(work / "cot")
    key = read_mark(work / "cot").key
    decided(work, "cot", ("anna", a, "reject"), ("anna", a, "note says nothing"), ("anna", b, "relabel fear"), key=key)
    decided(work, "cot", ("anna", c, "accept"), ("anna", f, "reject"), ("anna", f, "undo"), key=key)
    decided(work, "faces", ("ben", c, "reject"), ("ben", c, "note blurred"), ("ben", d, "relabel anger"))
    decided(work, "faces", ("ben", e, "accept"), ("ben", b, "reject"))
    ran = apply("cot")
    assert ran.code == 0, ran.err
    assert (ran.json["stage"], ran.json["in"], ran.json["kept"]) == ("cot-reviewed", 62, 58)
    assert ran.json["dropped"] == {
        "its face was rejected in review": 1,
        "its face was relabelled in review": 1,
        "rejected in review": 1,
        "relabelled in review": 1,
    }
    assert "findings" not in ran.json
    assert why(work / "cot-reviewed") == {
        a: ("rejected in review", "says nothing"),
        b: ("relabelled in review", "fear"),
        c: ("its face was rejected in review", f"{c}; blurred"),
        d: ("its face was relabelled in review", f"{d}; anger"),
    }
    assert ids(work / "cot-reviewed") == [e, f, *rest]
    kept = {row["id"]: row for row in rows_of(work / "cot")}
    assert all(row == kept[row["id"]] for row in rows_of(work / "cot-reviewed"))
    assert [figure(ran.json, f"rows: {name}") for name in ("accept", "reject", "relabel", "disagree")] == [1, 1, 1, 0]
    assert figure(ran.json, "rows decided on another build that are still here") == 0
    assert drops_of(work / "cot-reviewed")[0]["rel_path"] == kept[a]["faces"][0]["rel_path"]
    assert "What a review by people leaves of the dataset `cot`" in (work / "cot-reviewed" / "README.md").read_text()


def test_of_questions_the_same_rules_hold(work, apply):
    a, b, c, *rest = ids(work / "rlvr")
    decided(work, "rlvr", ("anna", a, "reject"), ("anna", b, "relabel contempt"))
    decided(work, "faces", ("anna", c, "reject"))
    ran = apply("rlvr")
    assert (ran.code, ran.json["in"], ran.json["kept"]) == (0, 264, 261)
    assert [reason for reason, _ in why(work / "rlvr-reviewed").values()] == [
        "rejected in review", "relabelled in review", "its face was rejected in review",
    ]  # fmt: skip
    assert ids(work / "rlvr-reviewed") == rest


def test_faces_get_their_new_label_in_the_words_of_their_source(work, apply):
    rows = rows_of(work / "faces", "image")
    train = [row for row in rows if row["split"] == "train"]
    plus = next(row for row in train if row["source"] == "ferplus" and row["canonical"] != "happiness")
    raf = next(row for row in train if row["source"] == "rafdb" and row["canonical"] != "contempt")
    gone = next(row for row in train if row not in (plus, raf))
    said = [("anna", plus["id"], "relabel happiness"), ("anna", raf["id"], "relabel contempt")]
    decided(work, "faces", *said, ("anna", gone["id"], "reject"))
    ran = apply("faces")
    assert (ran.code, ran.json["kept"], ran.json["dropped"]) == (0, 368, {"rejected in review": 1})
    new = {row["id"]: row for row in rows_of(work / "faces-reviewed", "image")}
    for row, label in ((plus, "happy"), (raf, "contempt")):  # RAF-DB has no word for contempt
        told = {"canonical": "happiness" if row is plus else "contempt", "label": label, "label_rule": "review"}
        assert new[row["id"]] == row | told
    assert all(new[row["id"]] == row for row in rows if row not in (plus, raf, gone))
    assert gone["id"] not in new


def test_a_benchmarks_faces_stay_whatever_was_decided(work, apply):
    tested = [
        row["id"] for row in rows_of(work / "faces", "image") if (row["source"], row["split"]) == ("rafdb", "test")
    ]
    decided(work, "faces", ("anna", tested[0], "reject"), ("anna", tested[1], "relabel contempt"))
    ran = apply("faces")
    assert (ran.code, ran.json["kept"], ran.json["dropped"]) == (0, 369, {})
    assert ran.json["findings"] == {"rejected in review": 1, "relabelled in review": 1}
    assert rows_of(work / "faces-reviewed", "image") == rows_of(work / "faces", "image")


def test_a_disagreement_keeps_the_row_and_says_so_or_drops_it_and_settling_ends_it(work, apply):
    a, b, *rest = ids(work / "cot")
    decided(work, "cot", ("anna", a, "accept"), ("ben", a, "reject"))
    decided(work, "faces", ("anna", b, "accept"), ("ben", b, "relabel fear"))
    ran = apply("cot")
    assert (ran.code, ran.json["kept"], ran.json["findings"]) == (1, 62, {"reviewers disagree": 2})
    dropping = apply("cot", "--on-disagreement", "drop")
    assert (dropping.code, dropping.json["kept"], dropping.json["dropped"]) == (0, 60, {"reviewers disagree": 2})
    assert why(work / "cot-reviewed") == {
        a: ("reviewers disagree", "anna: accept; ben: reject"),
        b: ("reviewers disagree", f"face {b}; anna: accept; ben: relabel fear"),
    }
    decided(work, "cot", ("cleo", a, "reject settles"))
    decided(work, "faces", ("cleo", b, "accept settles"))
    settled = apply("cot")
    assert (settled.code, settled.json["dropped"]) == (0, {"rejected in review": 1})
    assert ids(work / "cot-reviewed") == [b, *rest]


def test_decisions_about_another_build_count_and_are_told(work, apply):
    a, b, *_ = ids(work / "cot")
    decided(work, "cot", ("anna", a, "reject"), ("anna", "0123456789abcdef", "reject"), key="older")
    decided(work, "cot", ("anna", b, "accept"), key=read_mark(work / "cot").key)
    found = apply("cot").json
    assert found["dropped"] == {"rejected in review": 1}
    assert figure(found, "rows of another build that are no longer here") == 1
    assert figure(found, "rows decided on another build that are still here") == 1


def test_the_bytes_are_the_same_whatever_the_workers_and_it_is_made_once(work, apply):
    rows = ids(work / "rlvr")
    decided(work, "rlvr", *(("anna", row, "reject") for row in rows[::7]))
    made = apply("rlvr", "--workers", 1)
    one = sums(work / "rlvr-reviewed")
    assert made.json["kept"] == 264 - len(rows[::7])
    assert apply("rlvr", "--workers", 3).json["reused"] is True
    (work / "rlvr-reviewed" / "stage.json").unlink()
    for path in sorted((work / "rlvr-reviewed").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    assert apply("rlvr", "--workers", 3).json["reused"] is False
    assert sums(work / "rlvr-reviewed") == one


def test_a_new_decision_or_a_rebuilt_dataset_makes_it_stale(demo, work, apply, tmp_path):
    a, b, *_ = ids(work / "cot")
    decided(work, "cot", ("anna", a, "reject"))
    assert apply("cot").json["kept"] == 61

    def state() -> str:
        found = fer_build("status", "--json", "--config", demo.config, "--work", work, cwd=tmp_path).json["stages"]
        return found["cot-reviewed"]["state"]

    assert state() == "built"
    decided(work, "cot", ("anna", b, "note only a note"))
    assert state() == "built"
    decided(work, "cot", ("anna", b, "reject"))
    assert state() == "stale"
    assert apply("cot").json["kept"] == 60
    mark = json.loads((work / "cot" / "stage.json").read_text())
    (work / "cot" / "stage.json").write_text(json.dumps(mark | {"key": "f" * 32}))
    assert state() == "stale"


def test_other_commands_take_what_a_review_leaves(demo, work, apply, tmp_path):
    rows = ids(work / "cot")
    decided(work, "cot", ("anna", rows[0], "reject"))
    assert apply("cot").code == 0
    around = ("--config", demo.config, "--work", work)
    verified = fer_build("verify", "cot-reviewed", "--json", *around, cwd=tmp_path)
    assert (verified.code, verified.json["rows"], verified.json["faults"]) == (0, 61, [])
    exported = fer_build("export", "cot-reviewed", "--to", "swift", "--out", "out", "--json", *around, cwd=tmp_path)
    assert exported.json["files"] == {"cot-reviewed_train.jsonl": 61}
    published = fer_build("publish", "cot-reviewed", "--baseline", "--json", *around, cwd=tmp_path)
    assert (published.json["dataset"], published.json["rows"]) == ("cot-reviewed", {"train": 61})
    edition = json.loads((work / "edition" / "cot-reviewed" / "edition.json").read_text())
    assert edition["upstream"]["cot"]["kept"] == 62 and edition["teacher"]["name"] == "geometry"
    decided(work, "cot", ("anna", rows[1], "reject"))
    stale = fer_build("publish", "cot-reviewed", "--baseline", *around, cwd=tmp_path)
    assert stale.code == 2 and "run `fer-build apply-review cot` first" in stale.err
    data = open_data(str(work / "cot-reviewed"), "sft", "train", None)
    check_data(data, "sft", 61)
    assert len(data.train) == 61


def test_of_two_faces_the_worst_decision_counts_and_of_a_row_its_own():
    reject, accept = Outcome("reject", None, "", settled=False), Outcome("accept", None, "", settled=False)
    fear, apart = Outcome("relabel", "fear", "", settled=False), Outcome("disagree", None, "", settled=False)

    def fate(own: Outcome | None, first: Outcome, second: Outcome) -> Fate | None:
        review = Review({"row": own} if own else {}, {"one": first, "two": second}, {})
        return of_row("row", ["one", "two"], review, labels=False, safe=False, drops=False)

    assert fate(None, fear, reject) == ("its face was rejected in review", "two", "", True)
    assert fate(None, apart, fear) == ("its face was relabelled in review", "two; fear", "", True)
    assert fate(None, accept, apart) == ("reviewers disagree", "face two", "", False)
    assert fate(None, accept, accept) is None
    assert fate(fear, reject, reject)[:2] == ("relabelled in review", "fear")
    assert fate(accept, reject, accept)[:2] == ("its face was rejected in review", "one")
    assert fate(apart, accept, reject)[:2] == ("its face was rejected in review", "two")
    assert fate(apart, accept, accept)[:2] == ("reviewers disagree", "")


@pytest.mark.parametrize(
    ("dataset", "told"),
    [
        ("ferbench", "a benchmark is never thinned"), ("drops", "fer-build review drops --summary"),
        ("cott", "did you mean 'cot'"), ("measures", "is no dataset that a review is applied to"),
        ("cot-direct", "is not built"), ("cot", "nothing was decided yet"),
    ],
)  # fmt: skip
def test_what_cannot_be_applied_is_said_and_nothing_is_written(work, apply, dataset, told):
    ran = apply(dataset)
    assert ran.code == 2 and told in ran.err + ran.out
    assert not [path for path in work.iterdir() if path.name.endswith(REVIEWED)]


def test_the_log_outlives_a_rebuild(work, apply):
    rows = ids(work / "cot")
    decided(work, "cot", ("anna", rows[0], "reject"))
    before = log.path_of(work, "cot").read_bytes()
    apply("cot")
    assert log.path_of(work, "cot").read_bytes() == before
