"""The tool's own processes do without what takes long to import: pandas, and in a worker that opens pictures scipy."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys
from ferbuild.builders.lean import spare_pandas
spare_pandas()
import pyarrow as pa
import ferbuild.builders.stage, ferbuild.builders.facing, ferbuild.builders.faces
assert "scipy" not in sys.modules and ferbuild.builders.faces.face_batch.__module__ == "ferbuild.builders.facing"
import ferbuild.builders.cot, ferbuild.builders.cli.stages
assert pa.array([1, None]).to_pylist() == [1, None] and pa.table({"a": [1]}).num_rows == 1
assert not {"pandas", "datasets", "torch"} & set(sys.modules)
import pandas
assert pa.table({"a": [1, 2]}).to_pandas().shape == (2, 1)
assert pa.Table.from_pandas(pandas.DataFrame({"a": [1, 2]})).num_rows == 2
"""


def test_neither_is_imported_and_pandas_works_for_whoever_asks_later() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
