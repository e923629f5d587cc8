"""The columns that questions of all kinds have, made of the faces they show without a loop over rows.

Pictures are not among them until the shards are laid out: the parts of a build say where a picture lies, and it is
copied once, from the shard of faces into that of questions. Pictures that are enlarged are made in the parts.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ferbuild.builders import measure
from ferbuild.builders.columns import conform, one_each, origins, spread
from ferbuild.builders.kinds.drawing import Ints
from ferbuild.builders.kinds.made import SOFT, Context, Made, two
from ferbuild.builders.measures import MEASURES
from ferbuild.builders.record import MESSAGES
from ferbuild.builders.shards import BATCH_ROWS
from ferbuild.builders.shown import as_shown

MEASURED = ("faces_found", "second_face", "eye_distance", "yaw", "pitch", "measures", "unit_scores")
"""Columns of MEASURES that a judgement of action units rests on (`filters.units.judge`)."""
OF_ONE = ("votes", "units", *MEASURED)
"""Columns that say something of the one face a question is about; null where it shows two."""
ASKED_LATER = ("pass_rate", "difficulty", "curriculum")
"""Columns that only asking a student fills."""
PICTURES = pa.schema([("shard", pa.string()), ("at", pa.list_(pa.int64())), ("bytes", pa.int64())])
"""Where the pictures of a question lie: the file below the faces, the rows in it, and the size of all of them."""
NAMED_AS_FACES = "choose"
"""The kind whose rows bear the id of their face."""


def held(schema: pa.Schema) -> pa.Schema:
    """Return `schema` with PICTURES in the place of the pictures themselves."""
    return pa.schema([*(field for field in schema if field.name != "images"), *PICTURES])


def located(faces: pa.Table, shard: str, start: int) -> pa.Table:
    """Return faces, the rows of a shard from `start`, with where each of their pictures lies, and without pictures."""
    size = pc.fill_null(pc.binary_length(pc.struct_field(faces["image"], 0)), 0)
    columns = [
        pa.array([shard]).take(pa.array(np.zeros(faces.num_rows, np.int8))),
        start + np.arange(faces.num_rows),
        size,
    ]
    for name, values in zip(PICTURES.names, columns, strict=True):
        faces = faces.append_column(name, values if isinstance(values, pa.ChunkedArray) else [pa.array(values)])
    return faces.drop_columns("image")


def table(faces: pa.Table, made: Made, context: Context, schema: pa.Schema) -> pa.Table:
    """Return the rows of `schema` that the questions make of the faces they show, which are `located` where it asks."""
    whole = made.pictures.ndim == 1 and np.array_equal(made.pictures, np.arange(faces.num_rows))
    pictures = two(made.pictures)
    small = faces.drop_columns("image") if "image" in faces.schema.names else faces
    first = small if whole else small.take(pa.array(pictures[:, 0]))
    single = pictures[:, 1] < 0
    which = pa.array(made.which)
    columns = {name: first[name] for name in schema.names if name in first.schema.names} | {
        "id": _ids(faces, first["id"], pictures, context.kind),
        "prompt": spread([question.messages for question in made.asked], MESSAGES, which),
        "solution": pc.binary_join_element_wise("<answer>", made.answers, "</answer>", ""),
        "kind": pa.array([context.kind], pa.string()).take(pa.array(np.zeros(len(made.which), np.int8))),
        "choices": spread([list(question.choices) for question in made.asked], pa.list_(pa.string()), which),
        "answer": made.answers,
        "faces": listed(origins(first if whole else small.take(pa.array(_flat(pictures)))), pictures),
        "prompt_version": spread([question.version for question in made.asked], pa.string(), which),
        "soft": pa.nulls(len(made.which), SOFT) if made.soft is None else made.soft,
    }
    columns |= _pictures(faces, pictures, context, whole=whole)
    columns |= {name: pa.nulls(len(made.which), schema.field(name).type) for name in ASKED_LATER}
    columns |= _measured(first["id"], context, schema)
    if not single.all():
        columns |= {name: _only(columns[name], single) for name in OF_ONE if name in columns}
    return conform(columns, schema)


def _pictures(faces: pa.Table, pictures: Ints, context: Context, *, whole: bool) -> dict[str, pa.Array]:
    """Return the pictures of the questions, or where they lie."""
    flat = pa.array(_flat(pictures))
    if "image" in faces.schema.names:
        images = as_shown(faces["image"] if whole else faces["image"].take(flat), context.picture)
        return {"images": listed(images, pictures)}
    sizes = np.asarray(faces["bytes"].to_numpy())[pictures] * (pictures >= 0)
    return {"at": listed(faces["at"].take(flat), pictures), "bytes": pa.array(sizes.sum(axis=1))}


def weight(rows: pa.RecordBatch) -> int:
    """Return the bytes that `held` rows take of a shard, those of their pictures included."""
    return int(rows.nbytes) + int(pc.sum(rows["bytes"]).as_py() or 0)


def with_pictures(rows: pa.Table, schema: pa.Schema, opened: Callable[[str], pa.Table]) -> pa.Table:
    """Return `held` rows, all of one shard of faces, with their pictures; `opened` gives the rows of a shard."""
    at = np.asarray(pc.list_flatten(rows["at"]).to_numpy(), np.int64)
    first = int(at.min())
    near = opened(rows["shard"][0].as_py())["image"].slice(first, int(at.max()) - first + 1)
    if not np.array_equal(at, first + np.arange(len(at))):
        near = near.take(pa.array(at - first))
    even = all(len(chunk) % BATCH_ROWS == 0 for chunk in near.chunks[:-1])
    images = near if even else near.combine_chunks()  # else record batches would also end where its chunks do
    counts = np.asarray(pc.list_value_length(rows["at"]).to_numpy(), np.int64)
    columns = {name: rows[name] for name in schema.names if name != "images"}
    return conform({**columns, "images": listed(images, np.where(counts[:, None] > [[0, 1]], 0, -1))}, schema)


def listed(values: pa.Array | pa.ChunkedArray, pictures: Ints) -> pa.Array | pa.ChunkedArray:
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


def _ids(faces: pa.Table, first: pa.ChunkedArray, pictures: Ints, kind: str) -> pa.Array | pa.ChunkedArray:
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


def _only(column: pa.Array | pa.ChunkedArray, where: NDArray[np.bool_]) -> pa.Array | pa.ChunkedArray:
    """Return a column with null where not `where`."""
    return column.take(pa.array(np.arange(len(where)), mask=~where))
