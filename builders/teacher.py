"""The seam between the stages and whoever writes the rationales: a served model, or the embedded geometry baseline.

A stage hands over requests that do not hold the label, and takes replies back; where they come from it cannot tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ferbuild.builders.errors import FerError
from ferbuild.builders.hosts import is_third_party
from ferbuild.builders.replies import Done, Reply, Request
from ferbuild.manifests.load import load_calibration
from ferbuild.manifests.schema import TeacherEntry

__all__ = ["GeometryTeacher", "Reply", "Request", "Teacher", "open_teacher"]


class Teacher(Protocol):
    """Writes a rationale and an answer for a face."""

    @property
    def name(self) -> str: ...

    @property
    def baseline(self) -> bool:
        """True for the embedded baseline, whose text is no model's reasoning."""

    def ready(self) -> None:
        """Raise FerError where it could not be asked now."""

    def ask(self, requests: Iterable[Request], done: Done) -> None:
        """Get and store every reply that is not there yet. The requests are taken one by one, never all at once."""

    def recall(self, requests: Sequence[Request]) -> list[Reply | None]:
        """Return the replies that are there; None for a request that nobody answered yet."""


@dataclass(frozen=True, slots=True)
class GeometryTeacher:
    """The embedded baseline: it computes its reply from the measurements, so there is nothing to ask or store."""

    name: str = "geometry"
    calibration: Path | None = None
    """The user's own; default: the shipped one."""
    baseline: bool = True

    def ready(self) -> None:
        """Do nothing: it is part of the tool."""

    def ask(self, requests: Iterable[Request], done: Done) -> None:
        """Do nothing: a reply costs nothing."""

    def recall(self, requests: Sequence[Request]) -> list[Reply | None]:
        from ferbuild.builders import geometry

        known = load_calibration(self.calibration)
        texts = (geometry.answer(request.measured or {}, request.choices, known) for request in requests)
        return [Reply(text, "stop", "ok" if text.strip() else "empty") for text in texts]


def open_teacher(
    entry: TeacherEntry,
    *,
    store: Path,
    endpoints: Sequence[str] = (),
    concurrency: int = 64,
    own: Sequence[str] = (),
    calibration: Path | None = None,
) -> Teacher:
    """Return the teacher of an entry; nothing is sent and no key is read before it is asked.

    `store` is the file of replies; `endpoints`, where given, stand in for the entry's; `own` are the user's hosts.
    """
    if entry.baseline:
        return GeometryTeacher(entry.name, calibration)
    if entry.kind != "http":
        hint = "serve the model over HTTP and give it `kind: http`"
        raise FerError(f"teacher {entry.name}", f"no teacher of kind {entry.kind!r} can be opened", hint)
    from ferbuild.builders.crew import Limits
    from ferbuild.builders.http_teacher import HttpTeacher

    urls = tuple(url.rstrip("/") for url in endpoints or entry.endpoints)
    for url in urls:
        if not url.startswith(("http://", "https://")):
            raise FerError(url, "is no endpoint", "write it with its scheme, as in http://127.0.0.1:8000/v1")
    if concurrency < 1:
        raise FerError(f"teacher {entry.name}", f"cannot ask {concurrency} at a time", "--concurrency is 1 or more")
    proxied = bool(urls) and all(is_third_party(url, own) for url in urls)
    return HttpTeacher(entry, store, urls, Limits(concurrency), proxied)
