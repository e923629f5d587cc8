"""Faces that show one photograph: the largest groups, those whose labels disagree, and what a benchmark shows too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from ferbuild.builders import duplicate_report, faces, shards
from ferbuild.builders.build import Build
from ferbuild.builders.duplicate_report import Duplicates
from ferbuild.builders.errors import FerError
from ferbuild.builders.reporting.rows import look_up, rank, short

GROUPS = 8
"""Groups that are told of each kind, at most."""
MEMBERS = 6
"""Rows of a group that are told."""
PAIRS = 18
"""Training rows that a benchmark shows which are told, drawn by seed."""
FACE = ("id", "source", "split", "rel_path", "label")


def of(build: Build) -> dict[str, Any]:
    """Return what the faces stage found; FerError where it built nothing that can be read."""
    folder = build.settings.work / faces.FOLDER
    if next(shards.read_drops(folder), None) is None:
        raise FerError(folder / "drops", "is missing, and with it what was dropped", "run `fer-build faces` again")
    found = duplicate_report.read(build)
    groups = found.groups
    disagreeing = groups.filter(pl.col("labels") > 1)
    return {
        "rows": found.members.height,
        "groups": groups.height,
        "kept": int(groups["kept"].sum()),
        "dropped": duplicate_report.counts(found.members.drop_nulls("reason")["reason"]),
        "how": duplicate_report.counts(found.members["how"].drop_nulls()),
        "sizes": {str(size): count for size, count in groups["size"].value_counts().sort("size").iter_rows()},
        "sources": duplicate_report.counts(groups["sources"]),
        "largest": [_group(found, row) for row in groups.head(GROUPS).iter_rows(named=True)],
        "disagreeing": disagreeing.height,
        "disagreeing_groups": [_group(found, row) for row in disagreeing.head(GROUPS).iter_rows(named=True)],
        "contaminations": duplicate_report.contaminations(found),
        "contaminating": found.contaminating.height,
        "pairs": _pairs(build, found.contaminating),
    }


def _group(found: Duplicates, row: Mapping[str, Any]) -> dict[str, Any]:
    members = duplicate_report.members_of(found, row["group"])
    told = [_named(one) | {"became": one["reason"] or "kept", "how": one["how"] or ""} for one in members[:MEMBERS]]
    return {"size": row["size"], "labels": row["labels"], "members": told, "left_out": len(members) - len(told)}


def _named(row: Mapping[str, Any]) -> dict[str, str]:
    return {name: short(row[name]) for name in FACE}


def _pairs(build: Build, rows: pl.DataFrame) -> list[dict[str, Any]]:
    """Return some training rows that a benchmark shows, each with the benchmark's row."""
    drawn = sorted(rows.iter_rows(named=True), key=lambda row: (rank(row["id"], build.settings.seed), row["id"]))[
        :PAIRS
    ]
    others = look_up(build.settings.work / faces.FOLDER, (row["other"] for row in drawn))
    return [
        {"set": short(row["set"]), "row": _named(row), "other": _other(row["other"], others)}
        for row in sorted(drawn, key=lambda row: (row["set"], row["id"]))
    ]


def _other(name: str, known: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the benchmark's row; its id alone where it is no longer there."""
    row = known.get(name, {})
    return {"id": short(name)} | {key: short(row.get(key)) for key in FACE[1:]}


def ids(told: Mapping[str, Any]) -> Iterable[str]:
    """Yield the ids of the faces that are told of: pairs first, then groups whose labels disagree, then large ones."""
    for pair in told["pairs"]:
        yield from (pair["row"]["id"], pair["other"]["id"])
    for group in (*told["disagreeing_groups"], *told["largest"]):
        yield from (member["id"] for member in group["members"])
