"""`fer-build fairness`: who is on a picture, gaps between groups, what may leave, and faces of changed looks."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import trees
from click.testing import CliRunner
from conftest import fer_build
from hypothesis import given
from hypothesis import strategies as st

from ferbuild.builders import counterfactual, replies, shards, stage
from ferbuild.builders.build import Build
from ferbuild.builders.cli.fairness import fairness as command
from ferbuild.builders.config import Release, read_settings
from ferbuild.builders.errors import FerError
from ferbuild.builders.evaluation import attributes, fairness, flips, groups, looks
from ferbuild.builders.evaluation.attributes import ATTRIBUTES, parse, read_attributes
from ferbuild.builders.evaluation.gaps import LEAST, Rows, compare
from ferbuild.builders.http_teacher import HttpTeacher
from ferbuild.builders.record import CANONICAL, COT, Batch, drop, drops_table
from ferbuild.builders.render.draw import draw_at
from ferbuild.builders.replies import Record, Reply
from ferbuild.builders.stage import Job, Plan
from ferbuild.builders.teacher import open_teacher
from ferbuild.manifests.load import load_source

RAFDB = load_source("rafdb")


def content(gender: object, race: object, age: object) -> str:
    """An attribute file, as the release writes it."""
    return "".join(f"{at}5.25\t{at}0.75\n" for at in range(1, 6)) + f"{gender}\n{race}\n{age}\n"


def release(root: Path) -> Release:
    return Release(RAFDB, root)


# Who is on a picture


@pytest.mark.parametrize(
    ("text", "person"),
    [
        (content(0, 0, 0), ("male", "Caucasian", "0-3")),
        (content(1, 1, 4), ("female", "African-American", "70+")),
        (content(2, 2, 2), ("unsure", "Asian", "20-39")),
        (content(1, 2, 3).replace("\n", "\r\n"), ("female", "Asian", "40-69")),
        (content(1, 2, 1).replace("\t", " ") + "\n\n", ("female", "Asian", "4-19")),
    ],
)
def test_a_file_names_gender_race_and_age(text, person):
    assert tuple(parse(text).values()) == person and tuple(parse(text)) == ("gender", "race", "age")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "0 lines, not 8"),
        (content(0, 0, 0) + "7\n", "9 lines, not 8"),
        ("1\n" + content(0, 0, 0).partition("\n")[2], "five lines of x and y"),
        (content(3, 0, 0), "gender is no number from 0 to 2"),
        (content(0, 3, 0), "race is no number from 0 to 2"),
        (content(0, 0, 5), "age is no number from 0 to 4"),
        (content(0, 0, -1), "age is no number"),
        (content(0, "0 1", 0), "race is no number"),
        (content("male", 0, 0), "gender is no number"),
    ],
)
def test_a_file_of_another_form_is_told(text, problem):
    with pytest.raises(ValueError, match=problem):
        parse(text)


@pytest.mark.parametrize(
    "place",
    [
        "basic/Annotation/manual/",
        "Annotation/manual/",
        "manual/",
        "Annotation/manual.zip!",
        "basic/Annotation/manual.zip!manual/",
        "basic.zip!basic/Annotation/manual/",
    ],
)
def test_the_files_are_found_wherever_the_release_lies(tmp_path, place):
    files = {
        "train_00001": content(0, 1, 2),
        "test_0002": "\ufeff" + content(1, 0, 4),
        "test_0003": content(9, 0, 0),
        "train_0004": content(0, 0, 0),  # five digits in training: this one is of the compound set
    }
    members = {f"{name}_manu_attri.txt": text.encode() for name, text in files.items()}
    archive, _, inner = place.rpartition("!")
    if archive:
        trees.pack(tmp_path, archive, {f"{inner}{name}": data for name, data in members.items()})
    for name, data in {} if archive else members.items():
        trees.put(tmp_path, f"{place}{name}", data=data)
    trees.put(tmp_path, "basic/readme.txt", "basic/EmoLabel/list_patition_label.txt")
    found = read_attributes(release(tmp_path))
    assert {name: tuple(one.values()) for name, one in found.people.items()} == {
        "train_00001": ("male", "African-American", "20-39"),
        "test_0002": ("female", "Caucasian", "70+"),
    }
    assert found.broken == 1
    assert found.first_broken == f"{place}test_0003_manu_attri.txt: gender is no number from 0 to 2"


def test_broken_files_stop_nothing(tmp_path):
    names = [f"basic/Annotation/manual/test_{at:04d}_manu_attri.txt" for at in range(5)]
    for name, data in zip(names, (b"", b"\xff\xfe\x00", b"1" * 9999, content(0, 0, 0).encode()), strict=False):
        trees.put(tmp_path, name, data=data)
    (tmp_path / names[4]).symlink_to("nowhere")
    found = read_attributes(release(tmp_path))
    assert (list(found.people), found.broken) == (["test_0003"], 4)


def test_without_files_it_is_said_what_is_looked_for_and_who_has_it(tmp_path):
    trees.rafdb(tmp_path, {"test_0001.jpg": 4})
    with pytest.raises(FerError) as told:
        read_attributes(release(tmp_path))
    assert "Annotation/manual/<name>_manu_attri.txt" in told.value.problem
    assert "Annotation/manual.zip" in told.value.hint and RAFDB.licence.ask in told.value.hint


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/RAF-DB/aligned/test_0001_aligned.jpg", "test_0001"),
        ("basic/Image/aligned.zip!train_12271_aligned.jpg", "train_12271"),
        ("DATASET\\train\\4\\train_00007_aligned.jpg", "train_00007"),
        ("basic/Image/original/train_00007.jpg", "train_00007"),
        ("/RAF-DB/aligned/test_00012_aligned.jpg", None),
        ("/RAF-DB/aligned/my_test_0001.jpg", None),
    ],
)
def test_a_path_tells_whose_file_to_look_at(path, name):
    assert attributes.name_of(path) == name


# Gaps


def rows_of(*cells: tuple[str | None, str, int, int]) -> Rows:
    """Rows of (group, label, rows, right ones), each a cluster of its own."""
    rows = [(group, label, at < right) for group, label, count, right in cells for at in range(count)]
    columns = zip(*rows, strict=True)
    return Rows(*map(list, columns), [str(at) for at in range(len(rows))])


def test_the_gap_is_the_largest_share_less_the_smallest():
    found = compare(rows_of(("a", "x", 100, 80), ("b", "x", 200, 120), ("c", "x", 50, 35)), "abc")
    assert [(one.name, one.rows, one.share) for one in found.groups] == [
        ("a", 100, 0.8),
        ("b", 200, 0.6),
        ("c", 50, 0.7),
    ]
    assert (found.gap.value, found.gap.largest, found.gap.smallest) == (pytest.approx(0.2), "a", "b")
    assert (found.groups[0].low, found.groups[0].high) == pytest.approx((0.7112, 0.8667), abs=1e-4)
    assert (found.too_few, found.rows, found.labels) == (0, 350, [])


def test_a_group_below_fifty_is_counted_and_not_shown():
    cells = (("a", "x", 60, 30), ("b", "x", 50, 40), ("c", "x", 49, 0), (None, "x", 500, 0))
    found = compare(rows_of(*cells), "abcd")
    assert ([one.name for one in found.groups], found.too_few, found.rows) == (["a", "b"], 1, 110)
    assert found.gap.value == pytest.approx(0.3)
    one = compare(rows_of(("a", "x", 60, 30), ("b", "x", 49, 49)), "ab")
    assert ([one.name for one in one.groups], one.too_few, one.gap) == (["a"], 1, None)
    none = compare(rows_of((None, "x", 60, 30)), "ab")
    assert (list(none.groups), none.too_few, none.gap) == ([], 0, None)


def test_labels_that_weigh_alike_take_the_mix_of_labels_out_of_the_gap():
    """Both groups do as well at each label; the one that smiles more often looks better."""
    rows = rows_of(("a", "happy", 180, 162), ("a", "fear", 20, 6), ("b", "happy", 20, 18), ("b", "fear", 80, 24))
    assert compare(rows, "ab").gap.value == pytest.approx(168 / 200 - 42 / 100)
    alike = compare(rows, "ab", alike=True)
    assert [one.share for one in alike.groups] == pytest.approx([0.6, 0.6])
    assert (alike.gap.value, alike.gap.low, alike.labels) == (pytest.approx(0, abs=1e-12), 0, ["fear", "happy"])


def test_a_label_that_a_group_hardly_shows_is_left_out_for_all():
    rows = rows_of(("a", "happy", 90, 90), ("a", "fear", 60, 0), ("b", "happy", 90, 45), ("b", "fear", 9, 9))
    assert (compare(rows, "ab", alike=True).labels, compare(rows, "ab").labels) == (["happy"], [])
    few = rows_of(("a", "happy", 90, 90), ("b", "fear", 90, 9))
    assert (list(compare(few, "ab", alike=True).groups), compare(few, "ab", alike=True).gap) == ([], None)


def test_the_interval_holds_the_gap_and_leaves_nought_only_where_groups_differ():
    same = compare(rows_of(("a", "x", 300, 210), ("b", "x", 300, 213), ("c", "x", 300, 205)), "abc").gap
    assert (same.low, same.value) == (0, pytest.approx(8 / 300)) and 0.06 < same.high < 0.16
    apart = compare(rows_of(("a", "x", 1000, 800), ("b", "x", 1000, 600)), "ab").gap
    assert (apart.low, apart.high) == pytest.approx((0.161, 0.239), abs=0.004)


def test_all_right_in_every_group_is_no_proof_that_there_is_no_gap():
    found = compare(rows_of(("a", "x", 55, 55), ("b", "x", 2000, 2000)), "ab").gap
    assert (found.value, found.low) == (0, 0) and 0.03 < found.high < 0.1


def test_rows_of_one_cluster_are_drawn_together():
    alone = rows_of(("a", "x", 400, 280), ("b", "x", 400, 240))
    of_ten = [f"{group}{at // 10}" for group, at in zip(alone.groups, range(800), strict=True)]
    wide, narrow = compare(alone._replace(clusters=of_ten), "ab").gap, compare(alone, "ab").gap
    assert wide.value == narrow.value and wide.high - wide.low > 2 * (narrow.high - narrow.low)


CELLS = st.tuples(
    st.sampled_from(["a", "b", "c", None]), st.sampled_from("xyz"), st.integers(1, 90), st.integers(0, 90)
)


@given(st.lists(CELLS, min_size=1, max_size=8), st.booleans(), st.integers(0, 3))
def test_no_small_group_is_ever_shown_and_every_figure_is_a_share(cells, alike, seed):
    rows = rows_of(*((group, label, count, min(count, right)) for group, label, count, right in cells))
    found = compare(rows, "abc", alike=alike, resamples=40, seed=seed)
    counts = {name: rows.groups.count(name) for name in "abc"}
    assert all(one.rows == counts[one.name] >= LEAST for one in found.groups)
    assert found.too_few == sum(0 < count < LEAST for count in counts.values())
    assert all(0 <= one.low <= one.share + 1e-9 and one.share <= one.high + 1e-9 <= 1 + 2e-9 for one in found.groups)
    assert (found.gap is None) is (len(found.groups) < 2)
    if found.gap:
        assert 0 <= found.gap.low <= found.gap.value + 1e-9 and found.gap.value <= found.gap.high + 1e-9 <= 1 + 2e-9
    assert found == compare(rows, "abc", alike=alike, resamples=40, seed=seed)


# A result and the rationales, by group


def people_of(count: int, *, split: str = "test", seed: int = 0) -> dict[str, tuple[int, int, int]]:
    """Names to codes: half of all women, a tenth African-American, twenty at 70 years or more."""
    rng = random.Random(seed)
    width = 4 if split == "test" else 5
    return {
        f"{split}_{at:0{width}d}": (
            at % 2,
            (0, 0, 0, 0, 0, 0, 0, 2, 2, 1)[at % 10],
            4 if at < 20 else rng.choice((1, 2)),
        )
        for at in range(count)
    }


def put_people(root: Path, people: dict[str, tuple[int, int, int]]) -> None:
    members = {f"manual/{name}_manu_attri.txt": content(*codes).encode() for name, codes in people.items()}
    trees.pack(root, "basic/Annotation/manual.zip", members)


def put_result(folder: Path, people: dict[str, tuple[int, int, int]], *, set_name: str = "rafdb") -> None:
    """Predictions that are right of all men, of every other woman, and of nobody at 70 or more."""
    lines = []
    for at, (name, (gender, _, age)) in enumerate(people.items()):
        right = age != 4 and (gender == 0 or at % 4 == 1)
        label = ("happiness", "fear")[at // 2 % 2]
        path = f"/RAF-DB/aligned/{name}_aligned.jpg"
        line = {"set": set_name, "image_path": path, "true_label": label, "official": label, "outcome": "ok"}
        lines.append(line | {"strict": label if right else "neutral", "cluster": path, "agreement": 1.0})
    folder.mkdir(parents=True)
    (folder / "predictions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "result.json").write_text(json.dumps({"model": "mine"}))


def put_rationales(work: Path, people: dict[str, tuple[int, int, int]]) -> None:
    """A built cot dataset that kept every man, and of the women those at 4 to 19 years."""
    kept, lost, hinted = [], [], []
    for at, (name, (gender, _, age)) in enumerate(people.items()):
        path = f"basic/Image/aligned/{name}_aligned.jpg"
        face = {
            "id": name,
            "source": "rafdb",
            "split": "train",
            "rel_path": path,
            "label": ("fear", "anger")[at // 2 % 2],
        }
        row = {"id": name, "label": face["label"], "teacher": "qwen7b", "faces": [face]}
        if gender == 0 or age == 1:
            kept.append(row)
        elif at % 8 == 1:
            hinted.append(row)
        else:
            lost.append(drop(face, "not asked" if at % 8 == 3 else "disagrees with the label"))
    lost.append(drop(lost[0] | {"source": "affectnet"}, "refused"))
    tables = {"train": pa.Table.from_pylist(kept, COT), "hinted": pa.Table.from_pylist(hinted, COT)}
    batch = Batch(tables, drops_table(lost))
    plan = Plan(stage="cot", version=1, out=work / "cot", schema=COT, options={}, inputs=[])
    jobs = [Job(len(kept) + len(lost) + len(hinted), None)]
    stage.run(plan, jobs, lambda _: batch, card=lambda report, plan: "")


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """A release with attributes, a result, built rationales, and fer-build.yaml beside them."""
    monkeypatch.chdir(tmp_path)
    test, train = people_of(400), people_of(800, split="train")
    put_people(tmp_path / "raf", test | train)
    put_result(tmp_path / "scores", test)
    put_rationales(tmp_path / "fer-data", train)
    (tmp_path / "fer-build.yaml").write_text("sources: {rafdb: raf}\n")
    return tmp_path


def test_accuracy_by_group(project):
    told = groups.look(Build(read_settings()), project / "scores")
    accuracy = told.told[0]
    assert (accuracy.figure, accuracy.about, accuracy.rows, accuracy.unknown) == ("accuracy", "mine", 400, 0)
    gender = {one.name: (one.rows, one.share) for one in accuracy.plain["gender"].groups}
    assert gender == {"male": (200, 190 / 200), "female": (200, 95 / 200)}
    assert accuracy.plain["gender"].gap.value == pytest.approx(95 / 200)
    race = {one.name: one.rows for one in accuracy.plain["race"].groups}
    assert (race, accuracy.plain["race"].too_few) == ({"Caucasian": 280, "Asian": 80}, 1)
    assert ({one.name for one in accuracy.plain["age"].groups}, accuracy.plain["age"].too_few) == ({"4-19", "20-39"}, 1)
    assert accuracy.alike["gender"].labels == ["fear", "happiness"]
    assert (told.files, told.broken) == (1200, 0)


def test_the_share_of_rows_that_rationales_were_kept_of(project):
    people = people_of(800, split="train")
    women = [(at, age) for at, (gender, _, age) in enumerate(people.values()) if gender]
    asked = [age for at, age in women if age == 1 or at % 8 != 3]
    (kept,) = groups.look(Build(read_settings()), None).told
    assert (kept.figure, kept.about, kept.rows) == ("kept", "qwen7b", 400 + len(asked))
    found = {one.name: (one.rows, one.share) for one in kept.plain["gender"].groups}
    assert found["male"] == (400, 1.0)
    assert found["female"] == (len(asked), pytest.approx(asked.count(1) / len(asked)))


def test_unsure_and_unknown_people_are_counted_and_in_no_group(tmp_path):
    people = people_of(300)
    put_result(tmp_path / "scores", people)
    known = {
        name: parse(content(2 if at < 60 else codes[0], *codes[1:])) for at, (name, codes) in enumerate(people.items())
    }
    found = groups.of_result(tmp_path / "scores", dict(list(known.items())[:240]), seed=0)
    assert (found.rows, found.unknown, found.unsure) == (300, 60, 60)
    assert {one.name: one.rows for one in found.plain["gender"].groups} == {"male": 90, "female": 90}
    assert (found.plain["race"].rows, found.plain["race"].too_few) == (168, 2)


def test_the_gaps_alone_may_leave(project):
    """No path, no name, no group and no count of a small one: what is written is asserted key by key."""
    ran = CliRunner().invoke(command, ["--result", "scores", "--export", "gaps.json"], catch_exceptions=False)
    assert "gaps.json: the gaps, and nothing of a row or a group" in ran.output
    text = (project / "gaps.json").read_text()
    found = json.loads(text)
    assert set(found) == {"method", "rows of a group, at least", "gaps"}
    keys = {"figure", "attribute", "groups", "gap", "low", "high", "rows, at least"}
    assert all(set(one) == keys for one in found["gaps"])
    assert all(one["rows, at least"] % 50 == 0 and one["rows, at least"] >= 2 * LEAST for one in found["gaps"])
    assert {one["figure"] for one in found["gaps"]} == {
        f"{figure}, {alike} alike" for figure in ("accuracy", "kept") for alike in ("rows", "labels")
    }
    assert [one["groups"] for one in found["gaps"][:3]] == [2, 2, 2]
    words = {word for some in ATTRIBUTES.values() for word in some} | {
        "test_",
        "train_",
        "/",
        "\\",
        ".jpg",
        "mine",
        "raf",
    }
    assert [word for word in words if word in text.replace(found["method"], "")] == []


def test_nothing_of_an_attribute_is_written_beside_it(project):
    before = {path for path in project.rglob("*") if path.is_file()}
    CliRunner().invoke(command, ["--result", "scores", "--json"], catch_exceptions=False)
    assert {path for path in project.rglob("*") if path.is_file()} == before


def test_the_table_shows_groups_gaps_and_what_is_left_out(project):
    out = CliRunner().invoke(command, ["--result", "scores"], catch_exceptions=False).output
    assert "accuracy, mine: 400 rows of RAF-DB" in out and "kept, qwen7b" in out
    assert "  male                  200    95.0" in out and "1 group of fewer than 50 rows: not shown" in out
    assert "African-American" not in out.partition("kept, qwen7b")[0]
    assert "alike: over fear, happiness" in out


def test_as_json_holds_no_row(project):
    ran = CliRunner().invoke(command, ["--result", "scores", "--json"], catch_exceptions=False)
    found = json.loads(ran.output)
    assert (found["stage"], found["looks"], found["people"]["attribute files"]) == (
        "fairness", None, {"read": 1200, "broken": 0},
    )  # fmt: skip
    assert "test_0" not in ran.output and "train_0" not in ran.output
    gender = found["people"]["figures"][0]["rows alike"]["gender"]
    assert (gender["gap"]["value"], gender["gap"]["largest"], gender["rows"]) == (0.475, "male", 400)


@pytest.mark.parametrize(
    ("config", "words", "where", "problem"),
    [
        ("sources: {}", ["--result", "scores"], "fer-build.yaml", "no release of RAF-DB"),
        ("sources: {rafdb: bare}", ["--result", "scores"], "bare", "no attribute files"),
        ("sources: {rafdb: raf}", ["--result", "nowhere"], "predictions.jsonl", "cannot be read"),
        ("sources: {rafdb: raf}", ["--result", "other"], "other", "no answers to the RAF-DB benchmark"),
        ("sources: {rafdb: raf}\nwork: empty", [], "cot", "no rationales to faces of RAF-DB"),
    ],
)
def test_what_is_missing_is_named(project, config, words, where, problem):
    (project / "fer-build.yaml").write_text(config)
    trees.rafdb(project / "bare", {"test_0001.jpg": 1})
    put_result(project / "other", people_of(5), set_name="sfew")
    with pytest.raises(FerError, match=problem) as told:
        CliRunner().invoke(command, words, catch_exceptions=False)
    assert where in told.value.where


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--model", "geometry", "--export", "gaps.json"], "name a result with --result"),
        (["--endpoint", "http://127.0.0.1:1/v1"], "name it with --model"),
    ],
)
def test_options_that_do_nothing_are_refused(tmp_path, monkeypatch, words, problem):
    monkeypatch.chdir(tmp_path)
    ran = CliRunner().invoke(command, words)
    assert ran.exit_code == 2 and problem in ran.output
    assert list(tmp_path.iterdir()) == []


# Faces of changed looks


def numbers(scene: Any) -> dict[str, Any]:
    """Everything that makes a scene, by dotted name."""

    def flat(value: Any, name: str) -> dict[str, Any]:
        if isinstance(value, dict):
            return {key: one for part, inner in value.items() for key, one in flat(inner, f"{name}.{part}").items()}
        return {name: value}

    return {key.removeprefix("."): one for key, one in flat(asdict(scene), "").items()}


def differing(one: Any, other: Any) -> set[str]:
    a, b = numbers(one), numbers(other)
    return {key for key in a | b if a.get(key, 0) != b.get(key, 0)}


@pytest.mark.network
def test_a_face_changes_in_what_is_said_and_in_nothing_else():
    face, variants = looks.draw_face(4, seed=3)
    drawn = looks.changed(face, variants[0].levels)
    own = {
        "lamp": ("light.", "background.", "photo.seed"),
        "skin": ("skin.tone",),
        "age": ("identity.age", "skin.lines", "hair.colour", "hair.hairline"),
        "shape": ("identity.descent.", "identity.shapes."),
    }
    own["all"] = tuple(part for name in looks.CHANGED for part in own[name])
    assert [one.change for one in variants] == ["as drawn", *(name for name in own for _ in range(2))]
    for one in variants[1:]:
        found = differing(drawn, looks.changed(face, one.levels))
        assert found and all(name.startswith(own[one.change]) for name in found), one.change
        assert not any(looks.is_expressive(name.rpartition(".")[2]) for name in found)
    for name, levels in looks.ASPECTS.items():
        assert {one.levels[name] for one in variants if one.change in (name, "as drawn")} == set(levels)
    for name in looks.CHANGED:
        assert len({one.levels[name] for one in variants if one.change in ("all", "as drawn")}) == 3


@pytest.mark.network
def test_every_picture_of_a_face_shows_the_same_units():
    rows = looks.make_face(9, seed=0, size=48)
    assert (len(rows), len({row["id"] for row in rows})) == (looks.PICTURES, looks.PICTURES)
    assert {row["label"] for row in rows} == {CANONICAL[1]}
    shown = [{unit["unit"] for unit in row["units"] if unit["intensity"] >= 0.3} for row in rows]
    assert shown[0] and all(one == shown[0] for one in shown)
    assert len({row["images"][0]["bytes"] for row in rows}) == looks.PICTURES
    assert rows == looks.make_face(9, seed=0, size=48)


@pytest.mark.network
def test_skin_tone_is_what_it_is_called():
    def tone(level: str) -> float:
        face, variants = looks.draw_face(2, seed=1)
        return looks.changed(face, {**variants[0].levels, "skin": level}).skin.tone

    assert [tone(level) for level in looks.TONES] == sorted(looks.TONES.values())


def test_a_size_that_cannot_be_rendered_is_said_first(tmp_path):
    with pytest.raises(FerError, match="a side of 12 pixels"):
        looks.wanted(Build(read_settings(work=tmp_path, required=False)), size=12)


def answers(say, faces: int = 8) -> list[dict[str, Any]]:
    """Rows of faces 0, 1, … with what `say` answers to each; every label once in eight."""
    rows = []
    for number in range(faces):
        drawn = {name: levels[number % 3] for name, levels in looks.ASPECTS.items()} | {"lamp": "first"}
        for one in looks._variants(draw_at(0, number), drawn):
            label = CANONICAL[number % 8]
            row = {"face": f"{number:04d}", "change": one.change, "level": one.level, **one.levels, "label": label}
            row |= {"teacher": "qwen7b", "model": "Qwen", "baseline": False, "sampling": "{}"}
            rows.append(row | {"answer": say(row), "right": say(row) == label})
    return rows


def test_a_model_that_sees_the_expression_alone_never_flips():
    found = flips.tally(answers(lambda row: row["label"]), seed=0)
    assert found.faces == 8
    for name, one in found.changes.items():
        assert (one.flipped, one.left_out) == ((0, 8), 0), name
        assert [level.share for level in one.levels.groups] == [1.0] * 3
        assert one.levels.gap.value == 0 and all(share == (0, 8) for share in one.silent.values())
        assert (one.beyond is None) is (name == "lamp")


def test_a_model_that_refuses_dark_faces_is_found_out():
    found = flips.tally(answers(lambda row: "unknown" if row["skin"] == "dark" else row["label"], faces=30), seed=0)
    skin, shape = found.changes["skin"], found.changes["shape"]
    assert (skin.flipped, found.changes["all"].flipped) == ((30, 30), (30, 30))
    assert (shape.flipped, found.changes["age"].flipped, found.changes["lamp"].flipped) == ((0, 30), (0, 30), (0, 30))
    assert skin.beyond == pytest.approx((1, 0.8336, 1), abs=1e-4)
    assert shape.beyond == pytest.approx((0, -0.0613, 0.0613), abs=1e-4)
    assert {one.name: one.share for one in skin.levels.groups} == {"light": 1.0, "medium": 1.0, "dark": 0.0}
    assert skin.silent == {"light": (0, 30), "medium": (0, 30), "dark": (30, 30)}
    assert (skin.levels.gap.value, skin.levels.gap.smallest) == (1.0, "dark") and skin.levels.gap.low > 0.8


def test_what_flips_by_chance_is_taken_off():
    """Of 40 faces 10 flip under another lamp, and 25 in another shape, 8 of them both."""

    def answer(row: dict[str, Any]) -> str:
        number = int(row["face"])
        by_lamp = number < 10 and row["lamp"] == "second"
        by_shape = 2 <= number < 27 and (row["change"], row["shape"]) == ("shape", others[number % 3])
        return "unknown" if by_lamp or by_shape else row["label"]

    others = {at: looks.DESCENTS[(at + 1) % 3] for at in range(3)}
    found = flips.tally(answers(answer, faces=40), seed=0)
    assert (found.changes["lamp"].flipped, found.changes["shape"].flipped) == ((10, 40), (25, 40))
    assert found.changes["shape"].beyond == pytest.approx((0.375, 0.1786, 0.5357), abs=1e-4)
    assert found.changes["skin"].beyond.value == -0.25


def test_a_face_of_which_a_picture_has_no_reply_is_left_out_of_that_change_alone():
    rows = [row for row in answers(lambda row: row["label"]) if (row["face"], row["change"]) != ("0003", "age")]
    found = flips.tally(rows, seed=0)
    assert {name: (one.flipped.whole, one.left_out) for name, one in found.changes.items()} == {
        "lamp": (8, 0), "skin": (8, 0), "age": (7, 1), "shape": (8, 0), "all": (8, 0),
    }  # fmt: skip


def say(store: Path, rows: list[dict[str, Any]], build: Build, reply) -> None:
    """Put replies into the store, as a server's would have been: nobody need be asked."""
    asking = counterfactual.asking_of(build, "qwen7b")._replace(entry=fairness.entry_asked(build, "qwen7b"))
    teacher = open_teacher(asking.entry, store=store)
    assert isinstance(teacher, HttpTeacher)
    keys = [teacher.key(request) for request in counterfactual.requests(rows, asking)]
    with replies.asking(store) as opened:
        pairs = zip(keys, map(reply, rows), strict=True)
        opened.put([Record(key, "", "", Reply(text, "stop", "ok"), {}, 0, "", "") for key, text in pairs])


@pytest.mark.network
def test_a_served_model_is_asked_of_every_picture_and_its_flips_are_counted(tmp_path):
    build = Build(read_settings(work=tmp_path, required=False))
    upstream = looks.run(build, looks.wanted(build, count=3, size=48))
    rows = [row for piece in shards.slices(upstream.out, 500) for row in piece.read().to_pylist()]
    assert (upstream.kept, len(rows), {row["label"] for row in rows}) == (33, 33, set(CANONICAL[:3]))

    def reply(row: dict[str, Any]) -> str:
        if row["age"] == "75 years":
            return "I cannot judge this person."
        return f"<think>I look.</think><answer>{row['label']}</answer>"

    say(build.settings.store, rows, build, reply)
    report = fairness.run(build, teacher="qwen7b", count=3, size=48)
    assert (report.complete, report.kept, report.dropped) == (True, 33, {})
    found = flips.report(report.out, seed=0)
    assert {name: one.flipped for name, one in found.changes.items()} == {
        "lamp": (0, 3), "skin": (0, 3), "age": (3, 3), "shape": (0, 3), "all": (3, 3),
    }  # fmt: skip
    assert found.changes["age"].silent["75 years"] == (3, 3)
    kept = [row for piece in shards.slices(report.out, 500) for row in piece.read().to_pylist()]
    assert {row["outcome"] for row in kept} == {"ok", "refused"}
    assert all(row["right"] is (row["age"] != "75 years") for row in kept)
    more = fairness.plan(build, teacher="qwen7b", count="3", size="48")
    assert not build.is_stale(more) and build.is_stale(fairness.plan(build, teacher="qwen7b", count=4, size=48))


@pytest.mark.network
def test_the_command_asks_the_baseline_without_any_release(tmp_path, monkeypatch):
    words = ["fairness", "--model", "geometry", "--count", "1", "--size", "100", "--workers", "1"]
    ran = fer_build(*words, "--json", cwd=tmp_path)
    assert ran.code == 0, ran.err
    found = ran.json["looks"]
    assert (ran.json["in"], ran.json["kept"], found["baseline"], found["faces"]) == (11, 11, True, 1)
    assert list(found["changes"]) == ["lamp", "skin", "age", "shape", "all"]
    assert all(one["flipped"]["of"] == 1 for one in found["changes"].values())
    monkeypatch.chdir(tmp_path)
    again = CliRunner().invoke(command, words[1:], catch_exceptions=False).output
    assert "up to date" in again and "the embedded baseline" in again and "right %, by level" in again


@pytest.mark.network
def test_a_larger_run_holds_the_faces_of_a_smaller_one(tmp_path):
    build = Build(read_settings(work=tmp_path, required=False))
    few, many = ([one.work for one in looks._jobs(looks.Wanted(count, 48))] for count in (3, 9))
    assert [number for piece in many for number in piece][:3] == [number for piece in few for number in piece]
    keys = {looks.plan(replace_seed(build, seed), looks.Wanted(3, 48)).key for seed in (0, 1)}
    assert len(keys) == 2


def replace_seed(build: Build, seed: int) -> Build:
    return replace(build, settings=replace(build.settings, seed=seed))
