"""Which kept faces show the same photograph, and which of them stay: decided once all faces of a build are hashed.

On the way of a face this ends the faces stage. Equal files, equal pixels and near duplicates that were verified
(`near`) form groups; a benchmark's rows are never thinned, and training rows that a benchmark shows too leave the way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from ferbuild.builders import groups, known_faces
from ferbuild.builders.alike import NO_PAIRS, contaminated, nothing_more, search, verifier, where
from ferbuild.builders.build import Build
from ferbuild.builders.groups import Verify
from ferbuild.builders.known_faces import Faces
from ferbuild.builders.near import Bools, Ints, Pairs
from ferbuild.builders.record import DROPS
from ferbuild.builders.stage import Settled
from ferbuild.manifests.recipe import Duplicates

EXACT, NEAR, DISAGREE, SHOWN = "duplicate", "near duplicate", "labels disagree", "contaminates:ferbench/"
"""Drop reasons; the last one ends with the name of the benchmark's set."""


class Verdict(NamedTuple):
    """What becomes of every row."""

    reason: pl.Series
    """Null: it stays."""
    other: Ints
    """The row because of which it goes, or which stands for it."""
    stands: Ints
    """The row that stands for its group: itself where it is alone."""


def settle(kept: Mapping[str, Sequence[Path]], *, build: Build) -> Settled:
    """Return what becomes of the kept faces of a build (split to streams), by its recipe."""
    settings, policy = build.settings, build.settings.recipe.duplicates
    files = known_faces.in_order(kept)
    faces = known_faces.read(files, known_faces.sets_of(settings), settings.recipe.picture.max_pixels)
    if policy.search == "near":
        build.began("duplicates")
        pairs = search(
            faces,
            workers=settings.workers,
            tick=lambda done, total: build.tick("duplicates", done, total) if build.tick else None,
        )
        found = decide(faces, pairs, policy, verifier(faces))
    else:
        found = decide(faces, NO_PAIRS, policy, nothing_more)
    return Settled(picking(faces, found), drops(faces, found, files))


def decide(faces: Faces, pairs: Pairs, policy: Duplicates, verify: Verify) -> Verdict:
    """Return who stays. Training rows and a benchmark's never form a group: what both show is contaminated."""
    own = np.arange(len(faces))
    if policy.search == "none":
        return Verdict(pl.Series([None] * len(faces), dtype=pl.String), own, own)
    shown = contaminated(faces, pairs, verify) if policy.contaminated == "drop" else np.full(len(faces), -1)
    stands = grouped(faces, pairs, shown < 0, verify)
    return _judged(faces, shown, stands, policy)


def grouped(faces: Faces, pairs: Pairs, free: Bools, verify: Verify) -> Ints:
    """Return, for every row, the row that stands for it. Only rows that are `free` (n) form groups."""
    pairs = _joined(where(pairs, pairs.settled), _cut_from(faces))
    alike = free[pairs.i] & free[pairs.j] & (faces.training[pairs.i] == faces.training[pairs.j])
    count = len(faces)
    stands = groups.group(count, where(pairs, alike), np.arange(count), verify)
    return np.asarray(stands[faces.classes])


def _cut_from(faces: Faces) -> Pairs:
    """Return pairs of a whole picture and a face that another row cuts out of the same file."""
    whole = faces.first("same_file", faces.rows["whole"].to_numpy(), across=False)
    rows = np.flatnonzero(whole >= 0)
    one, other = faces.classes[whole[rows]], faces.classes[rows]
    i, j = np.minimum(one, other), np.maximum(one, other)
    i, j = np.unique(np.stack([i, j])[:, i != j], axis=1)
    no, yes = np.zeros(len(i), np.bool_), np.ones(len(i), np.bool_)
    return Pairs(i, j, no, np.ones(len(i), np.float32), settled=yes, candidates=0, cut=0)


def _joined(one: Pairs, other: Pairs) -> Pairs:
    return one._replace(
        i=np.concatenate([one.i, other.i]),
        j=np.concatenate([one.j, other.j]),
        mirrored=np.concatenate([one.mirrored, other.mirrored]),
        score=np.concatenate([one.score, other.score]),
        settled=np.concatenate([one.settled, other.settled]),
    )


def _judged(faces: Faces, shown: Ints, stands: Ints, policy: Duplicates) -> Verdict:
    """Return what becomes of every row, given the benchmark row that shows it (-1: none does) and its group."""
    own, labels = np.arange(len(faces)), faces.rows["canonical"].to_physical().to_numpy()
    against = _disagreeing(labels, stands, faces.training & (shown < 0))
    apart, first, agrees = against >= 0, stands == own, labels == labels[stands]
    same_file = faces.rows["same_file"].fill_null(0).to_numpy()
    exact = (faces.classes == faces.classes[stands]) | (same_file == same_file[stands])
    goes = ~first & faces.training & np.where(apart, policy.disagreeing != "all", policy.same == "drop")
    if policy.disagreeing == "none":
        goes |= apart
    reasons = np.full(len(faces), None, object)
    reasons[goes] = np.where(exact, EXACT, NEAR)[goes]
    reasons[goes & apart & (~agrees | (policy.disagreeing == "none"))] = DISAGREE
    marked = np.flatnonzero(shown >= 0)
    reasons[marked] = [f"{SHOWN}{name}" for name in faces.rows["set"].gather(shown[marked]).to_list()]
    other = np.where(shown >= 0, shown, stands)
    if policy.disagreeing == "none":
        other = np.where(apart, against, other)
    return Verdict(pl.Series(reasons.tolist(), dtype=pl.String), other, stands)


def _disagreeing(labels: npt.NDArray[np.uint32], stands: Ints, free: Bools) -> Ints:
    """Return, for every row of a group in which labels differ, the first row with another label; -1 for all others."""
    rows = np.flatnonzero(free)
    frame = pl.DataFrame({"group": stands[rows], "label": labels[rows], "row": rows})
    firsts = frame.group_by("group", "label").agg(pl.min("row")).sort("row")
    two = firsts.group_by("group", maintain_order=True).agg(
        most=pl.first("label"), one=pl.col("row").get(0), two=pl.col("row").get(1, null_on_oob=True)
    )
    found = frame.join(two.drop_nulls("two"), on="group")
    out = np.full(len(stands), -1)
    other = pl.when(pl.col("label") == pl.col("most")).then("two").otherwise("one")
    out[found["row"].to_numpy()] = found.select(other).to_series().to_numpy()
    return out


def drops(faces: Faces, found: Verdict, files: Sequence[Path]) -> pa.Table:
    """Return the rows that go, in the order of the streams."""
    ids = faces.rows["id"]
    gone = faces.rows.select("file", "at", reason=found.reason, other=ids.gather(found.other))
    gone = gone.filter(pl.col("reason").is_not_null()).sort("file", "at")
    said = known_faces.look_up(files, gone, DROPS.names[:5])
    said = said.with_columns(gone["reason"], detail=pl.Series(as_ids(gone["other"]), dtype=pl.String))
    return said.to_arrow().cast(DROPS)


@dataclass(frozen=True, slots=True)
class Picking:
    """Leaves out the rows that go, and writes the group into those that stay."""

    keys: npt.NDArray[np.uint64]
    """The ids as numbers, ascending."""
    gone: Bools
    groups: npt.NDArray[np.uint64]

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Return the rows that stay."""
        at = np.searchsorted(self.keys, as_keys(rows["id"].to_pylist()))
        index = rows.schema.get_field_index("group_id")
        rows = rows.set_column(index, "group_id", pa.array(as_ids(self.groups[at]), pa.string()))
        gone = self.gone[at]
        return rows.filter(pa.array(~gone)) if gone.any() else rows


def picking(faces: Faces, found: Verdict) -> Picking:
    """Return what lays out the rows as they were judged."""
    ids = faces.rows["id"].to_numpy()
    order = np.argsort(ids)
    return Picking(ids[order], found.reason.is_not_null().to_numpy()[order], ids[found.stands[order]])


def as_keys(ids: Sequence[str]) -> npt.NDArray[np.uint64]:
    """Return face ids, 16 hex digits, as numbers."""
    return np.array([int(one, 16) for one in ids], np.uint64)


def as_ids(keys: Iterable[int]) -> list[str]:
    """Return numbers as face ids."""
    return [f"{key:016x}" for key in keys]
