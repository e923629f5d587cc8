"""The page of a score in a real browser: nothing is fetched, nothing runs over, every figure stands where it should."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import scored
from in_browser import WIDTHS, chromium, needs_browser, opened_at, runs_over, spilling, sync_api, violations

from ferbuild.builders.evaluation.page import page as page_of

pytestmark = needs_browser

FOUND = scored.score(samples=5, more=True)
PANELS = ("pooled", *FOUND["sets"])


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    """The fullest page there is: all parts, pictures, a hostile reply."""
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(page_of(FOUND, scored.examples(12), pictures=True), encoding="utf-8")
    return path


@pytest.fixture
def opened(browser, file, request) -> Iterator[sync_api.Page]:
    """The page at a width; what it asked for and what it said in `asked` and `said`."""
    width, scheme = getattr(request, "param", (1200, "light"))
    with opened_at(browser, file.as_uri(), width=width, scheme=scheme) as page:
        yield page


at_both = pytest.mark.parametrize("opened", [(width, "light") for width in WIDTHS], indirect=True)
in_both = pytest.mark.parametrize("opened", [(1200, "light"), (400, "dark")], indirect=True)


@at_both
def test_it_asks_for_nothing_but_itself_and_says_nothing(opened, file):
    for panel in PANELS:
        opened.get_by_role("radio", name=panel, exact=True).check(force=True)
    opened.locator("summary:visible").first.click()
    outside = [url for url in opened.asked if not url.startswith("data:image/jpeg")]
    assert (outside, opened.said) == ([file.as_uri()], [])
    assert opened.title() == "qwen7b on FERBench"


@at_both
def test_nothing_runs_over_the_page_or_its_card(opened):
    """Tables may be wider than their card only inside what scrolls by itself."""
    for panel in PANELS:
        opened.get_by_role("radio", name=panel, exact=True).check(force=True)
        assert not runs_over(opened)
        assert spilling(opened, ".card, .inner, .note") == []


@at_both
def test_every_confusion_matrix_has_its_counts_and_fits(opened):
    for panel in PANELS:
        opened.get_by_role("radio", name=panel, exact=True).check(force=True)
        grid = (FOUND["pooled"] if panel == "pooled" else FOUND["sets"][panel])["confusion"]
        table = opened.locator("table.confusion:visible")
        assert table.count() == 1
        heads = table.locator("thead th").all_inner_texts()
        assert [head.strip() for head in heads[1 : len(grid["columns"]) + 1]] == grid["columns"]
        for row, label, counts in zip(table.locator("tbody tr").all(), grid["rows"], grid["counts"], strict=True):
            assert row.locator("th").inner_text() == label
            assert [int(text) for text in row.locator("td:not(.total) b").all_inner_texts()] == counts
        cut = "one => [...one.querySelectorAll('b')].filter(cell => cell.scrollWidth > cell.parentElement.clientWidth)"
        assert table.evaluate(f"{cut}.length") == 0
        for kind in ("confusion", "classes"):
            whole = "one => one.parentElement.scrollWidth <= one.parentElement.clientWidth"
            assert opened.locator(f"table.{kind}:visible").evaluate(whole)


def test_the_switch_works_by_keyboard_and_chooses_examples_too(opened):
    first = opened.locator("#show-0")
    while not first.evaluate("one => one === document.activeElement"):
        opened.keyboard.press("Tab")
    assert shown(opened) == ["pooled"]
    for panel in (*PANELS[1:], PANELS[0]):
        opened.keyboard.press("ArrowRight")
        assert shown(opened) == [panel]
        paths = [text.partition(" · ")[0] for text in opened.locator(".path:visible").all_inner_texts()]
        assert len(paths) == (12 if panel == "pooled" else 4) and {*paths} == (
            {*PANELS[1:]} if panel == "pooled" else {panel}
        )
    ring = opened.locator("#show-0 + span").evaluate("one => getComputedStyle(one).outlineStyle")
    assert ring == "solid"


def shown(page: sync_api.Page) -> list[str]:
    return [text.split()[0] for text in page.locator(".panel:visible > .panel-name").all_inner_texts()]


def test_dark_and_light_have_their_own_colours_and_the_same_words(opened):
    light, words = colours(opened), opened.locator("main").inner_text()
    opened.emulate_media(color_scheme="dark")
    dark = colours(opened)
    assert sum(light[0]) > 3 * 240 and sum(dark[0]) < 3 * 40
    assert sum(light[1]) < 3 * 60 and sum(dark[1]) > 3 * 200
    assert opened.locator("main").inner_text() == words


def colours(page: sync_api.Page) -> list[list[int]]:
    """Of the page's ground and its letters: red, green, blue."""
    read = "() => { const at = getComputedStyle(document.body); return [at.backgroundColor, at.color]; }"
    return [[int(part) for part in text[4:-1].split(",")] for text in page.evaluate(read)]


def test_counts_can_be_read_on_every_shade(opened):
    """At least 4.5 to 1 (WCAG AA) for every share of a row, in every colour of the matrix, light and dark."""
    table = opened.locator("table.confusion:visible")
    ratios = """table => ['right', 'wrong', 'none'].flatMap(kind => Array.from({length: 101}, (_, step) => {
        const cell = table.querySelector('tbody td'), light = text => {
            const parts = text.match(/[\\d.]+/g).map(Number), most = text.startsWith('color(') ? 1 : 255;
            const [r, g, b] = parts.slice(0, 3).map(part => part / most)
                .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
        };
        cell.className = kind;
        cell.style.setProperty('--share', step / 100);
        const seen = getComputedStyle(cell);
        const [low, high] = [light(seen.backgroundColor), light(seen.color)].sort((a, b) => a - b);
        return (high + 0.05) / (low + 0.05);
    }))"""
    for scheme in ("light", "dark"):
        opened.emulate_media(color_scheme=scheme)
        found = table.evaluate(ratios)
        assert len(found) == 303 and min(found) >= 4.5


def test_hostile_text_is_only_text(opened):
    said = opened.locator(".example .said").first
    assert scored.HOSTILE.replace("\u202e", "\ufffd") in said.inner_text()
    assert opened.locator("main script, main img:not([src^='data:image/jpeg'])").count() == 0
    assert opened.title() != "owned"


def test_pictures_are_shown_and_a_long_reply_opens(opened):
    assert opened.locator(".example img").evaluate_all(
        "all => all.every(one => one.complete && one.naturalWidth === 160)"
    )
    reply = opened.locator("details").first
    more = reply.locator(".reply")
    assert not more.is_visible()
    reply.locator("summary").focus()
    opened.keyboard.press("Enter")
    assert more.is_visible()


def test_on_paper_every_set_is_there(opened):
    opened.emulate_media(media="print")
    assert shown(opened) == [*PANELS]
    assert opened.locator(".example:visible").count() == 12
    assert not opened.locator(".switch").is_visible()


@in_both
def test_axe_finds_nothing(opened):
    assert violations(opened) == []


@pytest.mark.parametrize("width", WIDTHS)
def test_a_page_of_one_set_has_no_switch_and_fits_too(browser, tmp_path, width):
    path = tmp_path / "one.html"
    found = scored.score(sets=("sfew",))
    path.write_text(page_of(found, scored.examples(2, ("sfew",)), pictures=False), encoding="utf-8")
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(path.as_uri())
    assert page.locator("input").count() == 0
    assert shown(page) == ["sfew"]
    assert page.locator(".no-picture:visible").all_inner_texts() == ["picture left out"] * 2
    assert not runs_over(page)
    page.close()


@pytest.mark.parametrize("name", ["majority", "geometry", "probe"])
def test_the_pages_of_the_demo_show_what_its_baselines_scored(browser, demo, name):
    found = demo.result["eval"][name]
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    asked, said = [], []
    page.on("request", lambda one: asked.append(one.url))
    page.on("console", lambda one: said.append(one.text))
    page.goto((demo.work / "eval" / name / "report" / "index.html").as_uri())
    assert page.title() == f"{name} on FERBench" and said == []
    assert all(url.startswith(("file:", "data:image/")) for url in asked) and page.locator("img").count() > 1
    cells = page.locator("table.confusion:visible tbody td:not(.total) b").all_inner_texts()
    assert [int(cell) for cell in cells] == [cell for row in found["pooled"]["confusion"]["counts"] for cell in row]
    page.close()
