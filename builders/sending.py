"""Sending a picture is publishing it: no request leaves this machine that a source's licence does not allow.

A user who has the holder's leave may answer for a source (`--i-may-send`): that is told, and kept in the store.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from ferbuild.builders import replies
from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.builders.hosts import is_third_party
from ferbuild.builders.sources.listing import Listing
from ferbuild.manifests.schema import Source

log = logging.getLogger(__name__)


class Sent(NamedTuple):
    """A licence that the user answers for: pictures of `source` may go to `host`, whatever `terms` say."""

    source: str
    title: str
    host: str
    terms: str


def refuse_closed_pictures(
    urls: Sequence[str], listings: Sequence[Listing], own: Sequence[str], may_send: Sequence[str] = ()
) -> list[Sent]:
    """Return what the user answers for; FerError, before anything is sent, where a third party would get the rest.

    A third party is every host that is neither loopback nor named under `own:` in fer-build.yaml. Pictures
    that a release itself marks as synthetic may go anywhere. FerError too for a source in `may_send` that is not
    among the listings.
    """
    known = [one.source.name for one in listings]
    for name in may_send:
        if name not in known:
            raise FerError(f"--i-may-send {name}", f"no source {name!r} takes part", did_you_mean(name, known))
    strangers = [url for url in urls if is_third_party(url, own)]
    closed = [one.source for one in listings if one.source.licence.images == "closed" and not _is_synthetic(one)]
    refused = [source for source in closed if source.name not in may_send]
    if strangers and refused:
        raise FerError(strangers[0], _refusal(refused), _way_out(refused))
    answered_for = [source for source in closed if source.name in may_send]
    return [Sent(one.name, one.title, _host(url), one.licence.terms) for url in strangers for one in answered_for]


def note_sent(store: Path, sent: Sequence[Sent]) -> None:
    """Warn of every licence that the user answers for, and keep it durably in the store; call it before sending.

    FerError where it cannot be kept, so that nothing is sent that nobody could account for.
    """
    for one in sent:
        log.warning("pictures of %s go to %s on your own word; their terms: %s", one.title, one.host, one.terms)
        replies.note_sent(store, one.source, one.host, one.terms)


def _refusal(refused: Sequence[Source]) -> str:
    """Name every source that may not be sent, and quote its terms."""
    quoted = " ".join(one.licence.terms for one in refused)
    return f"pictures of {', '.join(one.title for one in refused)} may not be sent there: {quoted}"


def _way_out(refused: Sequence[Source]) -> str:
    flags = " ".join(f"--i-may-send {one.name}" for one in refused)
    return (
        "serve the model on this machine, or name the host under `own:` in fer-build.yaml if it is yours; with the"
        f" holder's leave: {flags}"
    )


def _host(url: str) -> str:
    return urlsplit(url).hostname or url


def _is_synthetic(listing: Listing) -> bool:
    return all(listing.rows["synthetic"].to_pylist())
