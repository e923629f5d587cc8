"""Questions that carry what was measured, so that a reward can hold a reply's claims against it."""

from __future__ import annotations

import pytest
from conftest import fer_build
from test_cot_served import project  # noqa: F401  a fixture is used by its name

from ferbuild.builders import rlvr, shards
from ferbuild.builders.record import RLVR
from ferbuild.training import rewards

pytestmark = pytest.mark.network

OPEN = "<think>The mouth is stretched wide open.</think><answer>surprise</answer>"


def rows_of(folder) -> list[dict]:
    files = shards.split_files(folder)["train"]
    tables = [shards.read_stream(path) for path in files]
    return [
        row for table in tables for row in table.select([n for n in table.column_names if n != "images"]).to_pylist()
    ]


def paid(row: dict) -> float | None:
    completion = [{"role": "assistant", "content": OPEN}]
    [found] = rewards.grounding([completion], **{name: [value] for name, value in row.items()})
    return found


def test_the_columns_are_those_that_the_reward_reads() -> None:
    assert set(rlvr.MEASURED) == set(rewards._MEASURED)
    assert rlvr.schema_of(measured=False) is RLVR


def test_measures_go_with_the_questions_where_they_are_asked_for(project) -> None:  # noqa: F811
    plain = fer_build("rlvr", "--json", cwd=project)
    assert plain.code == 0 and "measures" not in rows_of(project / "fer-data" / "rlvr")[0]
    ran = fer_build("rlvr", "--measures", "--json", cwd=project)
    assert (ran.code, ran.json["kept"]) == (0, plain.json["kept"]), ran.err
    rows = rows_of(project / "fer-data" / "rlvr")
    measured = {row["id"]: row for row in rows_of(project / "fer-data" / "measures")}
    for row in rows:
        assert {name: row[name] for name in rlvr.MEASURED} == {
            name: measured[row["id"]][name] for name in rlvr.MEASURED
        }
    assert fer_build("rlvr", "--measures", "--json", cwd=project).json["reused"]
    state = fer_build("status", "--json", cwd=project).json["stages"]["rlvr"]
    assert (state["state"], state["flags"]) == ("built", {"measures": "yes"})


def test_the_reward_pays_for_what_is_true_of_the_row(project) -> None:  # noqa: F811
    assert fer_build("rlvr", "--measures", cwd=project).code == 0
    rows = rows_of(project / "fer-data" / "rlvr")
    assert {paid({**row, "measures": None}) for row in rows} == {None}, "without measures it abstains"
    pay = {
        label: [paid(row) for row in rows if row["canonical"] == label] for label in ("surprise", "neutral", "anger")
    }
    assert pay["surprise"].count(1.0) > 5 and -1.0 not in pay["surprise"]
    assert (pay["neutral"] + pay["anger"]).count(-1.0) > 5 and 1.0 not in pay["neutral"] + pay["anger"]
