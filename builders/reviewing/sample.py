"""A sample of a dataset's rows that is reviewed for an estimate: drawn by a seed, and kept beside the log.

Stands before the page, which shows it in the order in which it was drawn: whoever stops early has still looked at a
simple random sample, of fewer rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import xxhash
from pydantic import BaseModel, ConfigDict, ValidationError

from ferbuild.builders.errors import FerError
from ferbuild.builders.files import write_text
from ferbuild.builders.reviewing.log import FOLDER


class Sample(BaseModel):
    """What was drawn: enough to tell the figures without the dataset."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    seed: int
    key: str
    """Stage key of the dataset that it was drawn from."""
    of: int
    """Rows of that dataset."""
    rows: dict[str, str]
    """Row to its class, or to why it was dropped; in the order in which they were drawn."""


def draw(ids: Sequence[str], count: int, seed: int) -> npt.NDArray[np.int64]:
    """Return the places of `count` rows, all of them where there are fewer; the ids and the seed alone decide which."""
    ranks = np.fromiter((xxhash.xxh3_64_intdigest(one.encode(), seed=seed) for one in ids), np.uint64, len(ids))
    return np.argsort(ranks, kind="stable")[:count].astype(np.int64)


def path_of(work: Path, dataset: str) -> Path:
    """Return where the last sample of a dataset lies."""
    return work / FOLDER / f"{dataset}.sample.json"


def write(path: Path, sample: Sample) -> None:
    """Keep a sample, in the place of an earlier one."""
    write_text(path, sample.model_dump_json() + "\n")


def read(path: Path) -> Sample | None:
    """Return the last sample that was drawn; None where none was. FerError where the file is damaged."""
    try:
        return Sample.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError):
        hint = "draw it anew with --sample; the same number and seed give the same rows"
        raise FerError(path, "cannot be read as a sample", hint) from None
