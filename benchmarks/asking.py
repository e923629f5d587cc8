"""How a teacher is asked, beside a bare loop and beside other tools: speed, memory, slots, kills, faults, a storm.

Run `python benchmarks/asking.py --peers-python PYTHON`: everything in one run, under six minutes. The peers (openai,
datatrove, bespokelabs-curator) run in whichever environment PYTHON has; those it lacks are told as not measured.
`--quick` divides the counts by ten; `--only` picks parts; `--keep` writes the table to docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from timing import Line, keep, machine, table

HERE = Path(__file__).parent
STUB = HERE.parent / "tests/stub_server.py"
PEERS = {"datatrove": 1.8, "openai": 2.5, "curator": 2.5}
"""Package to the ratio that ours is to reach."""
MIX = "429,500,503,hang,reset,cut,empty,truncated,badtags"
WINDOW = 64
"""Replies of one commit."""


class Found(NamedTuple):
    """What a client printed."""

    seconds: float
    cpu: float
    done: int
    peak: float
    version: str


@contextmanager
def server(*command: str | Path) -> Iterator[str]:
    """Run a server, give its URL, and end it."""
    with subprocess.Popen([sys.executable, *map(str, command)], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip() if process.stdout else ''}/v1"
        finally:
            process.kill()


def client(name: str, url: str, count: int, *words: str, python: str = sys.executable) -> Found | str:
    """Run a client and return what it took, or the last line of what it said where it fails."""
    command = [python, str(HERE / "asking_clients.py"), name, "--url", url, "--count", str(count), *words]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=300)
    except subprocess.TimeoutExpired:
        return "not done within 300 s"
    told = [line for line in ran.stdout.splitlines() if line.startswith('{"seconds"')]
    return Found(**json.loads(told[-1])) if told else (ran.stderr.strip().splitlines() or ["said nothing"])[-1][:100]


def must(found: Found | str) -> Found:
    if isinstance(found, str):
        raise SystemExit(f"our own client failed: {found}")
    return found


def speed(folder: Path, size: float, peers: str) -> list[Line]:
    """Rivals in turns, the best rate of each in two rounds; the peers, which are slow, get fewer requests."""
    best: dict[str, Found] = {}
    said: dict[str, str] = {}
    with server(HERE / "asking_server.py", "200") as url:
        for turn in range(2):
            for name in ("bare", "ours", *PEERS):
                count = round((4000 if name in ("bare", "ours") else 1500) * size)
                python = sys.executable if name in ("bare", "ours") else peers
                found = client(name, url, count, "--store", str(folder / f"{name}{turn}.sqlite"), python=python)
                if isinstance(found, str):
                    said[name] = found
                elif name not in best or found.seconds / found.done < best[name].seconds / best[name].done:
                    best[name] = found
    rate = {name: found.done / found.seconds for name, found in best.items()}
    cpu = {name: 1000 * found.cpu / found.done for name, found in best.items()}
    share = rate["ours"] / rate["bare"]
    lines = [
        Line("bare aiohttp loop", f"{rate['bare']:,.0f} a second, {cpu['bare']:.2f} ms CPU a request"),
        Line("ours", f"{rate['ours']:,.0f} a second, {share:.0%} of the bare loop", "90 %", share >= 0.9),
        Line("ours, processor time", f"{cpu['ours']:.2f} ms a request", "0.5 ms", cpu["ours"] <= 0.5),
    ]
    for name, least in PEERS.items():
        if name in best:
            ratio = rate["ours"] / rate[name]
            told = f"{rate[name]:,.0f} a second, {cpu[name]:.2f} ms CPU a request, {best[name].peak:.0f} MB"
            lines.append(
                Line(f"{name} {best[name].version}", f"{told}; ours {ratio:.1f} x", f"{least} x", ratio >= least)
            )
        else:
            lines.append(Line(name, f"not measured: {said[name]}"))
    return lines


def memory(folder: Path, size: float) -> list[Line]:
    count = round(360_000 * size)
    with server(HERE / "asking_server.py", "0") as url:
        found = must(client("ours", url, count, "--store", str(folder / "many.sqlite")))
    told = f"{found.peak:.0f} MB, {found.done / found.seconds:,.0f} a second"
    return [Line(f"{found.done:,} requests, peak of memory", told, "300 MB", found.done == count and found.peak < 300)]


def slots(folder: Path, size: float) -> list[Line]:
    """A server of 64 slots at 40 replies a second: the share of slot time in use, until the last request was sent."""
    count, times = max(round(1600 * size), 400), folder / "slots"
    with server(STUB, "--slots", "64", "--rate", "40", "--times", times) as url:
        must(client("ours", url, count, "--concurrency", "80", "--store", str(folder / "slots.sqlite")))
    rows = [line.split() for line in times.read_text().splitlines()]
    end = max(float(at) for at, what, *_ in rows if what == "began")
    used, last, busy = 0.0, 0.0, 0
    for at, _, _, now in rows:
        if float(at) > end:
            break
        used, last, busy = used + busy * (float(at) - last), float(at), int(now)
    share = used / (64 * end)
    told = f"{share:.1%} of their time in use over {end:.0f} s"
    return [Line("64 slots, 40 replies a second", told, "98 %", share >= 0.98)]


def kills(folder: Path, size: float) -> list[Line]:
    """Kill -9 at random moments, and go on in the same store until all is there."""
    times, concurrency, count = max(round(20 * size), 3), 64, max(round(5000 * size), 1000)
    log, told, store = folder / "kills.log", folder / "told", folder / "kills.sqlite"
    chance, again, lost = random.Random(0), list[int](), 0
    moments: list[tuple[int, set[str]]] = []
    with server(STUB, "--log", log, "--delay-ms", "200", "--model", "stub-vl") as url:
        words = ["--concurrency", str(concurrency), "--store", str(store), "--told", str(told)]
        command = [sys.executable, str(HERE / "asking_clients.py"), "ours", "--url", url, "--count", str(count), *words]
        for _ in range(times):
            before = len(_lines(log))
            with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
                while len(_lines(log)) < before + 10 and process.poll() is None:
                    time.sleep(0.01)
                time.sleep(chance.uniform(0.05, 0.6))
                process.send_signal(signal.SIGKILL)
            time.sleep(0.5)  # the server notes what was in flight
            stored, served = _texts(store), _lines(log)
            lost += len({text.partition("<answer>")[0] for text in _lines(told)} - stored)
            again.append(len(served) - len(stored) - sum(again))
            moments.append((len(served), stored))
        must(client("ours", url, count, *words))
    lines, whole = _lines(log), _texts(store)
    paid = sum(
        len(stored & {f"<think>I see {line.split()[0]}.</think>" for line in lines[at:]}) for at, stored in moments
    )
    lost += sum(len(stored - whole) for _, stored in moments)
    most, bound = max(again), concurrency + WINDOW
    told_of = f"{lost} stored replies lost, {paid} paid again"
    done = lost == paid == 0 and len(whole) == count
    return [
        Line(f"kill -9 at {times} random moments", told_of, "0 and 0", done),
        Line("paid again after a kill", f"at most {most}", f"{bound}: in flight and a commit", most <= bound),
    ]


def faults(folder: Path, size: float) -> list[Line]:
    count, store = max(round(2000 * size), 300), folder / "faults.sqlite"
    words = ("--faults", "0.3", "--kinds", MIX, "--patience", "99", "--delay-ms", "50")
    with server(STUB, *words, "--model", "stub-vl") as url:
        options = ("--concurrency", "64", "--read-s", "2", "--backoff-s", "0.1", "--store", str(store))
        found = must(client("ours", url, count, *options))
    with sqlite3.connect(store) as db:
        outcomes = dict(db.execute("select outcome, count(*) from replies group by outcome"))
        usable = sum("</think><answer>" in text for (text,) in db.execute("select text from replies"))
    rows = sum(outcomes.values())
    told = f"{rows:,} of {count:,} rows have an outcome, {usable / count:.2%} usable, {found.seconds:.0f} s"
    return [Line("nine kinds of faults, 30 % of attempts", told, "all, 99 %", rows == count and usable >= 0.99 * count)]


def storm(folder: Path, size: float) -> list[Line]:
    seconds, count, times = max(30 * size, 5), max(round(4000 * size), 1000), folder / "storm"
    with server(STUB, "--storm-s", str(seconds), "--delay-ms", "200", "--times", times, "--model", "stub-vl") as url:
        found = must(client("ours", url, count, "--concurrency", "256", "--store", str(folder / "storm.sqlite")))
    rows = [line.split() for line in times.read_text().splitlines()]
    came = [(float(at), int(flying)) for at, what, flying, _ in rows if what == "came"]
    during = sum(at < seconds for at, _ in came)
    after = [(at, flying) for at, flying in came if at >= seconds]
    back = after[0][0]
    climb = [max(flying for at, flying in after if at < back + rounds * 0.22) for rounds in range(1, 9)]
    told = f"{found.done:,} of {count:,} rows done, {during} requests during it; back after {back - seconds:.0f} s"
    gradual = climb[0] <= 8 and all(later <= 3 * sooner for sooner, later in pairwise(climb))
    return [
        Line(f"{seconds:.0f} s of nothing but 429", told, "all", found.done == count),
        Line("in flight after it, round by round", ", ".join(map(str, climb)), "no stampede", gradual),
    ]


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _texts(store: Path) -> set[str]:
    """Return the thinking of the replies that are stored, which names what the server was sent."""
    if not store.exists():
        return set()
    with sqlite3.connect(store) as db:
        return {
            text.partition("<answer>")[0] for (text,) in db.execute("select text from replies where outcome = 'ok'")
        }


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--peers-python", default=sys.executable, help="a Python that has the peers")
    words.add_argument("--quick", action="store_true")
    words.add_argument("--only", default="", help="speed,memory,slots,kills,faults,storm")
    words.add_argument("--keep", action="store_true")
    options = words.parse_args()
    size = 0.1 if options.quick else 1.0
    parts: dict[str, Callable[[Path, float], list[Line]]] = {
        "speed": lambda folder, size: speed(folder, size, options.peers_python),
        "memory": memory,
        "kills": kills,
        "faults": faults,
        "slots": slots,
        "storm": storm,
    }
    chosen = [name for name in parts if not options.only or name in options.only.split(",")]
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="asking") as temporary, ThreadPoolExecutor() as pool:
        folder = Path(temporary)
        found: dict[str, list[Line]] = {}
        # What is not timed runs beside what takes longest.
        late = [name for name in chosen if name in ("storm", "faults") and "memory" in chosen]
        beside = {name: pool.submit(parts[name], folder, size) for name in late}
        for name in sorted(chosen, key=lambda name: name != "memory"):
            found[name] = beside[name].result() if name in beside else parts[name](folder, size)
            for line in found[name]:
                print(f"{line.what:<44} {line.found}", flush=True)
    lines = [line for name in chosen for line in found[name]]
    print(f"\n{machine()} {time.monotonic() - begun:.0f} s.\n\n{table(lines)}")
    if options.keep:
        keep("asking", "python benchmarks/asking.py --keep --peers-python peers/bin/python", table(lines))
    return 0 if all(line.reached for line in lines) else 1


if __name__ == "__main__":
    os.environ["PYTHONUNBUFFERED"] = "1"
    sys.exit(main())
