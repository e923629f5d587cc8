"""What the tests of asking share: a stub server in its own process, requests for it, and looks into log and store."""

import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

from ferbuild.builders.endpoints import Limits
from ferbuild.builders.http_teacher import HttpTeacher
from ferbuild.builders.replies import Request
from ferbuild.builders.teacher import AskOptions
from ferbuild.manifests.schema import TeacherEntry

HERE = Path(__file__).parent
CHOICES = ("happiness", "fear")
PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" * 100
QUICK = Limits(concurrency=16, attempts=6, read_s=1.0, backoff_s=0.01)


def entry(port=1, **changes):
    shipped = {"name": "stub", "kind": "http", "model": "stub-vl", "sampling": {"temperature": 0.7, "max_tokens": 64}}
    return TeacherEntry(**shipped | {"endpoints": [f"http://127.0.0.1:{port}/v1"]} | changes)


def request(at, *, text="Which?", sample=0, image=None):
    picture = PNG + str(at).encode() if image is None else image
    return Request(f"id{at}", ({"role": "user", "content": text},), (picture,), CHOICES, None, sample)


def teacher(port, store, *, limits=QUICK, options=None, **changes):
    made = entry(port, **changes)
    return HttpTeacher(made, store, tuple(made.endpoints), limits, options=options or AskOptions())


def two(one, other):
    """Return the endpoints of two servers."""
    return [f"http://127.0.0.1:{port}/v1" for port in (one, other)]


@contextmanager
def stub(log="", **options):
    """Run the stub server, give its port, and end it."""
    given = [(f"--{name.replace('_', '-')}", value) for name, value in options.items()]
    flags = [part for name, value in given for part in ([name] if value is True else [name, str(value)])]
    command = [sys.executable, HERE / "stub_server.py", "--log", str(log), *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def served(log):
    """Return how often each key was answered, from the stub's log."""
    lines = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    return Counter(key for key, what in lines if what == "200")


def ignore(request, reply, fresh):
    pass


class Told:
    """A watch that remembers."""

    def __init__(self):
        self.ids, self.fresh, self.replies = Counter(), 0, []

    def __call__(self, request, reply, fresh):
        self.ids[request.id] += 1
        self.fresh += fresh
        self.replies.append(reply)


def outcomes(store):
    return dict(sqlite3.connect(store).execute("select outcome, count(*) from replies group by outcome"))


def attempts(store):
    return dict(sqlite3.connect(store).execute("select fault, count(*) from attempts group by fault"))


def stored_keys(store):
    return {key for (key,) in sqlite3.connect(store).execute("select key from replies where outcome = 'ok'")}


def wait_for(log, answers):
    end = time.monotonic() + 60
    while sum(served(log).values()) < answers and time.monotonic() < end:
        time.sleep(0.005)
