"""The seam between the stages and whoever writes the rationales: a served model, or the embedded geometry baseline.

A stage hands over requests that do not hold the label, and takes replies back; where they come from it cannot tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from ferbuild.builders.errors import FerError
from ferbuild.builders.hosts import is_third_party
from ferbuild.builders.replies import Reply, Request, Watch
from ferbuild.manifests.load import load_calibration
from ferbuild.manifests.schema import TeacherEntry

__all__ = ["AskOptions", "GeometryTeacher", "Halt", "Reply", "Request", "Teacher", "Watch", "open_teacher"]


@dataclass(frozen=True, slots=True)
class AskOptions:
    """How the user wants a teacher asked; but for `structured` nothing of it changes what a reply's key is."""

    endpoints: tuple[str, ...] = ()
    """In the place of the entry's."""
    concurrency: int = 64
    rpm: int | None = None
    """Requests a minute, over all endpoints."""
    tpm: int | None = None
    """Tokens a minute, over all endpoints."""
    budget: float | None = None
    """US dollars that this run may spend."""
    may_send: tuple[str, ...] = ()
    """Sources whose pictures the user answers for sending."""
    structured: bool = False
    """Hold replies to a regex, where a probe shows that every server does that; it enters the keys."""


class Halt(NamedTuple):
    """Why an asking ended before all was asked, though nothing is wrong."""

    reason: str
    """Such as "budget"."""
    hint: str


class Teacher(Protocol):
    """Writes a rationale and an answer for a face."""

    @property
    def name(self) -> str: ...

    @property
    def baseline(self) -> bool:
        """True for the embedded baseline, whose text is no model's reasoning."""

    def ready(self) -> None:
        """Raise FerError where it could not be asked now."""

    def ask(self, requests: Iterable[Request], watch: Watch) -> Halt | None:
        """Get and store every reply that is not there yet. The requests are taken one by one, never all at once."""

    def recall(self, requests: Sequence[Request]) -> list[Reply | None]:
        """Return what is there: None for a request that was never asked; outcome "gave up": it came to nothing."""


@dataclass(frozen=True, slots=True)
class GeometryTeacher:
    """The embedded baseline: it computes its reply from the measurements, so there is nothing to ask or store."""

    name: str = "geometry"
    calibration: Path | None = None
    """The user's own; default: the shipped one."""
    baseline: bool = True

    def ready(self) -> None:
        """Do nothing: it is part of the tool."""

    def ask(self, requests: Iterable[Request], watch: Watch) -> Halt | None:
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
    options: AskOptions = AskOptions(),
    own: Sequence[str] = (),
    calibration: Path | None = None,
) -> Teacher:
    """Return the teacher of an entry; nothing is sent and no key is read before it is asked.

    `store` is the file of replies; `own` are the user's hosts.
    """
    if entry.baseline:
        return GeometryTeacher(entry.name, calibration)
    _check(entry, options)
    urls = _urls(entry, options)
    if entry.kind == "vllm":
        from ferbuild.builders.vllm_teacher import VllmTeacher

        return VllmTeacher(entry, store)
    if entry.kind == "batch":
        from ferbuild.builders.batch_teacher import BatchTeacher

        return BatchTeacher(entry, store, urls, options)
    from ferbuild.builders.endpoints import Limits
    from ferbuild.builders.http_teacher import HttpTeacher

    proxied = bool(urls) and all(is_third_party(url, own) for url in urls)
    return HttpTeacher(entry, store, urls, Limits(options.concurrency), proxied, options)


def _urls(entry: TeacherEntry, options: AskOptions) -> tuple[str, ...]:
    """Return the servers to ask; FerError for what is no URL."""
    urls = tuple(url.rstrip("/") for url in options.endpoints or entry.endpoints)
    for url in urls:
        if not url.startswith(("http://", "https://")):
            raise FerError(url, "is no endpoint", "write it with its scheme, as in http://127.0.0.1:8000/v1")
    return urls


def _check(entry: TeacherEntry, options: AskOptions) -> None:
    """FerError for an option that cannot be kept."""
    where = f"teacher {entry.name}"
    if options.concurrency < 1:
        raise FerError(where, f"cannot ask {options.concurrency} at a time", "--concurrency is 1 or more")
    for name, most in (("rpm", options.rpm), ("tpm", options.tpm)):
        if most is not None and most < 1:
            raise FerError(where, f"cannot ask {most} a minute", f"--{name} is 1 or more")
    if options.structured and entry.kind != "http":
        raise FerError(where, f"kind {entry.kind} cannot hold replies to a regex", "leave --structured out")
    if options.endpoints and entry.kind == "vllm":
        hint = "leave --endpoint out, or serve the model and name an entry of kind http"
        raise FerError(where, "runs in this process and has no endpoint", hint)
    if options.budget is not None and not entry.prices:
        hint = "leave --budget out, or give the entry `prices: {input: …, output: …}`, US dollars a million tokens"
        raise FerError(where, "a budget cannot be kept without prices", hint)
