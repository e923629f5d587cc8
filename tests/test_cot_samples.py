"""Several samples a face: agreement, hints, evidence, arms, quotas and suspects, on replies that lie in the store."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from conftest import fer_build
from test_cot_served import project  # noqa: F401  a fixture is used by its name

from ferbuild.builders import cot, faces, measure, replies, shards, training_rows
from ferbuild.builders.arms import arm_of
from ferbuild.builders.asking import hinted, requests
from ferbuild.builders.build import Build
from ferbuild.builders.config import read_settings
from ferbuild.builders.replies import GAVE_UP, Record, Reply
from ferbuild.builders.traces import HINTED

pytestmark = pytest.mark.network

DEAD = ("--endpoint", "http://127.0.0.1:9/v1")
SEEN = "the brows are drawn together, the eyes are wide open and the mouth is open too"


def text_of(answer: str, words: str = SEEN) -> str:
    return f"<think>{words}</think><answer>{answer}</answer>"


class Stored:
    """A project whose store can be filled, face by face and sample by sample."""

    def __init__(self, home):
        self.home = home
        self.work = home / "fer-data"

    def build(self) -> Build:
        return Build(read_settings(self.home / "fer-build.yaml", work=self.work))

    def fill(self, say, **flags) -> int:
        """Store `say(row, choices, sample)` as the reply to every request; None leaves it out. Return the faces."""
        build = self.build()
        faces.run(build)
        arm = arm_of(build, flags)
        if arm.evidence:
            measure.run(build)
        asking = cot.asking_of(build, cot.entry_of(build, None), arm)
        teacher, records, count = asking.open(), [], 0
        for job in training_rows.jobs(self.work / "faces", build.benchmarks):
            table = training_rows.read(job.work, build.benchmarks)
            rows = {row["id"]: row for row in table.drop_columns("image").to_pylist()}
            count += len(rows)
            made = list(requests(table, "train", asking)) + (list(hinted(table, asking)) if arm.hints else [])
            for at, request in enumerate(made):
                sample = request.sample if at < len(rows) * asking.samples else HINTED
                said = say(rows[request.id], request.choices, sample)
                if said is not None:
                    reply = said if isinstance(said, Reply) else Reply(said, "stop", "ok")
                    records.append(Record(teacher.key(request), "t", "m", reply, {}, 1, "", "2026"))
        with replies.asking(self.work / "replies.sqlite") as store:
            store.put(records)
        return count

    def cot(self, *words: object):
        return fer_build("cot", *DEAD, *words, "--json", cwd=self.home)

    def rows(self, folder: str = "cot", split: str = "train") -> list[dict]:
        files = shards.split_files(self.work / folder).get(split, [])
        return [row for path in files for row in shards.read_stream(path).drop_columns("images").to_pylist()]

    def drops(self) -> list[dict]:
        return [row for table in shards.read_drops(self.work / "cot") for row in table.to_pylist()]

    def recipe(self, **more) -> None:
        (self.home / "mine.yaml").write_text(json.dumps({"name": "mine", **RECIPE, **more}))
        config = json.loads((self.home / "fer-build.yaml").read_text()) | {"recipe": "mine.yaml"}
        (self.home / "fer-build.yaml").write_text(json.dumps(config))


RECIPE = {
    "sources": ["rafdb", "ferplus"],
    "trace_checks": ["answered", "reasons", "agrees"],
    "claims": {"check": False},
}


@pytest.fixture
def stored(project) -> Stored:  # noqa: F811
    found = Stored(project)
    found.recipe()
    return found


def other(row, choices) -> str:
    return next(choice for choice in choices if choice != row["label"])


def odd(row) -> bool:
    return int(row["id"], 16) % 2 == 1


def two_of_three(row, choices, sample):
    """Right twice of three times on odd faces, and on the others wrong three times, alike."""
    right = odd(row) and sample != 1
    return text_of(row["label"] if right else other(row, choices), SEEN if sample else f"{SEEN} indeed")


def test_agreement_and_majority_are_counted_over_all_samples(stored) -> None:
    count = stored.fill(two_of_three, samples=3)
    ran = stored.cot("--samples", 3)
    rows = stored.rows()
    assert (ran.code, ran.json["in"]) == (0, count), ran.err
    assert ran.json["dropped"] == {"disagrees with the label": count - len(rows)}
    assert rows and all(int(row["id"], 16) % 2 for row in rows)
    for row in rows:
        assert (row["samples"], round(row["agreement"], 4), row["majority"]) == (3, 0.6667, row["label"])
        assert "indeed" not in row["completion"][0]["content"], "the shorter of the two that agree"
        assert not row["hinted"] and not row["evidence"] and row["keep_weight"] >= 1
    cells = ran.json["tables"]["keep rate"]
    assert (sum(cell["in"] for cell in cells), sum(cell["kept"] for cell in cells)) == (count, len(rows))
    card = (stored.work / "cot" / "README.md").read_text()
    assert "keep rate:" in card and "Qwen2.5-VL-7B-Instruct, 3 samples a face" in card and "Apache-2.0" in card
    again = stored.cot("--samples", 3)
    assert again.json["reused"]
    state = fer_build("status", "--json", cwd=stored.home).json["stages"]["cot"]
    assert (state["state"], state["flags"]["samples"]) == ("built", "3")


def test_the_recipe_may_ask_for_more_agreement(stored) -> None:
    stored.recipe(consistency={"agreement": 0.7})
    stored.fill(two_of_three, samples=3)
    ran = stored.cot("--samples", 3)
    assert ran.json["kept"] == 0 and ran.json["dropped"]["agreement too low"] > 10


def test_a_sample_that_was_given_up_leaves_the_stage_incomplete(stored) -> None:
    def say(row, choices, sample):
        return Reply("", "", GAVE_UP, "HTTP 400") if sample == 2 and odd(row) else two_of_three(row, choices, sample)

    stored.fill(say, samples=3)
    # The rows that are owed would be asked for: without a server nothing is thrown away, and nothing built.
    ran = stored.cot("--samples", 3)
    assert (ran.code, ran.json["error"]["problem"]) == (2, "no server answers there")


def test_the_arms_hold_the_same_rows_and_answers(stored) -> None:
    stored.fill(two_of_three, samples=3)
    assert stored.cot("--samples", 3).code == 0
    think = stored.rows()
    for style in ("answer-first", "direct"):
        assert stored.cot("--samples", 3, "--style", style).code == 0
        arm = stored.rows(f"cot-{style}")
        assert [row["id"] for row in arm] == [row["id"] for row in think]
        for one, row in zip(think, arm, strict=True):
            said = row["completion"][0]["content"]
            assert said.startswith(f"<answer>{row['label']}</answer>") and (SEEN in said) is (style == "answer-first")
            assert row["style"] == style and row["prompt"] != one["prompt"]
            assert row["agreement"] == one["agreement"]
    stages = fer_build("status", "--json", cwd=stored.home).json["stages"]
    assert {name: stages[name]["state"] for name in stages if name.startswith("cot")} == {
        "cot": "built", "cot-answer-first": "built", "cot-direct": "built",
    }  # fmt: skip


def test_hints_go_to_a_split_of_their_own_and_never_to_suspects(stored) -> None:
    def say(row, choices, sample):
        if sample == HINTED:
            return text_of(row["label"], f"{SEEN}, as the label says" if int(row["id"], 16) % 5 == 0 else SEEN)
        wrong = other(row, choices) if int(row["id"], 16) % 3 or sample else row["label"]
        spread = [choice for choice in choices if choice != row["label"]]
        return text_of(wrong if int(row["id"], 16) % 7 == 0 else spread[sample] if wrong != row["label"] else wrong)

    count = stored.fill(say, samples=3, hint_failures=True)
    ran = stored.cot("--samples", 3, "--hint-failures")
    assert ran.code == 0, ran.err
    blind, told = stored.rows(), stored.rows(split=HINTED)
    assert ran.json["in"] == count == len(blind) + len(told) + sum(ran.json["dropped"].values())
    assert ran.json["splits"] == {"train": len(blind), HINTED: len(told)}
    assert told and not {row["id"] for row in blind} & {row["id"] for row in told}
    plain = {row["prompt"][0]["content"] for row in blind}
    for row in told:
        number = int(row["id"], 16)
        assert row["hinted"] and row["keep_weight"] is None and row["answer"] == row["label"]
        assert number % 7 and number % 3, "all samples of a suspect agree on another label"
        assert number % 5, "the text tells that it was told"
        assert row["votes"] is None or 2 * max(row["votes"][:8]) > sum(row["votes"])
        assert row["prompt"][0]["content"] in plain
    assert any(int(row["id"], 16) % 7 == 0 for row in stored.drops())


@pytest.mark.parametrize(
    ("words", "where"),
    [
        (["--hint-failures"], "--hint-failures"),
        (["--hint-failures", "--samples", 8, "--quota", "0.5"], "--hint-failures"),
        (["--quota", "lots"], "--quota lots"),
        (["--quota", "0.5", "--samples", 1], "--quota"),
        (["--teacher", "geometry", "--samples", 2], "teacher geometry"),
        (["--teacher", "geometry", "--evidence"], "teacher geometry"),
    ],
)
def test_what_cannot_be_is_told_before_any_work(stored, words, where) -> None:
    ran = stored.cot(*words)
    assert (ran.code, ran.json["error"]["where"]) == (2, where)
    assert not (stored.work / "faces").exists()


def test_evidence_is_told_to_the_teacher_marked_and_kept_out_of_the_prompt(stored) -> None:
    stored.recipe(claims={"check": True})
    stored.fill(lambda row, choices, sample: text_of(row["label"]), evidence=True)
    ran = stored.cot("--evidence")
    assert ran.code == 0, ran.err
    rows = stored.rows()
    told = Counter(row["evidence"] for row in rows)
    assert told[True] > 10, "what can be judged is told"
    assert not any("[measured]" in row["prompt"][0]["content"] for row in rows)
    report = fer_build("grounding", "--json", cwd=stored.home).json["teachers"]
    marked = {one["teacher"]: one["circular"] for one in report}
    assert marked["qwen7b with evidence"] is True
    assert marked.get("qwen7b", False) is False


def test_a_quota_reads_every_face_up_to_the_sample_that_keeps_it(stored) -> None:
    def say(row, choices, sample):
        """Right at the sample that the face's number says, and asked no further."""
        turn = int(row["id"], 16) % 3
        return None if sample > turn else text_of(row["label"] if sample == turn else other(row, choices))

    count = stored.fill(say, samples=3, quota="1.0")
    ran = stored.cot("--quota", "1.0", "--samples", 3)
    rows = stored.rows()
    assert (ran.code, len(rows)) == (0, count), ran.err
    assert {row["samples"] - 1 == int(row["id"], 16) % 3 for row in rows} == {True}
    assert {round(1 / row["agreement"]) == row["samples"] for row in rows} == {True}


def test_suspects_are_listed_with_the_annotators_votes(stored) -> None:
    stored.fill(two_of_three, samples=3)
    words = ("suspects", "--samples", 3, "--out", "s.csv", "--sheet", "s.png")
    ran = fer_build(*words, "--json", cwd=stored.home)
    assert ran.code == 0, ran.err
    found = ran.json["suspects"]
    assert found and all(int(one["id"], 16) % 2 == 0 and one["share"] == 1.0 for one in found)
    assert all(one["votes"] for one in found if one["source"] == "ferplus")
    assert any(one["source"] == "ferplus" for one in found)
    assert (stored.home / "s.csv").read_text().count("\n") == len(found) + 1
    assert (stored.home / "s.png").stat().st_size > 1000
    told = fer_build("suspects", "--samples", 3, cwd=stored.home).out
    assert f"{len(found):,} of" in told and "annotators: " in told


def test_without_samples_enough_no_label_is_suspected(stored) -> None:
    stored.fill(two_of_three, samples=1)
    ran = fer_build("suspects", "--json", cwd=stored.home)
    assert (ran.code, ran.json["error"]["problem"]) == (2, "no face has 3 samples")
    assert "--samples 3" in ran.json["error"]["hint"]
