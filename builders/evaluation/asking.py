"""What a model is asked of the benchmark, and what its replies come to as answers.

Stands between the benchmark dataset and the score. Asking and answering are two steps, as everywhere: replies are
stored when they come, and answers are made of what is stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from ferbuild.builders.evaluation.answers import ANSWERS, cluster_of
from ferbuild.builders.evaluation.baselines import Program
from ferbuild.builders.evaluation.reading import said_by
from ferbuild.builders.evaluation.variants import PLAIN, VARIANTS, Asked
from ferbuild.builders.record import Batch, Row, drops_table
from ferbuild.builders.replies import Reply, Request
from ferbuild.builders.samples import is_reply, why_absent
from ferbuild.builders.shards import Slice
from ferbuild.builders.teacher import AskOptions, Teacher, open_teacher
from ferbuild.manifests.schema import TeacherEntry

NO_PICTURE = "the picture cannot be read"


class Asking(NamedTuple):
    """Everything that turning benchmark rows into answers needs; cheap to send to another process."""

    entry: TeacherEntry | None
    """None: `program` answers."""
    program: Program | None
    store: Path
    samples: int = 1
    variant: str = PLAIN
    seed: int = 0
    structured: bool = False

    def open(self) -> Teacher:
        """Return the model, to recall what it said."""
        assert self.entry is not None
        return open_teacher(self.entry, store=self.store, options=AskOptions(structured=self.structured))


def requests(table: pa.Table, asking: Asking) -> Iterator[Request]:
    """Yield what the model is asked of FERBENCH rows, all samples of a row one after another; nothing tells the label.

    A row without a picture is not asked about.
    """
    for row in table.select(["id", "images", "prompt", "choices"]).to_pylist():
        if not row["images"]:
            continue
        asked = _asked(row, asking)
        once = Request(
            row["id"], ({"role": "user", "content": asked.prompt},), (asked.image,), tuple(asked.choices), None
        )
        first = asking.samples if asking.variant == "again" else 0  # other sample indices are other requests
        yield from (once._replace(sample=first + number) for number in range(asking.samples))


def _asked(row: Row, asking: Asking) -> Asked:
    plain = Asked(row["choices"], row["prompt"][0]["content"], row["images"][0]["bytes"])
    return plain if asking.variant == PLAIN else VARIANTS[asking.variant](plain, row["id"], asking.seed)


def answer_batch(piece: Slice, *, asking: Asking) -> Batch:
    """Return the answers to some rows of one set; every row is kept, and one without a reply is an error."""
    table = piece.read()
    said = _programmed(table, asking.program) if asking.program else _recalled(table, asking)
    rows = [
        _answer(row, piece.split, replies)
        for row, replies in zip(table.drop_columns("images").to_pylist(), said, strict=True)
    ]
    owed = sum(reply is None or not is_reply(reply) for replies in said for reply in replies or ())
    return Batch({piece.split: pa.Table.from_pylist(rows, schema=ANSWERS)}, drops_table([]), unanswered=owed)


Replies = Sequence[Reply | None] | None
"""Of one row, a sample each; None: it has no picture, and nobody is asked."""


def _recalled(table: pa.Table, asking: Asking) -> list[Replies]:
    """Return what is stored of every row."""
    pictured = [bool(image) for image in table["images"].to_pylist()]
    replies = iter(asking.open().recall(list(requests(table, asking))))
    return [[next(replies) for _ in range(asking.samples)] if seen else None for seen in pictured]


def _programmed(table: pa.Table, program: Program) -> list[Replies]:
    """Return what a baseline says of every row."""
    pictured = [bool(image) for image in table["images"].to_pylist()]
    texts = iter(program.answer(table.filter(pa.array(pictured))))
    return [[Reply(next(texts), "stop", "ok")] if seen else None for seen in pictured]


def _answer(row: Row, set_name: str, replies: Replies) -> dict[str, Any]:
    came = [reply for reply in replies or () if reply is not None and is_reply(reply)]
    absent = next((reply for reply in replies or () if reply is None or not is_reply(reply)), None)
    counted = [reply.usage for reply in came if sum(reply.usage)]
    return {
        "set": set_name,
        "image_path": row["image_path"],
        "true_label": row["answer"],
        "canonical": row["canonical"],
        "choices": row["choices"],
        "cluster": cluster_of(set_name, row["image_path"]),
        "texts": [reply.text for reply in came],
        "finishes": [reply.finish for reply in came],
        "error": not came,
        "detail": "" if came else NO_PICTURE if replies is None else _why(absent),
        "bare": False,
        "tokens_read": sum(one.read for one in counted) if counted else None,
        "tokens_written": sum(one.written for one in counted) if counted else None,
        "id": row["id"],
        "prompt_version": row["prompt_version"],
        "synthetic": row["synthetic"],
    }


def _why(reply: Reply | None) -> str:
    reason, _ = why_absent(reply)
    return f"{reason}: {reply.detail}" if reply and reply.detail else reason


def judged(row: Row, reply: Reply) -> tuple[str, bool, bool]:
    """Return what the meter tells of a reply: the true label, and whether it is right."""
    label = row["answer"]
    right = said_by([reply.text], [reply.finish], row["choices"], label).right == 1
    return row["canonical"], right, right
