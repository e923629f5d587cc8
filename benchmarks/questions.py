"""How fast questions are made, on faces that are made up: the columns alone, and the stage with the pictures it writes.

    python benchmarks/questions.py [--keep]

In processor time: the columns are those of 360,000 faces with the labels of the four sources in their shares, and
pictures of no bytes; beside it a loop over rows that fills the same columns with dicts. By the clock: the stage reads
faces with pictures of 12 kB from shards, makes one question each and writes parts, shards and marks as
`fer-build rlvr` does; beside it the bytes of its shards are written to one file, and synced, by the bare system calls.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import timing

from ferbuild.builders import card, pool, rlvr, shards, stage, training_rows
from ferbuild.builders.kinds import KINDS
from ferbuild.builders.kinds.made import Context, Words
from ferbuild.builders.kinds.rows import held
from ferbuild.builders.questions import question_among
from ferbuild.builders.record import FACES, IMAGE, RLVR
from ferbuild.builders.stage import Plan
from ferbuild.manifests.load import load_confusable, load_source
from ferbuild.manifests.recipe import KindOptions, Picture

ROWS, MOST_S = 360_000, 0.5
SOURCES = {"rafdb": 12_271, "ferplus": 28_558, "affectnet": 287_651, "sfew": 891}
"""Training faces of each."""
PICTURE_BYTES = 12_000
SHARD_ROWS = 40_000
"""As many such faces as a shard of the usual size holds."""
LEAST_SHARE = 0.7
TURNS = 4
DRAWN = KindOptions(words="mixed", order="shuffled", wordings="all")


def words() -> dict[str, Words]:
    found = {}
    for name, count in SOURCES.items():
        source = load_source(name)
        own = tuple(source.candidates)
        canonical = tuple(source.canonical.get(word, word) for word in own)
        found[name] = Words(own, canonical, (count // len(own),) * len(own))
    return found


def faces(rows: int, picture: int, seed: int = 0) -> pa.Table:
    """Return FACES with random ids and labels; a FERPlus row has votes, an AffectNet row numbers."""
    chance = np.random.default_rng(seed)
    known = words()
    names = np.array(list(SOURCES))
    source = names[chance.choice(len(names), rows, p=np.array(list(SOURCES.values())) / sum(SOURCES.values()))]
    at = chance.random(rows)
    label = [known[name].own[int(part * len(known[name].own))] for name, part in zip(source, at, strict=True)]
    ids = [f"{one:016x}" for one in chance.integers(0, 2**63, rows)]
    pixels = chance.bytes(picture) if picture else b""
    images = pa.StructArray.from_arrays(
        [pa.array([pixels] * rows, pa.binary()), pa.array([f"{one}.jpg" for one in ids])], fields=list(IMAGE)
    )
    votes = chance.multinomial(10, [0.5, 0.2, 0.1, 0.05, 0.05, 0.04, 0.03, 0.03, 0, 0], rows)
    columns: dict[str, Any] = {
        "id": ids,
        "source": source,
        "split": ["train"] * rows,
        "rel_path": [f"aligned/{one}.jpg" for one in ids],
        "image": images,
        "sha256": [one * 4 for one in ids],
        "pixel_hash": [one * 2 for one in ids],
        "label": label,
        "canonical": label,
        "label_rule": ["as labelled"] * rows,
        "votes": [cast if name == "ferplus" else None for cast, name in zip(votes.tolist(), source, strict=True)],
        "valence": chance.uniform(-1, 1, rows),
        "arousal": chance.uniform(-1, 1, rows),
        "licence": ["made up"] * rows,
        "synthetic": [False] * rows,
    }
    return pa.table(
        {f.name: pa.array(columns[f.name], f.type) if f.name in columns else pa.nulls(rows, f.type) for f in FACES}
    )


def context(kind: str, options: KindOptions) -> Context:
    templates = rlvr.templates_of(kind, options, "choose")
    weights = load_confusable().weights
    return Context(kind, options, words(), templates, 0, "train", weights, Picture())


def looped(table: pa.Table) -> pa.Table:
    """Fill the same columns with a dict a row, as one would write it down first."""
    known = words()
    asked = {name: question_among(one.own, "choose") for name, one in known.items()}
    rows = []
    for face in table.drop_columns(["image", "hash64", "hash256", "descriptor"]).to_pylist():
        question = asked[face["source"]]
        rows.append(
            face
            | {
                "images": [{"bytes": b"", "path": ""}],
                "prompt": question.messages,
                "solution": f"<answer>{face['label']}</answer>",
                "kind": "choose",
                "choices": list(question.choices),
                "answer": face["label"],
                "faces": [face],
                "prompt_version": question.version,
            }
        )
    return pa.Table.from_pylist(rows, schema=RLVR)


def least(call: Callable[[], object], times: int) -> float:
    """Return the least seconds of processor time of several calls, all threads counted."""
    found = []
    for _ in range(times):
        start = time.process_time()
        call()
        found.append(time.process_time() - start)
    return min(found)


def columns(rows: int, times: int) -> list[timing.Line]:
    table = faces(rows, 0)
    plain = least(lambda: rlvr.asked(table, context("choose", KindOptions()), RLVR), times)
    lines = [
        timing.Line(f"{rows:,} questions, default", f"{plain:.2f} s", f"{MOST_S} s", plain <= MOST_S),
        timing.Line(
            "a loop over rows with dicts",
            f"{(slow := least(lambda: looped(table), 1)):.1f} s, {slow / plain:.0f} x ours",
        ),
    ]
    for kind in KINDS:
        if kind != "measure":
            given = context(kind, DRAWN)
            took = least(lambda given=given: rlvr.asked(rlvr.drawn_once(table, 0), given, RLVR), 1)
            made = rlvr.asked(table.slice(0, 20_000), given, RLVR).num_rows / 20_000
            lines.append(timing.Line(f"`{kind}`, all drawn", f"{took:.2f} s, {made:.2f} questions a face"))
    return lines


def written(rows: int, folder: Path, least: float = 0) -> list[timing.Line]:
    """Return what part of a raw write of the same bytes the whole stage is, which is to be `least`."""
    for at in range(0, rows, SHARD_ROWS):
        path = folder / "faces" / "train" / f"data-{at // SHARD_ROWS:05d}-of-{-(-rows // SHARD_ROWS):05d}.arrow"
        shards.write_stream(path, [faces(min(SHARD_ROWS, rows - at), PICTURE_BYTES, at)], FACES)
    (folder / "faces" / "dataset_dict.json").write_text('{"splits": ["train"]}')
    found = []
    for turn in range(TURNS):
        plan = Plan("rlvr", turn, folder / "rlvr", RLVR, {}, [])
        os.sync()
        start, busy = time.perf_counter(), time.process_time()
        _stage(plan, folder / "faces")
        ours, busy = time.perf_counter() - start, time.process_time() - busy
        files = sorted(plan.out.glob("train/*.arrow"))
        found.append((ours, busy, _raw(files, folder / "raw"), sum(file.stat().st_size for file in files) / 1e6))
        shutil.rmtree(plan.out)
    ours, busy, raw, size = (min(some) for some in zip(*found, strict=True))
    shutil.rmtree(folder)
    what = f"the stage, {rows:,} faces of {PICTURE_BYTES // 1000} kB, the quickest of {TURNS} runs"
    told = f"{raw / ours:.0%}: {size / ours:,.0f} MB/s, the raw write {size / raw:,.0f} MB/s"
    return [
        timing.Line(what, told, f"{least:.0%}" if least else "", raw / ours >= least),
        timing.Line("its processor time", f"{busy:.1f} s, {size / busy:,.0f} MB a second of it"),
    ]


def _stage(plan: Plan, faces: Path) -> None:
    """Make the questions as `fer-build rlvr` does, from the planning of the jobs on."""
    asking = rlvr.Asking((context("choose", KindOptions()),), frozenset(), held(RLVR))
    jobs = training_rows.jobs(faces, frozenset(), rlvr.ASKED_ROWS)
    settle = partial(rlvr.filled, folder=faces, schema=RLVR)
    work = partial(rlvr.ask_batch, asking=asking)
    many, workers = pool.in_threads, os.cpu_count() or 1
    stage.run(plan, jobs, work, settle=settle, held=asking.schema, engine=many, workers=workers, card=card.local)


def _raw(files: list[Path], out: Path) -> float:
    data = [file.read_bytes() for file in files]
    out.unlink(missing_ok=True)  # else its old bytes are cut off within the time
    os.sync()
    start = time.perf_counter()
    with out.open("wb") as sink:
        for some in data:
            sink.write(some)
        sink.flush()
        os.fsync(sink.fileno())
    return time.perf_counter() - start


def main() -> int:
    said = argparse.ArgumentParser(description="Measure how fast questions are made.")
    said.add_argument("--rows", type=int, default=ROWS, help="Faces of the columns alone.")
    said.add_argument("--pictures", type=int, default=160_000, help="Faces of the stage: four shards by default.")
    said.add_argument("--times", type=int, default=5)
    said.add_argument("--folder", type=Path, help="Where to write; a temporary folder by default.")
    said.add_argument("--keep", action="store_true", help="Write the table to docs/benchmarks.md.")
    options = said.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        lines = columns(options.rows, options.times)
        lines += written(options.pictures, Path(temporary) / "many", LEAST_SHARE)
        lines += written(SHARD_ROWS, Path(temporary) / "one")
    text = timing.table(lines)
    print(text)
    if options.keep:
        timing.keep("questions", "python benchmarks/questions.py --keep", text)
    return 0 if all(line.reached for line in lines) else 1


if __name__ == "__main__":
    raise SystemExit(main())
