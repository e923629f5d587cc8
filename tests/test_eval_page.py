"""What a person sees of a score, as text: the wording of figures, the terminal, Markdown, and the page's source."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

import click
import cv2
import numpy as np
import pyarrow as pa
import pytest
import scored
from hypothesis import given
from hypothesis import strategies as st

from ferbuild.builders.evaluation import figures
from ferbuild.builders.evaluation.answers import ANSWERS, Loaded
from ferbuild.builders.evaluation.as_json import as_json
from ferbuild.builders.evaluation.page import LONGEST, SIDE, Example, axis_end, page, place
from ferbuild.builders.evaluation.score import score
from ferbuild.builders.evaluation.tables import markdown, terminal

VOID = {"meta", "img", "input", "br", "link"}
FULL = scored.score(samples=5, more=True)


class Parsed(HTMLParser):
    """Elements in order with their attributes, and the text of each; fails where tags do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    def all(self, tag: str, cls: str = "") -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.found if name == tag and cls in ["", *(attrs.get("class") or "").split()]]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


# The wording of figures


@pytest.mark.parametrize(
    ("share", "said"), [(None, "–"), (0.0, "0.0"), (1.0, "100.0"), (0.6884, "68.8"), (-0.012, "−1.2")]
)
def test_percent(share, said):
    assert figures.percent(share) == said


@pytest.mark.parametrize(
    ("difference", "said"),
    [(None, "–"), (0.0, "0.0"), (-0.0004, "0.0"), (0.0004, "0.0"), (0.031, "+3.1"), (-0.031, "−3.1")],
)
def test_a_difference_has_its_sign_unless_it_rounds_to_zero(difference, said):
    assert figures.signed(difference) == said


@pytest.mark.parametrize(
    ("p", "said"), [(None, "–"), (0.0, "<.001"), (0.00099, "<.001"), (0.0125, ".013"), (0.5, ".500"), (1.0, "1.000")]
)
def test_chance(p, said):
    assert figures.chance(p) == said


@pytest.mark.parametrize(
    ("cost", "said"), [(None, "–"), (0.0, "$0.00"), (0.0123, "$0.0123"), (7.005, "$7.00"), (1234.5, "$1,234.50")]
)
def test_dollars(cost, said):
    assert figures.dollars(cost) == said


@pytest.mark.parametrize(
    ("name", "value", "low", "high", "said", "ends"),
    [
        ("grounding rate", 0.642, 0.618, 0.666, "64.2 %", "61.8–66.6"),
        ("lift", -0.012, -0.031, 0.007, "−1.2 %", "−3.1 % to 0.7 %"),
        ("claims", 0.94, 0.91, 0.97, "0.94", "0.91 to 0.97"),
        ("words, median", 96.0, 94.0, 99.0, "96.0", "94.0 to 99.0"),
        ("claims with a side", 0.25, 0.2, 0.3, "25.0 %", "20.0–30.0"),
        ("coverage", None, None, None, "–", "–"),
    ],
)
def test_figures_of_the_rationales_are_shares_or_counts(name, value, low, high, said, ends):
    figure = {"value": value, "low": low, "high": high, "n": 10}
    assert (figures.told(name, figure), figures.told_span(name, figure)) == (said, ends)


def test_nothing_from_outside_moves_a_cursor():
    assert figures.plain("a\x1b[31m\nb\u202e\ud800 c") == "a\ufffd[31m b\ufffd\ufffd c"


@given(st.floats(-2, 2), st.floats(-1, 0), st.floats(0.01, 1))
def test_no_place_is_off_the_axis(value, low, high):
    at = place(value, low, high)
    assert at.endswith("%") and 0 <= float(at[:-1]) <= 100


@given(st.lists(st.one_of(st.none(), st.floats(-1, 1))))
def test_an_axis_has_room_for_all(values):
    end = axis_end(values)
    assert 0 < end <= 1 and all(abs(value) <= end for value in values if value is not None)


def test_the_weakest_classes_come_with_their_sets():
    assert [(one.set, one.label, one.n) for one in figures.weakest(FULL)] == [
        ("ferplus", "contempt", 27),
        ("sfew", "disgust", 23),
        ("sfew", "fear", 46),
        ("rafdb", "disgust", 160),
        ("sfew", "surprise", 56),
    ]


def test_a_class_without_rows_is_not_the_weakest():
    found = scored.score(sets=("sfew",))
    found["sets"]["sfew"]["per_class"][0] |= {"n": 0, "recall": 0.0}
    assert "angry" not in [one.label for one in figures.weakest(found)]


def test_what_must_be_known_first():
    found = scored.score()
    found["sets"]["rafdb"]["strict"]["intervals"]["accuracy"] = [0.38, 0.42]
    assert [*figures.cautions(found)] == [
        "rafdb: not shown to be better than always saying the most frequent label",
        "sfew: the official reading leaves out 3 rows without a reply; the strict one counts them as wrong",
    ]


def test_what_makes_figures_others_than_they_seem_is_told():
    found = scored.score(sets=("sfew",))
    found["sets"]["sfew"]["per_class"][0] |= {"n": 0, "recall": 0.0}
    absent, *_ = figures.cautions(found)
    assert absent == "sfew: no row of angry, which count as nought in UAR and macro F1"
    assert not any("nought" in told for told in figures.cautions(scored.score()))


# The terminal


def test_a_terminal_shows_the_sets_then_all_pooled_and_their_mean():
    shown = [click.unstyle(line) for line in terminal(scored.score(), width=100)]
    assert shown[:15] == [
        "qwen7b",
        "figures in %, 95 % intervals of 2,000 resamples, seed 0",
        "",
        "                  n  accuracy  95 % interval   UAR  macro F1  official  difference",
        "rafdb         3,068      77.8      76.4–79.3  66.1      66.7      78.9        −1.1",
        "ferplus       3,173      74.8      73.2–76.3  59.7      57.8      75.9        −1.1",
        "sfew            431      50.1      45.4–54.8  45.3      45.3      51.2        −1.1",
        "pooled        6,672      74.6      73.5–75.6  57.5      57.8      75.7        −1.1",
        "mean of sets  6,672      67.6      65.9–69.3  57.0      56.6      68.7        −1.1",
        "",
        "         majority  random  ceiling  unknown  refused  truncated  error  bad format  empty",
        "rafdb        38.6    14.3        –      0.8      0.3        0.2    0.0         1.1    0.1",
        "ferplus      34.4    12.5     84.2      1.3      0.4        0.3    0.0         1.3    0.1",
        "sfew         19.5    14.3        –      1.9      0.5        0.5    0.7         0.9    0.0",
        "pooled       32.2    12.5        –      1.1      0.4        0.3    0.0         1.2    0.1",
    ]


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_no_line_is_wider_than_the_terminal(width):
    found = scored.score(samples=5, more=True)
    found["problems"][0]["detail"] *= 9
    shown = [click.unstyle(line) for line in terminal(found, width=width)]
    assert max(map(len, shown)) <= width


def test_a_narrow_terminal_shows_every_figure_too():
    narrow, wide = (click.unstyle("\n".join(terminal(FULL, width=width))) for width in (60, 200))
    words = ("truncated", "difference", "smallest shown", "p (Holm)", "accuracy after", "as wrong")
    assert [text.split().count("78.9") for text in (narrow, wide)] == [1, 1]
    assert [narrow.count(word) for word in words] == [wide.count(word) for word in words] == [1, 3, 1, 1, 1, 1]


def test_a_terminal_tells_what_several_samples_come_to():
    shown = [click.unstyle(line) for line in terminal(FULL, width=100)]
    head = shown[shown.index("of several samples") + 1 :]
    assert head[0].split("  ")[0] == "set" and "any is right" in head[0] and "calibration error" in head[0]
    assert [line.split()[0] for line in head[1:4]] == [*FULL["sets"]][:3]
    assert "of several samples" not in "\n".join(terminal(scored.score(samples=1), width=100))


def test_a_terminal_says_who_answered_and_how_it_was_sampled():
    shown = [click.unstyle(line) for line in terminal(FULL, width=100)]
    assert shown[1] == "Qwen/Qwen2.5-VL-7B-Instruct; temperature 0.7, max_tokens 1024"
    baseline = terminal(scored.score() | {"baseline": True, "entry": {}}, width=100)
    assert baseline[1] == "a baseline: no model reasons here"


def test_a_single_set_stands_alone():
    shown = "\n".join(terminal(scored.score(sets=("sfew",)), width=100))
    assert "pooled" not in shown and "mean of sets" not in shown


def test_a_terminal_marks_what_counts_and_what_strikes():
    found = scored.score(sets=("sfew",))
    found["sets"]["sfew"]["rates"]["refused"] = 0.31
    shown = "\n".join(terminal(found, width=100))
    assert click.style("      50.1", bold=True) in shown
    assert click.style("     31.0", fg="yellow") in shown
    assert shown.count("\x1b[33m") == 2  # and the head of what must be known first


# Markdown


def test_markdown_tables_are_whole():
    text = markdown(FULL)
    for block in re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE):
        rows = [re.split(r"(?<!\\)\|", row) for row in block.strip().split("\n")]
        assert len({len(row) for row in rows}) == 1
    assert text.count("\n### ") == 10
    assert "| sfew | 431 | 50.1 | 45.4–54.8 | 45.3 | 45.3 | 51.2 | −1.1 |" in text


@pytest.mark.parametrize("name", [*scored.SETS])
def test_markdown_has_every_confusion(name):
    grid = FULL["sets"][name]["confusion"]
    text = markdown(FULL)
    assert f"| true | {' | '.join(grid['columns'])} |" in text
    for label, counts in zip(grid["rows"], grid["counts"], strict=True):
        assert f"| {label} | {' | '.join(f'{n:,}' for n in counts)} |" in text


def test_markdown_takes_nothing_from_outside_for_its_own():
    found = scored.score(sets=("sfew",))
    found["model"] = "a|b_c\n# <b>"
    found["problems"] = [{"kind": "error", "where": "[x](y)", "count": 1, "detail": "`rm` *all* | <script>"}]
    text = markdown(found)
    assert text.startswith("## FERBench: a\\|b\\_c # &lt;b>\n")
    assert "- \\[x\\](y): error, 1 row: \\`rm\\` \\*all\\* \\| &lt;script>" in text


# The page


def test_the_page_is_well_formed_and_asks_for_nothing():
    text = page(FULL, scored.examples(12), pictures=True)
    parsed = Parsed(text)
    assert [one for one in parsed.found if one[0] in ("script", "link", "iframe", "object", "base")] == []
    sources = [attrs[name] for _, attrs in parsed.found for name in ("src", "href", "srcset") if name in attrs]
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources) and len(sources) == 12
    assert not re.search(r"https?:|url\(|@import", text)
    assert "default-src 'none'" in parsed.all("meta")[1]["content"]


def test_a_note_on_the_reasoning_stands_below_it_everywhere():
    note = "Claims are read in 2,000 of 6,540 rationales, drawn by seed."
    shown = terminal(FULL, width=100)
    assert shown[shown.index(note) - 1].startswith("lift ")
    assert f" |\n\n{note}\n\n### Spent" in markdown(FULL)
    assert note in Parsed(page(FULL, [], pictures=False)).text


def test_what_is_not_there_is_not_shown():
    text = page(scored.score(), [], pictures=False)
    for title in ("Beside other models", "asked or shown", "Reasoning", "Does agreement", "One of k", "Errors, one"):
        assert title not in text and title in page(FULL, scored.examples(1), pictures=False)


def test_every_part_of_a_set_is_on_the_page():
    parsed = Parsed(page(FULL, [], pictures=False))
    assert len(parsed.all("table", "confusion")) == len(parsed.all("table", "classes")) == 4
    assert len(parsed.all("svg", "square")) == 4
    assert len(parsed.all("svg", "plot")) == 5
    assert len(parsed.all("input")) == 4
    assert "177,572 tokens read, 405,140 written, cost $0.45." in parsed.text
    assert "official-sfew" in parsed.text


def test_a_chart_says_in_words_what_it_draws():
    parsed = Parsed(page(FULL, [], pictures=False))
    assert [one["aria-label"] for one in parsed.all("svg", "plot")][1] == (
        "ferplus: strict accuracy 74.8 %, interval 73.2–76.3, official 75.9 %, majority 34.4 %, random 12.5 %,"
        " human ceiling 84.2 %"
    )


def test_one_set_needs_no_switch():
    parsed = Parsed(page(scored.score(sets=("sfew",)), [], pictures=False))
    assert parsed.all("input") == [] and len(parsed.all("table", "confusion")) == 1
    assert "pooled" not in parsed.text


def test_text_of_models_and_files_is_escaped_wherever_it_stands():
    bad = "<script>alert(1)</script>\"' onload=x"
    found = scored.score(samples=2, more=True)
    found["model"] = bad
    found["problems"] = [{"kind": "error", "where": bad, "count": 1, "detail": bad}]
    found["paired"][0]["other"] = found["robustness"][0]["variant"] = bad
    found["rationales"][bad] = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 3}
    found["entry"] = {"model": bad, "sampling": {bad: bad}}
    for name in ("rafdb", "sfew"):
        found["sets"][f"{bad}{name}"] = found["sets"].pop(name)
    found["sets"]["ferplus"]["ceiling"]["source"] = bad
    found["sets"]["ferplus"]["labels"][0] = found["sets"]["ferplus"]["per_class"][0]["label"] = bad
    found["sets"]["ferplus"]["confusion"]["rows"][0] = found["sets"]["ferplus"]["confusion"]["columns"][0] = bad
    parsed = Parsed(page(found, [Example(*[bad] * 6, None)], pictures=True))
    assert [one for one in parsed.found if one[0] == "script" or "onload" in one[1]] == []
    assert parsed.text.count("<script>alert(1)</script>") > 20


def test_a_reply_shows_its_start_and_holds_no_more_than_it_may():
    said = "word " * 3000
    parsed = Parsed(page(scored.score(), [Example("sfew", "/a.jpg", "sad", "fear", "ok", said, None)], pictures=False))
    assert len(parsed.all("details")) == 1
    assert f"{len(said) - LONGEST:,} more letters left out" in parsed.text
    assert parsed.text.count("word") == LONGEST // 5


@pytest.mark.parametrize(
    ("said", "shown"),
    [("", "no text"), (" \n", "no text"), ("a\x00b\x1b[0m\u202ec", "a\ufffdb\ufffd[0m\ufffdc"), ("\ud800", "?")],
)
def test_replies_that_are_no_text_can_be_written(said, shown):
    text = page(scored.score(), [Example("sfew", "/a.jpg", "sad", "unknown", "empty", said, None)], pictures=False)
    assert shown in Parsed(text).text
    text.encode()


def test_a_page_with_faces_says_that_it_has_to_stay():
    home, abroad = (Parsed(page(scored.score(), scored.examples(2), pictures=kept)) for kept in (True, False))
    assert "has to stay on this machine" in home.text and len(home.all("img")) == 2
    assert "has to stay on this machine" not in abroad.text and abroad.all("img") == []
    assert abroad.text.count("picture left out") == 2


def test_pictures_that_cannot_be_shown_say_why():
    rows = [
        Example("sfew", f"/{at}.jpg", "sad", "fear", "ok", "x", data)
        for at, data in enumerate((None, b"", b"no picture"))
    ]
    text = Parsed(page(scored.score(), rows, pictures=True)).text
    assert [text.count(f"picture {why}") for why in ("not at hand", "empty file", "unreadable")] == [1, 1, 1]
    assert "has to stay on this machine" not in text


@pytest.mark.parametrize(("shape", "becomes"), [((900, 300), (160, 53)), ((48, 48), (48, 48)), ((4000, 1), (160, 1))])
def test_pictures_are_made_smaller_and_never_larger(shape, becomes):
    data = cv2.imencode(".png", np.zeros((*shape, 3), np.uint8))[1].tobytes()
    text = page(scored.score(), [Example("sfew", "/a.png", "sad", "fear", "ok", "x", data)], pictures=True)
    kept = base64.b64decode(re.search(r'src="data:image/jpeg;base64,([^"]+)"', text)[1])
    assert cv2.imdecode(np.frombuffer(kept, np.uint8), cv2.IMREAD_COLOR).shape[:2] == becomes
    assert max(becomes) <= SIDE


def test_forty_large_examples_stay_below_five_megabytes():
    noise = np.random.default_rng(0).integers(0, 256, (640, 640, 3), dtype=np.uint8)
    data = cv2.imencode(".png", noise)[1].tobytes()
    rows = [Example("rafdb", f"/{at}.png", "sadness", "fear", "ok", "word " * 4000, data) for at in range(40)]
    assert len(page(FULL, rows, pictures=True).encode()) < 5e6


def test_the_same_score_gives_the_same_bytes():
    assert page(FULL, scored.examples(3), pictures=True) == page(
        scored.score(samples=5, more=True), scored.examples(3), pictures=True
    )


# Scores as they come


def answers(rows: list[tuple[str, str, str, bool]]) -> Loaded:
    """Two labels, of set and true label, text, and whether it is an error."""
    table = pa.Table.from_pylist(
        [
            {
                "set": name, "image_path": f"/{at}.jpg", "true_label": true, "canonical": true,
                "choices": ["sadness", "fear"], "cluster": str(at), "texts": [] if error else [text],
                "finishes": [] if error else ["stop"], "error": error, "detail": "", "bare": False,
            }
            for at, (name, true, text, error) in enumerate(rows)
        ],
        ANSWERS,
    )  # fmt: skip
    return Loaded("tiny", table, [])


@pytest.mark.parametrize(
    "rows",
    [
        [
            ("rafdb", "sadness", "<answer>sadness</answer>", False),
            ("affectnet", "fear", "<answer>sadness</answer>", False),
        ],
        [("rafdb", "sadness", "", True), ("rafdb", "fear", "", True)],
        [("rafdb", "sadness", "", False)],
    ],
    ids=["two sets", "errors alone", "one row"],
)
def test_a_score_of_any_rows_can_be_shown(rows):
    found = as_json(score(answers(rows), resamples=20))
    Parsed(page(found, [], pictures=False))
    assert markdown(found).startswith("## FERBench: tiny\n")
    assert click.unstyle(terminal(found, width=100)[0]) == "tiny"
