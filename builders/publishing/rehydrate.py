"""An edition gets its pictures back, from the user's own releases: the way of a published row home.

Every shard of the local dataset is written again from the edition's rows and held against the sum that edition.json
tells: the same bytes, or a fault that is named. A shard that is right is kept by the next run.
"""

from __future__ import annotations

import csv
import io
import os
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from ferbuild.builders import card, placing, pool, shards
from ferbuild.builders.config import Settings
from ferbuild.builders.errors import FerError
from ferbuild.builders.files import file_sha256, write_text
from ferbuild.builders.images import PictureError
from ferbuild.builders.mark import Report, write_mark
from ferbuild.builders.publishing import locate
from ferbuild.builders.publishing.edition import Edition, Shard, read, schema_sha256
from ferbuild.builders.publishing.locate import Places
from ferbuild.builders.publishing.making import COMMANDS, DATASETS
from ferbuild.builders.publishing.remake import image_of
from ferbuild.builders.record import IMAGE, PROVENANCE, Row
from ferbuild.manifests.recipe import Picture

FOLDER = "rehydrated"
"""Of the work folder: where a rehydrated dataset goes if nobody says otherwise."""
MARK = "stage.json"
SOUGHT = (locate.MISSING, locate.OTHER)
"""Why a picture is looked for by its hash."""
FAULTS = "missing.csv"

Tick = Callable[[str, int, int], None]


class Fault(NamedTuple):
    """A picture that could not be filled in."""

    id: str
    """Of the row."""
    source: str
    rel_path: str
    sha256: str
    reason: str
    detail: str


class Task(NamedTuple):
    """One shard to be written."""

    name: str
    pieces: Sequence[shards.Slice]
    wanted: Shard


class Done(NamedTuple):
    """One shard that was written."""

    name: str
    filled: int
    """Pictures."""
    faults: Sequence[Fault]
    equal: bool
    """The bytes are those of the local dataset."""


class Rehydrated(NamedTuple):
    out: Path
    edition: Edition
    shards: Sequence[str]
    """In the dataset's order."""
    filled: int
    """Pictures that this run filled in."""
    faults: Sequence[Fault]
    differing: Sequence[str]
    """Shards that have all pictures, and other bytes than the local dataset's."""

    @property
    def reasons(self) -> dict[str, int]:
        return dict(sorted(Counter(one.reason for one in self.faults).items()))


def rehydrate(settings: Settings, folder: Path, out: Path | None = None, tick: Tick | None = None) -> Rehydrated:
    """Write the local dataset of the edition in `folder` to `out`, by default below the work folder.

    FerError, and nothing written, where the edition is damaged. Rows whose pictures are not found keep a null there,
    and are listed in missing.csv.
    """
    edition = read(folder)
    out = out or settings.work / FOLDER / edition.dataset
    schema = _check(folder, edition)
    places = Places(locate.bases_of(r for r in settings.releases if r.source.name in edition.sources))
    tasks = _tasks(folder, edition)
    fresh = _fresh(out)
    done = {task.name: Done(task.name, 0, (), equal=True) for task in tasks if _kept(task, fresh, out)}
    write = partial(_write, fresh=fresh, schema=schema, policy=edition.picture)
    run = partial(_run, workers=settings.workers, tick=tick, every=len(tasks))
    run([task for task in tasks if task.name not in done], partial(write, places=places), done)
    if lost := frozenset(one.sha256 for some in done.values() for one in some.faults if one.reason in SOUGHT):
        roots = dict.fromkeys(base for bases in places.bases.values() for base in bases[-1:])
        if elsewhere := locate.search([*roots], lost, workers=settings.workers):
            again = partial(write, places=places._replace(elsewhere=elsewhere))
            run([task for task in tasks if done[task.name].faults], again, done)
    result = _result(out, edition, [done[task.name] for task in tasks])
    _finish(fresh, result, schema)
    placing.put(out, MARK)
    return result


def _check(folder: Path, edition: Edition) -> pa.Schema:
    """Return the schema of the rows; FerError where a shard is not the one that edition.json tells of."""
    hint = "download it again, or build it again with `fer-build publish`"
    for name, shard in edition.shards.items():
        if file_sha256(folder / name) != shard.sha256:
            raise FerError(folder / name, "is not the shard that edition.json tells of: its sha256 is another", hint)
    if not edition.shards or edition.dataset not in DATASETS:
        raise FerError(folder, f"is an edition of {edition.dataset!r}, which fer-build does not know", hint)
    schema = shards.read_stream(folder / next(iter(edition.shards))).schema.remove_metadata()
    if schema_sha256(schema) != edition.schema_sha256:
        raise FerError(folder, "its columns are not those that edition.json tells of", hint)
    for name, kind in (("id", pa.string()), ("images", pa.list_(IMAGE)), ("faces", PROVENANCE)):
        if name not in schema.names or schema.field(name).type != kind:
            raise FerError(folder, f"its rows have no column `{name}` as fer-build writes it", hint)
    return schema


def _tasks(folder: Path, edition: Edition) -> list[Task]:
    """Share the edition's record batches out among the shards of the local dataset."""
    tasks = []
    for split in _splits(folder, edition):
        files = [folder / name for name in sorted(edition.shards) if name.startswith(f"{split}/")]
        local = {name: edition.local[name] for name in sorted(edition.local) if name.startswith(f"{split}/")}
        shares = shards.cut_to(files, [shard.rows for shard in local.values()])
        tasks += [Task(name, share, local[name]) for name, share in zip(local, shares, strict=True)]
    return tasks


def _splits(folder: Path, edition: Edition) -> list[str]:
    """Return the splits in the dataset's own order, which edition.json, sorted by name, does not tell."""
    found = list(shards.split_files(folder))
    if sorted(found) != sorted(edition.rows):
        raise FerError(folder / "dataset_dict.json", "names other splits than edition.json", "download it again")
    return found


def _fresh(out: Path) -> Path:
    """Return the folder in which `out` is written; what a killed run finished there is kept."""
    placing.refuse_foreign(out, MARK)
    fresh = placing.beside(out, "new")
    (fresh / MARK).unlink(missing_ok=True)
    return fresh


def _kept(task: Task, fresh: Path, out: Path) -> bool:
    """Tell whether a shard is there already, from an earlier run; one that stands in `out` is taken over."""
    for path in (fresh / task.name, out / task.name):
        if path.is_file() and file_sha256(path) == task.wanted.sha256:
            if path.parent.parent == out:
                _take(path, fresh / task.name)
            return True
    return False


def _take(path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    to.unlink(missing_ok=True)
    try:
        os.link(path, to)
    except OSError:  # a file system without links
        shutil.copyfile(path, to)


def _run(
    tasks: Sequence[Task],
    work: Callable[[Task], Done],
    done: dict[str, Done],
    *,
    workers: int,
    tick: Tick | None,
    every: int,
) -> None:
    for one in pool.each(work, tasks, workers=workers, stage="rehydrate"):
        done[one.name] = one
        if tick:
            tick("rehydrate", sum(not other.faults for other in done.values()), every)


def _write(task: Task, *, fresh: Path, schema: pa.Schema, policy: Picture, places: Places) -> Done:
    """Write one shard with the pictures that are found."""
    faults: list[Fault] = []
    filled = Counter[str]()
    path = fresh / task.name
    rows = (_filled(table, places, policy, faults, filled) for table in shards.read_slices(task.pieces))
    shards.write_stream(path, rows, schema)
    return Done(task.name, filled.total(), faults, file_sha256(path) == task.wanted.sha256)


def _filled(table: pa.Table, places: Places, policy: Picture, faults: list[Fault], filled: Counter[str]) -> pa.Table:
    """Return the rows with their pictures; what is lacking is added to `faults`, and the row's `images` stay null."""
    if not table["images"].null_count:
        return table
    column = []
    for row in table.select(["id", "images", "faces"]).to_pylist():
        faces = row["faces"] or []
        if row["images"] is None and faces and all(face["sha256"] for face in faces):
            row["images"] = _images(row["id"], faces, places, policy, faults)
            filled[row["id"]] += len(row["images"] or ())
        column.append(row["images"])
    at = table.schema.get_field_index("images")
    return table.set_column(at, table.schema.field(at), pa.array(column, table.schema.field(at).type))


def _images(
    row: str, faces: Sequence[Row], places: Places, policy: Picture, faults: list[Fault]
) -> list[dict[str, Any]] | None:
    """Return the pictures of a row, None where one of them is lacking."""
    found = []
    for face in faces:
        try:
            found.append(image_of(face, locate.file_of(face, places), policy))
        except PictureError as err:
            faults.append(Fault(row, face["source"], face["rel_path"], face["sha256"], err.reason, err.detail))
    return found if len(found) == len(faces) else None


def _result(out: Path, edition: Edition, done: Sequence[Done]) -> Rehydrated:
    faults = [fault for one in done for fault in one.faults]
    differing = [one.name for one in done if not one.equal and not one.faults]
    return Rehydrated(out, edition, [one.name for one in done], sum(one.filled for one in done), faults, differing)


def _finish(fresh: Path, result: Rehydrated, schema: pa.Schema) -> None:
    """Write what makes the shards a dataset, the mark last; files of an earlier try that do not belong are removed."""
    edition = result.edition
    for path in [path for path in fresh.rglob("*") if path.is_file()]:
        if path.relative_to(fresh).as_posix() not in edition.local:
            path.unlink()
    names: dict[str, list[str]] = {}
    for name in result.shards:
        names.setdefault(name.partition("/")[0], []).append(name.partition("/")[2])
    shards.seal(fresh, names, schema, edition.key)
    if result.faults:
        write_text(fresh / FAULTS, _csv(result.faults))
    module = DATASETS[edition.dataset]
    report = Report(
        stage=COMMANDS[module],
        rows_in=edition.rows_in,
        kept=edition.kept,
        dropped=edition.dropped,
        out=fresh.with_name(edition.dataset),
        splits={split: edition.rows[split] for split in names},
        findings=edition.findings,
        tables=edition.tables,
        complete=not result.faults and not result.differing,
    )
    about = f"{module.ABOUT} Filled in again from the published edition."
    write_text(fresh / "README.md", card.page(report, schema, edition.key, name=edition.dataset, about=about))
    write_mark(fresh, report, edition.key, edition.flags)


def _csv(faults: Sequence[Fault]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Fault._fields)
    writer.writerows(faults)
    return text.getvalue()
