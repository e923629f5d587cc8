"""What becomes of an asking when servers fail: every request ends in an outcome, and no server is run over."""

import asyncio
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import pytest
from asked import CHOICES, HERE, Told, attempts, ignore, outcomes, request, served, stored_keys, stub, teacher, two

from ferbuild.builders.endpoints import SICK, Endpoint, Limits, Pool
from ferbuild.builders.errands import FORM_SEEN, HOPELESS, LOOKED_BACK, Tally
from ferbuild.builders.errors import FerError
from ferbuild.filters import answer

MIX = "429,500,503,hang,reset,cut,empty,truncated,badtags"
SOON = Limits(concurrency=32, read_s=1.0, backoff_s=0.02)


def flights(times):
    """Return (seconds since the first request, what happened, requests in flight) from the stub's log."""
    rows = [line.split() for line in times.read_text().splitlines()]
    return [(float(at), what, int(flying)) for at, what, flying, _ in rows]


def test_a_mix_of_faults_costs_no_row(tmp_path):
    log, store = tmp_path / "log", tmp_path / "r.sqlite"
    asked = [request(at) for at in range(300)]
    with stub(log, faults=0.3, kinds=MIX, patience=99, seed=1, delay_ms=20) as port:
        one, told = teacher(port, store, limits=SOON), Told()
        assert one.ask(asked, told) is None
    assert (len(told.ids), told.ids.total(), told.fresh) == (300, 300, 300)
    found = one.recall(asked)
    assert None not in found and sum(outcomes(store).values()) == 300
    usable = sum(answer.read(reply.text, CHOICES).status == "ok" for reply in found)
    assert usable >= 297
    kinds = Counter(line.split()[1] for line in log.read_text().splitlines())
    assert set(kinds) == {"200", *MIX.split(",")}
    stored = attempts(store)
    assert stored["HTTP 429"] == kinds["429"] and stored["timeout"] == kinds["hang"]
    assert stored["cut"] + stored["connection lost"] == kinds["cut"] + kinds["reset"]
    assert sum(stored.values()) == sum(kinds.values()) - 300, "every attempt but the last of each is in the store"


def test_a_storm_of_429_is_waited_out_and_no_stampede_follows(tmp_path):
    times = tmp_path / "times"
    asked = [request(at) for at in range(300)]
    with stub(times=times, storm_s=2, delay_ms=20) as port:
        one = teacher(port, tmp_path / "r.sqlite", limits=Limits(concurrency=64, backoff_s=0.1))
        one.ask(asked, ignore)
    assert [reply.outcome for reply in one.recall(asked)] == ["ok"] * 300
    came = [(at, flying) for at, what, flying in flights(times) if what == "came"]
    assert len([at for at, _ in came if at < 2]) <= 64 + 20, "a server that takes nothing is asked by one at a time"
    after = [(at, flying) for at, flying in came if at >= 2]
    assert after[0][1] == 1
    assert all(flying <= 2 * (1 + n) for n, (_, flying) in enumerate(after)), "more in flight only as replies come"
    assert max(flying for _, flying in after) > 16


def test_one_of_two_servers_dies_and_the_other_does_the_rest(tmp_path):
    logs, store = [tmp_path / "a", tmp_path / "b"], tmp_path / "r.sqlite"
    asked = [request(at) for at in range(300)]
    with stub(logs[0], delay_ms=20) as one:
        dying = stub(logs[1], delay_ms=20)
        made = teacher(one, store, endpoints=two(one, dying.__enter__()), limits=SOON)
        told = Told()
        thread = threading.Thread(target=made.ask, args=(asked, told))
        thread.start()
        while sum(served(logs[1]).values()) < 40:
            time.sleep(0.005)
        dying.__exit__(None, None, None)
        thread.join(60)
    assert told.ids.total() == 300 and outcomes(store) == {"ok": 300}
    assert all(reply.outcome == "ok" for reply in made.recall(asked))
    assert sum(served(logs[0]).values()) >= 200
    assert attempts(store)["unreachable"] < 40, "the dead one is tried now and then only"


def test_a_server_that_is_down_is_taken_back(tmp_path):
    logs = [tmp_path / "a", tmp_path / "b"]
    asked = [request(at) for at in range(900)]
    with stub() as free:
        pass  # the port is free now, and the same a moment later
    with stub(logs[0], delay_ms=100) as one:
        made = teacher(one, tmp_path / "r.sqlite", endpoints=two(one, free), limits=SOON)
        thread = threading.Thread(target=made.ask, args=(asked, ignore))
        thread.start()
        while sum(served(logs[0]).values()) < 10:
            time.sleep(0.005)
        with stub(logs[1], delay_ms=5, port=free):
            thread.join(60)
    assert sum(served(logs[1]).values()) > 50
    assert sum(sum(served(log).values()) for log in logs) == 900


@pytest.mark.parametrize(
    ("kind", "problem", "hint"),
    [
        ("401", "refuses the API key (HTTP 401)", "check the value of STUB_KEY"),
        ("403", "refuses the API key (HTTP 403)", "check the value of STUB_KEY"),
        ("404", "knows no such address or model", "see that the address ends as in …/v1"),
        ("quota", "says that the account has no credit left", "add credit; every reply that came is stored"),
    ],
)
def test_a_refusal_ends_the_run_and_keeps_what_came(kind, problem, hint, tmp_path, monkeypatch):
    monkeypatch.setenv("STUB_KEY", "sk-secret")
    log, store, told = tmp_path / "log", tmp_path / "r.sqlite", Told()
    asked = [request(at) for at in range(200)]
    with stub(log, faults=0.05, kinds=kind, patience=99, seed=2, delay_ms=5) as port, pytest.raises(FerError) as caught:
        teacher(port, store, key="STUB_KEY").ask(asked, told)
    assert caught.value.problem.startswith(problem) and caught.value.hint.startswith(hint)
    assert len(stored_keys(store)) == sum(served(log).values()) < 200
    assert told.fresh == len(stored_keys(store)) and None in told.replies, "the rest is told of as not asked"
    assert b"sk-secret" not in store.read_bytes()


def test_servers_that_answer_nothing_for_long_end_the_run(tmp_path):
    limits = Limits(concurrency=8, backoff_s=0.02, hopeless_s=0.5)
    with stub(storm_s=3600) as port, pytest.raises(FerError) as caught:
        teacher(port, tmp_path / "r.sqlite", limits=limits).ask([request(at) for at in range(50)], ignore)
    assert caught.value.problem.startswith("no server has answered for 0 minutes: HTTP 429")
    assert "a rerun asks only for what is missing" in caught.value.hint


def test_a_run_of_which_more_than_half_comes_to_nothing_ends(tmp_path):
    log = tmp_path / "log"
    with stub(log, faults=0.6, kinds="400", patience=99, seed=4) as port, pytest.raises(FerError) as caught:
        teacher(port, tmp_path / "r.sqlite").ask((request(at) for at in range(5000)), ignore)
    assert f"of the last {LOOKED_BACK} requests came to nothing: HTTP 400" in caught.value.problem
    assert LOOKED_BACK <= len(log.read_text().splitlines()) < 400


def test_a_tally_stops_at_half_and_not_before():
    tally = Tally()
    for _ in range(LOOKED_BACK // 2):
        tally.came()
        assert tally.lost("x") == ""
    assert tally.lost("x").startswith(f"{LOOKED_BACK // 2 + 1} of the last {LOOKED_BACK} requests") is True
    alone = Tally()
    assert [alone.lost("x") for _ in range(HOPELESS - 1)] == [""] * (HOPELESS - 1)
    assert alone.lost("y") == f"{HOPELESS} requests in a row came to nothing" and alone.first_fault == "x"


def test_a_model_that_never_keeps_the_form_is_not_paid_thrice(tmp_path):
    log, asked = tmp_path / "log", [request(at) for at in range(100)]
    with stub(log, faults=1, kinds="badtags", patience=99, delay_ms=2) as port:
        one = teacher(port, tmp_path / "r.sqlite")
        one.ask(asked, ignore)
    assert 100 <= len(log.read_text().splitlines()) <= 100 + 3 * FORM_SEEN + 16
    assert {answer.read(reply.text, CHOICES).status for reply in one.recall(asked)} == {"malformed"}


def test_another_seed_is_sent_when_a_reply_has_no_form(tmp_path):
    log = tmp_path / "log"
    with stub(log, faults=1, kinds="empty", patience=99) as port:
        one = teacher(port, tmp_path / "r.sqlite", sampling={"seed": 7})
        one.ask([request(1)], ignore)
    assert len({line.split()[0] for line in log.read_text().splitlines()}) == 3
    assert [reply.outcome for reply in one.recall([request(1)])] == ["empty"]


# --- one server


def test_an_endpoint_backs_off_and_climbs():
    one = Endpoint("u", 64)
    for _ in range(5):
        one.replied()
    one.pause(time.monotonic(), 0.0)
    assert (int(one.window), one.pauses, int(one.threshold)) == (5, 1, 44)
    one.pause(0.0, 0.0)
    assert one.pauses == 1, "what was in flight when the pause began says nothing new"
    time.sleep(0.001)
    one.pause(time.monotonic(), 0.0)
    assert (int(one.window), one.pauses) == (1, 2)
    for _ in range(44):
        one.replied()
    assert (int(one.window), one.pauses) == (45, 0)
    for _ in range(45):
        one.replied()
    assert 50 < one.window < 54, "above the threshold some eight more a round"
    for _ in range(500):
        one.replied()
    assert one.window == 64


def test_pauses_grow_with_full_jitter_and_end(monkeypatch):
    highs = []
    monkeypatch.setattr(random, "uniform", lambda low, high: highs.append((low, high)) or 0.0)
    one = Endpoint("u", 4, backoff_s=0.5)
    for _ in range(10):
        time.sleep(0.0001)
        one.pause(time.monotonic())
    assert highs == [(0, high) for high in (1, 2, 4, 8, 16, 20, 20, 20, 20, 20)]


def test_many_faults_in_a_row_are_the_servers():
    one = Endpoint("u", 4)
    for _ in range(SICK - 1):
        one.failed(time.monotonic())
    assert one.pauses == 0
    one.failed(time.monotonic())
    assert one.pauses == 1 and one.free_at > 0


def test_a_short_pause_is_not_slept_through_behind_a_long_one():
    async def run():
        far, near = Endpoint("far", 1), Endpoint("near", 1)
        pool = Pool([far, near])
        far.pause(time.monotonic(), 60.0)
        assert await pool.take() is near
        waiter = asyncio.create_task(pool.take())
        await asyncio.sleep(0.01)  # it waits for the far one, or for the place at the near one
        near.pause(time.monotonic(), 0.1)
        pool.give_back(near)
        assert await asyncio.wait_for(waiter, 5) is near

    asyncio.run(run())


def test_places_go_to_the_server_with_least_in_flight_and_rather_not_to_the_one_that_failed():
    async def run():
        one, other = Endpoint("one", 3), Endpoint("other", 3)
        pool = Pool([one, other])
        taken = [(await pool.take()).url for _ in range(4)]
        assert taken == ["one", "other", "one", "other"]
        assert (await pool.take(avoid=one)).url == "other"
        waiting = [asyncio.create_task(pool.take()) for _ in range(3)]
        await asyncio.sleep(0)
        pool.stop()
        assert (await asyncio.gather(*waiting))[1:] == [None, None], "one place was left"

    asyncio.run(run())


# --- killed

ASKS = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import asked as t
one = t.teacher(int(sys.argv[2]), Path(sys.argv[3]), limits=t.Limits(concurrency=16))
one.ask(map(t.request, range(400)), t.ignore)
"""


def test_kill_9_among_faults_loses_nothing_stored(tmp_path):
    log, store = tmp_path / "log", tmp_path / "r.sqlite"
    with stub(log, faults=0.2, kinds="500,cut,empty", patience=99, delay_ms=10) as port:
        process = subprocess.Popen([sys.executable, "-c", ASKS, str(HERE), str(port), str(store)])
        while sum(served(log).values()) < 150:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        kept, paid = stored_keys(store), sum(served(log).values())
        assert paid - 16 - 64 <= len(kept) <= paid
        teacher(port, store).ask(map(request, range(400)), ignore)
    assert kept <= stored_keys(store)
    assert sum(served(log).values()) - len(stored_keys(store)) <= 16 + 64, "paid again: in flight and one commit"
