"""What models score on the benchmark, where `fer-build eval` left results in the work folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ferbuild.builders.evaluation import leaderboard, output, run
from ferbuild.builders.evaluation.results import Entry
from ferbuild.builders.reporting.rows import short

MODELS = 40


def of(work: Path, out: Path) -> dict[str, Any]:
    """Return the results, best first, each with the way from `out` to its own page; FerError where there are none."""
    board = leaderboard.board_of(work / run.FOLDER)
    ranked = [*board.full, *board.partial]
    return {
        "models": [_model(one, out) for one in ranked[:MODELS]],
        "left_out": len(ranked[MODELS:]),
        "broken": [{"place": short(one.place), "problem": short(one.problem)} for one in board.broken[:MODELS]],
    }


def _model(one: Entry, out: Path) -> dict[str, Any]:
    page = one.folder / output.PAGE
    return {
        "model": short(one.name),
        "baseline": one.baseline,
        "rows": one.n,
        "accuracy": one.strict.value,
        "low": one.strict.low,
        "high": one.strict.high,
        "uar": one.uar,
        "official": one.official,
        "unanswered": one.unanswered,
        "marks": [short(mark) for mark in one.marks],
        "whole": not one.lacks,
        "page": Path(os.path.relpath(page, out)).as_posix() if page.exists() else "",
    }
