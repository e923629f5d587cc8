"""Rollouts by a vLLM server: what would be blind or mismatched is refused before training."""

from __future__ import annotations

import importlib.util
import json
import shlex
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from datasets import load_from_disk

from ferbuild.builders.errors import FerError
from ferbuild.training import model_checks, rollouts

TOKENS = 16  # of a 112 x 112 picture


@pytest.fixture
def serve():
    """Start a double of a vLLM server that makes so many tokens of a picture, without the paths named."""
    started = []

    def start(tokens=TOKENS, without=()):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                told = {"/v1/models": {"data": [{"id": "tiny"}]}, "/server_info": {"vllm_config": {}}}
                self.answer(told.get(self.path.partition("?")[0]))

            def do_POST(self):
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                pictures = [part for part in asked["messages"][0]["content"] if part["type"] == "image_url"]
                start.pictures.append(len(pictures))
                places = [{"offset": 1, "length": tokens} for _ in pictures]
                self.answer({"features": {"mm_placeholders": {"image": places}}})

            def answer(self, told):
                found = told is not None and self.path.partition("?")[0] not in without
                data = json.dumps(told if found else {"detail": "Not Found"}).encode()
                self.send_response(200 if found else 404)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *words):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        started.append(server)
        return f"http://127.0.0.1:{server.server_port}"

    start.pictures = []
    yield start
    for server in started:
        server.shutdown()


@pytest.fixture
def check(choose, work, monkeypatch):
    """Check a run whose rollouts a server at `base` is to make."""
    known = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if name == "vllm" else known(name))
    rows = load_from_disk(str(work / "rlvr"))["train"]

    def checked(base, *words, rows=rows):
        flags = ("--use_vllm", "true", "--vllm_mode", "server", "--vllm_server_base_url", base, *words)
        chosen = choose("grpo", *flags)
        rollouts.check_rollouts(chosen, rows, model_checks.load_processor(chosen))

    return checked


def test_a_server_that_sees_the_same_pictures_passes(check, serve):
    check(serve())
    assert serve.pictures == [1], "it was shown one row's picture, and nothing is raised"


def test_a_server_that_makes_other_tokens_of_a_picture_is_refused(check, serve):
    with pytest.raises(FerError, match=r"makes \[64\] tokens of a row's pictures, and the trainer \[16\]") as caught:
        check(serve(tokens=64))
    assert '{"size": {"shortest_edge": 12544, "longest_edge": 12544}}' in caught.value.hint


@pytest.mark.parametrize("path", ["/server_info", "/v1/chat/completions/render"])
def test_a_server_that_was_started_another_way_is_told_how(check, serve, path):
    with pytest.raises(FerError, match="it does not") as caught:
        check(serve(without=(path,)))
    assert "VLLM_SERVER_DEV_MODE=1 vllm serve" in caught.value.hint and "--enable-scale-out" in caught.value.hint


def test_no_server_is_told_with_the_line_that_starts_one(check, tiny):
    with pytest.raises(FerError, match="no vLLM server answers") as caught:
        check("http://127.0.0.1:9")
    words = shlex.split(caught.value.hint.partition("start it: ")[2])
    assert words[:4] == ["VLLM_SERVER_DEV_MODE=1", "vllm", "serve", str(tiny)]
    assert json.loads(words[words.index("--weight-transfer-config") + 1]) == {"backend": "nccl"}


def test_colocated_vllm_is_refused_with_the_reason(choose, work):
    chosen = choose("grpo", "--use_vllm", "true", "--vllm_mode", "colocate")
    rows = load_from_disk(str(work / "rlvr"))["train"]
    with pytest.raises(FerError, match="drops the pictures") as caught:
        rollouts.check_rollouts(chosen, rows, model_checks.load_processor(chosen))
    assert "vllm_mode: server" in caught.value.hint


def test_a_model_that_tiles_its_pictures_is_refused(check, serve, monkeypatch):
    monkeypatch.setattr(rollouts, "image_runs", lambda ids, token: [2, 2])
    with pytest.raises(FerError, match="makes 2 runs of image tokens of 1 pictures"):
        check(serve())


def test_a_missing_client_is_named(choose, work):
    if importlib.util.find_spec("vllm"):
        pytest.skip("vllm is installed here")
    chosen = choose("grpo", "--use_vllm", "true", "--vllm_mode", "server")
    with pytest.raises(FerError, match="needs the vllm package"):
        rollouts.check_rollouts(
            chosen, load_from_disk(str(work / "rlvr"))["train"], model_checks.load_processor(chosen)
        )


@pytest.mark.parametrize(
    ("ids", "runs"), [([], []), ([7, 7, 1, 7], [2, 1]), ([1, 2], []), ([7], [1]), ([1, 7, 7, 7, 2, 7, 7], [3, 2])]
)
def test_runs_of_image_tokens(ids, runs):
    assert rollouts.image_runs(ids, 7) == runs
