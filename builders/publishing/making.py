"""Makes an edition: a local dataset that is current and complete, past the gate, in a folder that may be uploaded.

Shards keep their record batches, so that `rehydrate` can arrive at the local ones byte for byte; the same dataset and
options give the same bytes. SHA256SUMS comes last, in a folder beside: what a kill leaves is no edition.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa

from ferbuild.builders import bench, cot, faces, placing, rlvr, shards, status
from ferbuild.builders.build import Build
from ferbuild.builders.errors import FerError, did_you_mean
from ferbuild.builders.files import file_sha256, write_text
from ferbuild.builders.mark import Mark, read_mark
from ferbuild.builders.publishing import card, census, croissant, figures, gate, licence, sums
from ferbuild.builders.publishing.census import Census
from ferbuild.builders.publishing.edition import FILE, FOLDER, Counts, Edition, Shard, Teacher, schema_sha256
from ferbuild.builders.publishing.gate import Asked
from ferbuild.builders.reviewing import applying
from ferbuild.builders.styles import SUFFIX
from ferbuild.prompts.render import SUFFIX as TEMPLATE
from ferbuild.prompts.render import TEMPLATES, template_version, templates

log = logging.getLogger(__name__)

DATASETS: dict[str, ModuleType] = {
    cot.FOLDER: cot,
    **{f"{cot.FOLDER}-{style}": cot for style in SUFFIX if style != "think"},
    rlvr.FOLDER: rlvr,
    bench.FOLDER: bench,
}
DATASETS |= {f"{name}{applying.SUFFIX}": module for name, module in DATASETS.items() if module is not bench}
"""What may be published, by its folder, with the module whose stage makes it, or made what a review left of it."""
COMMANDS: Mapping[ModuleType, str] = {cot: "cot", rlvr: "rlvr", bench: "bench"}
MOST_FILES = 250
"""Above so many the Hub's own client makes several commits of an upload."""
OTHER_FILES = 6
"""README.md, LICENSE.md, edition.json, croissant.json, dataset_dict.json, SHA256SUMS; a split has two of its own."""

Tick = Callable[[str, int, int], None]
"""Told a stage's name, what is done of it, and what is to be done."""


def make(build: Build, dataset: str, asked: Asked) -> tuple[Path, Edition]:
    """Build the edition of a dataset in the work folder; return its folder and what it says of itself.

    FerError, and nothing written: the dataset is unknown, missing, stale, incomplete or damaged, or must not be
    published like this.
    """
    folder = build.settings.work / dataset
    mark = _current(build, dataset)
    files = shards.split_files(folder)
    found = census.count(files)
    terms = gate.terms_of(found, {r.source.name: r.source for r in build.settings.releases})
    schema = shards.read_stream(next(iter(files.values()))[0]).schema.remove_metadata()
    checked = gate.refuse(dataset, schema.names, found, terms, asked)
    out = build.settings.work / FOLDER / dataset
    fresh = placing.empty_beside(out, FILE)
    written = _lay_out(build, fresh, files, schema, mark.key, asked)
    edition = Edition(
        dataset=dataset,
        key=mark.key,
        images=asked.images,
        rows=found.rows,
        schema_sha256=schema_sha256(schema),
        shards=_summed(build, fresh, written),
        local=_summed(build, folder, files),
        sources=terms,
        synthetic=all(one.synthetic for one in terms.values()),
        checked=checked,
        baseline=found.baseline,
        **_made(build, dataset, mark, found),
    )
    _describe(fresh, edition)
    placing.put(out, FILE)
    return out, edition


def _current(build: Build, dataset: str) -> Mark:
    """Return the mark of a dataset that is built, whole and current; FerError, naming the command, where it is not."""
    if dataset not in DATASETS:
        raise FerError(dataset, "cannot be published", did_you_mean(dataset, DATASETS))
    base = _reviewed(dataset)
    if base:
        _current(build, base)
    module, folder = DATASETS[dataset], build.settings.work / dataset
    found = status.state_of(build, dataset, applying if base else module, folder)
    mark = read_mark(folder)
    if found.state == "built" and mark is not None and mark.splits:
        return mark
    style = dataset.removeprefix(f"{cot.FOLDER}-") if module is cot and dataset != cot.FOLDER else ""
    flags = found.flags or ({"style": style} if style else {})
    problems = {
        "missing": "is not built",
        "stale": "is stale: the releases, the recipe or the options are not those it was built with",
        "incomplete": "is incomplete: a teacher still owes replies",
        "damaged": "is damaged: a shard is missing or cut",
        "built": "has no rows",
    }
    command = f"fer-build apply-review {base}" if base else status.command(COMMANDS[module], flags)
    raise FerError(folder, problems[found.state], f"run `{command}` first")


def _reviewed(dataset: str) -> str:
    """Return the dataset that a reviewed one was made of; empty where it is none."""
    return dataset.removesuffix(applying.SUFFIX) if dataset.endswith(applying.SUFFIX) else ""


def _lay_out(
    build: Build,
    fresh: Path,
    files: Mapping[str, Sequence[Path]],
    schema: pa.Schema,
    key: str,
    asked: Asked,
) -> dict[str, list[Path]]:
    """Write the edition's shards, few enough for one commit, and return them."""
    build.began("edition")
    bare = asked.images == "none"
    weigh: shards.Weigh = census.weigh_without_pictures if bare else (lambda rows: rows.nbytes)
    asked_for = build.settings.recipe.shard_bytes
    size = shards.roomy(files, asked_for, weigh, MOST_FILES - OTHER_FILES - 2 * len(files))
    if size != asked_for:
        log.warning("shards of %s bytes, not %s: an upload has fewer than %d files", size, asked_for, MOST_FILES)
    pick: shards.Pick = census.without_pictures if bare else (lambda rows: rows)
    shards.lay_out(fresh, files, (), schema, key=key, shard_bytes=size, pick=pick, weigh=weigh)
    return shards.split_files(fresh)


def _summed(build: Build, folder: Path, files: Mapping[str, Sequence[Path]]) -> dict[str, Shard]:
    found = {}
    every = [path for paths in files.values() for path in paths]
    for at, path in enumerate(every):
        rows = shards.read_stream(path).num_rows
        found[path.relative_to(folder).as_posix()] = Shard(rows=rows, sha256=file_sha256(path))
        if build.tick:
            build.tick("edition", at + 1, len(every))
    return found


def _made(build: Build, dataset: str, mark: Mark, found: Census) -> dict[str, Any]:
    """Return the fields of an Edition that tell how its rows were made."""
    recipe = build.settings.recipe
    return {
        "rows_in": mark.rows_in,
        "kept": mark.kept,
        "dropped": mark.dropped,
        "findings": mark.findings,
        "tables": mark.tables,
        "upstream": _upstream(build, dataset),
        "teacher": _teacher(build, dataset, mark) if DATASETS[dataset] is cot else None,
        "prompts": {name: _template(name) or asked for name, asked in sorted(found.prompts.items())},
        "picture": faces.picture_of(build, None),
        "recipe": recipe.name,
        "policy": recipe.model_dump(mode="json", exclude={"name", "picture"}),
        "flags": {name: _plain(value) for name, value in sorted(mark.flags.items())},
        "tool": {"fer-build": version("fer-build")},
    }


def _upstream(build: Build, dataset: str) -> dict[str, Counts]:
    """Return what the stages before did with their rows; the benchmark is made of the releases themselves."""
    base = _reviewed(dataset)
    before = () if DATASETS[dataset] is bench else (faces.FOLDER, base) if base else (faces.FOLDER,)
    marks = {name: read_mark(build.settings.work / name) for name in before}
    return {
        name: Counts.model_validate({"in": one.rows_in, "kept": one.kept, "dropped": one.dropped})
        for name, one in marks.items()
        if one is not None
    }


def _teacher(build: Build, dataset: str, mark: Mark) -> Teacher:
    base = _reviewed(dataset)
    made = read_mark(build.settings.work / base) if base else mark
    entry = cot.entry_of(build, made.flags.get("teacher") if made else None)
    return Teacher(
        name=entry.name, model=entry.model, baseline=entry.baseline, sampling=entry.sampling, terms=entry.terms
    )


def _template(asked: str) -> str:
    """Return the template that has this version; empty where none has it any more, or it is a published file's."""
    names = [name for name in templates() if template_version(name) == asked]
    return (TEMPLATES / f"{names[0]}{TEMPLATE}").read_text() if names else ""


def _plain(flag: str) -> str:
    """Return a flag's value without the folder of a file of the user's."""
    return Path(flag).stem if flag.endswith((".yaml", ".yml")) else flag


def _describe(folder: Path, edition: Edition) -> None:
    """Write what tells of the shards, the sums last."""
    write_text(folder / FILE, edition.as_text())
    write_text(folder / licence.FILE, licence.text(edition))
    write_text(folder / "croissant.json", croissant.text(edition))
    write_text(folder / "README.md", card.text(edition, figures.figures(folder)))
    sums.write(folder)
