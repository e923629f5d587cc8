"""Replies become traces: what agrees with the label and passes every check is kept, the rest is dropped with its text.

On the way of a face this is the work of the cot stage on one slice; nobody is asked here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from ferbuild.builders import grounding, training_rows
from ferbuild.builders.asking import Asking, hinted, requests, told_evidence
from ferbuild.builders.columns import conform, one_each, provenance, spread
from ferbuild.builders.questions import Question, question_among
from ferbuild.builders.record import COT, MESSAGES, Batch, drop, drops_table
from ferbuild.builders.replies import Reply
from ferbuild.builders.samples import Chosen, Judge, in_turn, is_reply, is_suspect
from ferbuild.builders.shards import Slice
from ferbuild.builders.shown import as_shown
from ferbuild.builders.styles import SUFFIX, restyled
from ferbuild.filters import answer, bind, trace

HINTED = "hinted"
"""The split of rationales whose teacher was told the label."""

Rows = Sequence[Mapping[str, Any]]


class Told(NamedTuple):
    """A face with the reply that stands for it."""

    at: int
    """Row of the slice."""
    chosen: Chosen
    text: str


def trace_batch(piece: Slice, *, asking: Asking) -> Batch:
    """Turn the replies to a slice of faces into traces, and whatever fails a check into drops."""
    table = training_rows.read(piece, asking.benchmarks)
    rows = table.drop_columns("image").to_pylist()
    chosen = choices_of(table, piece.split, asking)
    told = [Told(at, one, one.reply.text) for at, one in enumerate(chosen) if one.reply]
    helped = _hinted(table, rows, chosen, asking)
    gone = {at for at, one in enumerate(chosen) if one.fault} - {one.at for one in helped}
    drops = [drop(rows[at], *fault) for at in sorted(gone) if (fault := chosen[at].fault)]
    true, untrue = _traces(table, piece.split, told, asking, hint=False)
    late, false = _traces(table, piece.split, helped, asking, hint=True)
    kept = {piece.split: true} | ({HINTED: late} if late.num_rows else {})
    owed = sum(one.owed for one in chosen)
    return Batch(kept, drops_table([*drops, *untrue, *false]), unanswered=owed)


def choices_of(table: pa.Table, split: str, asking: Asking) -> list[Chosen]:
    """Return, for every face of a table, what the stored replies to it come to."""
    judge = asking.judge
    replies = asking.open().recall(list(requests(table, split, asking)))
    found = []
    rows = table.select(["source", "label", "votes"]).to_pylist()
    for at, row in enumerate(rows):
        samples = replies[at * asking.samples : (at + 1) * asking.samples]
        choices = asking.questions[row["source"]].choices
        given = in_turn(row, samples, choices, judge) if asking.in_turn else samples
        found.append(judge.choose(row, given, choices))
    return found


def may_hint(row: Mapping[str, Any], chosen: Chosen, asking: Asking) -> bool:
    """Tell whether a face may be asked about again with its label: only a wrong answer, and a label nobody doubts."""
    wrong = chosen.fault is not None and chosen.fault[0] == "disagrees with the label"
    return wrong and not is_suspect(chosen.votes, row["label"], asking.consistency) and has_majority(row["votes"])


def has_majority(votes: Sequence[int] | None) -> bool:
    """Tell whether over half of the annotators gave one label; true where there are no votes to doubt it by."""
    return not votes or 2 * max(votes[:8]) > sum(votes)


def _hinted(table: pa.Table, rows: Rows, chosen: Sequence[Chosen], asking: Asking) -> list[Told]:
    """Return the faces that are kept for what the teacher wrote once it was told the label."""
    if not asking.hints:
        return []
    asked = [at for at, one in enumerate(chosen) if may_hint(rows[at], one, asking)]
    replies = asking.open().recall(list(hinted(table.take(pa.array(asked, pa.int64())), asking)))
    judge = strict(asking.judge)
    pairs = [(at, reply) for at, reply in zip(asked, replies, strict=True) if is_reply(reply)]
    kept = [(at, reply) for at, reply in pairs if reply and _passes(rows[at], reply, judge, asking)]
    return [Told(at, chosen[at], reply.text) for at, reply in kept]


def strict(judge: Judge) -> Judge:
    """Return a judge that also sees to it that no text tells of the hint, whatever the recipe checks."""
    more = bind.bind(trace, ["answered", {"leaks": {"widely": True}}, "agrees"])
    return judge._replace(checks=[*judge.checks, *more])


def _passes(row: Mapping[str, Any], reply: Reply, judge: Judge, asking: Asking) -> bool:
    return judge.keeps(row, reply, asking.questions[row["source"]].choices)


def _traces(
    table: pa.Table, split: str, told: Sequence[Told], asking: Asking, *, hint: bool
) -> tuple[pa.Table, list[dict[str, str]]]:
    """Return the COT rows of the faces that are kept, and as drops those with too many contradicted claims."""
    faces = table.take(pa.array([one.at for one in told], pa.int64()))
    texts = [one.text for one in told]
    found = grounding.ground_all(faces["id"].to_pylist(), split, texts, asking.grounds)
    columns = _columns(faces, split, told, asking, hint=hint)
    rows = conform(columns | grounding.columns(found, len(told), asking.grounds), COT)
    true, untrue = grounding.part(rows, asking.claims)
    return _in_style(true, split, asking), untrue


def _columns(faces: pa.Table, split: str, told: Sequence[Told], asking: Asking, *, hint: bool) -> dict[str, Any]:
    """Return the columns of COT but those of grounding; the completion as the teacher wrote it."""
    rows, (which, asked), entry = faces.num_rows, _questions(faces, asking), asking.entry
    same: dict[str, Any] = {
        "style": asking.style,
        "teacher": entry.name,
        "model": entry.model,
        "baseline": entry.baseline,
        "sampling": json.dumps(entry.sampling, sort_keys=True),
        "hinted": hint,
        "keep_weight": None,
        "verdicts": [check.name for check in bind.bind(trace, asking.checks)],
    }
    columns = {name: faces[name] for name in COT.names if name in faces.schema.names}
    columns |= {name: pa.array([value] * rows, COT.field(name).type) for name, value in same.items()}
    votes = [one.chosen.votes for one in told]
    labels = faces["label"].to_pylist()
    return columns | {
        "images": one_each(as_shown(faces["image"], asking.picture)),
        "prompt": spread([q.messages for q in asked], MESSAGES, which),
        "completion": _said([one.text for one in told]),
        "answer": faces["label"] if hint else pa.array(_answers(told, which, asked), pa.string()),
        "evidence": pa.array(told_evidence(faces, split, asking), pa.bool_()),
        "samples": pa.array([one.samples for one in votes], pa.int32()),
        "majority": pa.array([one.majority for one in votes], pa.string()),
        "agreement": pa.array([one.share(label) for one, label in zip(votes, labels, strict=True)], pa.float32()),
        "faces": provenance(faces),
        "prompt_version": spread([q.version for q in asked], pa.string(), which),
    }


def _questions(faces: pa.Table, asking: Asking) -> tuple[pa.Array, list[Question]]:
    """Return which question every face has, and the questions, as a model is asked in training."""
    known = list(asking.questions)
    which = pa.array([known.index(source) for source in faces["source"].to_pylist()], pa.int64())
    template = f"{asking.template}{SUFFIX[asking.style]}"
    return which, [question_among(one.choices, template) for one in asking.questions.values()]


def _answers(told: Sequence[Told], which: pa.Array, asked: Sequence[Question]) -> list[str | None]:
    pairs = zip(told, which.to_pylist(), strict=True)
    return [answer.read(one.text, asked[at].choices).label for one, at in pairs]


def _said(texts: Sequence[str]) -> pa.Array:
    return pa.array([[{"role": "assistant", "content": text}] for text in texts], MESSAGES)


def _in_style(traces: pa.Table, split: str, asking: Asking) -> pa.Table:
    """Return traces rewritten to the style of this arm, with the claims where they now stand."""
    if asking.style == "think":
        return traces
    said = [messages[0]["content"] for messages in traces["completion"].to_pylist()]
    pairs = zip(said, traces["answer"].to_pylist(), strict=True)
    texts = [restyled(text, label, asking.style) for text, label in pairs]
    grounds = asking.grounds if asking.style == "answer-first" else None
    found = grounding.ground_all(traces["id"].to_pylist(), split, texts, grounds)
    columns = {name: traces[name] for name in COT.names} | {"completion": _said(texts)}
    return conform(columns | grounding.columns(found, traces.num_rows, grounds), COT)
