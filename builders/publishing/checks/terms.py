"""Checks on licences and the benchmark: what a source allows is known and kept, and no test picture is trained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from ferbuild.builders import bench, faces, shards
from ferbuild.builders.duplicates import SHOWN
from ferbuild.builders.mark import read_mark
from ferbuild.builders.publishing import gate
from ferbuild.builders.publishing.census import Census
from ferbuild.builders.publishing.checks.folder import Faces, Folder, Found, Outcome, Shard, faces_of, merged, told
from ferbuild.builders.publishing.edition import FILE, Terms


def terms_here(folder: Folder) -> tuple[dict[str, Terms], list[str]]:
    """Return what each source of the rows allows, and the sources of which only the edition itself tells.

    This machine's manifests count, whatever an edition says of itself.
    """
    known = {name: one for name, one in folder.seen.sources.items() if name in folder.around.sources}
    found = gate.terms_of(Census(sources=known), folder.around.sources)
    said = folder.edition.sources if folder.edition else {}
    foreign = sorted(set(said) - set(found))
    return found | {name: said[name] for name in foreign}, foreign


def check_licences(folder: Folder) -> Outcome:
    """The licence of every source is known; an edition states it, and keeps to what it says of labels and baselines."""
    seen = folder.seen
    terms, foreign = terms_here(folder)
    unknown = sorted(name for name in seen.sources if name not in terms or not terms[name].licence.strip())
    found = [Found("", f"the licence of {name} is not known", seen.sources[name].rows, name) for name in unknown]
    if folder.edition is None:
        return Outcome(found)
    for name in sorted(set(seen.sources) - set(unknown)):
        found += _misstated(folder, name, terms[name], seen.sources[name].rows)
    if seen.baseline and not folder.edition.baseline:
        found.append(Found(FILE, "does not tell that the text is the geometry baseline's", 1, FILE))
    note = f"of {', '.join(foreign)} the terms are the edition's own words: no manifest is here" if foreign else ""
    return Outcome(found, note)


def check_contamination(folder: Folder) -> Outcome:
    """No training row shows a benchmark's picture (promise 4)."""
    if folder.kind == "ferbench":
        return Outcome(done=False, note="this is the benchmark")
    marks = {(name, one.benchmark.split) for name, one in folder.around.sources.items() if one.benchmark}
    known, note = _known_to_be(folder)
    found = []
    for shard in folder.shards():
        of = faces_of(shard.table)
        pairs = pc.binary_join_element_wise(of["source"], of["split"], "/")
        closed = pc.is_in(pairs, pa.array([f"{name}/{split}" for name, split in sorted(marks)], pa.string()))
        found += _told(shard, of, closed, "shows a picture of a benchmark's split")
        for name, problem in _SAME.items():
            found += _told(shard, of, pc.is_in(of[name], known[name]), problem)
    return Outcome(merged(found), note)


_SAME = {
    "sha256": "shows a file that the benchmark has",
    "pixel_hash": "shows the pixels of a picture that the benchmark has",
    "id": "shows a face that the faces stage found in the benchmark",
}
"""Provenance field to what it means that the benchmark knows its value."""


def _told(shard: Shard, faces: Faces, wrong: pa.Array, problem: str) -> list[Found]:
    return told(shard, faces.rows_where(wrong, shard.table.num_rows), problem)


def _misstated(folder: Folder, name: str, terms: Terms, rows: int) -> Iterator[Found]:
    """Yield what an edition says of a source's terms that this machine's manifest does not, and what these forbid."""
    edition = folder.edition
    said = edition.sources.get(name) if edition else None
    if edition is None or said is None:
        yield Found(FILE, f"states no terms for {name}", rows, name)
        return
    if (said.licence, said.terms, said.images, said.labels) != (terms.licence, terms.terms, terms.images, terms.labels):
        yield Found(FILE, f"states other terms for {name} than its manifest", rows, name)
    if terms.labels == "closed":
        yield Found(FILE, f"passes on labels of {name}, which its terms forbid", rows, name)
    if terms.labels == "unsettled" and name not in edition.checked:
        yield Found(FILE, f"passes on labels of {name}, for which nobody answers (--i-have-checked {name})", rows, name)


def _known_to_be(folder: Folder) -> tuple[Mapping[str, pa.Array], str]:
    """Return what is known of benchmark pictures by provenance field, and what could not be asked."""
    nothing = {name: pa.array([], pa.string()) for name in _SAME}
    around = folder.around
    if around.keeps_contaminated:
        return nothing, "the recipe keeps what a benchmark shows: only its splits are looked for"
    if around.work is None:
        return nothing, "no work folder is here to hold it against: only benchmark splits are looked for"
    hashes = _of_benchmark(around.work / bench.FOLDER) if read_mark(around.work / bench.FOLDER) else None
    dropped = _dropped(around.work / faces.FOLDER) if read_mark(around.work / faces.FOLDER) else None
    lacking = [name for name, one in ((bench.FOLDER, hashes), (faces.FOLDER, dropped)) if one is None]
    note = f"{' and '.join(lacking)}: not built here, so not held against it" if lacking else ""
    return nothing | (hashes or {}) | ({"id": dropped} if dropped is not None else {}), note


def _of_benchmark(folder: Path) -> dict[str, pa.Array]:
    """Return the file and pixel hashes of a benchmark's pictures."""
    found: dict[str, list[pa.Array]] = {"sha256": [], "pixel_hash": []}
    for paths in shards.split_files(folder).values():
        for path in paths:
            of = faces_of(shards.read_stream(path))
            for name, values in found.items():
                values.append(of[name].drop_null())
    return {name: pa.concat_arrays([pa.array([], pa.string()), *values]) for name, values in found.items()}


def _dropped(folder: Path) -> pa.Array:
    """Return the ids of the faces that were dropped since a benchmark shows them, near duplicates too."""
    ids = [pa.array([], pa.string())]
    for table in shards.read_drops(folder):
        ids += table.filter(pc.starts_with(table["reason"], SHOWN))["id"].chunks
    return pa.concat_arrays(ids)
