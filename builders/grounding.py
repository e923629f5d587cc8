"""What a rationale claims of a face, held against what was measured on it, and on another face with its label.

On the way of a face this comes after the text checks of `cot`: it adds columns and drops nothing by itself. A
rationale that fits any face with the label is as well supported elsewhere as at home: its lift is nought.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ferbuild.builders import measure
from ferbuild.builders.record import CLAIMS, COT, drop
from ferbuild.filters.grounding import Checked, check_claims, count, read_claims
from ferbuild.filters.units import Judged, judge
from ferbuild.manifests.lexicon import load_lexicon
from ferbuild.manifests.load import load_calibration, load_units
from ferbuild.manifests.recipe import Claims

NAMES = (
    "claims", "supported", "contradicted", "not_judged", "supported_elsewhere", "contradicted_elsewhere",
    "elsewhere", "grounding_version",
)  # fmt: skip
"""The columns of COT that are made here."""


class Grounded(NamedTuple):
    """A rationale's claims on its own face, and how they fare on another one."""

    own: list[Checked]
    other: str | None
    """Id of the other face; None where the face has no partner (see `measure.partners_of`)."""
    elsewhere: list[Checked] | None


@cache
def version(calibration: Path | None) -> str:
    """Return 16 hex digits that change with the calibration, the lexicon or the units, and so with any verdict."""
    parts = [load_calibration(calibration).model_dump(), load_lexicon().model_dump(), load_units().model_dump()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


class Grounds(NamedTuple):
    """What claims are held against; cheap to send to another process."""

    folder: Path
    """Of the measures."""
    key: str
    """Of the stage that made them."""
    calibration: Path | None
    """The user's own; default: the shipped one."""
    seed: int
    """Draws which other face of the label each rationale is tried on."""


def ground_all(ids: Sequence[str], split: str, texts: Sequence[str], grounds: Grounds | None) -> list[Grounded] | None:
    """Return how each face's rationale fares on it and on another face; None where nothing is to be checked."""
    if grounds is None:
        return None
    pairs = measure.partners_of(grounds.folder, grounds.key, split, grounds.seed, grounds.calibration)
    others = [pairs.get(name) for name in ids]
    calibration = load_calibration(grounds.calibration)
    wanted = [*ids, *(other for other in others if other)]
    measured = measure.read_measures(grounds.folder, grounds.key, split, wanted)
    judged = {name: judge(row, calibration) for name, row in measured.items()}
    return [ground(text, judged, name, other) for name, text, other in zip(ids, texts, others, strict=True)]


def ground(text: str, judged: Mapping[str, Mapping[str, Judged]], own: str, other: str | None) -> Grounded:
    """Check what `text` claims against what may be said of its own face, and of another one; `judged` by face id."""
    claims = read_claims(text)
    return Grounded(check_claims(claims, judged[own]), other, check_claims(claims, judged[other]) if other else None)


def columns(found: Sequence[Grounded] | None, rows: int, grounds: Grounds | None) -> dict[str, pa.Array]:
    """Return the grounding columns of COT, one entry a rationale; nulls where claims were not checked."""
    if found is None or grounds is None:
        return {name: pa.nulls(rows, COT.field(name).type) for name in NAMES}
    own = [count(one.own) for one in found]
    other = [None if one.elsewhere is None else count(one.elsewhere) for one in found]
    numbers = {
        "supported": [one.supported for one in own],
        "contradicted": [one.contradicted for one in own],
        "not_judged": [one.not_judged for one in own],
        "supported_elsewhere": [None if one is None else one.supported for one in other],
        "contradicted_elsewhere": [None if one is None else one.contradicted for one in other],
    }
    made = {name: pa.array(values, pa.int32()) for name, values in numbers.items()}
    made["elsewhere"] = pa.array([one.other for one in found], pa.string())
    made["claims"] = pa.array([[as_row(checked) for checked in one.own] for one in found], CLAIMS)
    made["grounding_version"] = pa.array([version(grounds.calibration)] * rows, pa.string())
    return made


def as_row(checked: Checked) -> dict[str, Any]:
    """Return a checked claim as an entry of `record.CLAIMS`."""
    claim = checked.claim._asdict() | {"units": list(checked.claim.units)}
    return {name: claim[name] for name in claim if name != "text"} | {"verdict": checked.verdict, "why": checked.why}


def part(traces: pa.Table, policy: Claims) -> tuple[pa.Table, list[dict[str, str]]]:
    """Return the COT rows to keep, and as drops those with more contradicted claims than the recipe allows."""
    if policy.most_contradicted is None or not traces.num_rows:
        return traces, []
    false = pc.fill_null(pc.greater(traces["contradicted"], policy.most_contradicted), False)
    rows = traces.filter(false).select(["faces", "label", "completion"]).to_pylist()
    drops = [
        drop(row["faces"][0] | {"label": row["label"]}, "contradicted", row["completion"][0]["content"]) for row in rows
    ]
    return traces.filter(pc.invert(false)), drops
