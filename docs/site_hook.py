"""What the site needs beyond its pages: the files of the checkout that they link to lie in it too.

A link such as `../manifests/models.yaml` leads to the file on GitHub and in a clone, but out of the site. So every file
that a page links to outside of `docs/` is copied to `source/` and the link is turned there.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

LINK = re.compile(r"\]\((?!\w+:)(?P<path>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")
FOLDER = "source"


def outside(page: str, link: str) -> str | None:
    """Return where a link of a page leads, seen from the top of the checkout; None where it stays below `docs/`.

    page: path below `docs/`. link: as the page writes it.
    """
    target = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), link))
    return None if target.startswith("docs/") else target


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files outside of `docs/` that pages link to; a link to nothing is left for the build to complain of."""
    top = Path(config.docs_dir).parent
    targets = {
        target
        for file in files.documentation_pages()
        for link in LINK.finditer(file.content_string)
        if (target := outside(file.src_uri, link["path"])) and (top / target).is_file()
    }
    for target in sorted(targets):
        files.append(File.generated(config, f"{FOLDER}/{target}.txt", abs_src_path=str(top / target)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn the links that leave `docs/` to the copies."""

    def turned(link: re.Match[str]) -> str:
        target = outside(page.file.src_uri, link["path"])
        copy = f"{FOLDER}/{target}.txt"
        if target is None or files.get_file_from_path(copy) is None:
            return link[0]
        return f"]({posixpath.relpath(copy, posixpath.dirname(page.file.src_uri) or '.')})"

    return LINK.sub(turned, markdown)
