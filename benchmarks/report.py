"""How long the report of a large work folder takes, and how much memory: `fer-build report` on 360,000 made-up rows.

    python benchmarks/report.py [--keep]

The work folder has the shape of a real one: 360,000 training faces and the benchmark's 11,072, drops of both stages,
230,000 rationales of about 100 words with their claims, dropped ones with their text, as many questions as faces, and a
store of 360,000 replies. Pictures are a few hundred bytes that are no picture: the report must not look at them. The
releases are not there, so that no stage is planned anew: what `fer-build status` takes comes on top.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import questions
import timing

from ferbuild.builders import replies, shards
from ferbuild.builders.columns import one_each, provenance
from ferbuild.builders.mark import Report, write_mark
from ferbuild.builders.record import CANONICAL, CLAIMS, COT, DROPS, FACES, FERBENCH, MESSAGES, RLVR
from ferbuild.filters.grounding import read_claims
from ferbuild.manifests.load import load_source

ROWS, KEPT_SHARE, BENCH = 360_000, 0.64, 11_072
MOST_S, MOST_MB, MOST_PAGE_MB = 30.0, 1000, 5.0
SHARD_ROWS = 60_000
PICTURE_BYTES = 400
TEXTS = 3_000
"""Rationales that differ; the rows draw from them."""
TEACHER, MODEL = "qwen72b", "Qwen2.5-VL-72B-Instruct"
BEGAN = datetime(2026, 11, 2, 9, tzinfo=UTC)
SENTENCES = (
    "The inner brows are raised and drawn together.",
    "The lip corners are pulled up and the cheeks are raised.",
    "The eyes are wide open and the upper lids are raised.",
    "The brows are lowered and drawn together.",
    "The lips are pressed together.",
    "The jaw is dropped and the lips are parted.",
    "The nose is wrinkled and the upper lip is raised.",
    "The corners of the mouth are pulled down.",
    "There is no tension around the mouth.",
    "The forehead is smooth and the gaze is steady.",
    "Nothing else in the face stands out, and the lighting is even.",
    "The closest rival fits less well, because the eyes do not take part in it at all.",
    "Taken together, what the upper and the lower half of the face show points the same way.",
)
WHY_FACES = {
    "near duplicate": 0.45, "duplicate": 0.2, "contaminates:ferbench/affectnet": 0.08, "labels disagree": 0.07,
    "unreadable": 0.05, "missing picture": 0.1, "truncated": 0.05,
}  # fmt: skip
WHY_COT = {
    "disagrees with the label": 0.8, "repetition": 0.05, "names a person": 0.02, "concludes otherwise": 0.1,
    "truncated": 0.03,
}  # fmt: skip


class Made(NamedTuple):
    """What a stage of the made-up folder holds."""

    kept: Mapping[str, int]
    dropped: Mapping[str, int]


@cache
def rationales() -> tuple[str, ...]:
    """Return texts of about a hundred words."""
    chance = np.random.default_rng(1)
    return tuple(" ".join(chance.choice(SENTENCES, chance.integers(8, 15))) for _ in range(TEXTS))


@cache
def claims() -> pa.Array:
    """Return the claims of every text, each with a verdict that is drawn."""
    chance = np.random.default_rng(2)
    verdicts = ("supported", "contradicted", "not judged")
    found = []
    for text in rationales():
        rows = []
        for claim in read_claims(f"<think>{text}</think>"):
            said = verdicts[int(chance.choice(3, p=(0.5, 0.1, 0.4)))]
            own = {name: value for name, value in claim._asdict().items() if name != "text"}
            rows.append(own | {"units": list(claim.units), "verdict": said, "why": "small" if said[0] == "n" else ""})
        found.append(rows)
    return pa.array(found, CLAIMS)


def said(text: str, label: str) -> str:
    return f"<think>{text}</think>\n<answer>{label}</answer>"


def write_split(folder: Path, split: str, tables: Iterator[pa.Table], rows: int, schema: pa.Schema) -> list[str]:
    """Write the shards of a split, each of a table, and return their names."""
    many = -(-rows // SHARD_ROWS)
    names = [f"data-{at:05d}-of-{many:05d}.arrow" for at in range(many)]
    for name, table in zip(names, tables, strict=True):
        shards.write_stream(folder / split / name, [table], schema)
    return names


def pieces(rows: int, split: str, start: int = 0) -> Iterator[pa.Table]:
    """Yield faces of one split, a shard at a time."""
    for at in range(0, rows, SHARD_ROWS):
        table = questions.faces(min(SHARD_ROWS, rows - at), PICTURE_BYTES, start + at)
        same = pa.array([split] * table.num_rows)
        table = table.set_column(table.schema.get_field_index("split"), "split", same)
        own = {"group_id": table["id"], "width": pa.array([100] * table.num_rows, pa.int32())}
        own["height"] = own["width"]
        for name, values in own.items():
            table = table.set_column(table.schema.get_field_index(name), FACES.field(name), values)
        yield table


def drawn(reasons: Mapping[str, float], rows: int, seed: int) -> list[str]:
    chance = np.random.default_rng(seed)
    return [str(one) for one in chance.choice(list(reasons), rows, p=list(reasons.values()))]


def dropped(faces: pa.Table, reasons: Sequence[str], details: Sequence[str]) -> pa.Table:
    named = {name: faces[name] for name in ("id", "source", "split", "rel_path", "label")}
    return pa.table(named | {"reason": pa.array(reasons), "detail": pa.array(details)}).cast(DROPS)


def other_label(source: str, label: str, draw: int) -> str:
    words = [word for word in load_source(source).candidates if word != label]
    return words[draw % len(words)]


def cot_rows(faces: pa.Table, seed: int) -> pa.Table:
    """Return rationales to all of the faces, each of which agrees with its label."""
    rows = faces.num_rows
    chance = np.random.default_rng(seed)
    which = chance.integers(0, TEXTS, rows)
    texts = rationales()
    labels = faces["label"].to_pylist()
    content = [
        [{"role": "assistant", "content": said(texts[at], label)}] for at, label in zip(which, labels, strict=True)
    ]
    prompt = [
        {"role": "user", "content": "Look at the face in this picture and decide which expression it shows. " * 6}
    ]
    counts = {name: chance.integers(0, 4, rows) for name in ("supported", "contradicted", "not_judged")}
    given: dict[str, Any] = {
        "images": one_each(faces["image"]), "prompt": [prompt] * rows, "completion": pa.array(content, MESSAGES),
        "answer": labels, "faces": provenance(faces), "style": ["think"] * rows, "teacher": [TEACHER] * rows,
        "model": [MODEL] * rows, "baseline": [False] * rows, "sampling": ["{}"] * rows,
        "prompt_version": ["de5c70edb499"] * rows, "hinted": [False] * rows, "evidence": [False] * rows,
        "samples": [1] * rows, "agreement": [1.0] * rows, "majority": labels, "keep_weight": [1.0] * rows,
        "verdicts": [["answered", "reasons", "agrees"]] * rows, "claims": claims().take(pa.array(which)), **counts,
        "supported_elsewhere": counts["supported"], "contradicted_elsewhere": counts["contradicted"],
        "elsewhere": np.roll(faces["id"].to_pylist(), 1), "grounding_version": ["8c794b4cf6907fbf"] * rows,
    }  # fmt: skip
    return filled(given, faces, COT)


def filled(given: Mapping[str, Any], faces: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return a table of a schema: what is given, what the faces have, and nulls."""
    columns = []
    for field in schema:
        if field.name in given:
            own = given[field.name]
            columns.append(own if isinstance(own, pa.Array) else pa.array(own, field.type))
        else:
            columns.append(
                faces[field.name] if field.name in faces.schema.names else pa.nulls(faces.num_rows, field.type)
            )
    return pa.Table.from_arrays(columns, schema=schema)


def question_rows(faces: pa.Table, schema: pa.Schema) -> pa.Table:
    rows = faces.num_rows
    labels = faces["label"].to_pylist()
    prompt = [{"role": "user", "content": "Which expression does this face show? " * 8}]
    given = {
        "images": one_each(faces["image"]), "prompt": [prompt] * rows, "kind": ["choose"] * rows, "answer": labels,
        "solution": [f"<answer>{label}</answer>" for label in labels], "choices": [list(CANONICAL)] * rows,
        "faces": provenance(faces), "prompt_version": ["83d1ac4c6b3c"] * rows,
        "image_path": faces["rel_path"].to_pylist(),
    }  # fmt: skip
    return filled({name: value for name, value in given.items() if name in schema.names}, faces, schema)


def finish(folder: Path, stage: str, files: Mapping[str, Sequence[str]], schema: pa.Schema, made: Made) -> None:
    """Write what makes shards a dataset of a stage."""
    shards.seal(folder, files, schema, "0" * 32)
    kept = sum(made.kept.values())
    report = Report(stage, kept + sum(made.dropped.values()), kept, made.dropped, folder, splits=made.kept)
    write_mark(folder, report, "0" * 32, {"teacher": TEACHER} if stage == "cot" else {})


def counted(reasons: Sequence[str]) -> dict[str, int]:
    return {one: reasons.count(one) for one in sorted(set(reasons))}


def make_faces(work: Path, rows: int) -> None:
    folder = work / "faces"
    files = {"train": write_split(folder, "train", pieces(rows, "train"), rows, FACES)}
    files["test"] = write_split(folder, "test", pieces(BENCH, "test", 10**6), BENCH, FACES)
    gone = next(pieces(SHARD_ROWS, "train", 10**7)).slice(0, rows // 20)
    reasons = drawn(WHY_FACES, gone.num_rows, 3)
    known = shards.read_stream(folder / "test" / files["test"][0])["id"].to_pylist()
    details = [
        known[at % BENCH] if one.startswith(("near", "dupl", "cont", "labels")) else ""
        for at, one in enumerate(reasons)
    ]
    shards.write_stream(folder / "drops" / "data-00000-of-00001.arrow", [dropped(gone, reasons, details)], DROPS)
    finish(folder, "faces", files, FACES, Made({"train": rows, "test": BENCH}, counted(reasons)))


def make_cot(work: Path, rows: int) -> None:
    folder, chance = work / "cot", np.random.default_rng(4)
    kept, gone, every = [], [], list[str]()
    for at, faces in enumerate(pieces(rows, "train")):
        stay = pa.array(chance.random(faces.num_rows) < KEPT_SHARE)
        kept.append(cot_rows(faces.filter(stay), at))
        lost = faces.filter(pa.compute.invert(stay))
        reasons = drawn(WHY_COT, lost.num_rows, at)
        words = zip(lost["source"].to_pylist(), lost["label"].to_pylist(), reasons, strict=True)
        details = [
            said(rationales()[row % TEXTS], other_label(source, label, row) if "dis" in why else label)
            for row, (source, label, why) in enumerate(words)
        ]
        gone.append(dropped(lost, reasons, details))
        every += reasons
    shards.write_stream(folder / "drops" / "data-00000-of-00001.arrow", gone, DROPS)
    names = [f"data-{at:05d}-of-{len(kept):05d}.arrow" for at in range(len(kept))]
    for name, table in zip(names, kept, strict=True):
        shards.write_stream(folder / "train" / name, [table], COT)
    total = sum(table.num_rows for table in kept)
    finish(folder, "cot", {"train": names}, COT, Made({"train": total}, counted(every)))


def make_questions(work: Path, rows: int) -> None:
    for name, stage, split, many, start, schema in (
        ("rlvr", "rlvr", "train", rows, 0, RLVR),
        ("ferbench", "bench", "affectnet", BENCH, 10**6, FERBENCH),
    ):
        tables = (question_rows(faces, schema) for faces in pieces(many, "train", start))
        files = {split: write_split(work / name, split, tables, many, schema)}
        shards.write_stream(work / name / "drops" / "data-00000-of-00001.arrow", [], DROPS)
        finish(work / name, stage, files, schema, Made({split: many}, {}))


def make_replies(path: Path, rows: int) -> None:
    """Fill a store: three days of asking, and a fruitless attempt to every fiftieth reply."""
    chance = np.random.default_rng(5)
    with replies.asking(path) as store:
        for start in range(0, rows, 10_000):
            moments = [
                (BEGAN + timedelta(seconds=0.7 * at)).isoformat(timespec="milliseconds")
                for at in range(start, min(start + 10_000, rows))
            ]
            waits = chance.gamma(4, 700, len(moments)).astype(int).tolist()
            got = [_record(start + at, waits[at], when) for at, when in enumerate(moments)]
            lost = [
                replies.Attempt(f"{at:064x}", TEACHER, MODEL, "HTTP 429", "", "{}", 90, "", when)
                for at, when in enumerate(moments[::50])
            ]
            store.put(got, lost)


def _record(at: int, wait: int, when: str) -> replies.Record:
    written = 90 + at % 97
    usage = {"prompt_tokens": 512, "completion_tokens": written, "total_tokens": 512 + written}
    reply = replies.Reply(said(rationales()[at % TEXTS], "happiness"), "stop", "ok")
    return replies.Record(f"{at:064x}", TEACHER, MODEL, reply, usage, wait, "", when)


def make(folder: Path, rows: int) -> Path:
    """Write a whole work folder and return its fer-build.yaml."""
    work = folder / "fer-data"
    make_faces(work, rows)
    make_cot(work, rows)
    make_questions(work, rows)
    make_replies(work / "replies.sqlite", rows)
    config = folder / "fer-build.yaml"
    config.write_text(f"sources: {{}}\nteacher: {TEACHER}\n")
    return config


def measured(config: Path) -> list[timing.Line]:
    folder = config.parent
    program = Path(sys.executable).with_name("fer-build")
    cost = timing.cost([program, "report", "--config", config], folder)
    page = (folder / "fer-data" / "report" / "index.html").stat().st_size / 1e6
    return [
        timing.Line("seconds", f"{cost.seconds:.1f}", f"{MOST_S:.0f}", cost.seconds <= MOST_S),
        timing.Line("memory at its peak, MB", f"{cost.peak:,.0f}", f"{MOST_MB:,}", cost.peak <= MOST_MB),
        timing.Line("size of the page, MB", f"{page:.2f}", f"{MOST_PAGE_MB:.0f}", page <= MOST_PAGE_MB),
    ]


def main() -> int:
    said = argparse.ArgumentParser(description="Measure the report of a large work folder.")
    said.add_argument("--rows", type=int, default=ROWS)
    said.add_argument("--folder", type=Path, help="Where the work folder is made, and used again; default: temporary.")
    said.add_argument("--keep", action="store_true", help="Write the table to docs/benchmarks.md.")
    options = said.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        home = options.folder or Path(temporary)
        config = home / "fer-build.yaml"
        text = timing.table(lines := measured(config if config.exists() else make(home, options.rows)))
    print(text)
    if options.keep:
        timing.keep("report", "python benchmarks/report.py --keep", text)
    return 0 if all(line.reached for line in lines) else 1


if __name__ == "__main__":
    raise SystemExit(main())
