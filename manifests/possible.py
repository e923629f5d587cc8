"""What an entry of teachers.yaml cannot say: each is told with its reason before anything is asked.

Its keys and types are the schema's matter; here it is what does not go together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ferbuild.builders.errors import FerError
from ferbuild.manifests.schema import TeacherEntry

OURS = ("model", "messages", "stream", "n")
"""What the tool itself says in every request, or what would make of one reply several."""


def check_teacher(entry: TeacherEntry, where: object) -> TeacherEntry:
    """Return the entry; FerError for the first thing in it that does not go together."""
    for problem, hint in _slips(entry):
        raise FerError(where, problem, hint)
    return entry


def _slips(entry: TeacherEntry) -> Iterator[tuple[str, str]]:
    """Yield every (problem, hint)."""
    kind = entry.kind
    if kind != "geometry" and not entry.model:
        yield "model: none is named", "write the name under which the server, or the hub, knows it"
    if kind in ("vllm", "geometry"):
        yield from _in_process(entry)
    if kind == "batch":
        yield from _batch(entry)
    if entry.engine and kind != "vllm":
        yield f"engine: nothing of it reaches a teacher of kind {kind}", "a server gets its arguments in its own line"
    if entry.key and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", entry.key):
        hint = "write the name of the environment variable, such as OPENAI_API_KEY; never the key itself"
        yield "key: is no name of a variable", hint
    yield from _sampling(entry)
    yield from _numbers(entry)


def _in_process(entry: TeacherEntry) -> Iterator[tuple[str, str]]:
    said = [name for name in ("endpoints", "key", "serve") if getattr(entry, name)]
    if said:
        hint = f"a teacher of kind {entry.kind} runs in this process: leave `{said[0]}` out, or write `kind: http`"
        yield f"{said[0]}: there is no server to ask", hint
    if entry.party == "third":
        yield "party: nobody else is asked", "write `party: local`, or leave it out"
    if entry.kind == "geometry" and entry.model:
        yield "model: the baseline measures and asks none", "leave it out, or name another kind"


def _batch(entry: TeacherEntry) -> Iterator[tuple[str, str]]:
    if not entry.key:
        yield "key: a batch is kept by an account", "write `key:` and the name of the variable that holds its key"
    if len(entry.endpoints) != 1:
        hint = "write one, such as https://api.openai.com/v1: a batch is collected where it was handed in"
        yield f"endpoints: {len(entry.endpoints)} of them", hint


def _sampling(entry: TeacherEntry) -> Iterator[tuple[str, str]]:
    for name in OURS:
        if name in entry.sampling:
            hint = "several replies to one picture: --samples" if name == "n" else "the tool says it in every request"
            yield f"sampling.{name}: cannot be set here", hint


def _numbers(entry: TeacherEntry) -> Iterator[tuple[str, str]]:
    prices, image = entry.prices, entry.image
    if prices and not {"input", "output"} <= prices.keys():
        yield "prices: only half of a request's cost is known", "write both `input` and `output`"
    if prices.get("batch", 0) > 1:
        yield f"prices.batch: {prices['batch']:g}", "it is a share of the other prices: 0.5 for half of them"
    if image and image.min_pixels > image.max_pixels:
        yield "image: min_pixels is above max_pixels", "both count the pixels of a whole picture: width times height"
