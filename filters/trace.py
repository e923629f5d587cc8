"""Checks on a teacher's reply to one face: a trace is kept only where every check of the recipe returns None.

A row brings `reply` (the text), `finish` (why the teacher stopped: "stop", "length", …), `choices` and `label`,
the last two in the source's own words. What the reply answers, only `filters.answer` says; what its prose says, the
modules beside this one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from itertools import islice
from typing import Any

from ferbuild.filters import conclusion, language, names, prose, repetition
from ferbuild.filters.answer import Reading, Status, read
from ferbuild.filters.wording import topics

_UNANSWERED: Mapping[Status, str | None] = {
    "ok": None,
    "empty": "no answer",
    "truncated": "truncated",
    "refused": "refused",
    "malformed": "malformed tags",
    "several": "several answers",
    "not a candidate": "not a candidate",
}

_ANSWER_TAG = re.compile(r"</?answer\s*>", re.IGNORECASE)
_WORD = re.compile(r"\w+")


def answered(row: Mapping[str, Any]) -> str | None:
    """Drop a reply that does not give exactly one answer among the choices, or that was cut off.

    All of the next seven checks at once.
    """
    return _unanswered(row)


def empty(row: Mapping[str, Any]) -> str | None:
    """Drop a reply without text."""
    return _only("empty", row)


def truncated(row: Mapping[str, Any]) -> str | None:
    """Drop a reply that was cut off: by the server's word, or because a tag is open where it ends."""
    return _only("truncated", row)


def refused(row: Mapping[str, Any]) -> str | None:
    """Drop a reply that declines to answer."""
    return _only("refused", row)


def no_answer(row: Mapping[str, Any]) -> str | None:
    """Drop a reply without an answer tag, or with nothing between the tags."""
    return _only("no answer", row)


def malformed_tags(row: Mapping[str, Any]) -> str | None:
    """Drop a reply whose tags are nested, stray or in the wrong order."""
    return _only("malformed tags", row)


def several_answers(row: Mapping[str, Any]) -> str | None:
    """Drop a reply with more than one answer, in one block or in several."""
    return _only("several answers", row)


def not_a_candidate(row: Mapping[str, Any]) -> str | None:
    """Drop a reply whose answer is none of the choices."""
    return _only("not a candidate", row)


def agrees(row: Mapping[str, Any]) -> str | None:
    """Drop a reply whose answer is not the row's label; without a clear answer it does not agree."""
    label, status = _read(row)
    return None if status == "ok" and label == row["label"] else "disagrees with the label"


def reasons(row: Mapping[str, Any], *, words: int = 10, anywhere: bool = False) -> str | None:
    """Drop a reply without a complete `<think>` block, or with fewer than `words` words in it.

    anywhere: prose outside such a block counts too, as after an answer that comes first.
    """
    text = prose.prose(row["reply"]) if anywhere else prose.thinking(row["reply"])
    found = sum(1 for _ in islice(_WORD.finditer(text), max(words, 1)))
    if not found:
        return "no reasoning"
    return "too short" if found < words else None


def too_long(row: Mapping[str, Any], *, words: int = 400) -> str | None:
    """Drop a reply with more than `words` words outside its answer."""
    return "too long" if len(prose.words(row["reply"])) > words else None


def repetitive(row: Mapping[str, Any], *, size: int = 10, share: float = 0.2) -> str | None:
    """Drop a reply that loops, or of which more than `share` (of characters, 0..1) repeats `size` words from before.

    Rae et al. 2021 (Gopher), table A1, allow .10 for 10 words in web pages; of a text of 100 words one sentence that
    sums up by saying it again is more than that.
    """
    said = prose.words(row["reply"])
    again = repetition.distances(said, min(size, repetition.SHORT))
    if again and (repetition.loops(said, again) or repetition.repeated_share(said, size) > share):
        return "repetition"
    return None


def other_language(row: Mapping[str, Any], *, script: float = 0.1, share: float = 0.3) -> str | None:
    """Drop a reply that is not in English.

    script: of the letters, share that may be no Latin ones. share: of the words, share that may stand in sentences
    of another language. Both 0..1.
    """
    reply = row["reply"]
    if language.plainly_english(prose.prose(reply), prose.words(reply)):
        return None
    text = prose.prose(reply)
    return "other language" if language.other_script(text) > script or language.foreign(text) > share else None


def concludes_otherwise(row: Mapping[str, Any]) -> str | None:
    """Drop a reply that reasons its way to one label and answers another; a reply without a clear answer passes."""
    label, status = _read(row)
    if status != "ok" or label is None:
        return None
    otherwise = conclusion.concludes_otherwise(prose.prose(row["reply"]), label, tuple(row["choices"]))
    return "concludes otherwise" if otherwise else None


def leaks(row: Mapping[str, Any], *, widely: bool = False) -> str | None:
    """Drop a reply that shows that its writer knew the label.

    widely: also where it may be innocent, for a teacher that was told the label.
    """
    found = topics(row["reply"])
    return "label leak" if "label leak" in found or (widely and "label leak, widely" in found) else None


def names_person(row: Mapping[str, Any]) -> str | None:
    """Drop a reply that calls a person by name."""
    return "names a person" if names.names_person(prose.prose(row["reply"])) else None


def personal(
    row: Mapping[str, Any],
    *,
    age: bool = True,
    ethnicity: bool = True,
    gender: bool = True,
    health: bool = True,
    pronouns: bool = False,
) -> str | None:
    """Drop a reply that speaks of what an expression has nothing to do with; the first that is found is the reason.

    pronouns: "he" and "her brows" count as gender too. Off, since English hardly gets by without them.
    """
    found = topics(row["reply"])
    wanted = {"speaks of age": age, "speaks of ethnicity": ethnicity}
    wanted |= {"speaks of gender": gender, "speaks of health": health}
    for reason, asked in wanted.items():
        if asked and reason in found:
            return reason
    return "speaks of gender" if gender and pronouns and "names gender by a pronoun" in found else None


def prompt_talk(row: Mapping[str, Any]) -> str | None:
    """Drop a reply that talks about the question, its list, its tags or who asks."""
    tags = _ANSWER_TAG.search(prose.thinking(row["reply"]))
    return "talks about the prompt" if tags or "talks about the prompt" in topics(row["reply"]) else None


def _only(reason: str, row: Mapping[str, Any]) -> str | None:
    return reason if _unanswered(row) == reason else None


def _unanswered(row: Mapping[str, Any]) -> str | None:
    """Return why a reply gives no answer; None where it does."""
    reply = row["reply"]
    if not reply or reply.isspace():
        return "empty"
    status = _read(row).status
    if row["finish"] == "length":
        return "truncated"
    if status == "malformed" and not _ANSWER_TAG.search(reply):
        return "no answer"
    return _UNANSWERED[status]


def _read(row: Mapping[str, Any]) -> Reading:
    return _reading(row["reply"], tuple(row["choices"]))


@lru_cache(maxsize=4)  # every check of a row asks for the same reply
def _reading(reply: str, choices: tuple[str, ...]) -> Reading:
    return read(reply, choices)
