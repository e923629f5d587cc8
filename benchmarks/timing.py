"""How the benchmarks measure on a machine that others use too: rivals in turns, the least of several times, the memory
of a process with its children; and the table that `docs/benchmarks.md` keeps of it."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple, TypeVar

PAGE = Path(__file__).parents[1] / "docs/benchmarks.md"
LOOK_S = 0.2
"""Seconds between two looks at the memory of processes."""

T = TypeVar("T")


class Cost(NamedTuple):
    """Of a command."""

    seconds: float
    peak: float
    """Megabytes of the process and all its children at the same time; pages that they share count once."""


class Line(NamedTuple):
    """A row of a table: what was measured, what was found, and what it has to reach."""

    what: str
    found: str
    target: str = ""
    reached: bool = True


def race(rivals: Mapping[str, Callable[[T], object]], lots: Sequence[T], times: int) -> dict[str, float]:
    """Return the seconds of processor time that each rival needs for all lots: of every lot the least of its times.

    The rivals take turns lot by lot, so that whatever else the machine does meets all of them alike. Processor time
    leaves out what others took, and counts every thread that a rival starts.
    """
    least = {name: [float("inf")] * len(lots) for name in rivals}
    for _ in range(times):
        for at, lot in enumerate(lots):
            for name, call in rivals.items():
                start = time.process_time()
                call(lot)
                least[name][at] = min(least[name][at], time.process_time() - start)
    return {name: sum(found) for name, found in least.items()}


def cost(command: Sequence[str | os.PathLike[str]], folder: Path) -> Cost:
    """Run a command in a folder and return what it took; SystemExit with what it said where it fails.

    What this process says of threads is not passed on: the command decides that for itself, as a user's does.
    """
    own = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    start = time.perf_counter()
    with (folder / "said.txt").open("w+") as said:
        process = subprocess.Popen(command, cwd=folder, env=own, stdout=said, stderr=said)
        watch = _Watch(process.pid)
        watch.start()
        code = process.wait()
        seconds = time.perf_counter() - start
        watch.over.set()
        watch.join()
        if code:
            said.seek(0)
            raise SystemExit(f"{' '.join(map(str, command))} ended with {code}:\n{said.read()[-2000:]}")
    return Cost(seconds, watch.peak / 1e6)


class _Watch(threading.Thread):
    """Looks at the memory of a process and its children until it is told that it is over."""

    def __init__(self, process: int) -> None:
        super().__init__(daemon=True)
        self.process, self.peak, self.over = process, 0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(LOOK_S):
            self.peak = max(self.peak, sum(map(_memory, _family(self.process))))


def _family(process: int) -> list[int]:
    """Return a process and all that it started, directly or not."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int(folder.joinpath("stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    family = [process]
    for one in family:
        family += [child for child, parent in parents.items() if parent == one]
    return family


def _memory(process: int) -> int:
    """Return the bytes of a process's own pages and its share of shared ones; 0 where it has ended."""
    try:
        found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{process}/smaps_rollup").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return 1024 * int(found[1]) if found else 0


def machine() -> str:
    """Return one sentence on what this ran on, and when."""
    about = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", about.read_text()) if about.exists() else []
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    chip = names[0] if names else platform.processor() or platform.machine()
    return (
        f"{date.today():%d %B %Y}, {os.cpu_count()} cores of {chip}, {memory:.0f} GB, Linux {platform.release()}, "
        f"Python {platform.python_version()}."
    )


def table(lines: Sequence[Line]) -> str:
    """Return lines as a Markdown table."""
    rows = ["| what | measured | to reach |", "| --- | --- | --- |"]
    for line in lines:
        verdict = f"{line.target}: {'yes' if line.reached else '**no**'}" if line.target else ""
        rows.append(f"| {line.what} | {line.found} | {verdict} |")
    return "\n".join(rows)


def keep(name: str, command: str, text: str) -> None:
    """Put a table in its place in docs/benchmarks.md, between two marks, under what made it."""
    page = PAGE.read_text()
    marks = f"<!-- {name} -->", f"<!-- /{name} -->"
    if not all(mark in page for mark in marks):
        sys.exit(f"{PAGE} has no place for {name}")
    before, rest = page.split(marks[0])
    after = rest.split(marks[1])[1]
    PAGE.write_text(f"{before}{marks[0]}\n\n`{command}`: {machine()}\n\n{text}\n\n{marks[1]}{after}")
