"""Copies of datasets, broken in one way each and otherwise whole: what tests of `fer-build verify` look at."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from ferbuild.builders import card, shards
from ferbuild.builders.files import file_sha256, write_text
from ferbuild.builders.mark import read_mark
from ferbuild.builders.publishing import census, edition, making
from ferbuild.builders.publishing.edition import Shard, schema_sha256

Rows = list[dict[str, Any]]


def first_shard(folder: Path) -> Path:
    return next(path for paths in shards.split_files(folder).values() for path in paths)


def rewrite(folder: Path, change: Callable[[Rows], Any], *, more: pa.Field | None = None, less: str = "") -> None:
    """Change the rows of the first shard, or its columns, and have all that tells of them tell the same."""
    path = first_shard(folder)
    table = shards.read_stream(path)
    schema = table.schema.remove_metadata()
    rows = table.to_pylist()
    change(rows)
    fields = [field for field in schema if field.name != less]
    schema = pa.schema([*fields, more] if more else fields)
    shards.write_stream(path, [pa.Table.from_pylist(rows, schema=schema)], schema)
    seal(folder, schema)


def seal(folder: Path, schema: pa.Schema | None = None, **changes: Any) -> None:
    """Write anew what tells of the shards; `changes` go into edition.json or stage.json."""
    schema = schema or shards.read_stream(first_shard(folder)).schema.remove_metadata()
    files = shards.split_files(folder)
    key = (edition.read(folder) if (folder / edition.FILE).exists() else read_mark(folder)).key
    shards.seal(folder, {split: [path.name for path in paths] for split, paths in files.items()}, schema, key)
    seal_edition(folder, schema, changes) if (folder / edition.FILE).exists() else seal_local(folder, schema, changes)


def seal_edition(folder: Path, schema: pa.Schema, changes: dict[str, Any]) -> None:
    said = edition.read(folder)
    paths = [path for some in shards.split_files(folder).values() for path in some]
    sums = {
        path.relative_to(folder).as_posix(): Shard(rows=shards.read_stream(path).num_rows, sha256=file_sha256(path))
        for path in paths
    }
    seen = census.count(shards.split_files(folder)).sources
    sources = {
        name: one.model_copy(update={"rows": seen[name].rows}) for name, one in said.sources.items() if name in seen
    }
    found = {"shards": sums, "sources": sources, "schema_sha256": schema_sha256(schema)} | changes
    making._describe(folder, said.model_copy(update=found))


def seal_local(folder: Path, schema: pa.Schema, changes: dict[str, Any]) -> None:
    said = json.loads((folder / "stage.json").read_text()) | changes
    write_text(folder / "stage.json", json.dumps(said))
    mark = read_mark(folder)
    about, terms = (folder / "README.md").read_text().split("\n---\n", 1)[1].strip().split("\n\n")[1:3]
    page = card.page(mark.report(folder), schema, mark.key, name=mark.out, about=about, terms=terms)
    write_text(folder / "README.md", page)
