"""A teacher behind OpenAI's Batch API: requests are handed in as files, and collected when the server is through.

A batch takes up to a day and outlives this process: what was handed in is on record beside the replies, and any later
run of the same command collects it. A request that is in an open batch is never handed in again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ferbuild.builders import replies
from ferbuild.builders.api_keys import api_key
from ferbuild.builders.batch_server import INSTALL, BatchServer, Patience
from ferbuild.builders.errors import FerError
from ferbuild.builders.owing import owed, recall_each
from ferbuild.builders.replies import Reply, Request, Watch, reply_key
from ferbuild.manifests.schema import TeacherEntry

if TYPE_CHECKING:
    from ferbuild.builders.batch_parts import Size
    from ferbuild.builders.teacher import AskOptions, Halt


@dataclass(frozen=True, slots=True)
class BatchTeacher:
    """Asks through the batches of the account at `urls`, which must be one."""

    entry: TeacherEntry
    store: Path
    urls: tuple[str, ...]
    options: AskOptions
    patience: Patience = field(default_factory=Patience)
    size: Size | None = None
    """Of a batch; None: what OpenAI takes."""
    baseline: bool = False

    @property
    def name(self) -> str:
        return self.entry.name

    def ready(self) -> None:
        """FerError where the package or the key is missing, or the server is out of reach or refuses the key."""
        self._server().answers()

    def ask(self, requests: Iterable[Request], watch: Watch) -> Halt | None:
        """Hand in what is owed, wait for it, and store every reply; `watch` is told of every request that is through.

        What `watch` is given of a request that was handed in bears no pictures. Batches of earlier runs are collected
        first. With a budget only as many requests are handed in as are reckoned to fit; the rest is a Halt. What a
        batch that expired or was cancelled did not bring is owed again. On Ctrl-C, or a kill, the batches go on at
        the server.
        """
        self._check_budget()
        waiting = owed(self.store, requests, self.key, watch)
        first = next(waiting, None)
        if first is None:
            return None
        from ferbuild.builders.batch_ledger import keeping
        from ferbuild.builders.batch_parts import Size
        from ferbuild.builders.batch_run import BatchRun
        from ferbuild.builders.batch_waiters import Waiters

        server = self._server()
        server.answers()
        with ExitStack() as stack:
            store = stack.enter_context(replies.asking(self.store))
            ledger = stack.enter_context(keeping(self.store))
            waiters = Waiters(self.entry, store, watch)
            return BatchRun(self, server, store, ledger, waiters, self.size or Size()).go(first, waiting)

    def recall(self, requests: Sequence[Request]) -> list[Reply | None]:
        return recall_each(self.store, [self.key(request) for request in requests])

    def key(self, request: Request) -> str:
        return reply_key(self.entry.model, self.entry.sampling, request)

    @property
    def folder(self) -> Path:
        """Where files lie on their way to the server and back."""
        return self.store.with_name(f"{self.store.name}.batches")

    def _server(self) -> BatchServer:
        where = f"teacher {self.name}"
        if find_spec("openai") is None:
            raise FerError(where, "the package openai is not installed", INSTALL)
        if len(self.urls) != 1:
            hint = "name one with --endpoint: a batch is collected where it was handed in"
            raise FerError(where, f"has {len(self.urls)} endpoints", hint)
        return BatchServer(self.urls[0], self.entry.key or "", api_key(self.entry), self.patience)

    def _check_budget(self) -> None:
        if self.options.budget is not None and not self.entry.prices:
            hint = "write the `prices` into its entry: US dollars per million tokens"
            raise FerError(f"teacher {self.name}", "a budget cannot be kept: its entry names no prices", hint)
