"""Bad picture files on their way through the stage function: every one is a face or a drop with a known reason."""

from __future__ import annotations

import io
import os
import socket
import struct
import zlib
from collections import Counter
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ferbuild.builders import faces, facing
from ferbuild.builders.facing import FACED, Facing, Listed, face_batch, face_table
from ferbuild.builders.reasons import PICTURES
from ferbuild.builders.record import LISTED
from ferbuild.manifests.recipe import Picture

MUTANTS = 2_400
"""Files of the fuzz test."""


def face(height: int = 48, width: int = 40, seed: int = 0) -> Image.Image:
    chance = np.random.default_rng(seed)
    coarse = Image.fromarray(chance.integers(40, 220, (6, 5, 3), dtype=np.uint8))
    grain = chance.integers(-6, 7, (height, width, 3))
    return Image.fromarray(
        (np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)) + grain).clip(0, 255).astype(np.uint8)
    )


def saved(kind: str, picture: Image.Image | None = None, **how) -> bytes:
    file = io.BytesIO()
    (picture or face()).save(file, kind, **how)
    return file.getvalue()


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def claiming(side: int) -> bytes:
    """Return a small PNG that says it has `side` x `side` pixels."""
    data = saved("PNG")
    size = b"IHDR" + struct.pack(">II", side, side) + data[24:29]
    return data[:12] + size + struct.pack(">I", zlib.crc32(size)) + data[33:]


def listed(names: list[str], size: int | None = 1) -> pa.Table:
    """Return LISTED rows as a listing leaves them: the size was seen then."""
    common = {"source": "rafdb", "split": "train", "size": size, "label": "Happiness", "canonical": "happiness"}
    rows = [common | {"id": f"{at:016x}", "rel_path": name, "name": name} for at, name in enumerate(names)]
    return pa.Table.from_pylist(rows, schema=LISTED)


def faced(base: Path, names: list[str], **policy) -> list[dict]:
    table = face_table(listed(names), Facing(base, "as_is", Picture(**policy)))
    assert table.schema.equals(FACED) and table["rel_path"].to_pylist() == names
    return table.to_pylist()


def put(base: Path, files: dict[str, bytes]) -> list[str]:
    for name, data in files.items():
        (base / name).write_bytes(data)
    return list(files)


GOOD = {
    "a.jpg": saved("JPEG"),
    "grey.jpg": saved("JPEG", face().convert("L")),
    "progressive.jpg": saved("JPEG", progressive=True),
    "inks.jpg": saved("JPEG", face().convert("CMYK")),
    "a png.jpg": saved("PNG"),
    "a jpeg.png": saved("JPEG"),
    "no extension": saved("WEBP"),
    "palette.png": saved("PNG", face().convert("P")),
    "clear.png": saved("PNG", face().convert("RGBA")),
    "two.png": saved("PNG", face().convert("1")),
    "deep.png": saved("PNG", Image.fromarray(np.asarray(face().convert("L")).astype(np.uint16) * 257)),
    "deep.tif": saved("TIFF", Image.fromarray(np.asarray(face().convert("L")).astype(np.uint16) * 257)),
    "moving.gif": saved("GIF", save_all=True, append_images=[face(seed=1)]),
    "moving.webp": saved("WEBP", lossless=True, save_all=True, append_images=[face(seed=1)]),
    "moving.png": saved("PNG", save_all=True, append_images=[face(seed=1)]),
    "turned.jpg": saved("JPEG", exif=turned()),
    "turned.png": saved("PNG", exif=turned()),
    "point.png": saved("PNG", face(1, 1)),
    "point.jpg": saved("JPEG", face(1, 1)),
    "a.bmp": saved("BMP"),
}


def test_odd_pictures_are_faces_all_the_same(tmp_path):
    rows = {row["rel_path"]: row for row in faced(tmp_path, put(tmp_path, GOOD))}
    assert {name: row["reason"] for name, row in rows.items()} == dict.fromkeys(GOOD)
    assert {name: row["image"]["bytes"] for name, row in rows.items()} == GOOD
    sizes = {name: (row["width"], row["height"]) for name, row in rows.items()}
    points = dict.fromkeys(("point.png", "point.jpg"), (1, 1))
    assert sizes == dict.fromkeys(GOOD, (40, 48)) | dict.fromkeys(("turned.jpg", "turned.png"), (48, 40)) | points
    first = rows["a png.jpg"]["pixel_hash"]
    for name in ("moving.png", "moving.webp", "clear.png", "a.bmp"):
        assert rows[name]["pixel_hash"] == first, name
    assert rows["deep.png"]["pixel_hash"] == rows["deep.tif"]["pixel_hash"]
    assert rows["a jpeg.png"]["pixel_hash"] == rows["a.jpg"]["pixel_hash"]
    assert rows["a jpeg.png"]["image"]["path"].endswith(".jpeg") and rows["a png.jpg"]["image"]["path"].endswith(".png")
    assert all(len(row["hash256"]) == 32 and len(row["descriptor"]) == 64 for row in rows.values())


def test_unusable_files_are_drops_with_their_reasons(tmp_path):
    bad = {
        "empty.jpg": (b"", "empty file"),
        "text.jpg": (b"<html>no face here</html>", "unreadable"),
        "two bytes.jpg": (b"\xff\xd8", "unreadable"),
        "zeros.jpg": (bytes(5000), "unreadable"),
        "bomb.png": (claiming(30_000), "too many pixels"),
        "half.jpg": (GOOD["a.jpg"][: len(GOOD["a.jpg"]) // 2], "truncated"),
        "postscript.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "unreadable"),
    }
    rows = faced(tmp_path, put(tmp_path, {name: data for name, (data, _) in bad.items()}))
    assert {row["rel_path"]: row["reason"] for row in rows} == {name: reason for name, (_, reason) in bad.items()}
    assert all(row["findings"] == [row["reason"]] and row["image"] is None for row in rows)
    assert not any(str(tmp_path) in (row["detail"] or "") for row in rows)


@pytest.mark.timeout(20)
def test_what_is_no_file_any_more_is_a_drop_and_stops_nothing(tmp_path, monkeypatch):
    """The listing saw files of one byte or more; something else stands there when they are opened."""
    put(tmp_path, {"good.jpg": GOOD["a.jpg"], "last.jpg": GOOD["a.jpg"]})
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "device.jpg").symlink_to("/dev/zero")
    monkeypatch.chdir(tmp_path)  # a socket's address is short
    with socket.socket(socket.AF_UNIX) as door:
        door.bind("socket.jpg")
        names = ["good.jpg", "vanished.jpg", "folder.jpg", "pipe.jpg", "socket.jpg", "loop.jpg", "device.jpg",
                 "a/b.jpg", "good.jpg/x.jpg", "last.jpg"]  # fmt: skip
        rows = faced(tmp_path, names)
    assert [row["reason"] for row in rows] == [
        None, "missing picture", *["unreadable"] * 5, "missing picture", "unreadable", None
    ]  # fmt: skip
    assert not any(str(tmp_path) in (row["detail"] or "") for row in rows)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads whatever the permissions say")
def test_a_file_that_may_not_be_read_is_a_drop(tmp_path):
    names = put(tmp_path, {"locked.jpg": GOOD["a.jpg"], "open.jpg": GOOD["a.jpg"]})
    (tmp_path / "locked.jpg").chmod(0)
    rows = faced(tmp_path, names)
    assert [(row["reason"], row["detail"]) for row in rows] == [
        ("unreadable", "PermissionError: Permission denied"),
        (None, None),
    ]


def test_a_file_that_was_listed_as_missing_is_never_opened(tmp_path):
    put(tmp_path, {"a.jpg": GOOD["a.jpg"]})
    table = face_table(listed(["a.jpg"], None), Facing(tmp_path, "as_is", Picture()))
    assert table["reason"].to_pylist() == ["missing picture"]


def test_faces_are_the_same_however_many_are_hashed_at_a_time(tmp_path, monkeypatch):
    table, how = listed(put(tmp_path, GOOD | {"gone.jpg": b""})), Facing(tmp_path, "as_is", Picture())
    whole = face_table(table, how)
    for pixels in (1, 3000):
        monkeypatch.setattr(facing, "LOT_PIXELS", pixels)
        assert face_table(table, how).equals(whole)


@given(st.lists(st.none() | st.integers(0, 40) | st.just(500), max_size=60))
def test_jobs_hold_few_rows_and_few_bytes(sizes):
    rows = listed([str(at) for at in range(len(sizes))])
    rows = rows.set_column(rows.schema.get_field_index("size"), LISTED.field("size"), [pa.array(sizes, pa.int64())])
    with mock.patch.multiple(faces, PART_ROWS=10, JOB_BYTES=100):
        pieces = list(faces._pieces(rows))
    assert [name for piece in pieces for name in piece["name"].to_pylist()] == rows["name"].to_pylist()
    held = [sum(size or 0 for size in piece["size"].to_pylist()) for piece in pieces]
    assert all(1 <= piece.num_rows <= 10 for piece in pieces)
    assert all(size <= 100 or piece.num_rows == 1 for size, piece in zip(held, pieces, strict=True))
    starts = zip(pieces, held, pieces[1:], strict=False)
    assert all(one.num_rows == 10 or size + (after["size"][0].as_py() or 0) > 100 for one, size, after in starts)


SEEDS = [
    *GOOD.values(),
    saved("JPEG", restart_marker_blocks=2),
    saved("JPEG", face(200, 150)),
    saved("PNG", face(120, 90)),
    saved("WEBP", face(90, 120)),
    saved("TIFF", compression="tiff_lzw"),
    saved("TIFF", compression="jpeg"),
    saved("TIFF", compression="tiff_adobe_deflate"),
    saved("TIFF", face().convert("1"), compression="group4"),
]


def mutant(number: int) -> bytes:
    """Return a picture file with bits flipped, bytes lost, doubled or from another file, or its end cut off."""
    chance = np.random.default_rng(number)
    data = bytearray(SEEDS[number % len(SEEDS)])
    for _ in range(chance.integers(1, 8)):
        reach = len(data) if chance.random() < 0.6 else min(len(data), 200)  # headers are small and matter most
        at, how = int(chance.integers(reach)), chance.random()
        if how < 0.4:
            data[at] ^= 1 << int(chance.integers(8))
        elif how < 0.6:
            data[at] = int(chance.integers(256))
        elif how < 0.7:
            data[at : at + 4] = chance.bytes(4)
        elif how < 0.8:
            del data[at : at + int(chance.integers(1, 30))]
        elif how < 0.95:
            other = SEEDS[int(chance.integers(len(SEEDS)))]
            start = int(chance.integers(len(other)))
            data[at:at] = other[start : start + 50]
        else:
            del data[at:]
        if not data:
            break
    return bytes(data)


@pytest.mark.timeout(120)
def test_two_thousand_mutants_are_kept_or_dropped_for_known_reasons(tmp_path, capfd):
    names = put(tmp_path, {f"{number:05d}.jpg": mutant(number) for number in range(MUTANTS)})
    how = Facing(tmp_path, "as_is", Picture(max_pixels=2_000_000))
    batch = face_batch(Listed(listed(names), how, None))
    assert capfd.readouterr() == ("", ""), "a decoder spoke to the user"
    kept, dropped = batch.kept["train"].num_rows, Counter(batch.drops["reason"].to_pylist())
    assert kept + dropped.total() == MUTANTS
    assert set(dropped) == {"empty file", "unreadable", "truncated", "too many pixels"} <= set(PICTURES)
    assert min(kept, dropped["truncated"], dropped["unreadable"]) > MUTANTS // 10, "the mutations are worth something"
    again = face_batch(Listed(listed(names[:200]), how, None))
    assert again.kept["train"].equals(batch.kept["train"].slice(0, again.kept["train"].num_rows))
    assert again.drops.equals(batch.drops.slice(0, again.drops.num_rows))
