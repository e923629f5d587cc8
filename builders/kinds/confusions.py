"""A model's own errors as the table of what is confused with what, in the place of the one from the literature."""

from __future__ import annotations

import json
from pathlib import Path

from ferbuild.builders.errors import FerError

HINT = "`fer-build eval --model NAME` writes one to fer-data/eval/NAME/report/result.json"


def read_confusions(path: Path) -> str:
    """Return the pooled confusions of a result.json as JSON: canonical label to the labels it was taken for, as shares.

    A label that the model never took for another keeps the shipped weights. FerError where it is no such file.
    """
    try:
        found = json.loads(path.read_bytes())["pooled"]["confusion"]
        rows, columns, counts = found["rows"], found["columns"], found["counts"]
        wrong = {
            str(label): {
                str(name): int(count) for name, count in zip(columns, row, strict=True) if _wrong(name, label, rows)
            }
            for label, row in zip(rows, counts, strict=True)
        }
    except OSError as err:
        raise FerError(path, "cannot be read", err.strerror or str(err)) from None
    except (ValueError, TypeError, KeyError, RecursionError) as err:
        raise FerError(path, f"holds no pooled confusions ({type(err).__name__}: {err})", HINT) from None
    shares = {label: _shares(row) for label, row in wrong.items() if sum(row.values())}
    if not shares:
        raise FerError(path, "holds no confusion of one label with another", HINT)
    return json.dumps(shares, sort_keys=True)


def _wrong(name: str, label: str, labels: list[str]) -> bool:
    return name != label and name in labels


def _shares(row: dict[str, int]) -> dict[str, float]:
    whole = sum(row.values())
    return {name: round(count / whole, 6) for name, count in row.items() if count > 0}
