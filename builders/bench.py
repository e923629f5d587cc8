"""Benchmark splits become FERBench: every row in its published place, whatever its picture is like.

The picture is the file's own bytes, uncropped. Nothing is thinned; a picture that cannot be read leaves its
row with a null image, is counted as a finding and makes the run end with exit code 1.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ferbuild.builders import images
from ferbuild.builders.build import Build
from ferbuild.builders.columns import own_copy
from ferbuild.builders.errors import FerError
from ferbuild.builders.facing import Facing, make_face, summed
from ferbuild.builders.mark import Report
from ferbuild.builders.questions import Question, as_options, question_of
from ferbuild.builders.record import DROPS, FERBENCH, Batch, Row
from ferbuild.builders.shown import enlarged, image_shown
from ferbuild.builders.stage import JOB_BYTES, PART_ROWS, Job, Plan, portions
from ferbuild.manifests.recipe import Picture
from ferbuild.manifests.schema import Benchmark

log = logging.getLogger(__name__)

VERSION = 1
FOLDER = "ferbench"
ABOUT = "FERBench, built from the benchmark splits of its sources: one question a picture, none left out."


_PART = "give the whole published file, for the release, layout and label rule that it was made from"


class Prompts(NamedTuple):
    """Prompts taken from published files, by picture path."""

    texts: Mapping[str, str]
    digest: str


class Asked(NamedTuple):
    """Some rows of one benchmark set, in their published order."""

    base: Path
    set: str
    question: Question
    prompts: Mapping[str, str]
    """Published prompts of these rows by picture path; empty where the tool's own wording is used."""
    version: str
    paths: Sequence[str]
    rows: pa.Table


def read_prompts(files: Sequence[Path]) -> Prompts | None:
    """Read the prompts of published benchmark files; None without files. FerError where one is of another form."""
    texts: dict[str, str] = {}
    digest = hashlib.sha256()
    for file in files:
        try:
            data = file.read_bytes()
            texts |= {_text(row["image_path"]): _text(row["prompt"]) for row in json.loads(data)}
        except OSError as err:
            raise FerError(file, "cannot be read", str(err.strerror or err)) from None
        except (ValueError, TypeError, KeyError, RecursionError) as err:
            hint = "a JSON list of rows with `image_path` and `prompt` is wanted, as FERBench is published"
            raise FerError(file, f"holds no benchmark rows ({type(err).__name__}: {err})", hint) from None
        digest.update(hashlib.sha256(data).digest())
    return Prompts(texts, digest.hexdigest()[:12]) if files else None


def _text(value: Any) -> str:
    """Return a JSON value that is a string Arrow can hold. TypeError, ValueError: it is none."""
    if not isinstance(value, str):
        raise TypeError(f"found {value!r:.40} where text is wanted")
    value.encode()
    return value


def plan(build: Build, *, prompts: str = "") -> Plan:
    """Return what the bench stage would make of the releases now; `prompts` is the digest of published prompts."""
    settings = build.settings
    marked = [r.source for r in settings.releases if r.source.benchmark]
    asked = {source.name: question_of(source, settings.recipe.question) for source in marked}
    return Plan(
        stage="bench",
        version=VERSION,
        out=settings.work / FOLDER,
        about=ABOUT,
        schema=FERBENCH,
        options={
            "questions": as_options(asked),
            "prompts": prompts,
            "max_pixels": settings.recipe.picture.max_pixels,
            "limit": settings.limit,
            **enlarged(settings.recipe.picture),
        },
        inputs=[listing.digest for listing in build.benchmark_listings],
        flags={"prompts": prompts},
        shard_bytes=settings.recipe.shard_bytes,
    )


def run(build: Build, *, prompts: Prompts | None = None) -> Report:
    """Bring the benchmark up to date and return what was done; its findings are the unreadable pictures."""
    wanted = plan(build, prompts=prompts.digest if prompts else "")
    work = partial(bench_batch, policy=build.settings.recipe.picture)
    return build.bring_up_to_date(wanted, lambda: _jobs(build, prompts), work, early=lambda: _listed_drops(build))


def published_path(mark: Benchmark, row: Row) -> str:
    """Return a row's picture path as the benchmark publishes it."""
    words = {"name": row["name"], "stem": Path(row["name"]).stem, "label": row["label"], "class": row["label"].title()}
    return mark.path.format_map(words)


def _jobs(build: Build, prompts: Prompts | None) -> list[Job]:
    jobs = []
    matched = prompts is None
    for listing in build.benchmark_listings:
        mark = listing.source.benchmark
        if mark is None:
            continue
        rows, paths = _in_order(build.chosen(listing.rows), mark)
        texts = _published(prompts, paths, mark)
        matched = matched or bool(texts)
        if prompts:
            log.info("%s: %s", mark.set, "the published prompts" if texts else "our own wording")
        question = question_of(listing.source, build.settings.recipe.question)
        version = f"file:{prompts.digest}" if prompts and texts else question.version
        for start, stop in portions(rows["size"].to_pylist(), PART_ROWS, JOB_BYTES):
            piece, names = own_copy(rows, start, stop - start), paths[start:stop]
            own = {name: texts[name] for name in names if name in texts}
            jobs.append(Job(len(names), Asked(listing.base, mark.set, question, own, version, names, piece)))
    if not matched:
        hint = "a file is matched by its `image_path`; `fer-build check` says where a layout has no published paths"
        raise FerError("--prompts", "the prompt files know no row of any set here", hint)
    return jobs


def _in_order(rows: pa.Table, mark: Benchmark) -> tuple[pa.Table, list[str]]:
    """Return the rows of the benchmark split in the published order, and their paths."""
    rows = rows.filter(pc.equal(rows["split"], mark.split))
    named = [(published_path(mark, row), at) for at, row in enumerate(rows.select(["name", "label"]).to_pylist())]
    named.sort(reverse=mark.order == "path descending")
    return rows.take(pa.array([at for _, at in named], pa.int64())), [path for path, _ in named]


def _published(prompts: Prompts | None, paths: Sequence[str], mark: Benchmark) -> Mapping[str, str]:
    """Return the published prompts where the files speak of this set; FerError where they know only part of it."""
    texts = prompts.texts if prompts else {}
    known = sum(path in texts for path in paths)
    if 0 < known < len(paths):
        first = next(path for path in paths if path not in texts)
        problem = f"the prompt files know {known} of the {len(paths)} rows of {mark.set}"
        raise FerError("--prompts", problem, f"the first they lack is {first}: {_PART}")
    return texts if known else {}


def bench_batch(job: Asked, *, policy: Picture) -> Batch:
    """Return the benchmark rows of a job, a null image where a picture cannot be read."""
    rows, findings = [], dict[str, int]()
    for path, row in zip(job.paths, job.rows.to_pylist(), strict=True):
        try:
            made = make_face(row, Facing(job.base, "as_is", Picture(max_pixels=policy.max_pixels)))
            [face] = summed([made])
            face = {**face, "image": image_shown(face["image"], policy)}
        except images.PictureError as err:
            findings[err.reason] = findings.get(err.reason, 0) + 1
            face = dict(row)
        rows.append(_bench_row(face, path, job))
    return Batch({job.set: pa.Table.from_pylist(rows, schema=FERBENCH)}, DROPS.empty_table(), findings)


def _bench_row(face: Row, path: str, job: Asked) -> dict[str, Any]:
    prompt = job.prompts.get(path, job.question.prompt)
    own = {name: face[name] for name in ("id", "canonical", "label_rule", "licence", "synthetic")}
    return own | {
        "images": [face["image"]] if face.get("image") else None,
        "prompt": [{"role": "user", "content": prompt}],
        "choices": list(job.question.choices),
        "answer": face["label"],
        "image_path": path,
        "faces": [face],
        "prompt_version": job.version,
    }


def _listed_drops(build: Build) -> pa.Table:
    """Return what the sources dropped of the benchmark splits themselves: rows without a usable label."""
    drops = build.listed_drops(build.benchmark_listings)
    pairs = [f"{source}/{split}" for source, split in build.benchmarks]
    return drops.filter(pc.is_in(pc.binary_join_element_wise(drops["source"], drops["split"], "/"), pa.array(pairs)))
