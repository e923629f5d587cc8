"""The record of batches that were handed in: a table beside the replies, written before and after every step.

A batch lives at the server for up to a day; this is what lets any later run collect it, and keeps a request that is in
an open batch from being handed in again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from ferbuild.builders.replies import faults_of, now
from ferbuild.manifests.schema import TeacherEntry

_SCHEMA = """
create table if not exists batches (
    tag text primary key,     -- ours: file name and metadata at the server, by which it is found there
    teacher text not null,
    model text not null,
    url text not null,        -- where it was handed in
    requests integer not null,
    cost real not null,       -- US dollars that it was reckoned to cost
    state text not null,      -- written, sent, open, done
    file text not null,       -- the input file's id at the server
    batch text not null,      -- the batch's id at the server
    said text not null,       -- of done: the server's last word on it
    at text not null          -- UTC, ISO 8601, of the last step
);
create table if not exists batch_keys (
    key text not null,        -- of a reply that the batch is to bring
    tag text not null,
    primary key (key, tag)
) without rowid;
"""
_ASKED_AT_ONCE = 500  # keys in one select


class Entry(NamedTuple):
    """One batch that is not done, in the order of the table's columns."""

    tag: str
    teacher: str
    model: str
    url: str
    requests: int
    cost: float
    state: str
    """written: on disk here; sent: its creation may have reached the server; open: it is known to be there."""
    file: str
    batch: str
    said: str
    at: str


class Ledger:
    """The open ledger of the one process that asks."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._db = connection

    def write(self, tag: str, teacher: TeacherEntry, url: str, keys: Sequence[str], cost: float) -> Entry:
        """Enter a batch whose file lies on disk and that the server knows nothing of yet."""
        entry = Entry(tag, teacher.name, teacher.model, url, len(keys), cost, "written", "", "", "", now())
        with faults_of(self.path), self._db as transaction:
            transaction.execute(f"insert into batches values ({','.join('?' * len(entry))})", entry)
            transaction.executemany("insert into batch_keys values (?,?)", [(key, tag) for key in keys])
        return entry

    def step(self, tag: str, state: str, *, file: str = "", batch: str = "", said: str = "") -> None:
        """Enter how far a batch has come; what is not given stays. A batch that is done lets go of its keys."""
        changed = "state=?, at=?, file=coalesce(nullif(?,''),file), batch=coalesce(nullif(?,''),batch), said=?"
        with faults_of(self.path), self._db as transaction:
            transaction.execute(
                f"update batches set {changed} where tag=?", (state, now(), file, batch, said[:500], tag)
            )
            if state == "done":
                transaction.execute("delete from batch_keys where tag=?", (tag,))

    def forget(self, tag: str) -> None:
        """Strike out a batch that never came to the server; its requests are owed again."""
        with faults_of(self.path), self._db as transaction:
            transaction.execute("delete from batches where tag=?", (tag,))
            transaction.execute("delete from batch_keys where tag=?", (tag,))

    def pending(self, teacher: str, url: str) -> list[Entry]:
        """Return the batches of a teacher's at a server that are not done, the oldest first."""
        select = "select * from batches where teacher=? and url=? and state <> 'done' order by rowid"
        with faults_of(self.path):
            return [Entry(*row) for row in self._db.execute(select, (teacher, url))]

    def holders(self, keys: Sequence[str]) -> dict[str, str]:
        """Return of these keys those that a batch holds, with its tag."""
        found: dict[str, str] = {}
        with faults_of(self.path):
            for start in range(0, len(keys), _ASKED_AT_ONCE):
                some = keys[start : start + _ASKED_AT_ONCE]
                marks = ",".join("?" * len(some))
                found |= self._db.execute(f"select key, tag from batch_keys where key in ({marks})", some).fetchall()
        return found

    def keys(self, tag: str) -> list[str]:
        with faults_of(self.path):
            return [key for (key,) in self._db.execute("select key from batch_keys where tag=?", (tag,))]

    def lengths(self, model: str) -> tuple[int, float]:
        """Return of a model's stored replies how many there are, and their mean tokens."""
        select = (
            "select count(*), avg(json_extract(usage, '$.completion_tokens')) from replies"
            " where model=? and json_extract(usage, '$.completion_tokens') > 0"
        )
        with faults_of(self.path):
            count, mean = self._db.execute(select, (model,)).fetchone()
        return count, mean or 0.0


@contextmanager
def keeping(path: Path) -> Iterator[Ledger]:
    """Open the ledger in the store of replies at `path`, whose lock the caller holds (`replies.asking`)."""
    with faults_of(path):
        connection = sqlite3.connect(path, timeout=30)
    with closing(connection):
        with faults_of(path):
            connection.execute("pragma synchronous = full")
            connection.executescript(_SCHEMA)
        yield Ledger(path, connection)
