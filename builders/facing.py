"""Listed rows become faces: opened, cut out, checked and hashed, in one table that loses no row.

The heart of the faces stage: `face_table` is what an engine runs, on this machine or on many. What cannot be used
carries the reason, and the stage decides what becomes of it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from ferbuild.builders import hashing, images
from ferbuild.builders.files import must_see
from ferbuild.builders.framing import frame, grown, placed
from ferbuild.builders.images import Pixels
from ferbuild.builders.looking import FAILED, NOTHING, Look, Seen, look
from ferbuild.builders.record import DROPS, FACES, Batch, Row
from ferbuild.builders.sources.plain import TooLargeError
from ferbuild.builders.sources.tree import read_picture
from ferbuild.filters import bind, face
from ferbuild.manifests.recipe import Picture
from ferbuild.manifests.schema import Crop

FACED = pa.schema([*FACES, ("reason", pa.string()), ("detail", pa.string())])
"""FACES, and why a row cannot be used: null where it can."""

_NAMES = tuple(FACES.names)
"""Arrow makes a new list of them each time it is asked."""

LOT_PIXELS = 1 << 20
"""Pixels in memory before they are hashed: the processor's cache still holds them then, however large a picture is."""


class Facing(NamedTuple):
    """How the pictures of a release become faces; cheap to send to another process."""

    base: Path
    crop: Crop
    picture: Picture
    checks: tuple[bind.Spec, ...] = ()
    """Of `filters.face`."""
    look: Look | None = None
    """What looks for faces; None where nothing asks for it: then nothing is aligned or cut out by a detector."""


class Made(NamedTuple):
    """A face and its pixels."""

    row: dict[str, Any]
    """FACES, but for what `summed` adds, and the hashes."""
    data: bytes
    """The picture file, as it is."""
    pixels: Pixels
    fault: tuple[str, str] | None = None
    """Why it cannot be used though there is a picture: the reason, and a detail."""


class Listed(NamedTuple):
    """Some listed rows of one release."""

    rows: pa.Table
    how: Facing
    benchmark: str | None
    """The split that belongs to FERBench: a row of it is kept whatever its picture is like."""


def face_batch(job: Listed) -> Batch:
    """Open every picture of a job, and part what may be kept from what may not."""
    must_see(job.how.base)
    faced = face_table(job.rows, job.how)
    safe = pc.equal(faced["split"], job.benchmark or "")
    lost = pc.and_not(pc.is_valid(faced["reason"]), safe)
    kept, gone = faced.filter(pc.invert(lost)), faced.filter(lost)
    found = Counter(finding for some in kept["findings"].to_pylist() for finding in some or ())
    return Batch(by_split(kept.select(FACES.names)), drops_of(gone), dict(sorted(found.items())))


def face_table(rows: pa.Table, how: Facing) -> pa.Table:
    """Return a FACED row for every LISTED row, in the same order."""
    checks = bind.bind(face, how.checks)
    faced = [row for lot in _lots(rows, how) for row in _hashed(lot, checks)]
    return pa.Table.from_pylist(faced, schema=FACED)


def _lots(rows: pa.Table, how: Facing) -> Iterator[list[tuple[Row, Made | images.PictureError]]]:
    """Yield opened rows, few enough at a time for their pixels to stay at hand until they are hashed."""
    lot, pixels = list[tuple[Row, Made | images.PictureError]](), 0
    for row in rows.to_pylist():
        one = _made(row, how)
        lot.append((row, one))
        pixels += one.pixels.size // 3 if isinstance(one, Made) else 0
        if pixels >= LOT_PIXELS:
            yield lot
            lot, pixels = [], 0
    yield lot


def _hashed(lot: Sequence[tuple[Row, Made | images.PictureError]], checks: Sequence[bind.Named]) -> Iterator[Row]:
    made = [one for _, one in lot if isinstance(one, Made)]
    rows, hashes = summed(made), hashing.hash_many([one.pixels for one in made])
    at = 0
    for row, one in lot:
        if isinstance(one, images.PictureError):
            yield pictureless(row) | {"findings": [one.reason], "reason": one.reason, "detail": one.detail}
            continue
        hashed = {
            "hash64": int(hashes.hash64[at]),
            "hash256": hashes.hash256[at].tobytes(),
            "descriptor": hashes.descriptor[at].tobytes(),
        }
        yield rows[at] | hashed | _judged(one, checks)
        at += 1


def summed(made: Sequence[Made]) -> list[dict[str, Any]]:
    """Return the rows of faces with the hashes of their files and of their pixels.

    One sort after the other: in turns, picture by picture, each throws the other and the decoder out of the processor.
    """
    files = [hashlib.sha256(one.data).hexdigest() for one in made]
    pixels = [images.pixel_hash(one.pixels) for one in made]
    return [
        one.row | {"sha256": file, "pixel_hash": pixel} for one, file, pixel in zip(made, files, pixels, strict=True)
    ]


def _judged(one: Made, checks: Sequence[bind.Named]) -> dict[str, Any]:
    """Return what is wrong with a face: all of it, and the first as the reason."""
    failures = [failure.reason for failure in bind.failing(checks, one.row | {"pixels": one.pixels})]
    reasons = list(dict.fromkeys([one.fault[0], *failures] if one.fault else failures))
    detail = one.fault[1] if one.fault else None
    return {"findings": reasons, "reason": reasons[0] if reasons else None, "detail": detail}


def _made(row: Row, how: Facing) -> Made | images.PictureError:
    try:
        return make_face(row, how)
    except images.PictureError as err:
        return err


def make_face(row: Row, how: Facing) -> Made:
    """Return the face of a listed row, without hashes. Raises images.PictureError."""
    data = open_picture(row, how.base)
    pixels, whole = decoded(data, how.picture)
    box = row["box"] if how.crop == "box" else None
    seen = look(pixels, box, how.look) if how.look else NOTHING
    if how.crop == "detect" and seen.face:
        box = grown(seen.face, how.picture.margin)
    elif box is None and not whole:  # its own bytes would fail whoever opens them
        box = (0, 0, pixels.shape[1], pixels.shape[0])
    framed = frame(data, pixels, box, seen.face, how.picture)
    made = {
        **pictureless(row),
        "image": {"bytes": framed.cut.data, "path": f"{row['id']}{framed.cut.suffix}"},
        **framed.columns,
        **placed(seen, framed),
    }
    return Made(made, data, framed.cut.pixels, _fault(seen, how))


def decoded(data: bytes, policy: Picture) -> tuple[Pixels, bool]:
    """Return the pixels of a picture, and whether they are all there. Raises images.PictureError."""
    try:
        return images.decode(data, max_pixels=policy.max_pixels), True
    except images.PictureError as err:
        if err.reason != "truncated" or policy.truncated == "drop":
            raise
        return images.decode(data, max_pixels=policy.max_pixels, whole=False), False


def _fault(seen: Seen, how: Facing) -> tuple[str, str] | None:
    if seen.fault:
        return FAILED, seen.fault
    return ("no face", "") if how.crop == "detect" and how.look and seen.face is None else None


def open_picture(row: Row, base: Path) -> bytes:
    """Return the bytes of a listed row's picture. Raises images.PictureError."""
    if row["size"] is None:
        raise images.PictureError("missing picture")
    try:
        return read_picture(base, row["rel_path"])
    except FileNotFoundError:
        raise images.PictureError("missing picture", "it was there when the release was listed") from None
    except TooLargeError as err:
        raise images.PictureError("file too large", str(err)) from None
    except (OSError, KeyError, ValueError) as err:
        raise images.PictureError("unreadable", images.describe(err)) from None


def pictureless(row: Row) -> dict[str, Any]:
    """Return the FACES row of a picture that cannot be read."""
    return {name: row.get(name) for name in _NAMES}


def by_split(table: pa.Table) -> dict[str, pa.Table]:
    """Return the rows of each split, in the order in which the splits come."""
    return {split: table.filter(pc.equal(table["split"], split)) for split in pc.unique(table["split"]).to_pylist()}


def drops_of(gone: pa.Table) -> pa.Table:
    """Return FACED rows that go as DROPS."""
    columns = {name: pc.fill_null(gone[name], "") for name in DROPS.names}
    return pa.table(columns, schema=DROPS)
