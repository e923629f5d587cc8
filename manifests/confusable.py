"""The shape of `confusable.yaml`: which expression people take for which, and who found that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from pydantic import Field, model_validator

from ferbuild.manifests.schema import Strict


class Confusion(Strict):
    """One expression that is taken for another."""

    weight: float = Field(gt=0, le=1)
    """Share of the votes that do not name the face's own label."""
    found_by: list[str] = Field(min_length=1)
    """Keys of `sources`."""


class Confusable(Strict):
    """What `confusable.yaml` holds."""

    sources: dict[str, str]
    labels: dict[str, dict[str, Confusion]]
    """Canonical label to what it is taken for."""

    @model_validator(mode="after")
    def _sourced(self) -> Self:
        named = {key for row in self.labels.values() for one in row.values() for key in one.found_by}
        if strange := sorted(named - self.sources.keys()):
            raise ValueError(f"no source {strange[0]!r}")
        return self

    @property
    def weights(self) -> Mapping[str, Mapping[str, float]]:
        """Label to what it is taken for, with the weight."""
        return {label: {other: one.weight for other, one in row.items()} for label, row in self.labels.items()}
