"""The columns that questions of all kinds have, made of the faces they show without a loop over rows.

What a row only repeats of its faces is not made before the shards are laid out: the parts of a build say where a face
lies, and its picture is copied once, from the shard of faces into that of questions. Questions whose pictures are
enlarged are whole in the parts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ferbuild.builders import measure
from ferbuild.builders.columns import conform, one_each, origins, spread
from ferbuild.builders.kinds.drawing import Ints
from ferbuild.builders.kinds.made import SOFT, Context, Made, two
from ferbuild.builders.measures import MEASURES
from ferbuild.builders.record import MESSAGES, PROVENANCE
from ferbuild.builders.shards import BATCH_ROWS
from ferbuild.builders.shown import as_shown
from ferbuild.manifests.recipe import Picture

MEASURED = ("faces_found", "second_face", "eye_distance", "yaw", "pitch", "measures", "unit_scores")
"""Columns of MEASURES that a judgement of action units rests on (`filters.units.judge`)."""
REPEATED = ("label", "canonical", "votes", "label_rule", "licence", "synthetic", "units")
"""Columns that a question has of its first face, as they are."""
OF_ONE = ("votes", "units", *MEASURED)
"""Columns that say something of the one face a question is about; null where it shows two."""
OF_FACES = ("image", *dict.fromkeys([*REPEATED, *(field.name for field in PROVENANCE.value_type)]))
"""Columns of the faces that a question is filled from."""
ASKED_LATER = ("pass_rate", "difficulty", "curriculum")
"""Columns that only asking a student fills."""
TEXTS = pa.dictionary(pa.int32(), pa.string())
PLACE = pa.schema([("asked", TEXTS), ("shard", TEXTS), ("at", pa.list_(pa.int64())), ("bytes", pa.int64())])
"""What is held of a question in the place of what is filled in: the text of its prompt, the file below the faces, the
rows in it, and about the bytes of all that is filled in."""
AS_THEY_ARE = Picture()
Column: TypeAlias = pa.Array | pa.ChunkedArray
NAMED_AS_FACES = "choose"
"""The kind whose rows bear the id of their face."""

V = TypeVar("V", pa.ChunkedArray, pa.Table)


def held(schema: pa.Schema) -> pa.Schema:
    """Return `schema` with PLACE instead of what `filled` gives back."""
    given = {"images", "prompt", "faces", *REPEATED}
    return pa.schema([*(field for field in schema if field.name not in given), *PLACE])


def located(faces: pa.Table, shard: str, start: int) -> pa.Table:
    """Return faces, the rows of a shard from `start`, with where each of them lies in the place of its picture."""
    some = faces.slice(0, BATCH_ROWS).select([name for name in OF_FACES if name != "image"])
    text = some.nbytes // max(some.num_rows, 1)  # of one as of all: they are to be weighed, not counted
    picture = pc.fill_null(pc.binary_length(pc.struct_field(faces["image"], 0)), 0)
    columns = [
        pa.DictionaryArray.from_arrays(np.zeros(faces.num_rows, np.int32), [shard]),
        pa.array(start + np.arange(faces.num_rows)),
        pa.array(np.asarray(picture.to_numpy(), np.int64) + text),
    ]
    for name, values in zip(PLACE.names[1:], columns, strict=True):
        faces = faces.append_column(name, values)
    return faces.drop_columns("image")


def table(faces: pa.Table, made: Made, context: Context, schema: pa.Schema) -> pa.Table:
    """Return questions about faces as rows of `schema`, whole or `held`; for the latter the faces are `located`."""
    pictures, which = two(made.pictures), pa.array(made.which)
    first = _taken(faces["id"], pictures[:, 0])
    prompts = [question.prompt for question in made.asked]
    columns = {
        "id": _ids(faces, first, pictures, context.kind),
        "asked": pa.DictionaryArray.from_arrays(which.cast(pa.int32()), pa.array(prompts, pa.string())),
        "solution": pc.binary_join_element_wise("<answer>", made.answers, "</answer>", ""),
        "kind": pa.array([context.kind], pa.string()).take(pa.array(np.zeros(len(which), np.int8))),
        "choices": spread([list(question.choices) for question in made.asked], pa.list_(pa.string()), which),
        "answer": made.answers,
        "prompt_version": spread([question.version for question in made.asked], pa.string(), which),
        "soft": pa.nulls(len(which), SOFT) if made.soft is None else made.soft,
    }
    columns |= {name: pa.nulls(len(which), schema.field(name).type) for name in ASKED_LATER}
    columns |= _of_one(_measured(first, context, schema), pictures)
    if "asked" in schema.names:
        return conform(columns | _place(faces, pictures, made), schema)
    columns["prompt"] = _messages(columns["asked"])
    return conform(columns | _repeated(faces, pictures, schema, context.picture), schema)


def weight(rows: pa.RecordBatch) -> int:
    """Return about the bytes that `held` rows take of a shard."""
    return int(rows.drop_columns(["asked", "shard"]).nbytes) + int(pc.sum(rows["bytes"]).as_py() or 0)


def filled(rows: pa.Table, schema: pa.Schema, opened: Callable[[str], pa.Table]) -> pa.Table:
    """Return the rows of `schema` that `held` ones stand for, whose faces are all of one shard.

    `opened` gives OF_FACES of the rows of a shard.
    """
    at = np.asarray(pc.list_flatten(rows["at"]).to_numpy(), np.int64)
    start = int(at.min())
    faces = opened(rows["shard"][0].as_py()).slice(start, int(at.max()) - start + 1)
    if any(len(chunk) % BATCH_ROWS for chunk in faces["image"].chunks[:-1]):
        faces = faces.combine_chunks()  # else record batches would also end where its chunks do
    counts = np.asarray(pc.list_value_length(rows["at"]).to_numpy(), np.int64)
    pictures = np.full((len(counts), 2), -1)
    pictures[counts[:, None] > [[0, 1]]] = at - start
    columns = {name: rows[name] for name in schema.names if name in rows.schema.names}
    columns["prompt"] = _messages(rows["asked"])
    return conform(columns | _repeated(faces, pictures, schema), schema)


def _place(faces: pa.Table, pictures: Ints, made: Made) -> dict[str, Column]:
    """Return the columns of PLACE that say where the faces lie."""
    prompts = np.array([len(question.prompt.encode()) for question in made.asked], np.int64)
    faces_bytes = np.asarray(faces["bytes"].to_numpy())[pictures] * (pictures >= 0)
    return {
        "shard": _taken(faces["shard"], pictures[:, 0]),
        "at": listed(_taken(faces["at"], _flat(pictures)), pictures),
        "bytes": pa.array(faces_bytes.sum(axis=1) + prompts[made.which]),
    }


def _repeated(faces: pa.Table, pictures: Ints, schema: pa.Schema, policy: Picture = AS_THEY_ARE) -> dict[str, Column]:
    """Return the columns that repeat what faces have, pictures among them; no picture is copied where all are shown in
    their order.
    """
    images = as_shown(_taken(faces["image"], _flat(pictures)), policy)
    texts = faces.drop_columns("image")
    first = _taken(texts, pictures[:, 0])
    columns = {name: first[name] for name in REPEATED if name in schema.names}
    columns["faces"] = listed(origins(_taken(texts, _flat(pictures))), pictures)
    return {**_of_one(columns, pictures), "images": listed(images, pictures)}


def _messages(prompts: Column) -> pa.Array:
    """Return TEXTS as one user message each."""
    contents = prompts.cast(pa.string())
    users = pa.array(["user"]).take(pa.array(np.zeros(len(contents), np.int8)))
    contents = contents.combine_chunks() if isinstance(contents, pa.ChunkedArray) else contents
    return one_each(pa.StructArray.from_arrays([users, contents], fields=list(MESSAGES.value_type)))


def listed(values: Column, pictures: Ints) -> Column:
    """Return the `values` of one or two pictures a question as lists, in the order of `pictures`, without a copy."""
    counts = (pictures >= 0).sum(axis=1)
    if (counts == 1).all() and isinstance(values, pa.ChunkedArray):
        return pa.chunked_array([one_each(chunk) for chunk in values.chunks], pa.list_(values.type))
    flat = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    return pa.ListArray.from_arrays(pa.array(np.cumsum([0, *counts]).astype(np.int32)), flat)


def _flat(pictures: Ints) -> Ints:
    """Return the rows of all pictures, question by question."""
    rows = pictures.ravel()
    return rows[rows >= 0]


def _taken(values: V, rows: Ints) -> V:
    """Return some rows of a column or table; without a copy where they are all of them, in order."""
    whole = np.array_equal(rows, np.arange(len(values)))
    return values if whole else values.take(pa.array(rows))


def _ids(faces: pa.Table, first: pa.ChunkedArray, pictures: Ints, kind: str) -> Column:
    """Return the id of every question: its face's, or those of its faces and the kind."""
    if kind == NAMED_AS_FACES:
        return first
    second = faces["id"].take(pa.array(pictures[:, 1], mask=pictures[:, 1] < 0))
    return pc.binary_join_element_wise(first, second, pa.scalar(kind), "-", null_handling="skip")


def _measured(ids: pa.ChunkedArray, context: Context, schema: pa.Schema) -> dict[str, pa.Array]:
    """Return what was measured of the faces with these ids; nothing where the schema has no such columns."""
    if context.measures is None or "measures" not in schema.names:
        return {}
    names = ids.to_pylist()
    found = measure.read_measures(*context.measures, context.split, names)
    return {name: pa.array([found[one][name] for one in names], MEASURES.field(name).type) for name in MEASURED}


def _of_one(columns: dict[str, Column], pictures: Ints) -> dict[str, Column]:
    """Return columns with null in OF_ONE where a question shows two pictures."""
    single = pictures[:, 1] < 0
    if single.all():
        return columns
    alone = pa.array(np.arange(len(single)), mask=~single)
    return {name: one.take(alone) if name in OF_ONE else one for name, one in columns.items()}
