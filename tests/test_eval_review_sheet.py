"""The sheet for people who review rationales: which are drawn, what the page shows and hides, and what ratings say."""

from __future__ import annotations

import base64
import csv
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from calibrated import YES
from conftest import Demo
from hypothesis import given, settings
from hypothesis import strategies as st
from reasoned import FROWN, LABELS, SMILE, faces, row, table, thought

from ferbuild.builders.errors import FerError
from ferbuild.builders.evaluation.reasoning import replies
from ferbuild.builders.evaluation.review_sheet import (
    HIDDEN,
    PAGE,
    SIDE,
    TABLE,
    Shown,
    allot,
    bench_images,
    blind,
    draw,
    pieces,
    write_sheet,
)
from ferbuild.builders.evaluation.reviews import COLUMNS, as_json, kappa, rated, read_sheet
from ferbuild.filters.grounding import check_claims, read_claims

GREY = cv2.imencode(".png", np.full((500, 1000, 3), 90, np.uint8))[1].tobytes()
EVIL = '<script>alert(1)</script><img src=x onerror=alert(2)> The lip corners are pulled up & "so".'


def some(right: int, wrong: int, set_name: str = "rafdb") -> list[dict[str, Any]]:
    answers = ["happiness"] * right + ["fear"] * wrong
    paths = [f"/{set_name}/happy/{at}.jpg" for at in range(len(answers))]
    return [
        row(at, thought(f"{SMILE} {FROWN}", answer), set=set_name, image_path=path, id=f"{set_name}{at}")
        for at, (answer, path) in enumerate(zip(answers, paths, strict=True))
    ]


def written(folder: Path, *rows: dict[str, Any], count: int = 100, seed: int = 0, **options: Any) -> str:
    options = {"images": lambda set_name, path: Shown(GREY, "Which one?")} | options
    write_sheet(table(*rows), folder, count=count, seed=seed, **options)
    return (folder / PAGE).read_text()


class Outline(HTMLParser):
    """The text of a page, inside and outside of what is folded away, and its tags."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.folded, self.open_text, self.depth, self.marks = "", "", 0, list[tuple[str | None, str]]()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.depth += tag == "details" and "open" not in dict(attrs)
        if tag == "details" and "open" in dict(attrs):
            self.depth -= 100  # a block that is open counts as shown until it ends

    def handle_endtag(self, tag: str) -> None:
        if tag == "details":
            self.depth += 100 if self.depth < 0 else -1
        self.tags.append((f"/{tag}", {}))

    def handle_data(self, data: str) -> None:
        last = self.tags[-1] if self.tags else ("", {})
        if last[0] == "mark":
            self.marks.append((last[1]["class"], data))
        if self.depth > 0:
            self.folded += data
        else:
            self.open_text += data


def test_each_set_and_right_and_wrong_have_their_share() -> None:
    rows = [*some(60, 20), *some(12, 8, "sfew")]
    drawn = draw(list(replies(table(*rows))), 25, 3)
    counts = Counter((one.row["set"], one.right) for one in drawn)
    assert counts == {("rafdb", True): 15, ("rafdb", False): 5, ("sfew", True): 3, ("sfew", False): 2}
    assert [one.key for one in draw(list(replies(table(*rows[::-1]))), 25, 3)] == [one.key for one in drawn]
    assert {one.key for one in draw(list(replies(table(*rows))), 25, 4)} != {one.key for one in drawn}


STRATA = st.dictionaries(st.tuples(st.sampled_from("abcd"), st.booleans()), st.integers(1, 300), min_size=1)


@settings(deadline=None)
@given(STRATA, st.integers(0, 400))
def test_shares_are_whole_and_add_up(sizes: dict[tuple[str, bool], int], count: int) -> None:
    taken = allot(sizes, count)
    wanted = min(count, sum(sizes.values()))
    assert sum(taken.values()) == wanted
    assert all(0 <= taken[name] <= size for name, size in sizes.items())
    if wanted >= len(sizes):
        assert min(taken.values()) >= 1
    for name, size in sizes.items():
        assert taken[name] <= max(1, size * wanted / sum(sizes.values()) + 1)


def test_only_replies_that_reason_are_drawn(tmp_path: Path) -> None:
    bare = [row(7, "<answer>fear</answer>"), row(8, "", error=True), row(9, [])]
    assert write_sheet(table(*some(2, 1), *bare), tmp_path, count=10, seed=0, images=lambda *of: None) == 3
    assert (tmp_path / PAGE).read_text().count("no picture") == 3


def test_the_page_is_one_file_and_asks_for_nothing(tmp_path: Path) -> None:
    page = written(tmp_path, *some(3, 2))
    found = Outline(page)
    assert {tag for tag, _ in found.tags} & {"script", "link", "iframe", "object", "base", "form"} == set()
    sources = [attrs["src"] or "" for tag, attrs in found.tags if tag == "img"]
    assert len(sources) == 5 and all(one.startswith("data:image/jpeg;base64,") for one in sources)
    assert "url(" not in page and "http" not in page.replace("http-equiv", "")
    picture = cv2.imdecode(np.frombuffer(base64.b64decode(sources[0].partition(",")[2]), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape[:2] == (SIDE // 2, SIDE)


def test_the_label_is_folded_away_and_no_path_tells_it(tmp_path: Path) -> None:
    rows = [row(1, thought(SMILE, "fear"), true_label="contempt", image_path="/FERPlus/test/contempt/fer1.png")]
    found = Outline(written(tmp_path, *rows))
    assert "contempt" not in found.open_text
    assert "contempt; the answer fear is wrong" in found.folded
    assert f"/FERPlus/test/{HIDDEN}/fer1.png" in found.open_text
    assert "contempt" not in (tmp_path / TABLE).read_text()


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/SFEW-2.0/Val/Happy/a_00000001.png", f"/SFEW-2.0/Val/{HIDDEN}/a_00000001.png"),
        ("/RAF-DB/aligned/test_0001_aligned.jpg", "/RAF-DB/aligned/test_0001_aligned.jpg"),
        ("happy", "happy"),
    ],
)
def test_what_of_a_path_is_hidden(path: str, shown: str) -> None:
    assert blind(path) == shown


def test_what_models_write_is_text(tmp_path: Path) -> None:
    rows = [row(0, EVIL + "<answer>fear</answer>", id='"><b>', image_path="/<i>/x.jpg")]
    found = Outline(written(tmp_path, *rows, images=lambda *of: Shown(b"no picture", "<u>Which?</u>")))
    assert {tag for tag, _ in found.tags} & {"script", "b", "i", "u", "img"} == set()
    assert EVIL in found.open_text and "<u>Which?</u>" in found.open_text


def test_claims_are_marked_by_verdict(tmp_path: Path) -> None:
    text = f"Well. {SMILE} {FROWN} The eyes are wide."
    judged = faces(f0={"AU12": YES}) | {"f0": {**faces(f0={"AU12": YES})["f0"]}}
    del judged["f0"]["AU5"]
    found = Outline(written(tmp_path, row(0, f"{text}\n<answer>happiness</answer>"), judged=judged))
    marks = [(kind, said) for kind, said in found.marks if said in text]
    assert [kind for kind, _ in marks] == ["supported", "contradicted", "unjudged"]
    assert marks[0][1] == "lip corners are pulled up"
    assert f"{text}\n<answer>happiness</answer>" in found.open_text


@settings(deadline=None, max_examples=40)
@given(
    st.lists(
        st.sampled_from([SMILE, FROWN, "So it is.", "The left brow is raised (AU2), the mouth open.", "\n"]), max_size=6
    )
)
def test_pieces_are_the_whole_reply(parts: list[str]) -> None:
    text = " ".join(parts)
    reply = f"<think>{text}</think><answer>fear</answer>"
    checked = check_claims(read_claims(text), {})
    found = pieces(reply, checked, len("<think>"))
    assert "".join(one.text for one in found) == reply
    inside = "".join(one.text for one in found if one.verdict)
    assert all(claim.claim.text in reply and claim.claim.text[:4] in inside for claim in checked)
    assert all((one.verdict is None) == (one.told == "") for one in found)


def fill(path: Path, *lines: str, head: str = ",".join(COLUMNS)) -> Path:
    path.write_text("\n".join([head, *lines, ""]))
    return path


def test_ratings_go_from_the_sheet_to_figures(tmp_path: Path) -> None:
    written(tmp_path, *some(3, 1))
    with (tmp_path / TABLE).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(COLUMNS)
    assert [one["id"] for one in rows] == re.findall(r"rafdb\d(?=</div>)", (tmp_path / PAGE).read_text())
    for name in ("anna", "ben"):
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            out = csv.DictWriter(file, COLUMNS)
            out.writeheader()
            for at, one in enumerate(rows[:3]):
                rating = {"faithful 1-5": str(5 - at), "sound 1-5": "4.0", "hallucinated yes/no": "Yes" if at else "no"}
                out.writerow(one | rating | {"useful 1-5": "" if name == "ben" else "2", "note": 'a, b\n"c"'})
            out.writerow(rows[3])
    found = as_json(read_sheet([tmp_path / "anna.csv", tmp_path / "ben.csv"]))
    assert (found["rows"], found["reviewers"]) == (3, ["anna", "ben"])
    assert found["faithful"] == {"value": 4.0, "low": 3.0, "high": 5.0, "n": 3}
    assert (found["sound"]["value"], found["useful"]["n"]) == (4.0, 3)
    assert (found["hallucinated"]["value"], found["hallucinated"]["n"]) == (0.666667, 3)
    assert found["kappa"] == {
        "anna, ben": {
            "faithful": {"value": 1.0, "n": 3},
            "sound": {"value": None, "n": 3},  # both always say 4: chance alone would
            "useful": {"value": None, "n": 0},
            "hallucinated": {"value": 1.0, "n": 3},
        }
    }


def test_a_rationale_counts_once_however_many_rated_it(tmp_path: Path) -> None:
    path = fill(tmp_path / "all.csv", "a,s,p,anna,1,,,,", "a,s,p,ben,5,,,,", "b,s,q,anna,5,,,,")
    found = read_sheet([path])
    assert (found.figures["faithful"].value, found.figures["faithful"].n) == (4.0, 2)


def test_a_spreadsheets_own_csv_is_read(tmp_path: Path) -> None:
    path = tmp_path / "anna.csv"
    head = ";".join(COLUMNS)
    path.write_bytes(b"\xef\xbb\xbf" + f"{head}\r\na;rafdb;/x.jpg;;5;4;3;n;gut; sehr\r\n;;;;;;;;\r\n".encode())
    found = read_sheet([path])
    assert found.reviewers == ["anna"]
    assert [found.figures[name].value for name in ("faithful", "sound", "useful", "hallucinated")] == [5, 4, 3, 0]


@pytest.mark.parametrize(
    ("lines", "problem", "hint"),
    [
        (["a,s,p,anna,6,,,,"], "line 2: '6' is no rating of faithful", "whole number from 1 to 5"),
        (["a,s,p,anna,4.5,,,,"], "line 2: '4.5' is no rating of faithful", "whole number from 1 to 5"),
        (["a,s,p,anna,,,,maybe,"], "line 2: 'maybe' is no rating of hallucinated", "write yes or no"),
        (["a,s,p,anna,1,,,,", "a,s,p,anna,2,,,,"], "line 3: anna rated p before", "two reviewers need two names"),
        (["a,s,p,anna,,,,,"], "nothing is rated yet", "fill in some rows"),
    ],
)
def test_what_is_wrong_with_a_table_is_told(tmp_path: Path, lines: list[str], problem: str, hint: str) -> None:
    with pytest.raises(FerError) as caught:
        read_sheet([fill(tmp_path / "anna.csv", *lines)])
    assert (problem in caught.value.problem, hint in caught.value.hint) == (True, True)


def test_another_file_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(FerError, match="has no column 'useful'"):
        read_sheet([fill(tmp_path / "x.csv", head="id,set,image_path,reviewer,faithful,sound,usefull,hallucinated")])
    (tmp_path / "y.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FerError, match="UTF-8"):
        read_sheet([tmp_path / "y.csv"])
    with pytest.raises(FerError, match="cannot be read"):
        read_sheet([tmp_path / "none.csv"])


def test_ratings_are_never_overwritten(tmp_path: Path) -> None:
    written(tmp_path, *some(3, 1))
    written(tmp_path, *some(3, 1), seed=1)  # nothing is filled in yet
    filled = (tmp_path / TABLE).read_text().replace(",,,,,,\n", ",anna,3,,,,\n", 1)
    (tmp_path / TABLE).write_text(filled)
    page = (tmp_path / PAGE).read_text()
    with pytest.raises(FerError, match="holds ratings"):
        written(tmp_path, *some(3, 1), seed=2)
    assert ((tmp_path / TABLE).read_text(), (tmp_path / PAGE).read_text()) == (filled, page)
    (tmp_path / TABLE).write_text("something else")
    assert rated(tmp_path / TABLE), "what cannot be read may hold ratings"


GRADES = st.integers(1, 5)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
@settings(deadline=None)
@given(st.lists(st.tuples(GRADES, GRADES), min_size=1, max_size=40))
def test_kappa_is_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    from sklearn.metrics import cohen_kappa_score

    one, other = ([pair[at] for pair in pairs] for at in (0, 1))
    with np.errstate(all="ignore"):
        wanted = cohen_kappa_score(one, other, labels=[1, 2, 3, 4, 5], weights="quadratic")
    found = kappa(one, other, 1, 5)
    assert found == (None if np.isnan(wanted) else pytest.approx(wanted, abs=1e-12))


def test_kappa_of_nobody() -> None:
    assert kappa([], [], 1, 5) is None


def test_a_sheet_of_the_demos_benchmark(demo: Demo, tmp_path: Path) -> None:
    images = bench_images(demo.work / "ferbench")
    shown = images("rafdb", "/RAF-DB/aligned/test_0001_aligned.jpg")
    assert shown is not None and shown.picture is not None and "<think></think>" in shown.question
    assert images("rafdb", "/nowhere") is None
    rows = [row(at, thought(SMILE), image_path=f"/RAF-DB/aligned/test_{at:04d}_aligned.jpg") for at in range(1, 4)]
    page = written(tmp_path, *rows, images=images)
    assert page.count("data:image/jpeg") == 3
    assert set(LABELS) <= set(re.findall(r"\w+", Outline(page).open_text))
