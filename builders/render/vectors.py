"""Products of many short vectors, the same to the last bit on any number of cores.

Stands below geometry and shading. The `@` of large arrays goes through a library that splits its sums by the number
of threads, and pictures have to come out byte for byte.
"""

from __future__ import annotations

import numpy as np

from ferbuild.builders.render.package import Floats


def unit(vectors: Floats) -> Floats:
    """Return the vectors (N x 3) at length 1."""
    length = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    return np.asarray(vectors / np.maximum(length, 1e-12)[:, None], np.float32)


def along(vectors: Floats, way: Floats) -> Floats:
    """Return how far each of the vectors (N x K) goes along one (K)."""
    return np.asarray(np.einsum("ij,j->i", vectors, way))


def mapped(vectors: Floats, matrix: Floats) -> Floats:
    """Return every vector (N x K) times a K x L matrix."""
    return np.asarray(np.einsum("ij,jk->ik", vectors, matrix))
