"""What the user bounds: dollars, requests and tokens a minute; and replies held to a regex."""

import asyncio
import json
import re

import pytest
from asked import CHOICES, Told, attempts, entry, ignore, outcomes, request, served, stored_keys, stub, teacher
from hypothesis import given
from hypothesis import strategies as st

from ferbuild.builders import pacing
from ferbuild.builders.chat import think_then_answer
from ferbuild.builders.endpoints import Limits
from ferbuild.builders.errors import FerError
from ferbuild.builders.pacing import Bucket, Guess, Purse
from ferbuild.builders.replies import Usage
from ferbuild.builders.teacher import AskOptions, open_teacher
from ferbuild.filters import answer

PRICES = {"input": 10.0, "output": 100.0}
ONE = (100 * 10 + 20 * 100) / 1e6  # dollars that a reply of the stub costs
BOUNDED = {"temperature": 0.7, "max_tokens": 20}  # no reply costs more


def test_a_budget_is_spent_to_its_end_and_not_passed(tmp_path):
    log, store, told = tmp_path / "log", tmp_path / "r.sqlite", Told()
    asked = [request(at) for at in range(400)]
    with stub(log, delay_ms=5) as port:
        made = teacher(port, store, prices=PRICES, sampling=BOUNDED, options=AskOptions(budget=100.5 * ONE))
        halt = made.ask(asked, told)
        assert halt.reason == "budget"
        assert "raise --budget and run again" in halt.hint
        paid = sum(served(log).values())
        assert 98 <= paid <= 100 and paid == len(stored_keys(store)) == told.fresh
        assert {reply.outcome for reply in told.replies if reply} == {"ok"}
        assert made.ask(asked[:50], ignore) is None, "what is stored costs nothing"
        again = teacher(port, store, prices=PRICES, sampling=BOUNDED, options=AskOptions(budget=1.0))
        assert again.ask(asked, ignore) is None
    assert (sum(served(log).values()), outcomes(store)) == (400, {"ok": 400})


def test_a_budget_too_small_for_one_reply_sends_nothing(tmp_path):
    log = tmp_path / "log"
    with stub(log) as port:
        made = teacher(port, tmp_path / "r.sqlite", prices=PRICES, options=AskOptions(budget=1e-6))
        halt = made.ask([request(1)], ignore)
    assert halt.reason == "budget" and "$0.0000 of the budget of $1e-06 are spent" in halt.hint
    assert not served(log) and made.recall([request(1)]) == [None]


def test_what_is_lost_may_have_been_paid_for(tmp_path):
    log, store = tmp_path / "log", tmp_path / "r.sqlite"
    with stub(log, faults=0.4, kinds="cut", patience=99, delay_ms=2) as port:
        made = teacher(port, store, prices=PRICES, sampling=BOUNDED, options=AskOptions(budget=100 * ONE))
        assert made.ask(map(request, range(400)), ignore).reason == "budget"
    assert 40 <= len(log.read_text().splitlines()) <= 100, "before the first reply tells, each counts as the bound"


def test_a_budget_without_prices_is_refused(tmp_path):
    with pytest.raises(FerError) as caught:
        open_teacher(entry(), store=tmp_path / "r.sqlite", options=AskOptions(budget=1.0))
    assert caught.value.problem == "a budget cannot be kept without prices"
    assert list(tmp_path.iterdir()) == []


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60), st.floats(0.05, 1.0))
def test_a_purse_is_never_passed_where_the_bound_holds(written, dollars):
    """Whatever comes, in whatever order, the sum stays within the budget."""
    guess = Guess({"max_tokens": 40})
    purse = Purse(entry(prices={"input": 1000.0, "output": 1000.0}), dollars, guess)

    async def one(tokens):
        held = await purse.hold(request(1))
        if held is not None:
            await asyncio.sleep(0)
            usage = Usage(100, tokens)
            guess.learn(usage)
            purse.settle(held, usage)
        return held is not None

    async def run():
        return await asyncio.gather(*map(one, written))

    asyncio.run(run())
    assert purse.spent <= dollars and purse.flying == 0


def test_requests_a_minute(tmp_path):
    times = tmp_path / "times"
    with stub(times=times) as port:
        made = teacher(port, tmp_path / "r.sqlite", options=AskOptions(rpm=1800))
        made.ask(map(request, range(60)), ignore)
    came = [float(line.split()[0]) for line in times.read_text().splitlines() if " came " in line]
    windows = [sum(start <= at < start + 1.0 for at in came) for start in came]
    assert len(came) == 60 and max(windows) <= 31
    assert came[-1] > 1.9, "59 thirtieths of a second"


def test_tokens_a_minute(tmp_path):
    times = tmp_path / "times"
    with stub(times=times) as port:
        limits = Limits(concurrency=2)
        options = AskOptions(tpm=60 * 120 * 20)  # 20 replies a second
        teacher(port, tmp_path / "r.sqlite", limits=limits, sampling=BOUNDED, options=options).ask(
            map(request, range(40)), ignore
        )
    came = [float(line.split()[0]) for line in times.read_text().splitlines() if " came " in line]
    assert 1.8 < came[-1] < 6, "the first guess is larger, then what replies take"


@given(st.integers(1, 10_000), st.lists(st.floats(0, 3), min_size=1, max_size=50))
def test_of_any_minute_a_bucket_gives_no_more(per_minute, gaps):
    clock = [1000.0]
    bucket, sent = Bucket(per_minute), []
    patched = pytest.MonkeyPatch()
    patched.setattr(pacing.time, "monotonic", lambda: clock[0])
    try:
        for gap in gaps:
            clock[0] += gap
            sent.append(clock[0] + bucket.reserve())
    finally:
        patched.undo()
    assert all(sum(start <= at < start + 59.999 for at in sent) <= per_minute for start in sent)


# --- replies held to a regex


def test_a_regex_is_sent_where_the_server_keeps_to_it(tmp_path):
    store, asked = tmp_path / "r.sqlite", [request(at) for at in range(5)]
    with stub(structured=True) as port:
        made = teacher(port, store, options=AskOptions(structured=True))
        made.ask(asked, ignore)
        assert {made.key(one, True) for one in asked} == stored_keys(store)
        assert attempts(store) == {"probe": 1}
        assert [reply.outcome for reply in made.recall(asked)] == ["ok"] * 5
        assert teacher(port, store).recall(asked) == [None] * 5, "the regex is part of the key"


def test_a_server_that_ignores_the_regex_is_asked_without(tmp_path, caplog):
    store, asked = tmp_path / "r.sqlite", [request(at) for at in range(5)]
    with stub() as port:
        made = teacher(port, store, options=AskOptions(structured=True))
        made.ask(asked, ignore)
    assert "does not hold replies to a regex" in caplog.text
    assert {made.key(one) for one in asked} == stored_keys(store)
    assert [reply.outcome for reply in made.recall(asked)] == ["ok"] * 5


@pytest.mark.parametrize("choices", [CHOICES, ("happily surprised", "a|b (c)")])
def test_what_the_regex_lets_through_is_an_answer(choices):
    pattern = re.compile(think_then_answer(choices))
    text = f"<think>{'The brows are up. ' * 3}</think>\n<answer>{choices[1]}</answer>"
    assert pattern.fullmatch(text) and answer.read(text, choices).label == choices[1]
    assert not pattern.fullmatch(text.replace(choices[1], "other"))
    assert not pattern.fullmatch(f"<think>short</think><answer>{choices[1]}</answer>")


def test_a_pattern_of_ones_own_takes_the_place():
    made = teacher(1, None)
    held = made.sampling(request(1)._replace(pattern="<answer>(a|b)</answer>"), True)
    assert held["structured_outputs"] == {"regex": "<answer>(a|b)</answer>"}
    assert made.sampling(request(1), False) == made.entry.sampling
    body = json.loads(made.body(request(1), 0, structured=True))
    assert body["structured_outputs"]["regex"] == think_then_answer(CHOICES)
