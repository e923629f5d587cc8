"""Rollouts by a vLLM server: what cannot work is refused, and what is served is compared with what is trained.

On the way of a model this stands before GRPO starts. The server makes its own tokens of a picture, so the two must
agree on the picture's size: where they do not, the model answers about another picture than it is trained on.
"""

from __future__ import annotations

import base64
import importlib.util
import io
import json
import shlex
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any

from ferbuild.builders.errors import FerError
from ferbuild.training.model_checks import tokens_of
from ferbuild.training.options import Chosen

SECONDS = 20
"""For one answer of the server."""


def check_rollouts(chosen: Chosen, dataset: Any, processor: Any) -> None:
    """FerError where vLLM is to make the rollouts, and would fail or mislead."""
    args = chosen.args
    if chosen.stage != "grpo" or not args.use_vllm:
        return
    if args.vllm_mode != "server":
        problem = "colocated vLLM drops the pictures (huggingface/trl#6294): the rollouts would be blind"
        raise FerError("vllm_mode", problem, f"write `vllm_mode: server` and start: {start_command(chosen, processor)}")
    if importlib.util.find_spec("vllm") is None:
        raise FerError("use_vllm", "TRL's client needs the vllm package here too", "pip install 'vllm>=0.22,<=0.31'")
    row = dataset[0]
    runs = image_runs(tokens_of(row, processor, "grpo"), processor.image_token_id)
    if len(runs) != len(row["images"]):
        problem = f"makes {len(runs)} runs of image tokens of {len(row['images'])} pictures; TRL serves one run each"
        raise FerError(chosen.model.model_name_or_path, problem, "take a model that does not tile, or use_vllm: false")
    if args.process_index == 0:
        _check_server(chosen, row, runs, processor)


def image_runs(ids: Sequence[int], image_token: int) -> list[int]:
    """Return the lengths of the runs of image tokens, in order."""
    runs: list[int] = []
    before = None
    for one in ids:
        if one == image_token:
            if before == image_token:
                runs[-1] += 1
            else:
                runs.append(1)
        before = one
    return runs


def start_command(chosen: Chosen, processor: Any) -> str:
    """Return the line that starts a server this run can use."""
    model, args = chosen.model.model_name_or_path, chosen.args
    size = dict(processor.image_processor.size)
    words = ["vllm", "serve", model, "--port", str(_port(args))]
    words += ["--weight-transfer-config", json.dumps({"backend": "nccl"})]
    words += ["--logprobs-mode", "processed_logprobs", "--max-logprobs", "-1", "--enable-scale-out"]
    if {"shortest_edge", "longest_edge"} <= set(size):
        bounds = {"size": {name: size[name] for name in ("shortest_edge", "longest_edge")}}
        words += ["--mm-processor-kwargs", json.dumps(bounds)]
    return "VLLM_SERVER_DEV_MODE=1 " + " ".join(shlex.quote(word) for word in words)


def _port(args: Any) -> int:
    return urllib.parse.urlsplit(args.vllm_server_base_url or "").port or int(args.vllm_server_port)


def _check_server(chosen: Chosen, row: Mapping[str, Any], runs: Sequence[int], processor: Any) -> None:
    args = chosen.args
    base = args.vllm_server_base_url or f"http://{args.vllm_server_host}:{args.vllm_server_port}"
    command = f"start it: {start_command(chosen, processor)}"
    served = _ask(f"{base}/v1/models", None, "no vLLM server answers", command)["data"][0]["id"]
    if _ask(f"{base}/server_info?config_format=json", None, "it does not serve /server_info", command) is None:
        raise FerError(base, "it does not serve /server_info", command)
    picture = [{"type": "image_url", "image_url": {"url": _as_url(image)}} for image in row["images"]]
    asked = {"model": served, "messages": [{"role": "user", "content": picture}], "max_tokens": 1}
    made = _ask(f"{base}/v1/chat/completions/render", asked, "it does not render pictures", command)
    theirs = [one["length"] for one in made["features"]["mm_placeholders"]["image"]]
    if theirs != list(runs):
        problem = f"makes {theirs} tokens of a row's pictures, and the trainer {list(runs)}"
        raise FerError(base, problem, f"min_pixels and max_pixels must be the same there; {command}")


def _as_url(image: Any) -> str:
    file = io.BytesIO()
    image.save(file, format="PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def _ask(url: str, body: Mapping[str, Any] | None, problem: str, hint: str) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return json.load(answer)
    except (urllib.error.URLError, OSError, ValueError) as err:
        raise FerError(url, f"{problem} ({err})", hint) from None
