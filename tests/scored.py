"""A score as JSON, made up but in itself consistent, and examples of its errors: what a table or a page shows."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from ferbuild.builders.evaluation.page import Example

SETS = {
    "rafdb": (("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral"),
              (329, 74, 160, 1185, 478, 162, 680), (0.79, 0.41, 0.38, 0.92, 0.74, 0.68, 0.71)),
    "ferplus": (("neutral", "happy", "surprise", "sad", "angry", "disgust", "fear", "contempt"),
                (1090, 893, 404, 384, 274, 18, 83, 27), (0.68, 0.91, 0.82, 0.62, 0.73, 0.44, 0.46, 0.11)),
    "sfew": (("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"),
             (77, 23, 46, 72, 73, 56, 84), (0.55, 0.17, 0.26, 0.81, 0.47, 0.39, 0.52)),
}  # fmt: skip
WORDS = {"angry": "anger", "happy": "happiness", "sad": "sadness"}
POOLED = ("anger", "contempt", "disgust", "fear", "happiness", "neutral", "sadness", "surprise")
RATES = {
    "unknown": ("malformed", "truncated", "refused", "empty", "not a candidate", "error"),
    "refused": ("refused",),
    "truncated": ("truncated",),
    "error": ("error",),
    "bad format": ("malformed", "not a candidate", "several"),
    "empty": ("empty",),
}


def score(*, samples: int = 1, more: bool = False, sets: tuple[str, ...] = tuple(SETS)) -> dict[str, Any]:
    """A score of `sets`; with `samples` its calibration, with `more` all that only some scores have."""
    rng = np.random.default_rng(7)
    counts = {name: confusion(rng, *SETS[name][1:]) for name in sets}
    found = {name: one_set(SETS[name][0], counts[name], samples, name) for name in sets}
    pooled = one_set(POOLED, pool(counts), samples, "pooled")
    names = ("accuracy", "uar", "precision", "recall", "f1")
    mean = {}
    for way in ("official", "strict"):
        values = {name: float(np.mean([one[way][name] for one in found.values()])) for name in names}
        n, unknown = (sum(one[way][key] for one in found.values()) for key in ("n", "unknown"))
        ends = {name: [value - 0.017, value + 0.017] for name, value in values.items()}
        mean[way] = values | {"n": n, "unknown": unknown, "intervals": ends}
    told = {"stage": "eval", "form": 1, "model": "qwen7b", "extractor": "strict", "sets": found, "pooled": pooled}
    told |= {"mean": mean, "problems": problems() if more else [], "resamples": 2000, "seed": 0}
    sampling = {"temperature": 0.7, "max_tokens": 1024}
    entry = {"name": "qwen7b", "kind": "http", "model": "Qwen/Qwen2.5-VL-7B-Instruct", "sampling": sampling}
    return told | (extras() | {"entry": entry} if more else {})


def confusion(rng: np.random.Generator, rows: tuple[int, ...], recalls: tuple[float, ...]) -> np.ndarray:
    """Labels x (labels and unknown): what is missed goes to larger classes, and a little to none."""
    share = np.array(rows) / sum(rows)
    out = np.zeros((len(rows), len(rows) + 1), int)
    for at, (n, recall) in enumerate(zip(rows, recalls, strict=True)):
        wrong = np.append(share * rng.uniform(0.2, 1.8, len(rows)) + 0.03, 0.05)
        wrong[at] = 0
        out[at] = rng.multinomial(n - round(n * recall), wrong / wrong.sum())
        out[at, at] = round(n * recall)
    return out


def pool(counts: dict[str, np.ndarray]) -> np.ndarray:
    out = np.zeros((len(POOLED), len(POOLED) + 1), int)
    for name, one in counts.items():
        at = [POOLED.index(WORDS.get(label, label)) for label in SETS[name][0]]
        out[np.ix_(at, [*at, len(POOLED)])] += one
    return out


def one_set(labels: tuple[str, ...], counts: np.ndarray, samples: int, name: str) -> dict[str, Any]:
    n, unknown = int(counts.sum()), int(counts[:, -1].sum())
    errors = 3 if name == "sfew" else 0
    rows = per_class(labels, counts)
    way = figures(rows, counts, n, unknown)
    lost = way | {"n": n - errors, "accuracy": way["accuracy"] + 0.011, "unknown": unknown // 4}
    lost["intervals"] = way["intervals"] | {"accuracy": [end + 0.011 for end in way["intervals"]["accuracy"]]}
    said = outcomes(n, unknown, errors)
    true = counts.sum(1)
    ceiling = {
        "accuracy": 0.8421,
        "low": 0.8333,
        "high": 0.8507,
        "n": n,
        "source": "FERPlus votes, one against the rest",
    }
    return {
        "labels": [*labels],
        "official": lost,
        "strict": way,
        **({"official-sfew": lost | {"accuracy": lost["accuracy"] - 0.009}} if name == "sfew" else {}),
        "baselines": {
            "majority": {"accuracy": float(true.max() / n), "uar": 1 / len(labels)},
            "random": {"accuracy": 1 / len(labels), "uar": 1 / len(labels)},
        },
        "ceiling": ceiling if name == "ferplus" else None,
        "per_class": rows,
        "confusion": {"rows": [*labels], "columns": [*labels, "unknown"], "counts": counts.tolist()},
        "outcomes": said,
        "rates": {rate: sum(said[one] for one in parts) / n for rate, parts in RATES.items()},
        "disagreements": n // 40,
        "tokens": {"read": 412 * n, "written": 188 * n * samples},
        "cost": round(0.00021 * n * samples, 6),
        "samples": samples,
        "pass_at": {str(k): way["accuracy"] + 0.035 * (k - 1) / k for k in range(1, samples + 1)}
        if samples > 1
        else None,
        "calibration": calibration(n) if samples > 1 else None,
    }


def per_class(labels: tuple[str, ...], counts: np.ndarray) -> list[dict[str, Any]]:
    out = []
    for at, label in enumerate(labels):
        right, said, true = int(counts[at, at]), int(counts[:, at].sum()), int(counts[at].sum())
        precision, recall = right / max(said, 1), right / max(true, 1)
        f1 = 2 * precision * recall / (precision + recall) if right else 0.0
        out.append({"label": label, "precision": precision, "recall": recall, "f1": f1, "n": true})
    return out


def figures(rows: list[dict[str, Any]], counts: np.ndarray, n: int, unknown: int) -> dict[str, Any]:
    present = [row for row in rows if row["n"]]
    means = {name: float(np.mean([row[name] for row in present])) for name in ("precision", "recall", "f1")}
    values = {"accuracy": float(np.trace(counts) / n), "uar": means["recall"], **means}
    half = {name: 1.96 * (value * (1 - value) / n) ** 0.5 for name, value in values.items()}
    ends = {name: [value - half[name], value + half[name]] for name, value in values.items()}
    return values | {"n": n, "unknown": unknown, "intervals": ends}


def outcomes(n: int, unknown: int, errors: int) -> dict[str, int]:
    refused, truncated, empty = unknown // 3, unknown // 4, unknown // 12
    malformed = unknown - errors - refused - truncated - empty
    several = n // 120
    return {
        "ok": n - unknown - several, "several": several, "malformed": malformed, "truncated": truncated,
        "refused": refused, "empty": empty, "not a candidate": 0, "error": errors,
    }  # fmt: skip


def calibration(n: int) -> dict[str, Any]:
    parts = [(0.3, 0.07, 0.38, 0.35), (0.5, 0.12, 0.55, 0.47), (0.7, 0.2, 0.74, 0.61), (0.9, 0.61, 0.98, 0.83)]
    bins = [
        {"low": low, "high": low + 0.1, "n": int(n * share), "agreement": agreement, "accuracy": right}
        for low, share, agreement, right in parts
    ]
    return {"ece": 0.1126, "bins": bins}


def problems() -> list[dict[str, Any]]:
    return [
        {"kind": "missing", "where": "ferplus", "count": 400, "detail": "/FERPlus/FER2013Test/fer0032221.png"},
        {"kind": "error", "where": "sfew", "count": 3, "detail": "HTTP 500 after 5 attempts <b>&</b>"},
    ]


def extras() -> dict[str, Any]:
    paired = [
        {"other": "gpt", "set": "rafdb", "n": 3068, "difference": -0.031, "low": -0.047, "high": -0.015, "b": 301,
         "c": 206, "p": 0.00002, "p_holm": 0.00006, "smallest": 0.021},
        {"other": "gpt", "set": "sfew", "n": 431, "difference": 0.014, "low": -0.025, "high": 0.052, "b": 41, "c": 47,
         "p": 0.594, "p_holm": 0.594, "smallest": 0.061},
        {"other": "geometry", "set": "pooled", "n": 6672, "difference": 0.294, "low": 0.279, "high": 0.309, "b": 402,
         "c": 2363, "p": 0.0, "p_holm": 0.0, "smallest": 0.019},
    ]  # fmt: skip
    robustness = [
        {"variant": "labels shuffled", "rows": 2000, "left_out": 0, "flips": 268, "flip_rate": 0.134, "low": 0.119,
         "high": 0.15, "accuracy": 0.724, "accuracy_base": 0.731},
        {"variant": "synonyms", "rows": 2000, "left_out": 0, "flips": 341, "flip_rate": 0.1705, "low": 0.155,
         "high": 0.188, "accuracy": 0.702, "accuracy_base": 0.731},
        {"variant": "mirrored", "rows": 1993, "left_out": 7, "flips": 151, "flip_rate": 0.0755, "low": 0.065,
         "high": 0.088, "accuracy": 0.729, "accuracy_base": 0.731},
    ]  # fmt: skip
    rationales = {
        "words, median": {"value": 96.0, "low": 94.0, "high": 99.0, "n": 6540},
        "agrees with the answer": {"value": 0.951, "low": 0.94, "high": 0.96, "n": 6540},
        "claims": {"value": 0.94, "low": 0.91, "high": 0.97, "n": 2000},
        "grounding rate": {"value": 0.642, "low": 0.618, "high": 0.666, "n": 1204},
        "coverage": {"value": None, "low": None, "high": None, "n": 0},
        "lift": {"value": -0.012, "low": -0.031, "high": 0.007, "n": 1204},
    }
    notes = ["Claims are read in 2,000 of 6,540 rationales, drawn by seed."]
    return {"paired": paired, "robustness": robustness, "rationales": rationales, "notes": notes}


def drawn_face(seed: int, side: int = 320) -> bytes:
    """A JPEG of a drawn face: nobody's."""
    rng = np.random.default_rng(seed)
    picture = np.full((side, side, 3), rng.integers(90, 200, 3), np.uint8)
    skin, dark = tuple(int(v) for v in rng.integers(120, 225, 3)), (40, 35, 45)
    middle = side // 2
    cv2.ellipse(picture, (middle, middle), (side // 3, int(side * 0.42)), 0, 0, 360, skin, -1)
    for x in (-1, 1):
        cv2.circle(picture, (middle + x * side // 8, int(side * 0.42)), side // 28, dark, -1)
    bend = int(rng.integers(-30, 31))
    cv2.ellipse(
        picture,
        (middle, int(side * 0.66) - bend // 2),
        (side // 8, abs(bend) + 2),
        0,
        0,
        180 if bend > 0 else -180,
        dark,
        5,
    )
    return cv2.imencode(".jpg", picture)[1].tobytes()


def examples(count: int, sets: tuple[str, ...] = tuple(SETS)) -> list[Example]:
    """Errors of all outcomes, with a hostile reply first."""
    out = []
    said = "<think>The brows are drawn together and the lip corners turn down; {}</think> <answer>{}</answer>"
    for at in range(count):
        name = sets[at % len(sets)]
        labels = SETS[name][0]
        true, other = labels[at % len(labels)], labels[(at + 3) % len(labels)]
        text = said.format("the eyes are narrowed, which speaks of strain. " * (1 + at % 9), other)
        outcome, predicted = [("ok", other), ("ok", other), ("refused", "unknown"), ("truncated", "unknown")][at % 4]
        if outcome == "refused":
            text = "I'm sorry, but I can't determine how the person in this picture feels."
        if outcome == "truncated":
            text = text[: len(text) // 2]
        text = HOSTILE if at == 0 else text
        out.append(Example(name, f"/{name}/test_{at:04d}.jpg", true, predicted, outcome, text, drawn_face(at)))
    return out


HOSTILE = "<script>document.title = 'owned'</script><img src=x onerror=alert(1)>\u202e{{ 7 * 7 }} </details></p>"
