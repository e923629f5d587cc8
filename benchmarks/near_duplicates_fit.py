"""Fits what the second look at a pair is weighed by: run `python benchmarks/near_duplicates_fit.py` (scikit-image).

Pairs of 48 px, where noise and expressions lie closest, of a seed that no figure is reported of. A logistic regression;
counted are a copy beside its original fully, other true pairs little, and wrong ones only where they can be seen to be
wrong. The bias is set afterwards, on another seed: by the wrong pairs among all that are returned.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from near_duplicates_quality import HARSH, Picture, joined, pictures, seen_apart

from ferbuild.builders import near, same
from ferbuild.builders.hashing import one_thread

Floats = npt.NDArray[np.float64]
SIZE = 48
OTHER_TRUE, WRONG = 0.2, 1.5
"""Weights of true pairs that are not asked for, and of wrong ones; a copy beside its original weighs 1."""
STEPS, RIDGE = 12, 1.0


def looked_at(rows: list[Picture]) -> tuple[Floats, Floats, Floats]:
    """Return the evidence (n x 6) of the pairs that get a second look, whether they are true (n), and weights (n)."""
    thumbs = np.array([row.thumb for row in rows])
    with one_thread():
        found = near.candidates(joined([row.hashes for row in rows]))
    values, pairs = [np.zeros((0, len(same.WEIGHTS)))], [np.zeros((0, 2), np.int64)]
    for start in range(0, len(found.i), same.BATCH):
        part = slice(start, start + same.BATCH)
        one, other = (thumbs[at[part]].astype(np.float32) for at in (found.i, found.j))
        other[found.mirrored[part]] = other[found.mirrored[part], :, ::-1]
        maps, first = same.first_look(one, other)
        kept = np.flatnonzero(first >= same.AGAIN)
        if not len(kept):
            continue
        values.append(same.evidence(one[kept], other[kept], maps[kept], first[kept]).values.astype(np.float64))
        pairs.append(np.stack([found.i[part], found.j[part]], 1)[kept])
    apart, which = seen_apart(rows), np.concatenate(pairs).tolist()
    true = np.array([rows[i].photo == rows[j].photo for i, j in which])
    asked = np.array([rows[i].kind == "first" and rows[j].kind not in HARSH for i, j in which])
    seen = np.array([apart(i, j) for i, j in which])
    weights = np.where(true, np.where(asked, 1, OTHER_TRUE), np.where(seen, WRONG, 0))
    return np.concatenate(values), true.astype(np.float64), weights


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
    words.add_argument("--seed", type=int, default=77)
    words.add_argument("--others", type=int, default=2000)
    words.add_argument("--persons", type=int, default=120)
    words.add_argument("--cache", default=str(Path(tempfile.gettempdir()) / "fer-near"), help="folder of made pictures")
    options = words.parse_args()
    cv2.setNumThreads(1)
    cache = Path(options.cache)
    cache.mkdir(parents=True, exist_ok=True)
    values, true, weights = looked_at(list(pictures(options.seed, options.others, options.persons, SIZE, cache)))
    plain, bias = fitted(values, true, weights)
    print(f"{len(true):,} pairs; weights {np.round(plain, 3).tolist()}, bias {bias:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
