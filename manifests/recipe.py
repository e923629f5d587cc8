"""The shape of a recipe: which sources, checks and questions make a named dataset."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from ferbuild.manifests.schema import Strict, in_full

Check = Annotated[dict[str, dict[str, Any]], BeforeValidator(in_full(None))]
"""A check by its name, or {name: options}."""


class Picture(Strict):
    """The one picture policy: what is taken in, and how a cut-out face is stored."""

    max_pixels: int = Field(default=60_000_000, ge=1)
    """A picture with more is not decoded."""
    crop_format: Literal["jpeg", "png"] = "jpeg"
    crop_quality: int = Field(default=95, ge=1, le=100)
    align: Literal["none", "similarity"] = "none"
    """`similarity` brings the five points of a face that is found onto ArcFace's template: upright, all alike."""
    side: int = Field(default=224, ge=16, le=2048)
    """Pixels of an aligned face."""
    margin: float = Field(default=0.1, ge=0, le=2)
    """Share of the face's side that is added on each side where it is aligned, or cut out by a detector."""
    enlarge_to: int = Field(default=0, ge=0, le=2048)
    """Pixels of the shorter side to which smaller pictures are enlarged wherever a model sees them; 0: none are."""
    truncated: Literal["drop", "keep"] = "drop"
    """What becomes of a file that ends too early: kept, it is stored anew with what there is of it."""


class Duplicates(Strict):
    """What is done about pictures that show the same photograph."""

    search: Literal["near", "exact", "none"] = "near"
    """Which count as the same: near duplicates too, only equal files and pixels, or none."""
    same: Literal["drop", "keep"] = "drop"
    """What becomes of all of a group but the one that stands for it; kept, they share its `group_id`."""
    disagreeing: Literal["one", "all", "none"] = "one"
    """What is kept of a group whose labels disagree: the one that stands for it, all, or none."""
    contaminated: Literal["drop", "keep"] = "drop"
    """What becomes of a training picture that a benchmark shows too."""


class Claims(Strict):
    """What is done about what a rationale claims of the face."""

    check: bool = True
    """Hold the claims against the measurements; false where nothing may be measured."""
    most_contradicted: int | None = Field(default=None, ge=0)
    """A rationale with more contradicted claims is dropped; None drops none."""


class Consistency(Strict):
    """What several samples of one face decide."""

    agreement: float = Field(default=0.0, ge=0, le=1)
    """Least share of a face's samples that answer with its label."""
    suspect_samples: int = Field(default=3, ge=2)
    """Samples from which a majority may call a label into question."""
    suspect_share: float = Field(default=0.75, gt=0.5, le=1)
    """Least share of them that agree on one other label."""


class Copies(Strict):
    """What is done about rationales that are nearly one text: a template that the teacher fell into."""

    jaccard: float = Field(default=0.8, gt=0, le=1)
    """Share of word shingles in common from which two texts are near copies."""
    most: int = Field(default=20, ge=1)
    """So many of one text stay."""


class KindOptions(Strict):
    """How questions of one kind are asked."""

    share: float = Field(default=1.0, gt=0, le=1)
    """Of the faces that the kind can be asked of; which ones is drawn."""
    words: Literal["source", "mixed"] = "source"
    """The source's own label words; or half of the questions with these, half with the canonical ones."""
    order: Literal["fixed", "shuffled"] | None = None
    """Of the labels: the source's, or drawn. None: as the kind is meant, which is shuffled for `letter` alone."""
    wordings: Literal["first", "all"] = "first"
    """The kind's first template, or all of them in turn."""
    form: Literal["two", "sign", "both"] = "both"
    """Of `valence` and `arousal`: which of two faces has more, or whether there is more or less than none."""
    margin: float | None = Field(default=None, ge=0, le=2)
    """Of `valence` and `arousal`: the least difference of two faces, and the least distance from 0 of one; None: 0.4
    and 0.2."""


Asked = Annotated[dict[str, KindOptions], BeforeValidator(in_full(None))]
"""A kind of question by its name, or {name: options}."""


class Recipe(Strict):
    """Which sources, filters and questions make a named dataset."""

    name: str
    about: str = ""
    sources: list[str] = Field(default_factory=list)
    """Order of the sources in the shards; one not named comes after, by name."""
    picture: Picture = Picture()
    face_checks: list[Check] = Field(default_factory=list)
    """Functions of `filters.face`: a name, or {name: options}."""
    trace_checks: list[Check] = Field(default_factory=list)
    """Functions of `filters.trace`: a name, or {name: options}."""
    duplicates: Duplicates = Duplicates()
    claims: Claims = Claims()
    consistency: Consistency = Consistency()
    copies: Copies | None = None
    """None: near copies stay. The baseline's texts are alike by construction and are never counted as copies."""
    question: str = "choose"
    """The template of `prompts` that asks for the expression."""
    questions: list[Asked] = Field(default=[{"choose": KindOptions()}], min_length=1)
    """The kinds of `rlvr`, each a name of `builders.kinds`, or {name: options}."""
    shard_bytes: int = Field(default=500_000_000, ge=1)
