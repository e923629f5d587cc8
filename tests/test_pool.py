"""Worker processes: what they are told of threads."""

from __future__ import annotations

import os

from ferbuild.builders import pool


def test_a_worker_keeps_to_one_thread_unless_the_user_says_otherwise(monkeypatch):
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    monkeypatch.setenv("OPENCV_FOR_THREADS_NUM", "3")
    found = list(pool.each(os.getenv, ["OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"], workers=2, stage="x"))
    assert sorted(found) == ["1", "3"]
    assert "OPENBLAS_NUM_THREADS" not in os.environ and os.environ["OPENCV_FOR_THREADS_NUM"] == "3"
