"""What a teacher wrote besides its answer, made ready for the checks on the text.

Between the stored reply and `trace`: tags and answers are taken out, so that every check reads the same words.
"""

from __future__ import annotations

import re
from functools import lru_cache

from ferbuild.filters.claims import NOT_PROSE

OPENS = re.compile(r"<think\s*>", re.IGNORECASE)
CLOSES = re.compile(r"</think\s*>", re.IGNORECASE)

SIGNS = (".", "!", "?", ";", ":", ",")
"""Tokens that part words which do not belong together."""

_SIGNS = frozenset(SIGNS)
_ENDS = re.compile(r"(?<=[.!?])[\"'”’)*_]*\s+|;|\n")
_BARE = str.maketrans(dict.fromkeys('*_`#"()[]{}<>|/\\-', " "))
_BARE_TOO = str.maketrans({**dict.fromkeys("“”‑–—…", " "), "’": "'", "‘": "'"})  # apart: ASCII alone is far faster


def thinking(reply: str) -> str:
    """Return what stands in the first think block; "" where there is none or it does not end."""
    opens = OPENS.search(reply)
    closes = CLOSES.search(reply, opens.end()) if opens else None
    return reply[opens.end() : closes.start()] if opens and closes else ""


@lru_cache(maxsize=4)  # every check of a row asks for the same reply
def prose(reply: str) -> str:
    """Return all that is neither a tag nor an answer, wherever the answer stands."""
    return NOT_PROSE.sub("\n", reply).strip()


@lru_cache(maxsize=4)
def tokens(reply: str) -> tuple[str, ...]:
    """Return the words of the prose in small letters, without quotes and `'s`, and SIGNS; a new line is a full stop."""
    text = prose(reply)
    if not text.isascii():
        text = text.translate(_BARE_TOO)
    text = text.translate(_BARE).casefold().replace("\n", " . ")
    for sign in SIGNS:
        text = text.replace(sign, f" {sign} ")
    if "'" not in text:
        return tuple(text.split())
    return tuple(word for word in (word.strip("'").removesuffix("'s") for word in text.split()) if word)


@lru_cache(maxsize=4)
def words(reply: str) -> tuple[str, ...]:
    """Return the tokens that are words."""
    return tuple([token for token in tokens(reply) if token not in _SIGNS])


def sentences(text: str) -> list[str]:
    """Return the sentences and lines of a prose that hold more than spaces."""
    return [piece.strip() for piece in _ENDS.split(text) if piece and not piece.isspace()]
