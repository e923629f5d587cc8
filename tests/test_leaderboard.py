"""`fer-build leaderboard`: who is ranked, who apart, what is named as broken, and what its three forms say."""

from __future__ import annotations

import json
import shutil
import time
from html.parser import HTMLParser
from pathlib import Path

import click
import pytest
import result_folders as made
from conftest import fer_build
from test_eval_compare import answers

from ferbuild.builders.errors import FerError
from ferbuild.builders.evaluation import as_json as scored
from ferbuild.builders.evaluation import board, leaderboard, output, results, score
from ferbuild.builders.evaluation.answers import Loaded
from ferbuild.builders.evaluation.compare import holm
from ferbuild.manifests import load
from ferbuild.manifests.schema import Published

NASTY = "<script>alert(1)</script>|`x`\x1b[31m"
PARTLY = {"rafdb": made.first(20, 35), "sfew": made.first(4, 14)}


@pytest.fixture(scope="module")
def three(tmp_path_factory) -> Path:
    """Three whole results, two partial ones, and three folders that cannot be used."""
    top = tmp_path_factory.mktemp("results")
    made.full(top / "qwen7b" / "report", "qwen7b", 0.6)
    made.full(top / "deep" / "er" / "still", "gpt", 0.7, cost=12.5)
    made.full(top / "majority", "majority", 0.35, baseline=True)
    made.write(top / "part", "geometry", made.lines(PARTLY), baseline=True)
    made.write(top / "other part", NASTY, made.lines({"rafdb": made.first(30, 35), "ck": [True]}))
    for name, text in {"cut": '{"stage": "ev', "stage": '{"stage": "cot"}', "list": "[]"}.items():
        (top / "odd" / name).mkdir(parents=True)
        (top / "odd" / name / "result.json").write_text(text)
    return top


@pytest.fixture(scope="module")
def compared(three) -> leaderboard.Board:
    return leaderboard.with_pairs(leaderboard.board_of(three), resamples=100)


def test_whole_results_are_ranked_and_partial_ones_apart(three):
    found = leaderboard.board_of(three)
    assert [(one.name, leaderboard.rank(one, found.full)) for one in found.full] == [
        ("gpt", 1),
        ("qwen7b", 2),
        ("majority", 3),
    ]
    assert [one.name for one in found.partial] == [NASTY, "geometry"]
    assert found.partial[1].lacks == ("rafdb 35 of 3,068 rows", "no ferplus", "no affectnet", "sfew 14 of 431 rows")
    assert found.partial[0].lacks[-1] == "ck, which is not of the benchmark"
    assert found.sets == ["rafdb", "ferplus", "affectnet", "sfew", "ck"]
    assert [(one.name, one.baseline) for one in found.full] == [("gpt", False), ("qwen7b", False), ("majority", True)]


def test_an_entry_holds_the_pooled_figures(three):
    gpt = leaderboard.board_of(three).full[0]
    right = sum(round(0.7 * n) for n in made.WHOLE.values())
    assert (gpt.n, gpt.place, gpt.cost, gpt.lacks) == (11072, "deep/er/still", 12.5, ())
    assert gpt.strict.value == pytest.approx(right / 11072, abs=1e-6)
    assert (gpt.strict.low, gpt.strict.high) == pytest.approx((gpt.strict.value - 0.01, gpt.strict.value + 0.01))
    assert (gpt.unanswered, gpt.refused, gpt.truncated, gpt.error) == pytest.approx((0.3, 0.3, 0, 0), abs=1e-4)
    assert gpt.sets["sfew"] == pytest.approx(round(0.7 * 431) / 431, abs=1e-6)


def test_a_row_too_many_is_another_benchmark(tmp_path):
    rows = {**made.WHOLE, "ferplus": 3574}
    made.write(tmp_path / "m", "m", made.lines({name: made.first(9, n) for name, n in rows.items()}))
    (one,) = leaderboard.board_of(tmp_path).partial
    assert one.lacks == ("ferplus 3,574 rows, not 3,573",)


def test_the_benchmark_has_11072_rows():
    assert results.benchmark_rows() == made.WHOLE
    assert sum(made.WHOLE.values()) == 11072


def test_equal_results_share_a_rank_and_names_are_told_apart(tmp_path):
    for place, share in {"a": 0.5, "b": 0.5, "c": 0.4}.items():
        made.full(tmp_path / place, "same", share)
    found = leaderboard.board_of(tmp_path)
    assert [one.name for one in found.full] == ["same (a)", "same (b)", "same (c)"]
    assert [leaderboard.rank(one, found.full) for one in found.full] == [1, 1, 3]


def broken(folder: Path, change) -> str:
    """The problem of a result changed by `change`."""
    rows = made.lines(PARTLY)
    found = made.score("m", rows)
    change(found)
    folder.mkdir()
    (folder / "result.json").write_text(json.dumps(found))
    (one,) = leaderboard.board_of(folder).broken
    assert one.place == "."
    return one.problem


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda one: one.update(form=2), "result.json is of another version (form 2, known is 1)"),
        (lambda one: one.pop("form"), "result.json is of another version (form None, known is 1)"),
        (lambda one: one.update(stage="cot"), "result.json is no score of fer-build eval"),
        (lambda one: one["pooled"]["strict"].pop("uar"), "pooled.strict.uar: Field required"),
        (lambda one: one["sets"]["sfew"].update(strict=None), "sets.sfew.strict: "),
        (lambda one: one["pooled"]["official"].update(accuracy=71.0), "pooled.official.accuracy: "),
        (lambda one: one["pooled"]["strict"].update(n="35"), "pooled.strict.n: "),
        (lambda one: one.pop("model"), "model: Field required"),
    ],
)
def test_a_result_of_another_form_is_named(tmp_path, change, problem):
    assert broken(tmp_path / "one", change).startswith(problem)


def test_folders_that_cannot_be_used_are_named_and_counted(three):
    found = {one.place: one.problem for one in leaderboard.board_of(three).broken}
    assert found.keys() == {"odd/cut", "odd/stage", "odd/list"}
    assert found["odd/cut"].startswith("result.json cannot be read")
    assert found["odd/stage"] == found["odd/list"] == "result.json is no score of fer-build eval"


def test_no_result_at_all_is_an_error(tmp_path):
    with pytest.raises(FerError, match=r"holds no result\.json at any depth"):
        leaderboard.board_of(tmp_path)
    with pytest.raises(FerError, match="is no folder"):
        leaderboard.board_of(tmp_path / "nowhere")


def test_a_result_without_rows_comes_last(tmp_path):
    made.write(tmp_path / "some", "some", made.lines(PARTLY))
    empty = made.score("none", made.lines(PARTLY))
    nothing = dict.fromkeys(("accuracy", "uar", "f1")) | {"n": 0, "unknown": 0, "intervals": {"accuracy": None}}
    empty["pooled"] |= {"strict": nothing, "official": nothing}
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "result.json").write_text(json.dumps(empty | {"sets": {}}))
    found = leaderboard.board_of(tmp_path)
    assert [one.name for one in found.partial] == ["some", "none"]
    assert found.partial[1].lacks == ("no rafdb", "no ferplus", "no affectnet", "no sfew")
    assert board.sections(found)[0].rows[1].cells[2:8] == ["0", "–", "–", "–", "–", "–"]


def test_neighbours_and_the_best_are_compared_within_a_ranking(compared):
    pairs = [(pair.one, pair.found.other, pair.found.set, pair.found.n) for pair in compared.pairs]
    assert pairs == [
        ("gpt", "qwen7b", "pooled", 11072),
        ("gpt", "majority", "pooled", 11072),
        ("qwen7b", "majority", "pooled", 11072),
        (NASTY, "geometry", "rafdb", 35),
    ]
    assert [pair.found.p_holm for pair in compared.pairs] == holm([pair.found.p for pair in compared.pairs])
    assert compared.pairs[0].found.difference == pytest.approx(0.1, abs=1e-3)
    assert compared.pairs[0].found.c == 0


def test_predictions_that_are_missing_or_not_the_scored_ones_are_named(tmp_path):
    for name, share in {"a": 0.6, "b": 0.5, "c": 0.4}.items():
        made.full(tmp_path / name, name, share)
    (tmp_path / "a" / "predictions.jsonl").unlink()
    shutil.copy(tmp_path / "b" / "predictions.jsonl", tmp_path / "c" / "predictions.jsonl")
    before = leaderboard.board_of(tmp_path)
    assert not before.broken
    found = leaderboard.with_pairs(before, resamples=50)
    assert [one.place for one in found.broken] == ["a", "c"]
    assert found.broken[1].problem == "its predictions are not those of its result.json"
    assert len(found.full) == 3 and not found.pairs


def test_models_without_a_common_row_are_named(tmp_path):
    made.write(tmp_path / "a", "a", made.lines({"rafdb": [True]}))
    made.write(tmp_path / "b", "b", made.lines({"sfew": [True]}))
    found = leaderboard.with_pairs(leaderboard.board_of(tmp_path))
    assert [tuple(one) for one in found.broken] == [("a and b", "have no row in common")]


def test_a_real_score_can_be_read(tmp_path):
    """Through everything that writes a result folder."""
    done = score.score(Loaded("m", answers("110-1"), []), resamples=50)
    output.write_all(tmp_path / "m", scored.as_json(done), done.readings, [])
    found = leaderboard.with_pairs(leaderboard.board_of(tmp_path))
    (one,) = found.partial
    assert (one.name, one.n, one.strict.value, one.official) == ("m", 5, 0.6, 0.75)
    assert (one.unanswered, one.error, found.broken) == (0.2, 0.2, [])


def test_json_holds_all_that_is_shown(compared):
    found = leaderboard.as_json(compared)
    json.dumps(found, allow_nan=False)
    assert [one["rank"] for one in found["results"]] == [1, 2, 3]
    assert found["results"][0]["name"] == "gpt" and found["results"][0]["cost"] == 12.5
    assert {"accuracy", "low", "high", "uar", "f1", "official", "sets", "unanswered", "lacks"} <= set(
        found["partial"][0]
    )
    assert "rank" not in found["partial"][0]
    assert {"one", "other", "p", "p_holm", "smallest", "left_out"} <= set(found["pairs"][0])
    assert len(found["broken"]) == 3


def test_published_figures_stand_beside_the_official_ones_only(three):
    sections = board.sections(leaderboard.board_of(three))
    assert [one.title for one in sections] == [board.FULL, board.PARTIAL, board.PUBLISHED]
    row = next(row for row in sections[2].rows if row.cells[1] == "UniFER-7B")
    head = board.head(leaderboard.board_of(three))
    assert {name: cell for name, cell in zip(head, row.cells, strict=True) if cell != "–"} == {
        "model": "UniFER-7B",
        "rows": "11,072",
        "official": "68.8",
    }
    assert row.strict is None and row.official == 0.6884
    assert any("arXiv 2511.00389" in note for note in sections[2].notes)


@pytest.mark.parametrize("one", load.load_published(), ids=lambda one: one.name)
def test_every_published_figure_names_its_source_and_where_it_was_read(one):
    assert "arXiv" in one.source and "https://" in one.seen
    assert one.accuracy is not None or one.sets
    assert one.rows == sum(made.WHOLE.values())
    if one.accuracy is not None:
        assert f"{100 * one.accuracy:.2f} %" in one.seen
    assert set(one.sets) <= set(made.WHOLE)


@pytest.mark.parametrize(
    ("more", "problem"),
    [({"accuracy": 68.84}, "accuracy"), ({"f1": 0.6}, "unknown key 'f1'"), ({"reading": "strict"}, "reading")],
)
def test_a_published_figure_is_checked(more, problem):
    whole = {"name": "m", "rows": 1, "source": "s", "seen": "w"}
    assert load.check(whole, Published, "published.yaml").accuracy is None
    with pytest.raises(FerError, match=problem):
        load.check(whole | more, Published, "published.yaml")


def test_published_figures_of_sets_are_told_as_official(three):
    one = Published(name="m", rows=9, sets={"rafdb": 0.5, "sfew": 0.25}, source="s", seen="w")
    shown = leaderboard.board_of(three)
    (section,) = board.sections(leaderboard.Board((), (), [one], (), (), shown.sets))
    assert section.notes == ["m: official accuracy in rafdb 50.0, sfew 25.0; s. Read in w."]


@pytest.mark.parametrize("width", [80, 120, 200])
def test_the_terminal_shows_every_figure_within_its_width(compared, width):
    lines = [click.unstyle(line) for line in board.terminal(compared, width=width)]
    text = "\n".join(lines)
    for part in ("gpt", "majority *", "geometry *", "UniFER-7B", "rafdb 35 of 3,068 rows", "3 problems", "$12.50"):
        assert part in text
    assert "\x1b" not in text
    assert max(len(line) for line in lines) <= width
    for name in (*board.head(compared)[2:], *board.PAIR_HEAD[2:]):
        assert name in text


def test_markdown_tables_have_as_many_cells_in_every_row(compared):
    text = board.markdown(compared)
    heads = 0
    for line in text.splitlines():
        if line.startswith("| "):
            cells = line.replace("\\|", "").count("|") - 1
            assert cells in (len(board.head(compared)), len(board.PAIR_HEAD))
            heads += line.startswith("| :--")
    assert heads == 4
    assert "<script>" not in text and "\x1b" not in text
    for title in ("### All of FERBench", "### On part of FERBench", "### Published, not run here", "### 3 problems"):
        assert title in text


class Page(HTMLParser):
    """Which tags there are, what they link to, and whether they close."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.links: list[str] = []
        self.labels: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]
        self.labels += [value for name, value in attrs if tag == "svg" and name == "aria-label"]
        if tag not in ("meta", "line", "circle", "rect", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)


def test_the_page_needs_nothing_else_and_escapes_what_is_not_ours(compared):
    text = board.page(compared)
    found = Page(text)
    assert not found.open and not found.links and "script" not in found.tags
    assert "url(" not in text and "@import" not in text and "\x1b" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert len(found.labels) == 6
    assert found.labels[0].startswith("gpt: strict 70.0 %, interval 69.0–71.0, official 70.0 %")
    assert found.labels[-1] == "UniFER-7B: official 68.8 %"


def test_the_same_results_give_the_same_bytes(three, compared):
    again = leaderboard.with_pairs(leaderboard.board_of(three), resamples=100)
    assert board.page(again) == board.page(compared)
    assert board.markdown(again) == board.markdown(compared)


def test_twenty_results_are_read_in_no_time(tmp_path):
    """Seconds of this process: the predictions are not touched, the scores are small."""
    first = made.full(tmp_path / "0", "m0", 0.5)
    for at in range(1, 20):
        shutil.copytree(first, tmp_path / str(at))
    leaderboard.board_of(tmp_path)
    began = time.process_time()
    found = leaderboard.board_of(tmp_path)
    board.page(found)
    assert time.process_time() - began < 0.5
    assert len(found.full) == 20


def test_the_command_prints_writes_and_tells_what_is_broken(three, tmp_path):
    words = ("leaderboard", three, "--pairs", "--markdown", "l.md", "--html", "l.html", "--json")
    ran = fer_build(*words, cwd=tmp_path)
    assert ran.code == 1
    assert (ran.json["stage"], ran.json["in"]) == ("leaderboard", str(three))
    assert [one["name"] for one in ran.json["results"]] == ["gpt", "qwen7b", "majority"]
    assert len(ran.json["pairs"]) == 4 and len(ran.json["broken"]) == 3
    assert (tmp_path / "l.md").read_text().startswith("## FERBench leaderboard")
    assert (tmp_path / "l.html").read_text().startswith("<!doctype html>")


def test_without_a_folder_the_work_folders_results_are_ranked(tmp_path):
    made.full(tmp_path / "fer-data" / "eval" / "gpt" / "report", "gpt", 0.7)
    ran = fer_build("leaderboard", cwd=tmp_path)
    assert ran.code == 0
    assert "gpt" in ran.out and "published, not run here" in ran.out
    ran = fer_build("leaderboard", "--work", "elsewhere", "--json", cwd=tmp_path)
    assert ran.code == 2
    assert ran.json["error"]["where"].endswith("elsewhere/eval")
