"""Where the jobs of a stage run: in processes of this machine, or by Daft, here or on the nodes of a Ray cluster.

The seam between a stage and what carries it out. An engine chooses neither rows nor bytes: whichever runs the jobs, the
shards are the same. Only stages that read pictures are spread; a teacher is asked from one place, which pays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import Literal, Protocol, TypeVar

from ferbuild.builders import pool
from ferbuild.builders.errors import FerError

T = TypeVar("T")
R = TypeVar("R")

Name = Literal["local", "daft"]
INSTALL = "pip install 'fer-build[cluster]'"


class Engine(Protocol):
    """Runs a function over many items, and yields `call(item)` of each as it is done, in any order.

    `call` and the items pickle. Leaving the iteration early starts no further item. FerError of `stage` where the
    machinery fails; what `call` raises is raised here.
    """

    def __call__(self, call: Callable[[T], R], items: Sequence[T], *, workers: int, stage: str) -> Iterator[R]: ...


def chosen(name: Name, ray_address: str | None = None) -> Engine:
    """Return an engine. FerError where its packages are missing, before any work."""
    if name == "local":
        if ray_address is not None:
            raise FerError("ray_address", "only Daft works on a Ray cluster", "add --engine daft")
        return pool.each
    for package in ("daft", "ray") if ray_address is not None else ("daft",):
        if find_spec(package) is None:
            raise FerError(f"engine {name}", f"the package {package} is not installed", INSTALL)
    from ferbuild.builders.daft_engine import Daft

    return Daft(ray_address)
