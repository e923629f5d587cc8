"""Claims in the cot dataset: what is checked, what it costs a rationale, what is reported, and when nothing is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import fer_build
from test_cot_served import project, stub  # noqa: F401  a fixture is used by its name

from ferbuild.builders import grounding, shards
from ferbuild.builders.cot import BASELINE
from ferbuild.builders.grounding import NAMES
from ferbuild.filters.units import Place, find_place
from ferbuild.manifests.load import load_calibration, load_units

pytestmark = pytest.mark.network

SAY = (
    "<think>The lip corners are pulled up and the jaw is not dropped. A sad face would show lowered lip corners. "
    "There is tension around the mouth.</think><answer>happiness</answer>"
)
RECIPE = "name: mine\nsources: [rafdb, ferplus]\ntrace_checks: [answered]\nclaims: %s\n"


def rows(folder: Path) -> list[dict[str, Any]]:
    tables = [piece.read().drop_columns("images") for piece in shards.slices(folder, 500)]
    return [row for table in tables for row in table.to_pylist()]


def recipe(home: Path, claims: str) -> None:
    (home / "mine.yaml").write_text(RECIPE % claims)
    config = json.loads((home / "fer-build.yaml").read_text()) | {"recipe": "mine.yaml"}
    (home / "fer-build.yaml").write_text(json.dumps(config))


def test_every_claim_of_the_demo_is_accounted_for(demo) -> None:
    found = rows(demo.work / "cot")
    for row in found:
        text = row["completion"][0]["content"]
        verdicts = [claim["verdict"] for claim in row["claims"]]
        counts = (row["supported"], row["contradicted"], row["not_judged"])
        assert tuple(verdicts.count(one) for one in ("supported", "contradicted", "not judged")) == counts
        assert not counts[1] and not counts[2], "the baseline says what was judged, and nothing else"
        tried = (row["elsewhere"], row["supported_elsewhere"], row["contradicted_elsewhere"])
        assert None not in tried or tried == (None, None, None)
        assert None in tried or sum(tried[1:]) <= len(row["claims"])
        assert all(text[claim["start"] : claim["end"]].strip() for claim in row["claims"])
        assert len(row["grounding_version"]) == 16
    assert len({row["grounding_version"] for row in found}) == 1


def test_the_version_changes_with_whatever_changes_a_verdict(monkeypatch) -> None:
    """Of a unit's halves, `sided` says which are judged: the list of units decides too."""
    version = grounding.version.__wrapped__
    shipped = version(None)
    assert version(None) == shipped == grounding.version(None)
    units = load_units()
    other = units.units | {"AU1": units.units["AU1"].model_copy(update={"sided": not units.units["AU1"].sided})}
    monkeypatch.setattr(grounding, "load_units", lambda: units.model_copy(update={"units": other}))
    assert version(None) != shipped


def test_a_rationale_is_tried_on_another_face_of_the_label_that_can_be_judged(demo) -> None:
    tables = [piece.read() for piece in shards.slices(demo.work / "measures", 500)]
    measured = {row["id"]: row for table in tables for row in table.to_pylist()}
    placed = {name for name, row in measured.items() if isinstance(find_place(row, load_calibration()), Place)}
    assert placed < set(measured)
    others = {row["id"]: row["elsewhere"] for row in rows(demo.work / "cot") if row["elsewhere"]}
    assert len(others) > 30 and {*others, *others.values()} <= placed
    assert all(one != other for one, other in others.items())
    assert all(measured[one]["canonical"] == measured[other]["canonical"] for one, other in others.items())


def test_the_report_of_the_demo(demo) -> None:
    found = rows(demo.work / "cot")
    ran = fer_build("grounding", demo.work / "cot", "--json", cwd=demo.home)
    (teacher,) = ran.json["teachers"]
    total = teacher["total"]
    assert (teacher["teacher"], teacher["circular"], total["rationales"]) == ("geometry", True, len(found))
    assert total["supported"] == sum(row["supported"] for row in found) == total["claims"] > 30
    assert total["support"] == 1.0
    assert total["tried"] == sum(row["elsewhere"] in {one["id"] for one in found} for row in found)
    assert 0 < total["tried"] < total["rationales"]
    assert 0.2 < total["lift"] < 0.9, "its own face bears it out, another one of the label does so less"
    assert sum(label["rationales"] for label in teacher["labels"].values()) == len(found)
    shown = fer_build("grounding", cwd=demo.home)
    assert "circular" in shown.out
    assert f"lift over {total['tried']} of {total['rationales']} rationales" in shown.out


def test_one_text_for_every_face_lifts_nothing(project) -> None:  # noqa: F811
    recipe(project, "{check: true}")
    with stub(project / "log", "--say", SAY) as url:
        made = fer_build("cot", "--endpoint", url, "--json", cwd=project)
    assert made.code == 0, made.err
    found = rows(project / "fer-data" / "cot")
    assert {len(row["claims"]) for row in found} == {3}
    assert [claim["units"] for claim in found[0]["claims"]] == [["AU12"], ["AU26", "AU27"], []]
    assert all(row["claims"][2]["why"] == "no unit" for row in found)
    (teacher,) = fer_build("grounding", "--json", cwd=project).json["teachers"]
    total = teacher["total"]
    assert not teacher["circular"] and total["supported"] > 0 and total["contradicted"] > 0
    assert abs(total["lift"]) <= total["error"]
    most = sum(row["contradicted"] == 0 for row in found)
    recipe(project, "{most_contradicted: 0}")
    strict = fer_build("cot", "--endpoint", url, "--json", cwd=project).json  # the server is gone: nothing is asked
    assert (strict["kept"], strict["dropped"]) == (most, {"contradicted": len(found) - most})


def test_unchecked_claims_are_null_and_need_no_measures(project) -> None:  # noqa: F811
    recipe(project, "{check: false}")
    with stub(project / "log", "--say", SAY) as url:
        made = fer_build("cot", "--endpoint", url, "--json", cwd=project).json
    assert [one["stage"] for one in made["upstream"]] == ["faces"]
    assert all(row[name] is None for row in rows(project / "fer-data" / "cot") for name in NAMES)
    told = fer_build("grounding", "--json", cwd=project)
    assert (told.code, told.json["error"]["problem"]) == (2, "its claims were not checked")


def test_texts_in_another_language_are_counted(project) -> None:  # noqa: F811
    recipe(project, "{check: true}")
    german = "Die Mundwinkel sind nach oben gezogen und die Augen sind ganz weit offen."
    with stub(project / "log", "--say", f"<think>{german}</think><answer>happiness</answer>") as url:
        fer_build("cot", "--endpoint", url, "--json", cwd=project)
    (teacher,) = fer_build("grounding", "--json", cwd=project).json["teachers"]
    assert teacher["other_language"] == teacher["total"]["rationales"] > 0
    assert (teacher["total"]["claims"], teacher["total"]["support"]) == (0, None)


def test_the_baseline_is_told_on_the_card(demo) -> None:
    assert BASELINE.strip()[:60] in (demo.work / "cot" / "README.md").read_text()


def test_a_folder_without_claims(demo) -> None:
    ran = fer_build("grounding", demo.work / "rlvr", "--json", cwd=demo.home)
    assert (ran.code, ran.json["error"]["problem"]) == (2, "has no column 'teacher'")
