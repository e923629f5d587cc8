"""Checks that a program can tell right from wrong: every answer is read back from its text, by the one verifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ferbuild.builders.publishing.checks.folder import Folder, Found, Outcome, Shard, faces_of, merged, told
from ferbuild.filters.answer import read
from ferbuild.filters.verify import verify

ASKED = ("kind", "solution", "choices", "answer", "soft")
"""What a question's answer is verified by."""
THOUGHT = r"<think>[^<]*</think>"
"""Thinking without a tag in it: whatever it says, the parser takes no answer from it."""


def check_answers(folder: Folder) -> Outcome:
    """Every answer verifies: a question's solution, what is read from a rationale, a benchmark's label."""
    if folder.kind == "cot":
        return Outcome(merged(_rationales(folder)))
    ask = _solutions if folder.kind == "rlvr" else _labels
    return Outcome(merged([one for shard in folder.shards() for one in ask(shard)]))


def _solutions(shard: Shard) -> list[Found]:
    """Verify the solutions of a shard, those that are asked alike once."""
    return _verified(shard, shard.table.select([name for name in ASKED if name in shard.table.schema.names]))


def _labels(shard: Shard) -> list[Found]:
    """Verify the labels of a benchmark as if a model had answered with them."""
    table = shard.table
    solution = pc.binary_join_element_wise("<answer>", table["answer"], "</answer>", "")
    kind = pa.array(["choose"] * table.num_rows, pa.string())
    columns = {"kind": kind, "solution": solution, "choices": table["choices"], "answer": table["answer"]}
    return _verified(shard, pa.table(columns))


def _verified(shard: Shard, asked: pa.Table) -> list[Found]:
    """Return what does not verify; rows that ask and answer alike are verified once."""
    keys = _keys(asked).dictionary_encode()
    first = pc.index_in(keys.dictionary, value_set=keys.dictionary_decode())
    scores = [_score(row) for row in asked.take(first).to_pylist()]
    wrong = pa.array([score != 1 for score in scores], pa.bool_()).take(keys.indices)
    unknown = pa.array([score is None for score in scores], pa.bool_()).take(keys.indices)
    return [
        *told(shard, pc.and_not(wrong, unknown), "has an answer that does not verify"),
        *told(shard, unknown, "is of a kind that nothing verifies"),
    ]


def _keys(asked: pa.Table) -> pa.Array:
    """Return one text a row, equal where the rows ask and answer alike."""
    parts = []
    for name in asked.schema.names:
        column = asked[name].combine_chunks()
        if pa.types.is_list(column.type):
            column = _joined(column)
        parts.append(pc.fill_null(column, _NOTHING))
    return pc.binary_join_element_wise(*parts, _BETWEEN)


def _joined(lists: pa.ListArray) -> pa.Array:
    """Return the values of every list as one text; null where the list is."""
    texts = pa.ListArray.from_arrays(*_offsets_and_texts(lists), mask=pc.is_null(lists))
    return pc.binary_join(texts, _WITHIN)


def _offsets_and_texts(lists: pa.ListArray) -> tuple[pa.Array, pa.Array]:
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.array(offsets), pc.fill_null(pc.list_flatten(lists).cast(pa.string()), _NOTHING)


def _score(row: Mapping[str, Any]) -> float | None:
    """Return what a row's own solution is worth; 0 where the answer is lacking, or is none of the choices."""
    choices = [one for one in row["choices"] or [] if one is not None]
    if row["kind"] is None or row["answer"] is None:
        return 0.0
    return verify(row["kind"], row["solution"] or "", choices, row["answer"], row.get("soft"))


def _rationales(folder: Folder) -> list[Found]:
    """Read every rationale again, those that the parser cannot tell apart once."""
    words = _words(folder)
    found = []
    for shard in folder.shards():
        faces = faces_of(shard.table)
        columns = [
            _first_of_rows(faces.row, faces["source"], shard.table.num_rows),
            pc.fill_null(shard.table["answer"].combine_chunks(), ""),
            pc.replace_substring_regex(_said(shard.table), THOUGHT, "<think> </think>"),
        ]
        keys = pc.binary_join_element_wise(*columns, _BETWEEN).dictionary_encode()
        asked = (key.split(_BETWEEN, 2) for key in keys.dictionary.to_pylist())
        wrong = [not _answers(text, answer, words.get(source, ())) for source, answer, text in asked]
        each = pa.array(wrong, pa.bool_()).take(keys.indices)
        found += told(shard, each, "has a rationale that does not answer what `answer` says")
    return found


def _answers(text: str, answer: str, words: Sequence[str]) -> bool:
    reading = read(text, words if answer in words else [*words, answer])
    return reading.status == "ok" and reading.label == answer


def _said(table: pa.Table) -> pa.Array:
    """Return the last message of every row's completion; empty where there is none."""
    column = table["completion"].combine_chunks()
    texts = pc.struct_field(pc.list_flatten(column), "content")
    backwards = pa.array(np.arange(len(texts))[::-1])
    return _first_of_rows(pc.list_parent_indices(column).take(backwards), texts.take(backwards), table.num_rows)


def _first_of_rows(row: pa.Array, values: pa.Array, rows: int) -> pa.Array:
    """Return for each of `rows` rows the first of `values` whose `row` it is; empty where none is."""
    at = pc.index_in(pa.array(np.arange(rows), row.type), value_set=row)
    return pc.fill_null(values.take(at), "")


def _words(folder: Folder) -> dict[str, tuple[str, ...]]:
    """Return the words that each source's rationales may answer with: its manifest's, or those of its rows' labels."""
    found: dict[str, set[str]] = {}
    for shard in folder.shards():
        table = shard.table.select(["label", "faces"])
        faces = faces_of(table)
        pairs = pa.table({"source": faces["source"], "label": table["label"].combine_chunks().take(faces.row)})
        for row in pairs.group_by(["source", "label"]).aggregate([]).to_pylist():
            found.setdefault(row["source"], set()).add(row["label"])
    known = folder.around.sources
    return {
        name: tuple(known[name].candidates) if name in known else tuple(sorted(filter(None, words)))
        for name, words in found.items()
    }


_NOTHING, _BETWEEN, _WITHIN = "\x1d", "\x1e", "\x1f"
"""Characters that stand in no text: for a null, and between the values and the columns that are joined to one key."""
