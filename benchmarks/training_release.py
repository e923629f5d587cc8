"""A small release of drawn faces, and the datasets that fer-build makes of it: what the tiny model is trained on.

The pictures are drawn, not photographed or rendered: four expressions in a face of random skin, place, size and light,
on a random texture, so that no single colour or pixel tells the label. They lie on disk as RAF-DB does. The teacher is
a server in this process that says the true label as often as it is told to.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import threading
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from ferbuild.builders import bench, cot, rlvr
from ferbuild.builders.build import Build
from ferbuild.builders.config import read_settings
from ferbuild.builders.errors import FerError
from ferbuild.builders.teacher import AskOptions

CODES = {"happiness": 4, "sadness": 5, "surprise": 1, "anger": 6}
"""The drawn labels, by their codes in RAF-DB's list."""
WHY = {
    "happiness": "The corners of the mouth are up.",
    "sadness": "The corners of the mouth are down.",
    "surprise": "The mouth is open and the brows are up.",
    "anger": "The brows are low and slanted.",
}
MODEL = "Qwen/Qwen2.5-VL-7B-Instruct"
SIDE = 56  # pixels: four visual tokens
_FINE = 4  # a picture is drawn so many times larger and then shrunk

RECIPE = {
    "name": "drawn",
    "sources": ["rafdb"],
    "trace_checks": ["answered"],  # wrong answers stay: the warm start is to be imperfect
    "claims": {"check": False},
    "duplicates": {"search": "exact"},
}


def draw_face(label: str, rng: np.random.Generator) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return a drawn face, SIDE x SIDE x 3 in BGR."""
    size = SIDE * _FINE
    picture = _texture(rng, size)
    skin = rng.uniform((110, 130, 160), (200, 215, 250))
    dark = skin * rng.uniform(0.05, 0.25)
    x, y = (size / 2 + rng.uniform(-0.03, 0.03, 2) * size).tolist()
    radius = size * rng.uniform(0.42, 0.47)
    _ellipse(picture, (x, y), (radius * rng.uniform(0.8, 0.95), radius), skin)
    lift = {"surprise": -0.16, "anger": 0.08}.get(label, 0.0) * radius
    slant = 0.16 * radius if label == "anger" else -0.04 * radius
    for side in (-1, 1):
        eye = (x + side * 0.38 * radius, y - 0.2 * radius)
        _ellipse(picture, eye, (0.11 * radius, (0.15 if label == "surprise" else 0.09) * radius), dark)
        brow = y - 0.46 * radius + lift
        inner, outer = (x + side * 0.16 * radius, brow + slant), (x + side * 0.6 * radius, brow - slant)
        cv2.line(picture, _point(inner), _point(outer), dark.tolist(), round(0.13 * radius), cv2.LINE_AA)
    _mouth(picture, label, (x, y + 0.45 * radius), radius, dark)
    noise = rng.normal(0, 6, picture.shape)
    light = rng.uniform(0.8, 1.15)
    shown = np.clip(picture * light + noise, 0, 255).astype(np.uint8)
    return np.asarray(cv2.resize(shown, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)


def _mouth(picture: Any, label: str, at: tuple[float, float], radius: float, dark: Any) -> None:
    thick = round(0.15 * radius)
    if label == "surprise":
        _ellipse(picture, at, (0.24 * radius, 0.32 * radius), dark)
    elif label == "anger":
        cv2.line(
            picture,
            _point((at[0] - 0.35 * radius, at[1])),
            _point((at[0] + 0.35 * radius, at[1])),
            dark.tolist(),
            thick,
            cv2.LINE_AA,
        )
    else:
        start = 0 if label == "happiness" else 180
        centre = (at[0], at[1] + (-0.12 if label == "happiness" else 0.15) * radius)
        axes = _point((0.42 * radius, 0.3 * radius))
        cv2.ellipse(picture, _point(centre), axes, 0, start + 10, start + 170, dark.tolist(), thick, cv2.LINE_AA)


def _texture(rng: np.random.Generator, size: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return blobs of two random colours."""
    coarse = rng.uniform(0, 1, (rng.integers(4, 12),) * 2).astype(np.float32)
    blend = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)[..., None].clip(0, 1)
    one, other = rng.uniform(20, 160, (2, 3))
    return np.ascontiguousarray(blend * one + (1 - blend) * other)


def _ellipse(picture: Any, at: tuple[float, float], axes: tuple[float, float], colour: Any) -> None:
    cv2.ellipse(picture, _point(at), _point(axes), 0, 0, 360, colour.tolist(), -1, cv2.LINE_AA)


def _point(at: tuple[float, float]) -> tuple[int, int]:
    return round(at[0]), round(at[1])


def write_release(root: Path, *, train: int, test: int, seed: int = 0) -> dict[str, str]:
    """Write so many pictures a split in RAF-DB's layout; return the label of each by the sha256 of its file."""
    rng = np.random.default_rng(seed)
    aligned = root / "basic" / "Image" / "aligned"
    aligned.mkdir(parents=True)
    lines, known = [], {}
    labels = list(CODES)
    for split, count, digits in (("train", train, 5), ("test", test, 4)):
        for at in range(count):
            label = labels[at % len(labels)]
            data = cv2.imencode(".jpg", draw_face(label, rng), [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
            name = f"{split}_{at + 1:0{digits}d}"
            (aligned / f"{name}_aligned.jpg").write_bytes(data)
            lines.append(f"{name}.jpg {CODES[label]}")
            known[hashlib.sha256(data).hexdigest()] = label
    (root / "basic" / "EmoLabel").mkdir()
    (root / "basic" / "EmoLabel" / "list_patition_label.txt").write_text("\n".join(lines) + "\n")
    return known


def reply_of(label: str, truth: float, key: str) -> str:
    """Return what the teacher says of a face: the true label with the chance `truth`, 0..1, drawn from `key`."""
    rng = random.Random(key)
    said = label if rng.random() < truth else rng.choice([other for other in CODES if other != label])
    return f"<think>{WHY[said]}</think>\n<answer>{said}</answer>"


@contextmanager
def teacher(known: Mapping[str, str], truth: float) -> Iterator[str]:
    """Serve a chat server that recognises the pictures by their bytes; yield its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the name that http.server calls
            self.answer({"object": "list", "data": [{"id": MODEL}]})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            found = re.search(r"base64,([A-Za-z0-9+/=]+)", body)
            key = hashlib.sha256(b64decode(found[1])).hexdigest() if found else ""
            text = reply_of(known[key], truth, key) if key in known else "I see no face."
            choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            self.answer({"model": MODEL, "choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 1}})

        def answer(self, told: Any) -> None:
            data = json.dumps(told).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *words: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()


def build_datasets(home: Path, *, train: int, test: int, truth: float, seed: int = 0) -> Path:
    """Draw a release below `home` and let fer-build make cot, rlvr and ferbench of it; return the work folder."""
    home.mkdir(parents=True, exist_ok=True)
    known = write_release(home / "rafdb", train=train, test=test, seed=seed)
    (home / "drawn.yaml").write_text(yaml.safe_dump(RECIPE))
    config = {"recipe": "drawn.yaml", "teacher": "qwen7b", "sources": {"rafdb": "rafdb"}}
    (home / "fer-build.yaml").write_text(yaml.safe_dump(config))
    build = Build(read_settings(home / "fer-build.yaml"))
    rlvr.run(build)
    bench.run(build)
    with teacher(known, truth) as url:
        report = cot.run(build, options=AskOptions(endpoints=(url,)))
    if report is None or report.kept != train:
        raise FerError("cot", "did not keep every row", str(report and report.dropped))
    return build.settings.work
