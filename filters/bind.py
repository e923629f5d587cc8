"""Turns the check names of a recipe into functions: a name is looked up in its module, its options bound.

Every name, option and value is tried before any row is read, so that a slip costs a second and not a night.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import ModuleType
from typing import Any, Literal, NamedTuple, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError

from ferbuild.builders.errors import FerError, did_you_mean

Check = Callable[[Mapping[str, Any]], str | None]
"""None keeps the row; a string is the drop reason."""

Spec = str | dict[str, dict[str, Any]]
"""How a recipe writes a check: its name, or {name: options}."""


F = TypeVar("F", bound=Callable[..., Any])


class Named(NamedTuple):
    """A check ready to run, under its recipe name."""

    name: str
    check: Check


class Failure(NamedTuple):
    """Why a row goes, and the check that says so."""

    reason: str
    name: str


Need = Literal["faces", "pose"]
"""What a check may ask for beside the row: what a detector finds, and the turn of the head, which the mesh gives."""


def needs(what: Need) -> Callable[[F], F]:
    """Mark a check as one that is given what a detector, or the mesh too, finds: they run only where one asks."""

    def marked(check: F) -> F:
        vars(check)["needs"] = what
        return check

    return marked


def needed(module: ModuleType, specs: Sequence[Spec]) -> frozenset[Need]:
    """Return what the checks of a recipe ask for; FerError as `bind`."""
    bind(module, specs)
    known = checks_of(module)
    found = (vars(known[name]).get("needs") for name, _ in map(_parted, specs))
    return frozenset(what for what in found if what is not None)


def bind(module: ModuleType, specs: Sequence[Spec]) -> list[Named]:
    """Return the checks in their order; FerError for a name, an option or a value the module does not take."""
    return [Named(name, _bound(module, name, options)) for name, options in map(_parted, specs)]


def failing(checks: Sequence[Named], row: Mapping[str, Any]) -> Iterator[Failure]:
    """Yield the checks that a row fails, in their order, with the reasons."""
    for name, check in checks:
        reason = check(row)
        if reason is not None:
            yield Failure(reason, name)


def first_failing(checks: Sequence[Named], row: Mapping[str, Any]) -> Failure | None:
    """Return the first check that a row fails; None where it passes all."""
    return next(failing(checks, row), None)


def checks_of(module: ModuleType) -> dict[str, Callable[..., str | None]]:
    """Return the functions a recipe may name: the public ones that the module itself defines."""
    found = inspect.getmembers(module, inspect.isfunction)
    return {name: check for name, check in found if check.__module__ == module.__name__ and name[0] != "_"}


def _parted(spec: Spec) -> tuple[str, Mapping[str, Any]]:
    if isinstance(spec, str):
        return spec, {}
    if len(spec) != 1:
        raise FerError("checks", f"{spec!r} is not one check", "write a name, or {name: {option: value}}")
    name, options = next(iter(spec.items()))
    return name, options or {}


def _bound(module: ModuleType, name: str, options: Mapping[str, Any]) -> Check:
    where = module.__name__.removeprefix("ferbuild.")
    known = checks_of(module)
    if name not in known:
        raise FerError(where, f"no check is called {name!r}", did_you_mean(name, known))
    check = known[name]
    if not options:
        return check
    takes = [p.name for p in inspect.signature(check).parameters.values() if p.kind is p.KEYWORD_ONLY]
    hints = get_type_hints(check)
    values = {}
    for option, value in options.items():
        if option not in takes:
            raise FerError(f"{where}.{name}", f"takes no option {option!r}", did_you_mean(option, takes))
        values[option] = _value(f"{where}.{name}", option, value, hints[option])
    return partial(check, **values)


def _value(where: str, option: str, value: Any, hint: Any) -> Any:
    try:
        return TypeAdapter(hint).validate_python(value, strict=not isinstance(value, list))
    except ValidationError as err:
        raise FerError(where, f"{option}: {err.errors()[0]['msg']}", f"found {value!r:.80}") from None
