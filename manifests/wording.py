"""What a rationale must not say, as data: the schema of `wording.yaml`.

On the way of a face this stands before the checks on a teacher's text, which make the lists ready for finding once a
process.
"""

from __future__ import annotations

from functools import cache

from pydantic import Field

from ferbuild.manifests.load import SHIPPED, check, read_yaml
from ferbuild.manifests.schema import Strict


class Topic(Strict):
    """Phrases that speak of one thing, in the notation of `lexicon.spell_out`."""

    says: list[str] = Field(min_length=1)
    but: list[str] = Field(default_factory=list)
    """Longer or overlapping phrases that hold one of `says` and mean something else."""


class Names(Strict):
    """How persons are told from other capitalised words; lists in one string, parted by spaces."""

    given: str
    """First names that are no other word."""
    titles: str
    """Words before a surname."""
    none: str
    """Parted by commas: what holds a first name and names nobody."""
    words: str
    """Capitalised words that are no name."""


class Wording(Strict):
    """What `wording.yaml` holds."""

    groups: dict[str, list[str]]
    topics: dict[str, Topic]
    names: Names


@cache
def load_wording() -> Wording:
    """Return the shipped lists; FerError where the file is not of this shape."""
    return check(read_yaml(SHIPPED / "wording.yaml"), Wording, "wording.yaml")
