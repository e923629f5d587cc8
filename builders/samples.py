"""What several replies to one face come to: the votes, and the one rationale that stands for them.

Stands between a teacher and the traces. With one sample it says what the checks say of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ferbuild.builders.replies import GAVE_UP, Reply
from ferbuild.filters import answer
from ferbuild.filters.bind import Named, failing, first_failing
from ferbuild.manifests.recipe import Consistency

DISAGREES = "agreement too low"
"""Drop reason where fewer samples than the recipe asks for answer with the label."""


class Votes(NamedTuple):
    """What the samples of a face answer."""

    samples: int
    """Replies that came; one without a clear answer counts here and votes for nothing."""
    counts: Mapping[str, int]
    """Choice to the samples that answer with it."""

    @property
    def majority(self) -> str | None:
        """The answer most samples give: of equals the one that was given first; None where none is clear."""
        return max(self.counts, key=lambda label: self.counts[label], default=None)

    def share(self, label: str | None) -> float:
        """Return the share of the samples that answer with `label`, 0..1."""
        return self.counts.get(label or "", 0) / self.samples if self.samples else 0.0


class Chosen(NamedTuple):
    """What becomes of a face."""

    reply: Reply | None
    """The one that stands for it; None where it is dropped."""
    fault: tuple[str, str] | None
    """Drop reason and detail."""
    votes: Votes
    owed: bool
    """Another run may get a sample that is lacking."""


class Judge(NamedTuple):
    """The recipe's word on replies."""

    checks: Sequence[Named]
    consistency: Consistency

    def choose(self, row: Mapping[str, Any], replies: Sequence[Reply | None], choices: Sequence[str]) -> Chosen:
        """Return what the samples of one face come to; `row` has its label. None stands for one never asked for.

        Of those that answer with the label the one that passes most checks stands for the face; of equals the
        shortest, then the earliest. Where none answers with it the first fault of the best one is the drop reason.
        """
        came = [reply for reply in replies if reply is not None and is_reply(reply)]
        owed = len(came) < len(replies)
        votes = count(came, choices)
        if not came:
            return Chosen(None, why_absent(next(filter(None, replies), None)), votes, owed)
        best, faults = min((self._judged(row, reply, choices) for reply in came), key=lambda one: _rank(row, *one))
        if faults:
            return Chosen(None, (faults[0], best.text), votes, owed)
        if votes.share(row["label"]) < self.consistency.agreement:
            return Chosen(None, (DISAGREES, best.text), votes, owed)
        return Chosen(best, None, votes, owed)

    def keeps(self, row: Mapping[str, Any], reply: Reply, choices: Sequence[str]) -> bool:
        """Tell whether a reply alone would keep its face."""
        return first_failing(self.checks, _seen(row, reply, choices)) is None

    def _judged(self, row: Mapping[str, Any], reply: Reply, choices: Sequence[str]) -> tuple[Reply, list[str]]:
        return reply, [failure.reason for failure in failing(self.checks, _seen(row, reply, choices))]


def _seen(row: Mapping[str, Any], reply: Reply, choices: Sequence[str]) -> dict[str, Any]:
    """Return what a check is shown."""
    return {**row, "reply": reply.text, "finish": reply.finish, "choices": choices}


def _rank(row: Mapping[str, Any], reply: Reply, faults: Sequence[str]) -> tuple[bool, int, int]:
    return "disagrees with the label" in faults, len(faults), len(reply.text)


def is_reply(reply: Reply | None) -> bool:
    """Tell whether a reply came; one that was given up is asked for again."""
    return reply is not None and reply.outcome != GAVE_UP


def why_absent(reply: Reply | None) -> tuple[str, str]:
    """Return the drop reason and detail of a face without a reply: it was given up, or never asked for (None)."""
    return ("teacher gave up", "the next run asks again") if reply else ("not asked", "the next run goes on there")


def count(replies: Sequence[Reply | None], choices: Sequence[str]) -> Votes:
    """Return what the replies vote for, by the one answer parser: only a clear answer is a vote."""
    came = [reply for reply in replies if reply is not None]
    read = (answer.read(reply.text, choices) for reply in came)
    return Votes(len(came), Counter(one.label for one in read if one.status == "ok" and one.label))


def in_turn(
    row: Mapping[str, Any], replies: Sequence[Reply | None], choices: Sequence[str], judge: Judge
) -> list[Reply | None]:
    """Return the replies of a face that was asked again only until one kept it: up to that one, or all there are."""
    taken: list[Reply | None] = []
    for reply in replies:
        if reply is None and taken:
            break
        taken.append(reply)
        if reply is not None and is_reply(reply) and judge.keeps(row, reply, choices):
            break
    return taken


def is_suspect(votes: Votes, label: str, policy: Consistency) -> bool:
    """Tell whether enough samples agree on another label to call this one into question."""
    other = votes.majority
    enough = votes.samples >= policy.suspect_samples
    return enough and other not in (None, label) and votes.share(other) >= policy.suspect_share
