"""Replies that reason, as rows of answers, and faces of which a test says what may be said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from calibrated import every_unit, scored

from ferbuild.builders.evaluation.answers import ANSWERS
from ferbuild.builders.evaluation.bench_measures import judge_all
from ferbuild.filters.units import Judged

LABELS = ["surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral"]
SMILE = "The lip corners are pulled up."
FROWN = "The brows are lowered and drawn together."


def row(at: int, text: str | Sequence[str], **changes: Any) -> dict[str, Any]:
    """Return a row of ANSWERS; faces and clusters are told apart by number."""
    texts = [text] if isinstance(text, str) else list(text)
    own: dict[str, Any] = {
        "set": "rafdb",
        "image_path": f"/RAF-DB/{at}.jpg",
        "true_label": "happiness",
        "canonical": "happiness",
        "choices": LABELS,
        "cluster": f"/RAF-DB/{at}.jpg",
        "texts": texts,
        "finishes": ["stop"] * len(texts),
        "error": False,
        "detail": "",
        "bare": False,
        "tokens_read": None,
        "tokens_written": None,
        "id": f"f{at}",
        "prompt_version": "v",
    }
    return own | changes


def table(*rows: Mapping[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=ANSWERS)


def thought(text: str, answer: str = "happiness") -> str:
    return f"<think>{text}</think><answer>{answer}</answer>"


def faces(**scores: Mapping[str, float]) -> dict[str, dict[str, Judged]]:
    """Return what may be said of faces by id, of the units' scores on each; all others are absent."""
    return judge_all({name: scored(one) for name, one in scores.items()}, every_unit())
