"""The teacher in process against a stand-in for vLLM, whose signatures are vLLM's; for the real one see test_real.py.

Each run is a process of its own, since the stand-in must not be found by any other test.
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import orjson
import pytest

from ferbuild.builders import replies
from ferbuild.builders.errors import FerError
from ferbuild.builders.http_teacher import HttpTeacher
from ferbuild.builders.replies import Request
from ferbuild.builders.teacher import open_teacher
from ferbuild.builders.vllm_teacher import VllmTeacher
from ferbuild.manifests.schema import TeacherEntry

HERE = Path(__file__).parent
JPEG = b"\xff\xd8\xff\xe0"
ENGINE = {"max_model_len": 512, "limit_mm_per_prompt": {"image": 1}}
RUNS = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_vllm_teacher as t
told = []
one = t.teacher(Path(sys.argv[2]), **json.loads(sys.argv[3]))
said = t.asked(json.loads(sys.argv[4]))
print("halt", one.ask(said, lambda asked, reply, now: told.append([asked.id, reply.outcome, now])))
print(json.dumps(told))
"""


def request(at, text="Which?", sample=0, picture=JPEG):
    return Request(
        f"id{at}", ({"role": "user", "content": text},), (picture + str(at).encode(),), ("fear",), None, sample
    )


def asked(rows):
    """Return requests of rows [at, text, sample]; a generator, as a stage gives them."""
    return (request(at, text or "Which?", sample) for at, text, sample in rows)


def entry(**changes):
    said = {"name": "local", "kind": "vllm", "model": "stub-vl", "sampling": {"temperature": 0.7, "seed": 3}}
    return TeacherEntry(**said | {"engine": ENGINE} | changes)


def teacher(store, *, chunk=4, **changes):
    return VllmTeacher(entry(**changes), store, chunk)


def command(store, rows, changes):
    words = [str(HERE), str(store), orjson.dumps(changes).decode(), orjson.dumps(rows).decode()]
    return [sys.executable, "-c", RUNS, *words]


def environment(store):
    return os.environ | {"PYTHONPATH": str(HERE / "fake_vllm"), "FAKE_VLLM_LOG": str(store.with_suffix(".log"))}


def run(store, rows, **changes):
    """Ask in a process of its own; return what was told, and what its error output was."""
    ran = subprocess.run(command(store, rows, changes), env=environment(store), capture_output=True, text=True)
    told = json.loads(ran.stdout.splitlines()[-1]) if ran.returncode == 0 else None
    return told, ran.stderr


def noted(store):
    log = store.with_suffix(".log")
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def test_chunks_in_the_order_given_each_stored_and_told_once(tmp_path):
    store = tmp_path / "deep" / "r.sqlite"
    store.parent.mkdir()
    rows = [[at, "", sample] for at in range(5) for sample in range(2)] + [[0, "", 0]]
    told, _ = run(store, rows)
    assert told == [[f"id{at}", "ok", True] for at in range(5) for _ in range(2)] + [["id0", "ok", False]]
    loaded, *chunks = noted(store)
    assert loaded == {"loaded": "stub-vl", "engine": ENGINE}
    assert [chunk["asked"] for chunk in chunks] == [4, 4, 2]
    assert [chunk["seeds"] for chunk in chunks] == [[3, 4, 3, 4], [3, 4, 3, 4], [3, 4]]
    assert chunks[0]["first"][0]["content"][0] == {"type": "text", "text": "Which?"}
    got = teacher(store).recall(list(asked(rows)))
    assert {reply.text for reply in got} == {"<answer>happiness</answer> 3", "<answer>happiness</answer> 4"}
    assert {reply.usage for reply in got} == {(100, 20)}
    again, _ = run(store, rows)
    assert again == [[name, "ok", False] for name, _, _ in told] and len(noted(store)) == 4
    row = sqlite3.connect(store).execute("select * from replies").fetchone()
    assert row[1:4] == ("local", "stub-vl", "ok") and "in process" in row


def test_its_replies_and_those_of_a_server_stand_for_each_other(tmp_path):
    served = TeacherEntry(name="served", kind="http", model="stub-vl", sampling=entry().sampling)
    for one in (request(1), request(1, sample=2), request(2, "What?")):
        assert HttpTeacher(served, tmp_path, ()).key(one) == teacher(tmp_path).key(one)


def test_sampling_is_what_a_server_would_make_of_it(tmp_path):
    store = tmp_path / "r.sqlite"
    words = {"top_p": 0.9, "max_completion_tokens": 64, "chat_template_kwargs": {"enable_thinking": False}}
    run(store, [[1, "", 0]], sampling=words | {"structured_outputs": {"regex": "a|b"}})
    said = noted(store)[1]
    assert said["sampling"] == {
        "temperature": 0.1,  # of the model's generation_config.json, as are top_k and repetition_penalty
        "top_p": 0.9,
        "top_k": 1,
        "min_p": 0.0,
        "repetition_penalty": 1.05,
        "seed": None,
        "max_tokens": 64,
        "regex": "a|b",
    }
    assert said["chat_template_kwargs"] == {"enable_thinking": False}
    run(store, [[2, "", 0]], sampling={})
    assert noted(store)[3]["sampling"]["max_tokens"] is None, "no limit goes to the end of the context"


def test_one_bad_request_costs_itself_alone(tmp_path):
    store = tmp_path / "r.sqlite"
    texts = ["", "TOO LONG", "LONG", "", "BROKEN", "HALF", "", ""]
    told, _ = run(store, [[at, text, 0] for at, text in enumerate(texts)], chunk=8)
    assert [outcome for _, outcome, _ in told] == ["ok", "gave up", "truncated", "ok", "gave up", "ok", "ok", "ok"]
    got = teacher(store).recall(list(asked([[at, text, 0] for at, text in enumerate(texts)])))
    assert got[1].detail.startswith("VLLMValidationError: The decoder prompt is longer")
    assert got[4].detail == "OSError: image file is truncated"
    assert (got[2].finish, got[5].text) == ("length", "<think>wide eyes</think><answer>fear</answer>")
    again, _ = run(store, [[1, "TOO LONG", 0], [0, "", 0]])
    assert again == [["id0", "ok", False], ["id1", "gave up", True]], "what came to nothing is asked again"


def test_a_picture_of_no_known_format_never_reaches_the_engine(tmp_path, monkeypatch):
    store = tmp_path / "r.sqlite"
    code = RUNS.replace("t.asked(json.loads(sys.argv[4]))", "[t.request(0), t.request(1, picture=b'text')]")
    ran = subprocess.run(
        [sys.executable, "-c", code, str(HERE), str(store), "{}"],
        env=environment(store),
        capture_output=True,
        text=True,
    )
    assert json.loads(ran.stdout.splitlines()[-1]) == [["id0", "ok", True], ["id1", "gave up", True]], ran.stderr
    assert [chunk["asked"] for chunk in noted(store)[1:]] == [1]


def test_a_run_in_which_nothing_comes_back_ends(tmp_path):
    store = tmp_path / "r.sqlite"
    told, said = run(store, [[at, "TOO LONG", 0] for at in range(400)], chunk=64)
    assert told is None and "128 requests in a row came to nothing: VLLMValidationError" in said
    assert sqlite3.connect(store).execute("select count(*) from replies").fetchone() == (128,)


def test_a_dead_engine_ends_the_run_and_keeps_what_came(tmp_path):
    store = tmp_path / "r.sqlite"
    rows = [[at, "DIE" if at == 6 else "", 0] for at in range(12)]
    told, said = run(store, rows)
    assert told is None and "teacher local: vLLM has failed: RuntimeError: EngineCore encountered" in said
    assert Counter(bool(reply) for reply in teacher(store).recall(list(asked(rows)))) == {True: 4, False: 8}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"engine": {"tensor_parallel": 4}}, "vLLM cannot load stub-vl: TypeError: EngineArgs.__init__() got an unex"),
        ({"model": "missing"}, "vLLM cannot load missing: OSError: missing is not a local folder"),
        ({"sampling": {"temprature": 1}}, "sampling: vLLM has no 'temprature' (did you mean 'temperature'?)"),
        ({"sampling": {"top_p": 2}}, "sampling: vLLM refuses it: VLLMValidationError: top_p must be in (0, 1]"),
        ({"sampling": {"structured_outputs": {"guided": "x"}}}, "sampling: vLLM refuses it: TypeError"),
    ],
)
def test_what_vllm_refuses_is_told_before_anything_is_asked(changes, problem, tmp_path):
    store = tmp_path / "r.sqlite"
    told, said = run(store, [[1, "", 0]], **changes)
    assert told is None and problem in said
    assert teacher(store, **changes).recall([request(1)]) == [None]


def test_a_kill_costs_the_chunk_under_way(tmp_path):
    store = tmp_path / "r.sqlite"
    rows = [[at, "SLOW", 0] for at in range(40)]
    process = subprocess.Popen(command(store, rows, {}), env=environment(store), stdout=subprocess.DEVNULL)
    end = time.monotonic() + 30
    while len(noted(store)) < 5 and time.monotonic() < end:
        time.sleep(0.01)
    process.kill()
    process.wait()
    before = [reply for reply in teacher(store).recall(list(asked(rows))) if reply]
    begun = sum(line["asked"] for line in noted(store)[1:])
    assert begun - 4 <= len(before) <= begun and len(before) >= 12
    told, _ = run(store, rows)
    assert Counter(now for _, _, now in told) == {False: len(before), True: 40 - len(before)}
    assert sum(line.get("asked", 0) for line in noted(store)) <= 40 + 4


@pytest.mark.skipif(os.name != "posix", reason="signals are sent the POSIX way")
def test_ctrl_c_says_how_to_go_on(tmp_path):
    store = tmp_path / "r.sqlite"
    rows = [[at, "SLOW", 0] for at in range(400)]
    process = subprocess.Popen(command(store, rows, {}), env=environment(store), stderr=subprocess.PIPE)
    while len(noted(store)) < 3:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=20)[1].decode()
    assert process.returncode != 0, said
    assert "stopped: what is stored is kept; the same command asks for the rest" in said


def test_without_vllm_the_pip_line_is_told_and_nothing_is_stored(tmp_path):
    one = open_teacher(entry(), store=tmp_path / "r.sqlite")
    assert isinstance(one, VllmTeacher) and not one.baseline and one.name == "local"
    for call in (one.ready, lambda: one.ask([request(1)], lambda *said: None)):
        with pytest.raises(FerError) as caught:
            call()
        assert (caught.value.problem, caught.value.hint) == ("vLLM is not installed", "pip install 'fer-build[vllm]'")
    assert not (tmp_path / "r.sqlite").exists() and one.recall([request(1)]) == [None]


def test_another_process_that_asks_is_told_before_the_engine_starts(tmp_path):
    store = tmp_path / "r.sqlite"
    with replies.asking(store):
        told, said = run(store, [[1, "", 0]])
    assert told is None and "another process is asking" in said and noted(store) == []
