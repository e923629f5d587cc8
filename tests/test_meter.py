"""What is told while a model is asked: counts, rates of late, cost, and how the replies fare."""

from __future__ import annotations

import pytest

from ferbuild.builders.build import Build
from ferbuild.builders.cli.common import Bars, Progressing
from ferbuild.builders.meter import Meter, end, metered, money
from ferbuild.builders.prices import dollars
from ferbuild.builders.replies import Reply, Request, Usage
from ferbuild.manifests.schema import TeacherEntry

PRICED = TeacherEntry(name="paid", kind="http", model="m", prices={"input": 2.0, "output": 10.0})
LOCAL = TeacherEntry(name="mine", kind="http", model="m")


class Clock:
    """Seconds that a test turns on by hand."""

    def __init__(self):
        self.at = 100.0

    def __call__(self):
        return self.at


def request(label, at=0):
    return Request(f"{label}{at}", (), (), ("fear", "anger"), None)


def reply(text="fear"):
    return Reply(text, "stop", "ok", "", Usage(1000, 100))


def judge(asked, said):
    label = asked.id.rstrip("0123456789")
    return label, said.text == label, said.text == label and "!" not in said.text


def meter(total=10, entry=PRICED, **options):
    lines = []
    clock = Clock()
    made = Meter(entry, total, judge, lambda through, line: lines.append((through, line)), clock, **options)
    return made, clock, lines


def test_all_is_counted_and_only_what_is_got_now_costs():
    made, _, _ = meter(5)
    made(request("fear"), reply(), True)
    made(request("fear", 1), reply("anger"), False)
    made(request("anger"), reply("fear"), True)
    made(request("anger", 1), Reply("", "", "gave up", "HTTP 500"), True)
    made(request("anger", 2), None, False)
    assert made.as_json() == {
        "teacher": "paid",
        "requests": 5,
        "got": 2,
        "stored": 1,
        "gave up": 1,
        "not asked": 1,
        "tokens": {"read": 2000, "written": 200},
        "cost": pytest.approx(0.006),
        "seconds": 0.0,
        "kept": 1,
        "agreement": {"anger": {"agree": 0, "replies": 1}, "fear": {"agree": 1, "replies": 2}},
    }
    assert list(made.worst_first()) == ["anger", "fear"], "the label that fares worst comes first"
    assert made.summary() == (
        "paid: asked 3 in 0:00:00, 2,000 tokens read and 200 written, $0.0060, 1 were stored before, 1 came to nothing,"
        " 1 not asked; kept 33.3% of 3 replies; agreement: anger 0% of 1, fear 50% of 2"
    )


def test_a_line_tells_rates_of_late_time_left_cost_and_agreement():
    made, clock, lines = meter(100)
    for at in range(10):
        clock.at += 1
        made(request("fear", at), reply(), True)
    assert lines[-1] == (10, "1.0/s, 1,100 tokens/s, 0:01:30 left, $0.0300, kept 100%, agree: fear 100%")
    clock.at += 60  # the server pauses
    made(request("anger"), reply(), True)
    assert lines[-1][1].startswith("0.0/s"), "what was before half a minute ago is forgotten"
    assert lines[-1][1].endswith("kept 91%, agree: anger 0% fear 100%")


def test_no_price_no_cost_and_no_reply_no_rate():
    made, clock, lines = meter(3, LOCAL)
    clock.at += 1
    made(request("fear"), reply(), False)
    assert lines == [(1, "kept 100%, agree: fear 100%")], "what was stored has no rate and costs nothing"
    assert made.cost is None and "$" not in made.summary() and made.as_json()["cost"] is None


def test_it_is_told_twice_a_second_and_at_the_end():
    made, clock, lines = meter(1000)
    for at in range(999):
        clock.at += 0.01
        made(request("fear", at), reply(), True)
    assert 18 <= len(lines) <= 20
    made(request("fear", 999), reply(), True)
    assert lines[-1][0] == 1000


def test_nobody_judges_where_nobody_can():
    made = Meter(PRICED, 1)
    made(request("fear"), reply(), True)
    assert (made.judged, made.labels, made.summary().count("kept")) == (0, {}, 0)


def test_prices():
    assert dollars(PRICED, Usage(1_000_000, 200_000)) == 4.0
    batch = TeacherEntry(name="b", kind="batch", model="m", prices={"input": 2.0, "output": 10.0, "batch": 0.5})
    assert dollars(batch, Usage(1_000_000, 200_000)) == 2.0
    assert dollars(LOCAL, Usage(5, 5)) is None
    assert [money(amount) for amount in (0.00416, 0.5, 1, 12345.678)] == ["$0.0042", "$0.5000", "$1.00", "$12,345.68"]


def test_a_build_is_told_and_keeps_the_figures(caplog):
    caplog.set_level("INFO")
    seen = []
    build = Build(None, tick=lambda *told: seen.append(told), note=lambda text: seen.append(text))
    made = metered(build, PRICED, 1, judge)
    made(request("fear"), reply(), True)
    assert seen == ["$0.0030, kept 100%, agree: fear 100%", ("ask", 1, 1)]
    assert end(build, made) == build.asked[0] == made.as_json()
    assert "paid: asked 1 in 0:00:00, 1,000 tokens read and 100 written" in caplog.text


def test_plain_lines_bear_the_figures_until_the_next_stage(capsys, monkeypatch):
    shown = Progressing(None)
    shown.began("ask")
    shown.note("2.0/s, $0.01")
    shown.tick("ask", 1, 10)
    shown.spoke = 0.0
    shown.began("cot")
    shown.tick("cot", 1, 10)
    assert capsys.readouterr().err.splitlines() == ["ask …", "ask: 1 of 10, 2.0/s, $0.01", "cot …", "cot: 1 of 10"]


def test_the_bar_has_a_second_line_and_steps_aside_for_a_question(capsys):
    from rich.console import Console

    console = Console(force_terminal=True, width=60, record=True)
    with Bars(console=console, transient=True, auto_refresh=False) as bar:
        shown = Progressing(bar)
        shown.began("ask")
        shown.note("2.0/s, kept 50%, " + "agree: " + "fear 10% " * 20)
        shown.tick("ask", 1, 10)
        lines = [line for one in bar.get_renderables() for line in console.render_lines(one)]
        text = ["".join(part.text for part in line) for line in lines]
        assert "ask" in text[0] and text[1].startswith("2.0/s, kept 50%") and text[1].rstrip().endswith("…")
        with shown.pause():
            assert not bar.live.is_started
        assert bar.live.is_started
        shown.began("cot")
        assert len(list(bar.get_renderables())) == 1
