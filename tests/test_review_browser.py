"""The review page in a real browser: by keyboard and by mouse, through a kill, on both grounds and widths."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from in_browser import WIDTHS, chromium, needs_browser, opened_at, runs_over, sync_api, violations
from reviewed import Server, copy_of, decided, rows_of, serving

from ferbuild.builders.reviewing import log

pytestmark = needs_browser
expect = sync_api.expect


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def world(demo, tmp_path_factory) -> Path:
    return copy_of(demo, tmp_path_factory.mktemp("review") / "fer-data")


@pytest.fixture(scope="module")
def servers(demo, world) -> Iterator[dict[str, Server]]:
    """A server of every kind of dataset that nothing is decided about, but for one dispute about a rationale."""
    first = rows_of(world / "cot", "images")[0]["id"]
    decided(world, "cot", ("anna", first, "accept"), ("anna", first, "note clear"), ("ben", first, "relabel fear"))
    with (
        serving(demo.config, world, "cot", "--reviewer", "dan") as cot,
        serving(demo.config, world, "rlvr", "--reviewer", "dan") as rlvr,
        serving(demo.config, world, "drops", "--reviewer", "dan", "--sample", 40) as drops,
    ):
        yield {"cot": cot, "rlvr": rlvr, "drops": drops}


@pytest.fixture
def own(demo, tmp_path) -> Path:
    """A work folder that the test decides in."""
    return copy_of(demo, tmp_path / "fer-data")


def shown(page: sync_api.Page, row: int) -> None:
    """Wait for a row."""
    expect(page.locator(f"#rows button[data-row='{row}'][aria-current]")).to_be_visible()
    page.wait_for_url(f"**row={row}*")


def said(page: sync_api.Page, text: str) -> None:
    expect(page.locator("#said")).to_have_text(text)


def entries(work: Path, dataset: str = "cot") -> list[tuple[str, str, str | None, str | None]]:
    return [(one.id, one.decision, one.label, one.note) for one in log.read(log.path_of(work, dataset))]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["cot", "rlvr", "drops"])
def test_it_asks_nobody_else_says_nothing_and_fits(browser, servers, name, width):
    server = servers[name]
    with opened_at(browser, server.url, width=width) as page:
        expect(page.locator("article img").first).to_be_visible()
        page.locator("#after").click()
        for opener in ("figures", "help", "note"):
            page.locator(f"#{opener}").click()
            assert not runs_over(page)
            page.keyboard.press("Escape")
        page.wait_for_load_state("networkidle")
        assert all(url.startswith(server.url) for url in page.asked) and page.said == []
        assert not runs_over(page)
        size = page.locator("article img").first.evaluate(
            "one => [one.naturalWidth, one.getBoundingClientRect().width]"
        )
        assert size[0] > 0 and size[1] >= 224
        bar = page.locator(".bar").bounding_box()
        assert bar["y"] + bar["height"] <= 900  # what can be decided is in sight


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (1200, "dark"), (400, "light"), (400, "dark")])
def test_axe_finds_nothing(browser, servers, width, scheme):
    with opened_at(browser, servers["cot"].url + "?row=0", width=width, scheme=scheme) as page:
        expect(page.locator("article .note")).to_be_visible()
        if width < 1000:
            page.locator("#filters summary").click()
        assert violations(page) == []
        for opener in ("figures", "help", "note"):
            page.locator(f"#{opener}").click()
            expect(page.locator("dialog[open]")).to_be_visible()
            assert violations(page) == []
            page.keyboard.press("Escape")


def test_dark_and_light_have_their_own_ground(browser, servers):
    seen = {}
    for scheme in ("light", "dark"):
        with opened_at(browser, servers["cot"].url, scheme=scheme) as page:
            seen[scheme] = page.evaluate("getComputedStyle(document.body).backgroundColor")
    light, dark = ([int(part) for part in seen[scheme][4:-1].split(",")] for scheme in ("light", "dark"))
    assert sum(light) > 3 * 240 and sum(dark) < 3 * 40


def test_claims_are_told_apart_without_colour(browser, servers, world):
    rows = rows_of(world / "cot", "images")
    at = next(at for at, row in enumerate(rows) if row["supported"])
    with opened_at(browser, f"{servers['cot'].url}?row={at}") as page:
        marks = page.locator(".prose mark.supported")
        expect(marks.first).to_have_attribute("title", re.compile("supported"))
        expect(page.locator(".legend li")).to_have_count(3)
        styles = {page.locator(f".legend mark.{name}").evaluate("one => getComputedStyle(one).textDecorationStyle")
                  for name in ("supported", "contradicted", "not-judged")}  # fmt: skip
        assert len(styles) == 3
        width = page.locator(".prose").first.evaluate(
            "one => one.clientWidth / parseFloat(getComputedStyle(one).fontSize)"
        )
        assert width < 42  # some 65 characters


def test_a_dispute_is_in_a_queue_and_tells_both(browser, servers):
    with opened_at(browser, servers["cot"].url) as page:
        page.locator("#disputes").click()
        shown(page, 0)
        expect(page.locator("#rows button")).to_have_count(1)
        told = page.locator("article .note").inner_text()
        assert "anna: accepted. clear" in told and "ben: relabelled fear" in told
        expect(page.locator("#settles")).to_be_checked()
        page.locator("#figures").click()
        expect(page.locator("#told")).to_contain_text("anna and ben")
        expect(page.locator("#told")).to_contain_text("agree on 0.0 % of 1 rows")


def test_a_sample_tells_its_estimate_and_questions_their_answer(browser, servers):
    with opened_at(browser, servers["drops"].url) as page:
        expect(page.locator("#who")).to_contain_text("a sample of 40 of 229 rows, seed 0")
        expect(page.locator("#accept")).to_contain_text("Rightly dropped")
        expect(page.locator("#labels button")).to_have_count(0)
        page.locator("#figures").click()
        expect(page.locator("#told h3")).to_have_text("Sample of 40 of 229 rows")
        expect(page.locator("#told tbody tr").first).to_contain_text("all")
    with opened_at(browser, servers["rlvr"].url) as page:
        expect(page.locator(".choices [data-right='true']")).to_contain_text("surprise")


def test_filters_stand_in_the_address_and_back_leads_back(browser, servers, world):
    rows = rows_of(world / "cot", "images")
    raf = [at for at, row in enumerate(rows) if row["faces"][0]["source"] == "rafdb"]
    parted = [at for at in raf if "lips are parted" in rows[at]["completion"][0]["content"]]
    with opened_at(browser, servers["cot"].url) as page:
        page.get_by_label("Source").select_option("rafdb")
        expect(page.locator("#count")).to_contain_text(f"of {len(raf)} decided")
        page.locator("input[name=text]").fill("LIPS are parted")
        page.keyboard.press("Enter")
        expect(page.locator("#count")).to_contain_text(f"of {len(parted)} decided")
        url = page.url
        assert "source=rafdb" in url and "text=LIPS" in url
        page.go_back()
        expect(page.locator("#count")).to_contain_text(f"of {len(raf)} decided")
        assert (
            page.get_by_label("Source").input_value() == "rafdb"
            and page.locator("input[name=text]").input_value() == ""
        )
        page.goto(url)
        expect(page.locator("#count")).to_contain_text(f"of {len(parted)} decided")
        page.locator("button[type=reset]").click()
        expect(page.locator("#count")).to_contain_text("of 62 decided")
        page.locator("input[name=text]").fill("nobody says this")
        page.keyboard.press("Enter")
        expect(page.locator("article")).to_contain_text("No row is like this")
        expect(page.locator("#accept")).to_be_disabled()


def test_by_keys_alone_and_through_a_kill(demo, browser, own):
    rows = [row["id"] for row in rows_of(own / "cot", "images")]
    with serving(demo.config, own, "cot", "--reviewer", "anna") as server, opened_at(browser, server.url) as page:
        shown(page, 0)
        page.keyboard.press("a")
        shown(page, 1)
        said(page, "accepted, saved")
        page.keyboard.press("r")
        shown(page, 2)
        page.keyboard.press("1")
        shown(page, 3)
        said(page, "relabelled neutral, saved")
        page.keyboard.press("j")
        shown(page, 4)
        page.keyboard.press("k")
        shown(page, 3)
        page.keyboard.press("n")
        page.keyboard.type("a & <b>note</b>")
        page.keyboard.press("Control+Enter")
        expect(page.locator(".written")).to_contain_text("a & <b>note</b>")
        page.keyboard.press("a")
        shown(page, 4)
        page.keyboard.press("u")
        shown(page, 3)
        said(page, "taken back")
        expect(page.locator("article .chip")).to_have_text("undecided")
        server.kill()
        page.keyboard.press("r")
        expect(page.locator("#fault")).to_contain_text("does not answer")
        said(page, "not saved")
        port = server.port
    assert entries(own) == [
        (rows[0], "accept", None, None),
        (rows[1], "reject", None, None),
        (rows[2], "relabel", "neutral", None),
        (rows[3], "note", None, "a & <b>note</b>"),
        (rows[3], "accept", None, None),
        (rows[3], "undo", None, None),
    ]
    with (
        serving(demo.config, own, "cot", "--reviewer", "anna", "--port", port) as server,
        opened_at(browser, server.url) as page,
    ):
        shown(page, 3)  # the first that is left to decide
        expect(page.locator(".written")).to_contain_text("a & <b>note</b>")
        assert [page.locator(f"#rows button[data-row='{at}']").get_attribute("data-mine") for at in range(4)] == [
            "accept", "reject", "relabel", "",
        ]  # fmt: skip
        page.keyboard.press("r")
        shown(page, 4)
    assert entries(own)[-1] == (rows[3], "reject", None, None)


def test_by_mouse_and_by_tab(demo, browser, own):
    rows = [row["id"] for row in rows_of(own / "cot", "images")]
    with serving(demo.config, own, "cot", "--reviewer", "anna") as server, opened_at(browser, server.url) as page:
        shown(page, 0)
        page.locator("#rows button").nth(5).click()
        shown(page, 5)
        page.locator("#accept").click()
        shown(page, 6)
        page.locator("#labels button", has_text="contempt").click()
        shown(page, 7)
        page.locator("#note").click()
        page.locator("#words").fill("hm")
        page.locator("#noting button[type=submit]").click()
        expect(page.locator(".written")).to_contain_text("hm")
        page.locator("#note").click()
        page.locator("#words").fill("")
        page.locator("#noting button[type=submit]").click()
        expect(page.locator(".written")).to_have_count(0)
        page.locator("#undo").click()
        expect(page.locator(".written")).to_contain_text("hm")
        for _ in range(120):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.id") == "reject":
                break
        page.keyboard.press("Enter")
        shown(page, 8)
        page.locator("#later").click()
        expect(page.locator("#pages")).to_have_text("page 2 of 2")
        shown(page, 50)
        page.keyboard.press("ArrowUp")
        shown(page, 49)
    assert [(row, what, label) for row, what, label, _ in entries(own)] == [
        (rows[5], "accept", None), (rows[6], "relabel", "contempt"), (rows[7], "note", None), (rows[7], "note", None),
        (rows[7], "undo", None), (rows[7], "reject", None),
    ]  # fmt: skip


def test_two_reviewers_and_one_who_settles(demo, browser, own):
    rows = [row["id"] for row in rows_of(own / "cot", "images")]
    decided(own, "cot", *(("ben", row, "reject") for row in rows[:2]))
    with serving(demo.config, own, "cot", "--reviewer", "anna") as server, opened_at(browser, server.url) as page:
        shown(page, 0)
        assert page.locator("article .note").count() == 0  # what ben said is not told yet
        page.keyboard.press("a")
        shown(page, 1)
        page.keyboard.press("r")
        shown(page, 2)
        expect(page.locator("#disputes")).to_have_text("1 in dispute")
        page.locator("#disputes").click()
        shown(page, 0)
        page.keyboard.press("r")
        said(page, "saved; none is left to decide here")
        expect(page.locator("#disputes")).to_be_hidden()
    last = log.read(log.path_of(own, "cot"))[-1]
    assert (last.id, last.decision, last.settles) == (rows[0], "reject", True)
