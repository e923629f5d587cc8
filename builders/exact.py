"""Pictures in buffers that end where their bytes end, so that equal rows are equal files.

Arrow writes a slice of a column with what follows it in memory, up to the next multiple of 64 bytes. `shards` writes
pictures through here: a published dataset that gets its pictures back must come to the very bytes it had.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from ferbuild.builders.record import IMAGE

IMAGES = pa.list_(IMAGE)


def exact(table: pa.Table, rows: int) -> pa.Table:
    """Return the same rows, at most `rows` in a chunk; no byte of a picture is copied, unless one is lacking."""
    spots = [at for at, field in enumerate(table.schema) if field.type == IMAGES]
    if not spots:
        return table
    batches = table.to_batches(max_chunksize=rows)
    for at in spots:
        batches = [batch.set_column(at, table.schema.field(at), _images(batch.column(at))) for batch in batches]
    return pa.Table.from_batches(batches, table.schema)


def _images(column: pa.ListArray) -> pa.ListArray:
    stop = column.offsets[-1].as_py() if len(column) else 0
    inner = column.values.slice(0, stop)
    parts = [inner.field(at) for at in range(inner.type.num_fields)]
    if column.null_count or inner.null_count or any(part.null_count for part in parts):
        return pa.array(column.to_pylist(), IMAGES)
    inner = pa.StructArray.from_arrays([_ended(part) for part in parts], fields=list(IMAGE))
    _, offsets = column.buffers()[:2]
    return pa.Array.from_buffers(IMAGES, len(column), [None, offsets], 0, column.offset, [inner])


def _ended(part: pa.BinaryArray) -> pa.BinaryArray:
    """Return an array of bytes or text whose buffer ends with its last value."""
    _, offsets, data = part.buffers()
    if data is None:
        return pa.array(part.to_pylist(), part.type)
    stop = int(np.frombuffer(offsets, np.int32)[part.offset + len(part)]) if len(part) else 0
    return pa.Array.from_buffers(part.type, len(part), [None, offsets, data.slice(0, stop)], 0, part.offset)
