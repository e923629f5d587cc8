"""The shape of a calibration: which action units may be judged on a face, at which size and pose, by which score.

`fer-build calibrate` writes one, and a user may write another: what does not hold together is refused when it is read.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Self

from pydantic import Field, FiniteFloat, model_validator

from ferbuild.manifests.schema import Strict

LEAST_PRECISION = 0.9
"""Below this share of right judgements nothing may be judged, whatever a calibration asks for."""

Share = Annotated[FiniteFloat, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class Cutoff(Strict):
    """Where a judgement begins on the score's axis, and how good it was on rendered faces that chose nothing."""

    at: FiniteFloat
    """Score: from here up the unit is judged present, or from here down absent."""
    precision: float = Field(ge=LEAST_PRECISION, le=1)
    """Share of these judgements that are right, at the rule's prevalence, in the worst of the populations and views."""
    recall: Share
    """Share of the truly present (absent) that get this judgement, in the worst of the views."""


class Band(Strict):
    """A unit at one picture size, for heads turned within one range."""

    auc: Share
    """Area under the ROC curve, of whole faces."""
    faces: Count
    """Faces that these figures were stated on."""
    positives: Count
    """Of these truly present."""
    present: Cutoff | None = None
    """None: no score is high enough to be believed; never judged present."""
    absent: Cutoff | None = None

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if self.present and self.absent and self.present.at < self.absent.at:
            raise ValueError(f"present from {self.present.at} lies below absent to {self.absent.at}")
        return self


class Judge(Strict):
    """How one unit is scored at one size: by a linear function of features of the measures, or by a unit model."""

    by: str
    """`geometry`, or the name of a unit model whose score is taken as it is."""
    bias: FiniteFloat = 0.0
    weights: dict[str, FiniteFloat] = Field(default_factory=dict)
    """Feature (see `filters.units.features`) to weight; the score is bias + sum, a logistic regression's log odds were
    present and absent faces as many."""
    bands: dict[str, Band]


class Rule(Strict):
    """By what the calibration decides that something may be judged."""

    precision: float = Field(ge=LEAST_PRECISION, le=1)
    """Least share of right judgements."""
    present_from: Share
    """Intensity from which a unit counts as truly present."""
    present_in: Share
    """Share of faces that truly show a unit, at which the precision of `present` is stated."""
    absent_in: Share
    """Share of faces that truly lack it, at which the precision of `absent` is stated."""


class MadeBy(Strict):
    """What a calibration was made with."""

    renderer: int
    """Version of the renderer."""
    commit: str
    seed: int
    faces: int
    """That chose the scores and cutoffs."""
    weights: dict[str, str]
    """Net to sha256 of its weights."""


class Score(Strict):
    """Sentences of known truth, and how the claim check did on them."""

    sentences: Count
    judged: Count
    right: Count

    @property
    def coverage(self) -> float:
        """Judged of all, 0..1."""
        return self.judged / self.sentences if self.sentences else 0.0

    @property
    def precision(self) -> float:
        """Right of judged, 0..1."""
        return self.right / self.judged if self.judged else 0.0


class Trial(Strict):
    """Grounding from end to end: sentences about rendered faces, half of them false, judged from the pictures."""

    seed: int
    faces: int
    """Pictures: each face at every size."""
    total: Score
    kinds: dict[str, Score]
    """What was said: that a unit is there, or not there; and whether that was true."""
    units: dict[str, Score]
    labels: dict[str, Score]
    sizes: dict[int, Score]
    why: dict[str, int]
    """Why a sentence was not judged."""


class Calibration(Strict):
    """What `calibration.yaml` holds."""

    made_by: MadeBy
    rule: Rule
    sizes: dict[int, Annotated[FiniteFloat, Field(gt=0)]] = Field(min_length=1)
    """Side of the face picture in pixels to the least eye distance, in pixels, at which its figures hold; ascending."""
    bands: dict[str, Annotated[FiniteFloat, Field(gt=0, le=90)]] = Field(min_length=1)
    """Range of pose to the largest turn in degrees, up, down or sideways; ascending."""
    units: dict[str, dict[int, Judge]]
    """Unit to picture side to its judge."""
    trial: Trial | None = None
    """How the claim check did with it on other faces."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for name, numbers in (("sizes", [*self.sizes]), ("sizes", self.sizes.values()), ("bands", self.bands.values())):
            if any(one >= other for one, other in pairwise(numbers)):
                raise ValueError(f"{name} do not ascend")
        for unit, judges in self.units.items():
            if strange := set(judges) - set(self.sizes):
                raise ValueError(f"{unit} has size {min(strange)}, which `sizes` does not")
            if strange_bands := {band for judge in judges.values() for band in judge.bands} - set(self.bands):
                raise ValueError(f"{unit} has band {min(strange_bands)!r}, which `bands` does not")
        return self
