"""What a reward has to know of a question, and the file in which another trainer finds ours.

The files call `ferbuild.training.rewards`, so that one parser decides what an answer is there as here.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import pyarrow as pa

from ferbuild.builders.exports.job import Job

FILE = "fer_reward.py"
ASKED = ("kind", "choices", "answer", "soft")
"""Columns of a question that its verifier reads."""


def asked_of(table: pa.Table, columns: Sequence[str] = ASKED) -> list[dict[str, Any]]:
    """Return these columns of every row; None where the dataset has none of that name."""
    there = [name for name in columns if name in table.column_names]
    return [dict.fromkeys(columns) | row for row in table.select(there).to_pylist()]


def write_reward(job: Job, trainer: str) -> None:
    """Write the rewards as `trainer` calls them."""
    job.text(FILE, template(f"reward_{trainer}.py"))


def template(name: str) -> str:
    """Return the text of a file that is handed on as it is."""
    return (files("ferbuild.builders.exports") / "templates" / f"{name}.txt").read_text()
