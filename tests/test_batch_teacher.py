import io
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import orjson
import pytest
from PIL import Image

from ferbuild.builders import batch_ledger, replies
from ferbuild.builders.batch_parts import Size, expected, line_of, reckon
from ferbuild.builders.batch_server import Patience
from ferbuild.builders.batch_teacher import BatchTeacher
from ferbuild.builders.chat import data_url
from ferbuild.builders.errors import FerError
from ferbuild.builders.replies import Request
from ferbuild.builders.teacher import AskOptions, open_teacher
from ferbuild.manifests.schema import TeacherEntry

pytest.importorskip("openai")

HERE = Path(__file__).parent
QUICK = Patience(settle=0.3, poll=0.05, poll_most=0.1, outage=3.0, request=20.0)
KEY = "sk-test-4711"
PRICES = {"input": 1.0, "output": 10.0, "batch": 0.5}


def picture(at):
    rng = np.random.default_rng(at)
    out = io.BytesIO()
    Image.fromarray(rng.integers(0, 255, (48, 48), dtype=np.uint8)).save(out, "jpeg")
    return out.getvalue()


def request(at, *, text="Which?", sample=0, image=None):
    shown = picture(at) if image is None else image
    return Request(f"id{at}", ({"role": "user", "content": text},), (shown,), ("happiness", "fear"), None, sample)


def entry(port, **changes):
    said = {"name": "stub-batch", "kind": "batch", "model": "stub-vl", "key": "STUB_KEY"}
    said |= {"sampling": {"max_completion_tokens": 100}, "endpoints": [f"http://127.0.0.1:{port}/v1"]}
    return TeacherEntry(**said | changes)


def teacher(port, store, *, size=None, options=None, patience=QUICK, **changes):
    made = entry(port, **changes)
    return BatchTeacher(made, store, tuple(made.endpoints), options or AskOptions(), patience, size)


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("STUB_KEY", KEY)


@contextmanager
def stub(log="", **options):
    """Run the stub server, give its port, and end it."""
    flags = [part for name, value in options.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    command = [sys.executable, HERE / "stub_batches.py", "--key", KEY, "--log", str(log), *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def logged(log, word):
    lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    return [line[1:] for line in lines if line[0] == word]


def paid(log):
    """Return how often each key was run at the server."""
    return Counter(key for (key,) in logged(log, "run"))


class Told:
    """A watch that keeps what it is told."""

    def __init__(self):
        self.of = []

    def __call__(self, asked, reply, now):
        self.of.append((asked.id, reply.outcome if reply else None, now))

    def count(self):
        return Counter((outcome, now) for _, outcome, now in self.of)


def outcomes(one, asked):
    return Counter(reply.outcome if reply else None for reply in one.recall(asked))


def states_by_tag(store):
    return dict(sqlite3.connect(store).execute("select tag, state from batches"))


def states(store):
    return Counter(states_by_tag(store).values())


# --- asking


def test_what_is_handed_in_is_collected_stored_and_told_once(tmp_path):
    log, store = tmp_path / "log", tmp_path / "deep" / "r.sqlite"
    asked = [request(at) for at in range(30)] + [request(7), request(7, sample=1)]
    with stub(log) as port:
        one, told = teacher(port, store, prices=PRICES), Told()
        assert one.ask(iter(asked), told) is None
        assert told.count() == {("ok", True): 31, ("ok", False): 1}
        again = Told()
        assert one.ask(asked, again) is None
        assert again.count() == {("ok", False): 32}
        assert logged(log, "created") == [["batch-2", "31"]]
    got = one.recall(asked)
    assert [reply.outcome for reply in got] == ["ok"] * 32
    assert got[0].text == f"<think>I see {one.key(asked[0])[:8]}.</think><answer>happiness</answer>"
    assert got[0].usage == (100, 20) and got[30] == got[7] and got[31] != got[7]
    assert set(paid(log).values()) == {1} and set(paid(log)) == {one.key(item) for item in asked}
    row = sqlite3.connect(store).execute("select * from replies").fetchone()
    assert row[1:4] == ("stub-batch", "stub-vl", "ok") and f"http://127.0.0.1:{port}/v1" in row
    assert states(store) == {"done": 1}
    assert sqlite3.connect(store).execute("select count(*) from batch_keys").fetchone() == (0,)


def test_a_line_is_the_request_that_a_chat_server_gets():
    made = entry(1)
    line = orjson.loads(line_of("a" * 64, request(1), made))
    assert line == {
        "custom_id": "a" * 64,
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": replies.chat_body(made.model, made.sampling, request(1), data_url),
    }
    assert line["body"]["messages"][0]["content"][1]["image_url"]["url"].startswith("data:image/jpeg;base64,")


def test_nothing_stays_behind_on_disk_or_at_the_server(tmp_path, caplog):
    log, store = tmp_path / "log", tmp_path / "r.sqlite"
    with stub(log, takes_s=0, bad=2) as port:
        one = teacher(port, store)
        one.ask([request(at) for at in range(4)], Told())
    assert one.folder.is_dir() and list(one.folder.iterdir()) == []
    assert logged(log, "uploaded")[0][:2] == ["file-1", f"{next(iter(states_by_tag(store)))}.jsonl"]
    assert [name for (name,) in logged(log, "deleted")] == ["file-1", "file-3", "file-4"]
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("r.sqlite*") if path.is_file())
    assert KEY.encode() not in stored and b"data:image" not in stored
    assert "picture refused …" in stored.decode(errors="ignore") and KEY not in caplog.text


def test_parts_keep_to_requests_and_bytes(tmp_path):
    asked = [request(at) for at in range(25)]
    log = tmp_path / "log"
    with stub(log) as port:
        one = teacher(port, tmp_path / "a.sqlite", size=Size(requests=10))
        assert one.ask(asked, Told()) is None
        assert [int(count) for _, count in logged(log, "created")] == [10, 10, 5]
        two = teacher(port, tmp_path / "b.sqlite", size=Size(bytes=9000))
        assert two.ask(asked, Told()) is None
    sizes = [int(line[2]) for line in logged(log, "uploaded")[3:]]
    assert sum(int(count) for _, count in logged(log, "created")[3:]) == 25
    assert len(sizes) > 1 and max(sizes) <= 9000
    assert outcomes(one, asked) == outcomes(two, asked) == {"ok": 25}


def test_what_cannot_be_sent_is_given_up_and_the_rest_goes_on(tmp_path, caplog):
    asked = [request(0), request(1, image=b"no picture"), request(2, text="x" * 9000)]
    with stub() as port:
        one, told = teacher(port, tmp_path / "r.sqlite", size=Size(bytes=8000)), Told()
        one.ask(asked, told)
    assert told.count() == {("ok", True): 1, ("gave up", True): 2}
    details = [reply.detail for reply in one.recall(asked)]
    assert "in no format" in details[1] and "more than a batch takes" in details[2]
    assert "2 requests were not answered and are asked again" in caplog.text


def test_refused_requests_are_given_up_and_asked_again_by_the_next_run(tmp_path, caplog):
    log, store = tmp_path / "log", tmp_path / "r.sqlite"
    asked = [request(at) for at in range(20)]
    with stub(log, bad=4) as port:
        one, told = teacher(port, store), Told()
        one.ask(asked, told)
        assert told.count() == {("ok", True): 15, ("gave up", True): 5}
        refused = [reply.detail for reply in one.recall(asked) if reply.outcome == "gave up"]
        assert len(refused) == 5 and all("HTTP 400" in detail for detail in refused)
    with stub(log) as port:
        teacher(port, store).ask(asked, Told())
    assert outcomes(one, asked) == {"ok": 20}
    assert Counter(paid(log).values()) == {1: 15, 2: 5}


@pytest.mark.parametrize("ends", ["expired", "cancelled"])
def test_of_a_batch_that_ends_early_what_came_is_stored_and_the_rest_is_owed(ends, tmp_path, caplog):
    log, store = tmp_path / "log", tmp_path / "r.sqlite"
    asked = [request(at) for at in range(20)]
    with stub(log, ends=ends, untried=2) as port:
        one, told = teacher(port, store), Told()
        one.ask(asked, told)
    assert told.count() == {("ok", True): 10, (None, False): 10}
    assert outcomes(one, asked) == {"ok": 10, None: 10}
    assert "10 requests were not answered" in caplog.text
    with stub(log) as port:
        teacher(port, store).ask(asked, Told())
    assert outcomes(one, asked) == {"ok": 20}


def test_a_refused_batch_says_why_and_holds_nothing(tmp_path):
    store = tmp_path / "r.sqlite"
    with stub(refuse="model stub-vl has no batches") as port, pytest.raises(FerError) as caught:
        teacher(port, store).ask([request(1)], Told())
    assert "refuses a batch of 1 requests: model stub-vl has no batches" in caught.value.problem
    with stub() as port:
        one = teacher(port, store)
        one.ask([request(1)], Told())
    assert outcomes(one, [request(1)]) == {"ok": 1}


def test_a_batch_in_which_nothing_is_answered_ends_the_run(tmp_path):
    with stub(bad=1) as port, pytest.raises(FerError) as caught:
        teacher(port, tmp_path / "r.sqlite").ask((request(at) for at in range(100)), Told())
    assert "a batch of 100 requests brought no reply: HTTP 400" in caught.value.problem


def test_a_full_queue_is_waited_for(tmp_path):
    log = tmp_path / "log"
    asked = [request(at) for at in range(40)]
    with stub(log, queue=20, takes_s=0.3) as port:
        one, told = teacher(port, tmp_path / "r.sqlite", size=Size(requests=10)), Told()
        assert one.ask(asked, told) is None
    assert told.count() == {("ok", True): 40}
    assert set(paid(log).values()) == {1} and len(paid(log)) == 40
    assert len(logged(log, "uploaded")) == 4, "what the server had no room for is not sent again"


def test_a_batch_that_no_queue_takes_is_an_error(tmp_path):
    with stub(queue=5) as port, pytest.raises(FerError) as caught:
        teacher(port, tmp_path / "r.sqlite").ask([request(at) for at in range(10)], Told())
    assert "Enqueued token limit reached" in caught.value.problem


# --- faults of the server


def test_a_busy_server_and_cut_downloads_are_outlived(tmp_path):
    log = tmp_path / "log"
    asked = [request(at) for at in range(20)]
    with stub(log, cut=2) as port:
        one = teacher(port, tmp_path / "r.sqlite")
        one.ask(asked, Told())
    assert outcomes(one, asked) == {"ok": 20} and set(paid(log).values()) == {1}
    assert len(logged(log, "content")) == 3


def test_a_lost_answer_makes_no_second_batch(tmp_path):
    log = tmp_path / "log"
    asked = [request(at) for at in range(25)]
    with stub(log, lose_answers=2) as port:
        one = teacher(port, tmp_path / "r.sqlite", size=Size(requests=10))
        one.ask(asked, Told())
    assert len(logged(log, "created")) == 3 and set(paid(log).values()) == {1}
    assert outcomes(one, asked) == {"ok": 25}


def test_fewer_replies_than_counted_let_go_of_nothing(tmp_path):
    log, store = tmp_path / "log", tmp_path / "r.sqlite"
    with stub(log, short=2) as port:
        one = teacher(port, store)
        for _ in range(2):
            with pytest.raises(FerError) as caught:
                one.ask([request(at) for at in range(10)], Told())
            assert "gives 8 replies of batch batch-2, and counts 10" in caught.value.problem
    assert states(store) == {"open": 1} and set(paid(log).values()) == {1}


@pytest.mark.parametrize(
    ("value", "problem"), [("", "the API key is not set: STUB_KEY"), ("wrong", "refuses the API key (HTTP 401)")]
)
def test_key_faults(value, problem, tmp_path, monkeypatch):
    monkeypatch.setenv("STUB_KEY", value)
    with stub() as port:
        one = teacher(port, tmp_path / "r.sqlite")
        for call in (one.ready, lambda: one.ask([request(1)], Told())):
            with pytest.raises(FerError) as caught:
                call()
            assert problem in caught.value.problem
    assert not (tmp_path / "r.sqlite").exists()


def test_no_server_and_no_package_are_told(tmp_path, monkeypatch):
    one = teacher(9, tmp_path / "r.sqlite")
    with pytest.raises(FerError) as caught:
        one.ready()
    assert (caught.value.where, "is out of reach" in caught.value.problem) == ("http://127.0.0.1:9/v1", True)
    with pytest.raises(FerError) as caught:
        BatchTeacher(entry(9), tmp_path / "r.sqlite", ("http://a", "http://b"), AskOptions()).ready()
    assert caught.value.problem == "has 2 endpoints"
    monkeypatch.setattr("ferbuild.builders.batch_teacher.find_spec", lambda name: None)
    with pytest.raises(FerError) as caught:
        one.ready()
    assert caught.value.hint == "pip install 'fer-build[openai]'"


def test_a_batch_of_another_account_is_not_let_go(tmp_path):
    store = tmp_path / "r.sqlite"
    with replies.asking(store), batch_ledger.keeping(store) as ledger:
        ledger.write("tag", entry(1), "http://127.0.0.1:1/v1", ["k"], 0.0)
    db = sqlite3.connect(store)
    with stub() as port:
        with db:
            db.execute("update batches set url=?, state='open', batch='batch-99'", (f"http://127.0.0.1:{port}/v1",))
        with pytest.raises(FerError) as caught:
            teacher(port, store).ask([request(1)], Told())
        assert caught.value.problem == "knows no batch batch-99" and "STUB_KEY" in caught.value.hint
        with db:
            db.execute("update batches set at='2020-01-01T00:00:00.000+00:00'")
        teacher(port, store).ask([request(1)], Told())
    assert states(store) == {"done": 2}


# --- what it costs


def test_what_a_request_is_reckoned_at():
    image = {"patch": 28, "min_pixels": 3136, "max_pixels": 1003520}
    made = entry(1, prices=PRICES, image=image)
    asked = request(1, text="x" * 300)
    assert reckon(made, asked, 50) == pytest.approx((104 * 1.0 + 50 * 10.0) * 0.5 / 1e6)
    assert reckon(entry(1), asked, 50) == 0
    assert expected(made, 29, 20.0) == 100 and expected(made, 30, 20.0) == pytest.approx(22)
    assert expected(entry(1, sampling={}), 0, 0.0) == 4096


def test_a_budget_is_kept_and_what_is_over_is_a_halt(tmp_path):
    log, store = tmp_path / "log", tmp_path / "r.sqlite"
    asked = [request(at, text="x" * 297) for at in range(100)]
    # Reckoned: (99 + 100 x 10) x 0.5 each, for replies of 100 tokens; charged: (100 + 20 x 10) x 0.5.
    budget = 20 * (99 + 1000) * 0.5e-6
    with stub(log) as port:
        one, told = teacher(port, store, prices=PRICES, options=AskOptions(budget=budget)), Told()
        halt = one.ask(asked, told)
        assert halt.reason == "budget" and "--budget" in halt.hint
        counts = [int(count) for _, count in logged(log, "created")]
    charged = len(paid(log)) * (100 + 200) * 0.5e-6
    assert counts[0] == 20 and 0.9 * budget < charged <= budget, "what a batch did not use is used by the next"
    assert told.count() == {("ok", True): sum(counts)}
    with stub(log) as port:
        more = teacher(port, store, prices=PRICES, options=AskOptions(budget=1.0))
        assert more.ask(asked, Told()) is None
    assert outcomes(one, asked) == {"ok": 100} and set(paid(log).values()) == {1}


def test_a_budget_without_prices_is_refused_before_anything_is_sent(tmp_path):
    with pytest.raises(FerError) as caught:
        teacher(9, tmp_path / "r.sqlite", options=AskOptions(budget=1.0)).ask([request(1)], Told())
    assert "a budget cannot be kept" in caught.value.problem


# --- interrupted

ASKS = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_batch_teacher as t
asked = (t.request(at) for at in range(60))
try:
    t.teacher(int(sys.argv[2]), Path(sys.argv[3]), size=t.Size(requests=20)).ask(asked, t.Told())
except KeyboardInterrupt:
    sys.exit(130)
"""


def start(port, store):
    command = [sys.executable, "-c", ASKS, str(HERE), str(port), str(store)]
    return subprocess.Popen(command, stderr=subprocess.PIPE)


def wait_for(log, word, *, times=1):
    end = time.monotonic() + 30
    while len(logged(log, word)) < times:
        assert time.monotonic() < end, f"no {word} in time"
        time.sleep(0.01)


STEPS = [
    ("", "uploaded", 1),
    ("uploading", "uploading", 2),
    ("uploaded", "uploaded", 1),
    ("creating", "creating", 1),
    ("created", "created", 1),
    ("content", "content", 1),
    ("deleting", "content", 1),
]


@pytest.mark.parametrize(("hold", "word", "times"), STEPS, ids=[hold or word for hold, word, _ in STEPS])
def test_killed_at_a_step_nothing_is_lost_or_paid_twice(hold, word, times, tmp_path):
    log, store = tmp_path / "log", tmp_path / "r.sqlite"
    asked = [request(at) for at in range(60)]
    with stub(log, hold=hold, hold_at=times, hold_s=1.2, takes_s=0.1) as port:
        process = start(port, store)
        wait_for(log, word, times=times)
        time.sleep(0.1)
        process.kill()
        killed = time.monotonic()
        process.communicate()
        before = [reply for reply in teacher(port, store).recall(asked) if reply]
        one = teacher(port, store, size=Size(requests=20), patience=QUICK._replace(settle=1.5))
        assert one.ask(asked, Told()) is None
        assert outcomes(one, asked) == {"ok": 60} and all(reply in one.recall(asked) for reply in before)
        time.sleep(max(0.0, killed + 1.4 - time.monotonic()))  # what was held is through
        assert len(paid(log)) == 60 and set(paid(log).values()) == {1}
        assert states(store)["done"] == sum(states(store).values())
        assert list(one.folder.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="signals are sent the POSIX way")
def test_ctrl_c_leaves_the_batches_and_the_same_command_collects_them(tmp_path):
    log, store = tmp_path / "log", tmp_path / "r.sqlite"
    asked = [request(at) for at in range(60)]
    with stub(log, takes_s=3.0) as port:
        process = start(port, store)
        wait_for(log, "created", times=3)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=20)[1].decode()
        assert process.returncode == 130, said
        assert "stopped waiting: 3 batches go on at the server; the same command collects them" in said
        one, told = teacher(port, store), Told()
        one.ask(asked, told)
    assert told.count() == {("ok", True): 60}
    assert len(logged(log, "created")) == 3 and set(paid(log).values()) == {1}


def test_batches_of_other_questions_are_not_waited_for_but_collected_when_through(tmp_path, caplog):
    log, store = tmp_path / "log", tmp_path / "r.sqlite"
    old, new = [request(at) for at in range(5)], [request(at, text="What?") for at in range(5)]
    with stub(log, takes_s=1.0) as port:
        process = subprocess.Popen(
            [sys.executable, "-c", ASKS.replace("range(60)", "range(5)"), str(HERE), str(port), str(store)]
        )
        wait_for(log, "created")
        time.sleep(0.2)
        process.kill()
        process.wait()
        one = teacher(port, store)
        one.ask(new, Told())
        assert outcomes(one, new) == {"ok": 5}
        told = Told()
        one.ask([*old, request(9)], told)
    assert outcomes(one, old) == {"ok": 5} and set(paid(log).values()) == {1}


def test_a_second_process_that_asks_is_refused(tmp_path):
    with stub() as port, replies.asking(tmp_path / "r.sqlite"), pytest.raises(FerError) as caught:
        teacher(port, tmp_path / "r.sqlite").ask([request(1)], Told())
    assert "another process is asking" in caught.value.problem


def test_it_is_opened_by_its_kind_without_its_package(tmp_path):
    opened = open_teacher(entry(1), store=tmp_path / "r.sqlite", options=AskOptions(endpoints=("http://h/v1/",)))
    assert isinstance(opened, BatchTeacher) and opened.urls == ("http://h/v1",) and not opened.baseline
    code = "import sys, ferbuild.builders.batch_teacher; print([m for m in ('openai', 'datasets') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
