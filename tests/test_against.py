"""`fer-build calibrate --against`: judgements held against codes, on a coded release whose truth is known."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import fer_build

from ferbuild.builders.render.draw import draw, draw_at
from ferbuild.builders.render.head import load_head
from ferbuild.builders.render.picture import render

pytestmark = pytest.mark.network

SMILES, AT_REST = 12, 12


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """RAF-AU as it lies on disk, of rendered faces: smiles, faces at rest, a lie, a file that is none."""
    home = tmp_path_factory.mktemp("coded")
    folder = home / "RAF-AU" / "aligned"
    folder.mkdir(parents=True)
    lines = []
    for at in range(SMILES + AT_REST):
        asked = {"AU12": 1.0} if at < SMILES else {}
        scene = draw(draw_at(31, at), asked=asked, band="frontal", calm=True)
        (folder / f"{at + 1:04d}_aligned.jpg").write_bytes(render(load_head(), scene).jpeg)
        lines.append(f"{at + 1:04d}.jpg {'12+25' if at < SMILES else '0'}")
    lines[0] = "0001.jpg 25"  # the coder missed it
    (folder / "0099_aligned.jpg").write_bytes(b"no picture")
    lines.append("0099.jpg 12")
    (home / "RAF-AU" / "RAFAU_label.txt").write_text("\n".join(lines) + "\n")
    (home / "fer-build.yaml").write_text("sources: {rafau: RAF-AU}\n")
    return home


def test_judgements_against_codes(coded: Path) -> None:
    ran = fer_build("calibrate", "--against", "rafau", "--json", cwd=coded)
    assert ran.code == 0, ran.err
    assert (ran.json["pictures"], ran.json["unmeasured"]["unreadable"]) == (SMILES + AT_REST + 1, 1)
    smile = ran.json["units"]["AU12"]
    assert smile["coded"] == SMILES
    assert SMILES - 4 <= smile["present"] <= SMILES and smile["present_right"] == smile["present"] - 1, (
        "the coder missed one"
    )
    assert smile["precision"] == smile["present_right"] / smile["present"]
    assert smile["absent"] == smile["absent_right"] and ran.json["units"]["AU27"]["absent_right"] >= AT_REST - 2
    assert ran.json["units"]["AU11"] == {
        "coded": 0, "present": 0, "present_right": 0, "absent": 0, "absent_right": 0,
        "precision": None, "absent_precision": None,
    }  # fmt: skip


def test_the_table(coded: Path) -> None:
    ran = fer_build("calibrate", "--against", "rafau", cwd=coded)
    assert f"rafau: {SMILES + AT_REST + 1} coded pictures" in ran.out
    assert "AU12" in ran.out and "nothing judged: unreadable" in ran.out


@pytest.mark.parametrize(("name", "says"), [("rafu", "did you mean 'rafau'?"), ("rafce", "rafau")])
def test_a_source_that_is_not_named(coded: Path, name: str, says: str) -> None:
    ran = fer_build("calibrate", "--against", name, "--json", cwd=coded)
    assert (ran.code, ran.json["error"]["problem"]) == (2, "no such source in fer-build.yaml")
    assert says in ran.json["error"]["hint"]


def test_nothing_is_assumed_to_be_there(run) -> None:
    ran = run("calibrate", "--against", "rafau", "--json")
    assert ran.code == 2 and "fer-build.yaml" in ran.json["error"]["where"]
