"""The documents as a site: built strictly and without a network, read in a browser from a folder, and searched."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from conftest import REPO

pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install '.[docs]'")
from in_browser import WIDTHS, chromium, needs_browser, opened_at, runs_over, sync_api, violations

PAGES = ("index", "tutorial", "drops", "api/answers", "howto/add-a-filter", "design", "rlvr", "gallery")
NOWHERE = {f"{name}_proxy": "http://127.0.0.1:9" for name in ("http", "https", "all")}
"""Proxies at a closed port: what asks the network fails."""
LOADS = {
    "link": "href",
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "object": "data",
}
"""Elements that fetch something by themselves, and the attribute that says what."""


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("site")
    env = os.environ | NOWHERE | {name.upper(): url for name, url in NOWHERE.items()} | {"NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)]
    done = subprocess.run(command, cwd=REPO, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


class Loaded(HTMLParser):
    """What a page fetches, and its text outside of code."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []
        self.said: list[str] = []
        self.inside: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        if tag in LOADS and found.get("rel") != "canonical":
            self.urls.append(found.get(LOADS[tag]) or "")
        self.urls += re.findall(r"url\(([^)]+)\)", found.get("style") or "")
        if tag in ("pre", "code", "script", "style"):
            self.inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.inside and self.inside[-1] == tag:
            self.inside.pop()

    def handle_data(self, data: str) -> None:
        if not self.inside:
            self.said.append(data)


def parsed(path: Path) -> Loaded:
    found = Loaded()
    found.feed(path.read_text())
    return found


def test_no_page_and_no_style_loads_from_elsewhere(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 30
    for path in pages:
        outside = [url for url in parsed(path).urls if re.match(r"(\w+:)?//", url)]
        assert outside == [], path
    for path in site.rglob("*.css"):
        assert not re.search(r"(@import|url\()\s*[\"']?(https?:)?//", path.read_text()), path


def test_every_document_is_a_page_and_every_link_leads_to_a_file(site):
    for path in (REPO / "docs").rglob("*.md"):
        assert (site / path.relative_to(REPO / "docs").with_suffix(".html")).exists(), path
    for path in site.rglob("*.html"):
        for target in re.findall(r'href="([^"#?]+)', path.read_text()):
            if not re.match(r"\w+:|//", target) and path.name != "404.html":
                assert (path.parent / target).exists(), (path, target)


def test_lists_and_tables_are_read_as_such(site):
    """What a code host shows as a list or a table must not be a paragraph here."""
    for path in site.rglob("*.html"):
        text = path.read_text()
        assert not re.search(r"<p>(?:[^<]*\n)?(?:- |\* |\d\. |\|)", text), path
        assert "|---" not in "".join(parsed(path).said), path
        assert "&lt;!-- " not in re.sub(r"<(pre|code).*?</\1>", "", text, flags=re.S), path


def test_the_python_pages_describe_what_is_imported(site):
    for page, names in {
        "answers": ("filters.answer.read", "filters.verify.verify"),
        "rewards": ("training.rewards.accuracy",),
        "rows": ("builders.record.face_id", "builders.shards.read_stream", "builders.record.COT"),
        "manifests": ("manifests.load.load_source", "manifests.recipe.Recipe"),
        "questions": ("prompts.render.render",),
        "figures": ("builders.evaluation.metrics.per_class", "builders.intervals.wilson"),
        "seams": ("builders.teacher.Teacher", "builders.detect.Detector", "builders.errors.FerError"),
    }.items():
        text = (site / "api" / f"{page}.html").read_text()
        for name in names:
            assert f'id="ferbuild.{name}"' in text, name
        assert not re.search(r'id="ferbuild\.[\w.]*\._', text)


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    with chromium() as found:
        yield found


@needs_browser
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_can_be_read_from_a_folder(browser, site, width, scheme):
    for name in PAGES:
        with opened_at(browser, (site / f"{name}.html").as_uri(), width=width, scheme=scheme) as page:
            page.wait_for_load_state("networkidle")
            assert [url for url in page.asked if not url.startswith(("file:", "data:", "about:"))] == []
            assert page.said == [], name
            assert not runs_over(page), name
            assert page.locator("article h1").count() == 1
            broken = "all => all.filter(one => one.complete && !one.naturalWidth).length"
            assert page.locator("article img").evaluate_all(broken) == 0
            serious = [one for one in violations(page) if one[1] in ("serious", "critical") and one[0] not in KNOWN]
            assert serious == [], name


KNOWN: dict[str, str] = {}
"""Findings of axe in the theme's own parts that cannot be mended here, and why."""


@needs_browser
def test_the_search_finds_a_page_without_a_server(browser, site):
    with opened_at(browser, (site / "index.html").as_uri()) as page:
        page.locator("[data-md-component=search-query]").click()
        page.keyboard.type("drop reason", delay=20)
        first = page.locator(".md-search-result__item a").first
        first.wait_for()
        targets = page.locator(".md-search-result__item > a").evaluate_all("all => all.map(one => one.href)")
        assert any("drops.html" in target for target in targets)
        assert page.said == []


@needs_browser
def test_light_and_dark_differ(browser, site):
    grounds = []
    for scheme in ("light", "dark"):
        with opened_at(browser, (site / "index.html").as_uri(), scheme=scheme) as page:
            seen = page.evaluate("getComputedStyle(document.body).backgroundColor")
            grounds.append(sum(map(float, re.findall(r"[\d.]+", seen)[:3])))
    assert grounds[0] > 600 and grounds[1] < 200
