"""Answers that the tool asked for itself, brought together for the score: with their clusters, and what is wrong.

Stands between the eval stage's folder and the score, as `readers` stands before it for files of somebody else's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ferbuild.builders import faces, shards
from ferbuild.builders.build import Build
from ferbuild.builders.evaluation import ceiling
from ferbuild.builders.evaluation.answers import ANSWERS, Loaded, Problem, cluster_of
from ferbuild.builders.evaluation.grouped import groups_of
from ferbuild.builders.record import VOTE_WORDS
from ferbuild.builders.sources.vote_rules import RULES

NO_VOTES = [0] * len(VOTE_WORDS)


def load(build: Build, name: str, folder: Path) -> Loaded:
    """Return the answers of an eval folder; rows are resampled by the groups of the faces, where these are built."""
    table = _read(folder)
    groups = groups_of(build.settings.work / faces.FOLDER, table["id"].to_pylist())
    if groups:
        triples = zip(*(table[column].to_pylist() for column in ("set", "image_path", "id")), strict=True)
        clusters = [cluster_of(one, path, groups.get(face)) for one, path, face in triples]
        table = table.set_column(table.schema.get_field_index("cluster"), "cluster", pa.array(clusters, pa.string()))
    return Loaded(name, table, [*_errors(table), *_empty(table)])


def read_answers(folder: Path) -> pa.Table:
    """Return all rows of an eval folder, set by set."""
    return _read(folder)


def _read(folder: Path) -> pa.Table:
    streams = [shards.read_stream(path) for files in shards.split_files(folder).values() for path in files]
    return pa.concat_tables([ANSWERS.empty_table(), *(one.cast(ANSWERS) for one in streams)]).combine_chunks()


def _errors(table: pa.Table) -> list[Problem]:
    return _counted(table.filter(table["error"]), "error")


def _empty(table: pa.Table) -> list[Problem]:
    """Return the rows whose replies have no text."""
    said = pc.binary_join(table["texts"], "")
    blank = pc.and_(pc.invert(table["error"]), pc.equal(pc.utf8_trim_whitespace(said), ""))
    return _counted(table.filter(blank), "empty")


def _counted(rows: pa.Table, kind: str) -> list[Problem]:
    found = []
    for name in rows["set"].unique().to_pylist():
        some = rows.filter(pc.equal(rows["set"], name))
        first = some.slice(0, 1).to_pylist()[0]
        detail = ", ".join(part for part in (first["image_path"], first["detail"]) if part)
        found.append(Problem(kind, name, some.num_rows, f"the first: {detail}"))
    return found


def ceilings(build: Build, table: pa.Table) -> dict[str, Any]:
    """Return what people reach, by set, where the release has its annotators' votes."""
    found = {}
    for listing in build.benchmark_listings:
        mark = listing.source.benchmark
        rows = table.filter(pc.equal(table["set"], mark.set)) if mark else table.slice(0, 0)
        if mark is None or not rows.num_rows:
            continue
        known = dict(zip(listing.rows["id"].to_pylist(), listing.rows["votes"].to_pylist(), strict=True))
        votes = np.array([known.get(face) or NO_VOTES for face in rows["id"].to_pylist()], np.int32)
        rule = listing.source.rules[0]
        if votes.any() and rule in RULES and (people := ceiling.ceiling(votes, rule=rule, seed=build.settings.seed)):
            found[mark.set] = ceiling.as_json(people)
    return found
