"""What a measured face may be said to show: scores and cutoffs fitted on rendered faces whose units are known.

Stands beside the way of a face: it writes the calibration that `filters.units` judges by. Half of the faces choose
the scores and the cutoffs, the other half confirms them, and other faces say how good they are (`restate`); what falls
below the precision of the rule anywhere is left out, and is never judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from ferbuild.builders import fitting
from ferbuild.builders.errors import FerError
from ferbuild.builders.fitting import Floats, Limit, Truth, View
from ferbuild.builders.sample import SIZES, Seen
from ferbuild.filters.units import PRESENT_FROM, SIDES, features, score, sides
from ferbuild.manifests.calibration import Band, Calibration, Cutoff, Judge, MadeBy, Rule
from ferbuild.manifests.load import load_units

State = Literal["present", "absent"]

RULE = Rule(precision=0.9, present_from=PRESENT_FROM, present_in=0.2, absent_in=0.4)
"""Nine of ten are right where one face in five shows what is judged present, as is usual for a unit in faces of the
eight labels (at even odds 97 of 100), and where two in five lack what is judged absent (at even odds 93 of 100): nobody
knows how often a claim that is made is true, so the precision is not stated at odds that flatter it."""
BANDS = {"frontal": 15.0, "turned": 30.0}
"""Degrees, the larger of yaw and pitch."""
PREVALENCE: Mapping[State, float] = {"present": RULE.present_in, "absent": RULE.absent_in}
STEPS = (0.9, 0.92, 0.94, 0.96, 0.98)
"""Precisions asked for, one after the other, where a cutoff is chosen: of what the held-out faces do not confirm, a
stricter one is tried."""
SMALLEST = 0.01
"""Share of the faces of a size whose eyes are nearer than its `sizes` entry says."""

By = Mapping[str | None, Sequence[Mapping[str, float]]]
"""Features of every face, by side; None is the whole face."""


@dataclass(frozen=True, slots=True)
class Known:
    """The measured faces of one size."""

    faces: Sequence[Seen]
    by: By


@dataclass(frozen=True, slots=True)
class Halves:
    """One unit on faces of one size; s is 2 where the unit has sides, else 1."""

    truth: Truth
    """s x n: present."""
    labelled: Truth
    """n: the face shows a label's prototype; else single units or units drawn on their own."""
    held_out: Truth
    """n: not used to choose anything."""
    turn: Floats
    """n degrees, the larger of yaw and pitch."""


class Cuts(NamedTuple):
    """Where judgements begin: `present` on the score, `absent` on its negative; None where nothing may be judged."""

    present: float | None
    absent: float | None

    @classmethod
    def of(cls, band: Band) -> Cuts:
        return cls(band.present.at if band.present else None, -band.absent.at if band.absent else None)

    def apart(self) -> Cuts:
        """Return cutoffs that do not overlap. Where both hold, each is taken halfway: stricter than it has to be."""
        if self.present is None or self.absent is None or self.present >= -self.absent:
            return self
        middle = fitting.significant((self.present - self.absent) / 2)
        return Cuts(middle, -middle)


def calibrate(faces: Sequence[Seen], made_by: MadeBy, models: Sequence[str] = ()) -> Calibration:
    """Return the calibration that these faces bear. `models` are unit models whose scores the faces carry.

    FerError where at a size no face could be measured.
    """
    found: dict[str, dict[int, Judge]] = {name: {} for name in renderable()}
    for size in SIZES:
        known = of_size(faces, size)
        for name, judges in found.items():
            halves = gather(known, name)
            tried = [_geometry(known, halves, name)] + [_of_model(known, halves, name, model) for model in models]
            judges[size] = max(tried, key=worth)
    return Calibration(made_by=made_by, rule=RULE, sizes=_sizes(faces), bands=BANDS, units=found)


def restate(made: Calibration, fresh: Sequence[Seen]) -> Calibration:
    """Return the calibration with the figures of other faces, that had no say in it, less what falls short there."""
    found: dict[str, dict[int, Judge]] = {name: {} for name in made.units}
    for size in made.sizes:
        known = of_size(fresh, size)
        for name in found:
            halves, judge = gather(known, name), made.units[name][size]
            scores = score_all(known, judge, name)
            bands = {
                band: stated(halves, scores, within(halves, made.bands, band), Cuts.of(old))
                for band, old in judge.bands.items()
            }
            found[name][size] = judge.model_copy(update={"bands": bands})
    return made.model_copy(update={"units": found})


def renderable() -> list[str]:
    """Return the units that a rendered face can show."""
    return [name for name, unit in load_units().units.items() if unit.drivers]


def of_size(faces: Sequence[Seen], size: int) -> Known:
    """Return the faces of a size that could be measured, and their features."""
    able = [face for face in faces if face.size == size and face.measured.get("measures")]
    if not able:
        raise FerError(f"calibrate: {size} px", "no face could be measured", "render more faces, or check the nets")
    return Known(able, {side: [features(face.measured, side) for face in able] for side in (*SIDES, None)})


def gather(known: Known, unit: str) -> Halves:
    """Return the truth of one unit over measured faces."""
    faces = known.faces
    truth = [[intensity(face.units, unit, side) >= PRESENT_FROM for face in faces] for side in sides(unit)]
    return Halves(
        truth=np.array(truth, np.bool_),
        labelled=np.array([face.kind == "labels" for face in faces], np.bool_),
        held_out=np.array([face.number % 2 == 1 for face in faces], np.bool_),
        turn=np.array([max(abs(face.measured["yaw"]), abs(face.measured["pitch"])) for face in faces], np.float64),
    )


def intensity(units: Sequence[Mapping[str, Any]], unit: str, side: str | None) -> float:
    """Return the known intensity of a unit (rows of `record.UNITS`), the stronger half's where no side is asked."""
    wanted = {side, "both"} if side else {"left", "right", "both"}
    return max((row["intensity"] for row in units if row["unit"] == unit and row["side"] in wanted), default=0.0)


def score_all(known: Known, judge: Judge, unit: str) -> Floats:
    """Return the judge's scores of a unit, s x n, NaN where there is none: just as `filters.units` scores a face."""
    seen = [dict(zip(known.by, one, strict=True)) for one in zip(*known.by.values(), strict=True)]
    return np.array([[score(judge, unit, one, side) for one in seen] for side in sides(unit)], np.float64)


def worth(judge: Judge) -> float:
    """Return how much a judge finds: the recalls of all its judgements that are precise enough, summed."""
    return sum(cut.recall for band in judge.bands.values() for cut in (band.present, band.absent) if cut)


def _geometry(known: Known, halves: Halves, unit: str) -> Judge:
    seen = [one for side in sides(unit) for one in known.by[side]]
    names = sorted(name for name in seen[0] if ":" not in name)
    table = np.array([[one[name] for name in names] for one in seen], np.float64)
    chosen, truth = np.tile(~halves.held_out, len(halves.truth)), halves.truth.ravel()
    if min(truth[chosen].sum(), (~truth[chosen]).sum()) < fitting.FEWEST:
        return Judge(by="geometry", bands={})
    line = fitting.fit(table[chosen], names, truth[chosen])
    judge = Judge(by="geometry", bias=line.bias, weights=line.weights, bands={})
    return judge.model_copy(update={"bands": choose(halves, score_all(known, judge, unit))})


def _of_model(known: Known, halves: Halves, unit: str, model: str) -> Judge:
    """Return the judge that takes a unit model's score as it is; where it gives none, nothing can be judged."""
    judge = Judge(by=model, bands={})
    return judge.model_copy(update={"bands": choose(halves, score_all(known, judge, unit))})


def choose(halves: Halves, scores: Floats) -> dict[str, Band]:
    """Return the cutoffs of a score (s x n) for every range of pose, and how they do on the faces held out."""
    found = {}
    for name in BANDS:
        inside = within(halves, BANDS, name)
        cuts = Cuts(*(lowest(halves, scores, inside, of) for of in ("present", "absent")))
        found[name] = stated(halves, scores, inside & halves.held_out, cuts.apart())
    return found


def within(halves: Halves, bands: Mapping[str, float], name: str) -> Truth:
    """Return which faces (n) are turned within one of the ascending ranges of pose."""
    above = [most for most in bands.values() if most < bands[name]]
    return np.asarray((halves.turn > max(above, default=-1.0)) & (halves.turn <= bands[name]))


def lowest(halves: Halves, scores: Floats, inside: Truth, of: State) -> float | None:
    """Return the cutoff that is chosen on one half of the faces and confirmed by the other half, or None.

    It is one on the score for "present", on the score's negative for "absent".
    """
    chosen, held = (views(halves, scores, inside & half, of) for half in (~halves.held_out, halves.held_out))
    if min(sum(int(truth.sum()) for _, truth in view) for view in (*chosen, *held)) < fitting.FEWEST:
        return None
    for least in STEPS:
        at = fitting.lowest_cutoff(chosen, least=least, prevalence=PREVALENCE[of])
        if at is not None and _good(fitting.measured_limit(held, at, prevalence=PREVALENCE[of])):
            return at
    return None


def views(halves: Halves, scores: Floats, which: Truth, of: State) -> list[View]:
    """Return what may be asked of some faces (`which`, n): of one half, of any, and of all.

    Each is asked of two populations: faces of a label, where units come together, and the others, where they come on
    their own: a score that only guesses one unit from another fails there. A face that shows a unit on one side is
    wrong about "on both", and false alarms on two sides add up for "on any": that is why each counts.
    """
    signed, truth = (scores, halves.truth) if of == "present" else (-scores, ~halves.truth)
    asked = [(signed, truth)]
    if len(signed) > 1:
        asked.append((np.fmax.reduce(signed)[None], np.asarray(truth.any(0))[None]))
        asked.append((np.minimum.reduce(signed)[None], np.asarray(truth.all(0))[None]))
    parts = (which & halves.labelled, which & ~halves.labelled)
    return [[(some[:, part].ravel(), known[:, part].ravel()) for part in parts] for some, known in asked]


def stated(halves: Halves, scores: Floats, which: Truth, cuts: Cuts) -> Band:
    """Return the cutoffs with their figures on some faces (`which`, n), less those that fall short there."""
    whole, truth = np.fmax.reduce(scores[:, which]), np.asarray(halves.truth[:, which].any(0))
    scored = ~np.isnan(whole)
    return Band(
        auc=round(fitting.auc(whole[scored], truth[scored]), 3),
        faces=len(truth),
        positives=int(truth.sum()),
        present=_cutoff(views(halves, scores, which, "present"), cuts.present, PREVALENCE["present"], sign=1),
        absent=_cutoff(views(halves, scores, which, "absent"), cuts.absent, PREVALENCE["absent"], sign=-1),
    )


def _cutoff(asked: Sequence[View], at: float | None, prevalence: float, *, sign: int) -> Cutoff | None:
    limit = None if at is None else fitting.measured_limit(asked, at, prevalence=prevalence)
    if limit is None or not _good(limit):
        return None
    return Cutoff(at=sign * limit.at, precision=limit.precision, recall=limit.recall)


def _good(limit: Limit) -> bool:
    return limit.precision >= RULE.precision and limit.recall >= fitting.LEAST_RECALL


def _sizes(faces: Sequence[Seen]) -> dict[int, float]:
    found = {}
    for size in SIZES:
        apart = [face.measured["eye_distance"] for face in faces if face.size == size and face.measured.get("measures")]
        found[size] = round(float(np.quantile(apart, SMALLEST)), 1)
    return found
