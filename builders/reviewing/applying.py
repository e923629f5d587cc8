"""The dataset that a review leaves: what was rejected goes, with its own drops; the dataset itself stays as it is.

Stands behind the datasets and the log. Decisions about faces count for every rationale and question that shows the
face; a benchmark is never thinned.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ferbuild.builders import cot, faces, rlvr, shards
from ferbuild.builders.build import Build
from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.builders.mark import Report, Rows, read_mark
from ferbuild.builders.record import DROPS, FACES, Batch, drop, drops_table
from ferbuild.builders.reviewing import log
from ferbuild.builders.reviewing.fates import Fate, Review, decided, of_row
from ferbuild.builders.reviewing.figures import DROPS as ALL_DROPS
from ferbuild.builders.shards import Slice
from ferbuild.builders.stage import PART_ROWS, Job, Plan, Settled
from ferbuild.builders.styles import SUFFIX as STYLES

VERSION = 1
SUFFIX = "-reviewed"
DATASETS = (faces.FOLDER, cot.FOLDER, *(f"{cot.FOLDER}-{style}" for style in STYLES if style != "think"), rlvr.FOLDER)
"""What a review can be applied to."""
ABOUT = "What a review by people leaves of the dataset `{}`."

RULE = "review"
"""What `label_rule` says of a label that a reviewer gave."""
OnDisagreement = Literal["keep", "drop"]


class Piece(NamedTuple):
    """Some rows of the dataset and what becomes of those that do not stay as they are."""

    rows: Slice
    fates: Mapping[str, Fate]
    words: Mapping[str, Mapping[str, str]]
    """Source to canonical word to its own word."""


def plan(build: Build, *, dataset: str, on_disagreement: str = "keep") -> Plan:
    """Return what a review would leave of a dataset now; an unbuilt one has no key to depend on."""
    folder = build.settings.work / dataset
    mark = read_mark(folder)
    return Plan(
        stage=f"{dataset}{SUFFIX}",
        version=VERSION,
        out=folder.with_name(f"{dataset}{SUFFIX}"),
        schema=_schema(folder) if mark else FACES,
        options={"decisions": decided(build.settings.work, dataset).digest, "on_disagreement": on_disagreement},
        inputs=[mark.key if mark else ""],
        about=ABOUT.format(dataset),
        flags={"dataset": dataset} | ({"on_disagreement": on_disagreement} if on_disagreement != "keep" else {}),
        shard_bytes=build.settings.recipe.shard_bytes,
    )


def _schema(folder: Path) -> pa.Schema:
    """Return the columns of a dataset as they lie on disk; those of faces where it has no rows."""
    paths = [path for some in shards.split_files(folder).values() for path in some]
    return shards.read_stream(paths[0]).schema.remove_metadata() if paths else FACES


def run(build: Build, dataset: str, on_disagreement: OnDisagreement) -> Report:
    """Make the reviewed dataset and return what was done; FerError where there is nothing to apply."""
    refuse(build.settings.work, dataset)
    review = decided(build.settings.work, dataset)
    fates = _fates(build, dataset, review, on_disagreement)
    figures = partial(_settle, folder=build.settings.work / dataset, review=review)
    return build.bring_up_to_date(
        plan(build, dataset=dataset, on_disagreement=on_disagreement),
        lambda: _jobs(build, dataset, fates),
        partial(review_batch, kind=dataset.partition("-")[0]),
        settle=figures,
    )


def refuse(work: Path, dataset: str) -> None:
    """FerError where no reviewed dataset can be made: the dataset is none that is thinned, or lacks decisions."""
    if dataset in ("ferbench", ALL_DROPS):
        what = (
            "a benchmark is never thinned" if dataset == "ferbench" else "a drop is changed by the recipe that made it"
        )
        raise FerError(dataset, what, f"its findings: fer-build review {dataset} --summary")
    if dataset not in DATASETS:
        raise FerError(dataset, "is no dataset that a review is applied to", did_you_mean(dataset, DATASETS))
    mark = read_mark(work / dataset)
    if mark is None or not shards.is_intact(work / dataset, mark.splits):
        command = "cot" if dataset.startswith("cot") else dataset
        raise FerError(work / dataset, "is damaged" if mark else "is not built", f"run `fer-build {command}` first")
    names = [dataset] if dataset == faces.FOLDER else [dataset, faces.FOLDER]
    if not any(log.path_of(work, name).exists() for name in names):
        raise FerError(log.path_of(work, dataset), "nothing was decided yet", f"fer-build review {dataset}")


def review_batch(piece: Piece, *, kind: str) -> Batch:
    """Return the rows of a piece that stay, with new labels where faces got them, and the others as drops."""
    table = piece.rows.read()
    told = [(at, piece.fates[name]) for at, name in enumerate(table["id"].to_pylist()) if name in piece.fates]
    gone = [(at, fate) for at, fate in told if fate.dropped]
    findings = Counter(fate.reason for _, fate in told if not fate.dropped and fate.reason)
    drops = [_drop(table, at, fate) for at, fate in gone]
    if kind == faces.FOLDER:
        table = _relabelled(table, {at: fate.label for at, fate in told if fate.label}, piece.words)
    keep = pc.invert(pc.is_in(pa.array(range(table.num_rows)), pa.array([at for at, _ in gone], pa.int64())))
    kept = table.filter(keep) if gone else table
    return Batch({piece.rows.split: kept}, drops_table(drops), dict(sorted(findings.items())))


def _drop(table: pa.Table, at: int, fate: Fate) -> dict[str, str]:
    names = [name for name in (*DROPS.names, "faces") if name in table.schema.names]
    row = table.select(names).slice(at, 1).to_pylist()[0]
    return drop(row["faces"][0] | row if "faces" in row else row, fate.reason, fate.detail)


def _relabelled(table: pa.Table, labels: Mapping[int, str], words: Mapping[str, Mapping[str, str]]) -> pa.Table:
    """Return faces with the labels that reviewers gave to some, by their place: the source's word where it has one."""
    if not labels:
        return table
    sources = table["source"].to_pylist()
    new = {
        "canonical": labels,
        "label": {at: words.get(sources[at], {}).get(label, label) for at, label in labels.items()},
        "label_rule": dict.fromkeys(labels, RULE),
    }
    for name, values in new.items():
        column = table[name].to_pylist()
        for at, value in values.items():
            column[at] = value
        spot = table.schema.get_field_index(name)
        table = table.set_column(spot, table.schema.field(spot), pa.array(column, pa.string()))
    return table


def _jobs(build: Build, dataset: str, fates: Mapping[str, Fate]) -> list[Job]:
    words = _own_words(build)
    jobs = []
    for piece in shards.slices(build.settings.work / dataset, PART_ROWS):
        ids = piece.read()["id"].to_pylist() if fates else []
        own = {name: fates[name] for name in ids if name in fates}
        jobs.append(Job(piece.rows, Piece(piece, own, words)))
    return jobs


def _own_words(build: Build) -> dict[str, dict[str, str]]:
    """Return of every source its own word for each canonical one that it has; of several the first."""
    found: dict[str, dict[str, str]] = {}
    for source in (release.source for release in build.settings.releases):
        for word in source.candidates:
            found.setdefault(source.name, {}).setdefault(source.canonical.get(word, word), word)
    return found


def _fates(build: Build, dataset: str, review: Review, on_disagreement: OnDisagreement) -> dict[str, Fate]:
    """Return what becomes of every row that does not stay as it is, by its id."""
    labels, drops = dataset == faces.FOLDER, on_disagreement == "drop"
    found = {
        name: of_row(name, shown, review, labels=labels, safe=safe, drops=drops)
        for name, shown, safe in _rows(build, dataset)
    }
    return {name: fate for name, fate in found.items() if fate is not None}


def _rows(build: Build, dataset: str) -> Iterable[tuple[str, Sequence[str], bool]]:
    """Yield every row's id, those of the faces that it shows, and whether it is a benchmark's."""
    for paths in shards.split_files(build.settings.work / dataset).values():
        for table in map(shards.read_stream, paths):
            ids = table["id"].to_pylist()
            if dataset == faces.FOLDER:
                pairs = zip(table["source"].to_pylist(), table["split"].to_pylist(), strict=True)
                yield from ((name, (), pair in build.benchmarks) for name, pair in zip(ids, pairs, strict=True))
            else:
                for chunk, start in _chunks(table["faces"]):
                    shown = pa.ListArray.from_arrays(chunk.offsets, pc.struct_field(chunk.values, "id")).to_pylist()
                    yield from ((ids[start + at], some, False) for at, some in enumerate(shown))


def _chunks(column: pa.ChunkedArray) -> Iterable[tuple[pa.ListArray, int]]:
    start = 0
    for chunk in column.chunks:
        yield chunk, start
        start += len(chunk)


def _settle(kept: object, *, folder: Path, review: Review) -> Settled:
    """Drop nothing more, and tell of the decisions themselves."""
    return Settled(lambda rows: rows, DROPS.empty_table(), tables={"review": _figures(folder, review)})


def _figures(folder: Path, review: Review) -> Rows:
    """Return how many rows were decided and how, how many are gone, and of how many another build was looked at."""
    mark = read_mark(folder)
    paths = [path for some in shards.split_files(folder).values() for path in some]
    here = {name for path in paths for name in shards.read_stream(path)["id"].to_pylist()} & review.rows.keys()
    counts = Counter(review.rows[name].result for name in here)
    other = sum(review.keys[name] != (mark.key if mark else "") for name in here)
    told = [(f"rows: {name}", counts[name]) for name in ("accept", "reject", "relabel", "disagree")]
    told += [("rows of another build that are no longer here", len(review.rows) - len(here))]
    told += [("rows decided on another build that are still here", other)]
    return [{"decided": name, "rows": count} for name, count in told]
