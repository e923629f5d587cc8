"""What the Tab key offers where an option takes a name that the tool knows."""

from __future__ import annotations

from click import Context, Parameter

from ferbuild.builders.config import read_settings
from ferbuild.builders.errors import FerError
from ferbuild.builders.mark import FILE
from ferbuild.manifests import load


def teachers(ctx: Context, param: Parameter, start: str) -> list[str]:
    """Return the entries of teachers.yaml that begin so."""
    return [name for name in load.entries("teachers.yaml") if name.startswith(start)]


def datasets(ctx: Context, param: Parameter, start: str) -> list[str]:
    """Return the datasets of the work folder that begin so; none where there is no work folder to be found."""
    try:
        work = read_settings(ctx.params.get("config"), work=ctx.params.get("work"), required=False).work
    except FerError:
        return []
    return sorted(mark.parent.name for mark in work.glob(f"*/{FILE}") if mark.parent.name.startswith(start))
