"""How fast rows come out of the shards, through TRL's own dataloaders, and what a run of 360,000 rows costs to start.

    python benchmarks/training_loading.py rows       rows/s of a core from shards, and from JSON with picture files
    python benchmarks/training_loading.py start      seconds and memory until the data of 360,000 rows are checked

Needs the training environment (`make train-env`). The pictures are photographs' size: 224 pixels, some 12 KB each.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import cv2
import numpy as np
import pyarrow as pa
import yaml
from PIL import Image

from ferbuild.builders import record, shards

SIDE = 224
LABELS = ["neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger"]
WHY = "The brows are level, the eyes are open and the corners of the mouth are up. " * 8


def pictures(count: int, seed: int = 0) -> list[bytes]:
    """Return JPEG files of noise as smooth as a face, 224 pixels a side."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        coarse = rng.integers(0, 256, (28, 28, 3)).astype(np.uint8)
        fine = cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        found.append(cv2.imencode(".jpg", fine, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes())
    return found


def row(at: int, files: list[bytes]) -> dict[str, Any]:
    label = LABELS[at % len(LABELS)]
    return {
        "id": f"{at:07d}",
        "images": [{"bytes": files[at % len(files)], "path": f"{at % len(files)}.jpg"}],
        "prompt": [{"role": "user", "content": f"Which of these does the face show: {', '.join(LABELS)}?"}],
        "completion": [{"role": "assistant", "content": f"<think>{WHY}</think>\n<answer>{label}</answer>"}],
        "solution": f"<answer>{label}</answer>",
        "kind": "choose",
        "choices": LABELS,
        "answer": label,
        "label": label,
        "canonical": label,
    }


def write_dataset(folder: Path, rows: int, schema: pa.Schema) -> Path:
    """Write a dataset of so many rows, in shards of 500 MB as fer-build writes them."""
    files = pictures(200)
    part, drops = folder / "part.arrow", folder / "drops.arrow"

    def tables() -> Iterator[pa.Table]:
        for start in range(0, rows, 1000):
            some = [row(at, files) for at in range(start, min(start + 1000, rows))]
            yield pa.Table.from_pylist([{name: one.get(name) for name in schema.names} for one in some], schema=schema)

    shards.write_stream(part, tables(), schema)
    shards.write_stream(drops, [record.drops_table([])], record.DROPS)
    out = folder / "data"
    splits = shards.lay_out(out, {"train": [part]}, [drops], schema, key="k", shard_bytes=500_000_000)
    part.unlink()
    head = yaml.safe_dump(shards.front_matter(schema, list(splits), "k"), sort_keys=False)
    (out / "README.md").write_text(f"---\n{head}---\n")
    (out / "stage.json").write_text(json.dumps({"splits": splits}))
    return out


def measure_rows(home: Path, count: int) -> None:
    """Print rows/s of TRL's SFT dataloader from shards, and of the published way through the same collator."""
    import datasets
    import torch
    from torch.utils.data import DataLoader

    from ferbuild.training import model_checks, options, stages
    from ferbuild.training.data_checks import Data
    from ferbuild.training.tiny import write_tiny_model

    torch.set_num_threads(1)
    folder = write_dataset(home, count, record.COT)
    write_tiny_model(home / "tiny", [WHY, *LABELS, "<think></think>\n<answer></answer>"])
    flags = ["--model", str(home / "tiny"), "--data", str(folder), "--out", str(home / "out")]
    flags += ["--min_pixels", "50176", "--max_pixels", "50176"]
    chosen = options.read_options("sft", options.CONFIGS / "tiny-cpu.yaml", flags, {})
    processor = model_checks.load_processor(chosen)
    rows = datasets.load_from_disk(str(folder))["train"].select_columns(["images", "prompt", "completion"])
    trainer = stages.trainer_of(chosen, Data("shards", rows, None, {}), processor, [])
    batch = chosen.args.per_device_train_batch_size
    published = json_rows(home, count)
    loader = DataLoader(published, batch, collate_fn=trainer.data_collator)  # type: ignore[arg-type]
    next(iter(trainer.get_train_dataloader()))  # the first batch of a process pays for more than itself
    for name, some, batches in (("shards", rows, trainer.get_train_dataloader()), ("JSON + files", published, loader)):
        raw = rate(some, (dict(some[at]) for at in range(len(some))))
        print(f"{name:14}{raw:8.0f} rows/s decoded{rate(some, iter(batches)):8.0f} rows/s as batches", flush=True)


def rate(rows: Any, items: Iterator[Any]) -> float:
    """Return rows a second of processor time: what else the machine does does not count."""
    started = time.process_time()
    for _ in items:
        pass
    return len(rows) / (time.process_time() - started)


class JsonRows(list[dict[str, Any]]):
    """The published way: a list of all rows, the picture opened by its path when a row is asked for."""

    column_names = ("images", "prompt", "completion")

    def __getitem__(self, at: Any) -> Any:
        found = list.__getitem__(self, at)
        with Image.open(found["image_path"]) as picture:
            image = picture.convert("RGB")
        said = {"prompt": found["question"], "completion": found["response"]}
        roles = {"prompt": "user", "completion": "assistant"}
        return {"images": [image]} | {name: [{"role": roles[name], "content": said[name]}] for name in said}

    def __iter__(self) -> Iterator[Any]:
        return (self[at] for at in range(len(self)))


def json_rows(home: Path, count: int) -> JsonRows:
    files = pictures(200)
    (home / "files").mkdir()
    rows = []
    for at in range(count):
        path = home / "files" / f"{at}.jpg"
        path.write_bytes(files[at % len(files)])
        made = row(at, files)
        said = {"question": made["prompt"][0]["content"], "response": made["completion"][0]["content"]}
        rows.append({"image_path": str(path)} | said)
    (home / "rows.json").write_text(json.dumps(rows))
    return JsonRows(json.loads((home / "rows.json").read_text()))


def measure_start(home: Path, count: int) -> None:
    """Print what opening and checking a dataset costs in a fresh process: everything before the model."""
    folder = write_dataset(home, count, record.RLVR)
    size = sum(path.stat().st_size for path in folder.rglob("*.arrow"))
    print(f"{count:,} rows, {size / 1e9:.1f} GB")
    subprocess.run([sys.executable, __file__, "opened", "--home", str(folder)], check=True)


def opened(folder: Path) -> None:
    """Print what everything before the model costs, once torch and TRL are imported."""
    started = time.perf_counter()
    from ferbuild.training import data_checks, stages

    print(f"imports: {time.perf_counter() - started:.1f} s, {memory('VmRSS'):.0f} MB ({stages.__name__} and torch)")
    before, started = memory("VmRSS"), time.perf_counter()
    data = data_checks.open_data(str(folder), "grpo", "train", None)
    print(f"opened: {time.perf_counter() - started:.1f} s")
    data_checks.check_data(data, "grpo", 2000)
    picture = data.train[len(data.train) // 2]["images"][0].size
    print(f"opened and checked: {time.perf_counter() - started:.1f} s, the first picture read is {picture}")
    print(f"memory: {memory('VmHWM') - before:.0f} MB above the imports, mapped pages of the shards included")


def memory(name: str) -> float:
    """Return a figure of this process in MB: VmRSS is what it holds now, VmHWM the most it held."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["rows", "start", "opened"])
    parser.add_argument("--count", type=int)
    parser.add_argument("--home", type=Path)
    chosen = parser.parse_args()
    if chosen.what == "opened":
        opened(chosen.home)
        return
    with tempfile.TemporaryDirectory(dir=chosen.home) as home:
        if chosen.what == "rows":
            measure_rows(Path(home), chosen.count or 600)
        else:
            measure_start(Path(home), chosen.count or 360_000)


if __name__ == "__main__":
    main()
