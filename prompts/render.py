"""Words the questions: a template of this room and its values become the text a model is asked.

A template's version is a hash of its file, so that rows say which wording they were asked with.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template, UndefinedError
from jinja2.meta import find_undeclared_variables

from ferbuild.builders.errors import FerError, did_you_mean

TEMPLATES = files("ferbuild.prompts") / "templates"
SUFFIX = ".j2"

_environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)


def render(template: str, **values: object) -> str:
    """Return the text of a template by its name; FerError where there is none or a value is missing."""
    try:
        return _compiled(template).render(values).strip()
    except UndefinedError as err:
        raise FerError(f"prompts/{template}", f"lacks a value: {err.message}", _takes(template)) from None


def template_version(template: str) -> str:
    """Return 12 hex digits: the start of the sha256 of the template's file."""
    return hashlib.sha256(_source(template)).hexdigest()[:12]


def templates() -> list[str]:
    """Return the names of all templates, sorted."""
    found = (entry.name for entry in TEMPLATES.iterdir())
    return sorted(name.removesuffix(SUFFIX) for name in found if name.endswith(SUFFIX))


def wordings(template: str) -> list[str]:
    """Return the templates that ask the same in other words: it, and `<template>_b`, `_c` and so on that exist."""
    further = re.compile(rf"{re.escape(template)}_[b-z]")
    return [template, *(name for name in templates() if further.fullmatch(name))]


@cache
def _compiled(template: str) -> Template:
    return _environment.from_string(_source(template).decode())


@cache
def _source(template: str) -> bytes:
    if template not in templates():
        raise FerError(template, "no such question template", did_you_mean(template, templates()))
    return (TEMPLATES / f"{template}{SUFFIX}").read_bytes()


def _takes(template: str) -> str:
    names = find_undeclared_variables(_environment.parse(_source(template).decode()))
    return f"the template takes: {', '.join(sorted(names))}"
