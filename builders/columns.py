"""Columns that several datasets make of a table of faces, without copying a picture."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ferbuild.builders.record import PROVENANCE


def one_each(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return a list array that holds one of `values` a row; null where the value is null."""
    flat = pa.concat_arrays(values.chunks) if isinstance(values, pa.ChunkedArray) else values
    offsets = pa.array(np.arange(len(flat) + 1, dtype=np.int32))
    mask = pc.is_null(flat) if flat.null_count else None
    return pa.ListArray.from_arrays(offsets, flat, mask=mask)


def provenance(faces: pa.Table) -> pa.Array:
    """Return the `faces` column: one entry a row, from a table that has the columns it names."""
    return one_each(origins(faces))


def origins(faces: pa.Table) -> pa.StructArray:
    """Return of every face where it came from: an entry of PROVENANCE."""
    fields = PROVENANCE.value_type
    columns = [_cast(faces[field.name].combine_chunks(), field.type) for field in fields]
    return pa.StructArray.from_arrays(columns, fields=list(fields))


def own_copy(table: pa.Table, start: int, rows: int) -> pa.Table:
    """Return some rows in buffers of their own: a slice would be pickled with the whole table behind it."""
    stop = min(start + rows, table.num_rows)
    return table.take(pa.array(np.arange(start, stop)))


def spread(values: list[object], kind: pa.DataType, which: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return `values[i]` for every i of `which` (int), as an array of `kind`."""
    return pa.array(values, type=kind).take(which)


def conform(columns: dict[str, pa.Array | pa.ChunkedArray], schema: pa.Schema) -> pa.Table:
    """Return a table of `schema`; every name of the schema must be there."""
    return pa.Table.from_arrays([_cast(columns[field.name], field.type) for field in schema], schema=schema)


def _cast(values: pa.Array | pa.ChunkedArray, kind: pa.DataType) -> pa.Array | pa.ChunkedArray:
    """Return values as `kind`; asked first, since a cast to the same type takes as long as many a column."""
    return values if values.type == kind else values.cast(kind)
