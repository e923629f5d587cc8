"""What a measured face may be said to show: scores and cutoffs fitted on rendered faces whose units are known.

Stands beside the way of a face: it writes the calibration that `filters.units` judges by. Half of the faces choose
the scores and the cutoffs, the other half says how good they are; what falls below the precision of the rule there
is left out, and is never judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ferbuild.builders import fitting
from ferbuild.builders.fitting import Floats, Truth
from ferbuild.builders.sample import SIZES, Seen
from ferbuild.filters.units import PRESENT_FROM, SIDES, features, sides
from ferbuild.manifests.load import load_units
from ferbuild.manifests.schema import Band, Calibration, Cutoff, Judge, MadeBy, Rule

RULE = Rule(precision=0.9, present_from=PRESENT_FROM, present_in=0.2, absent_in=0.4)
"""Nine of ten are right where one face in five shows what is judged present, as is usual for a unit in faces of the
eight labels (at even odds 97 of 100), and where two in five lack what is judged absent (at even odds 93 of 100): nobody
knows how often a claim that is made is true, so the precision is not stated at odds that flatter it."""
BANDS = {"frontal": 15.0, "turned": 30.0}
"""Degrees, the larger of yaw and pitch."""
STEPS = (0.9, 0.92, 0.94, 0.96)
"""Precisions asked for, one after the other, where a cutoff is chosen: of what the held-out faces do not confirm, a
stricter one is tried. How good the finished calibration is, a third set of faces says (`trial`)."""
SMALLEST = 0.01
"""Share of the faces of a size whose eyes are nearer than its `sizes` entry says."""


@dataclass(frozen=True, slots=True)
class Halves:
    """One unit at one size, a row a half of a face (or a face, of a unit without sides)."""

    seen: Mapping[str, Floats]
    """Feature to n values."""
    truth: Truth
    """n: present."""
    labelled: Truth
    """n: the face shows a label's prototype; else single units or units drawn on their own."""
    held_out: Truth
    """n: not used to choose anything."""
    turn: Floats
    """n degrees, the larger of yaw and pitch."""


def calibrate(faces: Sequence[Seen], made_by: MadeBy, models: Sequence[str] = ()) -> Calibration:
    """Return the calibration that these faces bear. `models` are unit models whose scores the faces carry."""
    units = {name: unit for name, unit in load_units().units.items() if unit.drivers}
    found: dict[str, dict[int, Judge]] = {name: {} for name in units}
    for size in SIZES:
        of_size = [face for face in faces if face.size == size and face.measured.get("measures")]
        known = {side: [features(face.measured, side) for face in of_size] for side in (*SIDES, None)}
        for name in units:
            halves = gather(of_size, name, known)
            judges = [_geometry(halves)] + [one for model in models if (one := _of_model(halves, model, name))]
            found[name][size] = max(judges, key=worth)
    return Calibration(made_by=made_by, rule=RULE, sizes=_sizes(faces), bands=BANDS, units=found)


def gather(faces: Sequence[Seen], unit: str, known: Mapping[str | None, Sequence[Mapping[str, float]]]) -> Halves:
    """Return the features and the truth of one unit over measured faces, its two sides one after the other.

    `known` are the features of every face, by side.
    """
    rows = [(face, side) for side in sides(unit) for face in faces]
    seen = [one for side in sides(unit) for one in known[side]]
    names = sorted(set[str]().union(*seen)) if seen else []
    return Halves(
        seen={name: np.array([one.get(name, np.nan) for one in seen], np.float64) for name in names},
        truth=np.array([intensity(face.units, unit, side) >= PRESENT_FROM for face, side in rows], np.bool_),
        labelled=np.array([face.kind == "labels" for face, _ in rows], np.bool_),
        held_out=np.array([face.number % 2 == 1 for face, _ in rows], np.bool_),
        turn=np.array([max(abs(face.measured["yaw"]), abs(face.measured["pitch"])) for face, _ in rows], np.float64),
    )


def intensity(units: Sequence[Mapping[str, Any]], unit: str, side: str | None) -> float:
    """Return the known intensity of a unit (rows of `record.UNITS`), the stronger half's where no side is asked."""
    wanted = {side, "both"} if side else {"left", "right", "both"}
    return max((row["intensity"] for row in units if row["unit"] == unit and row["side"] in wanted), default=0.0)


def worth(judge: Judge) -> float:
    """Return how much a judge finds: the recalls of all its judgements that are precise enough, summed."""
    return sum(cut.recall for band in judge.bands.values() for cut in (band.present, band.absent) if cut)


def _geometry(halves: Halves) -> Judge:
    names = [name for name in halves.seen if ":" not in name]
    table = np.column_stack([halves.seen[name] for name in names]) if names else np.zeros((0, 0))
    chosen = ~halves.held_out
    if min(halves.truth[chosen].sum(), (~halves.truth[chosen]).sum()) < fitting.FEWEST:
        return Judge(by="geometry", bands={})
    line = fitting.fit(table[chosen], names, halves.truth[chosen])
    scores = line.bias + sum(weight * halves.seen[name] for name, weight in line.weights.items())
    return Judge(by="geometry", bias=line.bias, weights=line.weights, bands=bands(halves, np.asarray(scores)))


def _of_model(halves: Halves, model: str, unit: str) -> Judge | None:
    """Return the judge that takes a unit model's score as it is; None where the model does not know the unit."""
    scores = halves.seen.get(f"{model}:{unit}")
    if scores is None or np.isnan(scores).any():
        return None
    return Judge(by=model, bands=bands(halves, scores))


def bands(halves: Halves, scores: Floats) -> dict[str, Band]:
    """Return the cutoffs of a score for every range of pose, and how they do on the faces held out."""
    found, least = {}, -1.0
    for name, most in BANDS.items():
        inside = (halves.turn > least) & (halves.turn <= most)
        least = most
        held = inside & halves.held_out
        truth = halves.truth[held]
        present = _lowest(halves, scores, inside, RULE.present_in)
        absent = _lowest(_mirrored(halves), -scores, inside, RULE.absent_in)
        if present is not None and absent is not None and present <= -absent:
            # Both hold in the overlap: halfway, each is stricter than it has to be.
            present, absent = (present - absent) / 2, (absent - present) / 2 + 0.001
        found[name] = Band(
            auc=round(fitting.auc(scores[held], truth), 3),
            faces=int(held.sum()),
            positives=int(truth.sum()),
            present=_cutoff(halves, scores, held, present, RULE.present_in),
            absent=_below(_cutoff(_mirrored(halves), -scores, held, absent, RULE.absent_in)),
        )
    return found


def _lowest(halves: Halves, scores: Floats, inside: Truth, prevalence: float) -> float | None:
    """Return the cutoff that is chosen on one half of the faces and confirmed by the other half, or None."""
    chosen, held = (groups(halves, scores, inside & half) for half in (~halves.held_out, halves.held_out))
    if min(sum(int(truth.sum()) for _, truth in half) for half in (chosen, held)) < fitting.FEWEST:
        return None
    for least in STEPS:
        at = fitting.lowest_cutoff(chosen, least=least, prevalence=prevalence)
        limit = None if at is None else fitting.measured_limit(held, at, prevalence=prevalence)
        if limit and limit.precision >= RULE.precision and limit.recall >= fitting.LEAST_RECALL:
            return limit.at
    return None


def _cutoff(halves: Halves, scores: Floats, held: Truth, at: float | None, prevalence: float) -> Cutoff | None:
    if at is None:
        return None
    limit = fitting.measured_limit(groups(halves, scores, held), at, prevalence=prevalence)
    return Cutoff(at=limit.at, precision=limit.precision, recall=limit.recall)


def groups(halves: Halves, scores: Floats, which: Truth) -> list[tuple[Floats, Truth]]:
    """Return the scores and the truth of the two populations: faces of a label, where units come together, and the
    others, where they come on their own. A score that only guesses one unit from another fails in the second.
    """
    parts = [which & halves.labelled, which & ~halves.labelled]
    return [(scores[part], halves.truth[part]) for part in parts]


def _mirrored(halves: Halves) -> Halves:
    return Halves(halves.seen, ~halves.truth, halves.labelled, halves.held_out, halves.turn)


def _below(cut: Cutoff | None) -> Cutoff | None:
    return None if cut is None else Cutoff(at=-cut.at, precision=cut.precision, recall=cut.recall)


def _sizes(faces: Sequence[Seen]) -> dict[int, float]:
    found = {}
    for size in SIZES:
        apart: npt.NDArray[np.float64] = np.array(
            [face.measured["eye_distance"] for face in faces if face.size == size and face.measured.get("measures")]
        )
        found[size] = round(float(np.quantile(apart, SMALLEST)), 1)
    return found
