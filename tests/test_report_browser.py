"""The report in a real browser: nothing is fetched, nothing runs over, every figure can be reached by keyboard."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from in_browser import WIDTHS, chromium, needs_browser, opened_at, runs_over, spilling, sync_api, violations

from ferbuild.builders.build import Build
from ferbuild.builders.config import read_settings
from ferbuild.builders.replies import Attempt, Record, Reply, asking
from ferbuild.builders.reporting.page import CONTENTS
from ferbuild.builders.reporting.write import write

pytestmark = needs_browser


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def file(demo, tmp_path_factory) -> Path:
    """The fullest page there is: with pictures, replies, a missing stage and a fault."""
    home = tmp_path_factory.mktemp("report")
    shutil.copytree(demo.work, home / "fer-data")
    config = demo.config.read_text().replace("releases/", f"{demo.home}/releases/")
    (home / "fer-build.yaml").write_text(config.replace("teacher: geometry", f"teacher: {home}/mine.yaml"))
    (home / "mine.yaml").write_text("kind: http\nmodel: m\nprices: {input: 2.0, output: 10.0}\n")
    shutil.rmtree(home / "fer-data" / "rlvr")
    mark = home / "fer-data" / "faces" / "stage.json"
    mark.write_text(mark.read_text().replace('"in": 396', '"in": 397'))
    usage = {"prompt_tokens": 90_000, "completion_tokens": 9_000, "total_tokens": 99_000}
    times = [f"2026-11-{day:02d}T{hour:02d}:15:00.000+00:00" for day in range(2, 5) for hour in range(24)]
    with asking(home / "fer-data" / "replies.sqlite") as store:
        store.put(
            [
                Record(f"{at:064x}", "mine", "m", Reply("x", "stop", "ok"), usage, 900, "", when)
                for at, when in enumerate(times)
            ],
            [
                Attempt(f"{at:064x}", "mine", "m", "HTTP 500", "", json.dumps(usage), 5, "", when)
                for at, when in enumerate(times[::9])
            ],
        )
    return write(Build(read_settings(home / "fer-build.yaml")), pictures=True).page


@pytest.fixture
def opened(browser, file, request) -> Iterator[sync_api.Page]:
    width, scheme = getattr(request, "param", (1200, "light"))
    with opened_at(browser, file.as_uri(), width=width, scheme=scheme) as page:
        yield page


at_both = pytest.mark.parametrize("opened", [(width, "light") for width in WIDTHS], indirect=True)
in_both = pytest.mark.parametrize("opened", [(1200, "light"), (400, "dark")], indirect=True)


def open_all(page: sync_api.Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")


@at_both
def test_it_asks_for_nothing_but_itself_and_says_nothing(opened, file):
    open_all(opened)
    opened.mouse.wheel(0, 20_000)
    outside = [url for url in opened.asked if not url.startswith("data:image/jpeg")]
    assert (outside, opened.said) == ([file.as_uri()], [])
    assert opened.locator("script").count() == 0


@at_both
def test_nothing_runs_over_the_page_or_its_card(opened):
    """Tables may be wider than their card only inside what scrolls by itself."""
    open_all(opened)
    assert not runs_over(opened)
    assert spilling(opened, ".card, .note") == []


@in_both
def test_axe_finds_nothing(opened):
    open_all(opened)
    assert violations(opened) == []


def test_every_section_is_reached_from_the_contents_by_keyboard(opened):
    opened.keyboard.press("Tab")
    skip = opened.locator(".skip")
    assert skip.evaluate("one => one === document.activeElement && one.getBoundingClientRect().left >= 0")
    opened.keyboard.press("Enter")
    assert opened.url.endswith("#way")
    links = opened.locator("nav a")
    assert links.all_inner_texts() == [*CONTENTS.values()]
    for at, name in enumerate(CONTENTS):
        links.nth(at).focus()
        opened.keyboard.press("Enter")
        top = opened.locator(f"#{name}").evaluate("one => one.getBoundingClientRect().top")
        assert -1 <= top < 900, name


def test_what_scrolls_and_what_opens_is_in_the_tab_order(opened):
    """Tables that are wider than their card, and the examples behind them."""
    every = "[...document.querySelectorAll('.scroll, summary, main a')]"
    wanted = opened.locator(".scroll, summary, main a").count()
    reached = set()
    for _ in range(wanted + len(CONTENTS) + 5):
        opened.keyboard.press("Tab")
        reached.add(opened.evaluate(f"{every}.indexOf(document.activeElement)"))
    assert reached - {-1} == set(range(wanted))


def test_examples_open_by_keyboard_and_show_faces(opened):
    summary = opened.locator("#drops summary").first
    rows = opened.locator("#drops .rows").first
    assert not rows.is_visible()
    summary.focus()
    opened.keyboard.press("Enter")
    assert rows.is_visible()
    whole = "all => all.length > 5 && all.every(one => one.complete && one.naturalWidth > 0)"
    assert opened.locator("#drops details[open] img").evaluate_all(whole)


def test_the_missing_the_faulty_and_the_paid_are_there(opened):
    text = opened.locator("main").inner_text()
    assert "Rlvr is not built." in text and "fer-build rlvr" in text
    assert "in 397 is not kept 369 + dropped 27" in text and "does not hold" in text
    assert "has to stay on this machine" in text
    assert "72 requests" in text and opened.locator("#replies svg.columns").count() == 2
    assert opened.locator("#replies svg.columns").first.locator("rect.kept").count() == 72


def test_bars_of_the_funnel_are_as_long_as_their_counts(opened):
    rows = opened.locator("#way .forest-row svg")
    most = 397
    for row, (kept, gone) in zip(rows.all(), [(369, 27), (264, 0), (62, 202), (97, 0)], strict=True):
        width = row.evaluate("one => one.getBoundingClientRect().width")
        for kind, count in (("kept", kept), ("gone", gone)):
            bar = row.locator(f"rect.{kind}").evaluate("one => one.getBBox().width")
            assert abs(bar - width * count / most) < 1.5


def test_every_chart_says_in_words_what_it_draws(opened):
    charts = opened.locator("main svg:not([aria-hidden], [aria-hidden] *)")
    assert charts.count() > 15
    for chart in charts.all():
        assert chart.get_attribute("role") == "img" and len(chart.get_attribute("aria-label")) > 15


def test_dark_and_light_have_their_own_colours_and_the_same_words(opened):
    read = "() => getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    light, words = opened.evaluate(read), opened.locator("main").inner_text()
    opened.emulate_media(color_scheme="dark")
    assert sum(light) > 3 * 240 and sum(opened.evaluate(read)) < 3 * 40
    assert opened.locator("main").inner_text() == words


def test_on_paper_everything_is_open(opened):
    opened.emulate_media(media="print")
    assert not opened.locator(".toc").is_visible()
    shown = opened.locator("#drops .rows").first.evaluate("one => one.getBoundingClientRect().height")
    assert shown > 0
    assert opened.pdf(format="A4").startswith(b"%PDF")


def test_letters_keep_their_size_on_a_narrow_page(browser, file):
    with opened_at(browser, file.as_uri(), width=400) as page:
        least = """() => Math.min(...[...document.querySelectorAll('main *')]
            .filter(one => one.childElementCount === 0 && one.textContent.trim())
            .filter(one => one.getBoundingClientRect().width > 1)
            .map(one => parseFloat(getComputedStyle(one).fontSize)))"""
        assert page.evaluate(least) >= 8.5
