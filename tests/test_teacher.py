import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from asked import (
    HERE,
    PNG,
    QUICK,
    Told,
    attempts,
    entry,
    ignore,
    outcomes,
    request,
    served,
    stored_keys,
    stub,
    teacher,
    wait_for,
)

from ferbuild.builders import replies
from ferbuild.builders.chat import data_url, read_fault
from ferbuild.builders.errands import HOPELESS
from ferbuild.builders.errors import FerError
from ferbuild.builders.replies import Reply, Usage, chat_body
from ferbuild.builders.teacher import AskOptions, GeometryTeacher, open_teacher
from ferbuild.manifests import load

# --- requests and keys


def test_body_is_canonical_and_holds_no_picture_no_id():
    one = request(1)
    picture = hashlib.sha256(one.images[0]).hexdigest()
    assert one.body().decode() == (
        f'{{"choices":["happiness","fear"],"images":["{picture}"],"measured":null,'
        '"messages":[{"content":"Which?","role":"user"}],"sample":0}'
    )
    assert b"pixels" not in one.body() and b"id1" not in one.body()
    assert one._replace(id="other").body() == one.body()
    measured = {"b": 1.5, "a": {"y": None, "x": 2}}
    twin = {"a": {"x": 2, "y": None}, "b": 1.5}
    assert one._replace(measured=measured).body() == one._replace(measured=twin).body()


@pytest.mark.parametrize(
    "changed",
    [
        {"messages": ({"role": "user", "content": "What?"},)},
        {"images": (b"\xff\xd8\xff",)},
        {"choices": ("fear", "happiness")},
        {"measured": {"yaw": 1.0}},
        {"sample": 1},
    ],
)
def test_body_changes_with_all_a_teacher_sees(changed):
    assert request(1)._replace(**changed).body() != request(1).body()


def test_key_is_of_what_is_sent():
    key = teacher(1, Path("x")).key
    assert key(request(1)) == key(request(1)._replace(id="other", choices=(), measured={"yaw": 1}))
    others = [request(2), request(1, text="What?"), request(1, sample=1)]
    keys = {key(request(1)), *map(key, others)}
    keys |= {teacher(1, Path("x"), sampling={"temperature": 0.8}).key(request(1))}
    keys |= {teacher(1, Path("x"), model="other").key(request(1))}
    assert len(keys) == 6
    assert teacher(2, Path("y"), name="other").key(request(1)) == key(request(1))


def test_pictures_follow_the_text_and_samples_count_the_seed():
    system = {"role": "system", "content": "Be brief."}
    asked = request(1)._replace(messages=(system, *request(1).messages), sample=3)
    body = chat_body("m", {"seed": 5, "top_p": 0.9}, asked, lambda image: "URL")
    parts = [{"type": "text", "text": "Which?"}, {"type": "image_url", "image_url": {"url": "URL"}}]
    assert body == {
        "model": "m",
        "messages": [system, {"role": "user", "content": parts}],
        "seed": 8,
        "top_p": 0.9,
    }
    assert chat_body("m", {}, asked._replace(images=()), data_url)["messages"][-1]["content"] == "Which?"


@pytest.mark.parametrize(
    ("picture", "start"),
    [
        (PNG, "data:image/png;base64,iVBOR"),
        (b"\xff\xd8\xff\xe0", "data:image/jpeg;base64,/9j/4A=="),
        (b"RIFF1234WEBP", "data:image/webp;base64,"),
        (b"BM12", "data:image/bmp;base64,"),
    ],
)
def test_data_url_tells_the_format_by_the_first_bytes(picture, start):
    assert data_url(picture).startswith(start)


@pytest.mark.parametrize(
    ("header", "low", "high"),
    [("2", 2, 2), ("0", 0, 0), ("99999", 300, 300), ("-5", 0, 0), ("nan", None, None), ("soon", None, None)],
)
def test_retry_after(header, low, high):
    after = read_fault(429, b"", header).after_s
    assert after is None if low is None else low <= after <= high


def test_retry_after_as_a_date():
    assert read_fault(503, b"", "Wed, 21 Oct 2015 07:28:00 GMT").after_s == 0
    assert read_fault(503, b"", "Wed, 21 Oct 2099 07:28:00 GMT").after_s == 300


# --- opening


def test_geometry_needs_no_store_and_computes(monkeypatch, tmp_path):
    geometry = pytest.importorskip("ferbuild.builders.geometry")
    monkeypatch.setattr(geometry, "answer", lambda measured, choices, known: f"{measured} {choices}")
    opened = open_teacher(load.load_teacher("geometry"), store=tmp_path / "r.sqlite")
    assert isinstance(opened, GeometryTeacher) and opened.baseline and opened.name == "geometry"
    opened.ask([request(1)], ignore)
    asked = request(1)._replace(measured={"yaw": 1})
    assert opened.recall([asked]) == [Reply("{'yaw': 1} ('happiness', 'fear')", "stop", "ok")]
    assert list(tmp_path.iterdir()) == []


def test_every_shipped_entry_opens(tmp_path):
    for name in load.entries("teachers.yaml"):
        made = load.load_teacher(name)
        opened = open_teacher(made, store=tmp_path / "r.sqlite")
        assert opened.name == name
        assert opened.baseline == (name == "geometry")
        assert bool(made.key) == (made.party == "third") == bool(made.prices)
        assert made.kind == "geometry" or made.terms
        assert made.kind in ("geometry", "vllm") or made.party == "third" or made.model in made.serve


@pytest.mark.parametrize(
    ("changes", "options", "problem"),
    [
        ({}, {"endpoints": ("localhost:8000/v1",)}, "is no endpoint"),
        ({}, {"concurrency": 0}, "cannot ask 0 at a time"),
        ({}, {"rpm": 0}, "cannot ask 0 a minute"),
        ({}, {"tpm": -1}, "cannot ask -1 a minute"),
        ({}, {"budget": 5.0}, "a budget cannot be kept without prices"),
    ],
)
def test_what_cannot_be_opened_says_why(changes, options, problem, tmp_path):
    with pytest.raises(FerError) as caught:
        open_teacher(entry(**changes), store=tmp_path / "r.sqlite", options=AskOptions(**options))
    assert problem in caught.value.problem


def test_endpoints_stand_in_for_the_entrys(tmp_path):
    opened = open_teacher(entry(), store=tmp_path / "r.sqlite", options=AskOptions(("http://h:1/v1/",), 3))
    assert (opened.urls, opened.limits.concurrency) == (("http://h:1/v1",), 3)


# --- asking


def test_replies_are_stored_once_and_belong_to_their_requests(tmp_path):
    log, store = tmp_path / "log", tmp_path / "deep" / "replies.sqlite"
    asked = [request(at) for at in range(50)] + [request(7), request(7, sample=1)]
    with stub(log) as port:
        one = teacher(port, store)
        told = Told()
        assert one.ask(iter(asked), told) is None
        assert (told.ids, told.fresh) == ({asked[at].id: 3 if at == 7 else 1 for at in range(50)}, 51)
        assert Counter(served(log).values()) == {1: 49, 2: 1}  # two samples have one body where no seed is set
        again = Told()
        one.ask(asked, again)
        assert (again.ids, again.fresh) == (told.ids, 0)
        assert sum(served(log).values()) == 51
    got = one.recall(asked)
    assert all(reply.outcome == "ok" and reply.finish == "stop" for reply in got)
    assert got[50] == got[7] and len({reply.text for reply in got}) == 50
    assert outcomes(store) == {"ok": 51}
    row = sqlite3.connect(store).execute("select * from replies").fetchone()
    assert row[1:4] == ("stub", "stub-vl", "ok")
    assert row[7] == '{"prompt_tokens":100,"completion_tokens":20,"total_tokens":120}'
    assert row[9] == f"http://127.0.0.1:{port}/v1" and row[10].endswith("+00:00")
    assert b"pixels" not in store.read_bytes() and b"data:image" not in store.read_bytes()


def test_a_rerun_with_everything_stored_needs_no_server_no_key(tmp_path):
    store = tmp_path / "r.sqlite"
    with stub() as port:
        teacher(port, store).ask([request(1)], ignore)
    told = Told()
    teacher(1, store, key="NOT_SET_ANYWHERE").ask([request(1)], told)
    assert (told.ids, told.fresh, told.replies[0].outcome) == ({"id1": 1}, 0, "ok")
    assert teacher(1, store).recall([request(1), request(2)])[1] is None


@pytest.mark.parametrize(
    ("text", "said", "outcome", "finish"),
    [
        ("EMPTY", "", "empty", "stop"),
        ("LONG", "<think>on and on", "truncated", "length"),
        ("REASONING", "<think>wide eyes</think>\n<answer>fear</answer>", "ok", "stop"),
        ("HALF", "<think>wide eyes</think><answer>fear</answer>", "ok", "stop"),
    ],
)
def test_outcomes_and_where_servers_put_the_thinking(text, said, outcome, finish, tmp_path):
    log = tmp_path / "log"
    with stub(log) as port:
        one = teacher(port, tmp_path / "r.sqlite")
        one.ask([request(1, text=text)], ignore)
        one.ask([request(1, text=text)], ignore)
    assert one.recall([request(1, text=text)]) == [Reply(said, finish, outcome, "", Usage(100, 20))]
    asked = 1 if outcome == "ok" else 1 + QUICK.again  # a reply of no use is asked for anew, so often
    assert (sum(served(log).values()), attempts(tmp_path / "r.sqlite")) == (
        asked,
        {outcome: asked - 1} if asked > 1 else {},
    )


def test_every_kind_of_fault_is_outlived(tmp_path):
    log = tmp_path / "log"
    asked = [request(at) for at in range(120)]
    with stub(log, faults=0.5, seed=3) as port:
        one = teacher(port, tmp_path / "r.sqlite")
        one.ask(asked, ignore)
    assert [reply.outcome for reply in one.recall(asked)] == ["ok"] * 120
    assert set(served(log).values()) == {1}
    kinds = {line.split()[1] for line in log.read_text().splitlines()}
    assert kinds == {"200", "429", "500", "503", "reset", "hang", "cut", "odd", "html"}


def test_what_is_given_up_is_no_reply_and_is_asked_again(tmp_path, caplog, monkeypatch):
    monkeypatch.setenv("STUB_KEY", "sk-secret")
    store, log = tmp_path / "r.sqlite", tmp_path / "log"
    asked = [request(at) for at in range(30)] + [request(30, image=b"no picture")]
    with stub(log, faults=1, kinds="400", patience=2, key="sk-secret") as port:
        one = teacher(port, store, key="STUB_KEY")
        told = Told()
        one.ask(asked, told)
        assert (told.ids.total(), told.fresh) == (31, 31)
        assert {reply.outcome for reply in (*told.replies, *one.recall(asked))} == {"gave up"}
        assert len(log.read_text().splitlines()) == 30, "a bad request is not sent twice"
        assert outcomes(store) == {"gave up": 31}
        one.ask(asked, ignore)
    assert [reply.outcome for reply in one.recall(asked)] == ["ok"] * 30 + ["gave up"]
    assert attempts(store) == {"HTTP 400": 30}
    assert outcomes(store) == {"gave up": 1, "ok": 30}
    assert "31 requests came to nothing" in caplog.text
    assert (
        "in no format that a chat server takes"
        in sqlite3.connect(store).execute("select detail from replies where outcome = 'gave up'").fetchone()[0]
    )
    stored = b"".join(path.read_bytes() for path in tmp_path.glob("r.sqlite*"))
    assert b"sk-secret" not in stored and "sk-secret" not in caplog.text


def test_a_bounded_number_of_attempts(tmp_path):
    log = tmp_path / "log"
    with stub(log, faults=1, kinds="500", patience=1000) as port:
        one = teacher(port, tmp_path / "r.sqlite")
        one.ask([request(1)], ignore)
    assert log.read_text().count(" 500") == QUICK.attempts
    assert (attempts(tmp_path / "r.sqlite"), one.recall([request(1)])[0].outcome) == ({"HTTP 500": 6}, "gave up")


def test_a_run_in_which_nothing_comes_back_ends(tmp_path):
    log = tmp_path / "log"
    with stub(log, faults=1, kinds="400", patience=1000) as port, pytest.raises(FerError) as caught:
        teacher(port, tmp_path / "r.sqlite").ask((request(at) for at in range(1000)), ignore)
    assert f"{HOPELESS} requests in a row came to nothing: HTTP 400" in caught.value.problem
    assert HOPELESS <= len(log.read_text().splitlines()) <= HOPELESS + QUICK.concurrency


def test_no_server_names_the_url_and_how_to_start_one(tmp_path):
    made = entry(9, serve="vllm serve stub-vl")
    opened = open_teacher(made, store=tmp_path / "r.sqlite")
    taken = []
    with pytest.raises(FerError) as caught:
        opened.ask((taken.append(at) or request(at) for at in range(10_000)), ignore)
    assert caught.value.where == "http://127.0.0.1:9/v1"
    assert caught.value.problem == "no server answers there"
    assert caught.value.hint == "start one: vllm serve stub-vl"
    assert len(taken) < 100, "requests are not read ahead of the probe"
    assert not (tmp_path / "r.sqlite").exists()


def test_key_faults(tmp_path, monkeypatch):
    with stub(key="right") as port:
        for value, where, problem in (
            (None, "teacher stub", "the API key is not set: STUB_KEY"),
            ("", "teacher stub", "the API key is not set: STUB_KEY"),
            ("wrong", f"http://127.0.0.1:{port}/v1", "refuses the API key (HTTP 401)"),
        ):
            monkeypatch.delenv("STUB_KEY", raising=False)
            if value is not None:
                monkeypatch.setenv("STUB_KEY", value)
            with pytest.raises(FerError) as caught:
                teacher(port, tmp_path / "r.sqlite", key="STUB_KEY").ask([request(1)], ignore)
            assert (caught.value.where, caught.value.problem) == (where, problem)


def test_another_served_model_is_a_warning(tmp_path, caplog):
    with stub(model="smaller-vl") as port:
        one = teacher(port, tmp_path / "r.sqlite")
        one.ask([request(1)], ignore)
    assert "serves smaller-vl, the teacher's entry names stub-vl" in caplog.text
    assert one.recall([request(1)])[0].outcome == "ok"


def test_two_servers_share_the_work_and_a_dead_one_is_left_out(tmp_path, caplog):
    logs = [tmp_path / "a", tmp_path / "b"]
    asked = [request(at) for at in range(60)]
    with stub(logs[0], delay_ms=5) as one, stub(logs[1], delay_ms=5) as two:
        made = teacher(one, tmp_path / "r.sqlite", endpoints=[f"http://127.0.0.1:{p}/v1" for p in (one, two, 9)])
        made.ask(asked, ignore)
    assert [sum(served(log).values()) > 15 for log in logs] == [True, True]
    assert sum(sum(served(log).values()) for log in logs) == 60
    assert "http://127.0.0.1:9/v1: no server answers" in caplog.text


def test_a_second_process_that_asks_is_refused_and_reading_goes_on(tmp_path):
    store = tmp_path / "r.sqlite"
    with stub() as port:
        one = teacher(port, store)
        one.ask([request(1)], ignore)
        with replies.asking(store), pytest.raises(FerError) as caught:
            assert one.recall([request(1)])[0].outcome == "ok"
            one.ask([request(2)], ignore)
        assert "another process is asking" in caught.value.problem
        one.ask([request(2)], ignore)


def test_a_file_that_is_no_store_is_an_error(tmp_path):
    store = tmp_path / "r.sqlite"
    store.write_bytes(b"not a database, by far" * 100)
    with pytest.raises(FerError) as caught:
        teacher(1, store).recall([request(1)])
    assert "file is not a database" in caught.value.problem


def test_a_fault_in_the_requests_keeps_what_came_back(tmp_path):
    def breaking():
        yield from (request(at) for at in range(200))
        raise OSError("a shard cannot be read")

    with stub() as port:
        one = teacher(port, tmp_path / "r.sqlite")
        with pytest.raises(OSError, match="a shard cannot be read"):
            one.ask(breaking(), ignore)
    came = [reply for reply in one.recall([request(at) for at in range(200)]) if reply]
    assert len(came) >= 200 - 64 - 2 * QUICK.concurrency


# --- interrupted

ASKS = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import asked as t
asked = (t.request(at) for at in range(400))
try:
    t.teacher(int(sys.argv[2]), Path(sys.argv[3]), limits=t.Limits(concurrency=16)).ask(asked, t.ignore)
except KeyboardInterrupt:
    sys.exit(130)
"""


def start_asking(port, store):
    return subprocess.Popen([sys.executable, "-c", ASKS, str(HERE), str(port), str(store)], stderr=subprocess.PIPE)


@pytest.mark.parametrize("answers", [20, 111, 300])
def test_kill_9_loses_no_stored_reply_and_pays_none_twice(answers, tmp_path):
    log, store = tmp_path / "log", tmp_path / "r.sqlite"
    asked = [request(at) for at in range(400)]
    with stub(log, delay_ms=20) as port:
        process = start_asking(port, store)
        wait_for(log, answers)
        process.kill()
        process.communicate()
        one = teacher(port, store)
        before = one.recall(asked)
        kept = [reply for reply in before if reply]
        paid = served(log)
        assert answers - 2 * 64 <= len(kept) <= sum(paid.values()) < 400
        one.ask(asked, ignore)
        after = one.recall(asked)
        assert sqlite3.connect(store).execute("pragma integrity_check").fetchone() == ("ok",)
    assert all(reply and reply.outcome == "ok" for reply in after)
    assert [now for now, then in zip(after, before, strict=True) if then] == kept
    twice = {key for key, times in served(log).items() if times > 1}
    said = " ".join(reply.text for reply in kept)
    assert not [key for key in twice if key in said], "a stored reply was paid for again"
    assert len(twice) <= 16 + 64
    assert set(served(log)) >= set(paid)


@pytest.mark.skipif(os.name != "posix", reason="signals are sent the POSIX way")
def test_ctrl_c_stores_what_is_in_flight(tmp_path):
    log, store = tmp_path / "log", tmp_path / "r.sqlite"
    with stub(log, delay_ms=200) as port:
        process = start_asking(port, store)
        wait_for(log, 40)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
        assert process.returncode == 130, said.decode()
        assert 40 <= len(stored_keys(store)) == sum(served(log).values()) < 200
        assert b"replies are in flight and will be stored" in said


@pytest.mark.skipif(os.name != "posix", reason="signals are sent the POSIX way")
def test_a_second_ctrl_c_does_not_wait(tmp_path):
    log, store = tmp_path / "log", tmp_path / "r.sqlite"
    with stub(log, faults=0.2, kinds="hang", patience=2, seed=1, delay_ms=5) as port:
        process = start_asking(port, store)
        wait_for(log, 12)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert process.poll() is None, "the first waits for what hangs"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=15)
        assert process.returncode in (130, -signal.SIGINT)
    assert len(stored_keys(store)) == sum(served(log).values())
