"""One request on its way through the servers, and the tally of all: what came to nothing, and when to stop for it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from ferbuild.builders.chat import Said
from ferbuild.builders.endpoints import Endpoint
from ferbuild.builders.replies import Reply, Request
from ferbuild.filters import answer

HOPELESS = 100
"""Requests in a row that came to nothing, after which the run stops."""
LOOKED_BACK = 200
"""Requests, of which more than half came to nothing: the run stops too."""
FORM_SEEN = 20
"""First replies. Once half or more of at least so many lack usable form it is the model's way: none is asked anew."""


@dataclass(slots=True)
class Errand:
    """A request on its way through the servers."""

    key: str
    request: Request
    body: bytes
    faults: int = 0
    refusals: int = 0
    again: int = 0
    last: tuple[Said, str, int] | None = None
    """A reply of no use, where it came from and in how many ms: it stands unless a better one comes."""
    avoid: Endpoint | None = None
    served: int = 0
    """Replies that `avoid` had given when it failed."""


@dataclass(slots=True)
class Tally:
    """What became of the requests of a run."""

    given_up: int = 0
    first_fault: str = ""
    in_a_row: int = 0
    nothing: deque[bool] = field(default_factory=lambda: deque(maxlen=LOOKED_BACK))
    """Of the last requests, whether they came to nothing."""
    misshapen: deque[bool] = field(default_factory=lambda: deque(maxlen=LOOKED_BACK))
    """Of the last first replies, whether they lacked usable form."""

    @property
    def seldom_misshapen(self) -> bool:
        seen = len(self.misshapen)
        return seen < FORM_SEEN or 2 * sum(self.misshapen) < seen

    def came(self) -> None:
        self.in_a_row = 0
        self.nothing.append(False)

    def lost(self, detail: str) -> str:
        """Note a request that came to nothing; return why the run is to stop, or ""."""
        self.given_up += 1
        self.in_a_row += 1
        self.nothing.append(True)
        self.first_fault = self.first_fault or detail
        lost, seen = sum(self.nothing), len(self.nothing)
        if self.in_a_row >= HOPELESS:
            return f"{HOPELESS} requests in a row came to nothing"
        return f"{lost} of the last {seen} requests came to nothing" if seen == LOOKED_BACK < 2 * lost else ""


def lacking(request: Request, reply: Reply) -> str:
    """Return what makes a reply's form useless, whatever it answers; "" where nothing does."""
    if reply.outcome != "ok" or not request.choices:
        return "" if reply.outcome == "ok" else reply.outcome
    status = answer.read(reply.text, request.choices).status
    return status if status in ("empty", "truncated", "malformed") else ""
