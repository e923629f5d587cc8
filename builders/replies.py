"""What a teacher is asked and what it said: the request, its key, and the store of every reply that was paid for.

The store is one SQLite file beside the datasets. A reply in it is never asked for again; no picture enters it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import filelock
import orjson

from ferbuild.builders.errors import FerError

GAVE_UP = "gave up"

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
);
create table if not exists attempts (  -- what was sent and brought nothing that stands: it may have been paid for
    key text not null,
    teacher text not null,
    model text not null,
    fault text not null,      -- HTTP 429, timeout, cut, malformed, empty, …
    detail text not null,
    usage text not null,      -- JSON, where the server said
    latency_ms integer not null,
    endpoint text not null,
    at text not null
);
create table if not exists sent (  -- pictures that the user answers for sending to a third party
    source text not null,
    host text not null,
    terms text not null,      -- what the licence says, as it was shown
    at text not null,
    primary key (source, host, terms)
);
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
    pattern: str = ""
    """A regex that the whole reply is to match, for a server that can be held to one; it is sent only there."""

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


class Usage(NamedTuple):
    """Tokens that a reply cost, as the server counts them."""

    read: int = 0
    """Of the prompt, pictures included."""
    written: int = 0
    """Of the completion, reasoning included."""


class Reply(NamedTuple):
    """What came back for one request."""

    text: str
    finish: str
    """Why the teacher stopped: "stop", "length", …"""
    outcome: str
    """ok, empty, truncated or gave up."""
    detail: str = ""
    """Of gave up: the last fault."""
    usage: Usage = Usage()


Watch = Callable[[Request, Reply | None, bool], None]
"""Told of every request once it is through: its reply (None: it was not asked, since the run stopped before),
and whether it was got now (False: it was in the store already)."""


class Record(NamedTuple):
    """A reply that stands, or a "gave up"."""

    key: str
    teacher: str
    model: str
    reply: Reply
    usage: Mapping[str, Any]
    latency_ms: int
    endpoint: str
    at: str


class Attempt(NamedTuple):
    """What was sent and brought nothing that stands, in the order of the columns."""

    key: str
    teacher: str
    model: str
    fault: str
    """Its kind: HTTP 429, timeout, cut, malformed, empty, …"""
    detail: str
    usage: str
    """JSON."""
    latency_ms: int
    endpoint: str
    at: str


class Sent(NamedTuple):
    """Pictures of a source that the user answers for sending to a host."""

    source: str
    host: str
    terms: str
    at: str
    """UTC, ISO 8601: when it was first said."""


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

    def put(self, records: Sequence[Record], attempts: Sequence[Attempt] = ()) -> None:
        """Commit replies and fruitless attempts durably, in one transaction; FerError where the disk refuses.

        A reply that is there already stays; a "gave up" makes way for anything.
        """
        rows = [
            (r.key, r.teacher, r.model, r.reply.outcome, *_said(r), r.latency_ms, r.endpoint, r.at) for r in records
        ]
        with self._one_at_a_time, faults_of(self.path), self._connection as transaction:
            transaction.executemany(
                "insert into replies values (?,?,?,?,?,?,?,?,?,?,?) on conflict (key) do update set"
                " teacher=excluded.teacher, model=excluded.model, outcome=excluded.outcome, text=excluded.text,"
                " finish=excluded.finish, detail=excluded.detail, usage=excluded.usage, at=excluded.at,"
                " latency_ms=excluded.latency_ms, endpoint=excluded.endpoint where replies.outcome = 'gave up'",
                rows,
            )
            transaction.executemany("insert into attempts values (?,?,?,?,?,?,?,?,?)", attempts)

    def close(self) -> None:
        with self._one_at_a_time:
            self._connection.close()


@contextmanager
def asking(path: Path) -> Iterator[Store]:
    """Open the store for writing; FerError where another process asks into it."""
    with ExitStack() as stack:
        with faults_of(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(_alone(path))
            connection = sqlite3.connect(path, check_same_thread=False)
            store = stack.enter_context(closing(Store(path, connection)))
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = full")
            connection.executescript(_SCHEMA)
        yield store


def note_sent(path: Path, source: str, host: str, terms: str) -> None:
    """Record durably that the user answers for sending a source's pictures to a host; once is enough."""
    with faults_of(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=30)) as db, db:
            db.execute("pragma journal_mode = wal")
            db.executescript(_SCHEMA)
            db.execute("insert or ignore into sent values (?,?,?,?)", (source, host, terms, now()))


def sent(path: Path) -> list[Sent]:
    """Return what the user answers for sending, in the order in which it was said."""
    return [Sent(*row) for row in read(path, "sent", "select source, host, terms, at from sent order by at, source")]


def now() -> str:
    """Return the time as the store keeps it: UTC, ISO 8601, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def recall(path: Path, keys: Sequence[str]) -> dict[str, Reply]:
    """Return what is stored of `keys`, "gave up" included, which is still owed; also while another process asks."""
    found: dict[str, Reply] = {}
    for start in range(0, len(keys), _ASKED_AT_ONCE):
        some = keys[start : start + _ASKED_AT_ONCE]
        marks = ",".join("?" * len(some))
        select = f"select key, text, finish, outcome, detail, usage from replies where key in ({marks})"
        for key, text, finish, outcome, detail, usage in read(path, "replies", select, some):
            found[key] = Reply(text, finish, outcome, detail, count_tokens(orjson.loads(usage)))
    return found


def count_tokens(usage: Mapping[str, Any]) -> Usage:
    """Read the tokens out of what a server reports as `usage`; what it does not count is 0.

    Gemini leaves its reasoning out of `completion_tokens` and has it in `total_tokens`.
    """
    counts = (usage.get(name) for name in ("prompt_tokens", "completion_tokens", "total_tokens"))
    read, written, total = (count if isinstance(count, int) else 0 for count in counts)
    return Usage(read, max(written, total - read))


def read(path: Path, table: str, select: str, values: Sequence[str] = ()) -> Iterator[Any]:
    """Yield rows of the store as they are now, also while another process asks; none where the table is not there."""
    if not path.exists():
        return
    with faults_of(path), closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=30)) as db:
        if db.execute("select 1 from sqlite_master where name = ?", (table,)).fetchone():
            yield from db.execute(select, values)


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
def faults_of(path: Path) -> Iterator[None]:
    """Turn what the disk or SQLite objects to into a FerError."""
    try:
        yield
    except (sqlite3.Error, OSError) as err:
        hint = "see that the disk has space and the file can be written; every reply stored so far is kept"
        raise FerError(path, f"the store of replies fails: {err}", hint) from None
