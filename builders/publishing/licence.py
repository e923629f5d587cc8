"""LICENSE.md of an edition: under whose terms its rows stand, source by source, in the words of the manifests."""

from __future__ import annotations

from ferbuild.builders.publishing.edition import Edition, Terms

FILE = "LICENSE.md"
NAME = "terms-of-its-sources"
"""What the card's metadata calls it: there is no one licence of rows from several releases."""

HEAD = """# Terms of this dataset

No single licence covers these rows. Each stands under the terms of the release that its picture and its label come
from (column `faces.source`); whoever uses a row keeps to them. Nothing here gives rights in a release."""

_LABELS = {
    "open": "Labels and text made from its pictures may be published.",
    "unsettled": "Whether labels and text made from its pictures may be published is not settled; the publisher of this"
    " dataset answers for having looked into it.",
    "closed": "Labels and text made from its pictures may not be published.",
}


def text(edition: Edition) -> str:
    """Return the file's content; it depends on `edition` alone."""
    parts = [HEAD, *(_source(name, one, edition) for name, one in sorted(edition.sources.items()))]
    if edition.teacher and edition.teacher.terms:
        parts.append(f"## What {edition.teacher.model or edition.teacher.name} wrote\n\n{edition.teacher.terms}")
    return "\n\n".join(parts) + "\n"


def pictures(one: Terms, edition: Edition) -> str:
    """Return what an edition does with a source's pictures."""
    if edition.images == "bytes":
        return "in the rows"
    return "left out" if one.images == "open" else "left out: they may not be passed on"


def _source(name: str, one: Terms, edition: Edition) -> str:
    return (
        f"## {one.title} (`{name}`)\n\n{one.licence}. {one.terms}\n\n"
        f"{one.rows:,} rows. Pictures: {pictures(one, edition)}. {_LABELS[one.labels]}"
    )
