"""The pages that the tool writes: one look, one escaping, one set of charts' parts, whoever writes the page.

Stands before all that people look at in a browser. A page's own templates lie beside its module; `style.css` and
`marks.html`, which all share, beside this one. What models and files say is escaped everywhere, and a name that is
missing is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

SHARED = "ferbuild.builders"
"""The package whose templates every page may use."""
SUFFIX = ".j2"


def environment(module: str, *filters: Callable[..., Any]) -> Environment:
    """Return an environment over the templates beside a module and the shared ones; `filters` go by their names."""
    package = module.rpartition(".")[0]
    made = Environment(
        loader=FunctionLoader(lambda name: _text(package, name)),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        cache_size=20,
    )
    made.filters |= {one.__name__: one for one in filters}
    return made


def _text(package: str, name: str) -> str | None:
    """Return a template, the page's own before the shared one; None where there is none."""
    for owner in (package, SHARED):
        file = files(owner) / "templates" / f"{name}{SUFFIX}"
        if file.is_file():
            return file.read_text(encoding="utf-8")
    return None
