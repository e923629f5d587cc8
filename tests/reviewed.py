"""A review server in a process of its own, over a copy of the demo's datasets, and what is asked of it."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from conftest import Demo

from ferbuild.builders import shards
from ferbuild.builders.reviewing import log
from ferbuild.builders.reviewing.log import Entry

BUILT = ("faces", "measures", "cot", "rlvr", "ferbench")


def copy_of(demo: Demo, folder: Path) -> Path:
    """Return a work folder with the demo's datasets, which a test may write into."""
    for name in BUILT:
        shutil.copytree(demo.work / name, folder / name)
    return folder


def rows_of(folder: Path, *without: str) -> list[dict[str, Any]]:
    """Return all rows of a dataset as they lie on disk, with the folder's name of their split."""
    return [
        row | {"split": split}
        for split, paths in shards.split_files(folder).items()
        for path in paths
        for row in shards.read_stream(path).drop_columns([*without]).to_pylist()
    ]


def drops_of(folder: Path) -> list[dict[str, str]]:
    return [row for table in shards.read_drops(folder) for row in table.to_pylist()]


def decided(work: Path, dataset: str, *said: tuple[str, str, str], key: str = "k") -> None:
    """Add decisions to a log: reviewer, row, and the decision, as in "reject" or "relabel fear", "settles" after it."""
    for who, row, what in said:
        verb, *rest = what.split(" ", 1)
        settles = bool(rest) and rest[0].endswith("settles")
        word = rest[0].removesuffix("settles").strip() if rest else ""
        entry = Entry(
            at=log.now(), reviewer=who, dataset=dataset, key=key, id=row, faces=(row,), decision=verb,
            label=word if verb == "relabel" else None, note=word if verb == "note" else None, settles=settles,
        )  # fmt: skip
        log.append(log.path_of(work, dataset), entry)


@dataclass
class Server:
    """A running server."""

    process: subprocess.Popen[str]
    told: dict[str, Any]

    @property
    def url(self) -> str:
        return self.told["url"]

    @property
    def port(self) -> int:
        return urlsplit(self.url).port or 0

    def ask(
        self, path: str, *, method: str = "GET", body: object = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body; what is sent is exactly what is said, and the page's own by default."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        sent = {"Host": f"127.0.0.1:{self.port}"}
        if body is not None:
            sent |= {"Origin": f"http://127.0.0.1:{self.port}", "Content-Type": "application/json"}
        sent = {name: value for name, value in (sent | (headers or {})).items() if value}
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        line.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in sent.items():
            line.putheader(name, value)
        if data is not None:
            line.putheader("Content-Length", str(len(data)))
        line.endheaders(data)
        answer = line.getresponse()
        found = answer.status, dict(answer.headers), answer.read()
        line.close()
        return found

    def json(self, path: str, body: object = None) -> dict[str, Any]:
        status, _, data = self.ask(path, method="GET" if body is None else "POST", body=body)
        assert status == 200, data
        return json.loads(data)

    def kill(self) -> None:
        """Kill it without a word, as a crash would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@contextmanager
def serving(config: Path, work: Path, dataset: str, *more: object) -> Iterator[Server]:
    command = [str(Path(sys.executable).with_name("fer-build")), "review", dataset, "--no-open", "--json"]
    command += ["--config", str(config), "--work", str(work), *map(str, more)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    first = process.stdout.readline()
    assert first, process.stderr.read()
    try:
        yield Server(process, json.loads(first))
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
