"""Checks on the pictures of a dataset: that they are those of the provenance, and that none leaves that may not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ferbuild.builders import images, jpeg, pool
from ferbuild.builders.publishing.checks.folder import Folder, Found, Outcome, faces_of, merged, told
from ferbuild.builders.publishing.checks.terms import terms_here
from ferbuild.builders.shards import Slice

DECODED_ROWS = 500
"""Rows whose pictures a process decodes in one go."""
FEW_ROWS = 1_500
"""Rows up to which starting processes takes longer than decoding."""


def check_closed_pictures(folder: Folder) -> Outcome:
    """No picture of an edition is of a source whose terms forbid to pass pictures on (promise 3)."""
    if folder.edition is None:
        return Outcome(done=False, note="a local dataset may hold any picture; it stays on this machine")
    terms, _ = terms_here(folder)
    closed = pa.array(sorted(name for name, one in terms.items() if one.images == "closed"), pa.string())
    found = []
    for shard in folder.shards():
        there = _has_pictures(shard.table["images"])
        if folder.edition.images == "none":
            found += told(shard, there, "holds a picture, in an edition without pictures")
            continue
        faces = faces_of(shard.table)
        wrong = faces.rows_where(pc.is_in(faces["source"], closed), shard.table.num_rows)
        found += told(shard, pc.and_(wrong, there), "holds a picture of a source that forbids to pass it on")
    return Outcome(merged(found))


def check_pixels(folder: Folder) -> Outcome:
    """Every picture that is there decodes, and is the one that the provenance names, as far as it can be told.

    `pixel_hash` is of the pixels before a face that was cut out is stored. A JPEG of it has others, and so has a
    picture that was enlarged: of the first the size is held against the crop, of the second nothing.
    """
    pieces = [
        Slice(shard.path, shard.split, start, min(DECODED_ROWS, shard.table.num_rows - start))
        for shard in folder.shards()
        if pc.any(_has_pictures(shard.table["images"])).as_py()
        for start in range(0, shard.table.num_rows, DECODED_ROWS)
    ]
    rows = sum(piece.rows for piece in pieces)
    if not rows:
        return Outcome(done=False, note="no picture is here")
    enlarged = bool(folder.picture.enlarge_to)
    call = partial(_look, max_pixels=folder.picture.max_pixels, enlarged=enlarged)
    workers = folder.around.workers if rows > FEW_ROWS else 1
    looks = list[Looked]()
    for looked in pool.each(call, pieces, workers=workers, stage="verify pixels"):
        looks.append(looked)
        if folder.around.tick:
            folder.around.tick("verify pixels", sum(one.rows for one in looks), rows)
    looks.sort(key=lambda one: (one.name, one.start))
    return Outcome(merged([one for looked in looks for one in looked.found]), _note(looks, enlarged))


class Looked(NamedTuple):
    """What came of decoding some rows' pictures."""

    name: str
    start: int
    rows: int
    unlike: int
    """Pictures that were stored with other pixels than the hash is of."""
    found: Sequence[Found]


def _note(looks: Sequence[Looked], enlarged: bool) -> str:
    if enlarged:
        return "pictures were enlarged: they decode, and are not held against the hashes"
    unlike = sum(one.unlike for one in looks)
    return (
        f"{unlike:,} faces were stored as JPEG after the hash was taken: only their size is checked" if unlike else ""
    )


def _look(piece: Slice, *, max_pixels: int, enlarged: bool) -> Looked:
    name = f"{piece.split}/{piece.path.name}"
    table = piece.read().select(["id", "images", "faces"])
    found, unlike = list[Found](), 0
    for row, here, faces in zip(*(column.to_pylist() for column in table.columns), strict=True):
        if here is None:
            continue
        if len(here) != len(faces or []):
            found.append(Found(name, "has another number of pictures than its provenance names", 1, row))
            continue
        for image, face in zip(here, faces, strict=True):
            lossy = _is_lossy(image, face)
            unlike += lossy
            if problem := _problem(image, face, max_pixels, compare=not (lossy or enlarged), measure=not enlarged):
                found.append(Found(name, problem, 1, row))
    return Looked(name, piece.start, piece.rows, unlike, merged(found))


def _is_lossy(image: Mapping[str, Any] | None, face: Mapping[str, Any]) -> bool:
    """Tell whether a face was cut out and stored in a format that changes its pixels."""
    cut = face["crop"] is not None or face["aligned"] is not None
    return cut and image is not None and (image["bytes"] or b"").startswith(jpeg.MAGIC)


def _problem(
    image: Mapping[str, Any] | None, face: Mapping[str, Any], max_pixels: int, *, compare: bool, measure: bool
) -> str:
    """Return what is wrong with a picture; empty where nothing is."""
    if image is None or not image["bytes"]:
        return "names a picture without its bytes"
    try:
        pixels = images.decode(image["bytes"], max_pixels=max_pixels)
    except images.PictureError as err:
        return f"has a picture that cannot be decoded: {err.reason}"
    if compare:
        same = images.pixel_hash(pixels) == face["pixel_hash"]
        return "" if same else "has a picture with other pixels than its provenance names"
    if measure and face["aligned"] is None:
        x0, y0, x1, y1 = face["crop"]
        return "" if pixels.shape[:2] == (y1 - y0, x1 - x0) else "has a picture of another size than its crop"
    return ""


def _has_pictures(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return of every row whether it holds a picture; no byte of one is read."""
    return pc.greater(pc.fill_null(pc.list_value_length(column), 0), 0)
