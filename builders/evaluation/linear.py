"""A linear model of the label from numbers that describe a face: fitted, kept as a small file, and asked.

Stands below the probe. scikit-learn fits it and is not needed to ask it.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from ferbuild.builders.evaluation.gradients import Floats
from ferbuild.builders.files import durable

Doubles = npt.NDArray[np.float64]
Words = npt.NDArray[np.str_]
Places = npt.NDArray[np.int64]

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
"""Of which one is chosen: scikit-learn's C, the weight of the faces against that of small coefficients."""
MIDDLE = 1e-3
"""Where there are too few faces to choose by."""
FOLD = 5
"""One of so many faces of a label is held out while the strength is chosen."""
ITERATIONS = 500
"""At most; 20,000 faces take about a hundred at the greatest strength."""


class Linear(NamedTuple):
    """One row of coefficients a label, for numbers as they come: the standardising is folded in."""

    labels: Words
    weights: Doubles
    """Labels x numbers."""
    bias: Doubles
    strength: float
    rows: int
    """Faces that it was fitted on."""

    def scores(self, numbers: Floats) -> dict[str, float]:
        """Return the log odds of each label, to a common constant.

        A face at a time: what a product of matrices gives for a row depends, in the last digit, on the rows beside it.
        """
        return dict(zip(self.labels.tolist(), (self.weights @ numbers + self.bias).tolist(), strict=True))


def fit(numbers: Floats, labels: Words, places: Places) -> Linear:
    """Fit a multinomial logistic regression to faces x numbers, which are standardised in place.

    `places` are the faces' places in the drawn order of their label. All labels weigh alike, however many faces they
    have: the question does not tell how common a label is, and what that alone is worth is the majority's to show.
    The strength is the one with the least loss on a fifth of the faces that is held out, their labels weighing alike
    too; then all are fitted.
    """
    mean, spread = numbers.mean(0, dtype=np.float64), numbers.std(0, dtype=np.float64)
    spread[spread == 0] = 1
    numbers -= mean.astype(np.float32)
    numbers /= spread.astype(np.float32)
    with threadpool_limits(1), warnings.catch_warnings(action="ignore"):  # the same sums whatever the machine has
        strength = _strength(numbers, labels, places % FOLD == FOLD - 1)
        model = _fitted(numbers, labels, strength)
    weights, bias = model.coef_.astype(np.float64), model.intercept_.astype(np.float64)
    if len(weights) == 1:  # of two labels only the second one's are given
        weights, bias = np.concatenate([0 * weights, weights]), np.concatenate([0 * bias, bias])
    weights /= spread
    return Linear(model.classes_, weights, bias - weights @ mean, strength, len(labels))


def _strength(numbers: Floats, labels: Words, held: npt.NDArray[np.bool_]) -> float:
    from sklearn.metrics import log_loss
    from sklearn.utils.class_weight import compute_sample_weight

    if not held.any():
        return MIDDLE
    weights = compute_sample_weight("balanced", labels[held])
    losses = []
    for strength in STRENGTHS:
        model = _fitted(numbers[~held], labels[~held], strength)
        shares = model.predict_proba(numbers[held])
        losses.append(log_loss(labels[held], shares, sample_weight=weights, labels=model.classes_))
    return STRENGTHS[int(np.argmin(losses))]


def _fitted(numbers: Floats, labels: Words, strength: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, class_weight="balanced", max_iter=ITERATIONS).fit(numbers, labels)


def write(path: Path, key: str, models: Mapping[str, Linear]) -> None:
    """Write models by name, and what they depend on; the same models, the same bytes."""
    arrays = {
        f"{name}.{field}": np.asarray(value) for name, one in models.items() for field, value in one._asdict().items()
    }
    with durable(path) as part, part.open("wb") as file:
        np.savez(file, allow_pickle=False, key=np.array(key), names=np.array(list(models)), **arrays)


def read(path: Path, key: str) -> dict[str, Linear] | None:
    """Return the models of a file; None where there is none, or it cannot be read or was made for another key."""
    try:
        with np.load(path, allow_pickle=False) as found:
            if found["key"].item() != key:
                return None
            return {name: _model(found, name) for name in found["names"].tolist()}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _model(found: Mapping[str, npt.NDArray[Any]], name: str) -> Linear:
    labels, weights, bias, strength, rows = (found[f"{name}.{field}"] for field in Linear._fields)
    return Linear(labels, weights, bias, strength.item(), rows.item())
