"""fer-build.yaml and the flags that override it, read and checked before any work starts."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from ferbuild.builders import engines
from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.manifests import load
from ferbuild.manifests.recipe import Recipe
from ferbuild.manifests.schema import Entry, Source, Strict

FILE = "fer-build.yaml"
NETS = ("centerface", "face_mesh")
"""The files of models.yaml that `models:` may replace: the nets that measure a face."""
DETECTORS = ("centerface", "insightface")
"""What `detector:` may say. The first is fetched; the other is a folder of the user's own, named under `models:`."""


class ConfigFile(Strict):
    """The keys of fer-build.yaml; paths are relative to the folder it lies in."""

    work: str = "fer-data"
    recipe: str = "default"
    seed: int = Field(default=0, ge=0)
    sources: dict[str, Entry] = Field(default_factory=dict)
    teacher: str = "geometry"
    own: list[str] = Field(default_factory=list)
    """Hosts of the user's own servers: pictures may be sent to them."""
    calibration: str | None = None
    """A calibration of one's own, as `fer-build calibrate` writes it, in the place of the shipped one."""
    unit_model: str | None = None
    """A YAML file that names an action-unit detector of one's own (see `manifests.schema.UnitModelEntry`)."""
    models: dict[str, str] = Field(default_factory=dict)
    """Local files in the place of fetched nets, by their name in models.yaml (see NETS), and insightface's folder."""
    engine: engines.Name = "local"
    """What runs the stages that read pictures; see `engines`."""
    ray_address: str | None = None
    """Of the Ray cluster that `engine: daft` works on; without it Daft works on this machine."""
    detector: str = DETECTORS[0]
    """What finds faces, for every stage that looks for them; one of DETECTORS."""


@dataclass(frozen=True, slots=True)
class Release:
    """A source and where the user has it."""

    source: Source
    root: Path
    layout: str | None = None
    rule: str | None = None
    labels: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything a stage may ask of the user's choices."""

    work: Path
    recipe: Recipe
    releases: tuple[Release, ...]
    teacher: str = "geometry"
    seed: int = 0
    models: Mapping[str, Path] = field(default_factory=dict)
    detector: str = DETECTORS[0]
    own: tuple[str, ...] = ()
    calibration: Path | None = None
    unit_model: Path | None = None
    limit: int | None = None
    workers: int = 1
    engine: engines.Name = "local"
    ray_address: str | None = None

    @property
    def store(self) -> Path:
        """The file of paid replies: one for full and limited builds, so that nothing is paid for twice."""
        home = self.work.parent if self.limit else self.work
        return home / "replies.sqlite"


def read_settings(
    file: Path | None = None,
    *,
    work: Path | None = None,
    limit: int | None = None,
    workers: int = 1,
    engine: engines.Name | None = None,
    ray_address: str | None = None,
    required: bool = True,
) -> Settings:
    """Read fer-build.yaml (of this folder by default) and check every name in it.

    Without `required` the defaults hold where this folder has none; one that is named must be there all the same.
    A build limited to some rows lies apart, below `limited/`, and never makes the full one stale.
    """
    path = file or Path(FILE)
    if (required or file) and not path.exists():
        hint = f"`fer-build init --find DIR` writes one; `fer-build demo` needs none; --config names another {FILE}"
        raise FerError(path, "not found", hint)
    config = load.check(load.read_yaml(path) if path.exists() else {}, ConfigFile, path)
    home = path.resolve().parent
    recipe = load.load_recipe(_beside(home, config.recipe))
    folder = work or place(home, config.work)
    return Settings(
        work=folder / "limited" if limit else folder,
        recipe=recipe,
        releases=_releases(config, home, recipe, path),
        teacher=config.teacher,
        seed=config.seed,
        models=_models(config, home, path),
        detector=_known_detector(config, path),
        own=tuple(config.own),
        calibration=place(home, config.calibration) if config.calibration else None,
        unit_model=place(home, config.unit_model) if config.unit_model else None,
        limit=limit,
        workers=workers,
        engine=engine or config.engine,
        ray_address=ray_address or (config.ray_address if engine in (None, config.engine) else None),
    )


def config_text(values: Mapping[str, Any]) -> str:
    """Return a fer-build.yaml with a comment beside each key, defaults where `values` has none."""
    lines = [
        "# What fer-build works on. Paths may be relative to this file; `fer-build check` tells what it finds.",
        f"work: {_quoted(values.get('work', 'fer-data'))}        # datasets, drops and paid replies",
        f"recipe: {values.get('recipe', 'default')}       # a shipped recipe, or a YAML file",
        f"seed: {values.get('seed', 0)}",
        f"teacher: {values.get('teacher', 'geometry')}     # `geometry` runs anywhere; see docs/teachers.md for others",
        "sources:",
    ]
    found: Mapping[str, str] = values.get("sources", {})
    lines += [f"  {name}: {_quoted(root)}" for name, root in found.items()]
    missing = [name for name in load.names("sources") if name not in found]
    lines += [f"  # {name}: /path/to/it" for name in missing]
    if not found:
        lines[5] = "sources: {}   # name: folder, one line a release you have"
    return "\n".join(lines) + "\n"


def _quoted(value: str) -> str:
    """Return `value` as a YAML scalar: as it is where that is safe, else quoted as JSON, which is YAML."""
    plain = re.fullmatch(r"[A-Za-z./~][\w./ ~-]*(?<! )", value) and yaml.safe_load(value) == value
    return value if plain else json.dumps(value, ensure_ascii=False)


def _releases(config: ConfigFile, home: Path, recipe: Recipe, where: Path) -> tuple[Release, ...]:
    found: dict[str, Release] = {}
    for name, entry in config.sources.items():
        source = load.load_source(_beside(home, entry.manifest or name))
        rule = _known_rule(source, entry.rule, f"{where}: sources.{name}.rule")
        if source.name in {release.source.name for release in found.values()}:
            problem = f"{source.name} is named twice; the ids of its faces would meet"
            raise FerError(f"{where}: sources.{name}", problem, "give the second manifest a name of its own")
        found[name] = Release(source, place(home, entry.root), entry.layout, rule, entry.labels)
    _known_order(recipe, found, where)
    rank = {name: at for at, name in enumerate(recipe.sources)}
    return tuple(found[name] for name in sorted(found, key=lambda name: (rank.get(name, len(rank)), name)))


def _known_order(recipe: Recipe, found: Mapping[str, Release], where: Path) -> None:
    """FerError where the recipe orders a source that neither the tool nor fer-build.yaml knows."""
    known = {*load.names("sources"), *found}
    if strange := [name for name in recipe.sources if name not in known]:
        raise FerError(f"{where}: recipe {recipe.name}", f"no source {strange[0]!r}", did_you_mean(strange[0], known))


def _known_rule(source: Source, rule: str | None, where: str) -> str | None:
    if rule and rule not in source.rules:
        raise FerError(where, f"{source.title} has no rule {rule!r}", did_you_mean(rule, source.rules))
    return rule


def _models(config: ConfigFile, home: Path, where: Path) -> dict[str, Path]:
    for name in config.models:
        if name in NETS or name in DETECTORS:
            continue
        if name in load.entries("models.yaml"):
            hint = f"files of one's own can stand in for {' and '.join(NETS)}"
            raise FerError(f"{where}: models", f"{name} cannot be replaced", hint)
        raise FerError(f"{where}: models", f"unknown model {name!r}", did_you_mean(name, {*NETS, *DETECTORS}))
    return {name: place(home, path) for name, path in config.models.items()}


def _known_detector(config: ConfigFile, where: Path) -> str:
    name = config.detector
    if name not in DETECTORS:
        raise FerError(f"{where}: detector", f"no detector is called {name!r}", did_you_mean(name, DETECTORS))
    if name not in NETS and name not in config.models:
        hint = f"name the folder of its ONNX files: `models: {{{name}: /path/to/it}}`; nothing is downloaded"
        raise FerError(f"{where}: detector", f"{name} works with a model pack of your own", hint)
    return name


def place(home: Path, path: str) -> Path:
    """Return where a path of a YAML file in `home` leads; `~` and `~name` are the users' homes.

    FerError where there is no such user, or no file can have the name.
    """
    if "\0" in path:
        raise FerError(ascii(path), "no file can have this name", "correct the path")
    try:
        return home / Path(path).expanduser()
    except RuntimeError:
        raise FerError(path, "no such user", "write the path in full") from None


def _beside(home: Path, name: str) -> str:
    """Return a YAML path seen from fer-build.yaml's folder, a bare name as it is."""
    return str(place(home, name)) if name.endswith((".yaml", ".yml")) else name
