"""Requests laid out as files of JSON lines, the Batch API's input: as many in each as the server and the budget take.

Nothing of a picture stays in memory once its line is written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

import orjson
from PIL import Image

from ferbuild.builders.batch_server import ENDPOINT
from ferbuild.builders.chat import data_url
from ferbuild.builders.prices import dollars
from ferbuild.builders.replies import Request, Usage, chat_body
from ferbuild.builders.visual_tokens import visual_tokens
from ferbuild.manifests.schema import TeacherEntry

CHARACTERS = 3
"""A token of English text, at the least; it has four as a rule."""
LONGEST = 4096
"""Tokens of a reply whose sampling sets no limit."""
KNOWN = 30
"""Replies after which their mean length is known."""
MARGIN = 1.1
"""On a known mean."""


class Size(NamedTuple):
    """What the server takes in one batch (OpenAI's Batch API guide)."""

    requests: int = 50_000
    bytes: int = 200_000_000


@dataclass(slots=True)
class Part:
    """A file of requests that is being written."""

    path: Path
    entry: TeacherEntry
    size: Size
    keys: dict[str, None] = field(default_factory=dict)
    cost: float = 0.0
    """US dollars, reckoned."""
    _bytes: int = 0
    _file: BinaryIO = field(init=False)

    def __post_init__(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self.path.open("wb")

    def takes(self, line: bytes) -> bool:
        return len(self.keys) < self.size.requests and self._bytes + len(line) <= self.size.bytes

    def add(self, key: str, line: bytes, cost: float) -> None:
        self._file.write(line)
        self.keys[key] = None
        self.cost += cost
        self._bytes += len(line)

    def close(self) -> None:
        self._file.close()


def line_of(key: str, request: Request, entry: TeacherEntry) -> bytes:
    """Return one line of a batch's file. ValueError where a picture is in no format that a server takes."""
    body = chat_body(entry.model, entry.sampling, request, data_url)
    return orjson.dumps({"custom_id": key, "method": "POST", "url": ENDPOINT, "body": body}) + b"\n"


def reckon(entry: TeacherEntry, request: Request, written: float) -> float:
    """Return the US dollars that a request costs at most, for a reply of `written` tokens; 0 where no price is known.

    ValueError or OSError where a picture does not open.
    """
    if not entry.prices:
        return 0.0
    read = sum(len(message["content"]) for message in request.messages) // CHARACTERS
    read += sum(_seen(image, entry) for image in request.images)
    return dollars(entry, Usage(read, round(written))) or 0.0


def expected(entry: TeacherEntry, count: int, mean: float) -> float:
    """Return the tokens to reckon a reply with: the mean of `count` known ones and a margin, or the longest allowed."""
    if count >= KNOWN:
        return mean * MARGIN
    most = (entry.sampling.get(name) for name in ("max_completion_tokens", "max_tokens"))
    return float(next((limit for limit in most if limit), LONGEST))


def _seen(picture: bytes, entry: TeacherEntry) -> int:
    if entry.image is None:
        return 0
    with Image.open(BytesIO(picture)) as opened:  # reads the head alone
        return visual_tokens(*opened.size, entry.image)
