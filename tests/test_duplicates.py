"""Who stays of pictures that show one photograph: by stated rules, whatever the order of the rows and the workers."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import twins
from hypothesis import given, settings
from hypothesis import strategies as st

from ferbuild.builders import duplicates, faces, known_faces, shards
from ferbuild.builders.alike import NO_PAIRS, contaminated, nothing_more
from ferbuild.builders.build import Build
from ferbuild.builders.config import read_settings
from ferbuild.builders.duplicates import decide
from ferbuild.builders.errors import FerError
from ferbuild.builders.hashing import Columns
from ferbuild.builders.known_faces import ROWS, Faces
from ferbuild.builders.mark import Report
from ferbuild.builders.near import Pairs
from ferbuild.builders.record import FACES
from ferbuild.manifests.recipe import Duplicates

TRAIN = ""
DEFAULT = Duplicates()


class Face(NamedTuple):
    """A row: its id, the benchmark set it belongs to, what it is labelled, and what is equal to others'."""

    id: int
    set: str = TRAIN
    label: str = "happiness"
    area: int = 100
    file: int | None = None
    """Default: a file of its own."""
    pixels: int | None = None
    whole: bool = True


def known(faces: Iterable[Face]) -> Faces:
    """Return faces as the stage knows them; a file or pixels of its own is numbered by the id."""
    rows = [
        {
            "id": one.id,
            "source": "src",
            "split": "test" if one.set else "train",
            "canonical": one.label,
            "area": one.area,
            "whole": one.whole,
            "same_file": 1000 + one.id if one.file is None else one.file,
            "same_pixels": 1000 + one.id if one.pixels is None else one.pixels,
            "file": 0,
            "at": at,
            "set": one.set or None,
        }
        for at, one in enumerate(faces)
    ]
    frame = pl.DataFrame(rows, schema=ROWS | {"set": pl.Categorical()})
    blank = Columns(
        *(np.zeros((len(rows), *shape), kind) for shape, kind in (((), "u8"), ((32,), "u1"), ((64,), "i1")))
    )
    return known_faces.ranked(frame, blank, lambda file, at: b"", 100)


def pairs_of(faces: Faces, near: Iterable[tuple[int, int]]) -> Pairs:
    """Return verified pairs, given by ids, as a search gives them: of the first rows of equal pixels, by row."""
    at = {number: row for row, number in enumerate(faces.rows["id"].to_list())}
    rows = {tuple(sorted(int(faces.classes[at[one]]) for one in pair)) for pair in near}
    found = sorted(pair for pair in rows if pair[0] != pair[1])
    i, j = np.array(found, np.int64).reshape(-1, 2).T
    return Pairs(i, j, np.zeros(len(i), bool), np.ones(len(i), np.float32), np.ones(len(i), bool), len(i), 0)


def verify_by(faces: Faces, near: Iterable[tuple[int, int]]):
    """Return a comparison that says yes to these ids and no others, and to equal rows."""
    same = {frozenset(pair) for pair in near}
    ids = faces.rows["id"].to_list()
    return lambda i, j, mirrored: np.array(
        [frozenset((ids[a], ids[b])) in same or a == b for a, b in zip(i, j, strict=True)], bool
    )


def outcome(
    faces: Iterable[Face],
    near: Iterable[tuple[int, int]] = (),
    policy: Duplicates = DEFAULT,
    also: Iterable[tuple[int, int]] = (),
    at_odds: Iterable[tuple[int, int]] = (),
) -> dict[int, tuple[str, int] | None]:
    """Return id to (reason, id of the other row), None where it stays.

    `also` are alike, and were not searched for; pairs `at_odds` were found, and are not settled.
    """
    found = known(faces)
    near, at_odds = list(near), list(at_odds)
    pairs, open_ones = pairs_of(found, [*near, *at_odds]), pairs_of(found, at_odds)
    settled = ~np.isin(pairs.i * len(found) + pairs.j, open_ones.i * len(found) + open_ones.j)
    verdict = decide(found, pairs._replace(settled=settled), policy, verify_by(found, [*near, *at_odds, *also]))
    ids = found.rows["id"].to_list()
    told = zip(ids, verdict.reason.to_list(), verdict.other.tolist(), strict=True)
    return {number: None if reason is None else (reason, ids[other]) for number, reason, other in told}


def changed(**options: Any) -> Duplicates:
    return Duplicates(**options)


def test_of_a_group_the_larger_stays_then_the_lower_id():
    assert outcome([Face(1), Face(2, area=400)], [(1, 2)]) == {1: ("near duplicate", 2), 2: None}
    assert outcome([Face(1), Face(2)], [(1, 2)]) == {1: None, 2: ("near duplicate", 1)}
    assert outcome([Face(1), Face(2)]) == {1: None, 2: None}


def test_a_pair_at_odds_with_others_makes_no_group_but_contaminates():
    assert outcome([Face(1), Face(2), Face(3)], [(1, 2)], at_odds=[(2, 3)]) == {
        1: None,
        2: ("near duplicate", 1),
        3: None,
    }
    benchmark = [Face(1, "rafdb"), Face(2), Face(3)]
    shown = ("contaminates:ferbench/rafdb", 1)
    assert outcome(benchmark, [(2, 3)], at_odds=[(1, 3)]) == {1: None, 2: None, 3: shown}


def test_a_benchmark_row_stands_before_a_larger_picture_and_none_ever_goes():
    faces = [Face(9, "rafdb"), Face(8, "rafdb"), Face(1, area=900)]
    assert outcome(faces, [(1, 8), (1, 9), (8, 9)]) == {1: ("contaminates:ferbench/rafdb", 8), 8: None, 9: None}


def test_equal_pixels_and_equal_files_are_duplicates_without_a_search():
    faces = [Face(1, pixels=7), Face(2, pixels=7), Face(3, file=5, area=400), Face(4, file=5, area=50, whole=False)]
    expected = {1: None, 2: ("duplicate", 1), 3: None, 4: ("duplicate", 3)}
    assert outcome(faces) == expected
    assert outcome(faces, policy=changed(search="exact")) == expected
    assert outcome(faces, policy=changed(search="none")) == dict.fromkeys((1, 2, 3, 4))


def test_two_faces_cut_out_of_one_picture_are_two():
    faces = [Face(1, file=5, whole=False), Face(2, file=5, whole=False)]
    assert outcome(faces) == {1: None, 2: None}
    assert outcome(faces, [(1, 2)]) == {1: None, 2: ("duplicate", 1)}


def test_contamination_by_file_by_pixels_and_by_near_duplicate():
    bench = Face(1, "sfew", file=5, pixels=6)
    assert outcome([bench, Face(2, file=5, whole=False)])[2] == ("contaminates:ferbench/sfew", 1)
    assert outcome([bench, Face(2, pixels=6)])[2] == ("contaminates:ferbench/sfew", 1)
    assert outcome([bench, Face(2)], [(1, 2)])[2] == ("contaminates:ferbench/sfew", 1)
    assert outcome([bench, Face(2)])[2] is None
    exact = changed(search="exact")
    assert outcome([bench, Face(2, pixels=6), Face(3, file=5)], policy=exact) == {
        1: None, 2: ("contaminates:ferbench/sfew", 1), 3: ("contaminates:ferbench/sfew", 1),
    }  # fmt: skip


def test_the_surest_benchmark_row_is_named():
    faces = [Face(1, "a"), Face(2, "b", pixels=6), Face(3, "c", file=5), Face(4, pixels=6, file=5), Face(5, pixels=6)]
    found = outcome(faces, [(1, 4)])
    assert found[4] == ("contaminates:ferbench/c", 3)
    assert found[5] == ("contaminates:ferbench/b", 2)
    found = outcome([Face(2, "b"), Face(1, "a", area=50), Face(7)], [(1, 7), (2, 7), (1, 2)])
    assert found == {1: None, 2: None, 7: ("contaminates:ferbench/b", 2)}


def test_a_copy_of_a_contaminated_copy_is_compared_with_the_benchmark_too():
    """The search pairs a picture with its first copy alone, where copies have equal hashes."""
    faces = [Face(1, "a"), Face(2), Face(3)]
    assert outcome(faces, [(1, 2), (2, 3)], also=[(1, 3)]) == {
        1: None, 2: ("contaminates:ferbench/a", 1), 3: ("contaminates:ferbench/a", 1),
    }  # fmt: skip
    assert outcome(faces, [(1, 2), (2, 3)]) == {1: None, 2: ("contaminates:ferbench/a", 1), 3: None}


def test_a_training_row_near_one_of_two_near_benchmark_rows_goes_for_that_one():
    assert outcome([Face(1, "a"), Face(2, "b"), Face(3)], [(1, 2), (2, 3)]) == {
        1: None, 2: None, 3: ("contaminates:ferbench/b", 2),
    }  # fmt: skip


def test_what_two_near_benchmark_rows_share_hides_no_other_row():
    found = outcome([Face(0), Face(1), Face(3, "a"), Face(5, "b")], [(0, 3), (0, 5), (1, 5), (3, 5)])
    shown = {0: ("contaminates:ferbench/a", 3), 1: ("contaminates:ferbench/b", 5)}
    assert found == {3: None, 5: None} | shown


def test_what_is_near_a_face_cut_out_of_a_benchmark_file_goes_too():
    faces = [Face(1, "a", file=5), Face(2, file=5, whole=False, pixels=8), Face(3, pixels=8), Face(4)]
    assert outcome(faces, [(2, 4)]) == {1: None} | dict.fromkeys((2, 3, 4), ("contaminates:ferbench/a", 1))


def test_copies_of_contaminated_pixels_go_with_them():
    faces = [Face(1, "a"), Face(2, pixels=8), Face(3, pixels=8), Face(4, pixels=8)]
    assert outcome(faces, [(1, 2)]) == {1: None} | dict.fromkeys((2, 3, 4), ("contaminates:ferbench/a", 1))


def test_contaminated_rows_may_be_kept():
    faces = [Face(1, "a", pixels=8), Face(2, pixels=8), Face(3, pixels=8)]
    assert outcome(faces, policy=changed(contaminated="keep")) == {1: None, 2: None, 3: ("duplicate", 2)}
    assert outcome(faces, [(1, 2)], changed(contaminated="keep", same="keep")) == dict.fromkeys((1, 2, 3))


DISAGREEING = (Face(1, label="fear"), Face(2, label="fear"), Face(3, label="anger"))
ALL = ((1, 2), (1, 3), (2, 3))


@pytest.mark.parametrize("same", ["drop", "keep"])
def test_labels_that_disagree(same):
    found = {kept: outcome(DISAGREEING, ALL, changed(same=same, disagreeing=kept)) for kept in ("one", "all", "none")}
    assert found["one"] == {1: None, 2: ("near duplicate", 1), 3: ("labels disagree", 1)}
    assert found["all"] == dict.fromkeys((1, 2, 3))
    assert found["none"] == {1: ("labels disagree", 3), 2: ("labels disagree", 3), 3: ("labels disagree", 1)}


def test_labels_that_agree_are_no_disagreement():
    faces = [face._replace(label="fear") for face in DISAGREEING]
    expected = {1: None, 2: ("near duplicate", 1), 3: ("near duplicate", 1)}
    for kept in ("one", "all", "none"):
        assert outcome(faces, ALL, changed(disagreeing=kept)) == expected
        assert outcome(faces, ALL, changed(disagreeing=kept, same="keep")) == dict.fromkeys((1, 2, 3))


def test_the_label_of_a_contaminated_row_counts_for_nothing():
    faces = [Face(1, "a"), Face(2, label="fear"), Face(3, label="anger"), Face(4, label="anger", area=50)]
    found = outcome(faces, [(1, 2), (2, 3), (2, 4), (3, 4)], changed(disagreeing="none"))
    assert found == {1: None, 2: ("contaminates:ferbench/a", 1), 3: None, 4: ("near duplicate", 3)}


def test_a_benchmarks_labels_may_disagree():
    faces = [Face(1, "a", label="fear"), Face(2, "b", label="anger", pixels=1001)]
    assert outcome(faces, [(1, 2)], changed(disagreeing="none")) == {1: None, 2: None}


def test_a_chain_of_small_steps_does_not_swallow_thousands():
    """Every picture is like the next one; none like the one after that."""
    count = 3000
    steps = [(at, at + 1) for at in range(count - 1)]
    found = outcome([Face(at) for at in range(count)], steps)
    groups = Counter(one[1] for one in found.values() if one)
    assert set(groups.values()) == {1}, "a group holds what was compared with the row that stands for it"
    assert sum(one is None for one in found.values()) == count // 2


def test_rows_without_a_picture_are_alone():
    faces = known([Face(1, "a"), Face(2, "a"), Face(3)])
    bare = replace(faces, rows=faces.rows.with_columns(same_file=None, same_pixels=None))
    assert bare.classes.tolist() == [0, 1, 2] and bare.pictured.tolist() == []
    assert decide(bare, NO_PAIRS, DEFAULT, nothing_more).reason.to_list() == [None] * 3


numbers = st.integers(0, 4)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[Face], list[tuple[int, int]], list[tuple[int, int]]]:
    """Return faces, pairs that a search found, and those that also are alike."""
    count = draw(st.integers(1, 12))
    faces = [
        Face(
            number,
            draw(st.sampled_from((TRAIN, TRAIN, "a", "b"))),
            draw(st.sampled_from(("fear", "anger"))),
            draw(st.sampled_from((50, 100))),
            draw(st.none() | numbers),
            draw(st.none() | numbers),
            draw(st.booleans()),
        )
        for number in range(count)
    ]
    couples = [(a, b) for a in range(count) for b in range(a)]
    near = draw(st.lists(st.sampled_from(couples), max_size=8)) if couples else []
    also = draw(st.lists(st.sampled_from(couples), max_size=4)) if couples else []
    return faces, near, also


policies = st.builds(
    Duplicates,
    search=st.sampled_from(("near", "exact")),
    same=st.sampled_from(("drop", "keep")),
    disagreeing=st.sampled_from(("one", "all", "none")),
    contaminated=st.sampled_from(("drop", "keep")),
)


@settings(max_examples=100, deadline=None)
@given(worlds(), policies, st.randoms())
def test_what_holds_of_every_build(world, policy, rng):
    faces, near, also = world
    found = outcome(faces, near, policy, also)
    by_id = {one.id: one for one in faces}
    shuffled = rng.sample(faces, len(faces))
    assert outcome(shuffled, near, policy, also) == found, "the order of the rows decides nothing"
    for number, why in found.items():
        if why is None:
            continue
        reason, other = why
        assert not by_id[number].set, "a benchmark row never goes"
        assert other != number
        if reason.startswith("contaminates"):
            assert policy.contaminated == "drop" and reason == f"contaminates:ferbench/{by_id[other].set}"
        else:
            assert not by_id[other].set
            differ = by_id[other].label != by_id[number].label
            assert (reason == "labels disagree") == (differ or (policy.disagreeing == "none" and reason[0] == "l"))
            assert reason == "labels disagree" or found[other] is None, "what stands for another row stays"
    stays = [by_id[number] for number, why in found.items() if why is None]
    training = [one for one in stays if not one.set]
    if policy.contaminated == "drop":
        shown = [one for one in faces if one.set]
        paired = {frozenset(pair) for pair in near}
        for one in training:
            for other in shown:
                assert frozenset((one.id, other.id)) not in paired
                assert one.file is None or one.file != other.file
                assert one.pixels is None or one.pixels != other.pixels
    if policy.same == "drop" and policy.disagreeing != "all":
        pixels = [one.pixels for one in training if one.pixels is not None]
        assert len(pixels) == len(set(pixels))


@settings(max_examples=40, deadline=None)
@given(worlds())
def test_contamination_is_what_the_verdict_says(world):
    faces, near, also = world
    found = known(faces)
    shown = contaminated(found, pairs_of(found, near), verify_by(found, [*near, *also]))
    gone = {number for number, why in outcome(faces, near, DEFAULT, also).items() if why and why[0][0] == "c"}
    assert gone == {number for number, row in zip(found.rows["id"], shown, strict=True) if row >= 0}
    assert all(found.rows["set"][int(row)] for row in shown[shown >= 0])


# The stage itself, on releases.


def build(home: Path, recipe: str = "", *, work: str = "fer-data", workers: int = 1) -> Report:
    """Run the faces stage over the releases in `home`, with `recipe` under `duplicates:`."""
    names = sorted(path.name for path in home.iterdir() if path.name in ("rafdb", "sfew"))
    (home / "mine.yaml").write_text(f"name: mine\nsources: {json.dumps(names)}\nduplicates: {{{recipe}}}\n")
    lines = "".join(f"  {name}: {name}\n" for name in names)
    (home / "fer-build.yaml").write_text(f"recipe: mine.yaml\nsources:\n{lines}")
    return faces.run(Build(read_settings(home / "fer-build.yaml", work=home / work, workers=workers)))


def stem(row: dict[str, Any]) -> str:
    return Path(row["rel_path"]).stem.removesuffix("_aligned")


def kept(home: Path) -> dict[str, dict[str, Any]]:
    folder = home / "fer-data/faces"
    return {stem(row): row for piece in shards.slices(folder, 1000) for row in piece.read().to_pylist()}


def dropped(home: Path) -> dict[str, dict[str, Any]]:
    return {stem(row): row for table in shards.read_drops(home / "fer-data/faces") for row in table.to_pylist()}


@pytest.fixture
def releases(tmp_path) -> Path:
    """RAF-DB with a test split, and SFEW: ten photographs in 20 pictures."""
    a, b, c, d, e, f, g, h, i, j = (twins.photo(number) for number in range(10))
    raf = {
        "test_0001": twins.png(a), "test_0002": twins.png(b), "test_0003": twins.png(c), "test_0004": twins.png(d),
        "train_00001": twins.png(e), "train_00002": twins.png(f), "train_00003": twins.png(f, 1),
        "train_00004": twins.png(g), "train_00005": twins.png(twins.smaller(g, 48)), "train_00006": twins.png(h),
        "train_00007": twins.png(i), "train_00008": twins.jpeg(i), "train_00009": twins.png(j),
    }  # fmt: skip
    sfew = {
        "byfile": twins.png(a), "bypixels": twins.png(b, 1), "bynear": twins.jpeg(c), "mirrored": twins.png(d[:, ::-1]),
        "mirrored2": twins.png(twins.smaller(h[:, ::-1], 60)), "alone": twins.png(twins.photo(10)),
    }  # fmt: skip
    twins.raf(tmp_path / "rafdb", raf, {"train_00008": 6})
    twins.sfew(tmp_path / "sfew", sfew)
    twins.sfew(tmp_path / "sfew", {"other": twins.png(j, 1)}, label="Sad")
    return tmp_path


def test_every_kind_of_copy_goes_with_its_reason_and_names_the_other(releases):
    told = build(releases)
    assert (told.rows_in, told.splits) == (20, {"train": 7, "test": 4})
    rows = kept(releases)
    names = {row["id"]: name for name, row in rows.items()}
    found = {name: (row["reason"], names[row["detail"]]) for name, row in dropped(releases).items()}
    low, high = sorted(("train_00002", "train_00003"), key=lambda name: (rows | dropped(releases))[name]["id"])
    first, second = sorted(("train_00007", "train_00008"), key=lambda name: (rows | dropped(releases))[name]["id"])
    last, lost = sorted(("train_00009", "other"), key=lambda name: (rows | dropped(releases))[name]["id"])
    assert found == {
        "byfile": ("contaminates:ferbench/rafdb", "test_0001"),
        "bypixels": ("contaminates:ferbench/rafdb", "test_0002"),
        "bynear": ("contaminates:ferbench/rafdb", "test_0003"),
        "mirrored": ("contaminates:ferbench/rafdb", "test_0004"),
        high: ("duplicate", low),
        "train_00005": ("near duplicate", "train_00004"),
        "mirrored2": ("near duplicate", "train_00006"),
        second: ("labels disagree", first),
        lost: ("labels disagree", last),
    }
    assert all(row["group_id"] == row["id"] for row in rows.values())


def test_kept_rows_share_their_groups_id(releases):
    told = build(releases, "same: keep, disagreeing: all, contaminated: keep")
    assert (told.kept, told.dropped) == (20, {})
    rows = kept(releases)
    groups: dict[str, set[str]] = {}
    for name, row in rows.items():
        groups.setdefault(row["group_id"], set()).add(name)
    assert {frozenset(names) for names in groups.values() if len(names) > 1} == {
        frozenset(names)
        for names in (
            ("train_00002", "train_00003"), ("train_00004", "train_00005"), ("train_00006", "mirrored2"),
            ("train_00007", "train_00008"), ("train_00009", "other"),
        )
    }  # fmt: skip
    assert all(min(rows[name]["id"] for name in names) <= group for group, names in groups.items())
    for name in ("train_00004", "train_00006"):
        assert rows[name]["group_id"] == rows[name]["id"], "the larger stands for the group"


@pytest.mark.parametrize(
    ("recipe", "reasons"),
    [
        ("search: exact", {"contaminates:ferbench/rafdb": 2, "duplicate": 1, "labels disagree": 1}),
        ("search: none", {}),
        ("disagreeing: none", {"contaminates:ferbench/rafdb": 4, "duplicate": 1, "near duplicate": 2,
                               "labels disagree": 4}),
        ("contaminated: keep", {"duplicate": 1, "near duplicate": 2, "labels disagree": 2}),
    ],
)  # fmt: skip
def test_the_recipe_says_what_becomes_of_copies(releases, recipe, reasons):
    told = build(releases, recipe)
    assert told.dropped == reasons and told.kept + sum(reasons.values()) == told.rows_in == 20


def test_workers_and_the_recipes_order_of_sources_decide_nothing(releases):
    first, second = build(releases), build(releases, work="two", workers=2)
    assert {name: digest(path) for name, path in streams(releases)} == {
        name: digest(path) for name, path in streams(releases, "two")
    }
    assert first.dropped == second.dropped
    gone = {name: (row["reason"], row["detail"]) for name, row in dropped(releases).items()}
    (releases / "mine.yaml").write_text("name: mine\nsources: [sfew, rafdb]\n")
    third = faces.run(Build(read_settings(releases / "fer-build.yaml")))
    assert third.dropped == first.dropped and not third.reused
    assert {name: (row["reason"], row["detail"]) for name, row in dropped(releases).items()} == gone


def streams(home: Path, work: str = "fer-data") -> list[tuple[str, Path]]:
    folder = home / work / "faces"
    return [(str(path.relative_to(folder)), path) for path in sorted(folder.rglob("*.arrow"))]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("recipe", "problem"),
    [
        ("search: all", "duplicates.search"),
        ("same: maybe", "duplicates.same"),
        ("disagreeing: first", "duplicates.disagreeing"),
        ("contaminated: no", "duplicates.contaminated"),
        ("serach: near", "duplicates.serach"),
    ],
)
def test_a_slip_in_the_recipe_is_named_before_any_work(tmp_path, recipe, problem):
    (tmp_path / "mine.yaml").write_text(f"name: mine\nsources: [rafdb]\nduplicates: {{{recipe}}}\n")
    (tmp_path / "fer-build.yaml").write_text("recipe: mine.yaml\nsources: {rafdb: nowhere}\n")
    with pytest.raises(FerError) as err:
        read_settings(tmp_path / "fer-build.yaml")
    assert problem in str(err.value)


# The report.


def test_the_report_tells_groups_disagreements_and_contaminations(releases, run, tmp_path):
    build(releases)
    ran = run("duplicates", "--json", "--sheet", "twins.png")
    assert ran.code == 0, ran.err
    told = ran.json
    counts = {name: told[name] for name in ("faces", "groups", "rows", "kept", "dropped", "how", "sizes", "sources")}
    assert counts == {
        "faces": 11, "groups": 5, "rows": 10, "kept": 5,
        "dropped": {"labels disagree": 2, "near duplicate": 2, "duplicate": 1},
        "how": {"near duplicate": 2, "duplicate": 1}, "sizes": {"2": 5},
        "sources": {"rafdb": 3, "rafdb + sfew": 2},
    }  # fmt: skip
    assert told["contaminations"] == {"rafdb": {"sfew": 4}}
    disagreeing = [sorted(Path(row["rel_path"]).stem for row in group) for group in told["disagreeing"]]
    assert sorted(disagreeing) == [["other", "train_00009_aligned"], ["train_00007_aligned", "train_00008_aligned"]]
    for group in told["largest"]:
        assert group[0]["reason"] is None and all(row["reason"] for row in group[1:])
    sheet = shards_of_sheet(tmp_path / "twins.png")
    assert sheet == (8 * 120, 3 * 134), "nine pairs, four in a row"
    plain = run("duplicates")
    assert "10 rows show the photograph of another one, in 5 groups; 5 of them were kept" in plain.out
    assert "2 groups whose labels disagree" in plain.out and "sfew 4" in plain.out


def shards_of_sheet(path: Path) -> tuple[int, int]:
    from PIL import Image

    with Image.open(path) as sheet:
        return sheet.size


def test_the_report_of_groups_that_were_kept_or_lost_whole(releases, run):
    build(releases, "same: keep, disagreeing: none")
    told = run("duplicates", "--json").json
    assert (told["groups"], told["rows"], told["kept"]) == (5, 10, 6)
    assert told["dropped"] == {"labels disagree": 4}
    assert told["how"] == {"near duplicate": 2, "duplicate": 1}
    assert len(told["disagreeing"]) == 2
    assert all(row["reason"] == "labels disagree" for group in told["disagreeing"] for row in group)


def test_without_faces_the_report_says_what_to_do(run, tmp_path):
    twins.raf(tmp_path / "rafdb", {"train_00001": twins.png(twins.photo(1))})
    (tmp_path / "fer-build.yaml").write_text("sources: {rafdb: rafdb}\n")
    ran = run("duplicates", "--json")
    assert ran.code == 2 and "fer-build faces" in ran.json["error"]["hint"]
    ran = run("duplicates", "--sheet", "pairs.txt")
    assert ran.code == 2 and "end the name in .png or .jpg" in ran.err


# Many faces, without pictures.


def streams_without_pictures(folder: Path, count: int, rows: int) -> list[Path]:
    """Write FACES whose pixels are equal here and there; the first stream is a benchmark's."""
    rng = np.random.default_rng(0)
    files = []
    for at in range(count):
        pixels = rng.integers(0, 5 * count * rows, rows)
        table = {field.name: pa.nulls(rows, field.type) for field in FACES} | {
            "id": pa.array([f"{number:016x}" for number in rng.integers(0, 2**63, rows)]),
            "source": pa.array(["rafdb"] * rows),
            "split": pa.array(["train" if at else "test"] * rows),
            "rel_path": pa.array([f"{at}/{row}.jpg" for row in range(rows)]),
            "canonical": pa.array(["fear"] * rows),
            "sha256": pa.array([f"{number:016x}{at:048x}" for number in rng.integers(0, 2**63, rows)]),
            "pixel_hash": pa.array([f"{number:016x}{at:016x}" for number in pixels]),
            "width": pa.array([48] * rows, pa.int32()),
            "height": pa.array(rng.integers(48, 99, rows), pa.int32()),
        }
        files.append(folder / f"{at}.arrow")
        shards.write_stream(files[-1], [pa.table([table[name] for name in FACES.names], schema=FACES)], FACES)
    return files


def test_many_faces_are_settled_and_laid_out_without_losing_one(tmp_path):
    files = streams_without_pictures(tmp_path, 20, 500)
    sets = pl.DataFrame({"source": ["rafdb"], "split": ["test"], "set": ["rafdb"]}, schema_overrides=dict.fromkeys(
        ("source", "split", "set"), pl.Categorical()))  # fmt: skip
    known = known_faces.read(files, sets, 100)
    found = decide(known, NO_PAIRS, changed(search="exact"), nothing_more)
    drops = duplicates.drops(known, found, files)
    pick = duplicates.picking(known, found)
    tables = [shards.read_stream(path) for path in files]
    laid = pa.concat_tables([pick(table.slice(at, 100)) for table in tables for at in range(0, 500, 100)])
    assert laid.num_rows + drops.num_rows == 10_000 and laid.schema.remove_metadata() == FACES
    assert not set(laid["id"].to_pylist()) & set(drops["id"].to_pylist())
    own = laid.filter(pc.equal(laid["split"], "train"))
    assert own["group_id"].to_pylist() == own["id"].to_pylist() and not laid["group_id"].null_count
    pixels = pa.concat_tables(tables).select(["id", "split", "pixel_hash"]).to_pylist()
    bench = {row["pixel_hash"][:16] for row in pixels if row["split"] == "test"}
    training = Counter(row["pixel_hash"][:16] for row in pixels if row["split"] == "train")
    shown = sum(count for value, count in training.items() if value in bench)
    twice = sum(count - 1 for value, count in training.items() if value not in bench)
    assert Counter(drops["reason"].to_pylist()) == {"contaminates:ferbench/rafdb": shown, "duplicate": twice}
    assert shown > 10 and twice > 100
