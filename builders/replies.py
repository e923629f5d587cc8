"""What a teacher is asked and what it said: the request, its key, and the store of every reply that was paid for.

The store is one SQLite file beside the datasets. A reply in it is never asked for again; no picture enters it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import filelock
import orjson

from ferbuild.builders.errors import FerError

GAVE_UP = "gave up"

Done = Callable[[int], None]
"""Called now and then with the number of requests that are through, given up ones included."""

_SCHEMA = """
create table if not exists replies (
    key text primary key,
    teacher text not null,
    model text not null,
    outcome text not null,    -- ok, empty, truncated; gave up: not a reply, it is asked for again
    text text not null,
    finish text not null,     -- the server's finish reason
    detail text not null,     -- of gave up: the last fault
    usage text not null,      -- JSON, as the server reports it
    latency_ms integer not null,
    endpoint text not null,
    at text not null          -- UTC, ISO 8601
)
"""
_ASKED_AT_ONCE = 500  # keys in one select


class Request(NamedTuple):
    """One question to a teacher. `id` is ours; nothing else in it may tell a row's label."""

    id: str
    messages: tuple[dict[str, str], ...]
    images: tuple[bytes, ...]
    """Encoded pictures; they go with the last message."""
    choices: tuple[str, ...]
    measured: Mapping[str, Any] | None
    """A measures row, for a teacher that works on measurements."""
    sample: int = 0

    def body(self) -> bytes:
        """Return canonical JSON of everything a teacher gets to see, with sha256 sums in place of the pictures."""
        seen = {
            "messages": self.messages,
            "images": [sha256(image).hexdigest() for image in self.images],
            "choices": self.choices,
            "measured": self.measured,
            "sample": self.sample,
        }
        return orjson.dumps(seen, default=_plain, option=orjson.OPT_SORT_KEYS | orjson.OPT_SERIALIZE_NUMPY)


class Reply(NamedTuple):
    """What came back for one request."""

    text: str
    finish: str
    """Why the teacher stopped: "stop", "length", …"""
    outcome: str
    """ok, empty, truncated or gave up."""
    detail: str = ""


class Record(NamedTuple):
    """One row of the store, in the order of its columns."""

    key: str
    teacher: str
    model: str
    reply: Reply
    usage: Mapping[str, Any]
    latency_ms: int
    endpoint: str
    at: str


def chat_body(
    model: str, sampling: Mapping[str, Any], request: Request, picture: Callable[[bytes], str]
) -> dict[str, Any]:
    """Return the body of a chat completion call; `picture` turns an encoded picture into its URL.

    Pictures come after the text, so that the server's prefix cache works. A `seed` in the sampling is that
    of sample 0; the others count on from it.
    """
    *before, last = request.messages
    parts: list[dict[str, Any]] = [{"type": "text", "text": last["content"]}]
    parts += [{"type": "image_url", "image_url": {"url": picture(image)}} for image in request.images]
    said = {"role": last["role"], "content": parts if request.images else last["content"]}
    body = {"model": model, "messages": [*before, said], **sampling}
    return body | {"seed": sampling["seed"] + request.sample} if "seed" in sampling else body


def reply_key(model: str, sampling: Mapping[str, Any], request: Request) -> str:
    """Return 64 hex digits: the sha256 of the body that would be sent, sums for pictures, and the sample index."""
    body = chat_body(model, sampling, request, lambda image: f"sha256:{sha256(image).hexdigest()}")
    return sha256(orjson.dumps([body, request.sample], option=orjson.OPT_SORT_KEYS)).hexdigest()


class Store:
    """The open store of one process that asks. Reading needs none: see `recall`."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._one_at_a_time = threading.Lock()

    def put(self, records: Sequence[Record]) -> None:
        """Commit replies durably, in one transaction; FerError where the disk refuses.

        A reply that is there already stays; a "gave up" makes way for anything.
        """
        rows = [
            (r.key, r.teacher, r.model, r.reply.outcome, *_said(r), r.latency_ms, r.endpoint, r.at) for r in records
        ]
        with self._one_at_a_time, _faults_of(self.path), self._connection as transaction:
            transaction.executemany(
                "insert into replies values (?,?,?,?,?,?,?,?,?,?,?) on conflict (key) do update set"
                " teacher=excluded.teacher, model=excluded.model, outcome=excluded.outcome, text=excluded.text,"
                " finish=excluded.finish, detail=excluded.detail, usage=excluded.usage, at=excluded.at,"
                " latency_ms=excluded.latency_ms, endpoint=excluded.endpoint where replies.outcome = 'gave up'",
                rows,
            )

    def close(self) -> None:
        with self._one_at_a_time:
            self._connection.close()


@contextmanager
def asking(path: Path) -> Iterator[Store]:
    """Open the store for writing; FerError where another process asks into it."""
    with ExitStack() as stack:
        with _faults_of(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(_alone(path))
            connection = sqlite3.connect(path, check_same_thread=False)
            store = stack.enter_context(closing(Store(path, connection)))
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = full")
            connection.execute(_SCHEMA)
        yield store


def recall(path: Path, keys: Sequence[str]) -> dict[str, Reply]:
    """Return the finished replies among `keys`; also while another process asks."""
    found: dict[str, Reply] = {}
    for start in range(0, len(keys), _ASKED_AT_ONCE):
        some = keys[start : start + _ASKED_AT_ONCE]
        marks = ",".join("?" * len(some))
        select = f"select key, outcome, text, finish from replies where outcome <> '{GAVE_UP}' and key in ({marks})"
        rows = _read(path, select, some)
        found |= {key: Reply(text, finish, outcome) for key, outcome, text, finish in rows}
    return found


def _read(path: Path, select: str, values: Sequence[str] = ()) -> list[Any]:
    if not path.exists():
        return []
    with _faults_of(path), closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=30)) as db:
        begun = db.execute("select 1 from sqlite_master where name = 'replies'").fetchone()
        return db.execute(select, values).fetchall() if begun else []


def _said(record: Record) -> tuple[str, str, str, str]:
    reply = record.reply
    return reply.text, reply.finish, reply.detail, orjson.dumps(dict(record.usage)).decode()


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(type(value).__name__)


def _alone(path: Path) -> filelock.BaseFileLock:
    """Take the store's lock, which the system lets go when the process ends, however it ends."""
    lock = filelock.FileLock(path.with_name(f"{path.name}.lock"), timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout:
        hint = "wait for it, or give this one its own folder with --work"
        raise FerError(path, "another process is asking a teacher and stores its replies here", hint) from None
    return lock


@contextmanager
def _faults_of(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as err:
        hint = "see that the disk has space and the file can be written; every reply stored so far is kept"
        raise FerError(path, f"the store of replies fails: {err}", hint) from None
