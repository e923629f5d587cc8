"""The store of replies: what it keeps, what it tells, and who may open it."""

import json
import sqlite3
import subprocess
import sys
from hashlib import sha256

import pyarrow.parquet as pq
import pytest
from asked import CHOICES, HERE, attempts, ignore, request, stub, teacher

from ferbuild.builders import replied, replies
from ferbuild.builders.errors import FerError
from ferbuild.builders.replies import Attempt, Record, Reply, Usage
from ferbuild.filters import answer

OLD = """create table replies (key text primary key, teacher text not null, model text not null, outcome text not null,
text text not null, finish text not null, detail text not null, usage text not null, latency_ms integer not null,
endpoint text not null, at text not null)"""
ROW = ("k", "t", "m", "ok", "said", "stop", "", '{"prompt_tokens": 5, "completion_tokens": 7}', 30, "url", "2026-01-01")


def old_store(path):
    with sqlite3.connect(path) as db:
        db.execute(OLD)
        db.execute(f"insert into replies values ({','.join('?' * len(ROW))})", ROW)
    return path


def record(key, outcome="ok", *, at="2026-02-02", latency=10, teacher="t", tokens=(100, 20)):
    usage = dict(zip(("prompt_tokens", "completion_tokens"), tokens, strict=True)) if tokens else {}
    return Record(key, teacher, "m", Reply("x", "stop", outcome, "d"), usage, latency, "url", at)


def attempt(key, fault, usage="{}"):
    return Attempt(key, "t", "m", fault, "detail", usage, 5, "url", "2026-03-03")


def test_a_store_of_before_opens_and_keeps_its_rows(tmp_path):
    path = old_store(tmp_path / "r.sqlite")
    assert [one.requests for one in replied.summary(path)] == [1]
    assert replies.sent(path) == []
    with replies.asking(path) as store:
        store.put([], [attempt("k", "HTTP 500")])
    assert replies.recall(path, ["k"]) == {"k": Reply("said", "stop", "ok", "", Usage(5, 7))}
    assert attempts(path) == {"HTTP 500": 1}


def test_a_gave_up_is_recalled_with_its_fault_and_makes_way(tmp_path):
    path = tmp_path / "r.sqlite"
    with replies.asking(path) as store:
        store.put([record("a", "gave up", tokens=None)])
        assert replies.recall(path, ["a", "b"]) == {"a": Reply("x", "stop", "gave up", "d")}
        store.put([record("a", "empty")])
        store.put([record("a", "ok")])
    assert replies.recall(path, ["a"])["a"].outcome == "empty", "what is there stays"


def test_summary(tmp_path):
    path = tmp_path / "r.sqlite"
    assert replied.summary(path) == []
    with replies.asking(path) as store:
        store.put([record("a", latency=10), record("b", "empty", latency=30), record("c", "gave up", tokens=None)])
        store.put([record("d", teacher="s", at="2025-05-05")])
        store.put([], [attempt("a", "cut"), attempt("a", "cut"), attempt("b", "empty", '{"prompt_tokens": 3}')])
    other, one = replied.summary(path)
    assert (other.teacher, other.requests, other.first, other.latency_ms) == ("s", 1, "2025-05-05", 10)
    assert (one.teacher, one.model, one.requests) == ("t", "m", 3)
    assert one.outcomes == {"ok": 1, "empty": 1, "gave up": 1} and one.faults == {"cut": 2, "empty": 1}
    assert (one.usage, one.fruitless, one.latency_ms) == (Usage(203, 40), Usage(3, 0), 20)
    assert (one.first, one.last) == ("2026-02-02", "2026-03-03")


def test_gemini_counts_its_reasoning_in_the_total_only():
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 65}
    assert replies.count_tokens(usage) == Usage(10, 55)
    assert replies.count_tokens({"prompt_tokens": None, "completion_tokens": "5"}) == Usage(0, 0)


def test_export(tmp_path, monkeypatch):
    monkeypatch.setattr(replied, "ROWS", 10)
    path, out = tmp_path / "r.sqlite", tmp_path / "out" / "replies.parquet"
    with replies.asking(path) as store:
        store.put([record(f"k{at}") for at in range(25)], [attempt("k1", "HTTP 429")])
        assert replied.export(path, out) == 26
    table = pq.read_table(out)
    assert [path.name for path in out.parent.iterdir()] == ["replies.parquet"]
    rows = table.to_pylist()
    assert [row["key"] for row in rows] == [*(f"k{at}" for at in range(25)), "k1"]
    assert rows[0] == {
        "key": "k0",
        "teacher": "t",
        "model": "m",
        "outcome": "ok",
        "text": "x",
        "finish": "stop",
        "detail": "d",
        "usage": '{"prompt_tokens":100,"completion_tokens":20}',
        "endpoint": "url",
        "at": "2026-02-02",
        "latency_ms": 10,
        "read": 100,
        "written": 20,
        "stands": True,
    }
    assert (rows[-1]["outcome"], rows[-1]["stands"], rows[-1]["detail"]) == ("HTTP 429", False, "detail")
    with pytest.raises(FerError, match="there are no replies yet"):
        replied.export(tmp_path / "none.sqlite", out)


def test_sending_is_recorded_once(tmp_path):
    path = tmp_path / "deep" / "r.sqlite"
    for _ in range(2):
        replies.note_sent(path, "rafdb", "api.openai.com", "not to be passed on")
    replies.note_sent(path, "rafdb", "other.host", "not to be passed on")
    found = replies.sent(path)
    assert [one[:3] for one in found] == [
        ("rafdb", "api.openai.com", "not to be passed on"),
        ("rafdb", "other.host", "not to be passed on"),
    ]
    assert found[0].at.endswith("+00:00")
    with replies.asking(path):
        replies.note_sent(path, "sfew", "other.host", "t")
    assert len(replies.sent(path)) == 3


HOLDS = """
import sys
from hashlib import sha256
from pathlib import Path
from ferbuild.builders import replies
with replies.asking(Path(sys.argv[1])):
    print("open", flush=True)
    sys.stdin.read()
"""


def test_two_processes_do_not_ask_into_one_store(tmp_path):
    path = tmp_path / "r.sqlite"
    command = [sys.executable, "-c", HOLDS, str(path)]
    with stub() as port, subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "open\n"
        with pytest.raises(FerError) as caught:
            teacher(port, path).ask([request(1)], ignore)
        assert caught.value.problem == "another process is asking a teacher and stores its replies here"
        assert replied.summary(path) == [], "reading goes on"
        other.stdin.close()
        other.wait(10)
        assert teacher(port, path).ask([request(1)], ignore) is None


LOADS = """
import json, sys
import ferbuild.builders.http_teacher, ferbuild.builders.teacher
print(json.dumps(sorted({"datasets", "torch", "pandas", "polars", "cv2", "pyarrow"} & set(sys.modules))))
"""


def test_asking_loads_nothing_heavy():
    ran = subprocess.run([sys.executable, "-c", LOADS], capture_output=True, text=True, check=True, cwd=HERE)
    assert json.loads(ran.stdout) == []


def test_the_stub_can_be_a_noisy_teacher(tmp_path):
    asked = [request(at) for at in range(200)]
    labels = {sha256(one.images[0]).hexdigest(): CHOICES[at % 2] for at, one in enumerate(asked)}
    (tmp_path / "labels.json").write_text(json.dumps(labels))
    with stub(noise=tmp_path / "labels.json", right="happiness=1.0,fear=0.3") as port:
        one = teacher(port, tmp_path / "r.sqlite")
        one.ask(asked, ignore)
    said = [answer.read(reply.text, CHOICES).label for reply in one.recall(asked)]
    assert said[::2] == ["happiness"] * 100
    assert 15 <= said[1::2].count("fear") <= 45
