"""The rivals of the faces stage, each a process of its own that `faces_speed.py` starts and watches.

Run as `faces_jobs.py JOB FOLDER`: JOB is `peer`, a `datasets.map` job with Pillow and imagehash over the JPEG files
below FOLDER, or `own`, a `datasets.map` job that calls this project's stage function. Both use two processes and leave
Arrow files, as the stage does.
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # two processes on two cores: threads would be in each other's way

import imagehash  # type: ignore[import-not-found]
import numpy as np
import pyarrow as pa
import xxhash
from datasets import Dataset, disable_progress_bars
from PIL import Image

from ferbuild.builders.facing import Facing, face_table
from ferbuild.builders.record import LISTED
from ferbuild.manifests.recipe import Picture

PROCESSES = 2


def by_pillow(data: bytes) -> dict[str, Any]:
    """Return what the stage finds out about a picture, the usual way: decoded, and hashed by file, pixels and looks."""
    with Image.open(io.BytesIO(data)) as picture:
        pixels = picture.convert("RGB")
    return {
        "width": pixels.width,
        "height": pixels.height,
        "sha256": hashlib.sha256(data).hexdigest(),
        "pixel_hash": xxhash.xxh3_128_hexdigest(np.asarray(pixels).tobytes()),
        "hash64": str(imagehash.phash(pixels)),
        "hash256": str(imagehash.phash(pixels, hash_size=16)),
    }


def _peer_row(row: dict[str, Any]) -> dict[str, Any]:
    data = Path(row["path"]).read_bytes()
    return {"image": data, **by_pillow(data)}


def _peer(folder: Path) -> Dataset:
    rows = Dataset.from_dict({"path": [str(path) for path in _files(folder)]})
    return rows.map(_peer_row, num_proc=PROCESSES)


def _own(folder: Path) -> Dataset:
    names = [str(path.relative_to(folder)) for path in _files(folder)]
    same = {"source": "rafdb", "split": "train", "size": 1, "label": "Happiness", "canonical": "happiness"}
    rows = [{**same, "id": f"{at:016x}", "rel_path": name, "name": name} for at, name in enumerate(names)]
    listed = Dataset(pa.Table.from_pylist(rows, schema=LISTED)).with_format("arrow")
    how = Facing(folder, "as_is", Picture())
    return listed.map(
        face_table,
        batched=True,
        batch_size=1000,
        num_proc=PROCESSES,
        fn_kwargs={"how": how},
        remove_columns=LISTED.names,
    )


def _files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.jpg"))


def main() -> None:
    job, folder = sys.argv[1], Path(sys.argv[2])
    disable_progress_bars()
    made = {"peer": _peer, "own": _own}[job](folder)
    print(made.num_rows)


if __name__ == "__main__":
    main()
