"""What a student says to questions, and what that comes to: asking and rating are two steps, as everywhere.

Stands between the questions and the choice among them. Every reply is read by the one verifier of its question's kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ferbuild.builders.columns import conform
from ferbuild.builders.errors import FerError
from ferbuild.builders.passing import held
from ferbuild.builders.record import Batch, Row, drop, drops_table
from ferbuild.builders.replies import Reply, Request
from ferbuild.builders.samples import Votes, count, is_reply, why_absent
from ferbuild.builders.shards import Slice
from ferbuild.builders.teacher import Teacher, open_teacher
from ferbuild.filters.verify import verify
from ferbuild.manifests.schema import TeacherEntry

JUDGED = ("kind", "choices", "answer", "soft", "canonical")
"""Columns of a question that a reply is judged by."""

RATED = pa.schema(
    [
        ("pass_rate", pa.float32()),  # share of the student's replies that were right, 0..1
        ("difficulty", pa.float32()),  # 1 - pass_rate
        ("curriculum", pa.int32()),  # tenth of what is kept, 0: the easiest; null in `suspects`
        ("student", pa.string()),  # who was asked: an entry of teachers.yaml, or what its server calls it
        ("samples", pa.int32()),  # replies to the question
        ("majority", pa.string()),  # the choice that most replies take; null where none is clear
        ("majority_share", pa.float32()),  # of the replies, 0..1
    ]
)


class Asking(NamedTuple):
    """Everything that rating questions needs; cheap to send to another process."""

    entry: TeacherEntry
    store: Path
    samples: int

    def open(self) -> Teacher:
        """Return the student, to recall what it said."""
        return open_teacher(self.entry, store=self.store)


def schema_of(made: pa.Schema) -> pa.Schema:
    """Return the columns of rated questions: those of the questions, and what was found of the student."""
    return pa.schema([*made, *(field for field in RATED if field.name not in made.names)])


def requests(table: pa.Table, asking: Asking) -> Iterator[Request]:
    """Yield what the student is asked of questions, all samples of one after another; nothing tells the answer."""
    for row in table.select(["id", "images", "prompt", "choices"]).to_pylist():
        images = tuple(image["bytes"] for image in row["images"])
        once = Request(row["id"], tuple(row["prompt"]), images, tuple(row["choices"] or ()), None)
        yield from (once._replace(sample=number) for number in range(asking.samples))


def judged(row: Row, reply: Reply) -> tuple[str, bool, bool]:
    """Return what the meter tells of a reply: the label of the face, and whether it is right."""
    right = scored(row, reply) == 1
    return row["canonical"] or row["kind"], right, right


def scored(row: Row, reply: Reply) -> float:
    """Return what a reply earns, 0..1; FerError for a question that nothing can verify."""
    score = verify(row["kind"], reply.text, row["choices"] or (), row["answer"], row["soft"])
    if score is None:
        raise FerError(
            f"question {row['id']}", f"is of the kind {row['kind']!r}, which nothing verifies", "leave it out"
        )
    return score


class Rating(NamedTuple):
    """What the replies to one question come to."""

    right: float
    """Sum of the scores, 0..samples."""
    votes: Votes

    def columns(self) -> dict[str, Any]:
        """Return what of RATED a question's own replies decide."""
        rate, majority = self.right / self.votes.samples, self.votes.majority
        share = self.votes.share(majority)
        return {"pass_rate": rate, "difficulty": 1 - rate, "majority": majority, "majority_share": share}


def rated_batch(piece: Slice, *, asking: Asking) -> Batch:
    """Return some questions with their pass rates; one that lacks a reply is dropped until another run gets it."""
    table, each = piece.read(), asking.samples
    replies = asking.open().recall(list(requests(table, asking)))
    rows = table.select(["id", "label", "faces", *JUDGED]).to_pylist()
    said = [replies[at * each : (at + 1) * each] for at in range(len(rows))]
    whole = [all(map(is_reply, some)) for some in said]
    drops = [_owed(row, some) for row, some, done in zip(rows, said, whole, strict=True) if not done]
    ratings = [_rating(row, some) for row, some, done in zip(rows, said, whole, strict=True) if done]
    rated = _rated(table, piece, whole, ratings, asking)
    return Batch({piece.split: rated}, drops_table(drops), unanswered=len(drops))


def _owed(row: Row, replies: Sequence[Reply | None]) -> dict[str, str]:
    lacking = next(reply for reply in replies if not is_reply(reply))
    return drop({**row["faces"][0], "id": row["id"], "label": row["label"]}, *why_absent(lacking))


def _rating(row: Row, replies: Sequence[Reply | None]) -> Rating:
    came = [reply for reply in replies if reply is not None]
    choices = row["choices"] or ()
    votes = count(came, choices) if row["answer"] in choices else Votes(len(came), {})
    return Rating(sum(scored(row, reply) for reply in came), votes)


def _rated(table: pa.Table, piece: Slice, whole: Sequence[bool], ratings: Sequence[Rating], asking: Asking) -> pa.Table:
    """Return the `whole` ones of some questions in the `held` columns, with their ratings."""
    schema = held(schema_of(table.schema.remove_metadata()))
    same = {"student": asking.entry.model or asking.entry.name, "samples": asking.samples, "curriculum": None}
    found: list[Mapping[str, Any]] = [{**same, **one.columns()} for one in ratings]
    rated, mask = pa.Table.from_pylist(found, schema=RATED), pa.array(whole, pa.bool_())
    rows = {name: table[name].filter(mask) for name in schema.names if name in table.column_names}
    place = {name: values.filter(mask) for name, values in _places(table, piece).items()}
    return conform({**rows, **place, **{name: rated[name] for name in RATED.names}}, schema)


def _places(table: pa.Table, piece: Slice) -> dict[str, pa.Array]:
    """Return the columns of PLACE for all rows of a slice."""
    images = table["images"]
    sizes = np.asarray(pc.binary_length(pc.struct_field(pc.list_flatten(images), 0)).to_numpy(), np.int64)
    ends = np.cumsum(np.asarray(pc.list_value_length(images).to_numpy(), np.int64))
    until = np.concatenate([[0], np.cumsum(sizes)])[np.concatenate([[0], ends])]
    words = table.drop_columns("images").nbytes // max(table.num_rows, 1)
    return {
        "shard": pa.array([f"{piece.split}/{piece.path.name}"] * table.num_rows, pa.string()),
        "at": pa.array(piece.start + np.arange(table.num_rows), pa.int64()),
        "bytes": pa.array(np.diff(until) + words, pa.int64()),
    }
