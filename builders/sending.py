"""Sending a picture is publishing it: no request leaves this machine that a source's licence does not allow."""

from __future__ import annotations

from collections.abc import Sequence

from ferbuild.builders.errors import FerError
from ferbuild.builders.hosts import is_third_party
from ferbuild.builders.sources.listing import Listing


def refuse_closed_pictures(urls: Sequence[str], listings: Sequence[Listing], own: Sequence[str]) -> None:
    """FerError, before anything is sent, where a third party would get pictures of a closed source.

    A third party is every host that is neither loopback nor named under `own:` in fer-build.yaml. Pictures
    that a release itself marks as synthetic may go anywhere.
    """
    strangers = [url for url in urls if is_third_party(url, own)]
    closed = [one for one in listings if one.source.licence.images == "closed" and not _is_synthetic(one)]
    if strangers and closed:
        first = closed[0].source
        raise FerError(
            strangers[0],
            f"pictures of {first.title} may not be sent there: {first.licence.terms}",
            "serve the model on this machine, or name the host under `own:` in fer-build.yaml if it is yours",
        )


def _is_synthetic(listing: Listing) -> bool:
    return all(listing.rows["synthetic"].to_pylist())
