"""A student is asked every question: what it is asked, what its pass rates keep, and who asks again."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from asked import outcomes, served, stored_keys, stub
from conftest import fer_build  # noqa: F401  the folder of the tests is on the path by it
from hypothesis import given
from hypothesis import strategies as some
from small_questions import LABELS, build_of, home, many, question, questions_of, run, student
from test_promises import project

from ferbuild.builders import difficulty, passing, replies, rlvr, shards
from ferbuild.builders.difficulty import Questions
from ferbuild.builders.errors import FerError
from ferbuild.builders.mark import read_mark
from ferbuild.builders.passing import POINTS, balance_of, band_of
from ferbuild.builders.record import RLVR
from ferbuild.builders.replies import GAVE_UP, Record, Reply
from ferbuild.builders.teacher import AskOptions


def text_of(answer: str) -> str:
    return f"<think>wide eyes</think><answer>{answer}</answer>"


def fill(folder: Path, rows, say, *, samples: int = 4) -> None:
    """Store `say(row, sample)` as the reply to every request; None leaves it out."""
    build = build_of(folder)
    made = questions_of(build, rows)
    made.run(difficulty.apart(build, made.plan))  # where they are stale the server is looked for
    asking = difficulty.asking_of(build, {"pass_rate": student(folder), "samples": samples})
    teacher, known, records = asking.open(), {row["id"]: row for row in rows}, []
    for request in difficulty.requests(pa.Table.from_pylist(rows, schema=RLVR), asking):
        said = say(known[request.id], request.sample)
        if said is not None:
            reply = said if isinstance(said, Reply) else Reply(said, "stop", "ok")
            records.append(Record(teacher.key(request), "student", "stub-vl", reply, {}, 1, "", "2026"))
    with replies.asking(folder / "fer-data" / "replies.sqlite") as store:
        store.put(records)


def other(row, turn: int = 0) -> str:
    """Return a wrong label, another one every turn."""
    wrong = [label for label in LABELS if label != row["label"]]
    return wrong[turn % len(wrong)]


def right_at(counts):
    """Return what answers rightly as often as `counts` says of a question's place in its class, else by turns."""

    def say(row, sample):
        place = int(row["faces"][0]["rel_path"].partition("/")[2].partition(".")[0])
        return text_of(row["answer"] if sample < counts(row["label"], place) else other(row, sample))

    return say


def rows_of(folder: Path, split: str = "train", name: str = "rlvr") -> list[dict]:
    files = shards.split_files(folder / "fer-data" / name).get(split, [])
    return [row for path in files for row in shards.read_stream(path).to_pylist()]


def drops_of(folder: Path) -> list[dict]:
    return [row for table in shards.read_drops(folder / "fer-data" / "rlvr") for row in table.to_pylist()]


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def folder(tmp_path) -> Path:
    return home(tmp_path / "home")


# --- the band


def test_the_ends_of_the_band_are_in_it_and_every_row_is_told_of(folder):
    rows = many({"happiness": 60})
    fill(folder, rows, right_at(lambda label, place: place % 6), samples=5)
    report = run(folder, rows, samples=5)
    assert (report.rows_in, report.kept, report.complete) == (60, 40, True)
    assert report.dropped == {"too easy": 10, "too hard": 10} and report.splits == {"train": 40}
    kept = rows_of(folder)
    assert Counter(round(row["pass_rate"] * 5) for row in kept) == {1: 10, 2: 10, 3: 10, 4: 10}
    gone = {row["id"]: (row["reason"], row["detail"]) for row in drops_of(folder)}
    assert Counter(gone.values()) == {("too easy", "5 of 5 right"): 10, ("too hard", "0 of 5 right"): 10}
    assert gone.keys().isdisjoint({row["id"] for row in kept})
    assert {row["student"] for row in kept} == {"stub-vl"} and {row["samples"] for row in kept} == {5}
    assert all(row["difficulty"] == float(np.float32(1 - round(row["pass_rate"] * 5) / 5)) for row in kept)
    assert all(row["majority"] == row["label"] and row["majority_share"] == row["pass_rate"]
               for row in kept if row["pass_rate"] > 0.5)  # fmt: skip


def test_the_questions_stay_what_they_were(folder):
    rows = many({"happiness": 20, "fear": 20})
    fill(folder, rows, right_at(lambda label, place: 1 + place % 3))
    run(folder, rows, samples=4)
    asked = {row["id"]: row for row in rows_of(folder, name="questions")}
    assert [row["id"] for row in rows_of(folder)] == [row["id"] for row in rows] == list(asked)
    own = {"pass_rate", "difficulty", "curriculum"}
    for row in rows_of(folder):
        assert {name: row[name] for name in RLVR.names if name not in own} == {
            name: value for name, value in asked[row["id"]].items() if name not in own
        }
        assert all(asked[row["id"]][name] is None for name in own)
    assert shards.read_stream(next((folder / "fer-data" / "rlvr" / "train").glob("*.arrow"))).schema.names == [
        *RLVR.names, "student", "samples", "majority", "majority_share",
    ]  # fmt: skip


@given(some.integers(2, 400), some.data(), some.fractions(0, 1, max_denominator=1000))
def test_no_count_is_lost_by_rounding(samples, data, edge):
    count = data.draw(some.integers(0, samples))
    stored = np.float32(count / samples)
    points = round(float(stored) * samples * POINTS)
    assert points == count * POINTS
    for low, high in ((edge, Fraction(1)), (Fraction(0), edge)):
        least, most = passing.Band(low, high).points(samples)
        assert (least <= points <= most) is (low <= Fraction(count, samples) <= high)


@pytest.mark.parametrize(
    ("text", "said"), [("0.2-0.8", "0.2-0.8"), (".25 - 1", "0.25-1"), ("0-0", "0-0"), ("0.125-0.875", "0.125-0.875")]
)
def test_a_band_is_read(text, said):
    assert str(band_of(text)) == said and band_of(said) == band_of(text)


@pytest.mark.parametrize("text", ["", "0.8", "0.8-0.2", "0.2-1.1", "20-80", "a-b", "-0.2-0.8", "0.2-0.8-0.9"])
def test_what_is_no_band_is_told(text):
    with pytest.raises(FerError) as caught:
        band_of(text)
    assert caught.value.hint == "write the least and the most, as in 0.2-0.8"


# --- every class survives


def test_a_rare_class_that_the_student_fails_at_is_kept_from(folder):
    """The easy class fills the band; of the hard one only the two nearest to it are in, and it gets its half share."""
    rows = many({"happiness": 100, "contempt": 20})
    hard = dict.fromkeys(range(2), 1) | dict.fromkeys(range(2, 20), 0)
    fill(folder, rows, right_at(lambda label, place: 2 if label == "happiness" and place < 70 else 0 if
                                label == "happiness" else hard[place]))  # fmt: skip
    report = run(folder, rows, samples=4)
    classes = {row["class"]: row for row in report.tables["difficulty"]}
    # 72 of 120 lie in the band: three of ten of every class are to stay
    assert (classes["happiness"]["in band"], classes["happiness"]["at least"], classes["happiness"]["kept"]) == (
        70,
        30,
        70,
    )
    assert (classes["contempt"]["in band"], classes["contempt"]["at least"], classes["contempt"]["kept"]) == (2, 6, 6)
    assert (classes["happiness"]["widened to"], classes["contempt"]["widened to"]) == ("0.2-0.8", "0.0-0.8")
    kept = Counter((row["canonical"], row["pass_rate"]) for row in rows_of(folder))
    assert kept == {("happiness", 0.5): 70, ("contempt", 0.25): 2, ("contempt", 0.0): 4}
    assert report.dropped == {"too hard": 44}
    assert list(difficulty.told(report)) == ["too few in the band, taken from a wider one: choose contempt 0.0-0.8"]


def test_the_nearest_to_the_band_come_first_from_either_side(folder):
    rows = many({"happiness": 80, "fear": 8})
    easy = {0: 0, 1: 0, 2: 0, 3: 10, 4: 10, 5: 10, 6: 9, 7: 1}
    fill(folder, rows, right_at(lambda label, place: 5 if label == "happiness" else easy[place]), samples=10)
    report = run(folder, rows, samples=10, keep="0.3-0.8")
    # 80 of 88 are in the band, so that 4 of 8 are to stay: 9 of 10 is one away, then 1 and 10 of 10 are two away
    fear = [round(row["pass_rate"] * 10) for row in rows_of(folder) if row["canonical"] == "fear"]
    assert len(fear) == 4 and 9 in fear and 0 not in fear and set(fear) <= {1, 9, 10}
    assert report.dropped["too hard"] + report.dropped["too easy"] == 4


def test_where_the_band_keeps_nothing_no_class_is_widened(folder):
    rows = many({"happiness": 10, "fear": 10})
    fill(folder, rows, right_at(lambda label, place: 4 if label == "happiness" else 0))
    report = run(folder, rows, samples=4)
    assert (report.kept, report.dropped, report.splits) == (0, {"too easy": 10, "too hard": 10}, {})


def test_a_student_whose_skill_differs_by_class(folder, tmp_path):
    """A served student, right nine times of ten on one class and hardly ever on another: all classes survive."""
    counts = {"happiness": 120, "neutral": 60, "fear": 40, "contempt": 10}
    rows = many(counts)
    noise = {hashlib.sha256(row["images"][0]["bytes"]).hexdigest(): row["label"] for row in rows}
    (tmp_path / "noise.json").write_text(json.dumps(noise))
    log = tmp_path / "log"
    with stub(log, noise=tmp_path / "noise.json", right="happiness=0.93,neutral=0.5,fear=0.35,contempt=0.02") as port:
        student(folder, port)
        report = run(folder, rows, samples=8)
    assert sum(served(log).values()) == 8 * len(rows)
    assert report.rows_in == report.kept + sum(report.dropped.values()) == len(rows) and report.complete
    kept, classes = Counter(row["canonical"] for row in rows_of(folder)), report.tables["difficulty"]
    inside, left = (sum(row[name] for row in classes) for name in ("in band", "asked"))
    left -= sum(row["suspects"] for row in classes)
    for row in classes:
        own = counts[row["class"]] - row["suspects"]
        assert row["at least"] == -(-own * inside // (2 * left)) > 0
        assert kept[row["class"]] == row["kept"] == max(row["in band"], row["at least"])
    assert next(row for row in classes if row["class"] == "contempt")["in band"] == 0 < kept["contempt"]
    rates = [row["pass rate"] for row in sorted(classes, key=lambda row: counts[row["class"]])]
    assert rates == sorted(rates)


# --- likely label errors


def doubting(share: Fraction, agreed: int):
    """Return what is wrong on that share of every class, `agreed` of eight alike, and right half the time elsewhere."""

    def say(row, sample):
        place = int(row["faces"][0]["rel_path"].partition("/")[2].partition(".")[0])
        if place % share.denominator < share.numerator:
            return text_of(other(row, 0 if sample < agreed else 1))
        return text_of(row["answer"] if sample % 2 else other(row))

    return say


def test_confident_and_always_wrong_goes_to_the_suspects_and_not_to_the_drops(folder):
    rows = many({"happiness": 20, "fear": 10})
    fill(folder, rows, doubting(Fraction(1, 5), 6), samples=8)
    report = run(folder, rows, samples=8)
    assert (report.kept, report.dropped, report.splits) == (30, {}, {"train": 24, "suspects": 6})
    found = rows_of(folder, "suspects")
    assert all((row["pass_rate"], row["majority_share"], row["curriculum"]) == (0, 0.75, None) for row in found)
    assert all(row["majority"] == other(row) for row in found)
    assert {row["id"] for row in found}.isdisjoint({row["id"] for row in rows_of(folder)})
    assert list(difficulty.told(report)) == ["6 likely label errors, in split suspects"]
    assert "| suspects | 6 |" in (folder / "fer-data" / "rlvr" / "README.md").read_text()
    again = run(folder, rows, samples=8)
    assert again.reused and again.tables == report.tables


def test_five_of_eight_are_not_confident(folder):
    rows = many({"happiness": 20})
    fill(folder, rows, doubting(Fraction(1, 5), 5), samples=8)
    report = run(folder, rows, samples=8)
    assert (report.dropped, report.splits) == ({"too hard": 4}, {"train": 16})


def test_two_samples_call_no_label_into_question(folder):
    rows = many({"happiness": 20})
    fill(folder, rows, lambda row, sample: text_of(row["answer"] if sample and row is not rows[0] else other(row)),
         samples=2)  # fmt: skip
    report = run(folder, rows, samples=2)
    assert (report.dropped, report.splits) == ({"too hard": 1}, {"train": 19})


def test_a_class_that_the_student_does_not_know_is_not_full_of_errors(folder):
    rows = many({"happiness": 40, "contempt": 10})

    def say(row, sample):
        place = int(row["faces"][0]["rel_path"].partition("/")[2].partition(".")[0])
        known = row["label"] == "happiness" or place >= 6
        return text_of(row["answer"] if known and sample % 2 else "neutral")

    fill(folder, rows, say)
    report = run(folder, rows, samples=4)
    classes = {row["class"]: row for row in report.tables["difficulty"]}
    assert (classes["contempt"]["always wrong alike"], classes["contempt"]["suspects"]) == (6, 0)
    assert (classes["contempt"]["at least"], classes["contempt"]["kept"]) == (5, 5)
    assert (report.dropped, report.splits) == ({"too hard": 5}, {"train": 45})
    assert list(difficulty.told(report))[-1] == (
        "mostly answered alike and wrong, which calls no label into question: choose contempt"
    )


# --- balance and curriculum


@pytest.mark.parametrize(
    ("balance", "left"), [("", 100), ("label", 10 + 20 + 20), ("label:1", 30), ("label:2.5", 10 + 25 + 25)]
)
def test_no_class_is_much_larger_than_the_smallest(folder, balance, left):
    rows = many({"happiness": 60, "neutral": 30, "fear": 10})
    fill(folder, rows, right_at(lambda label, place: 2))
    report = run(folder, rows, samples=4, balance=balance)
    assert report.kept == left and report.dropped == ({"balanced away": 100 - left} if balance else {})
    found = rows_of(folder)
    assert [row["id"] for row in rows if row["id"] in {one["id"] for one in found}] == [row["id"] for row in found]
    told = {row["class"]: (row["balanced away"], row["kept"]) for row in report.tables["difficulty"]}
    assert all(sum(told[label]) == count for label, count in {"happiness": 60, "neutral": 30, "fear": 10}.items())


def test_sources_are_balanced_of_each_kind_alone(folder):
    own = [question(f"{at}.png", "fear", source="a") for at in range(30)]
    own += [question(f"{at}.png", "fear", source="b") for at in range(5)]
    own += [question(f"{at}.png", "fear", source="a", kind="pair", choices=["fear", "neutral"]) for at in range(12)]
    fill(folder, own, lambda row, sample: text_of("fear" if sample % 2 else "neutral"))
    report = run(folder, own, samples=4, balance="source")
    assert report.dropped == {"balanced away": 20}
    told = {(row["kind"], row["source"]): (row["asked"], row["kept"]) for row in report.tables["source"]}
    assert told == {("choose", "a"): (30, 10), ("choose", "b"): (5, 5), ("pair", "a"): (12, 12)}


def test_another_seed_draws_others(tmp_path):
    kept = []
    for seed in (0, 0, 1):
        folder = home(tmp_path / f"{len(kept)}", seed=seed)
        rows = many({"happiness": 60, "fear": 10})
        fill(folder, rows, right_at(lambda label, place: 2))
        run(folder, rows, samples=4, balance="label:1")
        kept.append({row["id"] for row in rows_of(folder)})
    assert kept[0] == kept[1] != kept[2] and len(kept[2]) == 20


@pytest.mark.parametrize("text", ["class", "label:0.5", "label:", "source:x", "label,source"])
def test_what_is_no_balance_is_told(text):
    with pytest.raises(FerError) as caught:
        balance_of(text)
    assert caught.value.where == f"--balance {text}"


def test_the_curriculum_counts_tenths_from_the_easiest(folder):
    rows = many({"happiness": 47, "fear": 28})
    fill(folder, rows, right_at(lambda label, place: 1 + place % 3))
    report = run(folder, rows, samples=4)
    found = rows_of(folder)
    assert [row["id"] for row in found] == [row["id"] for row in rows]
    order = sorted(found, key=lambda row: (row["difficulty"], row["id"]))
    assert [row["curriculum"] for row in order] == [at * 10 // 75 for at in range(75)]
    table = report.tables["curriculum"]
    assert [(row["curriculum"], row["questions"]) for row in table] == [
        (step, sum(at * 10 // 75 == step for at in range(75))) for step in range(10)
    ]
    assert (table[0]["to"], table[-1]["from"]) == (0.75, 0.25)
    assert report.tables["pass rate"] == [
        {"right": right, "of": 4, "questions": count, "kept": count}
        for right, count in sorted(Counter(round(row["pass_rate"] * 4) for row in found).items())
    ]


# --- asking


def test_nothing_is_asked_twice_when_only_the_choice_changes(folder, tmp_path):
    rows, log = many({"happiness": 30}), tmp_path / "log"
    with stub(log, say=text_of("happiness")) as port:
        student(folder, port)
        first = run(folder, rows, samples=4)
        assert (first.dropped, sum(served(log).values())) == ({"too easy": 30}, 120)
        # all is stored: the server may be gone, and is not looked for
    report = run(folder, rows, samples=4, keep="0.5-1")
    assert (report.kept, report.dropped, sum(served(log).values())) == (30, {}, 120)
    balanced = run(folder, rows, samples=4, keep="0.5-1", balance="label")
    assert not balanced.reused and balanced.kept == 30
    assert run(folder, rows, samples=4, keep="0.5-1", balance="label").reused


def test_fewer_samples_are_among_the_more(folder, tmp_path):
    rows, log = many({"happiness": 10}), tmp_path / "log"
    with stub(log, say=text_of("happiness")) as port:
        student(folder, port)
        run(folder, rows, samples=4)
        run(folder, rows, samples=6)
        run(folder, rows, samples=3)
    assert sum(served(log).values()) == 60


def test_what_was_not_answered_is_dropped_until_it_is(folder, tmp_path):
    rows, log = many({"happiness": 40}), tmp_path / "log"
    with stub(log, faults=0.2, kinds="400", patience=99, say=text_of("fear")) as port:
        student(folder, port)
        report = run(folder, rows, samples=2)
    lacking = report.dropped["teacher gave up"]
    assert not report.complete and 0 < lacking < 40
    assert report.rows_in == 40 == report.kept + sum(report.dropped.values())
    assert {row["detail"] for row in drops_of(folder) if row["reason"] == "teacher gave up"} == {
        "the next run asks again"
    }
    with stub(log, say=text_of("happiness")) as port:
        student(folder, port)
        report = run(folder, rows, samples=2)
    assert report.complete and "teacher gave up" not in report.dropped and outcomes(
        folder / "fer-data" / "replies.sqlite"
    ) == {"ok": 80}  # fmt: skip


def test_a_row_with_a_reply_too_few_is_told_as_not_asked(folder):
    rows = many({"happiness": 6})
    fill(folder, rows, lambda row, sample: text_of("happiness") if sample or row is not rows[2] else
         Reply("", "", GAVE_UP, "HTTP 400"))  # fmt: skip
    build = build_of(folder)
    asking = difficulty.asking_of(build, {"pass_rate": str(folder / "student.yaml"), "samples": 4})
    made = questions_of(build, rows)
    made.run(difficulty.apart(build, made.plan))
    batch = difficulty.rated_batch(shards.slices(folder / "fer-data" / "questions", 100)[0], asking=asking)
    assert (batch.unanswered, batch.taken) == (1, 5)
    assert batch.drops.select(["id", "source", "reason"]).to_pylist() == [
        {"id": rows[2]["id"], "source": "mine", "reason": "teacher gave up"}
    ]
    more = difficulty.rated_batch(
        shards.slices(folder / "fer-data" / "questions", 100)[0], asking=asking._replace(samples=5)
    )
    assert more.unanswered == 6 and set(more.drops["reason"].to_pylist()) == {"not asked", "teacher gave up"}


def test_the_number_of_workers_changes_no_byte(folder, monkeypatch):
    monkeypatch.setattr(difficulty, "PART_ROWS", 25)
    rows = many({"happiness": 90, "fear": 40, "contempt": 20})
    fill(folder, rows, doubting(Fraction(1, 4), 4))
    found = []
    for workers in (1, 2):
        build = build_of(folder, workers=workers)
        report = run(folder, rows, build=build, samples=4, balance="label")
        assert report.splits.keys() == {"train", "suspects"} and not report.reused
        found.append(everything(folder / "fer-data" / "rlvr"))
        shutil.rmtree(folder / "fer-data" / "rlvr")
    assert found[0] == found[1]


def test_killed_in_the_middle_of_asking_it_goes_on(folder, tmp_path):
    log, store, rows = tmp_path / "log", folder / "fer-data" / "replies.sqlite", many({"happiness": 60, "fear": 40})
    with stub(log, delay_ms=150, say=text_of("fear")) as port:
        student(folder, port)
        script = Path(__file__).with_name("small_questions.py")
        with subprocess.Popen([sys.executable, str(script), str(folder)], stderr=subprocess.DEVNULL) as process:
            end = time.monotonic() + 60
            while not store.exists() or outcomes_now(store) < 100:
                assert time.monotonic() < end
                time.sleep(0.02)
            process.kill()
        time.sleep(0.5)  # what was in flight is answered, and nobody takes it
        assert not (folder / "fer-data" / "rlvr").exists()
        there, before = len(stored_keys(store)), sum(served(log).values())
        assert 100 <= there < 400
        report = run(folder, rows, samples=4)
        assert sum(served(log).values()) - before == 400 - there
    assert report.complete and report.rows_in == 100 == report.kept + sum(report.dropped.values())
    whole = everything(folder / "fer-data" / "rlvr")
    shutil.rmtree(folder / "fer-data" / "rlvr")
    run(folder, rows, samples=4)
    assert everything(folder / "fer-data" / "rlvr") == whole


def outcomes_now(store: Path) -> int:
    try:
        return len(stored_keys(store))
    except Exception:  # the table is not there yet
        return 0


# --- kinds


def test_any_kind_is_asked_with_all_its_pictures_and_verified_by_its_own_rule(folder, monkeypatch):
    two = [{"bytes": b"one", "path": "1"}, {"bytes": b"two", "path": "2"}]
    shares = {"choices": ["happiness", "neutral"], "answer": "happiness 70, neutral 30", "soft": [0.7, 0.3]}
    rows = [
        question("a.png", "fear", kind="letter", choices=["A", "B"], answer="B", solution="<answer>B</answer>"),
        question("b.png", "fear", kind="odd", choices=["same", "different"], answer="same", images=two,
                 canonical=None),
        question("c.png", "happiness", kind="distribution", **shares),
        question("d.png", "happiness", kind="distribution", **shares),
    ]  # fmt: skip
    said = {
        rows[0]["id"]: ["A", "B", "b.", "A"], rows[1]["id"]: ["same", "different"] * 2,
        rows[2]["id"]: ["happiness 70, neutral 30"] * 4, rows[3]["id"]: ["happiness", "happiness 20%, neutral 80%"] * 2,
    }  # fmt: skip
    fill(folder, rows, lambda row, sample: text_of(said[row["id"]][sample]))
    report = run(folder, rows, samples=4, keep="0.3-0.8")
    found = {row["kind"]: row for row in rows_of(folder)}
    assert {kind: row["pass_rate"] for kind, row in found.items()} == {
        "letter": 0.5, "odd": 0.5, "distribution": pytest.approx((0 + 0.75) / 2),
    }  # fmt: skip
    assert found["distribution"]["majority"] is None and found["letter"]["majority"] in ("A", "B")
    assert [image["bytes"] for image in found["odd"]["images"]] == [b"one", b"two"]
    assert report.dropped == {"too easy": 1}
    assert {(row["kind"], row["class"]) for row in report.tables["difficulty"]} == {
        ("letter", "fear"), ("odd", ""), ("distribution", "happiness"),
    }  # fmt: skip
    asking = difficulty.asking_of(build_of(folder), {"pass_rate": str(folder / "student.yaml")})
    [pair] = {one.images for one in difficulty.requests(pa.Table.from_pylist(rows[1:2], schema=RLVR), asking)}
    assert pair == (b"one", b"two")


def test_a_kind_that_nothing_verifies_is_an_error(folder):
    rows = [question("a.png", "fear", kind="riddle")]
    fill(folder, rows, lambda row, sample: text_of("fear"))
    with pytest.raises(FerError) as caught:
        run(folder, rows, samples=4)
    assert "'riddle', which nothing verifies" in caught.value.problem


def test_a_request_tells_nothing_of_the_answer():
    rows = many({"fear": 3})
    changed = [row | {"answer": "neutral", "label": "neutral", "canonical": "neutral", "solution": "x"} for row in rows]
    asking = difficulty.Asking(None, Path("none"), 3)
    one, two = (list(difficulty.requests(pa.Table.from_pylist(x, schema=RLVR), asking)) for x in (rows, changed))
    assert one == two and [request.sample for request in one] == [0, 1, 2] * 3


# --- who is asked


@pytest.mark.parametrize(
    ("flags", "where"),
    [
        ({"samples": 1}, "--samples 1"),
        ({"pass_rate": "geometry"}, "--pass-rate geometry"),
        ({"pass_rate": "majority"}, "--pass-rate majority"),
        ({"pass_rate": "nobody"}, "--pass-rate nobody"),
        ({"keep": "1-0"}, "--keep 1-0"),
        ({"balance": "size"}, "--balance size"),
    ],
)
def test_what_cannot_be_is_told_before_any_work(folder, flags, where):
    student(folder)
    with pytest.raises(FerError) as caught:
        run(folder, many({"fear": 2}), **flags)
    assert caught.value.where == where and not (folder / "fer-data" / "questions").exists()


def test_an_engine_in_this_process_takes_the_two_pictures_of_some_kinds(folder):
    given = {"engine": {"max_model_len": 8192, "limit_mm_per_prompt": {"image": 1, "video": 0}}, "kind": "vllm"}
    student(folder, **given, endpoints=[])
    engine = difficulty.asking_of(build_of(folder), {"pass_rate": str(folder / "student.yaml")}).entry.engine
    assert engine == {"max_model_len": 8192, "limit_mm_per_prompt": {"image": 2, "video": 0}}


def test_no_server_is_told_before_the_questions_are_made(folder):
    student(folder, 9)
    with pytest.raises(FerError) as caught:
        run(folder, many({"fear": 2}))
    assert caught.value.problem == "no server answers there" and not (folder / "fer-data" / "questions").exists()


def test_closed_pictures_go_to_nobody_elses_server(tmp_path):
    folder = home(tmp_path / "home")
    manifest = (folder / "mine.yaml").read_text().replace("images: open", "images: closed")
    (folder / "mine.yaml").write_text(manifest)
    student(folder, endpoints=["https://models.invalid/v1"])
    with pytest.raises(FerError) as caught:
        run(folder, many({"fear": 2}))
    assert "may not be sent there" in caught.value.problem and not (folder / "fer-data" / "questions").exists()


def test_the_flags_make_the_same_plan_again_as_text(folder):
    build, rows = build_of(folder), many({"fear": 2})
    made = questions_of(build, rows).plan
    flags = difficulty.flags_of(student(folder), AskOptions(), samples=6, keep="0.1-0.9", balance="source")
    first = difficulty.plan(build, made, flags)
    assert difficulty.plan(build, made, {**first.flags}).key == first.key
    assert first.flags.keys() == {"pass_rate", "samples", "keep", "balance"}
    usual = difficulty.plan(build, made, difficulty.flags_of(student(folder), AskOptions()))
    assert usual.flags.keys() == {"pass_rate"} and usual.key != first.key
    served_one = difficulty.flags_of("", AskOptions(endpoints=("http://127.0.0.1:9/v1",)), model_id="Qwen/x")
    assert difficulty.plan(build, made, served_one).flags == {"model_id": "Qwen/x", "endpoint": "http://127.0.0.1:9/v1"}
    assert difficulty.flags_of("", AskOptions()) == {} and difficulty.is_asked(served_one)
    with pytest.raises(FerError) as caught:
        difficulty.flags_of("", AskOptions(), balance="label")
    assert (caught.value.where, caught.value.hint) == ("--balance", "name one with --pass-rate MODEL")
    assert made.key != difficulty.apart(build, made).key


def test_an_estimate_asks_one_sample_of_many_rows(folder, tmp_path):
    rows, log, shown = many({"happiness": 60}), tmp_path / "log", []
    build = build_of(folder)
    with stub(log, say=text_of("happiness")) as port:
        student(folder, port)
        flags = {"pass_rate": str(folder / "student.yaml"), "samples": 4}

        def no(found):
            shown.append(found)
            return False

        assert difficulty.run(build, questions=questions_of(build, rows), flags=flags, confirm=no) is None
    assert (shown[0].requests, shown[0].left, shown[0].trials, sum(served(log).values())) == (240, 216, 24, 24)


def test_the_dataset_is_loaded_with_its_suspects(folder):
    import datasets

    rows = many({"happiness": 20, "fear": 10})
    fill(folder, rows, doubting(Fraction(1, 5), 8), samples=8)
    run(folder, rows, samples=8)
    found = datasets.load_dataset(str(folder / "fer-data" / "rlvr"), cache_dir=str(folder / "cache"))
    assert {split: len(part) for split, part in found.items()} == {"train": 24, "suspects": 6}
    assert set(found["train"]["curriculum"]) <= set(range(10)) and set(found["suspects"]["curriculum"]) == {None}
    assert found["train"].features["pass_rate"].dtype == "float32"


def test_the_questions_of_the_tool_itself_are_asked_of_a_student(tmp_path):
    folder, log, own = project(tmp_path), tmp_path / "log", {"kinds": "choose,letter,pair"}
    made = Questions(rlvr.plan(build_of(folder), **own), lambda planned: rlvr.run_as(build, planned, own))
    build = build_of(folder)
    with stub(log, say=text_of("happy")) as port:
        flags = {"pass_rate": student(folder, port), "samples": 3, "keep": "0-1"}
        report = difficulty.run(build, questions=made, flags=flags)
    asked, found = rows_of(folder, name="questions"), rows_of(folder)
    assert report.complete and report.rows_in == report.kept == len(asked) == sum(served(log).values()) / 3
    assert [one.stage for one in build.ran] == ["faces", "questions", "rlvr"]
    assert {row["id"]: row["images"] for row in asked} == {row["id"]: row["images"] for row in found}
    right = {(row["kind"], row["answer"]): row["pass_rate"] for row in found}
    assert right["choose", "happy"] == 1 and right["choose", "angry"] == 0
    again = build_of(folder)
    assert difficulty.plan(again, rlvr.plan(again, **own), {**flags, **own}).key == read_mark(report.out).key
