"""Reads a YAML file into its schema; a wrong key, type or value is named with its place in the file."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.manifests.calibration import Calibration
from ferbuild.manifests.confusable import Confusable
from ferbuild.manifests.possible import check_teacher
from ferbuild.manifests.recipe import Recipe
from ferbuild.manifests.schema import Asset, ClassifierEntry, Published, Source, TeacherEntry, UnitModelEntry, Units

try:
    from yaml import CSafeLoader as SafeLoader  # the lexicon takes a second in the other one
except ImportError:
    from yaml import SafeLoader  # type: ignore[assignment]

M = TypeVar("M", bound=BaseModel)
SHIPPED = files("ferbuild.manifests")


def load_source(name: str) -> Source:
    """Return a shipped source manifest by its name, or read the YAML file that a path names."""
    return _named("sources", name, Source)


def load_recipe(name: str) -> Recipe:
    """Return a shipped recipe by its name, or read the YAML file that a path names."""
    return _named("recipes", name, Recipe)


def load_teacher(name: str) -> TeacherEntry:
    """Return a shipped teacher by its name, or read the YAML file of one entry that a path names.

    FerError also for what the entry says that does not go together.
    """
    if name.endswith((".yaml", ".yml")):
        entry = check({"name": Path(name).stem, **read_yaml(Path(name))}, TeacherEntry, name)
        return check_teacher(entry, name)
    return check_teacher(_entry("teachers.yaml", name, TeacherEntry), f"teachers.yaml:{name}")


def load_unit_model(path: Path) -> UnitModelEntry:
    """Return the entry of a unit model in the YAML file at `path`; where it says no name, the file's stem is it."""
    return check({"name": path.stem, **read_yaml(path)}, UnitModelEntry, path)


def load_classifier(path: Path) -> ClassifierEntry:
    """Return the entry of a classifier in the YAML file at `path`; where it says no name, the file's stem is it."""
    return check({"name": path.stem, **read_yaml(path)}, ClassifierEntry, path)


def load_asset(name: str) -> Asset:
    return _entry("models.yaml", name, Asset)


def load_published() -> list[Published]:
    """Return the published figures that results are shown beside, in the file's order."""
    return [_entry("published.yaml", name, Published) for name in entries("published.yaml")]


@cache
def load_units() -> Units:
    """Return the action units and the labels' prototypes."""
    return check(read_yaml(SHIPPED / "units.yaml"), Units, "units.yaml")


@cache
def load_confusable() -> Confusable:
    """Return which expression people take for which."""
    return check(read_yaml(SHIPPED / "confusable.yaml"), Confusable, "confusable.yaml")


@cache
def load_calibration(path: Path | None = None) -> Calibration:
    """Return the shipped calibration of the action units, or the user's own; FerError where one cannot be used."""
    where = SHIPPED / "calibration.yaml" if path is None else path
    found = check(read_yaml(where), Calibration, where)
    if strange := [unit for unit in found.units if unit not in load_units().units]:
        raise FerError(where, f"units: no unit {strange[0]!r}", did_you_mean(strange[0], load_units().units))
    return found


def names(room: str) -> list[str]:
    """Return the names of the shipped YAML files in `room` ('sources' or 'recipes'), sorted."""
    found = (entry.name for entry in (SHIPPED / room).iterdir())
    return sorted(name.removesuffix(".yaml") for name in found if name.endswith(".yaml"))


def entries(file: str) -> list[str]:
    """Return the entry names of `teachers.yaml`, `models.yaml` or `published.yaml`, in the file's order."""
    return list(read_yaml(SHIPPED / file))


def read_yaml(path: Traversable) -> dict[str, Any]:
    """Return the mapping in a YAML file; FerError where there is none or it does not parse."""
    try:
        data = yaml.load(path.read_text(encoding="utf-8-sig"), _Loader)
    except (yaml.YAMLError, RecursionError) as err:
        mark = getattr(err, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise FerError(where, "not valid YAML", str(getattr(err, "problem", None) or err)) from None
    except (OSError, ValueError) as err:  # a date or number that is none is a bare ValueError
        raise FerError(path, "cannot be read", str(err)[:200]) from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise FerError(path, "does not hold a mapping", "write `key: value` lines")
    return data


class _Loader(SafeLoader):
    """Refuses a mapping that says the same key twice; the last would win without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            word = self.construct_object(key, deep=True) if key.tag != "tag:yaml.org,2002:merge" else None
            if word is not None and isinstance(word, str | int) and word in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {word!r} stands twice", key.start_mark)
            seen.add(word if isinstance(word, str | int) else None)
        return super().construct_mapping(node, deep)


def check(data: Any, model: type[M], where: object) -> M:
    """Return `data` as `model`; FerError naming the first wrong place and, for a wrong key, the near ones."""
    try:
        return model.model_validate(data)
    except ValidationError as err:
        faults = err.errors()
        # A mistyped key also makes the right one missing: the slip is what to tell.
        fault = next((one for one in faults if one["type"] == "extra_forbidden"), faults[0])
        spot = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            known = _keys_at(model, fault["loc"][:-1])
            raise FerError(where, f"unknown key {spot!r}", did_you_mean(str(fault["loc"][-1]), known)) from None
        raise FerError(where, f"{spot}: {fault['msg']}", f"found {fault['input']!r:.80}") from None


def _named(room: str, name: str, model: type[M]) -> M:
    if name.endswith((".yaml", ".yml")):
        return check(read_yaml(Path(name)), model, name)
    if name not in names(room):
        raise FerError(name, f"no such entry among the {room}", did_you_mean(name, names(room)))
    path = SHIPPED / room / f"{name}.yaml"
    return check(read_yaml(path), model, f"{room}/{name}.yaml")


def _entry(file: str, name: str, model: type[M]) -> M:
    data = read_yaml(SHIPPED / file)
    if name not in data:
        raise FerError(name, f"no such entry in {file}", did_you_mean(name, data))
    return check({"name": name, **data[name]}, model, f"{file}:{name}")


def _keys_at(model: type[BaseModel], spot: tuple[int | str, ...]) -> list[str]:
    """Return the field names of the model that `spot` leads to, walking through lists and mappings."""
    here: Any = model
    for part in spot:
        if isinstance(part, int) or not hasattr(here, "model_fields") or part not in here.model_fields:
            continue
        here = _inner(here.model_fields[part].annotation)
    return list(getattr(here, "model_fields", {}))


def _inner(annotation: Any) -> Any:
    """Return the model inside `X | None`, `list[X]` or `dict[str, X]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = (_inner(arg) for arg in getattr(annotation, "__args__", ()))
    return next((model for model in found if model is not None), None)
