"""A page in a real browser, for the tests that look at one: Debian's chromium, and what the page asks for and says."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install '.[dev]'")
needs_browser = pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine: apt-get install chromium")

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
WIDTHS = (400, 1200)


@contextmanager
def chromium() -> Iterator[sync_api.Browser]:
    """Give a browser for the length of the block; a module's fixture holds it for all of its tests."""
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS])
        yield found
        found.close()


@contextmanager
def opened_at(
    browser: sync_api.Browser, url: str, *, width: int = 1200, scheme: str = "light"
) -> Iterator[sync_api.Page]:
    """Open a page; the addresses it asked for and what its console said stand in its `asked` and `said`."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.set_default_timeout(5000)
    page.asked, page.said = [], []
    page.on("request", lambda one: page.asked.append(one.url))
    page.on("console", lambda one: page.said.append(one.text))
    page.on("pageerror", lambda one: page.said.append(str(one)))
    page.goto(url)
    yield page
    context.close()


def violations(page: sync_api.Page) -> list[tuple[Any, ...]]:
    """Return what axe holds against a page: rule, impact, and where first."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python")
    found = axe.Axe().run(page).response["violations"]
    return [(one["id"], one["impact"], one["nodes"][0]["html"][:120]) for one in found]


def runs_over(page: sync_api.Page) -> bool:
    """Tell whether the page is wider than its window."""
    wide: bool = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    return wide


def spilling(page: sync_api.Page, cards: str) -> list[str]:
    """Return what runs over the card it stands in, by selectors with commas between; what scrolls by itself may."""
    found: list[str] = page.evaluate(
        """cards => [...document.querySelectorAll(cards.split(',').map(one => one + ' *').join())].filter(one => {
            if (one.closest('.scroll, .unseen') || one.closest('svg') !== null && one.tagName !== 'svg') return false;
            const card = one.closest(cards).getBoundingClientRect(), at = one.getBoundingClientRect();
            return at.width > 0 && at.right > card.right + 0.5;
        }).map(one => one.outerHTML.slice(0, 80))""",
        cards,
    )
    return found
