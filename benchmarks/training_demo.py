"""Shows that the training learns: a tiny model, drawn faces, SFT, then GRPO, and two controls that must not learn.

    python benchmarks/training_demo.py --out train-demo      some minutes on one core; curves.png and curves.json

Everything goes the way a real run goes: fer-build makes the datasets from a release on disk, and the stages of
`training/run.py` train on them by `training/configs/tiny-cpu.yaml`. The teacher is right about little more than half of
the faces, so that SFT leaves something to learn. The controls start from the same model: one is paid the same for every
reply, the other sees pictures that belong to other rows.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import datasets
import numpy as np
import torch
from training_release import build_datasets
from transformers import AutoModelForImageTextToText, AutoProcessor
from trl.data_utils import prepare_multimodal_messages

from ferbuild.filters.answer import read
from ferbuild.training import options, stages
from ferbuild.training.tiny import write_tiny_model

TRAIN, TEST, TRUTH = 480, 100, 0.58
CONFIG = options.CONFIGS / "tiny-cpu.yaml"
log = logging.getLogger(__name__)


def paid_alike(completions: Sequence[Any], **columns: Any) -> list[float]:
    """Pay every reply the same: nothing can be learned from it."""
    return [1.0] * len(completions)


def prove(home: Path, *, control_steps: int = 60) -> dict[str, Any]:
    """Train in `home` and return the curves: loss, accuracy reward and held-out accuracy of every run."""
    work = build_datasets(home, train=TRAIN, test=TEST, truth=TRUTH)
    held_out = datasets.load_from_disk(str(work / "ferbench"))["rafdb"]
    tiny = tiny_model(home / "tiny", work)
    shuffled = shuffle_pictures(work / "rlvr", home / "shuffled")
    warm = run("sft", home / "sft", ["--data", str(work), "--model", str(tiny)])
    found = {"sft": {"curve": curve(home / "sft", "loss"), "held_out": accuracy_on(held_out, warm)}}
    control = ["--max_steps", str(control_steps)]
    constant = ["--reward_funcs", f"{__name__}.paid_alike", "accuracy", "--reward_weights", "1.0", "0.0"]
    for name, data, words in (
        ("grpo", work, []),
        ("constant reward", work, [*control, *constant]),
        ("shuffled pictures", shuffled, control),
    ):
        out = home / name.replace(" ", "-")
        model = run("grpo", out, ["--data", str(data), "--model", str(warm), *words])
        found[name] = {"curve": curve(out, "rewards/accuracy/mean"), "held_out": accuracy_on(held_out, model)}
    return found


def tiny_model(out: Path, work: Path) -> Path:
    """Write the tiny model, its tokenizer trained on the texts of the cot dataset."""
    rows = datasets.load_from_disk(str(work / "cot"))["train"].select_columns(["prompt", "completion"])
    write_tiny_model(out, (said["content"] for row in rows for said in row["prompt"] + row["completion"]))
    return out


def run(stage: options.Stage, out: Path, words: Sequence[str]) -> Path:
    """Run a stage as `run.py` does, in this process; return its model."""
    started = time.monotonic()
    model = stages.train(options.read_options(stage, CONFIG, ["--out", str(out), *words], {}))
    log.info("%s: %.0f s", out.name, time.monotonic() - started)
    return model


def curve(out: Path, name: str) -> list[tuple[int, float]]:
    history = json.loads((out / "trainer_state.json").read_text())["log_history"]
    return [(one["step"], one[name]) for one in history if one.get(name) is not None]


def shuffle_pictures(folder: Path, out: Path) -> Path:
    """Write the dataset anew, each row with the picture of another."""
    rows = datasets.load_from_disk(str(folder))["train"]
    order = np.random.default_rng(0).permutation(len(rows)).tolist()
    pictures = rows.select(order).select_columns(["images"])
    mixed = datasets.concatenate_datasets([rows.remove_columns("images"), pictures], axis=1)
    datasets.DatasetDict({"train": mixed}).save_to_disk(str(out))
    return out


def accuracy_on(rows: Any, model_folder: Path) -> float:
    """Return the share of rows that a model answers rightly, greedily, by the one parser."""
    model = AutoModelForImageTextToText.from_pretrained(model_folder, dtype=torch.float32).eval()
    processor = AutoProcessor.from_pretrained(model_folder, padding_side="left")
    right = 0
    for start in range(0, len(rows), 32):
        some = [rows[at] for at in range(start, min(start + 32, len(rows)))]
        asked = [prepare_multimodal_messages(row["prompt"], images=row["images"]) for row in some]
        made = processor.apply_chat_template(
            asked,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            add_generation_prompt=True,
            processor_kwargs={"padding": True},
        )
        with torch.inference_mode():
            written = model.generate(**made, max_new_tokens=24, do_sample=False)
        texts = processor.batch_decode(written[:, made["input_ids"].shape[1] :], skip_special_tokens=True)
        right += sum(read(text, row["choices"]).label == row["answer"] for text, row in zip(texts, some, strict=True))
    return right / len(rows)


def plot(found: dict[str, Any], out: Path) -> None:
    """Draw the loss of SFT, and the accuracy reward of GRPO and its controls."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4))
    left.plot(*zip(*found["sft"]["curve"], strict=True))
    left.set(title="SFT", xlabel="step", ylabel="loss", ylim=0)
    for name in ("grpo", "constant reward", "shuffled pictures"):
        held_out = f"{name} (held out {found['sft']['held_out']:.2f} → {found[name]['held_out']:.2f})"
        right.plot(*zip(*found[name]["curve"], strict=True), label=held_out)
    right.set(title="GRPO from that model", xlabel="step", ylabel="accuracy reward", ylim=(0, 1))
    right.legend(loc="upper left", fontsize=8)
    figure.tight_layout()
    figure.savefig(out, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("train-demo"))
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if chosen.out.exists() and any(chosen.out.iterdir()):
        parser.error(f"{chosen.out} is not empty: name another --out")
    started = time.monotonic()
    found = prove(chosen.out)
    (chosen.out / "curves.json").write_text(json.dumps(found, indent=2))
    plot(found, chosen.out / "curves.png")
    for name, one in found.items():
        first, last = one["curve"][0][1], one["curve"][-1][1]
        print(f"{name:18} {first:.2f} -> {last:.2f}   held out {one['held_out']:.2f}")
    print(f"{time.monotonic() - started:.0f} s; the curves are in {chosen.out / 'curves.png'}")


if __name__ == "__main__":
    main()
