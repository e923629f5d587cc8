"""Checks on a face row: its size and shape. Findings of detectors join them with detection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def too_small(row: Mapping[str, Any], *, side: int = 16) -> str | None:
    """Drop a face whose shorter side is below `side` pixels."""
    return "too small" if min(row["width"], row["height"]) < side else None


def extreme_aspect(row: Mapping[str, Any], *, ratio: float = 4.0) -> str | None:
    """Drop a face whose longer side is more than `ratio` times the shorter."""
    short, long = sorted((row["width"], row["height"]))
    return "extreme aspect" if long > ratio * short else None
