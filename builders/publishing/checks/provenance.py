"""Checks on where rows come from: every one is traced to a picture and a rule, and no text tells of a machine."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ferbuild.builders.publishing.checks.folder import Faces, Folder, Found, Outcome, Shard, faces_of, merged, told
from ferbuild.builders.publishing.checks.places import OUTWARD, PATTERN
from ferbuild.builders.record import face_id

NAMED: Mapping[str, tuple[str, ...]] = {
    "cot": ("label_rule", "prompt_version", "licence", "teacher", "sampling", "style", "answer", "label"),
    "rlvr": ("label_rule", "prompt_version", "licence", "kind", "answer", "solution"),
    "ferbench": ("label_rule", "prompt_version", "licence", "answer"),
}
"""Columns that every row must fill."""
ID_DIGITS = 16
"""Hex digits of a face's id, with which the id of every row that shows it begins."""
SAMPLE = 1_000
"""Values of a column by which it is told whether many rows share a text."""
PUBLISHED = frozenset({"image_path"})
"""Columns whose texts are a benchmark's published picture paths, which begin with a slash."""


def check_provenance(folder: Folder) -> Outcome:
    """Every row names its source file and hash, label rule, prompt version, and what wrote it (promise 6)."""
    found = [
        one for shard in folder.shards() for one in (*_unnamed(shard, folder.kind), *_untraced(shard, folder.kind))
    ]
    return Outcome(merged(found))


def check_words(folder: Folder) -> Outcome:
    """No text of a row names a folder of a machine, and no picture's path leads out of its release."""
    found = []
    for shard in folder.shards():
        for name, rows, texts in _texts(shard.table):
            hit = _matches(texts, OUTWARD if name.endswith("rel_path") else PATTERN)
            found += _told_at(shard, rows, hit, f"{name} names a folder of a machine")
        found += _picture_names(shard)
    return Outcome(merged(found))


def _unnamed(shard: Shard, kind: str) -> Iterator[Found]:
    """Yield the columns that some rows leave empty, or fill with what says nothing."""
    table = shard.table
    for name in NAMED[kind]:
        yield from told(shard, pc.or_kleene(pc.is_null(table[name]), pc.equal(table[name], "")), f"has no {name}")
    if kind == "cot":
        nobody = pc.and_(pc.invert(table["baseline"]), pc.equal(pc.fill_null(table["model"], ""), ""))
        yield from told(shard, nobody, "has no model, and is not the baseline's")
        yield from told(shard, pc.is_null(table["verdicts"]), "has no verdicts")
        bad = [text for text in pc.unique(table["sampling"]).to_pylist() if not _is_object(text)]
        yield from told(shard, pc.is_in(table["sampling"], pa.array(bad, pa.string())), "has no sampling in JSON")


def _untraced(shard: Shard, kind: str) -> Iterator[Found]:
    """Yield what is wrong with the provenance of some rows' pictures."""
    faces, table = faces_of(shard.table), shard.table
    rows = table.num_rows
    numbers = pa.array(np.arange(rows), faces.row.type)
    yield from told(shard, pc.invert(pc.is_in(numbers, faces.row)), "names no picture")
    unread = pc.and_(pc.is_null(faces["sha256"]), pc.is_null(faces["pixel_hash"])) if kind == "ferbench" else None
    for name, digits in (("sha256", 64), ("pixel_hash", 32)):
        wrong = _no_hash(faces[name], digits)
        wrong = wrong if unread is None else pc.and_not(wrong, unread)  # a benchmark keeps what cannot be read
        yield from told(shard, faces.rows_where(wrong, rows), f"names no {name} of its picture")
    for name in ("source", "rel_path"):
        yield from told(shard, faces.rows_where(pc.equal(pc.fill_null(faces[name], ""), ""), rows), f"names no {name}")
    yield from told(shard, faces.rows_where(_strange_ids(faces), rows), "has an id that is not its picture's")
    yield from told(shard, _other_ids(table, faces), "has an id that does not begin with its picture's")


def _no_hash(values: pa.Array, digits: int) -> pa.Array:
    said = pc.match_substring_regex(pc.fill_null(values, ""), rf"^[0-9a-f]{{{digits}}}$")
    return pc.invert(said)


def _strange_ids(faces: Faces) -> pa.Array:
    """Return of every picture whether its id is not the hash of source, path and box."""
    named = zip(*(faces[name].to_pylist() for name in ("id", "source", "rel_path", "box")), strict=True)
    return pa.array([one != face_id(source or "", path or "", box) for one, source, path, box in named], pa.bool_())


def _other_ids(table: pa.Table, faces: Faces) -> pa.Array:
    """Return of every row whether its id does not begin with that of its first picture."""
    first = np.flatnonzero(np.diff(faces.row.to_numpy(), prepend=-1))
    begins = pc.utf8_slice_codeunits(table["id"].combine_chunks().take(faces.row.take(first)), 0, ID_DIGITS)
    wrong = pc.not_equal(begins, faces["id"].take(first))
    return faces.rows_where(pa.array(_spread(wrong, first, len(faces.row))), table.num_rows)


def _spread(
    wrong: pa.Array, at: np.ndarray[tuple[int], np.dtype[np.intp]], length: int
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    flags = np.zeros(length, bool)
    flags[at] = pc.fill_null(wrong, True).to_numpy(zero_copy_only=False)
    return flags


def _texts(table: pa.Table) -> Iterator[tuple[str, pa.Array, pa.Array]]:
    """Yield every text in a table's columns but pictures: its dotted name, the row of each value, and the values."""
    numbers = pa.array(np.arange(table.num_rows))
    for name in table.schema.names:
        if name not in ("images", *PUBLISHED):
            yield from _leaves(name, numbers, table[name].combine_chunks())


def _leaves(name: str, rows: pa.Array, values: pa.Array) -> Iterator[tuple[str, pa.Array, pa.Array]]:
    if pa.types.is_string(values.type):
        yield name, rows, values
    elif pa.types.is_list(values.type) and _has_text(values.type.value_type):
        yield from _leaves(name, rows.take(pc.list_parent_indices(values)), pc.list_flatten(values))
    elif pa.types.is_struct(values.type):
        for field in values.type:
            yield from _leaves(f"{name}.{field.name}", rows, pc.struct_field(values, field.name))


def _matches(texts: pa.Array, pattern: str) -> pa.Array:
    """Return of every text whether it matches; one that many rows share is looked at once."""
    few = texts.slice(0, SAMPLE)
    if 2 * pc.count_distinct(few).as_py() > len(few):
        return pc.match_substring_regex(texts, pattern)
    coded = texts.dictionary_encode()
    return pc.match_substring_regex(coded.dictionary, pattern).take(coded.indices)


def _has_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_nested(kind))


def _told_at(shard: Shard, rows: pa.Array, hit: pa.Array, problem: str) -> list[Found]:
    """Return the one thing found where values of some rows hit; `rows` says whose each value is."""
    whose = pc.unique(rows.filter(pc.fill_null(hit, False)))
    if not len(whose):
        return []
    return [Found(shard.name, problem, len(whose), str(shard.table["id"][whose[0].as_py()].as_py()))]


def _picture_names(shard: Shard) -> list[Found]:
    """Return the rows whose picture is called by more than a file name; batch by batch, so that none is copied."""
    found, start = [], 0
    for chunk in shard.table["images"].chunks:
        if chunk.null_count < len(chunk):
            names = pc.struct_field(pc.list_flatten(chunk), "path")
            rows = pc.add(pc.list_parent_indices(chunk), start)
            found += _told_at(shard, rows, pc.match_substring_regex(names, r"[/\\]"), "images.path is no file name")
        start += len(chunk)
    return found


def _is_object(text: str | None) -> bool:
    try:
        found: object = json.loads(text or "")
    except ValueError:
        return False
    return isinstance(found, dict)
