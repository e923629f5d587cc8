"""The claim check from end to end: true and false sentences about rendered faces, read and judged like any rationale.

Stands beside the way of a face: a sentence of known truth goes through the claim reader, the measures and the
calibration, and what comes out is counted. Every unit a face shows is affirmed (true) and denied (false), and as many
units that it does not show are affirmed (false) and denied (true), so that half of the sentences are false.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ferbuild.builders.sample import Seen
from ferbuild.filters.claims import read_claims
from ferbuild.filters.grounding import check_claims
from ferbuild.filters.units import judge, judge_truth
from ferbuild.manifests.calibration import Calibration, Score, Trial
from ferbuild.manifests.load import load_units


class Said(NamedTuple):
    """One sentence about one face."""

    unit: str
    text: str
    affirms: bool
    true: bool


def trial(faces: Sequence[Seen], calibration: Calibration, seed: int) -> Trial:
    """Return how the claim check does on sentences about faces that the calibration has not seen."""
    counts: dict[str, dict[str, Counter[str]]] = {name: {} for name in ("total", "kinds", "units", "labels", "sizes")}
    why = Counter[str]()
    for face in faces:
        judged = judge(face.measured, calibration)
        for said in sentences(face, seed):
            checked = check_claims(read_claims(said.text), judged)
            verdict, reason = (checked[0].verdict, checked[0].why) if len(checked) == 1 else ("misread", "")
            if verdict == "not judged":
                why[reason] += 1
            outcome = _outcome(verdict, said.true)
            for group, name in _groups(face, said):
                counts[group].setdefault(name, Counter())[outcome] += 1
    scores = {group: {name: _score(found) for name, found in named.items()} for group, named in counts.items()}
    return Trial(
        seed=seed,
        faces=len(faces),
        total=scores["total"].get("", Score(sentences=0, judged=0, right=0)),
        kinds=dict(sorted(scores["kinds"].items())),
        units={name: scores["units"][name] for name in load_units().units if name in scores["units"]},
        labels=dict(sorted(scores["labels"].items())),
        sizes={int(name): scores["sizes"][name] for name in sorted(scores["sizes"], key=int)},
        why=dict(sorted(why.items())),
    )


def sentences(face: Seen, seed: int) -> Iterator[Said]:
    """Yield what is said of a face: each unit it shows, and as many it does not, affirmed and denied."""
    truth = judge_truth(face.units)
    known = {name: unit for name, unit in load_units().units.items() if unit.drivers}
    there = [name for name in known if truth[name].state == "present"]
    missing = [name for name in known if name not in there]
    rng = np.random.default_rng([seed, face.number])
    drawn = [missing[at] for at in sorted(rng.permutation(len(missing))[: max(len(there), 1)].tolist())]
    for name in there + drawn:
        for affirms in (True, False):
            clause = known[name].shown if affirms else known[name].lacking
            yield Said(name, f"{clause[0].upper()}{clause[1:]}.", affirms, affirms == (name in there))


def _outcome(verdict: str, true: bool) -> str:
    if verdict == "not judged":
        return verdict
    return "right" if verdict == ("supported" if true else "contradicted") else "wrong"


def _groups(face: Seen, said: Said) -> list[tuple[str, str]]:
    kind = f"{'there' if said.affirms else 'not there'}, {'true' if said.true else 'false'}"
    return [
        ("total", ""),
        ("kinds", kind),
        ("units", said.unit),
        ("labels", face.label if face.kind == "labels" else face.kind),
        ("sizes", str(face.size)),
    ]


def _score(found: Counter[str]) -> Score:
    judged = found["right"] + found["wrong"]
    return Score(sentences=found.total(), judged=judged, right=found["right"])
