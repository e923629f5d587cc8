"""The templates of this package, as the page, the leaderboard and the review sheet render them.

Stands before all that people look at: what models wrote is escaped everywhere, and a name that is missing is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

TEMPLATES = files("ferbuild.builders.evaluation") / "templates"
SUFFIX = ".j2"


def environment(*filters: Callable[..., Any]) -> Environment:
    """Return an environment over the templates, in which `filters` are known by their names."""
    loader = FunctionLoader(lambda name: (TEMPLATES / f"{name}{SUFFIX}").read_text(encoding="utf-8"))
    made = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, cache_size=20
    )
    made.filters |= {one.__name__: one for one in filters}
    return made
