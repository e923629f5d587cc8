"""What pairs link, against a plain search."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ferbuild.builders.clusters import clusters

LINKS = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=14)


def reached(links: list[tuple[int, int]], start: int) -> set[int]:
    found, grown = {start}, True
    while grown:
        more = {end for link in links if found & set(link) for end in link} - found
        found, grown = found | more, bool(more)
    return found


@given(LINKS)
def test_clusters_are_what_can_be_reached(links):
    one, other = np.array(links, np.int64).reshape(-1, 2).T
    found = clusters(12, one, other)
    assert all(set(np.flatnonzero(found == found[at])) == reached(links, at) for at in range(12))
    assert sorted(set(found.tolist())) == list(range(found.max() + 1))
    assert clusters(0, one[:0], other[:0]).tolist() == []
