"""Which of many things belong together: those that pairs link, directly or through others."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def clusters(count: int, one: Ints, other: Ints) -> Ints:
    """Return the cluster, numbered from 0, of each of `count` things; pair k links things `one[k]` and `other[k]`."""
    # Within: a tenth of a second and more that a run without pairs, and every worker, does not need.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(one), np.int8), (one, other)), shape=(count, count))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)
