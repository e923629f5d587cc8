"""Folders that are built beside their place and put there whole: what a kill leaves looks like nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

from ferbuild.builders.errors import FerError


def beside(out: Path, what: str) -> Path:
    """Return a folder of the tool's own beside `out`: `.cot.new`, `.cot.old`, `.cot.parts`."""
    return out.with_name(f".{out.name}.{what}")


def refuse_foreign(out: Path, mark: str, hint: str = "move it, or name another folder") -> None:
    """FerError where something stands at `out` that lacks the file `mark`: the tool did not make it."""
    if not out.exists() or (out / mark).exists() or (out.is_dir() and not any(out.iterdir())):
        return
    raise FerError(out, "is there already and was not made by fer-build", hint)


def empty_beside(out: Path, mark: str) -> Path:
    """Return the empty folder in which `out` is to be built; what an earlier run left there is removed."""
    refuse_foreign(out, mark)
    fresh = beside(out, "new")
    try:
        for rest in (fresh, beside(out, "old")):
            shutil.rmtree(rest, ignore_errors=True)
        fresh.mkdir(parents=True)
    except OSError as err:
        raise FerError(fresh, f"cannot be written: {err.strerror or err}", "name another folder") from None
    return fresh


def put(out: Path, mark: str) -> None:
    """Put the whole folder beside `out` in its place, and remove the one that stood there.

    Safe to repeat after a kill between any two steps, as long as the whole folder is still beside it.
    """
    fresh, old = beside(out, "new"), beside(out, "old")
    if out.exists():
        refuse_foreign(out, mark)
        shutil.rmtree(old, ignore_errors=True)
        out.replace(old)
    fresh.replace(out)
    shutil.rmtree(old, ignore_errors=True)
