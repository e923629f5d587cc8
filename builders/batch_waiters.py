"""Who waits for which reply while batches are at the server, and what there is to tell of those that get none."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field

from ferbuild.builders import replies
from ferbuild.builders.replies import GAVE_UP, Record, Reply, Request, Store, Watch, now
from ferbuild.manifests.schema import TeacherEntry

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Waiters:
    """The requests of one run that are not through. They are held without their pictures."""

    entry: TeacherEntry
    store: Store
    watch: Watch
    waiting: dict[str, list[Request]] = field(default_factory=dict)
    through: set[str] = field(default_factory=set)
    """Keys that came in this run: the look into the store may have been before that."""
    unanswered: int = 0
    first_fault: str = ""

    def add(self, key: str, request: Request) -> None:
        self.waiting.setdefault(key, []).append(request._replace(images=()))

    def came(self, key: str, reply: Reply) -> None:
        """Tell whoever waits for a reply that is stored."""
        self.through.add(key)
        if reply.outcome == GAVE_UP:
            self._note(reply.detail)
        for at, request in enumerate(self.waiting.pop(key, ())):
            self.watch(request, reply, at == 0)

    def again(self, key: str, request: Request) -> None:
        """Tell of a request whose reply has come already."""
        self.watch(request, replies.recall(self.store.path, [key]).get(key), False)

    def none_came(self, keys: Iterable[str]) -> None:
        """Tell whoever waits for these keys that nothing was got."""
        for key in keys:
            for request in self.waiting.pop(key, ()):
                self.left_out(request)

    def left_out(self, request: Request) -> None:
        self._note("")
        self.watch(request, None, False)

    def give_up(self, key: str, request: Request, detail: str) -> None:
        """Store that a request cannot be sent at all."""
        at = now()
        reply = Reply("", "", GAVE_UP, detail)
        self.store.put([Record(key, self.entry.name, self.entry.model, reply, {}, 0, "", at)])
        self.add(key, request)
        self.came(key, reply)

    def report(self) -> None:
        if self.unanswered:
            text = "%s: %d requests were not answered and are asked again by the next run; the first fault: %s"
            log.warning(text, self.entry.name, self.unanswered, self.first_fault or "their batch ended before them")

    def _note(self, fault: str) -> None:
        self.unanswered += 1
        self.first_fault = self.first_fault or fault
