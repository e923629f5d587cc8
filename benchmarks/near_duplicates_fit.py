"""Fits what the second look at a pair is weighed by: run `python benchmarks/near_duplicates_fit.py` (scikit-image).

Pairs of 48 px, where noise and expressions lie closest, of seeds that no figure is reported of. Two logistic
regressions, of pictures alike in sharpness and of those that are not; counted are a copy beside its original fully,
other true pairs little, and wrong ones less where they cannot be seen to be wrong. What is added to both constants is
set afterwards, by the wrong pairs among all that are returned.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from near_duplicates_quality import HARSH, Picture, joined, pictures, seen_apart

from ferbuild.builders import near, same
from ferbuild.builders.hashing import one_thread

Floats = npt.NDArray[np.float64]
SIZE = 48
OTHER_TRUE, WRONG, UNSEEN = 0.2, 1.5, 0.5
"""Weights of true pairs that are not asked for, and of wrong ones that are to be seen, and that are not; a copy beside
its original weighs 1."""
STEPS, RIDGE = 12, 1.0


class Pairs(NamedTuple):
    """n pairs that get a second look."""

    values: Floats
    """n x 6: their evidence."""
    unlike: npt.NDArray[np.bool_]
    """Not alike in sharpness."""
    true: Floats
    """1 where both are one photograph."""
    weights: Floats


def looked_at(rows: list[Picture]) -> Pairs:
    thumbs = np.concatenate([row.shown.thumbs for row in rows])
    with one_thread():
        found = near.candidates(joined([row.hashes for row in rows]))
    looks, pairs = [], []
    for start in range(0, len(found.i), same.BATCH):
        part = slice(start, start + same.BATCH)
        one, other = (thumbs[at[part]].astype(np.float32) for at in (found.i, found.j))
        other[found.mirrored[part]] = other[found.mirrored[part], :, ::-1]
        first = same.first_look(one, other)
        kept = np.flatnonzero(first.scores >= same.AGAIN)
        if not len(kept):
            continue
        looks.append(same.evidence(one[kept], other[kept], first.at(kept)))
        pairs.append(np.stack([found.i[part], found.j[part]], 1)[kept])
    apart, which = seen_apart(rows), np.concatenate(pairs).tolist()
    true = np.array([rows[i].photo == rows[j].photo for i, j in which])
    asked = np.array([rows[i].kind == "first" and rows[j].kind not in HARSH for i, j in which])
    seen = np.array([apart(i, j) for i, j in which])
    weights = np.where(true, np.where(asked, 1, OTHER_TRUE), np.where(seen, WRONG, UNSEEN))
    values = np.concatenate([look.values for look in looks]).astype(np.float64)
    return Pairs(values, np.concatenate([look.unlike for look in looks]), true.astype(np.float64), weights)


def fitted(values: Floats, true: Floats, weights: Floats) -> tuple[Floats, float]:
    """Return the weights and the bias of a logistic regression (Newton steps, a small ridge)."""
    whole = weights.sum()
    mean = weights @ values / whole
    spread = np.sqrt(weights @ (values - mean) ** 2 / whole) + 1e-9
    terms = np.hstack([(values - mean) / spread, np.ones((len(values), 1))])
    ridge = np.diag([RIDGE] * values.shape[1] + [0.0])
    factors = np.zeros(terms.shape[1])
    for _ in range(STEPS):
        sure = 1 / (1 + np.exp(-np.clip(terms @ factors, -30, 30)))
        curve = (terms * (weights * sure * (1 - sure) + 1e-9)[:, None]).T @ terms + ridge
        factors += np.linalg.solve(curve, terms.T @ (weights * (true - sure)) - ridge @ factors)
    plain = factors[:-1] / spread
    return plain, float(factors[-1] - plain @ mean)


def main() -> int:
    words = argparse.ArgumentParser(description="Fit what pairs of pictures are weighed by.")
    words.add_argument("--seeds", type=int, nargs="+", default=(77, 78))
    words.add_argument("--others", type=int, default=4000)
    words.add_argument("--persons", type=int, default=150)
    words.add_argument("--cache", default=str(Path(tempfile.gettempdir()) / "fer-near"), help="folder of made pictures")
    options = words.parse_args()
    cv2.setNumThreads(1)
    cache = Path(options.cache)
    cache.mkdir(parents=True, exist_ok=True)
    made = [looked_at(list(pictures(seed, options.others, options.persons, SIZE, cache))) for seed in options.seeds]
    pairs = Pairs(*(np.concatenate(part) for part in zip(*made, strict=True)))
    for said, some in (("alike", ~pairs.unlike), ("not alike", pairs.unlike)):
        plain, bias = fitted(pairs.values[some], pairs.true[some], pairs.weights[some])
        print(f"{said}: {some.sum():,} pairs; weights and constant {np.round([*plain, bias], 3).tolist()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
