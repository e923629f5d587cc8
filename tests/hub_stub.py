"""A Hub small enough for a test: the calls by which the real client uploads an edition and fetches it back.

Run as a script it serves the folder named on a loopback port, which it tells on stdout. What was committed lies below
`repos/ORG/NAME`, what was sent ahead below `blobs`; a file that came by xet is there as its sha256 alone, since its
bytes are in the store of `cas`. `fault.json` in the folder makes it fail: {"where": "commit", "status": 503}, where
status 0 breaks the connection off and `after` requests of that kind pass first; a fault happens once.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

LFS = (".arrow", ".parquet")
"""What the Hub keeps outside of git, as a new dataset repository says in its .gitattributes."""
REVISION = "a" * 40
FUTURE_S = 3600


class Hub:
    """The state of the server, all of it on disk but for what was asked."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lock = Lock()

    def repo(self, name: str) -> Path:
        return self.root / "repos" / name

    def files(self, name: str) -> dict[str, Path]:
        home = self.repo(name)
        return {path.relative_to(home).as_posix(): path for path in sorted(home.rglob("*")) if path.is_file()}

    def log(self, line: str) -> None:
        with self.lock, (self.root / "log.txt").open("a") as file:
            file.write(f"{line}\n")

    def fault(self, where: str) -> int | None:
        """Return the status to fail with, 0 to break the connection off; None: all is well."""
        path = self.root / "fault.json"
        with self.lock:
            if not path.exists() or (wanted := json.loads(path.read_text()))["where"] != where:
                return None
            if wanted.get("after", 0):
                path.write_text(json.dumps(wanted | {"after": wanted["after"] - 1}))
                return None
            path.unlink()
            return int(wanted["status"])


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self.answer(unquote(url.path), parse_qs(url.query), self.body())

    do_POST = do_PUT = do_HEAD = do_GET

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        data = b""
        while size := int(self.rfile.readline(), 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def answer(self, path: str, query: dict[str, list[str]], body: bytes) -> None:
        self.hub.log(f"{self.command} {path} {len(body)}")
        for pattern, call in ROUTES:
            if found := re.fullmatch(pattern, path):
                status = self.hub.fault(call.__name__)
                if status == 0:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                elif status:
                    self.say({"error": "out of order"}, status)
                elif self.headers.get("Authorization") == "Bearer hf_reader" and call.__name__ == "commit":
                    self.say({"error": "this token may only read"}, 403)
                else:
                    call(self, query, body, **found.groupdict())
                return
        self.say({"error": f"no such call: {path}"}, 404)

    def say(self, said: Any, status: int = 200, **headers: str) -> None:
        self.send(json.dumps(said).encode(), status, {"Content-Type": "application/json"} | headers)

    def send(self, data: bytes, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def known(self, name: str) -> bool:
        if self.hub.repo(name).is_dir():
            return True
        self.say({"error": "Repository not found"}, 404, **{"X-Error-Code": "RepoNotFound"})
        return False


def validate(call: Handler, query: dict[str, list[str]], body: bytes) -> None:
    """Refuse front matter that is none, or that has no licence."""
    head = json.loads(body)["content"].split("---\n")
    fine = len(head) > 2 and "license: " in head[1] and "license: refused" not in head[1]
    errors = [] if fine else [{"message": '"license" must be one of [apache-2.0, …]'}]
    call.say({"errors": errors, "warnings": []}, 200 if fine else 400)


def create(call: Handler, query: dict[str, list[str]], body: bytes) -> None:
    wanted = json.loads(body)
    name = f"{wanted.get('organization') or 'me'}/{wanted['name']}"
    said = {"url": f"http://{call.headers['Host']}/datasets/{name}", "name": name}
    if wanted["type"] != "dataset":
        call.say({"error": "only datasets here"}, 400)
    elif call.hub.repo(name).is_dir():
        call.say(said | {"error": "You already created this dataset repo"}, 409)
    else:
        call.hub.repo(name).mkdir(parents=True)
        (call.hub.root / "created.json").write_bytes(body)
        call.say(said)


def preupload(call: Handler, query: dict[str, list[str]], body: bytes, name: str) -> None:
    there = call.hub.files(name)
    told = []
    for file in json.loads(body)["files"]:
        mode = "lfs" if file["path"].endswith(LFS) else "regular"
        one = {"path": file["path"], "uploadMode": mode, "shouldIgnore": False}
        if found := there.get(file["path"]):
            one["oid"] = _sha256(found) if mode == "lfs" else _blob_id(found.read_bytes())
        told.append(one)
    call.say({"files": told})


def batch(call: Handler, query: dict[str, list[str]], body: bytes, name: str) -> None:
    """Tell which large files are not there yet, and where to put them."""
    told = []
    for one in json.loads(body)["objects"]:
        there = (call.hub.root / "blobs" / one["oid"]).exists()
        action = {"upload": {"href": f"http://{call.headers['Host']}/lfs/{one['oid']}", "header": {}}}
        told.append(one if there else one | {"actions": action})
    call.say({"transfer": "basic", "objects": told})


def put(call: Handler, query: dict[str, list[str]], body: bytes, oid: str) -> None:
    if hashlib.sha256(body).hexdigest() != oid:
        call.say({"error": "another file"}, 400)
        return
    (call.hub.root / "blobs").mkdir(exist_ok=True)
    (call.hub.root / "blobs" / oid).write_bytes(body)
    call.say({})


def token(call: Handler, query: dict[str, list[str]], body: bytes, name: str) -> None:
    """Send the client's xet transfer to a folder: its own store for tests."""
    expires = int(time.time()) + FUTURE_S
    cas = f"local://{call.hub.root / 'cas'}"
    headers = {"X-Xet-Cas-Url": cas, "X-Xet-Access-Token": "t", "X-Xet-Token-Expiration": str(expires)}
    call.say({"casUrl": cas, "accessToken": "t", "exp": expires}, 200, **headers)


def commit(call: Handler, query: dict[str, list[str]], body: bytes, name: str) -> None:
    if not call.known(name):
        return
    home = call.hub.repo(f"{name}.pr" if query.get("create_pr") else name)
    for line in map(json.loads, body.splitlines()):
        value = line["value"]
        path = home / value.get("path", "")
        path.parent.mkdir(parents=True, exist_ok=True)
        if line["key"] == "file":
            path.write_bytes(base64.b64decode(value["content"]))
        elif line["key"] == "lfsFile":
            blob = call.hub.root / "blobs" / value["oid"]
            path.write_bytes(blob.read_bytes() if blob.exists() else f"xet:{value['oid']}".encode())
        elif line["key"] == "deletedFile":
            path.unlink()
    where = f"http://{call.headers['Host']}/datasets/{name}"
    found = {"success": True, "commitOid": REVISION, "commitUrl": f"{where}/commit/{REVISION}", "hookOutput": ""}
    call.say(found | ({"pullRequestUrl": f"{where}/discussions/1"} if query.get("create_pr") else {}))


def info(call: Handler, query: dict[str, list[str]], body: bytes, name: str) -> None:
    if call.known(name):
        files = [{"rfilename": path} for path in call.hub.files(name)]
        call.say({"id": name, "sha": REVISION, "private": False, "gated": False, "tags": [], "siblings": files})


def tree(call: Handler, query: dict[str, list[str]], body: bytes, name: str, under: str | None) -> None:
    """List files and folders, below one folder where one is named, all of them or what lies directly in it."""
    if not call.known(name):
        return
    head, deep = f"{under}/" if under else "", query.get("recursive", ["false"])[0].lower() in ("true", "1")
    told: dict[str, dict[str, Any]] = {}
    for path, file in call.hub.files(name).items():
        if not path.startswith(head):
            continue
        steps = path.removeprefix(head).split("/")
        for depth in range(1, len(steps)):
            folder = head + "/".join(steps[:depth])
            if deep or depth == 1:
                told[folder] = {"type": "directory", "path": folder, "oid": REVISION, "size": 0}
        if deep or len(steps) == 1:
            told[path] = _listed(path, file)
    call.say(list(told.values()))


def paths(call: Handler, query: dict[str, list[str]], body: bytes, name: str) -> None:
    text = body.decode()
    asked = json.loads(text)["paths"] if text.startswith("{") else parse_qs(text)["paths"]
    there = call.hub.files(name)
    call.say([_listed(path, there[path]) for path in asked if path in there])


def resolve(call: Handler, query: dict[str, list[str]], body: bytes, name: str, path: str) -> None:
    file = call.hub.files(name).get(path)
    if file is None:
        call.say({"error": "Entry not found"}, 404, **{"X-Error-Code": "EntryNotFound"})
        return
    data = file.read_bytes()
    headers = {"ETag": f'"{_blob_id(data)}"', "X-Repo-Commit": REVISION, "Accept-Ranges": "bytes"}
    if part := re.fullmatch(r"bytes=(\d+)-(\d*)", call.headers.get("Range") or ""):
        start, stop = int(part[1]), int(part[2] or len(data) - 1) + 1
        headers["Content-Range"] = f"bytes {start}-{min(stop, len(data)) - 1}/{len(data)}"
        call.send(data[start:stop], 206, headers)
    else:
        call.send(data, 200, headers)


def _listed(path: str, file: Path) -> dict[str, Any]:
    return {"type": "file", "path": path, "size": file.stat().st_size, "oid": _blob_id(file.read_bytes())}


def _blob_id(data: bytes) -> str:
    """Return git's id of a file."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _sha256(file: Path) -> str:
    data = file.read_bytes()
    return data[4:].decode() if data.startswith(b"xet:") else hashlib.sha256(data).hexdigest()


_REPO = r"/api/datasets/(?P<name>[^/]+/[^/]+)"
ROUTES = [
    (r"/api/validate-yaml", validate),
    (r"/api/repos/create", create),
    (rf"{_REPO}/preupload/[^/]+", preupload),
    (r"/datasets/(?P<name>[^/]+/[^/]+)\.git/info/lfs/objects/batch", batch),
    (r"/lfs/(?P<oid>\w+)", put),
    (rf"{_REPO}/xet-write-token/.+", token),
    (rf"{_REPO}/commit/[^/]+", commit),
    (rf"{_REPO}/tree/[^/]+(?:/(?P<under>.+))?", tree),
    (rf"{_REPO}/paths-info/[^/]+", paths),
    (rf"{_REPO}(?:/revision/.+)?", info),
    (r"/datasets/(?P<name>[^/]+/[^/]+)/resolve/[^/]+/(?P<path>.+)", resolve),
]


@contextmanager
def serving(root: Path) -> Iterator[str]:
    """Serve `root` in a process of its own for the length of the block; gives its address."""
    root.mkdir(parents=True, exist_ok=True)
    server = subprocess.Popen([sys.executable, __file__, str(root)], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    Handler.hub = Hub(Path(sys.argv[1]))
    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(f"http://127.0.0.1:{served.server_address[1]}", flush=True)
    served.serve_forever()
