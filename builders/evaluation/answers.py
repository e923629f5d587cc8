"""What is scored: a row a benchmark picture, with everything that a model said of it, wherever that came from.

Stands between whoever answered (a served model, a baseline, a file of results) and the score.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import pyarrow as pa

ANSWERS = pa.schema(
    [
        ("set", pa.string()),  # rafdb, ferplus, affectnet, sfew
        ("image_path", pa.string()),  # the published pattern; one row each in a set
        ("true_label", pa.string()),  # the set's own word
        ("canonical", pa.string()),  # the label word shared by all sets
        ("choices", pa.list_(pa.string())),  # the labels asked for, in order, in the set's own words
        ("cluster", pa.string()),  # rows that are resampled together: a clip, a group of near duplicates
        ("texts", pa.list_(pa.string())),  # what was said, one a sample; empty where no reply came
        ("finishes", pa.list_(pa.string())),  # why each reply ended, as the server says: stop, length; "": not known
        ("error", pa.bool_()),  # no reply came, or the file says that what came is an error
        ("detail", pa.string()),  # of an error
        ("bare", pa.bool_()),  # no tags were asked for: the whole text is the answer
        ("tokens_read", pa.int64()),  # of all samples, as the server counts them; null: not known
        ("tokens_written", pa.int64()),
        ("id", pa.string()),  # of the face; null where the row comes from a file of somebody else's
        ("prompt_version", pa.string()),  # hash of the question template, or of the published prompt files
        ("synthetic", pa.bool_()),  # the picture is rendered or warped; null where the row comes from a file
    ]
)

PROBLEMS = ("missing", "doubled", "another benchmark", "unknown set", "not readable", "error", "empty")
"""What may be wrong with files of results: rows that should be there, rows that are there twice (the first stands),
rows of other pictures or labels, rows of a set that is none, what cannot be read, rows that say that they are errors,
replies without text."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong with the replies; it is told, counted and never left out in silence."""

    kind: str
    """One of PROBLEMS."""
    where: str
    """The file or the set."""
    count: int
    """Rows."""
    detail: str
    """The first of them, or why."""


class Loaded(NamedTuple):
    """Replies of one model to some of the benchmark."""

    name: str
    """What the model is called."""
    table: pa.Table
    """ANSWERS, by set and then in the order of the file."""
    problems: Sequence[Problem]


_FRAME = re.compile(r"_\d{8}\.\w+\Z")


def cluster_of(set_name: str, image_path: str, group: str | None = None) -> str:
    """Return what a row is resampled with: its clip in SFEW (the file name less the frame), else `group`, else itself.

    Frames of a clip show one scene, under whatever label: the 431 rows of SFEW are 198 clips, and an interval that
    takes them for 431 independent rows is too narrow.
    """
    if set_name == "sfew":
        return _FRAME.sub("", image_path.rpartition("/")[2])
    return group or image_path
