"""What is still to be asked: requests in their order, less those whose replies are stored.

For the teachers that ask many requests in one go; the HTTP teacher looks its own up while others are in flight.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from ferbuild.builders import replies
from ferbuild.builders.replies import GAVE_UP, Reply, Request, Watch

LOOKED_UP = 64
"""Requests a look into the store."""

Owed = tuple[str, Request]
"""A reply key and its request, not yet answered."""


def owed(store: Path, requests: Iterable[Request], key: Callable[[Request], str], watch: Watch) -> Iterator[Owed]:
    """Yield the requests without a stored reply in the order given; `watch` is told of the others."""
    waiting = iter(requests)
    while some := [(key(request), request) for request in islice(waiting, LOOKED_UP)]:
        known = replies.recall(store, [name for name, _ in some])
        for name, request in some:
            reply = known.get(name)
            if reply and reply.outcome != GAVE_UP:
                watch(request, reply, False)
            else:
                yield name, request


def recall_each(path: Path, keys: Sequence[str]) -> list[Reply | None]:
    """Return what is stored of every key, in order; None where nothing is. See `replies.recall`."""
    found = replies.recall(path, keys)
    return [found.get(key) for key in keys]
