"""Finds the reader a layout names and binds the layout's options to it, before a file is looked at.

It stands between the manifests, where options are any YAML value, and the readers, which trust their types.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import Any, get_type_hints

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.builders.sources.listing import Found
from ferbuild.manifests.schema import Layout, Source

Reader = Callable[..., Found]


def bind(source: Source, layout: Layout) -> tuple[Reader, dict[str, Any]]:
    """Return the function a layout names and its options; FerError where either is wrong."""
    where = f"source {source.name}, layout {layout.name}"
    reader = _reader(layout.reader, where)
    kinds = _kinds(reader)
    if strange := sorted(set(layout.options) - set(kinds)):
        raise FerError(where, f"{layout.reader} has no option {strange[0]!r}", did_you_mean(strange[0], kinds))
    options = {name: _value(where, name, value, kinds[name]) for name, value in layout.options.items()}
    try:
        inspect.signature(reader).bind(None, source, rule="", labels=None, **options)
    except TypeError as err:
        raise FerError(where, f"{layout.reader}: {err}", "add it to the layout's options") from None
    return reader, options


def _reader(name: str, where: str) -> Reader:
    module, _, function = name.rpartition(".")
    try:
        reader: Reader = getattr(import_module(f"{__package__}.{module}"), function)
    except (ImportError, AttributeError, ValueError):
        raise FerError(where, f"no reader {name!r}", "write it as module.function") from None
    return reader


@cache
def _kinds(reader: Reader) -> Mapping[str, TypeAdapter[Any]]:
    """Return each option of a reader with what its annotation allows; whole numbers are taken for text."""
    hints = get_type_hints(reader, include_extras=True)
    names = set(inspect.signature(reader).parameters) - {"tree", "source", "rule", "labels"}
    return {name: _adapter(hints[name]) for name in names}


def _adapter(kind: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(kind, config=ConfigDict(coerce_numbers_to_str=True))
    except PydanticUserError:  # a model brings its own configuration
        return TypeAdapter(kind)


def _value(where: str, name: str, value: Any, kind: TypeAdapter[Any]) -> Any:
    try:
        return kind.validate_python(value)
    except ValidationError as err:
        said = err.errors()[0]
        spot = ".".join(map(str, (name, *(part for part in said["loc"] if isinstance(part, int)))))
        raise FerError(where, f"options: {spot}: {said['msg'].lower()}", f"it is {said['input']!r:.40}") from None
