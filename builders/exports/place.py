"""The folder of an export: one export a folder, which says what it is, and holds nothing of an earlier one.

`export.json` is there from the start and says at the end that all is there; a rerun writes the rows again, keeps the
pictures that are the same, and removes what the dataset no longer has.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ferbuild.builders.errors import FerError
from ferbuild.builders.files import write_text

MARK = "export.json"
_OTHER = "name another folder: each holds one export"


def begin(out: Path, told: Mapping[str, Any]) -> list[str]:
    """Say what the folder will hold; return the files that an earlier run of this export wrote.

    FerError where it holds anything else.
    """
    before = _read(out)
    others = sorted(path.name for path in out.iterdir() if path.name != ".lock" and path.suffix != ".part")
    if before is None and others:
        hint = "name a new or an empty folder"
        raise FerError(out, f"is not empty, and what it holds is no export: {others[0]}", hint)
    if before is not None and (before.get("dataset"), before.get("to")) != (told["dataset"], told["to"]):
        raise FerError(out, f"holds the export of {before.get('dataset')} to {before.get('to')}", _OTHER)
    was = [*before["files"], *before["beside"]] if before else []
    _write(out, {**told, "complete": False, "files": dict.fromkeys(was, 0), "beside": []})
    return was


def finish(out: Path, told: Mapping[str, Any], was: Iterable[str], stale: Iterable[Path]) -> None:
    """Remove what an earlier run wrote and this one did not, and say that the export is there."""
    there = {*told["files"], *told["beside"]}
    gone = [out / name for name in was if name not in there and not Path(name).is_absolute() and ".." not in name]
    for path in [*gone, *out.rglob("*.part"), *stale]:
        if path.is_file():
            path.unlink(missing_ok=True)
    _write(out, {**told, "complete": True})


def _read(out: Path) -> dict[str, Any] | None:
    """Return what the folder says of itself; None where it says nothing that can be read."""
    try:
        found = json.loads((out / MARK).read_bytes())
    except (OSError, ValueError):
        return None
    known = isinstance(found, dict) and isinstance(found.get("files"), dict) and isinstance(found.get("beside"), list)
    return found if known else None


def _write(out: Path, told: Mapping[str, Any]) -> None:
    write_text(out / MARK, json.dumps(told, indent=2) + "\n")
