"""Which benchmark pictures show one photograph, as the faces stage found out: these rows are resampled together.

Stands before the score, whether the answers were asked for or come from a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from ferbuild.builders import shards


def groups_of(folder: Path, ids: Sequence[str]) -> dict[str, str]:
    """Return id to group of the faces that are asked for; empty where no faces are built there."""
    if not (folder / "dataset_dict.json").exists():
        return {}
    found, wanted = dict[str, str](), pa.array(ids, pa.string())
    for files in shards.split_files(folder).values():
        for path in files:
            table = shards.read_stream(path).select(["id", "group_id"])
            table = table.filter(pc.is_in(table["id"], wanted))
            found |= dict(zip(table["id"].to_pylist(), table["group_id"].to_pylist(), strict=True))
    return found
