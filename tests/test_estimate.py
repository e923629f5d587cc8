"""What asking for all would cost, reckoned from a handful: the arithmetic on numbers, the rest against a stub."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferbuild.builders import estimate
from ferbuild.builders.errors import FerError
from ferbuild.builders.estimate import HANDFUL, Pilot, Range, Trial, duration, handful, latencies, mean, pilot, reckon
from ferbuild.builders.replies import Reply, Request, Usage
from ferbuild.builders.stage import Job
from ferbuild.builders.teacher import AskOptions, Halt, open_teacher
from ferbuild.manifests.schema import TeacherEntry

PRICED = TeacherEntry(name="paid", kind="http", model="m", prices={"input": 2.0, "output": 10.0})
LOCAL = TeacherEntry(name="mine", kind="http", model="m")
AS_USUAL = AskOptions()


def trials(*seconds, read=1000, written=100):
    return [Trial(Usage(read, written), one) for one in seconds]


# --- the arithmetic


def test_the_interval_of_a_mean_is_students():
    found = mean([1.0, 2.0, 3.0, 4.0])
    # t(3 degrees, 95 %) = 2.353363; deviation 1.290994, over the square root of 4
    assert found == (2.5, pytest.approx(2.5 - 2.353363 * 1.290994 / 2), pytest.approx(2.5 + 2.353363 * 1.290994 / 2))
    assert mean([7.0]) == (7.0, None, None), "one number tells of no spread"
    assert mean([0.0, 10.0]).low == 0.0, "no figure here is ever below 0"


def test_nine_of_ten_handfuls_hold_the_true_mean():
    rng = random.Random(5)
    drawn = [mean([rng.expovariate(1 / 400) for _ in range(HANDFUL)]) for _ in range(2000)]
    inside = sum(one.low <= 400 <= one.high for one in drawn) / len(drawn)
    assert 0.85 < inside < 0.92, "long tails cost a little"


def test_tokens_and_cost_are_the_means_times_what_is_left():
    found = reckon(Pilot(trials(1.0, 1.0), ()), PRICED, AS_USUAL, requests=1000, left=500)
    assert found.read == (500_000, 500_000, 500_000)
    assert found.written == (50_000, 50_000, 50_000)
    assert found.cost == pytest.approx((1.5, 1.5, 1.5))
    assert found.spent == pytest.approx(0.006)
    assert (found.requests, found.left, found.trials, found.tried_now) == (1000, 500, 2, 2)
    assert found.notes == ()


def test_what_was_stored_before_tells_of_tokens_but_not_of_time_or_money():
    found = reckon(Pilot(trials(None, None), ()), PRICED, AS_USUAL, requests=10, left=5)
    assert (found.seconds, found.spent, found.tried_now) == (None, 0.0, 0)
    assert found.cost == pytest.approx((0.015, 0.015, 0.015))
    assert found.notes == ("the whole handful was stored before, so that no time was measured",)


@pytest.mark.parametrize(
    ("options", "value", "high"),
    [
        (AskOptions(concurrency=64), 6400 * 2 / 64, 6400 * 2 / 24),
        (AskOptions(concurrency=10), 6400 * 2 / 10, 6400 * 2 / 10),
        (AskOptions(concurrency=64, rpm=60), 6400, 6400),
        (AskOptions(concurrency=64, rpm=6000), 6400 * 2 / 64, 6400 * 2 / 24),
        (AskOptions(concurrency=64, tpm=66_000), 6400, 6400),
    ],
)
def test_time_goes_by_latency_slots_and_limits(options, value, high):
    same = Range(2.0, 2.0, 2.0)
    found = duration(6400, same, Range(1100, 1100, 1100), options, tried_at_once=24)
    assert found == pytest.approx((value, value, high))


def test_nothing_left_takes_no_time_and_anything_at_least_one_reply():
    two, size = Range(2.0, 1.0, 3.0), Range(10, 10, 10)
    assert duration(0, two, size, AS_USUAL, tried_at_once=24) == (0, 0, 0)
    assert duration(1, two, size, AS_USUAL, tried_at_once=24) == (2, 1, 3)


def test_latencies_leave_out_the_wait_for_a_slot():
    # two slots, four requests taken on at 0; each is served in 1 s
    assert latencies([0, 0, 0, 0], [1, 1, 2, 2], 2) == [1, 1, 1, 1]
    assert latencies([0, 0, 0, 0], [1, 1, 2, 2], 4) == [1, 1, 2, 2]
    assert latencies([5, 6], [7, 7], 64) == [2, 1]
    assert latencies([], [], 3) == []


@given(st.lists(st.floats(0.01, 5), min_size=1, max_size=40), st.integers(1, 50))
def test_latencies_are_those_of_a_queue(times, slots):
    """A server of `slots` slots that takes requests in turn: what it took for each comes out again."""
    free, done = [0.0] * slots, []
    for each in times:
        at = free.index(min(free))
        free[at] += each
        done.append(free[at])
    assert latencies([0.0] * len(times), done, slots) == pytest.approx(times, abs=1e-6)


@given(st.lists(st.integers(0, 60), max_size=20), st.integers(1, 40))
def test_a_handful_is_spread_over_all_jobs(sizes, count):
    jobs = [Job(rows, at) for at, rows in enumerate(sizes)]
    starts = [sum(sizes[:at]) for at in range(len(sizes))]
    chosen = [starts[job.work] + at for job, inside in handful(jobs, count) for at in inside]
    total = sum(sizes)
    assert chosen == sorted(set(chosen)) and len(chosen) == min(count, total)
    assert all(0 <= at < total for at in chosen)
    if total > count:
        gaps = [b - a for a, b in pairwise(chosen)]
        assert all(total // count <= gap <= total // count + 1 for gap in gaps)


def test_kept_has_wilsons_interval():
    tried = [Trial(Usage(1, 1), 1.0, kept=at < 6) for at in range(24)]
    share, low, high = reckon(Pilot(tried, ()), LOCAL, AS_USUAL, requests=9, left=9).kept
    assert share == 0.25 and (low, high) == pytest.approx((0.13519, 0.41548), abs=1e-4)


@pytest.mark.parametrize(
    ("found", "entry", "options", "note"),
    [
        (Pilot(trials(1.0), ("HTTP 500",)), LOCAL, AS_USUAL, "1 of the handful came to nothing, the first: HTTP 500"),
        (Pilot(trials(1.0), (), "raise it"), LOCAL, AS_USUAL, "the handful was not asked to its end: raise it"),
        (Pilot(trials(1.0, read=0, written=0), ()), LOCAL, AS_USUAL, "the server counts no tokens"),
        (Pilot(trials(1.0), ()), PRICED.model_copy(update={"kind": "batch"}), AS_USUAL, "a batch takes up to 24 hours"),
        (Pilot(trials(1.0), ()), PRICED, AskOptions(budget=1.0), "the budget of $1.00 may end the run"),
    ],
)
def test_notes(found, entry, options, note):
    notes = reckon(found, entry, options, requests=1000, left=1000).notes
    assert len(notes) == 1 and notes[0].startswith(note)


def test_a_budget_that_suffices_is_not_mentioned():
    assert reckon(Pilot(trials(1.0), ()), PRICED, AskOptions(budget=10), requests=1000, left=1000).notes == ()


def test_json_holds_every_figure():
    told = reckon(Pilot(trials(1.0, 2.0), ()), LOCAL, AS_USUAL, requests=100, left=50).as_json()
    assert told["read"] == {"value": 50_000, "low": 50_000, "high": 50_000}
    assert (told["cost"], told["kept"], told["spent"], told["level"], told["notes"]) == (None, None, None, 0.9, [])
    assert set(told["seconds"]) == {"value", "low", "high"}


# --- the handful


class Told:
    """A teacher that says what a test has it say."""

    name, baseline = "told", False

    def __init__(self, say, halt=None):
        self.say, self.halt, self.asked = say, halt, []

    def ready(self):
        pass

    def ask(self, requests, watch):
        for one in requests:
            self.asked.append(one)
            watch(one, *self.say(one))
        return self.halt

    def recall(self, requests):
        return [self.say(one)[0] for one in requests]


def request(at):
    return Request(f"id{at}", ({"role": "user", "content": "Which?"},), (), ("fear", "anger"), None)


def said(outcome="ok", detail=""):
    return Reply("fear", "stop", outcome, detail, Usage(10, 2))


def test_no_more_than_a_handful_is_asked():
    taken = []
    teacher = Told(lambda one: (said(), True))
    found = pilot(teacher, (taken.append(at) or request(at) for at in range(1000)), 1000, PRICED, AS_USUAL, stored=100)
    assert (len(teacher.asked), len(taken), found.trials) == (HANDFUL, HANDFUL, HANDFUL)
    assert (found.requests, found.left) == (1000, 1000 - 100 - HANDFUL)


def test_the_share_kept_is_the_judges():
    teacher = Told(lambda one: (said(), int(one.id[2:]) % 2 == 0))
    found = pilot(
        teacher, map(request, range(10)), 10, LOCAL, AS_USUAL, judge=lambda one, _: ("fear", True, one.id < "id3")
    )
    assert found.kept.value == 0.3
    assert (found.trials, found.tried_now, found.left) == (10, 5, 5)


def test_a_handful_that_comes_to_nothing_says_why():
    with pytest.raises(FerError) as caught:
        pilot(Told(lambda one: (said("gave up", "HTTP 400: no"), True)), [request(1)], 9, LOCAL, AS_USUAL)
    assert caught.value.problem == "none of the handful brought a reply: HTTP 400: no"
    with pytest.raises(FerError) as caught:
        pilot(Told(lambda one: (None, False), Halt("budget", "raise it")), [request(1)], 9, LOCAL, AS_USUAL)
    assert caught.value.problem == "none of the handful brought a reply: raise it"
    with pytest.raises(FerError) as caught:
        pilot(Told(lambda one: (None, False)), [], 0, LOCAL, AS_USUAL)
    assert caught.value.problem == "none of the handful brought a reply: there was nothing to ask"


def test_what_is_stored_is_counted_without_asking():
    teacher = Told(lambda one: ({"id0": said(), "id1": said("gave up")}.get(one.id), False))
    assert estimate.count_stored(teacher, map(request, range(200))) == 1
    assert teacher.asked == []


def test_against_a_server_time_and_tokens_are_what_it_takes(tmp_path: Path):
    from test_teacher import entry, request, served, stub

    log = tmp_path / "log"
    with stub(log, delay_ms=200) as port:
        made = entry(port, prices={"input": 1.0, "output": 2.0})
        options = AskOptions(concurrency=8)
        teacher = open_teacher(made, store=tmp_path / "r.sqlite", options=options)
        some = [request(at) for at in range(100)]
        first = pilot(teacher, some[:HANDFUL], 1000, made, options)
        again = pilot(teacher, some[:HANDFUL], 1000, made, options, stored=HANDFUL)
    assert sum(served(log).values()) == HANDFUL, "the second time nothing is paid for"
    assert (first.left, again.left, again.tried_now, again.spent) == (1000 - HANDFUL, 1000 - HANDFUL, 0, 0.0)
    assert again.read == first.read
    assert first.read.value == 100 * first.left and first.written.value == 20 * first.left
    assert first.cost.value == pytest.approx((100 * 1.0 + 20 * 2.0) * first.left / 1e6)
    assert first.spent == pytest.approx(140 * HANDFUL / 1e6)
    ideal = first.left * 0.2 / 8
    assert ideal * 0.95 < first.seconds.low <= first.seconds.value < ideal * 1.8, first.seconds
    assert again.seconds is None
