"""Keeps pandas out of the tool's own processes: pyarrow imports it at the first array, and nothing here uses it.

That is 40 MB and .7 s of processor time in every worker (pyarrow 23, `_PandasAPIShim`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

import pyarrow as pa


class _Nowhere(MetaPathFinder):
    """Finds no pandas, whatever is installed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Raise ModuleNotFoundError for pandas; leave all else to the others."""
        if fullname == "pandas":
            raise ModuleNotFoundError("No module named 'pandas'", name="pandas")
        return None


def spare_pandas() -> None:
    """Have pyarrow look for pandas once and find none. Whoever imports it later gets it, `to_pandas` too.

    For processes of the tool's own alone: in another's, arrays of a pandas series would no longer be told as such.
    """
    if "pandas" in sys.modules:
        return
    nowhere = _Nowhere()
    sys.meta_path.insert(0, nowhere)
    try:
        pa.array([0])
    finally:
        sys.meta_path.remove(nowhere)
