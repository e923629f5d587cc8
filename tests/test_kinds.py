"""Kinds of questions on the demo: every row verifies, nothing gives it away, and any number of workers agrees."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections import Counter
from pathlib import Path

import datasets
import pyarrow as pa
import pytest
from conftest import fer_build

from ferbuild.builders import measure, rlvr, shards, training_rows
from ferbuild.builders.build import Build
from ferbuild.builders.config import read_settings
from ferbuild.builders.kinds import FORMS_OF, KINDS
from ferbuild.builders.kinds import rows as rows_of
from ferbuild.builders.kinds.made import nothing
from ferbuild.builders.record import RLVR
from ferbuild.filters import verify
from ferbuild.prompts.render import TEMPLATES, templates, wordings
from ferbuild.training import data_checks

NAMES = [name for kind in KINDS for name in FORMS_OF.get(kind, (kind,))]


@pytest.fixture(scope="module")
def project(demo, tmp_path_factory) -> Path:
    """fer-build.yaml on the demo's releases, with the demo's faces and measures and the recipe of all kinds."""
    home = tmp_path_factory.mktemp("kinds")
    roots = {name: str(demo.home / "releases" / name) for name in ("rafdb", "ferplus", "affectnet", "sfew")}
    (home / "fer-build.yaml").write_text(json.dumps({"recipe": "varied", "sources": roots}))
    for name in ("faces", "measures"):
        shutil.copytree(demo.work / name, home / "fer-data" / name)
    return home


@pytest.fixture(scope="module")
def built(project) -> Path:
    ran = fer_build("rlvr", "--json", cwd=project)
    assert ran.code == 0, ran.err
    assert (ran.json["in"], ran.json["dropped"]) == (ran.json["kept"], {})
    return project / "fer-data" / "rlvr"


def table(folder: Path) -> pa.Table:
    return pa.concat_tables([shards.read_stream(path) for path in shards.split_files(folder)["train"]])


@pytest.fixture(scope="module")
def rows(built) -> list[dict]:
    return table(built).drop_columns("images").to_pylist()


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def of(rows: list[dict], kind: str) -> list[dict]:
    return [row for row in rows if row["kind"] == kind]


def test_a_kind_is_a_function_a_verifier_and_templates():
    assert list(KINDS) == list(verify.KINDS)
    assert all(len(wordings(name)) >= 2 for name in NAMES)


@pytest.mark.parametrize("name", [one for name in NAMES for one in wordings(name)])
def test_every_wording_asks_for_thoughts_and_then_an_answer(name):
    text = (TEMPLATES / f"{name}.j2").read_text(encoding="utf-8")
    assert -1 < text.index("<think>") < text.index("</think>", 1)
    assert text.index("<think>") < text.index("<answer>") and "</answer>" in text
    assert name in templates()


def test_every_kind_is_asked_in_all_its_wordings(rows):
    assert {row["kind"] for row in rows} == set(KINDS)
    assert len({row["prompt_version"] for row in of(rows, "choose")}) == 3
    assert len({row["prompt_version"] for row in of(rows, "valence")}) >= 3


def test_every_row_has_an_id_of_its_own_that_tells_what_it_is(rows):
    assert len({row["id"] for row in rows}) == len(rows)
    for row in rows:
        faces = [face["id"] for face in row["faces"]]
        assert row["id"] == (faces[0] if row["kind"] == "choose" else "-".join([*faces, row["kind"]]))


def test_every_solution_verifies_and_every_other_choice_does_not(rows):
    for row in rows:
        kind, choices, answer = row["kind"], row["choices"], row["answer"]
        assert verify.verify(kind, row["solution"], choices, answer, row["soft"]) == 1.0, row
        if kind == "distribution":
            continue
        wrong = [one for one in choices if one != answer]
        assert len(wrong) == len(choices) - 1
        assert [verify.verify(kind, f"<answer>{one}</answer>", choices, answer) for one in wrong] == [0.0] * len(wrong)


def test_every_row_has_its_pictures(built, rows):
    faces = {row["id"]: row["image"] for row in table(built.parent / "faces").select(["id", "image"]).to_pylist()}
    for row, images in zip(rows, table(built)["images"].to_pylist(), strict=True):
        assert images == [faces[face["id"]] for face in row["faces"]]
        assert len(images) == (2 if row["kind"] == "odd" or set(row["choices"]) == {"first", "second"} else 1)


def test_the_label_is_told_only_among_others(rows):
    for row in rows:
        text = row["prompt"][0]["content"]
        told = re.search(rf"\b{row['label']}\b", text)
        if row["kind"] in ("choose", "letter", "pair", "distribution"):
            assert row["kind"] == "letter" or set(row["choices"]) <= set(re.findall(r"[a-z]+", text))
        elif row["kind"] != "verify":
            assert not told, row
        assert row["solution"] not in text or row["kind"] in ("odd", "measure")


def test_yes_and_no_places_and_signs_are_balanced(rows):
    for kind in ("odd", "measure"):
        assert len(set(Counter(row["answer"] for row in of(rows, kind)).values())) == 1
    yes = Counter(row["answer"] for row in of(rows, "verify"))
    assert abs(yes["yes"] - yes["no"]) <= 0.15 * yes.total()
    place = Counter(row["choices"].index(row["answer"]) for row in of(rows, "pair"))
    assert abs(place[0] - place[1]) <= 0.1 * place.total()
    for kind in ("valence", "arousal"):
        found = Counter(row["answer"] for row in of(rows, kind))
        assert abs(found["first"] - found["second"]) <= 1
        assert found["pleasant"] == found["unpleasant"] and found["excited"] == found["calm"]


def test_no_letter_stands_out(rows):
    letters = Counter(row["answer"] for row in of(rows, "letter") if len(row["choices"]) == 7)
    assert max(letters.values()) <= 1.5 * letters.total() / 7


def test_numbers_decide_valence_and_arousal(built, rows):
    faces = {row["id"]: row for row in table(built.parent / "faces").drop_columns("image").to_pylist()}
    for row in [*of(rows, "valence"), *of(rows, "arousal")]:
        values = [faces[face["id"]][row["kind"]] for face in row["faces"]]
        assert all(-1 <= value <= 1 for value in values)
        if len(values) == 2:
            assert abs(values[0] - values[1]) >= 0.4 - 1e-6
            assert row["answer"] == ("first" if values[0] > values[1] else "second")
        else:
            assert abs(values[0]) >= 0.2 - 1e-6
            assert (row["answer"] in ("pleasant", "excited")) == (values[0] > 0)


def test_odd_compares_two_faces_of_one_source_and_uses_none_twice(built, rows):
    faces = {row["id"]: row for row in table(built.parent / "faces").drop_columns("image").to_pylist()}
    seen = [face["id"] for row in of(rows, "odd") for face in row["faces"]]
    assert len(seen) == len(set(seen))
    for row in of(rows, "odd"):
        first, second = (faces[face["id"]] for face in row["faces"])
        assert first["source"] == second["source"]
        assert row["answer"] == ("same" if first["label"] == second["label"] else "different")
        assert row["votes"] is None and row["soft"] is None


def test_soft_is_the_votes_of_the_choices(rows):
    words = {"angry": "anger", "happy": "happiness", "sad": "sadness"}
    order = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt")
    for row in (row for kind in ("choose", "pair") for row in of(rows, kind)):
        if row["votes"] is None:
            assert row["soft"] is None
        else:
            shares = [row["votes"][order.index(words.get(one, one))] / sum(row["votes"]) for one in row["choices"]]
            assert row["soft"] == pytest.approx(shares)
    assert all(
        sum(row["soft"]) == pytest.approx(1) for row in [*of(rows, "verify"), *of(rows, "distribution")] if row["soft"]
    )


def test_words_and_order_vary(rows):
    sfew = [row for row in of(rows, "choose") if row["faces"][0]["source"] == "sfew"]
    assert {"happy", "happiness"} <= {word for row in sfew for word in row["choices"]}
    assert len({tuple(row["choices"]) for row in sfew}) > 10


def test_one_worker_and_two_and_another_run_give_the_same_bytes(project, built):
    assert fer_build("rlvr", "--json", cwd=project).json["reused"]
    before = digest(built)
    shutil.rmtree(built)
    ran = fer_build("rlvr", "--workers", 2, "--json", cwd=project)
    assert not ran.json["reused"] and digest(built) == before


def test_what_is_held_and_filled_is_what_is_made_whole_and_of_the_weight_told(project, built):
    build = Build(read_settings(project / "fer-build.yaml", work=project / "fer-data"))
    faces, measured = project / "fer-data" / "faces", measure.plan(build)
    contexts = tuple(rlvr.contexts(build, {}, (measured.out, measured.key)))
    asking = rlvr.Asking(contexts, build.benchmarks, rlvr.schema_of(measured=True))
    job, *_ = training_rows.jobs(faces, build.benchmarks, rlvr.ASKED_ROWS)
    whole = rlvr.ask_batch(job.work, asking=asking).kept["train"]
    held = rlvr.ask_batch(job.work, asking=asking._replace(schema=rows_of.held(asking.schema))).kept["train"]
    assert set(held["kind"].to_pylist()) == set(KINDS)
    settled = rlvr.filled(None, folder=faces, schema=asking.schema)
    assert settled.pick(held).equals(whole)
    none = rows_of.table(rows_of.located(job.work.read(), "s", 0), nothing(), contexts[0], held.schema)
    assert none.num_rows == 0 and none.schema.equals(held.schema)
    told = sum(map(settled.weigh, held.to_batches()))
    assert abs(told / whole.nbytes - 1) < 0.05


def test_datasets_and_the_training_checks_take_every_kind(built):
    loaded = datasets.load_from_disk(str(built))["train"]
    assert loaded.num_rows == table(built).num_rows and loaded[0]["images"][0].size
    data = data_checks.open_data(str(built), "grpo", "train", None)
    data_checks.check_data(data, "grpo", 200)


def test_a_consensus_drops_what_people_do_not_agree_on(project):
    ran = fer_build("rlvr", "--kinds", "choose", "--min-consensus", 0.8, "--json", "--work", "agreed", cwd=project)
    assert ran.code == 0 and set(ran.json["dropped"]) == {"low consensus"} and ran.json["dropped"]["low consensus"] > 3
    rows = table(project / "agreed" / "rlvr").drop_columns("images").to_pylist()
    assert all(row["votes"] is None or max(row["votes"][:8]) >= 0.8 * sum(row["votes"]) for row in rows)
    assert Counter(row["votes"] is None for row in rows)[True] == 198
    drops = pa.concat_tables(list(shards.read_drops(project / "agreed" / "rlvr"))).to_pylist()
    assert all(float(row["detail"]) < 0.8 and row["source"] == "ferplus" for row in drops)
    state = fer_build("status", "--json", "--work", "agreed", cwd=project).json["stages"]["rlvr"]
    assert state["state"] == "built" and state["flags"] == {"kinds": "choose", "min_consensus": "0.8"}


def test_kinds_are_named_on_the_command_line(project):
    said = ["--work", "named", "--json"]
    shutil.copytree(project / "fer-data" / "faces", project / "named" / "faces")
    ran = fer_build("rlvr", "--kinds", "pair, odd", *said, cwd=project)
    assert ran.code == 0, ran.err
    assert set(table(project / "named" / "rlvr")["kind"].to_pylist()) == {"pair", "odd"}
    assert not (project / "named" / "measures").exists(), "nothing is measured where nothing asks for it"
    ran = fer_build("rlvr", "--kinds", "choose,lettr", *said, cwd=project)
    assert ran.code == 2 and ran.json["error"]["hint"] == "did you mean 'letter'?"
    ran = fer_build("rlvr", "--kinds", "pair,pair", *said, cwd=project)
    assert ran.code == 2 and ran.json["error"]["problem"] == "pair stands twice"


def test_a_models_errors_can_stand_in_for_peoples(project):
    labels = ["neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt"]
    counts = [[0] * 9 for _ in labels]
    for at in range(8):
        counts[at][at ^ 1] = 5  # each label for one other alone
    result = project / "result.json"
    confusion = {"rows": labels, "columns": [*labels, "unknown"], "counts": counts}
    result.write_text(json.dumps({"pooled": {"confusion": confusion}}))
    ran = fer_build("rlvr", "--kinds", "pair", "--confusions", result, "--json", "--work", "named", cwd=project)
    assert ran.code == 0, ran.err
    pairs = Counter(tuple(sorted(row)) for row in table(project / "named" / "rlvr")["choices"].to_pylist())
    assert pairs[("disgust", "fear")] + pairs[("happiness", "neutral")] > 0.4 * pairs.total()
    assert fer_build("status", "--json", "--work", "named", cwd=project).json["stages"]["rlvr"]["state"] == "built"
    result.write_text("{}")
    ran = fer_build("rlvr", "--confusions", result, "--json", cwd=project)
    assert ran.code == 2 and "holds no pooled confusions" in ran.json["error"]["problem"]


def test_the_default_recipe_asks_as_ever(demo):
    found = table(demo.work / "rlvr")
    assert found.schema.remove_metadata().equals(RLVR)
    for row in found.drop_columns("images").to_pylist():
        assert (row["kind"], row["id"], row["answer"]) == ("choose", row["faces"][0]["id"], row["label"])
        assert (row["soft"] is None) == (row["votes"] is None)
        assert row["pass_rate"] is row["difficulty"] is row["curriculum"] is None
