"""Worker processes, and threads in their place: what they are told, and how they end."""

from __future__ import annotations

import os
import threading

import pytest

from ferbuild.builders import pool


def test_a_worker_keeps_to_one_thread_unless_the_user_says_otherwise(monkeypatch):
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    monkeypatch.setenv("OPENCV_FOR_THREADS_NUM", "3")
    found = list(pool.each(os.getenv, ["OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"], workers=2, stage="x"))
    assert sorted(found) == ["1", "3"]
    assert "OPENBLAS_NUM_THREADS" not in os.environ and os.environ["OPENCV_FOR_THREADS_NUM"] == "3"


def test_threads_run_every_item_beside_each_other():
    both = threading.Barrier(2, timeout=30)
    assert sorted(pool.in_threads(lambda item: both.wait() >= 0 and item, [1, 2], workers=2, stage="x")) == [1, 2]


def test_what_an_item_raises_in_a_thread_is_raised_here():
    with pytest.raises(ZeroDivisionError):
        list(pool.in_threads(lambda item: 1 // item, [1, 0, 2], workers=2, stage="x"))


def test_leaving_the_threads_early_starts_no_further_item():
    started, go_on = [], threading.Event()

    def call(item: int) -> int:
        started.append(item)
        if item:
            go_on.wait(30)
        return item

    items = pool.in_threads(call, range(100), workers=2, stage="x")
    assert next(items) == 0
    threading.Timer(0.2, go_on.set).start()
    items.close()
    assert len(started) <= 1 + pool.MOST_THREADS
