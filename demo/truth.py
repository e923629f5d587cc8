"""What the demo's pictures truly show, on disk and held against what was claimed of them.

Stands beside the way of a face: measuring a face to check words that were made from the same measures proves nothing,
but the rendered faces are known.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ferbuild.builders import shards
from ferbuild.builders.stage import PART_ROWS
from ferbuild.filters.claims import read_claims
from ferbuild.filters.grounding import check_claims
from ferbuild.filters.units import judge_truth

FILE = "units.jsonl"
"""One line a picture that was rendered, photographed or copied: path, label, units, pose, and what it is a copy of."""
BASES = {"rafdb": "rafdb/basic", "ferplus": "ferplus", "affectnet": "affectnet/Manually_Annotated", "sfew": "sfew"}
"""Source to the folder, below the releases, that its reader takes for the release."""


class Truth(NamedTuple):
    """How the claim check did on rendered faces."""

    judged: int
    """Claims that were supported or contradicted."""
    right: int
    """Of these, those where the known units say the same."""


def read_truth(releases: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the lines of FILE by source and rel_path."""
    rows = [json.loads(line) for line in (releases / FILE).read_text(encoding="utf-8").splitlines()]
    return {_place(row["path"]): row for row in rows}


def _place(path: str) -> tuple[str, str]:
    source = path.partition("/")[0]
    return source, path.removeprefix(f"{BASES[source]}/")


def against_truth(cot: Path, releases: Path) -> Truth:
    """Count the judged claims of a cot dataset, and those that were judged as the known units say."""
    known = read_truth(releases)
    verdicts = [pair for row in _rationales(cot) for pair in _both(row, known)]
    judged = [(said, true) for said, true in verdicts if said != "not judged"]
    return Truth(len(judged), sum(said == true for said, true in judged))


def _rationales(cot: Path) -> list[dict[str, Any]]:
    columns = ["faces", "completion", "claims"]
    return [row for piece in shards.slices(cot, PART_ROWS) for row in piece.read().select(columns).to_pylist()]


def _both(row: Mapping[str, Any], known: Mapping[tuple[str, str], Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return for every claim of a rationale its verdict, and the verdict by the known units; none of a photograph."""
    [face] = row["faces"]
    units = known[face["source"], face["rel_path"]]["units"]
    if units is None:
        return []
    true = check_claims(read_claims(row["completion"][0]["content"]), judge_truth(units))
    return [(said["verdict"], found.verdict) for said, found in zip(row["claims"], true, strict=True)]
