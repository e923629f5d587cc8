"""Checks on what a dataset's rows are: their columns and types, how many there are, and that no two have one id."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from ferbuild.builders import shards
from ferbuild.builders.publishing.checks.folder import Folder, Found, Outcome, Shard, faces_of, merged, told
from ferbuild.builders.publishing.edition import schema_sha256
from ferbuild.builders.record import COT, FERBENCH, RLVR
from ferbuild.builders.rlvr import schema_of

SCHEMAS: Mapping[str, pa.Schema] = {"cot": COT, "rlvr": RLVR, "ferbench": FERBENCH}
IDENTITY = r"embed|descriptor|hash64|hash256|landmark|arcface|identity|biometric|age|gender|race|ethnic"
"""In the name of a column: what could tell persons apart, which leaves no machine."""


def check_schema(folder: Folder) -> Outcome:
    """Every shard has the columns of its kind, of the right types and in order, and edition.json names this schema."""
    found = []
    for shard in folder.shards():
        found += [Found(shard.name, problem, 1, column) for column, problem in _wrong(shard.table.schema, folder.kind)]
        if folder.edition and folder.edition.schema_sha256 != schema_sha256(shard.table.schema):
            found.append(Found(shard.name, "has another schema than edition.json says", 1, shard.name))
    return Outcome(merged(found))


def check_columns(folder: Folder) -> Outcome:
    """No shard has a column that its kind has not: an embedding, or whatever else was added."""
    known = set(_widest(folder.kind).names)
    found = []
    for shard in folder.shards():
        for name in shard.table.schema.names:
            if name not in known:
                identity = pc.match_substring_regex(pa.scalar(name), IDENTITY, ignore_case=True).as_py()
                problem = "may not be passed on: it can tell persons apart" if identity else "is no column of such data"
                found.append(Found(shard.name, f"{name} {problem}", shard.table.num_rows, name))
    return Outcome(merged(found))


def check_counts(folder: Folder) -> Outcome:
    """Rows in = kept + dropped, and the shards hold what the folder says it wrote, by split, shard and source."""
    here = Counter[str]()
    sources = Counter[str]()
    found = []
    for shard in folder.shards():
        here[shard.split] += shard.table.num_rows
        if folder.edition:
            said = folder.edition.shards.get(shard.name)
            if said is None or said.rows != shard.table.num_rows:
                problem = (
                    f"holds {shard.table.num_rows:,} rows where edition.json says {said.rows if said else 'nothing'}"
                )
                found.append(Found(shard.name, problem, 1, shard.name))
            sources.update(_sources(shard))
    found += _balance(folder)
    if folder.edition is None and folder.mark:
        found += _unequal("stage.json", dict(here), folder.mark.splits) + _drops(folder)
    elif folder.edition:
        found += _unequal("edition.json", dict(here), folder.edition.rows)
        found += _unequal(
            "edition.json", dict(sources), {name: one.rows for name, one in folder.edition.sources.items()}
        )
    return Outcome(found)


def check_ids(folder: Folder) -> Outcome:
    """No two rows have one id."""
    found = []
    seen = pa.array([], pa.string())
    for shard in folder.shards():
        ids = shard.table["id"].combine_chunks()
        counts = pc.value_counts(ids)
        twice = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
        wrong = pc.or_(pc.is_in(ids, pa.concat_arrays([twice, seen])), pc.is_null(ids))
        found += told(shard, wrong, "has the id of another row")
        seen = pa.concat_arrays([seen, counts.field("values")])
    return Outcome(merged(found))


def _wrong(schema: pa.Schema, kind: str) -> Iterator[tuple[str, str]]:
    """Yield the columns that are missing, of another type or out of order, and what is wrong with each."""
    widest = _widest(kind)
    for field in SCHEMAS[kind]:
        if field.name not in schema.names:
            yield field.name, f"lacks the column {field.name}"
    here = [name for name in schema.names if name in widest.names]
    for name in here:
        if schema.field(name).type != widest.field(name).type:
            yield name, f"{name} is {schema.field(name).type}, not {widest.field(name).type}"
    if here != sorted(here, key=widest.names.index):
        yield here[0], "has its columns in another order"


def _widest(kind: str) -> pa.Schema:
    """Return all columns that a dataset of a kind may have."""
    return schema_of(measured=True) if kind == "rlvr" else SCHEMAS[kind]


def _balance(folder: Folder) -> list[Found]:
    """Return what is wrong with in = kept + dropped, as the folder says it."""
    said = folder.edition or folder.mark
    if said is None or said.rows_in == said.kept + sum(said.dropped.values()):
        return []
    name = "edition.json" if folder.edition else "stage.json"
    problem = f"says in {said.rows_in:,} = kept {said.kept:,} + dropped {sum(said.dropped.values()):,}, which it is not"
    return [Found(name, problem, abs(said.rows_in - said.kept - sum(said.dropped.values())), name)]


def _unequal(name: str, here: Mapping[str, int], said: Mapping[str, int]) -> list[Found]:
    """Return the splits or sources of which a folder holds other rows than it says."""
    both = sorted({*here, *said})
    return [
        Found(name, f"says {said.get(one, 0):,} rows of {one}, of which {here.get(one, 0):,} are here", 1, one)
        for one in both
        if here.get(one, 0) != said.get(one, 0)
    ]


def _drops(folder: Folder) -> list[Found]:
    """Return the reasons of which a local folder holds other drops than it says."""
    if not (folder.path / "drops").is_dir():
        return []  # one that was filled in again from an edition has none
    here = Counter[str]()
    for table in shards.read_drops(folder.path):
        here.update(table["reason"].to_pylist())
    return _unequal("stage.json", here, folder.mark.dropped if folder.mark else {})


def _sources(shard: Shard) -> Counter[str]:
    """Return how many rows of a shard show a picture of each source."""
    faces = faces_of(shard.table)
    pairs = pa.table({"row": faces.row, "source": faces["source"]}).group_by(["row", "source"]).aggregate([])
    return Counter(pairs["source"].to_pylist())
