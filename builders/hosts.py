"""Whose machine a URL leads to: what is sent there is either at home or published."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit


def is_third_party(url: str, own: Sequence[str] = ()) -> bool:
    """Tell whether a URL's host is neither loopback nor among the user's `own` hosts."""
    host = urlsplit(url).hostname or url
    return host not in own and not _is_loopback(host)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
